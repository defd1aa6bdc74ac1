"""
Orders meet the book: what fills, what rests, what is cancelled or amended, and who is told.

Every change goes out through the outbox in the order it happened. Prices that moved are noted in `Venue.moved`;
`Triggers` acts on them when the call is over, so that nothing here calls itself.
"""

from decimal import Decimal

from tests.exchange.accounts import Account
from tests.exchange.executions import Execution
from tests.exchange.instruments import Instrument
from tests.exchange.market import Level, Market, crosses, opposite
from tests.exchange.orders import Order
from tests.exchange.outbox import Outbox
from tests.exchange.settlement import book_fill
from tests.exchange.venue import Venue
from tests.exchange.wire import ZERO, Json

LATE_FILL_MS = 50


class Matching:
    """
    The matching engine of all markets.
    """

    def __init__(self, venue: Venue, outbox: Outbox) -> None:
        self._venue = venue
        self._outbox = outbox

    # Orders come in

    def accept(self, order: Order) -> None:
        """
        An order that passed validation: it is in the books from here on.
        """
        order.account.enter(order)
        if order.is_conditional:
            self._venue.market(order.instrument).conditional[order.order_id] = order
            self._changed(order, [], self._venue.market(order.instrument).next_seq())
        else:
            self.execute(order)

    def execute(self, order: Order) -> None:
        """
        Match an order that is active now, then rest or end it.
        """
        venue = self._venue
        market = venue.market(order.instrument)
        if venue.faults.armed("reject_after_ack"):
            rejected = venue.faults.fire("reject_after_ack", venue.order_facts(order))
            if rejected is not None:
                self._reject(order, market, rejected.args)
                return
        seq = market.next_seq()
        if order.reduce_only and not order.instrument.is_spot and not self._capacity(order):
            self._end(order, "Cancelled", "CancelByReduceOnly", venue.behaviour.word("reduce_only_reason"))
            self._changed(order, [], seq)
            return
        best = market.best_price(opposite(order.side))
        takes = bool(best) and crosses(order.side, order.limit, best)
        if order.time_in_force == "PostOnly" and takes:
            self._end(order, self._post_only_status(order), "UNKNOWN", "EC_PostOnlyWillTakeLiquidity")
            self._changed(order, [], seq)
            return
        if order.time_in_force == "FOK" and market.available(order.side, order.limit) < order.leaves:
            self._end(order, venue.behaviour.word("fok_refusal"), "UNKNOWN", "EC_NoEnoughQtyToFill")
            self._changed(order, [], seq)
            return
        fills: list[Execution] = []
        makers: dict[str, tuple[Order, list[Execution]]] = {}
        if takes:
            self._take(order, market, seq, fills, makers)
        if not order.is_final:
            self._after_taking(order, market)
        self._changed(order, fills, seq)
        for maker, maker_fills in makers.values():
            self._changed(maker, maker_fills, seq)

    def _after_taking(self, order: Order, market: Market) -> None:
        if order.order_type == "Market" or order.time_in_force in ("IOC", "FOK"):
            reason = "EC_CancelForNoFullFill" if order.cum_qty else "EC_NoImmediateQtyToFill"
            self._end(order, self._cancelled_status(order), "UNKNOWN", reason)
        elif order.reduce_only and not self._capacity(order):
            self._end(order, "Cancelled", "CancelByReduceOnly", self._venue.behaviour.word("reduce_only_reason"))
        else:
            market.add(order)

    def _post_only_status(self, order: Order) -> str:
        if order.category == "spot":
            return self._venue.behaviour.word("post_only_spot")
        return self._venue.behaviour.word("post_only_inverse") if order.category == "inverse" else "Cancelled"

    def _reject(self, order: Order, market: Market, args: Json) -> None:
        seq = market.next_seq()
        fills = []
        executed = Decimal(str(args.get("executed_qty", "0")))
        if executed:
            price = market.best_price(opposite(order.side)) or order.price
            fills.append(self._book(order, executed, price, maker=False, seq=seq))
        self._end(order, str(args.get("status", "Rejected")), "UNKNOWN", str(args.get("reject_reason", "EC_Others")))
        self._changed(order, fills, seq)

    def _take(
        self,
        order: Order,
        market: Market,
        seq: int,
        fills: list[Execution],
        makers: dict[str, tuple[Order, list[Execution]]],
    ) -> None:
        side = opposite(order.side)
        spent: list[tuple[Level, Decimal]] = []
        while (offer := market.best(side)) is not None and crosses(order.side, order.limit, offer.price):
            wanted = self._wanted(order, offer.price)
            if wanted <= 0 or order.is_final:
                break
            if isinstance(offer, Level):
                qty = min(wanted, offer.qty)
                offer.qty -= qty
                spent.append((offer, qty))
            else:
                if offer.account is order.account and order.smp_type != "None":
                    self._prevent_self_match(order, offer)
                    continue
                qty = min(wanted, self._capacity(offer) if offer.reduce_only else offer.leaves)
                if qty <= 0:
                    self.cancel(offer, "CancelByReduceOnly", self._venue.behaviour.word("reduce_only_reason"))
                    continue
                maker_fill = self._book(offer, qty, offer.price, maker=True, seq=seq)
                makers.setdefault(offer.order_id, (offer, []))[1].append(maker_fill)
                if offer.is_final:
                    market.remove(offer)
            fills.append(self._book(order, self._overfilled(order, qty), offer.price, maker=False, seq=seq))
        if market.refill:
            for level, qty in spent:
                level.qty += qty

    def _prevent_self_match(self, taker: Order, maker: Order) -> None:
        if taker.smp_type in ("CancelMaker", "CancelBoth"):
            maker.smp_order_id = taker.order_id
            self.cancel(maker, "CancelBySmp", "EC_BySelfMatch")
        if taker.smp_type in ("CancelTaker", "CancelBoth"):
            taker.smp_order_id = maker.order_id
            self._end(taker, self._cancelled_status(taker), "CancelBySmp", "EC_BySelfMatch")

    def _wanted(self, order: Order, price: Decimal) -> Decimal:
        if order.by_quote:
            return order.instrument.on_step((order.qty - order.cum_value) / price)
        return self._capacity(order) if order.reduce_only else order.leaves

    def _capacity(self, order: Order) -> Decimal:
        """
        What a reduce-only order can still do: never more than there is to close.
        """
        position = order.account.position(order.instrument, order.position_idx)
        return min(order.leaves, position.reducible(order.side))

    def _overfilled(self, order: Order, qty: Decimal) -> Decimal:
        if self._venue.faults.armed("overfill") and qty == order.leaves:
            fault = self._venue.faults.fire("overfill", self._venue.order_facts(order))
            if fault is not None:
                extra = Decimal(str(fault.args.get("qty", order.instrument.qty_step)))
                if "apart_ms" not in fault.args:
                    return qty + extra
                due_ms = self._venue.now_ms + int(fault.args["apart_ms"])
                self._venue.schedule.plan(due_ms, lambda: self._fill_late(order, extra, with_row=False))
        return qty

    # The market moves

    def sweep(self, market: Market) -> None:
        """
        The quotes changed: fill the resting orders they reach, at the orders' own prices.
        """
        for side in ("Buy", "Sell"):
            while (order := market.first_resting(side)) is not None:
                level = market.first_quote(opposite(side))
                if level is None or not crosses(side, order.price, level.price):
                    break
                filled = self._fill_resting(order, market, level.qty)
                if not market.refill:
                    level.qty -= filled

    def print_trade(self, market: Market, price: Decimal, qty: Decimal, taker_side: str = "") -> None:
        """
        Others traded: it fills resting orders at that price or better, by price and time, and moves the last price.
        """
        for side in ("Buy", "Sell"):
            if taker_side == side:
                continue
            while qty > 0 and (order := market.first_resting(side)) is not None:
                if not crosses(side, order.price, price):
                    break
                qty -= self._fill_resting(order, market, qty)
        self._venue.traded_at(market, price)

    def _fill_resting(self, order: Order, market: Market, offered: Decimal) -> Decimal:
        room = self._capacity(order) if order.reduce_only else order.leaves
        if room <= 0:
            self.cancel(order, "CancelByReduceOnly", self._venue.behaviour.word("reduce_only_reason"))
            return ZERO
        qty = min(room, offered)
        seq = market.next_seq()
        execution = self._book(order, self._overfilled(order, qty), order.price, maker=True, seq=seq)
        self._changed(order, [execution], seq)
        return qty

    def _book(self, order: Order, qty: Decimal, price: Decimal, *, maker: bool, seq: int) -> Execution:
        execution = book_fill(self._venue, order, qty, price, maker=maker, seq=seq)
        self._venue.traded_at(self._venue.market(order.instrument), price)
        return execution

    # Orders end

    def cancel(self, order: Order, cancel_type: str, reason: str = "EC_PerCancelRequest") -> None:
        """
        End an open order and say so.
        """
        conditional = order.is_conditional
        status = self._venue.behaviour.word("untriggered_cancel") if conditional else self._cancelled_status(order)
        self._end(order, status, cancel_type, reason)
        self._changed(order, [], self._venue.market(order.instrument).next_seq())

    def request_cancel(self, order: Order) -> None:
        """
        A user's cancel of an open order was acknowledged; it may lose the race.
        """
        faults = self._venue.faults
        facts = self._venue.order_facts(order)
        if faults.armed("double_filled") and not order.is_conditional and faults.fire("double_filled", facts):
            self._lose_race(order, "CancelByUser")
            return
        late = faults.fire("late_fill", facts) if faults.armed("late_fill") and not order.is_conditional else None
        leaves = order.leaves
        self.cancel(order, "CancelByUser")
        if late is not None:
            qty = min(leaves, Decimal(str(late.args.get("qty", leaves))))
            due_ms = self._venue.now_ms + int(late.args.get("ms", LATE_FILL_MS))
            with_row = bool(late.args.get("order_push", False))
            self._venue.schedule.plan(due_ms, lambda: self._fill_late(order, qty, with_row=with_row))

    def _lose_race(self, order: Order, cancel_type: str) -> None:
        market = self._venue.market(order.instrument)
        market.remove(order)
        seq = market.next_seq()
        fills = [self._book(order, order.leaves, order.price, maker=True, seq=seq)]
        self._changed(order, fills, seq)
        lost = {"cancelType": cancel_type, "rejectReason": "EC_OrigClOrdIDDoesNotExist"}
        self._outbox.order_row(order.account, order, market.next_seq(), lost)

    def _fill_late(self, order: Order, qty: Decimal, *, with_row: bool) -> None:
        seq = self._venue.market(order.instrument).next_seq()
        execution = self._book(order, qty, order.price, maker=True, seq=seq)
        order.touch(self._venue.clock_ms)
        self._outbox.executions(order.account, [execution])
        if with_row:
            self._outbox.orders(order.account, [order], seq)
        self._publish_money(order, seq)

    def _cancelled_status(self, order: Order) -> str:
        return "PartiallyFilledCanceled" if order.category == "spot" and order.cum_qty else "Cancelled"

    def _end(self, order: Order, status: str, cancel_type: str, reason: str) -> None:
        was_conditional = order.is_conditional
        order.status, order.cancel_type, order.reject_reason = status, cancel_type, reason
        self._leave_market(order, was_conditional=was_conditional)

    def _leave_market(self, order: Order, *, was_conditional: bool) -> None:
        market = self._venue.market(order.instrument)
        market.remove(order)
        market.conditional.pop(order.order_id, None)
        order.account.leave(order, self._venue.now_ms, was_conditional=was_conditional)

    # Amends

    def amend(self, order: Order, price: Decimal, qty: Decimal) -> None:
        """
        New price and total quantity of an active order; it may take, and it may lose its place.
        """
        market = self._venue.market(order.instrument)
        if self._venue.faults.armed("double_filled") and self._venue.faults.fire(
            "double_filled", self._venue.order_facts(order)
        ):
            self._lose_race(order, "UNKNOWN")
            return
        keeps_place = price == order.price and qty <= order.qty
        market.remove(order)
        order.price, order.qty = price, qty
        if keeps_place:
            market.add(order)
            self._changed(order, [], market.next_seq())
        else:
            order.priority = self._venue.ids.next_serial()
            self.execute(order)

    def publish(self, order: Order) -> None:
        """
        Say that an order changed without a match.
        """
        self._changed(order, [], self._venue.market(order.instrument).next_seq())

    # Saying so

    def _changed(self, order: Order, fills: list[Execution], seq: int) -> None:
        """
        Publish an order after it changed, and what its fills did.
        """
        venue, outbox, account = self._venue, self._outbox, order.account
        order.touch(venue.clock_ms)
        if order.is_final:
            self._leave_market(order, was_conditional=False)
            if order.cum_qty and (order.take_profit or order.stop_loss) and not order.reduce_only:
                venue.parents.append(order)
        self._reserve(order)
        if fills and not venue.behaviour.on("order_before_execution"):
            outbox.executions(account, fills)
        outbox.orders(account, [order], seq)
        if fills and venue.behaviour.on("order_before_execution"):
            outbox.executions(account, fills)
        if fills:
            self._publish_money(order, seq)
        else:
            if not order.instrument.is_spot and venue.behaviour.on("position_push_unchanged"):
                outbox.positions(account, account.positions_of(order.instrument))
            if venue.behaviour.on("wallet_push_on_order"):
                outbox.wallet(account, [order.instrument.settle_coin])

    def _publish_money(self, order: Order, seq: int) -> None:
        account, instrument = order.account, order.instrument
        if instrument.is_spot:
            self._outbox.wallet(account, [instrument.base_coin, instrument.quote_coin])
            return
        self._outbox.positions(account, account.positions_of(instrument))
        self._outbox.wallet(account, [instrument.settle_coin])
        if account.reducing:
            self.follow_position(account, instrument, order.position_idx)

    def follow_position(self, account: Account, instrument: Instrument, position_idx: int) -> None:
        """
        Reduce-only orders follow a position that shrank or vanished.
        """
        venue = self._venue
        key = (instrument.category, instrument.symbol, position_idx)
        position = account.position(instrument, position_idx)
        for order in [order for order in account.reducing.values() if order.position_key == key]:
            if order.is_final:
                continue
            room = position.reducible(order.side)
            if order.is_conditional:
                # A plain conditional order waits on; what was attached to the position goes with it.
                if not room and order.stop_order_type != "Stop":
                    self.cancel(order, "CancelByTpSlTsClear")
                continue
            if not room:
                self.cancel(order, "CancelByReduceOnly", venue.behaviour.word("reduce_only_reason"))
            elif order.leaves > room:
                self._outgrown(order, room)

    def _outgrown(self, order: Order, room: Decimal) -> None:
        venue = self._venue
        policy = venue.behaviour.word("reduce_only_resting")
        if venue.faults.armed("shrink_reduce_only") and venue.faults.fire(
            "shrink_reduce_only", venue.order_facts(order)
        ):
            policy = "rewrite"
        if policy == "rewrite":
            order.qty = order.cum_qty + room
            self._changed(order, [], venue.market(order.instrument).next_seq())
        elif policy == "cancel":
            self.cancel(order, "CancelByReduceOnly", venue.behaviour.word("reduce_only_reason"))

    def _reserve(self, order: Order) -> None:
        instrument = order.instrument
        if order.is_final or order.is_conditional or order.reduce_only:
            amount, coin = ZERO, order.reserved_coin or instrument.settle_coin
        elif instrument.is_spot:
            buys = order.side == "Buy"
            amount = order.leaves * order.price if buys else order.leaves
            coin = instrument.quote_coin if buys else instrument.base_coin
        else:
            leverage = order.account.leverage(instrument.category, instrument.symbol)
            amount, coin = instrument.value(order.leaves, order.price) / leverage, instrument.settle_coin
        order.account.reserve(order, amount, coin)
