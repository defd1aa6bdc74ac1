"""
The fill ledger of one order: what executions add up to, and how much of the exchange's own count they do not explain.

Its rules: quantity comes from executions alone, each `exec_id` once; the exchange's `cum_exec_qty` is a watermark that
only rises and never becomes quantity; sums are exact; the order of arrival does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, TypeAlias

from attrs import evolve, field, frozen

from hean.core import exact
from hean.core.types import ZERO, Category, ExecId, Execution, Ms

Fees: TypeAlias = tuple[tuple[str, Decimal], ...]

# An inverse value is a quotient, so it rounds where the exchange did not tell it; far below any coin's last digit.
_VALUE_DIGITS: Final = 50


def with_fee(fees: Fees, coin: str, fee: Decimal) -> Fees:
    """Fees per coin with one more, exact, sorted by coin so that equal sums are equal values."""
    sums = dict(fees)
    sums[coin] = exact.add(sums.get(coin, ZERO), fee)
    return tuple(sorted(sums.items()))


def value_of(execution: Execution) -> Decimal:
    """
    What an execution is worth: settle or quote coin, base coin for inverse; computed where the row did not tell.

    Source: Bybit V5 docs, order/execution: execValue.

    Raises:
        ArithmeticError: an inverse row without value has a price of zero. Nothing has changed.
    """
    if execution.exec_value is not None:
        return execution.exec_value
    if execution.category is Category.INVERSE:
        return exact.quotient(execution.exec_qty, execution.exec_price, _VALUE_DIGITS)
    return exact.multiply(execution.exec_price, execution.exec_qty)


def _flatten(runs: Iterable[frozenset[ExecId]]) -> frozenset[ExecId]:
    return frozenset[ExecId]().union(*runs)


@frozen(kw_only=True)
class Ledger:
    """
    What one order's executions add up to. Two ledgers of the same executions are equal, whatever their order.

    Attributes:
        category: of the order; inverse values are in base coin.
        settle_coin: the fee's coin where a row does not name it, as older rows do not; "" where it is not known.
            Source: Bybit V5 docs, order/execution: feeCurrency.
        cum_exec_qty: sum of the executions' quantities.
        cum_value: sum of their values: settle or quote coin, base coin for inverse.
        fees: per coin, sorted, positive is cost.
        watermark: the highest cum_exec_qty that the exchange showed; zero before any.
        last_seq: highest seq of an execution, -1 before any.
        last_exec_ms: exchange time of the latest execution, 0 before any.
        without_fee: executions whose row told no fee yet.
    """

    category: Category = Category.LINEAR
    settle_coin: str = ""
    cum_exec_qty: Decimal = ZERO
    cum_value: Decimal = ZERO
    fees: Fees = ()
    watermark: Decimal = ZERO
    last_seq: int = -1
    last_exec_ms: Ms = field(default=Ms(0))
    without_fee: frozenset[ExecId] = frozenset()
    # Runs of falling size, merged like a binary counter: adding copies O(log n) IDs on average, not all of them.
    id_runs: tuple[frozenset[ExecId], ...] = field(default=(), eq=_flatten, repr=False)

    @property
    def exec_ids(self) -> frozenset[ExecId]:
        """Every execution counted."""
        return _flatten(self.id_runs)

    @property
    def count(self) -> int:
        """How many executions are counted."""
        return sum(len(run) for run in self.id_runs)

    @property
    def gap(self) -> Decimal:
        """How much of the watermark no execution explains yet; never negative."""
        if self.watermark < self.cum_exec_qty:
            return ZERO
        return exact.add(self.watermark, self.cum_exec_qty.copy_negate())

    @property
    def avg_price(self) -> Decimal | None:
        """Average price to 28 digits, None before a fill. Inverse: harmonic, as the value is in base coin."""
        if not self.cum_exec_qty or not self.cum_value:
            return None
        if self.category is Category.INVERSE:
            return exact.quotient(self.cum_exec_qty, self.cum_value)
        return exact.quotient(self.cum_value, self.cum_exec_qty)

    @property
    def fees_known(self) -> bool:
        """Every execution's fee was told; an order settles only then."""
        return not self.without_fee

    def knows(self, exec_id: ExecId) -> bool:
        """Whether this execution is counted already."""
        # A generator would be entered once for each run.
        for run in self.id_runs:  # noqa: SIM110
            if exec_id in run:
                return True
        return False

    def overfill(self, qty: Decimal) -> Decimal:
        """How far the executions exceed the order's total quantity; zero where they do not."""
        if self.cum_exec_qty < qty:
            return ZERO
        return exact.add(self.cum_exec_qty, qty.copy_negate())

    def seen(self, watermark: Decimal) -> Ledger:
        """The ledger after a row of the exchange showed this cum_exec_qty; a lower one changes nothing."""
        if watermark <= self.watermark:
            return self
        return Ledger(
            category=self.category,
            settle_coin=self.settle_coin,
            cum_exec_qty=self.cum_exec_qty,
            cum_value=self.cum_value,
            fees=self.fees,
            watermark=watermark,
            last_seq=self.last_seq,
            last_exec_ms=self.last_exec_ms,
            without_fee=self.without_fee,
            id_runs=self.id_runs,
        )

    def add(self, execution: Execution) -> Ledger:
        """
        The ledger with one more execution; itself where that one is known already, or moves no quantity.

        A known execution whose fee was not told yet adds its fee, and nothing else.

        Args:
            execution: of this order; the caller has matched it.

        Raises:
            ArithmeticError: a number of the row is not finite. Nothing has changed.
        """
        if not execution.exec_type.moves_qty:
            return self
        if self.knows(execution.exec_id):
            return self._learn_fee(execution)
        unknown, fees = self.without_fee, self.fees
        if execution.exec_fee is None:
            unknown |= {execution.exec_id}
        else:
            fees = with_fee(fees, execution.fee_currency or self.settle_coin, execution.exec_fee)
        return Ledger(
            category=self.category,
            settle_coin=self.settle_coin,
            cum_exec_qty=exact.add(self.cum_exec_qty, execution.exec_qty),
            cum_value=exact.add(self.cum_value, value_of(execution)),
            fees=fees,
            watermark=self.watermark,
            last_seq=max(self.last_seq, execution.seq),
            last_exec_ms=max(self.last_exec_ms, execution.exec_ms),
            without_fee=unknown,
            id_runs=_with_id(self.id_runs, execution.exec_id),
        )

    def _learn_fee(self, execution: Execution) -> Ledger:
        if execution.exec_fee is None or execution.exec_id not in self.without_fee:
            return self
        return evolve(
            self,
            fees=with_fee(self.fees, execution.fee_currency or self.settle_coin, execution.exec_fee),
            without_fee=self.without_fee - {execution.exec_id},
        )


def _with_id(runs: tuple[frozenset[ExecId], ...], exec_id: ExecId) -> tuple[frozenset[ExecId], ...]:
    run = frozenset((exec_id,))
    kept = len(runs)
    while kept and len(runs[kept - 1]) <= len(run):
        kept -= 1
        run |= runs[kept]
    return (*runs[:kept], run)
