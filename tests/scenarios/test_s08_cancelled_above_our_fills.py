"""
S08 The exchange says Cancelled with more executed than we know of.

The gap is asked for until the executions add up; where history never delivers, the order stays unsettled and alarmed,
no fill is made up, and a person's decision is journalled.
"""

from __future__ import annotations

from decimal import Decimal

from hean import EventType, OrderState
from tests.scenarios.world import WAIT_S, World, await_event, await_nth, resting

MILLI = Decimal("0.001")


def test_s08_lost_executions_are_fetched_before_the_order_settles(plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        world.exchange.market("BTCUSDT", bid="95000", ask="95001")
        ticket = router.submit(resting("gap", price="94900", qty="0.003"))
        assert OrderState.ACKNOWLEDGED == ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state
        world.exchange.fault("drop_push", {"topic": "execution"})
        world.exchange.market("BTCUSDT", trade={"price": "94900", "qty": "0.001"})
        ticket.cancel()
        cancelled = await_event(router, EventType.ORDER_CANCELLED, ticket)
        assert cancelled.order is not None
        assert (MILLI, MILLI) == (cancelled.order.watermark, cancelled.order.gap)
        order = ticket.wait(WAIT_S)
        assert (OrderState.CLOSED, OrderState.CANCELLED) == (order.state, order.outcome)
        assert (MILLI, Decimal(0)) == (order.cum_exec_qty, order.gap)
        assert 1 == world.fired("drop_push")
        world.assert_books_equal(router)


def test_s08_accepted_gap_beside_known_executions_settles_too(plain_world: World) -> None:
    world = plain_world
    with world.router(reconcile__positions_s=600) as router:
        world.exchange.market("BTCUSDT", bid="95000", ask="95001")
        ticket = router.submit(resting("half", price="94900", qty="0.003"))
        world.exchange.market("BTCUSDT", trade={"price": "94900", "qty": "0.001"})
        assert MILLI == ticket.wait_for(OrderState.PARTIAL_FILL, WAIT_S).cum_exec_qty
        world.exchange.fault("drop_push", {"topic": "execution"})
        world.exchange.fault("partial_page", {"endpoint": "execution/list"}, count=None, args={"rows": 0})
        world.exchange.market("BTCUSDT", trade={"price": "94900", "qty": "0.001"})
        ticket.cancel()
        await_event(router, EventType.ERROR, ticket, reason="unresolved")
        assert (OrderState.CANCELLED, MILLI) == (ticket.state, ticket.snapshot().gap)
        assert router.resolve(ticket.order_link_id, "settled", who="desk", why="history lost it").taken
        assert (OrderState.CLOSED, MILLI) == (ticket.wait(WAIT_S).state, ticket.snapshot().cum_exec_qty)
        # The fill that nobody can name is still missing in the position, and that is said.
        assert ["position_differs"] == [str(finding.kind) for finding in router.reconcile().left]
        world.exchange.clear_faults()
        assert router.reconcile().equal
        assert MILLI * 2 == ticket.snapshot().cum_exec_qty
        world.assert_books_equal(router)


def test_s08_gap_that_history_never_fills_stays_open_and_alarmed_until_a_person_decides(plain_world: World) -> None:
    world = plain_world
    with world.router(reconcile__positions_s=600) as router:
        world.exchange.market("BTCUSDT", bid="95000", ask="95001")
        ticket = router.submit(resting("hole", price="94900", qty="0.003"))
        assert OrderState.ACKNOWLEDGED == ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state
        world.exchange.fault("drop_push", {"topic": "execution"})
        world.exchange.fault("partial_page", {"endpoint": "execution/list"}, count=None, args={"rows": 0})
        world.exchange.market("BTCUSDT", trade={"price": "94900", "qty": "0.001"})
        ticket.cancel()
        alarm = await_event(router, EventType.ERROR, ticket, reason="unresolved")
        order = ticket.snapshot()
        assert (OrderState.CANCELLED, Decimal(0), MILLI) == (order.state, order.cum_exec_qty, order.gap)
        assert "gap 0.001" in alarm.detail
        assert 1 == world.fired("drop_push")
        assert 5 <= world.fired("partial_page")
        # The position says the same: something is held that no execution here explains, and its symbol is frozen.
        report = router.reconcile()
        assert ["position_only_there"] == [str(finding.kind) for finding in report.left]
        assert not router.positions["BTCUSDT"].size

        assert router.resolve(ticket.order_link_id, "settled", who="desk", why="history lost it").taken
        order = ticket.wait(WAIT_S)
        assert (OrderState.CLOSED, Decimal(0)) == (order.state, order.cum_exec_qty)
        resolved = await_nth(router, "resolved", 1)
        assert "0.001 accepted by desk: history lost it" in resolved.detail
    facts = [body["what"] for body in world.records(ticket.order_link_id, "fact")]
    assert [("desk", "history lost it")] == [(fact["who"], fact["why"]) for fact in facts if fact["_"] == "Resolved"]
