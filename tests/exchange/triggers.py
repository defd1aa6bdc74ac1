"""
Conditional orders that fire, and the TP/SL orders attached to a filled parent or a position.

Source: Bybit V5 docs, order/create-order, position/trading-stop. That children appear when the parent is done, and
that they carry no orderLinkId, is not documented.
"""

from decimal import Decimal

import attrs

from tests.exchange.accounts import Account
from tests.exchange.instruments import Instrument
from tests.exchange.market import Market, opposite
from tests.exchange.matching import Matching
from tests.exchange.orders import Order
from tests.exchange.outbox import Outbox
from tests.exchange.pricing import protected_price
from tests.exchange.venue import Venue
from tests.exchange.wire import ZERO

RISE, FALL = 1, 2
OCO_CANCEL = {
    "TakeProfit": "CancelByOCOSlCanceledByTpTriggered",
    "StopLoss": "CancelByOCOTpCanceledBySlTriggered",
}


@attrs.frozen(kw_only=True)
class Guard:
    """
    One TP or SL to place: what, where, how much.

    Attributes:
        kind: TakeProfit or StopLoss.
        limit_price: Zero for a market order.
    """

    kind: str
    trigger_price: Decimal
    trigger_by: str
    limit_price: Decimal
    qty: Decimal
    partial: bool


