"""
Two books side by side: what we hold, what the exchange says, and what is to be done about a difference.

Its rules:

1. Both sides are gone through: what only one of them has is a difference too.
2. A picture that was asked for before something happened here says nothing about it: it is discarded, counted, and
   asked for again. A row that is behind what the exchange itself showed already is its lag, and no difference.
3. A difference counts when two pictures in a row show the same one. Until then it is a suspicion.
4. Evidence (rows, executions, a look-up) is taken in at each picture that shows the difference; a person is told once,
   and once more when it is gone. A row of an order whose outcome is unknown here is evidence, and no difference.
5. A position is judged only where no execution of its symbol is missing: those explain it.
6. A picture with rows that do not read proves no absence. Nothing is ever made up to close a difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

from attrs import evolve

from hean.core.catchup import SCOPES, Picture
from hean.core.foreign import is_piece
from hean.core.position import Verdict
from hean.core.reconcile_record import Comparison, ExecutionKey, Holdings, Policies, Suspect, Suspects
from hean.core.types import (
    ZERO,
    Category,
    ExecId,
    Execution,
    Finding,
    FindingKind,
    OrderId,
    OrderLinkId,
    OrderRow,
    OrderSnapshot,
    OrderState,
    OrderStatus,
    OrderType,
    PositionRow,
    Reaction,
    Side,
)

# The exchange's lists may lag behind its streams by several seconds: an execution that is younger and not listed yet
# is no difference. Source: seen on Bybit's order history, 10 to 15 s after a busy minute.
LISTING_LAG_MS: Final = 30_000

COVERED: Final = frozenset(scope.category for scope in SCOPES)
"""Categories that a picture shows; what is held elsewhere cannot be compared."""

# Evidence says that it exists and may still trade.
_OPEN: Final = frozenset({OrderState.ACKNOWLEDGED, OrderState.PARTIAL_FILL})
# What became of it is being asked for already: that the exchange knows more is an answer, and no difference.
_UNKNOWN: Final = frozenset({OrderState.PENDING, OrderState.SUBMITTED, OrderState.TIMEOUT})
_RANK: Final = {OrderStatus.PARTIALLY_FILLED: 1}


OF_POSITIONS: Final = frozenset(
    {FindingKind.POSITION_ONLY_HERE, FindingKind.POSITION_ONLY_THERE, FindingKind.POSITION_DIFFERS}
)
"""Kinds of difference that lost executions may explain."""


class _Look:
    """One comparison in the making."""

    def __init__(self, holdings: Holdings, picture: Picture) -> None:
        self.holdings = holdings
        self.picture = picture
        self.seen: dict[str, Suspect] = {}
        self.discarded = 0
        self.rechecks: dict[str, OrderLinkId] = {}
        self.rows: dict[str, OrderRow] = {}
        self.answers: list[OrderRow] = []
        self.executions: dict[str, Execution] = {}
        self.positions: dict[str, PositionRow] = {}
        self.forgotten: tuple[str, ...] = ()

    def suspect(self, key: str, finding: Finding, sign: str = "") -> str:
        full = f"{finding.kind} {finding.category} {finding.symbol} {key}"
        self.seen[full] = Suspect(finding=finding, sign=sign)
        return full

    def compare(self) -> None:
        if self.picture.orders is not None:
            self._orders(self.picture.orders)
        self._executions()
        if self.picture.positions is not None:
            self._positions()

    # Orders.

    def _orders(self, rows: tuple[OrderRow, ...]) -> None:
        held, asked_ms = self.holdings, self.picture.asked_ms
        by_link = {row.order_link_id: row for row in rows if row.order_link_id}
        by_id = {row.order_id: row for row in rows}
        ours = set()
        for order in held.orders:
            if order.category not in COVERED:
                continue
            # By its own ID first: the parts of one that was split may all carry its link ID.
            row = by_id.get(order.order_id or OrderId("")) or by_link.get(order.order_link_id)
            if row is not None and is_piece(order, row.order_id):
                row = None
            if row is not None:
                ours.add(row.order_id)
            differing = () if row is None or lags(order, row) else differences(order, row)
            if order.state not in _OPEN if row is None else not differing:
                continue
            if order.updated_ms >= asked_ms:
                self.discarded += 1
            elif row is None:
                self._unlisted(order)
            elif order.state in _UNKNOWN:
                self.answers.append(row)
            else:
                self._differs(order, row, differing)
        for row in rows:
            if row.order_id not in ours:
                self._unheld(row)
        if not self.picture.quarantined:
            self.forgotten = tuple(
                order_id for order_id, heard_ms in held.foreign.items() if heard_ms < asked_ms and order_id not in by_id
            )

    def _unlisted(self, order: OrderSnapshot) -> None:
        if not self.picture.quarantined:
            finding = _of_order(FindingKind.ORDER_ONLY_HERE, order, expected=_order_words(order))
            self.rechecks[self.suspect(order.order_link_id, finding)] = order.order_link_id

    def _differs(self, order: OrderSnapshot, row: OrderRow, differing: tuple[str, ...]) -> None:
        seen = _row_words(row, differing)
        finding = _of_order(FindingKind.ORDER_DIFFERS, order, expected=_order_words(order), seen=seen)
        self.rows[self.suspect(order.order_link_id, finding, sign=",".join(differing))] = row

    def _unheld(self, row: OrderRow) -> None:
        held = self.holdings
        if row.order_id in held.foreign:
            return
        changed_ms = held.retired.get(row.order_id)
        if changed_ms is not None and changed_ms >= self.picture.asked_ms:
            self.discarded += 1
            return
        kind = FindingKind.ORDER_ONLY_THERE if changed_ms is None else FindingKind.ORDER_DIFFERS
        finding = Finding(
            kind=kind,
            category=row.category,
            symbol=row.symbol,
            position_idx=row.position_idx,
            order_link_id=row.order_link_id,
            order_id=row.order_id,
            expected="" if changed_ms is None else "settled",
            seen=_row_words(row),
        )
        self.rows[self.suspect(row.order_id, finding)] = row

    # Executions.

    def _executions(self) -> None:
        held, picture = self.holdings, self.picture
        for execution in held.unknown:
            finding = Finding(
                kind=FindingKind.EXECUTION_ONLY_THERE,
                category=execution.category,
                symbol=execution.symbol,
                order_link_id=execution.order_link_id,
                order_id=execution.order_id,
                exec_ids=(execution.exec_id,),
                seen=f"{execution.exec_type} {execution.side} {execution.exec_qty} at {execution.exec_price}",
            )
            self.executions[self.suspect(execution.exec_id, finding)] = execution
        if picture.since_ms is None or picture.quarantined:
            return
        listed = {(row.category, row.symbol, row.exec_id) for row in picture.executions}
        for key, exec_ms in held.accounted.items():
            category, symbol, exec_id = key
            settled = picture.since_ms <= exec_ms <= picture.until_ms - LISTING_LAG_MS
            if key not in listed and settled and category in COVERED:
                finding = Finding(
                    kind=FindingKind.EXECUTION_ONLY_HERE,
                    category=category,
                    symbol=symbol,
                    exec_ids=(exec_id,),
                    expected="accounted",
                )
                self.suspect(exec_id, finding)

    # Positions.

    def _positions(self) -> None:
        explained = {(row.category, row.symbol) for row in self.holdings.unknown}
        for agreement in self.holdings.agreements:
            row, expected = agreement.seen, agreement.expected
            if agreement.verdict is Verdict.BEHIND or expected is None:
                self.discarded += 1
            elif agreement.verdict is not Verdict.CONFIRMED and (row.category, row.symbol) not in explained:
                finding = Finding(
                    kind=_position_kind(expected.size, row.size),
                    category=row.category,
                    symbol=row.symbol,
                    position_idx=row.position_idx,
                    expected=f"{_side_words(expected.side, expected.size)} up to seq {expected.seq}",
                    seen=f"{_side_words(row.side, row.size)} at seq {row.seq}",
                )
                # The drift, not the sizes: trading goes on, and the same lost execution shows the same drift.
                drift = _signed(row.side, row.size) - _signed(expected.side, expected.size)
                self.positions[self.suspect(str(row.position_idx), finding, sign=str(drift.normalize()))] = row
        for position in self.holdings.unlisted:
            if (position.category, position.symbol) in explained or self.picture.quarantined:
                continue
            finding = Finding(
                kind=FindingKind.POSITION_ONLY_HERE,
                category=position.category,
                symbol=position.symbol,
                position_idx=position.position_idx,
                expected=_side_words(position.side, position.size),
            )
            self.suspect(str(position.position_idx), finding, sign=str(_signed(position.side, position.size)))


def compare(holdings: Holdings, picture: Picture, suspects: Suspects, policies: Policies) -> Comparison:
    """
    Put a picture of the exchange beside what we hold.

    Args:
        holdings: what we hold.
        picture: what the exchange says.
        suspects: from the picture before; {} for the first.
        policies: what each kind leads to.
    """
    look = _Look(holdings, picture)
    look.compare()
    now: dict[str, Suspect] = {}
    told: list[Finding] = []
    for key, suspect in look.seen.items():
        before = suspects.get(key)
        if before is not None and before.sign == suspect.sign:
            suspect = evolve(suspect, looks=before.looks + 1, told=before.told)  # noqa: PLW2901 - it is the same one
        if suspect.confirmed and not suspect.told:
            told.append(suspect.finding)
        now[key] = evolve(suspect, told=suspect.told or suspect.confirmed)
    kept, gone = _not_seen(suspects, look)
    confirmed = {key for key, suspect in now.items() if suspect.confirmed}
    adopted = [
        row
        for key, row in look.positions.items()
        if key in confirmed and policies.of(now[key].finding.kind) is Reaction.ADOPT
    ]
    return Comparison(
        suspects=now | kept,
        told=tuple(_grouped(told)),
        gone=tuple(_grouped(gone)),
        rechecks=tuple(link for key, link in look.rechecks.items() if key in confirmed),
        rows=(*look.answers, *(row for key, row in look.rows.items() if key in confirmed)),
        executions=tuple(execution for key, execution in look.executions.items() if key in confirmed),
        adopt=tuple(adopted),
        forgotten=look.forgotten,
        discarded=look.discarded,
    )


def key_of(category: str, symbol: str, exec_id: str) -> ExecutionKey:
    """What makes an execution unique."""
    return Category(category), symbol, ExecId(exec_id)


def lags(order: OrderSnapshot, row: OrderRow) -> bool:
    """Whether a row is older than what the exchange showed already: its lists run behind its stream."""
    if row.updated_ms < order.shown_ms or row.cum_exec_qty < order.cum_exec_qty:
        return True
    status = _status(order)
    return (
        row.cum_exec_qty == order.watermark
        and status is not None
        and not row.status.final
        and (status.final or _RANK.get(row.status, 0) < _RANK.get(status, 0))
    )


def differences(order: OrderSnapshot, row: OrderRow) -> tuple[str, ...]:
    """Names of the parts in which a row of the exchange differs from the order as we hold it."""
    pairs: dict[str, tuple[object, object]] = {
        "status": (order.status, str(row.status)),
        "qty": (order.qty, row.qty),
        "cum_exec_qty": (order.cum_exec_qty, row.cum_exec_qty),
        "trigger_price": (order.trigger_price or ZERO, row.trigger_price or ZERO),
        "take_profit": (order.take_profit or ZERO, row.take_profit or ZERO),
        "stop_loss": (order.stop_loss or ZERO, row.stop_loss or ZERO),
    }
    if order.order_type is OrderType.LIMIT:
        pairs["price"] = (order.price or ZERO, row.price or ZERO)
    return tuple(name for name, (here, there) in pairs.items() if here != there)


def _not_seen(suspects: Suspects, look: _Look) -> tuple[dict[str, Suspect], list[Finding]]:
    """Suspects that this picture does not show: those it could not show are kept, the others are gone."""
    kept: dict[str, Suspect] = {}
    gone: list[Finding] = []
    for key, suspect in suspects.items():
        if key in look.seen:
            continue
        if not _shows(look.picture, suspect.finding):
            kept[key] = suspect
        elif suspect.told:
            gone.append(suspect.finding)
    return kept, gone


def _shows(picture: Picture, finding: Finding) -> bool:
    match finding.kind:
        case FindingKind.ORDER_ONLY_HERE | FindingKind.ORDER_ONLY_THERE | FindingKind.ORDER_DIFFERS:
            return picture.orders is not None
        case FindingKind.EXECUTION_ONLY_HERE | FindingKind.EXECUTION_ONLY_THERE:
            return picture.since_ms is not None
        case _:
            return picture.positions is not None


def _grouped(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Executions of one symbol are one finding that names them all."""
    groups: dict[tuple[FindingKind, Category, str], list[Finding]] = {}
    for finding in findings:
        if finding.kind in {FindingKind.EXECUTION_ONLY_HERE, FindingKind.EXECUTION_ONLY_THERE}:
            groups.setdefault((finding.kind, finding.category, finding.symbol), []).append(finding)
        else:
            yield finding
    for (kind, category, symbol), members in groups.items():
        if len(members) == 1:
            yield members[0]
            continue
        words = f"{len(members)} executions"
        here = kind is FindingKind.EXECUTION_ONLY_HERE
        yield Finding(
            kind=kind,
            category=category,
            symbol=symbol,
            exec_ids=tuple(exec_id for member in members for exec_id in member.exec_ids),
            expected=words if here else "",
            seen="" if here else words,
        )


