"""
S19 The socket is up, but the login or a topic was refused, or nothing comes any more.

LIVE means logged in, every topic answered with a yes, and heard from. Anything else says what it is, and no signal is
taken meanwhile.
"""

from __future__ import annotations

import pytest

from hean import DenyReason, EventType, OrderState, RemoteError, Router
from tests.scenarios.world import WAIT_S, World, await_event, await_nth, signal

PRIVATE = {"channel": "private"}


def denied(router: Router, name: str) -> str:
    snapshot = router.submit(signal(name)).snapshot()
    assert (OrderState.DENIED, DenyReason.NOT_LIVE) == (snapshot.state, snapshot.deny_reason)
    return snapshot.reason


@pytest.mark.parametrize(
    "fault, match, said",
    [
        ("refuse_auth", PRIVATE, "login refused"),
        ("refuse_topic", {"topic": "execution"}, "topics refused: execution"),
        ("refuse_topic", {"topic": "order"}, "topics refused: order"),
    ],
)
def test_s19_start_says_what_was_refused(fault: str, match: dict[str, str], said: str, plain_world: World) -> None:
    world = plain_world
    world.exchange.fault(fault, match, count=None)
    with pytest.raises(RemoteError, match=said), world.router(start__timeout_s=1):
        pass
    assert 1 <= world.fired(fault)


@pytest.mark.parametrize(
    "fault, match, said",
    [("refuse_auth", PRIVATE, "login refused"), ("refuse_topic", {"topic": "execution"}, "topics refused: execution")],
)
def test_s19_refusal_after_a_reconnect_is_not_live_and_says_so(
    fault: str, match: dict[str, str], said: str, plain_world: World
) -> None:
    world = plain_world
    with world.router() as router:
        world.exchange.fault(fault, match)
        world.exchange.fault("cut_private")
        alarm = await_event(router, EventType.ERROR, reason="stream_FAILED")
        assert said in alarm.detail
        assert said in denied(router, "refused")
        assert [1, 1] == [world.fired(fault), world.fired("cut_private")]
        # A person may mend the key meanwhile; the next try finds out.
        await_nth(router, "stream_LIVE", 2)
        assert OrderState.FILLED == router.submit(signal("after")).wait(WAIT_S).outcome
        world.assert_books_equal(router)


def test_s19_silent_socket_is_stale_and_replaced(plain_world: World) -> None:
    world = plain_world
    with world.router(stream__ping_s=0.2, stream__silence_s=0.8) as router:
        world.exchange.fault("silent", PRIVATE)
        alarm = await_event(router, EventType.ERROR, reason="stream_STALE")
        assert "nothing heard for 800 ms" in alarm.detail
        assert "stream" in denied(router, "silent")
        assert 1 == world.fired("silent")
        world.exchange.fault("foreign_order", args={"symbol": "ETHUSDT", "side": "Buy", "qty": "0.05"})
        await_nth(router, "stream_LIVE", 2)
        assert router.reconcile().equal
        assert OrderState.FILLED == router.submit(signal("after")).wait(WAIT_S).outcome
        world.assert_books_equal(router)


def test_s19_topics_are_not_asked_for_before_the_login_is_answered(plain_world: World) -> None:
    world = plain_world
    world.exchange.behaviour(session_ack_delay_ms=400)
    with world.router() as router:
        steps = [event.reason for event in router.events(0) if event.reason.startswith("stream_")]
        assert [
            "stream_CONNECTING",
            "stream_AUTHENTICATING",
            "stream_SUBSCRIBING",
            "stream_CATCHING_UP",
            "stream_LIVE",
        ] == steps
        assert OrderState.FILLED == router.submit(signal("in")).wait(WAIT_S).outcome
