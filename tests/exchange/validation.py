"""
What the exchange checks before it acknowledges an order, and with which code it refuses.

Source: Bybit V5 docs, order/create-order, error. The codes for prices off tick and quantities off step of linear
orders are not documented; `off_grid_code` switches them.
"""

import re
from decimal import Decimal

from tests.exchange.accounts import Account
from tests.exchange.instruments import Instrument
from tests.exchange.market import Market, crosses, opposite
from tests.exchange.orders import Order
from tests.exchange.pricing import into_band, on_grid, protected_price
from tests.exchange.venue import Venue
from tests.exchange.wire import ZERO, Json, Refusal, number, plain

CATEGORIES = ("linear", "inverse", "spot", "option")
LINK_ID = re.compile(r"[A-Za-z0-9_-]+")
TIMES_IN_FORCE = ("GTC", "IOC", "FOK", "PostOnly")
TRIGGERS = ("LastPrice", "IndexPrice", "MarkPrice")
SMP_TYPES = ("None", "CancelMaker", "CancelTaker", "CancelBoth")


def text_of(params: Json, name: str, default: str = "") -> str:
    """
    An optional string; null counts as absent.

    Raises:
        Refusal: 10001, it is no string.
    """
    value = params.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise Refusal(10001, f"params error: {name} invalid")
    return value


def flag_of(params: Json, name: str) -> bool:
    """
    An optional boolean; null counts as absent.

    Raises:
        Refusal: 10001, it is no boolean.
    """
    value = params.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise Refusal(10001, f"params error: {name} invalid")
    return value


def int_of(params: Json, name: str, default: int = 0) -> int:
    """
    An optional integer; null counts as absent.

    Raises:
        Refusal: 10001, it is no integer.
    """
    value = params.get(name)
    if value is None:
        return default
    if type(value) is not int:
        raise Refusal(10001, f"params error: {name} invalid")
    return value


def price_text(params: Json, name: str) -> str:
    """
    An optional price as text; "" when absent or zero.
    """
    if params.get(name) in (None, ""):
        return ""
    price = number(params[name], name)
    if price < 0:
        raise Refusal(10001, f"params error: {name} invalid")
    return plain(price) if price else ""


def category_of(params: Json) -> str:
    """
    The category.

    Raises:
        Refusal: 10001, none of Bybit's.
    """
    category = params.get("category")
    if category not in CATEGORIES:
        raise Refusal(10001, "params error: category invalid")
    assert isinstance(category, str)
    return category


def instrument_of(venue: Venue, params: Json) -> Instrument:
    """
    The instrument an order names.

    Raises:
        Refusal: 10001 (spot 170121), unknown.
    """
    category = category_of(params)
    instrument = venue.instruments.get((category, str(params.get("symbol", ""))))
    if instrument is None:
        if category == "spot":
            raise Refusal(170121, "Invalid symbol.")
        raise Refusal(10001, "params error: symbol invalid")
    return instrument


def draft(venue: Venue, account: Account, params: Json) -> Order:
    """
    The order a create asks for, checked but in no book yet.

    Raises:
        Refusal: What the reply says. Nothing has changed but the ID counters.
    """
    instrument = instrument_of(venue, params)
    market = venue.market(instrument)
    link_id = _link_id(venue, account, params, spot=instrument.is_spot)
    side, order_type = params.get("side"), params.get("orderType")
    if side not in ("Buy", "Sell"):
        raise Refusal(170117 if instrument.is_spot else 10001, "params error: side invalid")
    if order_type not in ("Market", "Limit"):
        raise Refusal(170116 if instrument.is_spot else 10001, "params error: orderType invalid")
    assert isinstance(side, str)
    assert isinstance(order_type, str)
    time_in_force = _time_in_force(params, order_type, spot=instrument.is_spot)
    smp_type = text_of(params, "smpType", "None") or "None"
    if smp_type not in SMP_TYPES:
        raise Refusal(10001, "params error: smpType invalid")
    serial = venue.ids.next_serial()
    order = Order(
        serial=serial,
        priority=serial,
        order_id=venue.ids.order_id(instrument.category),
        order_link_id=link_id,
        account=account,
        instrument=instrument,
        side=side,
        order_type=order_type,
        price=ZERO,
        qty=ZERO,
        time_in_force=time_in_force,
        created_ms=venue.clock_ms,
        updated_ms=venue.clock_ms,
        smp_type=smp_type,
        last_price_on_created=market.last,
        is_leverage=str(int_of(params, "isLeverage")) if instrument.is_spot else "",
    )
    if not instrument.is_spot:
        order.position_idx = position_idx_of(account, instrument, params)
        order.reduce_only = flag_of(params, "reduceOnly")
        order.close_on_trigger = flag_of(params, "closeOnTrigger")
    _attached(order, params)
    _trigger(order, params, market)
    order.price = _price(venue, order, params, market)
    order.qty = _qty(venue, order, params, market)
    _minimum(venue, order, market)
    if order.reduce_only and not order.is_conditional:
        _reducible(venue, order)
    if not order.reduce_only:
        _affordable(venue, order, market)
    _capped(venue, order)
    return order