def _of_order(kind: FindingKind, order: OrderSnapshot, *, expected: str, seen: str = "") -> Finding:
    return Finding(
        kind=kind,
        category=order.category,
        symbol=order.symbol,
        position_idx=order.position_idx,
        order_link_id=order.order_link_id,
        order_id=order.order_id or "",
        expected=expected,
        seen=seen,
    )


def _status(order: OrderSnapshot) -> OrderStatus | None:
    return OrderStatus(order.status) if order.status else None


def _order_words(order: OrderSnapshot) -> str:
    status = f" ({order.status})" if order.status else ""
    return f"{order.state}{status}, executed {order.cum_exec_qty} of {order.qty}"


def _row_words(row: OrderRow, differing: tuple[str, ...] = ()) -> str:
    more = [f"{name} {getattr(row, name)}" for name in differing if name not in {"status", "qty", "cum_exec_qty"}]
    return ", ".join([f"{row.side} {row.status}, executed {row.cum_exec_qty} of {row.qty}", *more])


def _position_kind(here: Decimal, there: Decimal) -> FindingKind:
    if not here:
        return FindingKind.POSITION_ONLY_THERE
    return FindingKind.POSITION_DIFFERS if there else FindingKind.POSITION_ONLY_HERE


def _side_words(side: Side | None, size: Decimal) -> str:
    return f"{side} {size}" if side is not None and size else "flat"


def _signed(side: Side | None, size: Decimal) -> Decimal:
    return size * side.sign if side is not None else ZERO
