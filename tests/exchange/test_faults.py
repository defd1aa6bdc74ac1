"""
Every fault does what it says, once, and is counted.
"""

import json
from typing import Any

import pytest

from tests.exchange.faults import NAMES
from tests.exchange.trader import Lost, Trader
from tests.exchange.wire import Request

CREATE = {"endpoint": "order/create"}
BTC = {"category": "linear", "symbol": "BTCUSDT"}


@pytest.fixture
def trader() -> Trader:
    trader = Trader(limits="none")
    trader.quotes("95000", "95001")
    trader.listen()
    return trader


def link_ids(trader: Trader) -> list[str]:
    return [order["orderLinkId"] for order in trader.books()["orders"]]


def last_request(trader: Trader) -> Any:
    return trader.control("GET", "requests")[-1]


# Requests and replies


def test_lose_request(trader: Trader) -> None:
    trader.fault("lose_request", match=CREATE)
    with pytest.raises(Lost):
        trader.limit("Buy", "0.01", "94000", orderLinkId="a")
    assert ("lost", False, False) == tuple(last_request(trader)[n] for n in ("verdict", "executed", "replied"))
    assert ([], 1) == (link_ids(trader), trader.fired())
    assert 0 == trader.limit("Buy", "0.01", "94000", orderLinkId="a")["retCode"]


def test_lose_reply(trader: Trader) -> None:
    trader.fault("lose_reply", match={"orderLinkId": "a"})
    with pytest.raises(Lost):
        trader.limit("Buy", "0.01", "94000", orderLinkId="a")
    assert (0, True, False) == tuple(last_request(trader)[n] for n in ("verdict", "executed", "replied"))
    assert (["a"], 1) == (link_ids(trader), trader.fired())
    assert "New" == trader.rows("order")[-1]["orderStatus"]


def test_lose_on_the_trade_channel_closes_the_socket(trader: Trader) -> None:
    for name, link_id in (("lose_request", "a"), ("lose_reply", "b")):
        trader.fault(name, match={"op": "order.create"})
        desk = trader.desk()
        trader.request(desk, "order.create", **BTC, side="Buy", orderType="Market", qty="0.01", orderLinkId=link_id)
        assert desk in trader.closed
        assert "retCode" not in str(trader.frames)
    assert (["b"], 2) == (link_ids(trader), trader.fired())


def test_delay_reply_does_not_hold_back_the_pushes(trader: Trader) -> None:
    trader.fault("delay_reply", match=CREATE, args={"ms": 700})
    asked_ms = trader.now_ms
    trader.limit("Buy", "0.01", "94000")
    assert asked_ms + 700 == trader.now_ms
    assert asked_ms == trader.frames[0][0]


@pytest.mark.parametrize("executed", [False, True])
@pytest.mark.parametrize("code", [10000, 10016, 170146])
def test_error_with_and_without_the_order(trader: Trader, code: int, *, executed: bool) -> None:
    trader.fault("error", match=CREATE, args={"ret_code": code, "executed": executed})
    assert code == trader.limit("Buy", "0.01", "94000", orderLinkId="a")["retCode"]
    assert (["a"] if executed else []) == link_ids(trader)
    assert ["order", "position"] * executed == trader.topics()


def test_error_as_http_status_and_as_a_body_that_is_no_json(trader: Trader) -> None:
    trader.fault("error", match=CREATE, args={"http_status": 504, "executed": True})
    assert "504 Gateway" in trader.limit("Buy", "0.01", "94000", orderLinkId="a")
    assert 504 == trader.status
    trader.fault("error", match=CREATE, args={"body": ""})
    assert "" == trader.limit("Buy", "0.01", "94000", orderLinkId="b")
    assert (200, ["a"]) == (trader.status, link_ids(trader))


