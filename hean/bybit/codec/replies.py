"""
Replies to calls: the envelope, and what a successful one holds.

A reply that is odd as a whole is an error, not an empty answer: a failed query proves no absence.

Source: Bybit V5 docs, guide (envelope), the page of each endpoint, websocket/trade/guideline.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from attrs import field, frozen

from hean.bybit.codec.fields import CodecError, Row, load
from hean.bybit.codec.rows import each, execution, instrument, order_row, position_row
from hean.core.calls import (
    AccountInfo,
    Ack,
    AmendOrder,
    Budget,
    Call,
    CancelAll,
    Cancelled,
    CancelOrder,
    CreateOrder,
    KeyInfo,
    Page,
    PreCheck,
    PreChecked,
    QueryAccount,
    QueryExecutions,
    QueryInstruments,
    QueryKey,
    QueryOrders,
    QueryPositions,
    QueryTime,
    Result,
    ServerTime,
    SetLeverage,
    SwitchMode,
)
from hean.core.types import Ms, OrderId, OrderLinkId, OrderRequest


@frozen(kw_only=True)
class Envelope:
    """
    The outside of a reply, over REST or over the trade WebSocket.

    Attributes:
        payload: `result` or `data`, still to be read by `read_result`.
        server_ms: None where the reply did not say.
        req_id: trade WebSocket only, ours echoed.
        op: trade WebSocket only.
        headers: trade WebSocket only, which carries the rate headers in the frame.
    """

    ret_code: int
    ret_msg: str
    payload: object = field(repr=False)
    server_ms: Ms | None = None
    req_id: str = ""
    op: str = ""
    headers: tuple[tuple[str, str], ...] = ()


def rest_envelope(raw: bytes | str) -> Envelope:
    """
    The outside of a REST reply.

    Raises:
        CodecError: not JSON, not an object, or without a retCode: nobody can say what it proves.
    """
    row = Row(load(raw), "reply")
    row.needed_key("retCode")
    return Envelope(
        ret_code=row.integer("retCode"),
        ret_msg=row.text("retMsg"),
        payload=row.raw("result"),
        server_ms=Ms(row.integer("time")) if row.has("time") else None,
    )


def trade_envelope(raw: bytes | str) -> Envelope:
    """
    The outside of a trade WebSocket reply.

    Raises:
        CodecError: not JSON, not an object, or without a retCode.
    """
    row = Row(load(raw), "trade reply")
    row.needed_key("retCode")
    headers = row.row("header")
    told = tuple((key, headers.text(key)) for key, value in headers.items() if isinstance(value, str | int))
    timed = [value for key, value in told if key.lower() == "timenow" and value.isascii() and value.isdigit()]
    return Envelope(
        ret_code=row.integer("retCode"),
        ret_msg=row.text("retMsg"),
        payload=row.raw("data"),
        server_ms=Ms(int(timed[0][:18])) if timed else None,
        req_id=row.text("reqId"),
        op=row.text("op"),
        headers=told,
    )


def linked_to(envelope: Envelope) -> str:
    """The order_link_id that an answer names; "" where it names none, as most refusals do. Never raises."""
    try:
        return Row(envelope.payload, "answer").text("orderLinkId")
    except CodecError:
        return ""


def read_budget(headers: Iterable[tuple[str, str]]) -> Budget:
    """
    What the rate headers say, however their names are spelled; a header that does not read says nothing.

    Source: Bybit V5 docs, rate-limit (headers).
    """
    told = {name.lower(): value for name, value in headers}

    def figure(name: str) -> int | None:
        value = told.get(f"x-bapi-limit{name}", "")
        return int(value) if value.isascii() and value.isdigit() and len(value) <= 18 else None

    reset_ms = figure("-reset-timestamp")
    return Budget(limit=figure(""), remaining=figure("-status"), reset_ms=None if reset_ms is None else Ms(reset_ms))


def read_result(call: Call, envelope: Envelope) -> Result:
    """
    What a successful reply holds, typed for its call.

    Raises:
        CodecError: it is not an answer to this call, or not a whole one. A query is then failed, not empty; a write
            has an unknown outcome.
    """
    match call:
        case SetLeverage() | SwitchMode():
            return None
        case CreateOrder(request=OrderRequest(order_link_id=link)):
            return _ack(envelope, link)
        case AmendOrder(order_link_id=link) | CancelOrder(order_link_id=link):
            return _ack(envelope, link)
        case _:
            pass
    row = Row(envelope.payload, "result")
    match call:
        case CancelAll():
            return _cancelled(row)
        case QueryTime():
            return ServerTime(server_ms=Ms(int(row.positive("timeNano")) // 1_000_000))
        case QueryKey():
            return _key(row)
        case QueryAccount():
            return AccountInfo(
                unified_margin_status=int(row.needed("unifiedMarginStatus")), margin_mode=row.text("marginMode")
            )
        case PreCheck():
            told = {key: row.text(key, "?") for key in ("preImrE4", "postImrE4", "preMmrE4", "postMmrE4")}
            return PreChecked(
                detail="initial margin rate {preImrE4} -> {postImrE4}, maintenance {preMmrE4} -> {postMmrE4}".format(
                    **told
                )
            )
        case QueryOrders() | QueryExecutions() | QueryPositions() | QueryInstruments():
            return _page(call, row)


def _page(call: QueryOrders | QueryExecutions | QueryPositions | QueryInstruments, row: Row) -> Page:
    group = call.category
    if row.has("category") and row.text("category") != group.value:
        raise row.wrong("category", row.text("category"), group.value)
    raws = row.rows("list")
    # Without its cursor nobody can say that this was the last page. Spot instruments have no pages.
    if not isinstance(call, QueryInstruments):
        row.needed_key("nextPageCursor")
    cursor = row.text("nextPageCursor")
    match call:
        case QueryOrders():
            orders, bad = each(raws, lambda raw: order_row(raw, group))
            return Page(orders=orders, quarantined=bad, next_cursor=cursor)
        case QueryExecutions():
            executions, bad = each(raws, lambda raw: execution(raw, group))
            return Page(executions=executions, quarantined=bad, next_cursor=cursor)
        case QueryPositions():
            positions, bad = each(raws, lambda raw: position_row(raw, group))
            return Page(positions=positions, quarantined=bad, next_cursor=cursor)
        case QueryInstruments():
            instruments, bad = each(raws, lambda raw: instrument(raw, group))
            return Page(instruments=instruments, quarantined=bad, next_cursor=cursor)


def _ack(envelope: Envelope, expected: OrderLinkId) -> Ack:
    row = Row(envelope.payload, "result")
    order_id, link = row.text("orderId"), row.text("orderLinkId")
    if link and expected and link != expected:
        # Somebody else's answer: a reply on the wrong connection proves nothing about this order.
        raise row.wrong("orderLinkId", link, expected)
    return Ack(order_id=OrderId(order_id) if order_id else None, order_link_id=OrderLinkId(link) if link else None)


def _cancelled(row: Row) -> Cancelled:
    if row.text("success", "1") != "1":
        raise row.wrong("success", row.text("success"), '"1"')
    return Cancelled(order_ids=tuple(OrderId(Row(raw, "cancelled").name("orderId")) for raw in row.rows("list")))


def _key(row: Row) -> KeyInfo:
    rights = row.row("permissions")
    expires = row.text("expiredAt")
    try:
        expires_ms = int(datetime.fromisoformat(expires).timestamp() * 1000) if expires else 0
    except (ValueError, OverflowError) as error:
        raise row.wrong("expiredAt", expires, "an ISO time") from error
    return KeyInfo(
        uid=row.name("userID"),
        read_only=row.integer("readOnly", 1) != 0,
        permissions=tuple(f"{group}.{right}" for group, _ in rights.items() for right in rights.texts(group)),
        ips=row.texts("ips"),
        expires_ms=Ms(expires_ms) if expires_ms > 0 else None,
    )
