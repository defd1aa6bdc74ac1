"""The trade WebSocket's frames: every documented reply reads, and none proves more than it says."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hean.bybit.auth import Credentials
from hean.bybit.codec.frames import FRAME_MAX_BYTES
from hean.bybit.trade import (
    TradeAuth,
    TradePoison,
    TradePong,
    TradeReply,
    auth_frame,
    operation_of,
    parse_reply,
    reply_to,
    request_frame,
    unanswered,
)
from hean.core.calls import (
    Ack,
    AmendOrder,
    Budget,
    CancelAll,
    CancelOrder,
    CreateOrder,
    Phase,
    QueryTime,
    VerdictKind,
)
from hean.core.types import Amend, Category, Ms, OrderType, TimeInForce
from tests.bybit.samples import a_request, load, names, text

CREATE = CreateOrder(request=a_request())
AMEND = AmendOrder(category=Category.LINEAR, symbol="S", order_link_id="l", amend=Amend())
CANCEL = CancelOrder(category=Category.LINEAR, symbol="S", order_link_id="l")
CALLS = {"order.create": CREATE, "order.amend": AMEND, "order.cancel": CANCEL}
REPLIES = [name for name in names("trade_") if not name.endswith("_request")]


def answer_to(call, raw):
    """The reply to a call, from a frame's text."""
    frame = parse_reply(raw)
    assert isinstance(frame, TradeReply)
    return reply_to(call, frame, sent_ms=Ms(1), received_ms=Ms(2), request_text="asked")


def test_login_is_the_documented_one():
    credentials = Credentials(api_key="EXAMPLEKEY1234567", api_secret="EXAMPLESECRETabcdefghijklmnopqrstuv")
    frame = auth_frame(credentials, expires_ms=1_720_000_010_000, req_id="auth-1")
    assert load("trade_auth_request") == json.loads(frame)


def test_create_frame_is_the_documented_one():
    call = CreateOrder(
        request=a_request(symbol="ETHUSDT", order_type=OrderType.LIMIT, time_in_force=TimeInForce.POST_ONLY)
    )
    frame = json.loads(request_frame(call, req_id="test-005", timestamp_ms=1711001595207, recv_window_ms=8000))
    documented = load("trade_order_create_request")
    del documented["header"]["Referer"]
    assert {**documented, "args": frame["args"]} == frame
    assert set(documented["args"][0]) <= set(frame["args"][0])


@pytest.mark.parametrize("call, op", [(CREATE, "order.create"), (AMEND, "order.amend"), (CANCEL, "order.cancel")])
def test_order_operations_have_their_names(call, op):
    assert op == operation_of(call)
    assert op == json.loads(request_frame(call, req_id="r", timestamp_ms=1, recv_window_ms=5000))["op"]


@pytest.mark.parametrize("call", [CancelAll(category=Category.LINEAR), QueryTime()])
def test_what_only_rest_can_do_has_no_operation(call):
    assert "" == operation_of(call)


@pytest.mark.parametrize("name", REPLIES)
def test_every_documented_frame_reads(name):
    wire, frame = load(name), parse_reply(text(name))
    kind = {"auth": TradeAuth, "pong": TradePong}.get(wire["op"], TradeReply)
    assert isinstance(frame, kind)
    if isinstance(frame, TradeReply):
        assert (wire.get("reqId", ""), wire["op"]) == (frame.req_id, frame.op)
        assert int(wire["header"]["X-Bapi-Limit"]) == frame.budget.limit


@pytest.mark.parametrize(
    "name, kind",
    [
        ("trade_auth_ack", VerdictKind.ACCEPTED),
        ("trade_auth_fail_10004", VerdictKind.AUTH),
        ("trade_auth_fail_20001", VerdictKind.REFUSED),
    ],
)
def test_login_is_answered(name, kind):
    frame = parse_reply(text(name))
    assert isinstance(frame, TradeAuth)
    assert (kind, VerdictKind.ACCEPTED is kind) == (frame.verdict.kind, frame.success)


def test_too_many_logins_is_no_bad_key():
    frame = parse_reply('{"retCode":10003,"retMsg":"too many sessions","op":"auth"}')
    assert isinstance(frame, TradeAuth)
    assert VerdictKind.THROTTLED is frame.verdict.kind


def test_refused_login_does_not_quote_the_key():
    frame = parse_reply('{"retCode":10004,"retMsg":"error sign! origin_string[1720EXAMPLEKEY1234567]","op":"auth"}')
    assert isinstance(frame, TradeAuth)
    assert "EXAMPLEKEY" not in frame.verdict.ret_msg