def test_error_on_the_trade_channel_and_on_one_item_of_a_batch(trader: Trader) -> None:
    trader.fault("error", match={"op": "order.create"}, args={"ret_code": 10019})
    trader.request(trader.desk(), "order.create", "r", **BTC, side="Buy", orderType="Market", qty="0.01")
    assert [10019] == [ack["retCode"] for ack in trader.acks() if "retCode" in ack]
    trader.fault("error", match={"orderLinkId": "b1"}, args={"ret_code": 10016, "executed": True})
    item = {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01", "price": "94000"}
    items = [item | {"orderLinkId": f"b{index}"} for index in range(3)]
    reply = trader.post("order/create-batch", category="linear", request=items)
    assert [0, 10016, 0] == [verdict["code"] for verdict in reply["retExtInfo"]["list"]]
    assert ["b0", "b1", "b2"] == link_ids(trader)


@pytest.mark.parametrize("off_ms,code", [(900, 0), (-900, 0), (-1000, 10002), (6000, 10002)])
def test_clock_skew_moves_the_exchanges_clock(trader: Trader, off_ms: int, code: int) -> None:
    trader.fault("clock_skew", count=None, args={"ms": off_ms})
    reply = trader.limit("Buy", "0.01", "94000")
    assert (code, trader.now_ms + off_ms) == (reply["retCode"], reply["time"])
    assert str((trader.now_ms + off_ms) // 1000) == trader.get("market/time")["result"]["timeSecond"]


@pytest.mark.parametrize("header", [True, False])
def test_rate_limit_with_and_without_the_reset_header(trader: Trader, *, header: bool) -> None:
    trader.fault("rate_limit", match=CREATE, count=2, args={"reset_header": header})
    for _ in range(2):
        assert 10006 == trader.limit("Buy", "0.01", "94000")["retCode"]
        assert header is ("X-Bapi-Limit-Reset-Timestamp" in trader.headers)
    assert 0 == trader.limit("Buy", "0.01", "94000")["retCode"]


def test_ban_answers_403_for_its_time(trader: Trader) -> None:
    trader.fault("ban", args={"s": 3})
    trader.get("market/time")
    assert 403 == trader.status
    trader.advance(2_900)
    trader.limit("Buy", "0.01", "94000")
    assert 403 == trader.status
    trader.advance(100)
    assert 0 == trader.limit("Buy", "0.01", "94000")["retCode"]


def test_push_before_ack(trader: Trader) -> None:
    trader.fault("push_before_ack", match=CREATE, args={"ms": 80})
    asked_ms = trader.now_ms
    trader.limit("Buy", "0.01", "94000")
    assert (asked_ms, asked_ms + 80) == (trader.frames[0][0], trader.now_ms)


# Pushes


def test_drop_push(trader: Trader) -> None:
    trader.fault("drop_push", match={"topic": "execution"})
    trader.market("Buy", "0.01")
    trader.market("Buy", "0.01")
    assert (1, 2) == (len(trader.rows("execution")), len(trader.books()["executions"]))


def test_duplicate_push(trader: Trader) -> None:
    trader.fault("duplicate_push", match={"topic": "execution"})
    trader.market("Buy", "0.01")
    first, second = trader.rows("execution")
    assert first == second


def test_reorder_push_swaps_with_the_next_of_its_topic(trader: Trader) -> None:
    trader.fault("reorder_push", match={"topic": "order"})
    trader.limit("Buy", "0.01", "94000", orderLinkId="a")
    trader.post("order/cancel", **BTC, orderLinkId="a")
    assert ["Cancelled", "New"] == [row["orderStatus"] for row in trader.rows("order")]


def test_reorder_push_goes_out_alone_when_nothing_follows(trader: Trader) -> None:
    trader.fault("reorder_push", match={"topic": "order"})
    trader.limit("Buy", "0.01", "94000")
    assert [] == trader.rows("order")
    trader.advance(1000)
    assert ["New"] == [row["orderStatus"] for row in trader.rows("order")]


def test_delay_push(trader: Trader) -> None:
    trader.fault("delay_push", match={"topic": "execution"}, args={"ms": 300})
    asked_ms = trader.now_ms
    trader.market("Buy", "0.01")
    trader.advance(300)
    assert "execution" == trader.topics()[-1]
    assert asked_ms + 300 == trader.frames[-1][0]


def test_fill_before_order_push(trader: Trader) -> None:
    trader.control("POST", "behaviour", order_before_execution=True)
    trader.market("Buy", "0.01")
    assert ["order", "execution"] == trader.topics()[:2]
    trader.frames.clear()
    trader.fault("fill_before_order_push")
    trader.market("Buy", "0.01")
    trader.advance(1000)
    assert ["execution", "position", "wallet", "order"] == trader.topics()


@pytest.mark.parametrize("kind", ["extra_row", "broken_row", "not_json", "binary"])
def test_poison_frame(trader: Trader, kind: str) -> None:
    trader.fault("poison_frame", match={"topic": "execution"}, args={"kind": kind})
    trader.market("Buy", "0.01")
    rows = trader.rows("execution")
    if kind == "extra_row":
        assert [None, "BTCUSDT"] == [row["symbol"] for row in rows]
    elif kind == "broken_row":
        assert ["one"] == [row["execQty"] for row in rows]
    else:
        assert isinstance(trader.frames[0][2], str)
        assert ["0.01"] == [row["execQty"] for row in rows]


def test_unknown_enum_missing_key_and_empty_numbers(trader: Trader) -> None:
    trader.fault("unknown_enum", match={"topic": "order"})
    trader.fault("missing_key", match={"topic": "order"})
    trader.fault("empty_numbers", match={"topic": "order"})
    trader.limit("Buy", "0.01", "94000")
    row = trader.rows("order")[0]
    assert ("UnheardOf", "") == (row["orderStatus"], row["leavesQty"])
    assert "createType" not in row
    trader.fault("unknown_enum", match={"endpoint": "order/realtime"}, args={"fields": {"orderStatus": "Frozen"}})
    assert "Frozen" == trader.get("order/realtime", **BTC)["result"]["list"][0]["orderStatus"]
    assert 4 == trader.fired()


# Sessions


def test_silent_stops_frames_and_pongs_but_not_the_socket(trader: Trader) -> None:
    stream = trader.listen()
    trader.fault("silent")
    trader.market("Buy", "0.01")
    trader.tell(stream, "private", {"op": "ping"})
    assert ([], [], set()) == (trader.frames, trader.ping(stream), trader.closed)
    trader.listen()
    trader.market("Buy", "0.01")
    assert 4 == len(trader.frames)


def test_silent_strikes_those_to_come_when_nobody_is_there() -> None:
    trader = Trader()
    trader.fault("silent", match={"channel": "private"})
    trader.listen()
    trader.advance(1)
    trader.market("Buy", "0.01")
    assert ([], 1) == (trader.frames, trader.fired())
    trader.control("DELETE", "faults")
    trader.market("Buy", "0.01")
    assert 4 == len(trader.frames)


def test_refuse_auth_and_topic(trader: Trader) -> None:
    stream = trader.connect("private")
    trader.fault("refuse_auth")
    trader.fault("refuse_topic", match={"topic": "wallet"})
    trader.tell(stream, "private", trader.auth_frame())
    trader.tell(stream, "private", trader.auth_frame())
    trader.tell(stream, "private", {"op": "subscribe", "args": ["order"]})
    trader.tell(stream, "private", {"op": "subscribe", "args": ["execution", "wallet"]})
    trader.tell(stream, "private", {"op": "subscribe", "args": ["execution", "wallet"]})
    assert [False, True, True, False, True] == [ack["success"] for ack in trader.acks()]


def test_cut_narrows_by_account(trader: Trader) -> None:
    trader.control("POST", "accounts", api_key="other", api_secret="s")
    other = Trader(trader.engine, api_key="other", api_secret="s")
    theirs = other.listen()
    trader.fault("cut_private", match={"api_key": "other"})
    assert {theirs} == trader.closed
    trader.market("Buy", "0.01")
    assert 4 == len(trader.frames)


# Queries that lie by omission


def test_realtime_lag_hides_what_is_young(trader: Trader) -> None:
    trader.fault("realtime_lag", count=None, args={"ms": 500})
    trader.limit("Buy", "0.01", "94000", orderLinkId="a")
    query = {**BTC, "orderLinkId": "a"}
    assert [] == trader.get("order/realtime", **query)["result"]["list"]
    trader.advance(500)
    assert "New" == trader.get("order/realtime", **query)["result"]["list"][0]["orderStatus"]
    trader.post("order/cancel", **query)
    assert "New" == trader.get("order/realtime", **query)["result"]["list"][0]["orderStatus"]
    assert "New" == trader.get("order/realtime", **BTC)["result"]["list"][0]["orderStatus"]
    trader.advance(500)
    assert [] == trader.get("order/realtime", **BTC)["result"]["list"]


def test_history_lag_covers_orders_and_executions(trader: Trader) -> None:
    trader.fault("history_lag", count=None, args={"ms": 500})
    trader.market("Buy", "0.01")
    for endpoint in ("order/history", "execution/list"):
        assert [] == trader.get(endpoint, **BTC)["result"]["list"]
    trader.advance(500)
    for endpoint in ("order/history", "execution/list"):
        assert 1 == len(trader.get(endpoint, **BTC)["result"]["list"])


def test_realtime_cleared_keeps_history_and_open_orders(trader: Trader) -> None:
    trader.market("Buy", "0.01", orderLinkId="done")
    trader.limit("Buy", "0.01", "94000", orderLinkId="open")
    query = {**BTC, "orderLinkId": "done"}
    assert 1 == len(trader.get("order/realtime", **query)["result"]["list"])
    trader.fault("realtime_cleared")
    for _ in range(2):
        assert [] == trader.get("order/realtime", **query)["result"]["list"]
    assert 1 == len(trader.get("order/history", **query)["result"]["list"])
    assert 1 == len(trader.get("order/realtime", **BTC)["result"]["list"])


def test_partial_page_hides_rows_and_says_it_was_the_last(trader: Trader) -> None:
    for _ in range(4):
        trader.limit("Buy", "0.01", "94000")
    trader.fault("partial_page", match={"endpoint": "order/realtime"})
    page = trader.get("order/realtime", **BTC, limit=4)["result"]
    assert (2, "") == (len(page["list"]), page["nextPageCursor"])
    assert 4 == len(trader.get("order/realtime", **BTC)["result"]["list"])


# The switchboard


def test_probability_draws_from_the_seed() -> None:
    def lost(seed: int) -> list[bool]:
        trader = Trader(seed=seed, limits="none")
        trader.fault("error", match=CREATE, count=None, probability=0.5)
        return [trader.limit("Buy", "0.01", "94000")["retCode"] != 0 for _ in range(20)]

    assert lost(1) == lost(1)
    assert {True, False} == set(lost(1))
    assert lost(1) != lost(2)


@pytest.mark.parametrize(
    "arming",
    [
        {"fault": "nope"},
        {"fault": "error", "match": {"colour": "red"}},
        {"fault": "error", "count": 0},
        {"fault": "error", "probability": 2},
    ],
)
def test_a_wrong_fault_is_refused_with_a_reason(trader: Trader, arming: dict[str, Any]) -> None:
    request = Request(channel="control", method="POST", path="/control/faults", body=json.dumps(arming).encode())
    assert "error" in trader.send(request)
    assert (400, []) == (trader.status, trader.control("GET", "faults"))


def test_spent_faults_stay_listed_until_cleared(trader: Trader) -> None:
    trader.fault("error", match={"endpoint": "/v5/order/create"})
    trader.limit("Buy", "0.01", "94000")
    assert [("error", 0, 1)] == [(f["fault"], f["count"], f["fired"]) for f in trader.control("GET", "faults")]
    trader.control("DELETE", "faults")
    assert [] == trader.control("GET", "faults")


def test_every_fault_of_the_list_is_known() -> None:
    assert NAMES == {
        "lose_request",
        "lose_reply",
        "delay_reply",
        "delay_push",
        "error",
        "drop_push",
        "duplicate_push",
        "reorder_push",
        "cut_private",
        "cut_trade",
        "silent",
        "refuse_auth",
        "refuse_topic",
        "push_before_ack",
        "fill_before_order_push",
        "reject_after_ack",
        "realtime_lag",
        "history_lag",
        "realtime_cleared",
        "partial_page",
        "clock_skew",
        "rate_limit",
        "ban",
        "late_fill",
        "overfill",
        "double_filled",
        "foreign_order",
        "manual_close",
        "funding",
        "adl",
        "liquidation",
        "settle",
        "poison_frame",
        "unknown_enum",
        "missing_key",
        "empty_numbers",
        "shrink_reduce_only",
        "split_reduce_only",
        "move_price_to_band",
    }
