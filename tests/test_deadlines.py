"""
Whatever hangs, and wherever: no call outlives its deadline, no start its time-out, no stop its bound.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, get_args

import pytest

from hean import EventType, OrderState, OrderType, RemoteError, Router, Side, Signal
from hean.core.calls import (
    AmendOrder,
    Call,
    CancelAll,
    CancelOrder,
    CreateOrder,
    Phase,
    PreCheck,
    QueryAccount,
    QueryExecutions,
    QueryInstruments,
    QueryKey,
    QueryOrders,
    QueryPositions,
    QueryTime,
    SetLeverage,
    SwitchMode,
    VerdictKind,
)
from hean.core.types import Amend, Category, OrderLinkId
from tests.bybit.peer import Peer, Talk
from tests.bybit.samples import a_request
from tests.bybit.test_rest import client_at
from tests.conftest import Routers, our_threads
from tests.exchange import LoopbackExchange
from tests.scenarios.slow_line import SlowLine

BOUND_S = 0.3
# What a busy machine may take on top of a bound.
SLACK_S = 5.0
WAIT_S = 20
BTC: dict[str, Any] = {"category": Category.LINEAR, "symbol": "BTCUSDT"}
LINK = {"order_link_id": OrderLinkId("h1-a")}
CALLS: list[Call] = [
    CreateOrder(request=a_request()),
    AmendOrder(**BTC, **LINK, amend=Amend(price=Decimal(1))),
    CancelOrder(**BTC, **LINK),
    CancelAll(**BTC),
    QueryOrders(**BTC),
    QueryExecutions(**BTC),
    QueryPositions(**BTC),
    QueryInstruments(**BTC),
    QueryTime(),
    QueryKey(),
    QueryAccount(),
    SetLeverage(**BTC, leverage="5"),
    SwitchMode(**BTC, mode=0),
    PreCheck(request=a_request()),
]


@contextmanager
def nobody_accepts() -> Iterator[int]:
    """A port whose queue of connections is full: connecting hangs."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    port = listener.getsockname()[1]
    waiting = []
    for _ in range(3):
        waiting.append(socket.socket())
        waiting[-1].setblocking(False)
        waiting[-1].connect_ex(("127.0.0.1", port))
    yield port
    for sock in (*waiting, listener):
        sock.close()


def before_reading(talk: Talk) -> None:
    talk.wait()


def before_answering(talk: Talk) -> None:
    talk.read_request()
    talk.wait()


def mid_headers(talk: Talk) -> None:
    talk.read_request()
    talk.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
    talk.wait()


def mid_body(talk: Talk) -> None:
    talk.read_request()
    talk.sock.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"retCode":0,"retMsg":"OK","result":{')
    talk.wait()


def perform(call: Call, port: int) -> tuple[VerdictKind, Phase]:
    client = client_at(port)
    began = time.monotonic()
    reply = client.perform(call, timeout_s=BOUND_S)
    assert time.monotonic() - began < BOUND_S + SLACK_S
    client.close()
    return reply.verdict.kind, reply.verdict.phase


def test_every_call_is_tried() -> None:
    kinds = set(get_args(Call))
    assert kinds == {type(call) for call in CALLS}


@pytest.mark.parametrize("call", CALLS, ids=lambda call: type(call).__name__)
def test_connecting_that_hangs_is_given_up_and_nothing_was_sent(call: Call) -> None:
    with nobody_accepts() as port:
        assert (VerdictKind.NOT_EXECUTED, Phase.BEFORE_SEND) == perform(call, port)


@pytest.mark.parametrize("script", [before_reading, before_answering, mid_headers, mid_body])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: type(call).__name__)
def test_answer_that_hangs_is_given_up_and_proves_nothing(call: Call, script: Callable[[Talk], None]) -> None:
    with Peer(script) as peer:
        assert (VerdictKind.UNKNOWN, Phase.AFTER_SEND) == perform(call, peer.port)
        assert peer.accepted == 1


# The router, with one thing that hangs.

QUICK: dict[str, object] = {
    "bybit__reply_timeout_s": 0.4,
    "stream__connect_timeout_s": 0.4,
    "stream__ack_timeout_s": 0.4,
    "stream__backoff_base_s": 0.05,
    "stream__backoff_cap_s": 0.1,
    "breaker__failures": 1000,
}
HANGING = [
    ("market/time", {}),
    ("user/query-api", {}),
    ("market/instruments-info", {}),
    ("position/list", {}),
    ("order/realtime", {}),
    ("execution/list", {}),
]


def fails_to_start(env: dict[str, str]) -> str:
    began = time.monotonic()
    with pytest.raises(RemoteError) as failed:
        Router.from_env(env, **QUICK, start__timeout_s=1.5).start()
    assert time.monotonic() - began < 1.5 + 2 * SLACK_S
    assert [] == our_threads()
    return str(failed.value)


@pytest.mark.parametrize("endpoint, args", HANGING, ids=[endpoint for endpoint, _ in HANGING])
def test_start_ends_in_time_whichever_question_hangs(
    endpoint: str, args: dict[str, Any], exchange: LoopbackExchange, router_env: dict[str, str]
) -> None:
    exchange.fault("delay_reply", {"endpoint": endpoint}, count=None, args={"ms": 60_000})
    assert fails_to_start(router_env)
    assert exchange.faults()[0]["fired"]


