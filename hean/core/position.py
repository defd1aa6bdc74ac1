"""
The position book: what executions make of one position, in the exchange's order.

Its rules:

1. Executions count in the order (seq, exec_ms, place within the match, exec_id), whatever the order of arrival: a late
   one goes to its place and what follows is folded again, so average entry and realised PnL become the exchange's.
2. The opening balance plus the signed executions is the position, always; each fold asserts it.
3. Realised PnL, fees and funding are three sums; funding moves cash, never quantity.
4. Nothing is made up: a row of the exchange opens the book (`adopt`) or is compared (`agree`), it never moves the fold.

What one execution does to quantity and money is in `core/holding.py`; what is published of it, in
`core/position_chart.py`.
"""

from __future__ import annotations

from bisect import bisect_left
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

from attrs import evolve, frozen

from hean.core import exact
from hean.core.holding import Holding, signed_qty
from hean.core.ledger import Fees
from hean.core.position_chart import kinds_of
from hean.core.types import (
    ZERO,
    Category,
    EventType,
    ExecId,
    Execution,
    Ms,
    PositionRow,
    PositionSnapshot,
    Side,
)
from hean.errors import LocalError

# (seq, exec_ms, minus leaves_qty, exec_id)
_Key: TypeAlias = tuple[int, int, Decimal, str]
_Row: TypeAlias = tuple[_Key, Execution, bool]


@frozen(kw_only=True)
class Change:
    """
    What one fold did to the position.

    Attributes:
        kind: POSITION_OPENED, POSITION_UPDATE, POSITION_CLOSED, POSITION_ADOPTED or FUNDING.
        position: after the change. Where one execution flips the position, a CLOSED, flat, comes before an OPENED.
        refolded: the execution came late, or told its fee late, and later ones were folded again.
        crossed_zero: an alarm, not a decision: a reduce-only execution did more than shrink the position as we know it,
            or the position now stands on the side that its position_idx excludes. Compare with the exchange.
    """

    kind: EventType
    position: PositionSnapshot
    refolded: bool = False
    crossed_zero: bool = False


class Verdict(StrEnum):
    """How a row of the exchange compares with our fold up to the row's seq."""

    CONFIRMED = "confirmed"  # same side and size
    BEHIND = "behind"  # the row is older than the book's base: it can say nothing
    MISSING = "missing"  # differs, and the execution of the row's seq is not here: it is still to come, or lost
    DIFFERENT = "different"  # differs though that execution is here: an earlier one is lost, or one side is wrong


@frozen(kw_only=True)
class Agreement:
    """
    A comparison of our fold with one row of the exchange.

    Attributes:
        verdict: of the comparison.
        expected: the position as we folded it up to the row's seq; None where the book does not reach back so far.
        seen: the exchange's row.
    """

    verdict: Verdict
    expected: PositionSnapshot | None
    seen: PositionRow


@frozen(kw_only=True)
class Balance:
    """
    A position as it was taken over: the exchange's row, and the sums of money that went on from where they were.

    Attributes:
        realised_pnl: gross, up to the row's seq.
        fees: the same; per coin, positive is cost.
        funding: the same.
    """

    row: PositionRow
    realised_pnl: Decimal = ZERO
    fees: Fees = ()
    funding: Fees = ()


@frozen(kw_only=True)
class Base:
    """
    What a book has summed up and no longer holds singly.

    Attributes:
        holding: after every execution up to its seq.
        funding_seq: of the last funding in it.
    """

    holding: Holding
    funding_seq: int


@frozen(kw_only=True)
class _Entry:
    """One execution in its place, and what it led to."""

    key: _Key
    execution: Execution
    reduce_only: bool
    after: Holding
    crossed: bool


