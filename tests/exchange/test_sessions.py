"""
WebSocket sessions on the bare engine: auth, topics, pings, the trade channel's rules, DCP.
"""

import pytest

from tests.exchange.trader import TOPICS, Lost, Trader
from tests.exchange.wire import Pong

ORDER = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01"}


@pytest.fixture
def trader() -> Trader:
    return Trader(limits="none")


def test_subscribe_needs_auth_and_auth_needs_a_signature(trader: Trader) -> None:
    stream = trader.connect("private")
    trader.tell(stream, "private", {"op": "subscribe", "args": ["order"]})
    trader.tell(stream, "private", trader.auth_frame(lead_ms=0))
    trader.tell(stream, "private", trader.auth_frame() | {"args": ["nobody", trader.now_ms + 9000, "00"]})
    trader.tell(stream, "private", trader.auth_frame() | {"req_id": "a1"})
    trader.tell(stream, "private", {"op": "subscribe", "args": list(TOPICS), "req_id": "s1"})
    acks = trader.acks()
    assert [False, False, False, True, True] == [ack["success"] for ack in acks]
    assert ("Request not authorized", "Params Error") == (acks[0]["ret_msg"], acks[1]["ret_msg"])
    assert ["a1", "s1"] == [ack["req_id"] for ack in acks[3:]]
    assert "req_id" not in acks[0]


def test_the_expiry_of_a_login_may_be_quoted(trader: Trader) -> None:
    frame = trader.auth_frame()
    key, expires, sign = frame["args"]
    trader.tell(trader.connect("trade"), "trade", frame | {"args": [key, str(expires), sign]})
    trader.tell(trader.connect("trade"), "trade", frame | {"args": [key, f"{expires}.0", sign]})
    assert [0, 10004] == [ack["retCode"] for ack in trader.acks()]


@pytest.mark.parametrize("topics", [["nope"], ["order", "nope"], ["order", "order.linear"], [], ["position.spot"]])
def test_a_wrong_topic_refuses_the_whole_request(trader: Trader, topics: list[str]) -> None:
    stream = trader.connect("private")
    trader.tell(stream, "private", trader.auth_frame())
    trader.tell(stream, "private", {"op": "subscribe", "args": topics})
    assert [True, False] == [ack["success"] for ack in trader.acks()]
    trader.market("Buy", "0.01")
    assert [] == trader.frames


def test_topics_echo_the_form_subscribed(trader: Trader) -> None:
    trader.listen("order.linear", "execution.linear", "position.linear", "wallet")
    trader.market("Buy", "0.01")
    assert ["execution.linear", "order.linear", "position.linear", "wallet"] == trader.topics()
    trader.post("order/create", category="spot", symbol="BTCUSDT", side="Buy", orderType="Market", qty="100")
    assert "order" not in trader.topics()


def test_unsubscribed_topics_are_silent(trader: Trader) -> None:
    stream = trader.listen()
    trader.tell(stream, "private", {"op": "unsubscribe", "args": ["wallet", "position"], "req_id": "u"})
    assert [("unsubscribe", True)] == [(ack["op"], ack["success"]) for ack in trader.acks()]
    trader.market("Buy", "0.01")
    assert ["execution", "order"] == trader.topics()


def test_two_connections_both_hear_everything(trader: Trader) -> None:
    trader.listen()
    trader.listen()
    trader.market("Buy", "0.01")
    assert sorted(["execution", "order", "position", "wallet"] * 2) == sorted(trader.topics())
    assert 2 == trader.books()["counters"]["private_connections"]


def test_nothing_missed_is_replayed(trader: Trader) -> None:
    trader.hang_up(trader.listen())
    trader.market("Buy", "0.01")
    trader.listen()
    assert [] == trader.frames


def test_maker_fills_have_no_link_id_on_execution_fast(trader: Trader) -> None:
    trader.listen("execution.fast")
    trader.limit("Buy", "0.01", "94000", orderLinkId="maker")
    trader.quotes("93000", "93500")
    trader.market("Buy", "0.01", orderLinkId="taker")
    assert [("", True), ("taker", False)] == [(r["orderLinkId"], r["isMaker"]) for r in trader.rows("execution.fast")]


def test_pings_of_both_kinds_are_answered(trader: Trader) -> None:
    private, trade, public = trader.listen(), trader.desk(), trader.connect("public")
    trader.tell(private, "private", {"op": "ping", "req_id": "p"})
    trader.tell(trade, "trade", {"op": "ping"})
    trader.tell(public, "public", {"op": "ping"})
    now = str(trader.now_ms)
    first, second, third = trader.acks()
    assert ("p", "pong", [now]) == (first["req_id"], first["op"], first["args"])
    assert (0, "pong", [now]) == (second["retCode"], second["op"], second["data"])
    assert (True, "pong", "ping") == (third["success"], third["ret_msg"], third["op"])
    assert [Pong(private, b"x")] == trader.ping(private, b"x")


