"""
S21 A query fails, is cut short, or forgot: that is not "nothing there".

Absence counts only over every source and page, and never ends an order that was seen alive.
"""

from __future__ import annotations

import pytest

from hean import EventType, OrderState, Router, Ticket
from tests.scenarios.world import WAIT_S, World, await_nth, resting

REALTIME = {"endpoint": "order/realtime"}


def rest(world: World, router: Router, many: int) -> list[Ticket]:
    """So many resting orders, every other one of the first few conditional."""
    world.exchange.market("BTCUSDT", bid="95000", ask="95001")
    tickets = []
    for number in range(many):
        more = {"trigger_price": "96000", "price": "96001"} if number in {1, 3, 5} else {}
        tickets.append(router.submit(resting(f"open-{number}", **{"price": "94000"} | more)))
    for ticket in tickets:
        assert OrderState.ACKNOWLEDGED == ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state
    return tickets


def assert_all_open(world: World, tickets: list[Ticket]) -> None:
    assert {OrderState.ACKNOWLEDGED} == {ticket.state for ticket in tickets}
    theirs = {row["orderLinkId"] for row in world.orders() if row["orderStatus"] in {"New", "Untriggered"}}
    assert {ticket.order_link_id for ticket in tickets} == theirs


@pytest.mark.parametrize(
    "fault, match, args",
    [
        ("partial_page", REALTIME, {"rows": 3}),
        ("partial_page", REALTIME, {"rows": 0}),
        ("realtime_lag", REALTIME, {"ms": 60_000}),
        ("error", REALTIME, {"ret_code": 10016}),
        ("lose_reply", REALTIME, {}),
        ("error", REALTIME, {"body": "<html>", "http_status": 200}),
        ("error", REALTIME, {"http_status": 503}),
    ],
)
def test_s21_list_that_lies_by_omission_ends_no_order(
    fault: str, match: dict[str, str], args: dict[str, object], plain_world: World
) -> None:
    world = plain_world
    with world.router() as router:
        tickets = rest(world, router, 8)
        world.exchange.fault(fault, match, args=args)
        world.exchange.fault("cut_private")
        await_nth(router, "stream_LIVE", 2)
        assert [1, 1] == [world.fired(fault), world.fired("cut_private")]
        assert router.reconcile().equal
        assert_all_open(world, tickets)
        assert not [event for event in router.events(0) if event.type is EventType.ERROR]


def test_s21_list_of_several_pages_is_read_to_its_end(plain_world: World) -> None:
    world = plain_world
    world.exchange.limits(endpoint="order/create", per_s=1000)
    with world.router() as router:
        tickets = rest(world, router, 120)
        report = router.reconcile()
        assert (True, (), 120) == (report.equal, report.found, report.orders)
        assert_all_open(world, tickets)


def test_s21_order_that_ended_while_the_closed_set_was_cleared_is_found_in_history(plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        (ticket, *_) = rest(world, router, 1)
        world.exchange.fault("cut_private", args={"refuse_s": 60})
        await_nth(router, "stream_BACKING_OFF", 1)
        world.exchange.market("BTCUSDT", trade={"price": "94000", "qty": "0.001"})
        world.exchange.fault("realtime_cleared", REALTIME, count=None)
        while not world.fired("realtime_cleared"):
            ticket.wait(0.05)
            router.reconcile()
        world.exchange.clear_faults()
        assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
        assert router.reconcile().equal
        world.assert_books_equal(router)


def test_s21_pictures_that_fail_are_said_to_have_failed(plain_world: World) -> None:
    world = plain_world
    with world.router(reconcile__confirm_s=0.05) as router:
        (ticket, *_) = rest(world, router, 1)
        world.exchange.fault("error", {"endpoint": "position/list"}, count=None, args={"ret_code": 10016})
        report = router.reconcile()
        assert (False, False) == (report.complete, report.equal)
        assert "QueryPositions: 10016" in report.why
        assert 1 <= world.fired("error")
        assert OrderState.ACKNOWLEDGED == ticket.state
        world.exchange.clear_faults()
        assert router.reconcile().equal