class PositionBook:
    """
    One position, folded from executions; of one (category, symbol, position_idx).

    Not thread-safe: one owner folds. An execution in order costs O(1); a late one costs what comes after it.

    Args:
        category: linear or inverse.
        symbol: of every execution.
        position_idx: 0 one-way, 1 hedge long, 2 hedge short. Executions do not carry it: whoever knows the order does.
        settle_coin: the coin of a fee or of funding whose row does not name it.
    """

    def __init__(self, category: Category, symbol: str, position_idx: int = 0, *, settle_coin: str = "") -> None:
        self.category = category
        self.symbol = symbol
        self.position_idx = position_idx
        self.settle_coin = settle_coin
        self._base = Holding(inverse=category is Category.INVERSE)
        self._base_funding_seq = -1
        self._keys: list[_Key] = []
        self._entries: list[_Entry] = []
        self._known: dict[ExecId, _Key] = {}
        self._sum = ZERO

    @property
    def snapshot(self) -> PositionSnapshot:
        """The position now."""
        return self._snapshot_of(self._last)

    @property
    def base_seq(self) -> int:
        """Seq up to which history is settled and no longer held: adopted or compacted; -1 when none is."""
        return self._base.seq

    @property
    def base(self) -> Base:
        """What `rest_on` needs to begin a new book where this one has summed up."""
        return Base(holding=self._base, funding_seq=self._base_funding_seq)

    @property
    def crossings(self) -> tuple[ExecId, ...]:
        """Executions held that raise `Change.crossed_zero` as the fold stands now; a late one may have cleared some."""
        return tuple(entry.execution.exec_id for entry in self._entries if entry.crossed)

    @property
    def count(self) -> int:
        """How many executions are held."""
        return len(self._entries)

    def knows(self, exec_id: ExecId) -> bool:
        """Whether this execution is held. Older ones are forgotten: the journal's unique key is what remembers."""
        return exec_id in self._known

    def contains(self, execution: Execution) -> bool:
        """Whether this execution is part of the base already, by its seq: folding it changes nothing."""
        # Funding has a seq of its own, which no row of a position shows: compacted funding is told by the last of them.
        return execution.seq <= (self._base.seq if execution.exec_type.moves_qty else self._base_funding_seq)

    def fold(self, execution: Execution, *, reduce_only: bool = False) -> tuple[Change, ...]:
        """
        Put one execution in its place.

        Args:
            execution: of this position.
            reduce_only: its order may only shrink the position.

        Returns:
            What changed: nothing for an execution that is held or contained already; one change, or two where the
            position flips. A held execution whose fee was unknown and is told now is an update.

        Raises:
            LocalError: the execution is of another category or symbol. Nothing has changed.
            ArithmeticError: a number of it is not finite, or an inverse price is zero. Nothing has changed.
        """
        if (execution.category, execution.symbol) != (self.category, self.symbol):
            raise LocalError(
                f"execution {execution.exec_id}: expected one of {self.category} {self.symbol}, "
                f"was of {execution.category} {execution.symbol}; fold it into its own book"
            )
        if self.contains(execution):
            return ()
        held = self._known.get(execution.exec_id)
        if held is not None:
            return self._learn_fee(execution, held)
        key = _key_of(execution)
        at = bisect_left(self._keys, key)
        late = at < len(self._keys)
        before = self._last
        tail = self._folded(at, [(key, execution, reduce_only), *self._rows(at)])
        # A late one may also make others cross that did not before.
        others = zip(tail[1:], self._entries[at:], strict=True)
        crossed = tail[0].crossed or any(now.crossed and not was.crossed for now, was in others)
        self._sum = exact.add(self._sum, signed_qty(execution))
        self._replace(at, tail)
        self._known[execution.exec_id] = key
        return tuple(
            Change(kind=kind, position=position, refolded=late, crossed_zero=crossed)
            for kind, position in self._steps(_fact_of(execution), before)
        )

    def adopt(self, row: PositionRow) -> tuple[Change, ...]:
        """
        Take the exchange's row as the balance up to its seq; executions at or below that seq count as contained.

        Executions held beyond that seq stay and are folded on top. Realised PnL, fees and funding go on from where
        they were: what we did not see is not made up.

        Raises:
            LocalError: the row is of another position, older than the base, or open without an average price. Nothing
                has changed.
        """
        self._require_own(row)
        if row.seq < self._base.seq:
            raise LocalError(
                f"position {self.symbol}: expected a row of seq {self._base.seq} or later, was {row.seq}; query again"
            )
        if row.size != ZERO and not row.avg_price:
            raise LocalError(
                f"position {self.symbol}: expected an avg_price to adopt, was {row.avg_price}; query again"
            )
        cut = self._cut(row.seq)
        before = self._last
        qty = _signed_size(row.side, row.size)
        settled = self._state_before(cut)
        self._rebase(cut, settled.replaced(qty, row.avg_price if qty else None, row.seq, row.updated_ms))
        return tuple(Change(kind=kind, position=position) for kind, position in self._steps("adopted", before))

    def balance(self, row: PositionRow) -> Balance:
        """What `resume` needs to begin a new book where this one took over a row."""
        state = self._state_before(self._cut(row.seq))
        return Balance(row=row, realised_pnl=state.realised_pnl, fees=state.fees, funding=state.funding)

    def resume(self, balance: Balance) -> None:
        """
        Begin with what an earlier book took over; it must be the first that this one hears of.

        Raises:
            LocalError: as `adopt`; this book is of no use then.
        """
        self._base = evolve(self._base, cash=balance.realised_pnl, fees=balance.fees, funding=balance.funding)
        self.adopt(balance.row)

    def rest_on(self, base: Base) -> None:
        """Begin with what an earlier book summed up; it must be the first that this one hears of."""
        self._base, self._base_funding_seq = base.holding, base.funding_seq

    def checkpoint(self, seq: int) -> int:
        """
        Compact the executions up to a seq that the exchange confirmed; their exec_ids are forgotten.

        Never claims more than was folded: an execution between the last compacted one and `seq` is still taken.

        Returns:
            How many executions were compacted.
        """
        cut = self._cut(seq)
        self._rebase(cut, self._state_before(cut), refold=False)
        return cut

    def seq_behind(self, count: int) -> int:
        """Seq up to which everything is followed by at least `count` held executions; -1 where fewer are held."""
        return self._entries[-count - 1].execution.seq if count < len(self._entries) else -1

    def at(self, seq: int) -> PositionSnapshot | None:
        """The position after every execution up to a seq; None where the book does not reach back so far."""
        return None if seq < self._base.seq else self._snapshot_of(self._state_before(self._cut(seq)))

    def size_at(self, seq: int) -> Decimal | None:
        """The signed quantity at a seq, positive long; None where the book does not reach back so far."""
        return None if seq < self._base.seq else self._state_before(self._cut(seq)).qty

    def agree(self, row: PositionRow, *, settled_ms: Ms | None = None) -> Agreement:
        """
        Compare the exchange's row with our fold up to the row's seq; changes nothing.

        Side and size are compared, prices are not: the exchange rounds its averages.

        Args:
            row: of this position.
            settled_ms: what was executed by then, the row knows, whatever its seq: where it does not, an execution is
                here that never moved this position. None where nobody can say.

        Raises:
            LocalError: the row is of another position.
        """
        self._require_own(row)
        expected = self.at(row.seq)
        if expected is None:
            return Agreement(verdict=Verdict.BEHIND, expected=None, seen=row)
        if _signed_size(expected.side, expected.size) == _signed_size(row.side, row.size):
            verdict = Verdict.CONFIRMED
        elif expected.seq < row.seq:
            verdict = Verdict.MISSING
        else:
            verdict = Verdict.DIFFERENT
        if verdict is Verdict.CONFIRMED and settled_ms is not None:
            newest = self._snapshot_of(self._last)
            if newest.updated_ms <= settled_ms and _signed_size(newest.side, newest.size) != _signed_size(
                row.side, row.size
            ):
                return Agreement(verdict=Verdict.DIFFERENT, expected=newest, seen=evolve(row, seq=newest.seq))
        return Agreement(verdict=verdict, expected=expected, seen=row)

    @property
    def _last(self) -> Holding:
        return self._entries[-1].after if self._entries else self._base

    def _cut(self, seq: int) -> int:
        """Index of the first execution held beyond a seq."""
        return bisect_left(self._keys, (seq + 1,))

    def _state_before(self, at: int) -> Holding:
        return self._entries[at - 1].after if at else self._base

    def _rows(self, at: int) -> list[_Row]:
        return [(entry.key, entry.execution, entry.reduce_only) for entry in self._entries[at:]]

    def _folded(self, at: int, rows: list[_Row], base: Holding | None = None) -> list[_Entry]:
        state = self._state_before(at) if base is None else base
        entries = []
        for key, execution, reduce_only in rows:
            after = state.after(execution, self.settle_coin)
            moved = execution.exec_type.moves_qty
            crossed = moved and ((reduce_only and _exceeds(state.qty, after.qty)) or self._is_excluded(after.qty))
            entries.append(_Entry(key=key, execution=execution, reduce_only=reduce_only, after=after, crossed=crossed))
            state = after
        return entries

    def _replace(self, at: int, tail: list[_Entry]) -> None:
        self._entries[at:] = tail
        self._keys[at:] = [entry.key for entry in tail]
        assert self._last.qty == exact.add(self._base.qty, self._sum), (
            f"{self.category} {self.symbol} {self.position_idx}: position {self._last.qty}, "
            f"executions {self._sum} on {self._base.qty}"
        )

    def _rebase(self, cut: int, base: Holding, *, refold: bool = True) -> None:
        tail = self._folded(0, self._rows(cut), base) if refold else self._entries[cut:]
        for entry in self._entries[:cut]:
            del self._known[entry.execution.exec_id]
            self._sum = exact.add(self._sum, signed_qty(entry.execution).copy_negate())
            self._base_funding_seq = max(self._base_funding_seq, entry.execution.seq)
        self._base_funding_seq = max(self._base_funding_seq, base.seq)
        self._base = base
        self._replace(0, tail)

    def _learn_fee(self, execution: Execution, key: _Key) -> tuple[Change, ...]:
        at = bisect_left(self._keys, key)
        before, held = self._last, self._entries[at]
        if held.execution.exec_fee is not None or execution.exec_fee is None:
            return ()
        told = evolve(held.execution, exec_fee=execution.exec_fee, fee_currency=execution.fee_currency)
        self._replace(at, self._folded(at, [(key, told, held.reduce_only), *self._rows(at + 1)]))
        fact = "fee_told" if told.exec_type.moves_qty else "funded"
        return tuple(
            Change(kind=kind, position=position, refolded=True) for kind, position in self._steps(fact, before)
        )

    def _is_excluded(self, qty: Decimal) -> bool:
        """Whether the position_idx excludes this side. Source: Bybit V5 docs, enum: positionIdx."""
        return (self.position_idx == 1 and qty < ZERO) or (self.position_idx == 2 and qty > ZERO)

    def _snapshot_of(self, state: Holding) -> PositionSnapshot:
        return PositionSnapshot(
            category=self.category,
            symbol=self.symbol,
            position_idx=self.position_idx,
            side=state.side,
            size=state.qty.copy_abs(),
            avg_price=state.avg_price,
            realised_pnl=state.realised_pnl,
            fees=state.fees,
            funding=state.funding,
            seq=state.seq,
            updated_ms=state.updated_ms,
        )

    def _steps(self, fact: str, before: Holding) -> list[tuple[EventType, PositionSnapshot]]:
        """What the chart publishes of `fact`, each with the position after it."""
        after = self._last
        position = self._snapshot_of(after)
        kinds = kinds_of(fact, before.side, after.side)
        # The opening part of a flip realises nothing, so the closed position has the same sums.
        return [
            (kind, evolve(position, side=None, size=ZERO, avg_price=None))
            if kind is EventType.POSITION_CLOSED
            else (kind, position)
            for kind in kinds
        ]

    def _require_own(self, row: PositionRow) -> None:
        own = (self.category, self.symbol, self.position_idx)
        if (row.category, row.symbol, row.position_idx) != own:
            raise LocalError(
                f"position row: expected one of {own}, was of {(row.category, row.symbol, row.position_idx)}; "
                f"compare it with its own book"
            )


def _fact_of(execution: Execution) -> str:
    if not execution.exec_type.moves_qty:
        return "funded"
    return "bought" if execution.side is Side.BUY else "sold"


def _key_of(execution: Execution) -> _Key:
    # All fills of one match share seq and exec_ms; what the order had left after each tells which came first, and which
    # one closed and which opened where the position flips. Source: Bybit V5 docs, websocket/private/execution.
    leaves = ZERO if execution.leaves_qty is None else execution.leaves_qty.copy_negate()
    return execution.seq, execution.exec_ms, leaves, execution.exec_id


def _signed_size(side: Side | None, size: Decimal) -> Decimal:
    return size.copy_negate() if side is Side.SELL else size


def _exceeds(before: Decimal, after: Decimal) -> bool:
    """Whether a quantity did anything but shrink towards zero."""
    return not min(before, ZERO) <= after <= max(before, ZERO)
