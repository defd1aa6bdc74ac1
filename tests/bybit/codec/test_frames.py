"""Frames of the private stream: every documented one reads, and no bytes at all can raise."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hean.bybit.codec import (
    AuthAck,
    Executions,
    Orders,
    Other,
    Poison,
    Pong,
    Positions,
    SubscribeAck,
    parse_frame,
)
from hean.bybit.codec.fields import RAW_MAX_CHARS
from hean.bybit.codec.frames import FRAME_MAX_BYTES
from tests.bybit.samples import load, private_frames, text

KINDS = {"order": Orders, "execution": Executions, "position": Positions, "wallet": Other}


@pytest.mark.parametrize("name, raw", private_frames(), ids=[name for name, _ in private_frames()])
def test_every_documented_frame_reads_whole(name, raw):
    frame, wire = parse_frame(raw), json.loads(raw)
    assert not isinstance(frame, Poison), frame
    if "topic" in wire:
        assert isinstance(frame, KINDS[wire["topic"].split(".")[0]])
        assert wire["topic"] == frame.topic
    if isinstance(frame, Orders | Executions | Positions):
        assert () == frame.quarantined
        assert len(wire["data"]) == len(frame.rows)
        assert wire["creationTime"] == frame.created_ms


def test_samples_hold_every_kind_of_frame():
    kinds = {type(parse_frame(raw)) for _, raw in private_frames()}
    assert {AuthAck, SubscribeAck, Pong, Orders, Executions, Positions, Other} == kinds


@pytest.mark.parametrize(
    "name, frame",
    [
        ("ws_auth_ack", AuthAck(success=True)),
        ("ws_auth_fail", AuthAck(success=False, msg="Params Error")),
        ("ws_subscribe_ack_req_id", SubscribeAck(success=True, req_id="sub-1")),
        ("ws_subscribe_fail_unauthorized", SubscribeAck(success=False, msg="Request not authorized")),
        ("ws_private_pong", Pong()),
        ("ws_public_pong_linear", Pong()),
        ("ws_public_pong_option", Pong()),
        ("ws_unsubscribe_ack", Other(op="unsubscribe")),
        ("ws_wallet", Other(topic="wallet")),
    ],
)
def test_answer_reads_as(name, frame):
    assert frame == parse_frame(text(name))


@pytest.mark.parametrize("success", [1, "true", None, [], "false"])
def test_only_a_plain_true_is_a_success(success):
    assert AuthAck(success=False) == parse_frame(json.dumps({"op": "auth", "success": success}))


def test_login_refused_in_another_shape_is_refused():
    assert AuthAck(success=False) == parse_frame('{"op":"auth","retCode":10004,"retMsg":"error sign!"}')


def test_one_bad_row_never_loses_its_neighbours():
    wire = load("ws_order_multi")
    wire["data"].insert(1, {**wire["data"][0], "orderStatus": "UnheardOf"})
    frame = parse_frame(json.dumps(wire))
    assert isinstance(frame, Orders)
    assert len(wire["data"]) - 1 == len(frame.rows)
    [bad] = frame.quarantined
    assert "orderStatus" in bad.why
    assert "UnheardOf" in bad.why
    assert wire["data"][1] == json.loads(bad.raw)


def test_odd_envelope_does_not_lose_its_rows():
    frame = parse_frame(json.dumps({**load("ws_order_new"), "creationTime": "soon"}))
    assert isinstance(frame, Orders)
    assert (1, 0) == (len(frame.rows), frame.created_ms)


def test_fast_topic_is_read_as_trades():
    wire = load("ws_execution_fast")
    for topic in ("execution.fast", "execution.fast.linear"):
        frame = parse_frame(json.dumps({**wire, "topic": topic}))
        assert isinstance(frame, Executions)
        assert 1 == len(frame.rows)
    plain = parse_frame(json.dumps({**wire, "topic": "execution"}))
    assert isinstance(plain, Executions)
    assert 1 == len(plain.quarantined)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "not json",
        '{"topic":"order","data":[{',
        "[]",
        "null",
        "{}",
        '{"topic":["order"]}',
        '{"topic":"order"}',
        '{"topic":"order","data":{}}',
        '{"op":{}}',
        b"\xff\xfe",
        "\ud800",
        '{"topic":"order","data":[],"x":"\\ud800"}',
        "[" * 5000,
    ],
)
def test_poison_is_kept_with_the_reason(raw):
    frame = parse_frame(raw)
    assert isinstance(frame, Poison)
    assert "" != frame.quarantine.why


def test_frame_over_the_bound_is_poison_kept_short():
    frame = parse_frame(" " * (FRAME_MAX_BYTES + 1))
    assert isinstance(frame, Poison)
    assert RAW_MAX_CHARS == len(frame.quarantine.raw)


def test_row_nested_beyond_printing_is_quarantined_all_the_same():
    deep = "[" * 900 + "]" * 900
    frame = parse_frame('{"topic":"order","data":[' + deep + ', {"a":' + deep + "}]}")
    assert isinstance(frame, Orders)
    assert 2 == len(frame.quarantined)


@example(raw=b'{"topic":"order","data":[1]}')
@example(raw='{"op":"auth","success":{}}')
@given(raw=st.binary(max_size=200) | st.text(max_size=200))
def test_any_bytes_are_a_frame(raw):
    parse_frame(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    wire=st.fixed_dictionaries(
        {},
        optional={
            "topic": JSON | st.sampled_from(["order", "execution", "position", "execution.fast", "order.linear"]),
            "data": JSON | st.lists(JSON, max_size=3),
            "op": JSON | st.sampled_from(["auth", "subscribe", "pong"]),
            "success": JSON,
            "req_id": JSON,
            "ret_msg": JSON,
            "creationTime": JSON,
        },
    )
)
def test_any_json_is_a_frame(wire):
    parse_frame(json.dumps(wire))


@given(data=st.data())
def test_any_change_of_a_documented_frame_is_a_frame(data):
    _, raw = data.draw(st.sampled_from(private_frames()))
    wire = json.loads(raw)
    keys = st.sampled_from(sorted(wire))
    wire.update(data.draw(st.dictionaries(keys, JSON, max_size=2)))
    rows = wire.get("data")
    if isinstance(rows, list) and rows and isinstance(rows[0], dict) and rows[0]:
        rows[0].update(data.draw(st.dictionaries(st.sampled_from(sorted(rows[0])), JSON, max_size=3)))
    parse_frame(json.dumps(wire))