def _link_id(venue: Venue, account: Account, params: Json, *, spot: bool) -> str:
    link_id = text_of(params, "orderLinkId")
    if not link_id:
        return ""
    if len(link_id) > venue.behaviour.count("link_id_max"):
        raise Refusal(10001, "order link id is longer than 45")
    if not LINK_ID.fullmatch(link_id):
        raise Refusal(10001, "params error: orderLinkId invalid")
    known = account.by_link.get(link_id)
    if known is None and not venue.behaviour.on("link_id_case_sensitive"):
        folded = link_id.lower()
        known = next((order for name, order in account.by_link.items() if name.lower() == folded), None)
    if known is not None and not (known.is_final and venue.behaviour.on("link_id_reuse")):
        account.counters["duplicates_refused"] += 1
        raise Refusal(170141, "Duplicate clientOrderId") if spot else Refusal(110072, "OrderLinkedID is duplicate")
    return link_id


def _time_in_force(params: Json, order_type: str, *, spot: bool) -> str:
    time_in_force = text_of(params, "timeInForce") or "GTC"
    if time_in_force == "RPI":
        raise Refusal(170355 if spot else 110119, "RPI orders are for approved market makers only")
    if time_in_force not in TIMES_IN_FORCE:
        raise Refusal(170115 if spot else 10001, "params error: timeInForce invalid")
    return "IOC" if order_type == "Market" else time_in_force


def position_idx_of(account: Account, instrument: Instrument, params: Json) -> int:
    """
    Which position is meant.

    Raises:
        Refusal: 10001, not one of the symbol's mode.
    """
    position_idx = int_of(params, "positionIdx")
    if position_idx not in ((1, 2) if account.is_hedged(instrument) else (0,)):
        raise Refusal(10001, "position idx not match position mode")
    return position_idx


def _attached(order: Order, params: Json) -> None:
    order.take_profit, order.stop_loss = price_text(params, "takeProfit"), price_text(params, "stopLoss")
    if not (order.take_profit or order.stop_loss):
        return
    if order.reduce_only:
        raise Refusal(110057, "TP/SL parameters are not allowed on a reduce-only order")
    order.tp_limit_price, order.sl_limit_price = price_text(params, "tpLimitPrice"), price_text(params, "slLimitPrice")
    order.tp_order_type = text_of(params, "tpOrderType") or "Market"
    order.sl_order_type = text_of(params, "slOrderType") or "Market"
    if order.instrument.is_spot:
        return
    order.tpsl_mode = text_of(params, "tpslMode") or "Full"
    if order.tpsl_mode not in ("Full", "Partial"):
        raise Refusal(10001, "params error: tpslMode invalid")
    if order.tpsl_mode == "Full" and "Limit" in (order.tp_order_type, order.sl_order_type):
        raise Refusal(10001, "params error: limit TP/SL needs tpslMode Partial")
    order.tp_trigger_by = (text_of(params, "tpTriggerBy") or "LastPrice") if order.take_profit else ""
    order.sl_trigger_by = (text_of(params, "slTriggerBy") or "LastPrice") if order.stop_loss else ""


