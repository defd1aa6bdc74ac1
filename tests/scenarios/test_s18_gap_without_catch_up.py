"""
S18 Reconnect gap: the socket is down, orders fill and end, and the exchange replays nothing.

After each connect: login, topics, live frames buffered, everything missed queried and merged, the buffer released.
Nothing is submitted meanwhile, and both sides are equal afterwards.
"""

from __future__ import annotations

from decimal import Decimal

from hean import DenyReason, EventType, OrderState
from tests.scenarios.world import WAIT_S, World, await_event, await_nth, resting, signal, until

DOWN = {"refuse_s": 60}


def test_s18_what_happened_while_the_socket_was_down_is_caught_up(plain_world: World) -> None:
    world = plain_world
    exchange = world.exchange
    with world.router() as router:
        exchange.market("BTCUSDT", bid="95000", ask="95001")
        filled = router.submit(resting("filled", price="94900"))
        partly = router.submit(resting("partly", price="94800", qty="0.003"))
        ended = router.submit(resting("ended", price="94700"))
        for ticket in (filled, partly, ended):
            assert OrderState.ACKNOWLEDGED == ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state

        exchange.fault("cut_private", args=DOWN)
        await_event(router, EventType.STATUS, reason="stream_BACKING_OFF")
        denied = router.submit(signal("denied"))
        assert (OrderState.DENIED, DenyReason.NOT_LIVE) == (denied.state, denied.snapshot().deny_reason)
        exchange.market("BTCUSDT", trade={"price": "94900", "qty": "0.001"})
        exchange.market("BTCUSDT", trade={"price": "94800", "qty": "0.001"})
        exchange.fault("foreign_order", args={"symbol": "ETHUSDT", "side": "Sell", "qty": "0.05"})
        ended.cancel()
        assert 1 == world.fired("cut_private")

        exchange.clear_faults()
        assert OrderState.FILLED == filled.wait(WAIT_S).outcome
        assert OrderState.CANCELLED == ended.wait(WAIT_S).outcome
        assert Decimal("0.001") == partly.wait_for(OrderState.PARTIAL_FILL, WAIT_S).cum_exec_qty
        await_event(router, EventType.RECONCILIATION_ALERT, reason="manual")
        report = router.reconcile()
        assert (True, ()) == (report.equal, report.found)
        assert (Decimal("0.05"), "Sell") == (router.positions["ETHUSDT"].size, router.positions["ETHUSDT"].side)
        world.assert_books_equal(router)
        assert OrderState.FILLED == router.submit(signal("again")).wait(WAIT_S).outcome


def test_s18_live_frames_of_the_catch_up_are_kept_and_do_not_overwrite_it(plain_world: World) -> None:
    world = plain_world
    exchange = world.exchange
    with world.router() as router:
        exchange.market("BTCUSDT", bid="95000", ask="95001")
        ticket = router.submit(resting("moving", price="94900", qty="0.005"))
        assert OrderState.ACKNOWLEDGED == ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state
        exchange.fault("cut_private")
        # The list of open orders is answered as of now, and arrives after the fill that the stream tells of.
        exchange.fault("delay_reply", {"endpoint": "order/realtime"}, args={"ms": 700})
        await_nth(router, "stream_CATCHING_UP", 2)
        exchange.market("BTCUSDT", trade={"price": "94900", "qty": "0.002"})
        await_nth(router, "stream_LIVE", 2)
        assert Decimal("0.002") == ticket.wait_for(OrderState.PARTIAL_FILL, WAIT_S).cum_exec_qty
        assert [1, 1] == [world.fired("cut_private"), world.fired("delay_reply")]
        assert router.reconcile().equal
        assert OrderState.PARTIAL_FILL == ticket.state
        world.assert_books_equal(router)


def test_s18_order_that_another_hand_ended_meanwhile_is_looked_up_and_nobody_is_alarmed(plain_world: World) -> None:
    world = plain_world
    with world.router(reconcile__orders_s=600, reconcile__positions_s=600) as router:
        ended = router.submit(resting("ended"))
        stays = router.submit(resting("stays"))
        for ticket in (ended, stays):
            ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        world.exchange.fault("cut_private", args=DOWN)
        await_event(router, EventType.STATUS, reason="stream_BACKING_OFF")
        world.cancel_by_hand(ended)
        world.exchange.clear_faults()
        # That the list leaves it out is a reason to ask, and no proof.
        assert OrderState.CANCELLED == ended.wait(WAIT_S).outcome
        assert OrderState.ACKNOWLEDGED == stays.state
        assert (True, ()) == (router.reconcile().equal, router.reconcile().found)
        assert EventType.RECONCILIATION_ALERT not in {event.type for event in router.events(0)}


def test_s18_fill_after_its_list_was_read_waits_for_the_end_of_the_catch_up(plain_world: World) -> None:
    world = plain_world
    exchange = world.exchange
    with world.router(reconcile__orders_s=600, reconcile__positions_s=600) as router:
        exchange.market("BTCUSDT", bid="95000", ask="95001")
        ticket = router.submit(resting("late", price="94900"))
        ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        exchange.fault("cut_private")
        # The last question of the catch-up; that of linear executions is answered before.
        exchange.fault("delay_reply", {"endpoint": "execution/list", "category": "inverse"}, args={"ms": 700})
        until(lambda: world.fired("delay_reply"))
        exchange.market("BTCUSDT", trade={"price": "94900", "qty": "0.001"})
        session = until(lambda: (now := router._context.sessions["private"]).buffered >= 2 and now)
        assert ("CATCHING_UP", OrderState.ACKNOWLEDGED) == (session.state, ticket.state)
        assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
        assert (True, ()) == (router.reconcile().equal, router.reconcile().found)
        # The frame that waited told of it, and no comparison had to.
        assert EventType.RECONCILIATION_ALERT not in {event.type for event in router.events(0)}
        world.assert_books_equal(router)


def test_s18_answer_for_a_connection_that_is_gone_does_not_disturb_the_next(plain_world: World) -> None:
    world = plain_world
    exchange = world.exchange
    with world.router() as router:
        exchange.fault("delay_reply", {"endpoint": "execution/list", "category": "inverse"}, args={"ms": 500})
        exchange.fault("cut_private")
        until(lambda: world.fired("delay_reply"))
        # The last answer of that catch-up arrives while the next connection waits for its login.
        exchange.behaviour(session_ack_delay_ms=700)
        exchange.fault("cut_private")
        await_nth(router, "stream_AUTHENTICATING", 3)
        await_nth(router, "stream_LIVE", 2)
        states = [event.reason for event in router.events(0) if event.reason.startswith("stream_")]
        assert [3, 2] == [states.count("stream_CONNECTING"), states.count("stream_BACKING_OFF")]
        assert not [count for count in router.metrics if "crash" in repr(count)]
        assert OrderState.FILLED == router.submit(signal("again")).wait(WAIT_S).outcome
        world.assert_books_equal(router)