class Triggers:
    """
    Acts on the prices that moved and the parents that filled during one call of the engine.
    """

    def __init__(self, venue: Venue, outbox: Outbox, matching: Matching) -> None:
        self._venue = venue
        self._outbox = outbox
        self._matching = matching

    def settle(self) -> None:
        """
        Go on until nothing moves any more.
        """
        venue = self._venue
        while venue.parents or venue.moved:
            while venue.parents:
                self._attach(venue.parents.pop(0))
            if venue.moved:
                self._fire(venue.moved.pop(0))

    def _fire(self, market: Market) -> None:
        for order in list(market.conditional.values()):
            if order.order_id not in market.conditional:
                continue
            watched = market.price_by(order.trigger_by)
            reached = (
                watched >= order.trigger_price if order.trigger_direction == RISE else watched <= order.trigger_price
            )
            if reached:
                self._activate(order, market)

    def _activate(self, order: Order, market: Market) -> None:
        venue, account = self._venue, order.account
        del market.conditional[order.order_id]
        order.status = "Triggered"
        order.touch(venue.clock_ms)
        if venue.behaviour.on("triggered_push"):
            self._outbox.orders(account, [order], market.next_seq())
        account.fired(order)
        if order.sibling is not None and not order.sibling.is_final:
            self._matching.cancel(order.sibling, OCO_CANCEL[order.stop_order_type.removeprefix("Partial")])
        if venue.behaviour.on("trigger_new_order_id"):
            self._renumber(order)
        if order.stop_order_type == "Stop":
            order.create_type = venue.behaviour.word("trigger_create_type")
        order.status = "New"
        order.priority = venue.ids.next_serial()
        if order.order_type == "Market":
            order.protected = protected_price(market, order.side)
            order.price = ZERO if order.instrument.is_spot else order.protected
        self._matching.execute(order)

    def _renumber(self, order: Order) -> None:
        account = order.account
        del account.orders[order.order_id], account.open_orders[order.order_id]
        account.reducing.pop(order.order_id, None)
        order.order_id = self._venue.ids.order_id(order.category)
        account.orders[order.order_id] = account.open_orders[order.order_id] = order
        if order.reduce_only:
            account.reducing[order.order_id] = order

    def _attach(self, parent: Order) -> None:
        if parent.instrument.is_spot:
            return
        partial = parent.tpsl_mode == "Partial"
        size = parent.account.position(parent.instrument, parent.position_idx).size
        qty = parent.cum_qty if partial else size
        if not qty:
            return
        guards = [
            Guard(
                kind=kind,
                trigger_price=Decimal(price),
                trigger_by=trigger_by or "LastPrice",
                limit_price=Decimal(limit or "0") if order_type == "Limit" else ZERO,
                qty=qty,
                partial=partial,
            )
            for kind, price, trigger_by, limit, order_type in (
                ("TakeProfit", parent.take_profit, parent.tp_trigger_by, parent.tp_limit_price, parent.tp_order_type),
                ("StopLoss", parent.stop_loss, parent.sl_trigger_by, parent.sl_limit_price, parent.sl_order_type),
            )
            if price
        ]
        self.guard(
            parent.account,
            parent.instrument,
            parent.position_idx,
            side=opposite(parent.side),
            guards=guards,
            parent_link_id=parent.order_link_id,
        )

    def guard(
        self,
        account: Account,
        instrument: Instrument,
        position_idx: int,
        *,
        side: str,
        guards: list[Guard],
        parent_link_id: str = "",
    ) -> None:
        """
        Place TP/SL orders for a position; in Full mode they replace those it has.
        """
        placed: list[Order] = []
        for guard in guards:
            if not guard.partial:
                self.unguard(account, instrument, position_idx, guard.kind)
            placed.append(
                self._child(account, instrument, position_idx, guard, side=side, parent_link_id=parent_link_id)
            )
        if len(placed) == 2:
            placed[0].sibling, placed[1].sibling = placed[1], placed[0]
        for child in placed:
            self._matching.accept(child)
        # The price may be beyond a guard already.
        self._venue.price_moved(self._venue.market(instrument))

    def unguard(self, account: Account, instrument: Instrument, position_idx: int, kind: str) -> None:
        """
        Remove the Full-mode TP or SL of a position.
        """
        key = (instrument.category, instrument.symbol, position_idx)
        for order in list(account.reducing.values()):
            if order.position_key == key and order.stop_order_type == kind and order.is_conditional:
                self._matching.cancel(order, "CancelByTpSlTsClear")
        self._show(account, instrument, position_idx, kind, "")

    @staticmethod
    def _show(account: Account, instrument: Instrument, position_idx: int, kind: str, price: str) -> None:
        position = account.position(instrument, position_idx)
        if kind == "TakeProfit":
            position.take_profit = price
        else:
            position.stop_loss = price

    def _child(
        self,
        account: Account,
        instrument: Instrument,
        position_idx: int,
        guard: Guard,
        *,
        side: str,
        parent_link_id: str,
    ) -> Order:
        venue = self._venue
        serial = venue.ids.next_serial()
        label = f"Partial{guard.kind}" if guard.partial else guard.kind
        # A long position (closed by selling) takes profit on a rise.
        rises = (side == "Sell") is (guard.kind == "TakeProfit")
        if not guard.partial:
            self._show(account, instrument, position_idx, guard.kind, str(guard.trigger_price))
        derived = venue.behaviour.word("child_link_id") == "derived" and parent_link_id
        return Order(
            serial=serial,
            priority=serial,
            order_id=venue.ids.order_id(instrument.category),
            order_link_id=f"{parent_link_id[:33]}-{'tp' if guard.kind == 'TakeProfit' else 'sl'}" if derived else "",
            account=account,
            instrument=instrument,
            side=side,
            order_type="Limit" if guard.limit_price else "Market",
            price=guard.limit_price,
            qty=guard.qty,
            time_in_force="GTC" if guard.limit_price else "IOC",
            created_ms=venue.clock_ms,
            updated_ms=venue.clock_ms,
            position_idx=position_idx,
            reduce_only=True,
            close_on_trigger=True,
            trigger_price=guard.trigger_price,
            trigger_direction=RISE if rises else FALL,
            trigger_by=guard.trigger_by,
            stop_order_type=label,
            tpsl_mode="Partial" if guard.partial else "Full",
            parent_link_id=parent_link_id,
            create_type=f"CreateBy{label}",
            last_price_on_created=venue.market(instrument).last,
            status="Untriggered",
        )
