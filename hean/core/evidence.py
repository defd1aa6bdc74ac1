"""
The exchange's rows and executions of one order: what is taken from them, and what is refused.

The monotonic guard lets no row take an order back; quantity comes from executions alone, each once.
"""

from __future__ import annotations

from decimal import Decimal

from attrs import evolve

from hean.core.commands import Commands
from hean.core.facts import Account, Executed, FreezeSymbol, Shown, StartTimer, Timer
from hean.core.record import View
from hean.core.types import (
    ZERO,
    Category,
    EventType,
    Execution,
    Ms,
    OrderRow,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)

# A row may not take an order back: rank orders the statuses by how far the life has gone.
_RANK = {
    OrderStatus.CREATED: 0,
    OrderStatus.UNTRIGGERED: 1,
    OrderStatus.TRIGGERED: 2,
    OrderStatus.NEW: 3,
    OrderStatus.PENDING_CANCEL: 3,
    OrderStatus.PARTIALLY_FILLED: 4,
}
_FINAL_RANK = 5

_SILENT = frozenset({"", "UNKNOWN", "EC_NoError"})
_MATCHED_OUT = frozenset({"EC_PostOnlyWillTakeLiquidity", "EC_NoImmediateQtyToFill", "EC_CancelForNoFullFill"})


