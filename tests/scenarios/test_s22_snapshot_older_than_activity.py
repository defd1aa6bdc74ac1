"""
S22 A snapshot is asked for, something happens, the snapshot arrives.

What happened since outweighs it: nothing is corrected, nobody is told, and it is asked for again.
"""

from __future__ import annotations

import threading
from decimal import Decimal

from hean import EventType, OrderState, Router
from hean.core.reconcile_record import Report
from tests.scenarios.world import WAIT_S, World, await_event, resting, signal


def meanwhile(router: Router) -> tuple[threading.Thread, list[Report]]:
    """A comparison that runs beside the test."""
    reports: list[Report] = []
    thread = threading.Thread(target=lambda: reports.append(router.reconcile()), name="comparing")
    thread.start()
    return thread, reports


def alerts(router: Router) -> list[str]:
    return [event.detail for event in router.events(0) if event.type is EventType.RECONCILIATION_ALERT]


def await_fired(world: World, fault: str) -> None:
    waiting = threading.Event()
    while not world.fired(fault):
        assert not waiting.wait(0.02)


def test_s22_position_asked_for_before_a_fill_corrects_nothing(plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        router.submit(signal("first")).wait(WAIT_S)
        world.exchange.fault("delay_reply", {"endpoint": "position/list"}, args={"ms": 800})
        thread, reports = meanwhile(router)
        await_fired(world, "delay_reply")
        assert OrderState.FILLED == router.submit(signal("second")).wait(WAIT_S).outcome
        thread.join(WAIT_S)
        assert [True] == [report.equal for report in reports]
        assert [] == alerts(router)
        assert Decimal("0.002") == router.positions["BTCUSDT"].size
        assert not [event for event in router.events(0) if event.type is EventType.POSITION_ADOPTED]
        world.assert_books_equal(router)


def test_s22_orders_asked_for_before_their_end_start_nothing(plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        world.exchange.market("BTCUSDT", bid="95000", ask="95001")
        ending = router.submit(resting("ending", price="94900"))
        ending.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        world.exchange.fault("delay_reply", {"endpoint": "order/realtime"}, args={"ms": 800})
        thread, reports = meanwhile(router)
        await_fired(world, "delay_reply")
        ending.cancel()
        beginning = router.submit(resting("beginning", price="94800"))
        assert OrderState.CANCELLED == ending.wait(WAIT_S).outcome
        thread.join(WAIT_S)
        assert [(True, ())] == [(report.equal, report.found) for report in reports]
        assert [] == alerts(router)
        assert (OrderState.CLOSED, OrderState.ACKNOWLEDGED) == (ending.state, beginning.state)


def test_s22_difference_counts_when_seen_twice_and_goes_when_it_is_gone(plain_world: World) -> None:
    world = plain_world
    with world.router(reconcile__orders_s=600, reconcile__positions_s=600) as router:
        router.submit(signal("first")).wait(WAIT_S)
        # Neither pushed nor listed for now: the position alone tells of it.
        world.exchange.fault("drop_push", {"topic": "execution"})
        world.exchange.fault("drop_push", {"topic": "position"}, count=None)
        world.exchange.fault("partial_page", {"endpoint": "execution/list"}, count=None, args={"rows": 0})
        world.exchange.fault("foreign_order", args={"symbol": "BTCUSDT", "side": "Buy", "qty": "0.004"})
        report = router.reconcile()
        assert ["position_differs"] == [str(finding.kind) for finding in report.found]
        assert 2 <= report.looks
        (alert,) = alerts(router)
        assert "here Buy 0.001" in alert
        assert "there Buy 0.005" in alert
        assert () == router.reconcile().found
        assert 1 == len(alerts(router))
        assert OrderState.DENIED == router.submit(signal("frozen")).state

        world.exchange.clear_faults()
        report = router.reconcile()
        assert (True, ["execution_only_there"]) == (report.equal, [str(finding.kind) for finding in report.found])
        assert [row["execId"] for row in world.executions() if not row["orderLinkId"]] == list(report.found[0].exec_ids)
        await_event(router, EventType.STATUS, reason="difference_gone")
        assert Decimal("0.005") == router.positions["BTCUSDT"].size
        assert OrderState.FILLED == router.submit(signal("thawed")).wait(WAIT_S).outcome
        assert (True, ()) == (router.reconcile().equal, router.reconcile().found)
        world.assert_books_equal(router)


def test_s22_difference_that_one_picture_shows_is_told_to_nobody(plain_world: World) -> None:
    world = plain_world
    with world.router(reconcile__orders_s=600, reconcile__positions_s=600, reconcile__confirm_s=0.1) as router:
        router.submit(signal("in")).wait(WAIT_S)
        stays = router.submit(resting("stays"))
        stays.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        world.exchange.fault("partial_page", {"endpoint": "order/realtime", "category": "linear"}, args={"rows": 0})
        report = router.reconcile()
        assert (True, (), 2) == (report.equal, report.found, report.looks)
        assert 1 == world.fired("partial_page")
        assert ([], OrderState.ACKNOWLEDGED) == (alerts(router), stays.state)
        # Nobody is kept from trading because of it.
        assert OrderState.FILLED == router.submit(signal("goes on")).wait(WAIT_S).outcome
