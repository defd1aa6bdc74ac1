"""
S25 Clock drift, and a request that is delivered late.

The offset is estimated and corrected, the receive window stays small: it is the dead man's switch for stale commands. A
clock that moves too far halts; a request that sat in a buffer is refused by the exchange and resolved by evidence here.
"""

from __future__ import annotations

import pytest

from hean import DenyReason, EventType, OrderState
from tests.scenarios.slow_line import SlowLine
from tests.scenarios.world import VISIBLE_MS, WAIT_S, World, await_event, signal, until

OUT_OF_WINDOW = 10002


def skew(world: World, ms: int) -> None:
    world.exchange.clear_faults()
    world.exchange.fault("clock_skew", count=None, args={"ms": ms})


@pytest.mark.parametrize("ms", [-120_000, -2_000, 2_000, 120_000])
def test_s25_constant_offset_is_corrected(ms: int, world: World) -> None:
    skew(world, ms)
    with world.router(clock__sync_s=0.1) as router:
        tickets = [router.submit(signal(f"off{number}")) for number in range(3)]
        assert {OrderState.FILLED} == {ticket.wait(WAIT_S).outcome for ticket in tickets}
        if abs(ms) > 5_000:
            assert "offset" in await_event(router, EventType.ERROR, reason="clock_drift").detail
        assert EventType.KILLSWITCH_TRIGGERED not in {event.type for event in router.events(0)}
        world.assert_books_equal(router)
    assert {0} == {row["verdict"] for row in world.exchange.requests()}


@pytest.mark.parametrize("ms", [-1_500, 1_500])
def test_s25_clock_that_moves_within_bounds_is_measured_again(ms: int, world: World) -> None:
    with world.router(clock__max_drift_ms=2_000, clock__sync_s=600) as router:
        skew(world, ms)
        ticket = router.submit(signal("moved"))
        assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
        assert EventType.KILLSWITCH_TRIGGERED not in {event.type for event in router.events(0)}
        world.assert_books_equal(router)
    verdicts = [create["verdict"] for create in world.creates(ticket.order_link_id)]
    assert (OUT_OF_WINDOW, 0) == (verdicts[0], verdicts[-1])
    assert 1 == len(world.orders())


@pytest.mark.parametrize("ms", [-2_000, 2_000])
def test_s25_clock_that_drifts_too_far_halts_until_a_person_resumes(ms: int, world: World) -> None:
    with world.router(clock__max_drift_ms=500, clock__sync_s=600) as router:
        skew(world, ms)
        ticket = router.submit(signal("drifted"))
        alarm = await_event(router, EventType.KILLSWITCH_TRIGGERED)
        assert "drift" in alarm.detail
        order = ticket.wait(WAIT_S)
        assert (OrderState.REJECTED, "not_placed") == (order.outcome, order.reason)
        denied = router.submit(signal("while halted")).snapshot()
        assert (OrderState.DENIED, DenyReason.HALTED) == (denied.state, denied.deny_reason)
        assert [] == world.orders()
        router.resume(who="ann")
        assert OrderState.FILLED == router.submit(signal("looked at")).wait(WAIT_S).outcome
        world.assert_books_equal(router)


def test_s25_drift_is_found_without_any_order(world: World) -> None:
    with world.router(clock__max_drift_ms=500, clock__sync_s=0.1) as router:
        skew(world, 700)
        await_event(router, EventType.KILLSWITCH_TRIGGERED)
        assert OrderState.DENIED == router.submit(signal("late")).state
    assert [] == world.orders()


@pytest.mark.parametrize("world", ["ws"], indirect=True)
@pytest.mark.parametrize("young", [True, False], ids=["young", "aged"])
def test_s25_frame_that_sat_in_a_buffer_is_refused_and_resolved_by_evidence(young: bool, world: World) -> None:
    late_by_the_line(world, "bybit__trade_url", world.exchange.urls["trade"], young=young)


@pytest.mark.parametrize("world", ["rest"], indirect=True)
@pytest.mark.parametrize("young", [True, False], ids=["young", "aged"])
def test_s25_request_that_sat_in_a_buffer_is_refused_and_resolved_by_evidence(young: bool, world: World) -> None:
    late_by_the_line(world, "bybit__rest_url", world.exchange.urls["rest"], young=young)


def late_by_the_line(world: World, setting: str, url: str, *, young: bool) -> None:
    with SlowLine(url) as line:
        settings = {setting: line.url, "bybit__reply_timeout_s": 0.5, "orders__max_age_s": 60 if young else 1}
        with world.router(**settings) as router:
            line.hold()
            ticket = router.submit(signal("buffered"))
            await_event(router, EventType.ORDER_UNKNOWN, ticket)
            # Past the receive window of half a second.
            with pytest.raises(AssertionError):
                until(lambda: world.creates(ticket.order_link_id), timeout_s=0.5)
            line.let_go()
            order = ticket.wait(WAIT_S)
            expected = (OrderState.FILLED, "") if young else (OrderState.REJECTED, "not_placed")
            assert expected == (order.outcome, order.reason)
            world.assert_books_equal(router)
    first, *again = world.creates(ticket.order_link_id)
    assert (OUT_OF_WINDOW, False) == (first["verdict"], first["executed"])
    assert [True] * young == [create["executed"] for create in again]
    assert all(create["time"] - first["time"] >= VISIBLE_MS - 1_500 for create in again)
    assert young == len(world.orders())
