"""
The order endpoints: create, amend, cancel, cancel-all, their batches, pre-check.

Source: Bybit V5 docs, order/*. A reply is an acknowledgement: what became of the order goes out on the streams.
"""

from collections.abc import Callable
from decimal import Decimal

from tests.exchange.calls import Answer, Call
from tests.exchange.matching import Matching
from tests.exchange.orders import Order
from tests.exchange.pricing import on_grid
from tests.exchange.validation import (
    category_of,
    check_notional,
    check_price,
    draft,
    instrument_of,
    price_text,
    text_of,
)
from tests.exchange.venue import Venue
from tests.exchange.wire import Json, Refusal, number

BATCH_MOST = {"spot": 10}
BATCH_MOST_OTHERS = 20
CANCEL_ALL_MOST = 500
BAND_TICKS = 10


class Trading:
    """
    Handlers that write.
    """

    def __init__(self, venue: Venue, matching: Matching) -> None:
        self._venue = venue
        self._matching = matching

    def create(self, call: Call) -> Answer:
        """
        POST order/create.
        """
        call.account.counters["creates_received"] += 1
        order = self._create(call, call.params)
        return Answer({"orderId": order.order_id, "orderLinkId": order.order_link_id})

    def _create(self, call: Call, params: Json) -> Order:
        order = draft(self._venue, call.account, params)
        call.account.counters["creates_accepted"] += 1
        call.log.executed = True
        self._move_price(order)
        for piece in self._pieces(order):
            self._matching.accept(piece)
        return order

    def _move_price(self, order: Order) -> None:
        faults = self._venue.faults
        if not faults.armed("move_price_to_band") or order.order_type != "Limit":
            return
        fault = faults.fire("move_price_to_band", self._venue.order_facts(order))
        if fault is None:
            return
        if "price" in fault.args:
            order.price = Decimal(str(fault.args["price"]))
        else:
            away = order.instrument.tick * int(fault.args.get("ticks", BAND_TICKS))
            order.price += -away if order.side == "Buy" else away

    def _pieces(self, order: Order) -> list[Order]:
        """
        The order itself, or what the system splits a reduce-only order into.
        """
        if not order.reduce_only or order.is_conditional:
            return [order]
        venue, instrument = self._venue, order.instrument
        facts = venue.order_facts(order)
        if venue.faults.armed("shrink_reduce_only"):
            room = order.account.position(instrument, order.position_idx).reducible(order.side)
            shrunk = venue.faults.fire("shrink_reduce_only", facts)
            if shrunk is not None:
                order.qty = min(order.qty, Decimal(str(shrunk.args.get("qty", room))))
        most = instrument.max_market_qty if order.order_type == "Market" else instrument.max_limit_qty
        split = venue.faults.fire("split_reduce_only", facts)
        if split is not None:
            parts = int(split.args.get("parts", 2))
            most = max(instrument.qty_step, instrument.on_step(order.qty / parts))
        if order.qty <= most:
            return [order]
        whole, pieces = order.qty, [order]
        order.qty = most
        rest = whole - most
        while rest > 0:
            last = split is not None and len(pieces) + 1 >= int(split.args.get("parts", 2))
            qty = rest if last else min(most, rest)
            pieces.append(self._twin(order, qty))
            rest -= qty
        return pieces

    def _twin(self, order: Order, qty: Decimal) -> Order:
        venue = self._venue
        serial = venue.ids.next_serial()
        return Order(
            serial=serial,
            priority=serial,
            order_id=venue.ids.order_id(order.category),
            order_link_id=order.order_link_id if venue.behaviour.word("split_link_id") == "same" else "",
            account=order.account,
            instrument=order.instrument,
            side=order.side,
            order_type=order.order_type,
            price=order.price,
            protected=order.protected,
            qty=qty,
            time_in_force=order.time_in_force,
            created_ms=order.created_ms,
            updated_ms=order.updated_ms,
            position_idx=order.position_idx,
            reduce_only=True,
            close_on_trigger=order.close_on_trigger,
            last_price_on_created=order.last_price_on_created,
        )

    def pre_check(self, call: Call) -> Answer:
        """
        POST order/pre-check: validates and places nothing.
        """
        draft(self._venue, call.account, call.params)
        rates = dict.fromkeys(("preImrE4", "preMmrE4", "postImrE4", "postMmrE4"), 0)
        return Answer({"orderId": "", "orderLinkId": text_of(call.params, "orderLinkId"), **rates})

    def amend(self, call: Call) -> Answer:
        """
        POST order/amend.
        """
        call.account.counters["amends_received"] += 1
        order = self._amend(call, call.params)
        return Answer({"orderId": order.order_id, "orderLinkId": order.order_link_id})

    def _amend(self, call: Call, params: Json) -> Order:
        order = self._open(call, params, "replace")
        venue, instrument = self._venue, order.instrument
        market = venue.market(instrument)
        price, qty, trigger = order.price, order.qty, order.trigger_price
        if params.get("price") is not None and order.order_type == "Limit":
            price = check_price(venue, order, number(params["price"], "price"), market)
        if params.get("qty") is not None:
            qty = number(params["qty"], "qty")
            if qty <= 0 or not on_grid(qty, instrument.qty_step):
                raise Refusal(170137 if instrument.is_spot else venue.behaviour.count("off_grid_code"), "qty invalid")
            if qty <= order.cum_qty:
                code = 170313 if instrument.is_spot else 110064
                raise Refusal(code, "The amended qty must exceed the filled qty.")
            most = instrument.max_market_qty if order.order_type == "Market" else instrument.max_limit_qty
            if qty > most:
                raise Refusal(170124 if instrument.is_spot else venue.behaviour.count("off_grid_code"), "qty too large")
        if params.get("triggerPrice") is not None and order.is_conditional:
            trigger = number(params["triggerPrice"], "triggerPrice")
        guards = {
            name: price_text(params, key)
            for name, key in (("take_profit", "takeProfit"), ("stop_loss", "stopLoss"))
            if params.get(key) is not None
        }
        unchanged = (price, qty, trigger) == (order.price, order.qty, order.trigger_price)
        if unchanged and all(getattr(order, name) == value for name, value in guards.items()):
            unchanged_code = int(venue.behaviour.word("amend_unchanged"))
            if unchanged_code:
                raise Refusal(unchanged_code, "order not modified")
            call.log.executed = True
            return order
        if order.order_type == "Limit":
            check_notional(venue, order, price, qty)
        self._check_margin(order, price, qty)
        call.log.executed = True
        for name, value in guards.items():
            setattr(order, name, value)
        if order.is_conditional:
            order.price, order.qty, order.trigger_price = price, qty, trigger
            self._matching.publish(order)
        elif unchanged:
            self._matching.publish(order)
        else:
            self._matching.amend(order, price, qty)
        return order

    def _check_margin(self, order: Order, price: Decimal, qty: Decimal) -> None:
        instrument, account = order.instrument, order.account
        if order.reduce_only or order.is_conditional:
            return
        leaves = qty - order.cum_qty
        if instrument.is_spot:
            buys = order.side == "Buy"
            coin = account.coin(instrument.quote_coin if buys else instrument.base_coin)
            more = (leaves * price if buys else leaves) - order.reserved
            if more > coin.balance - coin.locked:
                raise Refusal(170131, "Insufficient balance.")
            return
        leverage = account.leverage(instrument.category, instrument.symbol)
        more = instrument.value(leaves, price) / leverage - order.reserved
        if more > 0 and more * self._venue.usd(instrument.settle_coin) > self._venue.available_usd(account):
            raise Refusal(110007, "ab not enough for new order")

    def cancel(self, call: Call) -> Answer:
        """
        POST order/cancel.
        """
        call.account.counters["cancels_received"] += 1
        order = self._cancel(call, call.params)
        return Answer({"orderId": order.order_id, "orderLinkId": order.order_link_id})

    def _cancel(self, call: Call, params: Json) -> Order:
        order = self._open(call, params, "cancel")
        call.log.executed = True
        self._matching.request_cancel(order)
        return order

    def _open(self, call: Call, params: Json, verb: str) -> Order:
        instrument = instrument_of(self._venue, params)
        order_id, link_id = text_of(params, "orderId"), text_of(params, "orderLinkId")
        if not (order_id or link_id):
            raise Refusal(10001, "params error: orderId or orderLinkId is required")
        order = call.account.find(order_id, link_id)
        if order is None or order.instrument is not instrument or not self._in_filter(order, params):
            raise self._gone(instrument.is_spot, verb, known=False)
        if order.is_final:
            raise self._gone(instrument.is_spot, verb, known=verb == "cancel")
        return order

    @staticmethod
    def _in_filter(order: Order, params: Json) -> bool:
        if not order.instrument.is_spot:
            return True
        return (text_of(params, "orderFilter") or "Order") == order_filter(order)

    def _gone(self, spot: bool, verb: str, *, known: bool) -> Refusal:
        if spot:
            return Refusal(self._venue.behaviour.count("spot_gone_code") if known else 170213, "Order does not exist.")
        code = self._venue.behaviour.count("gone_code") if known else 110001
        return Refusal(code, f"order not exists or too late to {verb}")

    def cancel_all(self, call: Call) -> Answer:
        """
        POST order/cancel-all.
        """
        call.account.counters["cancels_received"] += 1
        category = category_of(call.params)
        symbol, base = text_of(call.params, "symbol"), text_of(call.params, "baseCoin")
        settle = text_of(call.params, "settleCoin")
        if category in ("linear", "inverse") and not (symbol or base or settle):
            raise Refusal(10001, "params error: symbol, baseCoin or settleCoin is required")
        if symbol:
            instrument_of(self._venue, call.params)
        wanted = text_of(call.params, "orderFilter") or ("Order" if category == "spot" else "")
        only_stop = text_of(call.params, "stopOrderType") == "Stop"
        chosen: list[Order] = []
        for order in call.account.open_orders.values():
            instrument = order.instrument
            if instrument.category != category or (symbol and instrument.symbol != symbol):
                continue
            if not symbol and base and instrument.base_coin != base:
                continue
            if not symbol and not base and settle and instrument.settle_coin != settle:
                continue
            if wanted and wanted != order_filter(order) and not (wanted == "OpenOrder" and not order.is_conditional):
                continue
            if only_stop and order.stop_order_type != "Stop":
                continue
            chosen.append(order)
        call.log.executed = True
        chosen = chosen[:CANCEL_ALL_MOST] if category != "spot" else chosen
        for order in chosen:
            if not order.is_final:
                self._matching.request_cancel(order)
        listed = [{"orderId": order.order_id, "orderLinkId": order.order_link_id} for order in chosen]
        return Answer({"list": listed, "success": "1"})

    def create_batch(self, call: Call) -> Answer:
        """
        POST order/create-batch.
        """
        return self._batch(call, self._create, "creates_received", created=True)

    def amend_batch(self, call: Call) -> Answer:
        """
        POST order/amend-batch.
        """
        return self._batch(call, self._amend, "amends_received")

    def cancel_batch(self, call: Call) -> Answer:
        """
        POST order/cancel-batch.
        """
        return self._batch(call, self._cancel, "cancels_received")

    def _batch(self, call: Call, act: Callable[[Call, Json], Order], counter: str, *, created: bool = False) -> Answer:
        category = category_of(call.params)
        items = batch_items(call.params)
        if not items or len(items) > BATCH_MOST.get(category, BATCH_MOST_OTHERS):
            raise Refusal(10001, "params error: request must hold 1 to 20 orders")
        rows: list[Json] = []
        verdicts: list[Json] = []
        call.log.items = []
        for index, item in enumerate(items):
            call.account.counters[counter] += 1
            order, code, message = self._item(call, act, item | {"category": category}, granted=index < call.granted)
            row: Json = {
                "category": category,
                "symbol": item.get("symbol") or "",
                "orderId": order.order_id if order else "",
                "orderLinkId": order.order_link_id if order else item.get("orderLinkId") or "",
            }
            if created:
                row["createAt"] = str(order.created_ms) if order else ""
            rows.append(row)
            verdicts.append({"code": code, "msg": message})
            call.log.items.append(
                {"orderLinkId": row["orderLinkId"], "orderId": row["orderId"], "verdict": code, "executed": bool(order)}
            )
        return Answer({"list": rows}, ext={"list": verdicts})

    def _item(
        self, call: Call, act: Callable[[Call, Json], Order], item: Json, *, granted: bool
    ) -> tuple[Order | None, int, str]:
        if not granted:
            return None, self._venue.behaviour.count("batch_over_budget_code"), "Too many visits!"
        fault = None
        if self._venue.faults.armed("error"):
            fault = self._venue.faults.fire("error", call.item_facts(item), needs="orderLinkId")
        if fault is not None and not fault.args.get("executed", False):
            return None, int(fault.args.get("ret_code", 10016)), str(fault.args.get("ret_msg", "Server error."))
        try:
            order = act(call, item)
        except Refusal as refusal:
            return None, refusal.code, refusal.message
        if fault is not None:
            return None, int(fault.args.get("ret_code", 10016)), str(fault.args.get("ret_msg", "Server error."))
        return order, 0, "OK"


def batch_items(params: Json) -> list[Json]:
    """
    The items of a batch.

    Raises:
        Refusal: 10001, no list of objects.
    """
    items = params.get("request")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Refusal(10001, "params error: request invalid")
    return items


def order_filter(order: Order) -> str:
    """
    Which orderFilter an order falls under.
    """
    if order.stop_order_type == "tpslOrder":
        return "tpslOrder"
    return "StopOrder" if order.stop_order_type else "Order"
