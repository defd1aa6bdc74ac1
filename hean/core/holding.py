"""
What executions make of one position: quantity, cost, and the three sums of money.

Realised PnL is cash received less cash paid, exact, plus the cost of what is still held. The cost of a part is a
quotient and may round, far below any coin's last digit; as nothing held costs nothing, the realised PnL is exact
whenever the position is flat, however often its average had to be rounded on the way. Fees and funding are exact sums.

Linear: PnL is (exit - entry) x qty in settle coin, the average entry weighs by quantity. Inverse: qty is contracts of
one quote coin, PnL is qty x (1/entry - 1/exit) in base coin, the average entry is harmonic.
Source: Bybit V5 docs, order/execution and position.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from attrs import evolve, field, frozen

from hean.core import exact
from hean.core.ledger import Fees, with_fee
from hean.core.types import ZERO, Execution, Ms, Side

# A third of a cost has no last digit. Rounded here, far below what any coin or exchange shows.
_COST_DIGITS: Final = 50


@frozen(kw_only=True)
class Holding:
    """
    A position after some executions.

    Attributes:
        inverse: contracts that settle in base coin.
        qty: positive long, negative short.
        cash: received less paid for all executions: settle coin, base coin for inverse.
        cost: of the held quantity at its entry, signed so that cash + cost is the realised PnL.
        fees: per coin, positive is cost.
        funding: per coin, positive is cost.
        seq: of the last execution that moved quantity, -1 before any.
        updated_ms: exchange time of the latest execution.
    """

    inverse: bool = False
    qty: Decimal = ZERO
    cash: Decimal = ZERO
    cost: Decimal = ZERO
    fees: Fees = ()
    funding: Fees = ()
    seq: int = -1
    updated_ms: Ms = field(default=Ms(0))

    @property
    def side(self) -> Side | None:
        """None when flat."""
        if not self.qty:
            return None
        return Side.BUY if self.qty > ZERO else Side.SELL

    @property
    def avg_price(self) -> Decimal | None:
        """Average entry to 28 digits, None when flat or entered for nothing."""
        if not self.qty or not self.cost:
            return None
        held, cost = self.qty.copy_abs(), self.cost.copy_abs()
        return exact.quotient(held, cost) if self.inverse else exact.quotient(cost, held)

    @property
    def realised_pnl(self) -> Decimal:
        """Gross of fees and funding."""
        return exact.add(self.cash, self.cost)

    def replaced(self, qty: Decimal, price: Decimal | None, seq: int, at_ms: Ms) -> Holding:
        """
        The holding with another quantity and entry, and every sum of money as it was.

        Args:
            qty: signed.
            price: average entry, None where qty is zero.
            seq: of the balance that is taken over.
            at_ms: exchange time of that balance.
        """
        cost = ZERO if price is None else self._cost_of(qty, price)
        return evolve(
            self,
            qty=qty,
            cost=cost,
            cash=exact.add(self.realised_pnl, cost.copy_negate()),
            seq=seq,
            updated_ms=max(self.updated_ms, at_ms),
        )

    def after(self, execution: Execution, settle_coin: str = "") -> Holding:
        """
        The holding with one more execution, which closes first and opens with what is left of it.

        Args:
            execution: next in the exchange's order.
            settle_coin: the coin of a fee or of funding whose row does not name it.

        Raises:
            ArithmeticError: a number is not finite, or an inverse price is zero. Nothing has changed.
        """
        paid, coin = execution.exec_fee, execution.fee_currency or settle_coin
        updated_ms = max(self.updated_ms, execution.exec_ms)
        if not execution.exec_type.moves_qty:
            funding = self.funding if paid is None else with_fee(self.funding, coin, paid)
            return evolve(self, funding=funding, updated_ms=updated_ms)
        signed = signed_qty(execution)
        opposed = self.side is execution.side.opposite
        closed = _least(signed, self.qty) if opposed else ZERO
        opened = exact.add(signed, closed.copy_negate())
        kept = exact.add(self.qty, closed)
        entered = self._cost_of(opened, execution.exec_price)
        left = self._cost_of(closed, execution.exec_price)
        return Holding(
            inverse=self.inverse,
            qty=exact.add(kept, opened),
            cash=exact.add(self.cash, exact.add(entered, left).copy_negate()),
            cost=exact.add(self._cost_of_part(kept), entered),
            fees=self.fees if paid is None else with_fee(self.fees, coin, paid),
            funding=self.funding,
            seq=execution.seq,
            updated_ms=updated_ms,
        )

    def _cost_of(self, qty: Decimal, price: Decimal) -> Decimal:
        """What a signed quantity costs: of a position at its entry price, cash and cost cancel."""
        if not qty:
            return ZERO
        if not self.inverse:
            return exact.multiply(qty, price)
        # A contract is bought with quote coin: who is long has received the base coin that it is worth.
        return exact.quotient(qty, price, _COST_DIGITS).copy_negate()

    def _cost_of_part(self, kept: Decimal) -> Decimal:
        if kept == self.qty:
            return self.cost
        return exact.quotient(exact.multiply(self.cost, kept), self.qty, _COST_DIGITS) if kept else ZERO


def signed_qty(execution: Execution) -> Decimal:
    """What an execution adds to its position's signed quantity."""
    if not execution.exec_type.moves_qty:
        return ZERO
    return execution.exec_qty if execution.side is Side.BUY else execution.exec_qty.copy_negate()


def _least(signed: Decimal, qty: Decimal) -> Decimal:
    """The part of a signed quantity that an opposite one can take up."""
    return signed if signed.copy_abs() <= qty.copy_abs() else qty.copy_negate()
