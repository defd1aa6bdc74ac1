"""
S24 Bursts of 10006, and an IP ban.

Who is told to wait waits, with or without a reset header; cancels never wait behind creates; a ban is sat out in
silence and left by a probe; a command that waited past its deadline is denied, never sent late.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from hean import DenyReason, EventType, OrderState, Ticket
from tests.scenarios.audit import sent_before_proof
from tests.scenarios.world import VISIBLE_MS, WAIT_S, World, await_event, resting, signal, types_of, until


def outcomes(tickets: list[Ticket]) -> set[OrderState | None]:
    return {ticket.wait(WAIT_S).outcome for ticket in tickets}


@pytest.mark.parametrize("reset_header", [True, False], ids=["header", "no header"])
def test_s24_burst_of_10006_is_waited_out(reset_header: bool, world: World) -> None:
    with world.router() as router:
        args = {"ms": 400, "reset_header": reset_header}
        world.exchange.fault("rate_limit", world.create, count=4, args=args)
        tickets = [router.submit(signal(f"burst{number}")) for number in range(6)]
        assert {OrderState.FILLED} == outcomes(tickets)
        assert 4 == world.fired("rate_limit")
        assert not {EventType.ORDER_REJECTED} & {event.type for event in router.events(0)}
        world.assert_books_equal(router)
    creates = [row for ticket in tickets for row in world.creates(ticket.order_link_id)]
    assert [6, 4] == [sum(row["executed"] for row in creates), sum(row["verdict"] == 10006 for row in creates)]
    assert [] == sent_before_proof(world.exchange.requests(), VISIBLE_MS)


def test_s24_refusal_with_a_header_keeps_creates_back_until_the_window_opens(world: World) -> None:
    with world.router(orders__retry_base_s=0.001, orders__retry_cap_s=0.001) as router:
        world.exchange.fault("rate_limit", world.create, args={"ms": 800})
        ticket = router.submit(signal("patient"))
        assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
    refused, executed = world.creates(ticket.order_link_id)
    assert 800 <= executed["time"] - refused["time"] < 5_000


def test_s24_refused_query_is_no_absence(world: World) -> None:
    with world.router() as router:
        world.exchange.fault("lose_reply", world.create)
        world.exchange.fault("drop_push", {"topic": "order"})
        world.exchange.fault("rate_limit", {"endpoint": "order/realtime"}, count=3, args={"ms": 100})
        ticket = router.submit(resting("asked for"))
        assert OrderState.ACKNOWLEDGED == ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state
        assert 3 == world.fired("rate_limit")
    assert 1 == len(world.creates(ticket.order_link_id))


def test_s24_cancels_do_not_wait_behind_creates(world: World) -> None:
    with world.router() as router:
        first = router.submit(resting("first"))
        first.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        # Ten a second are allowed, of which a part is used: these take several seconds.
        waiting = [router.submit(resting(f"queued{number}")) for number in range(30)]
        assert first.cancel().taken
        assert OrderState.CANCELLED == first.wait(WAIT_S).outcome
        assert any(world.creates(ticket.order_link_id) == [] for ticket in waiting)
        for ticket in waiting:
            ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    assert 10006 not in {row["verdict"] for row in world.exchange.requests()}
    (cancel,) = world.commands("cancel", first)
    last = max(world.creates(ticket.order_link_id)[0]["time"] for ticket in waiting)
    assert cancel["time"] + 1_000 < last


def test_s24_command_that_waited_past_its_deadline_is_denied(world: World) -> None:
    with world.router(orders__max_age_s=1.5, gateway__pace=1) as router:
        world.exchange.limits(endpoint="order/create", per_s=2)
        # The first answer teaches the limit; the order may be filled, and settled, before it is read.
        taught = router.submit(signal("taught"))
        taught.wait(WAIT_S)
        until(lambda: "accepted" in "\n".join(taught.trace()))
        tickets = [router.submit(signal(f"queued{number}")) for number in range(12)]
        ended = outcomes(tickets)
        assert {OrderState.FILLED, OrderState.DENIED} == ended
        denied = [ticket for ticket in tickets if ticket.outcome is OrderState.DENIED]
        assert {DenyReason.TOO_OLD} == {ticket.snapshot().deny_reason for ticket in denied}
        assert {(EventType.SIGNAL, EventType.ORDER_REQUEST, EventType.RISK_BLOCKED)} == {
            tuple(types_of(router, ticket)) for ticket in denied
        }
        world.assert_books_equal(router)
    assert [] == [row for ticket in denied for row in world.creates(ticket.order_link_id)]
    assert 1 + len(tickets) - len(denied) == len(world.orders())


def silence_in(requests: list[dict[str, Any]]) -> int:
    """The longest pause after a 403, until the next request of any kind."""
    times = [(row["time"], row["verdict"]) for row in requests]
    return max(later - time for (time, verdict), (later, _) in pairwise(times) if verdict == "http 403")


def test_s24_ban_is_sat_out_in_silence_and_left_by_a_probe(world: World) -> None:
    silence_s, ban_s = 1.5, 2.5
    with world.router(breaker__ban_silence_s=silence_s, clock__sync_s=0.2, breaker__open_s=0.3) as router:
        stays = router.submit(resting("stays"))
        stays.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        world.exchange.fault("ban", args={"s": ban_s})
        banned = await_event(router, EventType.STATUS, reason="breaker_all_OPEN")
        assert "IP ban" in banned.detail
        # Not a word over the streams either.
        await_event(router, EventType.STATUS, reason="stream_STOPPED")
        if world.settings.get("bybit__entry") == "ws":
            await_event(router, EventType.STATUS, reason="trade_STOPPED")
        during = router.submit(signal("during the ban"))
        assert OrderState.DENIED == during.state
        assert during.snapshot().deny_reason in {DenyReason.BREAKER_OPEN, DenyReason.NOT_LIVE}
        await_event(router, EventType.STATUS, reason="breaker_all_CLOSED")
        until(lambda: router.live)
        after = router.submit(signal("after the ban"))
        assert OrderState.FILLED == after.wait(WAIT_S).outcome
        stays.cancel()
        assert OrderState.CANCELLED == stays.wait(WAIT_S).outcome
        world.assert_books_equal(router)
    assert [] == world.creates(during.order_link_id)
    requests = world.exchange.requests()
    probes = [row["endpoint"] for row in requests if row["verdict"] == "http 403"][1:]
    # The first probe found the ban still on, and began the silence anew.
    assert ["market/time"] == list(dict.fromkeys(probes))
    assert silence_in(requests) >= silence_s * 900


def test_s24_order_in_flight_when_the_ban_falls_is_resolved_after_it(world: World) -> None:
    with world.router(breaker__ban_silence_s=1, clock__sync_s=0.2, breaker__open_s=0.3) as router:
        world.exchange.fault("delay_reply", world.create, args={"ms": 3_000})
        world.exchange.fault("delay_push", {}, count=3, args={"ms": 1_500})
        ticket = router.submit(signal("in flight"))
        until(lambda: world.orders(ticket.order_link_id))
        world.exchange.fault("ban", args={"s": 1.5})
        await_event(router, EventType.STATUS, reason="breaker_all_OPEN")
        assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
        world.assert_books_equal(router)
    assert 1 == len(world.creates(ticket.order_link_id))


def test_s24_burst_of_failures_opens_the_breaker_and_a_probe_closes_it(world: World) -> None:
    with world.router(breaker__failures=3, breaker__open_s=1, orders__max_age_s=1) as router:
        stays = router.submit(resting("stays"))
        stays.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        world.exchange.fault("error", world.create, count=3, args={"ret_code": 10016, "executed": False})
        failing = [router.submit(signal(f"fails{number}")) for number in range(3)]
        opened = await_event(router, EventType.STATUS, reason="breaker_create_OPEN")
        assert "10016" in opened.detail
        denied = router.submit(signal("refused here"))
        assert (OrderState.DENIED, DenyReason.BREAKER_OPEN) == (denied.state, denied.snapshot().deny_reason)
        # What protects the position is the last thing to give up.
        assert "sent" == stays.cancel().decided
        assert OrderState.CANCELLED == stays.wait(WAIT_S).outcome
        await_event(router, EventType.STATUS, reason="breaker_create_HALF_OPEN")
        await_event(router, EventType.STATUS, reason="breaker_create_CLOSED")
        assert OrderState.FILLED == router.submit(signal("through again")).wait(WAIT_S).outcome
        assert {OrderState.REJECTED} == outcomes(failing)
        world.assert_books_equal(router)
    assert [] == world.creates(denied.order_link_id)