class Evidence(Commands):
    """What a step knows of rows and executions: whose they are, whether they are news, what they change."""

    __slots__ = ()

    def contradiction(self, row: OrderRow) -> str:
        """Why this row cannot be our order; empty when it can."""
        request = self.order.request
        if (row.category, row.symbol, row.side) != (request.category, request.symbol, request.side):
            return (
                f"expected {request.category} {request.symbol} {request.side}, "
                f"the exchange shows {row.category} {row.symbol} {row.side}"
            )
        first_qty = row.qty if self.order.first_qty is None else self.order.first_qty
        if self.order.doubted and first_qty != request.qty and not row.reduce_only:
            return f"expected qty {request.qty}, the exchange's order under this order_link_id had {first_qty}"
        return ""

    def shown_otherwise(self) -> bool:
        """Our only create is a duplicate, and what was shown under its ID before is not what we asked for."""
        order, request = self.order, self.order.request
        # What it has now may be our own amend: what it had when it was first seen tells whose it is.
        if order.tries > 1 or request.reduce_only or order.first_qty in {None, request.qty}:
            return False
        self.why = (
            f"expected qty {request.qty}, the exchange's order under this order_link_id, older than ours, "
            f"had {order.first_qty}"
        )
        return True

    def stale(self, fact: Shown) -> bool:
        """The monotonic guard: a row that goes back in quantity, status or time changes nothing."""
        row, view, watermark = fact.row, self.order.view, self.order.ledger.watermark
        if view is None:
            return False
        # A final word beats an open one even where its quantity lags.
        if row.status.final != view.status.final:
            return view.status.final and row.cum_exec_qty <= watermark
        seen = (row.cum_exec_qty, _RANK.get(row.status, _FINAL_RANK))
        known = (watermark, _RANK.get(view.status, _FINAL_RANK))
        older = row.updated_ms < view.updated_ms
        if seen != known or not older:
            # Nothing goes on backwards: what is further, and older by its time, is of a clock that went back between.
            self._set_back = older and seen > known
            return seen < known
        # Older by its time alone. A list that lags shows such a row for a while; one that still does so much later
        # says that the exchange's clock went back, and is the order as it is.
        self._set_back = fact.asked_ms is not None and fact.asked_ms - view.taken_ms >= self.policy.visibility_ms
        return not self._set_back

    @property
    def something_executed(self) -> bool:
        return self.order.ledger.cum_exec_qty > 0 or self.order.ledger.watermark > 0

    def take_row(self, fact: Shown) -> None:
        """Adopt the exchange's quantity, price and watermark, and what they say about a request that is out."""
        row, order = fact.row, self.order
        if order.view is not None and order.view.status.final and not row.status.final:
            # It saw more executions than the final row did; that, and nothing else, is news.
            self._set(ledger=order.ledger.seen(row.cum_exec_qty))
            self._await_executions()
            return
        newer_qty = self._newer_qty(fact)
        amended = "" if row.status.final else self._amended(row, newer_qty=newer_qty)
        self._bind(row.order_id, newer=True)
        if row.qty > 0:
            self._learn_qty(row.qty, row.updated_ms, newer=newer_qty)
        self._set(
            view=View(
                status=row.status,
                price=row.price,
                cum_exec_qty=row.cum_exec_qty,
                updated_ms=row.updated_ms,
                taken_ms=self.now_ms,
                trigger_price=row.trigger_price,
                take_profit=row.take_profit,
                stop_loss=row.stop_loss,
                cancel_type=row.cancel_type,
                reject_reason=row.reject_reason,
            ),
            ledger=order.ledger.seen(row.cum_exec_qty),
            misses=0,
        )
        if row.status is not OrderStatus.REJECTED or self.something_executed:
            self._placed()
        if amended:
            self._note(EventType.ORDER_AMENDED, "amended", amended)
        if order.pending is not None:
            self._weigh_pending(fact)
        self._await_executions()

    def _await_executions(self) -> None:
        if self.order.incomplete:
            # Executions usually follow on the stream at once: asked for only when they do not.
            self.effects.append(StartTimer(timer=Timer.QUERY, delay_ms=self.policy.gap_grace_ms))

    def matched_out(self, row: OrderRow) -> bool:
        """
        A Rejected row that means a cancel: the order was taken, and matching ended it.

        Source: Bybit V5 docs, enum: rejectReason; spot says Rejected where derivatives say Cancelled.
        """
        fok = self.order.request.time_in_force is TimeInForce.FOK
        return row.reject_reason in _MATCHED_OUT or (fok and row.reject_reason == "EC_NoEnoughQtyToFill")

    def take_execution(self, fact: Executed) -> str:
        """Account one execution, and say how far it fills the order."""
        execution, order, request = fact.execution, self.order, self.order.request
        ledger = order.ledger.add(execution)
        # An execution that is counted anew, and nothing else, makes the ledger hold other IDs.
        if ledger.id_runs is order.ledger.id_runs:
            # It may still bring the fee that an earlier row left out, and funding is the portfolio's.
            if ledger is not order.ledger or not execution.exec_type.moves_qty:
                self._account(execution)
            self._set(ledger=ledger)
            return "executed_known"
        self._bind(execution.order_id, newer=True)
        known_qty = qty = order.qty
        if execution.order_qty:
            newer_qty = execution.exec_ms >= order.known_qty_ms
            self._learn_qty(execution.order_qty, execution.exec_ms, newer=newer_qty)
            qty = order.qty
        self._set(ledger=ledger, misses=0, confirming=None)
        if order.conceded is not None:
            self._set(conceded=evolve(order.conceded, qty=min(order.conceded.qty, ledger.gap)))
        self._placed()
        if qty != known_qty and request.category is not Category.SPOT:
            # The row that shows the change may come later, and finds it known. Spot counts some orders in quote coin.
            self._note(EventType.ORDER_AMENDED, "amended", f"qty {known_qty} -> {qty}")
        self._account(execution)
        if ledger.without_fee and not order.fees_known:
            self._await_executions()
        expected = (request.category, request.symbol, request.side)
        if (execution.category, execution.symbol, execution.side) != expected:
            self.why = (
                f"execution {execution.exec_id}: expected {request.category} {request.symbol} {request.side}, "
                f"seen {execution.category} {execution.symbol} {execution.side}"
            )
            self._note(EventType.ORDER_FILLED, "contradiction", self.why, execution)
            return "broken"
        self._note(EventType.ORDER_FILLED, str(execution.exec_type), execution=execution)
        view = order.view
        if view is not None and view.status.final and ledger.cum_exec_qty > ledger.watermark:
            self._note(
                EventType.ERROR,
                "late_fill",
                f"{ledger.cum_exec_qty} executed, the exchange's final row said {ledger.watermark}; the fill is kept",
            )
        total = ledger.cum_exec_qty
        amending = order.pending is not None and order.pending.amend is not None
        # Spot market buys may be counted in quote coin: only the status tells when they are done.
        quoted = (request.category, request.order_type, request.side) == (
            Category.SPOT,
            OrderType.MARKET,
            Side.BUY,
        )
        # A newer execution that did not tell the whole may be of another one than this row tells of.
        outdated = order.known_qty_ms < ledger.last_exec_ms
        if amending or quoted or outdated or not execution.order_qty:
            # Nobody can say what the whole is: never FILLED and never overfill on a guess.
            self._uncertain = total >= qty
            return "executed_part"
        if total < qty:
            return "executed_part"
        return "executed_full" if total == qty else "executed_over"

    def _account(self, execution: Execution) -> None:
        request = self.order.request
        self.effects.append(
            Account(execution=execution, position_idx=request.position_idx, reduce_only=request.reduce_only)
        )

    # Guards.

    def exchange_rejected(self) -> bool:
        view = self.order.view
        return view is not None and view.status is OrderStatus.REJECTED

    # Actions.

    def cancelled(self) -> None:
        view = self.order.view
        assert view is not None, "a row was taken"
        reasons = [text for text in (view.cancel_type, view.reject_reason) if text not in _SILENT]
        reason = " ".join(reasons) or str(view.status)
        self._set(reason=reason)
        self._note(EventType.ORDER_CANCELLED, reason, f"executed {self.order.ledger.watermark} of {self.order.qty}")

    def rejected_by_row(self) -> None:
        view = self.order.view
        assert view is not None, "a row was taken"
        self._set(reason=view.reject_reason)
        self._note(EventType.ORDER_REJECTED, view.reject_reason, "rejected by the exchange after it was accepted")

    def overfilled(self) -> None:
        ledger, qty = self.order.ledger, self.order.qty
        detail = f"executed {ledger.cum_exec_qty} of {qty}: {ledger.overfill(qty)} too much, kept and counted"
        self._note(EventType.ERROR, "overfill", detail)
        self.effects.append(FreezeSymbol(why=f"order {self.order.request.order_link_id}: {detail}"))

    # What a row tells.

    def _amended(self, row: OrderRow, *, newer_qty: bool) -> str:
        """What the exchange changed against what was known; empty when nothing."""
        order, request = self.order, self.order.request
        known = order.view
        price = request.price if known is None else known.price
        trigger = request.trigger_price if known is None else known.trigger_price
        changes = []
        if newer_qty and row.qty != order.qty:
            changes.append(f"qty {order.qty} -> {row.qty}")
        if request.order_type is OrderType.LIMIT and row.price and price is not None and row.price != price:
            changes.append(f"price {price} -> {row.price}")
        if row.trigger_price and trigger is not None and row.trigger_price != trigger:
            changes.append(f"trigger_price {trigger} -> {row.trigger_price}")
        if known is not None and (row.take_profit or ZERO) != (known.take_profit or ZERO):
            changes.append(f"take_profit {known.take_profit} -> {row.take_profit}")
        if known is not None and (row.stop_loss or ZERO) != (known.stop_loss or ZERO):
            changes.append(f"stop_loss {known.stop_loss} -> {row.stop_loss}")
        return ", ".join(changes)

    def _placed(self) -> None:
        if not self.order.placed:
            self._set(placed=True)
            self._note(EventType.ORDER_PLACED, "evidence")

    def _newer_qty(self, fact: Shown) -> bool:
        """
        Whether the quantity of a row that is taken in is not older than the one that is known.

        An execution may have told that one, and the exchange's clock may have gone back since: a row of a list that
        cannot lag so far, and that knows all that was executed, came after it whatever its time says.
        """
        row, order = fact.row, self.order
        if row.updated_ms >= order.known_qty_ms or self._set_back:
            return True
        past_lag = fact.asked_ms is not None and fact.asked_ms - order.known_qty_ms >= self.policy.visibility_ms
        return past_lag and row.cum_exec_qty >= order.ledger.cum_exec_qty

    def _learn_qty(self, qty: Decimal, at_ms: Ms, *, newer: bool) -> None:
        if self.order.first_qty is None:
            self._set(first_qty=qty)
        if newer:
            self._set(known_qty=qty, known_qty_ms=at_ms)