def test_start_ends_in_time_when_a_handshake_hangs(exchange: LoopbackExchange, router_env: dict[str, str]) -> None:
    with nobody_accepts() as port:
        url = f"ws://127.0.0.1:{port}/v5/private"
        assert "private stream" in fails_to_start(router_env | {"HEAN_BYBIT__PRIVATE_URL": url})
    with SlowLine(exchange.urls["private"]) as line:
        line.hold()
        assert "private stream" in fails_to_start(router_env | {"HEAN_BYBIT__PRIVATE_URL": line.url})


def test_start_ends_in_time_when_login_and_subscription_hang(
    exchange: LoopbackExchange, router_env: dict[str, str]
) -> None:
    exchange.behaviour(session_ack_delay_ms=60_000)
    assert "private stream" in fails_to_start(router_env)


def test_start_ends_in_time_when_nobody_accepts_a_connection(router_env: dict[str, str]) -> None:
    with nobody_accepts() as port:
        fails_to_start(router_env | {"HEAN_BYBIT__REST_URL": f"http://127.0.0.1:{port}"})


def market(name: str) -> Signal:
    return Signal(strategy_id="s", signal_id=name, symbol="BTCUSDT", side=Side.BUY, qty="0.001")


def test_trade_stream_that_hangs_leaves_the_orders_to_rest(
    exchange: LoopbackExchange, router_env: dict[str, str]
) -> None:
    with SlowLine(exchange.urls["trade"]) as line:
        line.hold()
        with Router.from_env(router_env | {"HEAN_BYBIT__TRADE_URL": line.url}, **QUICK) as router:
            assert OrderState.FILLED == router.submit(market("by rest")).wait(WAIT_S).outcome
    assert {"http"} == {row["channel"] for row in exchange.requests() if row["orderLinkId"]}


@pytest.mark.parametrize("entry", ["ws", "rest"])
def test_order_entry_that_hangs_is_known_within_its_deadline(
    entry: str, router: Routers, exchange: LoopbackExchange
) -> None:
    made = router(**QUICK, bybit__entry=entry)
    for match in ({"op": "order.create"}, {"endpoint": "order/create"}):
        exchange.fault("delay_reply", match, args={"ms": 60_000})
    for topic in ("order", "execution"):
        exchange.fault("delay_push", {"topic": topic}, count=None, args={"ms": 60_000})
    began = time.monotonic()
    ticket = made.submit(market("hangs"))
    assert time.monotonic() - began < SLACK_S
    for event in made.events(WAIT_S):
        if event.type is EventType.ORDER_UNKNOWN:
            break
    assert time.monotonic() - began < 0.4 + SLACK_S
    assert OrderState.FILLED == ticket.wait(WAIT_S).outcome


@pytest.mark.parametrize("entry", ["ws", "rest"])
def test_cancel_that_hangs_is_asked_about_within_its_deadline(
    entry: str, router: Routers, exchange: LoopbackExchange
) -> None:
    made = router(**QUICK, bybit__entry=entry)
    resting = made.submit(
        Signal(
            strategy_id="s",
            signal_id="rests",
            symbol="BTCUSDT",
            side=Side.BUY,
            qty="0.001",
            order_type=OrderType.LIMIT,
            price="50000",
        )
    )
    resting.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    for match in ({"op": "order.cancel"}, {"endpoint": "order/cancel"}):
        exchange.fault("delay_reply", match, args={"ms": 60_000})
    exchange.fault("drop_push", {"topic": "order"}, count=None)
    began = time.monotonic()
    assert "sent" == resting.cancel().decided
    assert OrderState.CANCELLED == resting.wait(WAIT_S).outcome
    assert time.monotonic() - began < WAIT_S


def test_stop_ends_in_time_while_every_answer_hangs(router: Routers, exchange: LoopbackExchange) -> None:
    made = router(**QUICK | {"bybit__reply_timeout_s": 30})
    exchange.fault("delay_reply", count=None, args={"ms": 60_000})
    for number in range(10):
        made.submit(market(f"n{number}"))
    began = time.monotonic()
    made.stop(timeout_s=1)
    assert time.monotonic() - began < 1 + SLACK_S


def test_setting_that_hangs_raises_within_its_deadline(router: Routers, exchange: LoopbackExchange) -> None:
    made = router(**QUICK)
    exchange.fault("delay_reply", {"endpoint": "position/set-leverage"}, count=None, args={"ms": 60_000})
    began = time.monotonic()
    with pytest.raises(RemoteError):
        made.set_leverage("BTCUSDT", "5")
    assert time.monotonic() - began < 0.8 + SLACK_S


def test_setting_that_waits_past_its_deadline_is_not_sent_late(router: Routers, exchange: LoopbackExchange) -> None:
    made = router(**QUICK)
    exchange.limits(endpoint="position/set-leverage", per_s=1)
    # Its answer says that the next one has to wait for the rest of the second.
    made.set_leverage("BTCUSDT", "5")
    with pytest.raises(RemoteError):
        made.set_leverage("BTCUSDT", "6")
    # The window opens again: what is asked then is done, and nothing before it.
    deadline = time.monotonic() + WAIT_S
    while True:
        assert time.monotonic() < deadline
        try:
            made.set_leverage("BTCUSDT", "7")
        except RemoteError:
            continue
        break
    assert ["position/set-leverage"] * 2 == [
        row["endpoint"] for row in exchange.requests() if row.get("endpoint") == "position/set-leverage"
    ]