def test_a_silent_connection_is_closed_after_its_active_time(trader: Trader) -> None:
    stream = trader.connect("private", "max_active_time=30s")
    trader.advance(20_000)
    trader.tell(stream, "private", {"op": "ping"})
    trader.advance(29_000)
    assert set() == trader.closed
    trader.advance(1_000)
    assert {stream} == trader.closed


def test_trade_channel_auth(trader: Trader) -> None:
    desk = trader.connect("trade")
    trader.request(desk, "order.create", "r0", **ORDER, price="94000")
    trader.tell(desk, "trade", {"op": "auth", "args": []})
    trader.tell(desk, "trade", trader.auth_frame() | {"args": ["nobody", trader.now_ms + 9000, "00"]})
    trader.tell(desk, "trade", trader.auth_frame() | {"reqId": "a"})
    trader.tell(desk, "trade", trader.auth_frame())
    acks = trader.acks()
    assert [10004, 10001, 10004, 0, 20001] == [ack["retCode"] for ack in acks]
    assert "a" == acks[3]["reqId"]
    assert [] == trader.books()["orders"]


def test_trade_channel_does_all_six_operations(trader: Trader) -> None:
    desk = trader.desk()
    where = {"symbol": "BTCUSDT"}
    items = [ORDER | {"price": "94000", "orderLinkId": f"b{n}"} for n in range(2)]
    trader.request(desk, "order.create", "1", **ORDER, price="94000", orderLinkId="a")
    trader.request(desk, "order.amend", "2", category="linear", **where, orderLinkId="a", price="94100")
    trader.request(desk, "order.cancel", "3", category="linear", **where, orderLinkId="a")
    trader.request(desk, "order.create-batch", "4", category="linear", request=items)
    trader.request(
        desk, "order.amend-batch", "5", category="linear", request=[where | {"orderLinkId": "b0", "qty": "0.02"}]
    )
    trader.request(desk, "order.cancel-batch", "6", category="linear", request=[where | {"orderLinkId": "b0"}])
    acks = trader.acks()
    assert [(str(n), 0) for n in range(1, 7)] == [(ack["reqId"], ack["retCode"]) for ack in acks]
    assert ["Cancelled", "Cancelled", "New"] == [order["orderStatus"] for order in trader.books()["orders"]]


@pytest.mark.parametrize(
    "frame,code",
    [
        ({"op": "order.nope", "args": [{}]}, 10404),
        ({"op": "order.create", "args": [ORDER]}, 10001),
        ({"op": "order.create", "header": {"X-BAPI-TIMESTAMP": "1"}, "args": [ORDER]}, 10002),
        ({"op": "order.create", "header": {"X-BAPI-TIMESTAMP": "1"}, "args": []}, 10001),
        ({"op": "order.create", "header": {"X-BAPI-TIMESTAMP": "1"}, "args": [ORDER], "reqId": "x" * 37}, 10001),
    ],
)
def test_trade_channel_refuses_bad_frames(trader: Trader, frame: dict[str, object], code: int) -> None:
    trader.tell(trader.desk(), "trade", frame)
    assert [code] == [ack["retCode"] for ack in trader.acks()]


@pytest.mark.parametrize("scope,code", [("connection", 0), ("account", 20006)])
def test_req_id_is_used_once(trader: Trader, scope: str, code: int) -> None:
    trader.control("POST", "behaviour", req_id_scope=scope)
    first, second = trader.desk(), trader.desk()
    for desk in (first, first, second):
        trader.request(desk, "order.create", "r", **ORDER, price="94000")
    assert [0, 20006, code] == [ack["retCode"] for ack in trader.acks()]


def test_timestamp_may_be_a_number_and_the_req_id_absent(trader: Trader) -> None:
    frame = {"op": "order.create", "header": {"X-BAPI-TIMESTAMP": trader.now_ms}, "args": [ORDER | {"price": "94000"}]}
    trader.tell(trader.desk(), "trade", frame)
    (ack,) = trader.acks()
    assert 0 == ack["retCode"]
    assert "reqId" not in ack


def test_dcp_cancels_when_the_last_armed_connection_stays_away(trader: Trader) -> None:
    trader.post("order/disconnected-cancel-all", product="DERIVATIVES", timeWindow=10)
    assert "10" == trader.get("account/query-dcp-info")["result"]["dcpInfos"][0]["timeWindow"]
    trader.limit("Buy", "0.01", "94000")
    armed = trader.listen("dcp.future")
    trader.hang_up(armed)
    trader.advance(5_000)
    armed = trader.listen("dcp.future", "order")
    trader.advance(20_000)
    assert "New" == trader.books()["orders"][0]["orderStatus"]
    trader.hang_up(armed)
    trader.listen("order")
    trader.advance(10_000)
    assert ("Cancelled", "CancelByDCP") == (
        trader.rows("order")[0]["orderStatus"],
        trader.rows("order")[0]["cancelType"],
    )


def test_sockets_kept_out_after_a_cut(trader: Trader) -> None:
    stream = trader.listen()
    trader.fault("cut_private", args={"refuse_s": 2})
    assert {stream} == trader.closed
    with pytest.raises(Lost):
        trader.connect("private")
    trader.desk()
    trader.advance(2_000)
    trader.listen()
    assert 2 == trader.fired()