def _trigger(order: Order, params: Json, market: Market) -> None:
    trigger = price_text(params, "triggerPrice")
    if not trigger:
        return
    order.trigger_price = Decimal(trigger)
    order.trigger_by = text_of(params, "triggerBy") or ("" if order.instrument.is_spot else "LastPrice")
    if order.instrument.is_spot:
        order.stop_order_type = "tpslOrder" if params.get("orderFilter") == "tpslOrder" else "Stop"
        order.trigger_direction = 1 if order.trigger_price > market.last else 2
        order.status = "Untriggered"
        return
    if order.trigger_by not in TRIGGERS:
        raise Refusal(10001, "params error: triggerBy invalid")
    order.trigger_direction = int_of(params, "triggerDirection")
    if order.trigger_direction not in (1, 2):
        raise Refusal(10001, "params error: triggerDirection invalid")
    current = market.price_by(order.trigger_by)
    if order.trigger_direction == 1 and order.trigger_price <= current:
        raise Refusal(
            110092, f"expect Rising, but trigger_price[{trigger}] <= current[{plain(current)}]??{order.trigger_by}"
        )
    if order.trigger_direction == 2 and order.trigger_price >= current:
        raise Refusal(
            110093, f"expect Falling, but trigger_price[{trigger}] >= current[{plain(current)}]??{order.trigger_by}"
        )
    order.stop_order_type = "Stop"
    order.status = "Untriggered"


def check_price(venue: Venue, order: Order, price: Decimal, market: Market) -> Decimal:
    """
    A limit price: on the grid, within bounds, and inside the band or moved into it.

    Raises:
        Refusal: It is not.
    """
    instrument = order.instrument
    if not on_grid(price, instrument.tick):
        code = 170134 if instrument.is_spot else venue.behaviour.count("off_grid_code")
        raise Refusal(
            code, "Order price has too many decimals." if instrument.is_spot else "params error: price invalid"
        )
    if not instrument.min_price <= price <= instrument.max_price:
        code = (170132 if price > instrument.max_price else 170133) if instrument.is_spot else 10001
        raise Refusal(code, "params error: price invalid")
    if order.is_conditional:
        return price
    return into_band(
        market, order.side, price, venue.behaviour.word(f"{'spot' if instrument.is_spot else 'linear'}_price_band")
    )


def _price(venue: Venue, order: Order, params: Json, market: Market) -> Decimal:
    if order.order_type == "Limit":
        price = number(params.get("price"), "price")
        if price <= 0:
            raise Refusal(10001, "params error: price invalid")
        price = check_price(venue, order, price, market)
        _post_only(venue, order, price, market)
        return price
    order.slippage_type = text_of(params, "slippageToleranceType") or "UNKNOWN"
    order.slippage = text_of(params, "slippageTolerance") or "0"
    if order.is_conditional:
        return ZERO
    order.protected = protected_price(market, order.side, order.slippage_type, order.slippage)
    policy = venue.behaviour.word("market_no_liquidity")
    if policy != "Cancelled" and not market.available(order.side, order.protected):
        raise Refusal(int(policy), "Unable to retrieve a price of the market order due to low liquidity")
    return ZERO if order.instrument.is_spot else order.protected


def _post_only(venue: Venue, order: Order, price: Decimal, market: Market) -> None:
    if not order.instrument.is_spot or order.time_in_force != "PostOnly" or order.is_conditional:
        return
    best = market.best_price(opposite(order.side))
    if venue.behaviour.word("post_only_spot") == "170218" and best and crosses(order.side, price, best):
        raise Refusal(170218, "The LIMIT-MAKER order is rejected due to invalid price.")


