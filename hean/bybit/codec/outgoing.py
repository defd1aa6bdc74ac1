"""
Calls as bytes: bodies, query strings, WebSocket frames.

Source: Bybit V5 docs, order/{create-order,amend-order,cancel-order,cancel-all,open-order,order-list,execution},
position/*, market/instrument, websocket/wss-authentication, websocket/trade/guideline.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final
from urllib.parse import quote

import orjson

from hean.bybit.auth import Credentials, sign_socket
from hean.bybit.endpoints import path_of
from hean.core.calls import (
    AmendOrder,
    Call,
    CancelAll,
    CancelOrder,
    CreateOrder,
    PreCheck,
    QueryExecutions,
    QueryInstruments,
    QueryOrders,
    QueryPositions,
    SetLeverage,
    SwitchMode,
)
from hean.core.types import Category, OrderRequest, OrderType, Side

_DERIVATIVES: Final = frozenset({Category.LINEAR, Category.INVERSE})


def body(call: Call) -> dict[str, object]:
    """The JSON object of a call that has one: of a POST, and of the trade WebSocket's `args`."""
    match call:
        case CreateOrder(request=request) | PreCheck(request=request):
            return _create(request)
        case AmendOrder(amend=amend):
            changes = {
                "qty": amend.qty,
                "price": amend.price,
                "triggerPrice": amend.trigger_price,
                "takeProfit": amend.take_profit,
                "stopLoss": amend.stop_loss,
            }
            return {**_target(call), **{key: plain(value) for key, value in changes.items() if value is not None}}
        case CancelOrder(order_filter=order_filter):
            return {**_target(call), **_set(orderFilter=order_filter)}
        case CancelAll():
            return {
                "category": call.category.value,
                **_set(symbol=call.symbol, settleCoin=call.settle_coin, orderFilter=call.order_filter),
            }
        case SetLeverage():
            both = {"buyLeverage": call.leverage, "sellLeverage": call.leverage}
            return {"category": call.category.value, "symbol": call.symbol, **both}
        case SwitchMode():
            return {"category": call.category.value, "symbol": call.symbol, "mode": call.mode}
        case _:
            return {}


def _target(call: AmendOrder | CancelOrder) -> dict[str, object]:
    target = _set(orderId=call.order_id) if call.order_id else _set(orderLinkId=call.order_link_id)
    return {"category": call.category.value, "symbol": call.symbol, **target}


def _create(request: OrderRequest) -> dict[str, object]:
    derivative, spot = request.category in _DERIVATIVES, request.category is Category.SPOT
    market = request.order_type is OrderType.MARKET
    fields: dict[str, object] = {
        "category": request.category.value,
        "symbol": request.symbol,
        "side": request.side.value,
        "orderType": request.order_type.value,
        "qty": plain(request.qty),
    }
    if request.price is not None and not market:
        fields["price"] = plain(request.price)
    fields["timeInForce"] = request.time_in_force.value
    fields["orderLinkId"] = request.order_link_id
    if not spot:
        fields["positionIdx"] = request.position_idx
        fields["reduceOnly"] = request.reduce_only
    elif market:
        # Our quantities are base coin; spot would read a market buy's in quote coin.
        fields["marketUnit"] = "baseCoin"
    if derivative and request.close_on_trigger:
        fields["closeOnTrigger"] = True
    if request.trigger_price is not None:
        fields["triggerPrice"] = plain(request.trigger_price)
        if derivative:
            rising = request.trigger_direction or (1 if request.side is Side.BUY else 2)
            fields |= {"triggerDirection": rising, "triggerBy": "LastPrice"}
        if spot:
            fields["orderFilter"] = "StopOrder"
    for key, value in (("takeProfit", request.take_profit), ("stopLoss", request.stop_loss)):
        if value is not None:
            fields[key] = plain(value)
    if derivative and (request.take_profit is not None or request.stop_loss is not None):
        fields["tpslMode"] = "Full"
    if market and request.slippage_ticks is not None:
        fields |= {"slippageToleranceType": "TickSize", "slippageTolerance": str(request.slippage_ticks)}
    return fields


def query(call: Call) -> tuple[str, str]:
    """Path and query string of a GET, exactly as it goes on the wire and into the signature."""
    _, path = path_of(call)
    match call:
        case QueryOrders(history=history):
            by_id = bool(call.order_id or call.order_link_id)
            parts = _set(
                category=call.category.value,
                symbol=call.symbol,
                settleCoin="" if call.category is Category.SPOT else call.settle_coin,
                orderId=call.order_id,
                orderLinkId=call.order_link_id,
                openOnly="" if history or by_id else str(int(not call.open_only)),
                startTime=str(call.start_ms or "") if history else "",
                endTime=str(call.end_ms or "") if history else "",
                limit=str(call.limit),
            )
        case QueryExecutions():
            parts = _set(
                category=call.category.value,
                symbol=call.symbol,
                orderId=call.order_id,
                orderLinkId=call.order_link_id,
                startTime=str(call.start_ms or ""),
                endTime=str(call.end_ms or ""),
                limit=str(call.limit),
            )
        case QueryPositions():
            parts = _set(
                category=call.category.value,
                symbol=call.symbol,
                settleCoin=call.settle_coin,
                limit=str(call.limit),
            )
        case QueryInstruments():
            parts = _set(category=call.category.value, symbol=call.symbol, limit=str(call.limit))
        case _:
            return path, ""
    text = "&".join(f"{key}={quote(str(value), safe='')}" for key, value in parts.items())
    # A cursor comes percent-encoded and goes back as it came: encoding it again may name no page.
    return path, f"{text}&cursor={call.cursor}" if call.cursor else text


def socket_login(credentials: Credentials, *, expires_ms: int, req_id: str = "", trade: bool = False) -> str:
    """The login frame of either WebSocket; good until expires_ms on the exchange's clock."""
    args = [credentials.api_key, expires_ms, sign_socket(credentials, expires_ms)]
    return _dumps({**_set(**{"reqId" if trade else "req_id": req_id}), "op": "auth", "args": args})


def subscription(topics: Sequence[str], *, req_id: str) -> str:
    """The subscribe frame of the private stream."""
    return _dumps({"req_id": req_id, "op": "subscribe", "args": list(topics)})


def ping(req_id: str = "") -> str:
    """The heartbeat of either WebSocket, due every 20 s."""
    return _dumps({**_set(req_id=req_id), "op": "ping"})


def trade_request(call: Call, *, op: str, req_id: str, timestamp_ms: int, recv_window_ms: int) -> str:
    """One order operation over the trade WebSocket; req_id is unique for ever, at most 36 characters."""
    header = {"X-BAPI-TIMESTAMP": str(timestamp_ms), "X-BAPI-RECV-WINDOW": str(recv_window_ms)}
    return _dumps({"reqId": req_id, "header": header, "op": op, "args": [body(call)]})


def dump_body(call: Call) -> str:
    """The body of a POST as text: what is signed and what is sent."""
    return _dumps(body(call))


def plain(number: Decimal) -> str:
    """A number as Bybit writes it: never with an exponent."""
    return format(number, "f")


def _set(**parts: str) -> dict[str, object]:
    return {key: value for key, value in parts.items() if value}


def _dumps(value: object) -> str:
    return orjson.dumps(value).decode()
