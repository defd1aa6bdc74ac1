"""Replies: every documented one reads for its call; an odd one is an error, never an empty answer."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hean.bybit.codec import CodecError, read_result, rest_envelope, trade_envelope
from hean.core.calls import (
    AccountInfo,
    Ack,
    AmendOrder,
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
    ServerTime,
    SetLeverage,
    SwitchMode,
)
from hean.core.types import Amend, Category, ExecType
from tests.bybit.samples import a_request, load, names, text

LINEAR, SPOT = Category.LINEAR, Category.SPOT

QUERIES = {
    "rest_order_realtime_open": QueryOrders(category=LINEAR),
    "rest_order_realtime_closed": QueryOrders(category=LINEAR),
    "rest_order_realtime_empty": QueryOrders(category=LINEAR),
    "rest_order_history_postonly_cancelled": QueryOrders(category=LINEAR, history=True),
    "rest_order_history_spot_partially_filled_canceled": QueryOrders(category=SPOT, history=True),
    "rest_execution_list": QueryExecutions(category=LINEAR),
    "rest_execution_list_docs": QueryExecutions(category=LINEAR),
    "rest_execution_list_funding": QueryExecutions(category=LINEAR),
    "rest_position_list_empty_symbol": QueryPositions(category=LINEAR),
    "rest_position_list_hedge": QueryPositions(category=LINEAR),
    "rest_position_list_inverse": QueryPositions(category=Category.INVERSE),
    "rest_position_list_linear": QueryPositions(category=LINEAR),
    "rest_position_list_settlecoin_none": QueryPositions(category=LINEAR),
    "rest_instruments_inverse": QueryInstruments(category=Category.INVERSE),
    "rest_instruments_linear": QueryInstruments(category=LINEAR),
    "rest_instruments_linear_prelaunch": QueryInstruments(category=LINEAR),
    "rest_instruments_option": QueryInstruments(category=Category.OPTION),
    "rest_instruments_spot": QueryInstruments(category=SPOT),
}


def read(call: object, name: str, **change: object) -> object:
    """The result of a documented reply, its result changed as told."""
    wire = load(name)
    wire["result"].update(change)
    return read_result(call, rest_envelope(json.dumps(wire)))


def rows_of(page: Page) -> tuple[object, ...]:
    """Whatever the page holds."""
    return page.orders + page.executions + page.positions + page.instruments


@pytest.mark.parametrize("name, call", QUERIES.items(), ids=QUERIES)
def test_every_documented_query_reads_whole(name, call):
    result = load(name)["result"]
    page = read(call, name)
    assert isinstance(page, Page)
    assert () == page.quarantined
    assert len(result["list"]) == len(rows_of(page))
    assert result.get("nextPageCursor", "") == page.next_cursor


def test_no_documented_query_is_left_out():
    lists = ("rest_order_realtime", "rest_order_history", "rest_execution", "rest_position_list", "rest_instruments")
    assert set(QUERIES) == {name for prefix in lists for name in names(prefix)}


def test_cursor_comes_back_verbatim():
    page = read(QueryOrders(category=LINEAR), "rest_order_realtime_open")
    assert "page_args%3Dfd4300ae-7847-404e-b947-b46980a4d140%26symbol%3D6%26" == page.next_cursor


def test_funding_is_listed_as_funding():
    [row] = read(QueryExecutions(category=LINEAR), "rest_execution_list_funding").executions
    assert (ExecType.FUNDING, Decimal("0.0600012")) == (row.exec_type, row.exec_fee)


def test_one_bad_row_of_a_page_is_quarantined_alone():
    rows = [*load("rest_order_realtime_closed")["result"]["list"], {"orderId": 7}]
    page = read(QueryOrders(category=LINEAR), "rest_order_realtime_closed", list=rows)
    assert (len(rows) - 1, 1) == (len(page.orders), len(page.quarantined))


@pytest.mark.parametrize(
    "change",
    [{"list": None}, {"list": {}}, {"nextPageCursor": None}, {"nextPageCursor": []}, {"category": "spot"}],
)
def test_odd_page_is_an_error_and_not_an_empty_one(change):
    for name in ("rest_order_realtime_open", "rest_execution_list", "rest_position_list_linear"):
        with pytest.raises(CodecError, match=next(iter(change))):
            read(QUERIES[name], name, **change)


def test_page_without_its_category_is_of_the_category_asked():
    page = read(QueryOrders(category=LINEAR), "rest_order_realtime_open", category=None)
    assert LINEAR is page.orders[0].category


CREATE = CreateOrder(request=a_request(order_link_id="r1-000001"))
AMEND = AmendOrder(category=LINEAR, symbol="S", order_link_id="linear-004", amend=Amend())
CANCEL = CancelOrder(category=LINEAR, symbol="S", order_link_id="linear-004")


def ack(call: object, order_link_id: str, order_id: str = "id") -> object:
    """The result of an acknowledgement that says so."""
    wire = {"retCode": 0, "result": {"orderId": order_id, "orderLinkId": order_link_id}}
    return read_result(call, rest_envelope(json.dumps(wire)))


@pytest.mark.parametrize("call, link", [(CREATE, "r1-000001"), (AMEND, "linear-004"), (CANCEL, "linear-004")])
def test_acknowledgement_names_the_order(call, link):
    assert Ack(order_id="id", order_link_id=link) == ack(call, link)
    assert Ack(order_id="id", order_link_id=None) == ack(call, "")
    assert Ack(order_id=None, order_link_id=link) == ack(call, link, order_id="")


@pytest.mark.parametrize("call", [CREATE, AMEND, CANCEL])
def test_acknowledgement_of_another_order_is_an_error(call):
    with pytest.raises(CodecError, match="orderLinkId"):
        ack(call, "somebody-elses")


@pytest.mark.parametrize("result", [None, [], "ok", 7])
def test_acknowledgement_without_an_object_is_an_error(result):
    with pytest.raises(CodecError, match="object"):
        read_result(CREATE, rest_envelope(json.dumps({"retCode": 0, "result": result})))


def test_documented_create_acknowledgement_reads():
    result = load("rest_order_create")["result"]
    call = CreateOrder(request=a_request(order_link_id=result["orderLinkId"]))
    assert Ack(order_id=result["orderId"], order_link_id=result["orderLinkId"]) == read(call, "rest_order_create")


def test_cancel_all_names_what_it_took_in_hand():
    assert Cancelled(order_ids=("1616024329462743808", "1616024287544869632")) == read(
        CancelAll(category=SPOT), "rest_order_cancel_all"
    )
    assert Cancelled(order_ids=()) == read(CancelAll(category=LINEAR), "rest_order_cancel_all_empty")


def test_cancel_all_that_failed_in_part_is_an_error():
    with pytest.raises(CodecError, match="success"):
        read(CancelAll(category=LINEAR), "rest_order_cancel_all", success="0")


def test_settings_answer_with_nothing():
    leverage = SetLeverage(category=LINEAR, symbol="S", leverage="2")
    assert read(leverage, "rest_set_leverage") is None
    assert read(SwitchMode(category=LINEAR, symbol="S", mode=3), "rest_switch_mode") is None


def test_server_time_is_in_milliseconds():
    assert ServerTime(server_ms=1_688_639_403_423) == read(QueryTime(), "rest_market_time")


def test_server_time_of_nothing_is_an_error():
    with pytest.raises(CodecError, match="timeNano"):
        read(QueryTime(), "rest_market_time", timeNano="")


def test_key_says_whose_it_is_and_what_it_may():
    key = read(QueryKey(), "rest_user_query_api")
    assert isinstance(key, KeyInfo)
    assert ("1448939", False, None) == (key.uid, key.read_only, key.expires_ms)
    assert {"ContractTrade.Order", "ContractTrade.Position", "Spot.SpotTrade"} <= set(key.permissions)
    assert ("18.181.170.164", "13.212.45.47", "13.212.45.48") == key.ips


def test_key_that_expires_says_when():
    key = read(QueryKey(), "rest_user_query_api", expiredAt="2027-01-01T00:00:00Z", readOnly=1)
    assert (1_798_761_600_000, True) == (key.expires_ms, key.read_only)


@pytest.mark.parametrize("change", [{"expiredAt": "soon"}, {"userID": None}, {"ips": "all"}, {"permissions": []}])
def test_odd_key_is_an_error(change):
    with pytest.raises(CodecError, match=next(iter(change))):
        read(QueryKey(), "rest_user_query_api", **change)


def test_account_says_its_margin():
    assert AccountInfo(unified_margin_status=4, margin_mode="REGULAR_MARGIN") == read(
        QueryAccount(), "rest_account_info"
    )


def test_pre_check_tells_the_margin_rates():
    wire = {"retCode": 0, "result": {"preImrE4": 30, "preMmrE4": 21, "postImrE4": 357}}
    result = read_result(PreCheck(request=a_request()), rest_envelope(json.dumps(wire)))
    assert PreChecked(detail="initial margin rate 30 -> 357, maintenance 21 -> ?") == result


@pytest.mark.parametrize("name", names("rest_error"))
def test_every_documented_refusal_has_its_code(name):
    wire = load(name)
    envelope = rest_envelope(text(name))
    assert (wire["retCode"], wire["retMsg"], wire["time"]) == (envelope.ret_code, envelope.ret_msg, envelope.server_ms)


@pytest.mark.parametrize("raw", ["", "<html>502</html>", "[]", "{}", '{"retCode":null}', '{"retCode":"no"}', b"\xff"])
def test_reply_without_a_code_is_an_error(raw):
    for read_envelope in (rest_envelope, trade_envelope):
        with pytest.raises(CodecError):
            read_envelope(raw)


def test_reply_without_a_time_has_none():
    assert rest_envelope(text("rest_account_info")).server_ms is None


TRADE_REPLIES = [name for name in names("trade_") if not name.endswith("_request")]


@pytest.mark.parametrize("name", TRADE_REPLIES)
def test_every_documented_trade_reply_reads(name):
    wire = load(name)
    envelope = trade_envelope(text(name))
    assert (wire["retCode"], wire["op"], wire.get("reqId", "")) == (envelope.ret_code, envelope.op, envelope.req_id)
    assert wire.get("header", {}) == dict(envelope.headers)
    if "header" in wire:
        assert int(wire["header"]["Timenow"]) == envelope.server_ms


def test_odd_trade_header_does_not_lose_the_reply():
    wire = {**load("trade_order_create_ack"), "header": {"X-Bapi-Limit": ["10"], "Timenow": "soon"}}
    envelope = trade_envelope(json.dumps(wire))
    assert (0, None) == (envelope.ret_code, envelope.server_ms)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
EVERY_CALL = [
    *QUERIES.values(),
    CREATE,
    AMEND,
    CANCEL,
    CancelAll(category=LINEAR),
    QueryTime(),
    QueryKey(),
    QueryAccount(),
    PreCheck(request=a_request()),
    SetLeverage(category=LINEAR, symbol="S", leverage="2"),
]
SOME_NAMES = ["list", "nextPageCursor", "category", "orderId", "success", "timeNano", "userID", "permissions", "ips"]


@given(
    call=st.sampled_from(EVERY_CALL),
    result=JSON | st.dictionaries(st.sampled_from([*SOME_NAMES, "expiredAt", "unifiedMarginStatus"]), JSON),
)
def test_any_json_as_a_result_reads_or_raises_codec_error(call, result):
    with contextlib.suppress(CodecError):
        read_result(call, rest_envelope(json.dumps({"retCode": 0, "result": result})))


@given(raw=st.binary(max_size=100) | st.text(max_size=100) | JSON.map(json.dumps))
def test_any_bytes_as_a_reply_read_or_raise_codec_error(raw):
    for read_envelope in (rest_envelope, trade_envelope):
        with contextlib.suppress(CodecError):
            read_envelope(raw)