def _qty(venue: Venue, order: Order, params: Json, market: Market) -> Decimal:
    instrument = order.instrument
    qty = number(params.get("qty"), "qty")
    market_order = order.order_type == "Market"
    if instrument.is_spot and market_order:
        unit = text_of(params, "marketUnit") or ("quoteCoin" if order.side == "Buy" else "baseCoin")
        if unit not in ("baseCoin", "quoteCoin"):
            raise Refusal(170130, "params error: marketUnit invalid")
        order.market_unit, order.by_quote = unit, unit == "quoteCoin"
    if not qty and order.reduce_only and order.close_on_trigger:
        # Bybit V5 docs, order/create-order: qty "0" with both flags closes the whole position.
        size = order.account.position(instrument, order.position_idx).reducible(order.side)
        return min(size, instrument.max_market_qty if market_order else instrument.max_limit_qty)
    if qty <= 0:
        raise Refusal(170136 if instrument.is_spot else 10001, "params error: qty invalid")
    if not on_grid(qty, instrument.quote_step if order.by_quote else instrument.qty_step):
        code = (170148 if order.by_quote else 170137) if instrument.is_spot else venue.behaviour.count("off_grid_code")
        raise Refusal(
            code, "Order quantity has too many decimals." if instrument.is_spot else "params error: qty invalid"
        )
    most = instrument.max_market_qty if market_order else instrument.max_limit_qty
    if order.time_in_force == "PostOnly":
        most = max(most, instrument.max_post_only_qty)
    base_qty = qty / market.last if order.by_quote else qty
    # A reduce-only order above the maximum is split by the system, not refused.
    if base_qty > most and not order.reduce_only:
        code = 170124 if instrument.is_spot else venue.behaviour.count("off_grid_code")
        raise Refusal(code, "Order quantity exceeds the upper limit.")
    if base_qty < instrument.min_qty and not order.by_quote:
        raise Refusal(170136 if instrument.is_spot else 10001, "Order quantity is below the lower limit.")
    return qty


def check_notional(venue: Venue, order: Order, price: Decimal, qty: Decimal) -> None:
    """
    The least value of an order.

    Raises:
        Refusal: 110094 (spot 170140).
    """
    instrument = order.instrument
    if order.reduce_only and not venue.behaviour.on("min_notional_reduce_only"):
        return
    if not instrument.min_notional or (qty if order.by_quote else qty * price) >= instrument.min_notional:
        return
    if instrument.is_spot:
        raise Refusal(170140, "Order value exceeded lower limit.")
    least = plain(instrument.min_notional)
    raise Refusal(110094, f"Order does not meet minimum order value {least}{instrument.settle_coin}")


def _minimum(venue: Venue, order: Order, market: Market) -> None:
    check_notional(venue, order, order.price if order.order_type == "Limit" else market.last, order.qty)


def _reducible(venue: Venue, order: Order) -> None:
    room = order.account.position(order.instrument, order.position_idx).reducible(order.side)
    if not room:
        raise Refusal(110017, "current position is zero, cannot fix reduce-only order qty")
    if order.qty > room and venue.behaviour.word("reduce_only_excess") == "truncate":
        order.qty = room


def _affordable(venue: Venue, order: Order, market: Market) -> None:
    account, instrument = order.account, order.instrument
    if order.is_conditional:
        return
    if instrument.is_spot:
        if order.side == "Sell":
            held, needed = account.coin(instrument.base_coin), order.qty
        else:
            held = account.coin(instrument.quote_coin)
            needed = (
                order.qty if order.by_quote else order.qty * (order.price or market.best_price("Sell") or market.last)
            )
        if held.balance - held.locked < needed:
            raise Refusal(170131, "Insufficient balance.")
        return
    opening = order.qty - account.position(instrument, order.position_idx).reducible(order.side)
    if opening <= 0:
        return
    value = instrument.value(opening, order.price if order.order_type == "Limit" else market.last)
    leverage = account.leverage(instrument.category, instrument.symbol)
    needed = (value / leverage + value * instrument.taker_fee) * venue.usd(instrument.settle_coin)
    if needed > venue.available_usd(account):
        raise Refusal(110007, "ab not enough for new order")


def _capped(venue: Venue, order: Order) -> None:
    account, limits = order.account, venue.limits
    counts = account.open_counts
    category, symbol = order.category, order.symbol
    if order.instrument.is_spot:
        if sum(count for (kind, _, _), count in counts.items() if kind == "spot") >= limits.open_orders(
            account.api_key
        ):
            raise Refusal(170810, "Cannot exceed maximum of 500 conditional, TP/SL and active orders.")
    elif order.is_conditional:
        if counts.get((category, symbol, True), 0) >= limits.conditional_orders():
            raise Refusal(110009, "The number of stop orders exceeds the maximum allowable limit")
    elif counts.get((category, symbol, False), 0) >= limits.open_orders(account.api_key):
        raise Refusal(110020, f"Not allowed to have more than {limits.open_orders(account.api_key)} active orders.")