@pytest.mark.parametrize("name", ["trade_order_create_ack", "trade_order_amend_ack", "trade_order_cancel_ack"])
def test_acknowledgement_names_the_order_and_its_times(name):
    wire = load(name)
    reply = answer_to(CALLS[wire["op"]], text(name))
    assert VerdictKind.ACCEPTED is reply.verdict.kind
    assert Ack(order_id=wire["data"]["orderId"], order_link_id=None) == reply.result
    assert ("trade", 1, 2, "asked") == (reply.channel, reply.sent_ms, reply.received_ms, reply.request_text)
    assert int(wire["header"]["Timenow"]) == reply.server_ms
    assert Budget(limit=10, remaining=9, reset_ms=int(wire["header"]["X-Bapi-Limit-Reset-Timestamp"])) == reply.budget
    assert wire == json.loads(reply.reply_text)


@pytest.mark.parametrize(
    "name, kind",
    [
        ("trade_error_10002", VerdictKind.NOT_EXECUTED),
        ("trade_error_10006", VerdictKind.THROTTLED),
        ("trade_error_10016", VerdictKind.UNKNOWN),
        ("trade_error_10019", VerdictKind.NOT_EXECUTED),
        ("trade_error_10403", VerdictKind.THROTTLED),
        ("trade_error_10404", VerdictKind.REFUSED),
        ("trade_error_10429", VerdictKind.NOT_EXECUTED),
        ("trade_error_20003", VerdictKind.THROTTLED),
        ("trade_error_20006", VerdictKind.UNKNOWN),
        ("trade_error_110072", VerdictKind.DUPLICATE),
        ("trade_order_create_error_110007", VerdictKind.REFUSED),
        ("trade_order_cancel_error_110001", VerdictKind.GONE),
    ],
)
def test_refusal_is_judged_for_this_channel(name, kind):
    reply = answer_to(CALLS[load(name)["op"]], text(name))
    assert (kind, None) == (reply.verdict.kind, reply.result)
    assert load(name)["retMsg"] == reply.verdict.ret_msg


@pytest.mark.parametrize(
    "change",
    [
        {"op": "order.cancel"},
        {"op": ""},
        {"data": None},
        {"data": {"orderId": "x", "orderLinkId": "somebody-elses"}},
        {"data": []},
    ],
)
def test_success_that_does_not_answer_the_call_proves_nothing(change):
    reply = answer_to(CREATE, json.dumps({**load("trade_order_create_ack"), **change}))
    assert (VerdictKind.UNKNOWN, None) == (reply.verdict.kind, reply.result)


def test_refusal_of_another_operation_proves_nothing():
    reply = answer_to(CREATE, text("trade_order_cancel_error_110001"))
    assert VerdictKind.UNKNOWN is reply.verdict.kind


@pytest.mark.parametrize("raw", ["", "x", "[]", "{}", '{"op":"order.create"}', b"\xff", "x" * (FRAME_MAX_BYTES + 1)])
def test_frame_that_does_not_read_is_kept_with_the_reason(raw):
    frame = parse_reply(raw)
    assert isinstance(frame, TradePoison)
    assert "" != frame.quarantine.why


@pytest.mark.parametrize(
    "phase, kind",
    [
        (Phase.BEFORE_SEND, VerdictKind.NOT_EXECUTED),
        (Phase.SENDING, VerdictKind.UNKNOWN),
        (Phase.AFTER_SEND, VerdictKind.UNKNOWN),
    ],
)
def test_answer_that_never_comes_proves_what_its_phase_proves(phase, kind):
    reply = unanswered(CREATE, phase=phase, why="connection cut", sent_ms=None, received_ms=Ms(2))
    assert (kind, phase, "connection cut", "trade") == (
        reply.verdict.kind,
        reply.verdict.phase,
        reply.verdict.ret_msg,
        reply.channel,
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    call=st.sampled_from(list(CALLS.values())),
    change=st.dictionaries(st.sampled_from(["reqId", "retCode", "retMsg", "op", "data", "header"]), JSON),
)
def test_any_json_is_a_frame_and_any_reply_has_a_verdict(call, change):
    frame = parse_reply(json.dumps({**load("trade_order_create_ack"), **change}))
    if isinstance(frame, TradeReply):
        reply_to(call, frame, sent_ms=None, received_ms=Ms(0))


@given(raw=st.binary(max_size=100) | st.text(max_size=100))
def test_any_bytes_are_a_frame(raw):
    parse_reply(raw)
