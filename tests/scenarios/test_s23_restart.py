"""
S23 Restart: killed in the middle of a submit or of a fill, and back after a moment, two days, ten days.

Intent is remembered before bytes leave, so every order that is not settled is looked up, a replayed signal is answered
from the journal, and a second comparison of unchanged truth says nothing. Days are the business of the core, which gets
its clock as an argument.
"""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest

from hean import EventType, OrderState, RemoteError, Router
from hean.actors.ports import Point
from hean.core import lookup
from hean.core.calls import Page, QueryExecutions, QueryOrders, Reply, Verdict, VerdictKind
from hean.core.facts import Executed, Resolved, Restarted, SendCreate
from hean.core.lookup import WINDOW_MS
from hean.core.record import DAY_MS
from hean.core.types import Ms, OrderStatus
from hean.journal import JournalView
from tests.conftest import env_of
from tests.core.orders import FULL, NEW, PART, SENT, fill, life, row
from tests.scenarios.dying import die_at
from tests.scenarios.world import WAIT_S, World, await_event, resting, signal, types_of, until

# Where a market order may be when its process dies; whatever comes after, the intent was remembered.
MOMENTS = [
    Point.ADMITTED,
    Point.OFFERED,
    Point.SENT,
    Point.ANSWERED,
    Point.RECEIVED,
    Point.APPLIED,
    Point.REMEMBERED,
    Point.PUBLISHED,
    Point.FOLDED,
]
HOUR_MS = 3_600_000


def compare_twice(router: Router) -> None:
    """A comparison of unchanged truth finds nothing, and says nothing."""
    for _ in range(2):
        before = len(list(router.events(0)))
        report = router.reconcile()
        assert (True, (), ()) == (report.complete, report.found, report.left)
        assert before == len(list(router.events(0)))


@pytest.mark.parametrize("point", MOMENTS)
def test_s23_killed_process_comes_back_to_one_order(point: Point, world: World) -> None:
    die_at(point, env_of(world.exchange, world.journal, **world.settings), signal("cut short"))
    with world.router() as router:
        ticket = router.submit(signal("cut short"))
        order = ticket.wait(WAIT_S)
        assert (OrderState.CLOSED, OrderState.FILLED, Decimal("0.001")) == (
            order.state,
            order.outcome,
            order.cum_exec_qty,
        )
        assert not {EventType.POSITION_ADOPTED, EventType.RECONCILIATION_ALERT} & {
            event.type for event in router.events(0)
        }
        world.assert_books_equal(router)
        compare_twice(router)
    # Each execution moved its position once, and that was told once, in whichever life.
    assert [1] == [world.told_of_positions()[row["execId"]] for row in world.executions()]
    assert 1 == len(world.orders())
    assert [True] == [create["executed"] for create in world.creates(ticket.order_link_id)]
    assert {ticket.correlation_id} == world.correlations(ticket.order_link_id)


def test_s23_position_is_told_of_a_trade_by_another_hand_that_was_only_remembered(plain_world: World) -> None:
    world = plain_world
    env = env_of(world.exchange, world.journal, **world.settings)
    dying = threading.Thread(target=die_at, args=(Point.FOLDED, env, resting("rests")), name="dying")
    dying.start()
    until(world.orders)
    world.exchange.fault("foreign_order", args={"symbol": "BTCUSDT", "side": "Sell", "qty": "0.004"})
    dying.join(WAIT_S)
    with JournalView.read(world.journal) as view:
        # Accounted, and nobody was told what it did.
        assert (1, 1) == (len(list(view.executions())), len(view.parked()))
    assert not world.told_of_positions()
    with world.router() as router:
        opened = await_event(router, EventType.POSITION_OPENED)
        assert opened.correlation_id == f"external-{opened.order_id}"
        compare_twice(router)
        world.assert_books_equal(router)
    with world.router() as router:
        assert EventType.POSITION_OPENED not in {event.type for event in router.events(0)}
        world.assert_books_equal(router)
    assert [1, 0] == [*world.told_of_positions().values(), world.parked()]


def test_s23_intent_too_old_at_the_restart_is_a_stated_no(world: World) -> None:
    settings = world.settings | {"orders__max_age_s": 0.5}
    die_at(Point.ADMITTED, env_of(world.exchange, world.journal, **settings), signal("stale"))
    with world.router(orders__max_age_s=0.5) as router:
        order = router.submit(signal("stale")).wait(WAIT_S)
        assert (OrderState.CLOSED, OrderState.REJECTED, "not_placed") == (order.state, order.outcome, order.reason)
    assert ([], []) == (world.orders(), world.creates(order.order_link_id))


@pytest.mark.parametrize("point", [Point.ADMITTED, Point.SENT])
def test_s23_nothing_is_live_while_an_order_is_in_doubt(point: Point, world: World) -> None:
    die_at(point, env_of(world.exchange, world.journal, **world.settings), signal("doubtful"))
    # No look-up ends in an answer: nobody knows whether the order is there.
    world.exchange.fault("error", {"endpoint": "order/history"}, count=None, args={"ret_code": 10016})
    world.exchange.fault("error", {"endpoint": "execution/list"}, count=None, args={"ret_code": 10016})
    world.exchange.fault("partial_page", {"endpoint": "order/realtime"}, count=None, args={"rows": 0})
    with pytest.raises(RemoteError, match=r"not LIVE within"), world.router(start__timeout_s=2):
        pass
    world.exchange.clear_faults()
    with world.router() as router:
        (order,) = router.orders.values()
        assert OrderState.TIMEOUT is not order.state
        assert OrderState.FILLED == router.ticket(order.order_link_id).wait(WAIT_S).outcome
        world.assert_books_equal(router)
    assert 1 == len(world.orders())


def test_s23_what_happened_meanwhile_is_known_when_the_router_is_live(world: World) -> None:
    with world.router() as router:
        filled = router.submit(resting("fills"))
        cancelled = router.submit(resting("ends", price="40000"))
        stays = [router.submit(resting(f"stays {number}", price=str(30_000 + number))) for number in range(14)]
        for ticket in (filled, cancelled, *stays):
            ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    world.exchange.market("BTCUSDT", bid="45000", ask="49999.9")
    world.cancel_by_hand(cancelled)
    with world.router() as router:
        assert Decimal("0.001") == router.positions["BTCUSDT"].size
        known = {name: router.ticket(ticket.order_link_id) for name, ticket in (("f", filled), ("c", cancelled))}
        assert [OrderState.FILLED, OrderState.CANCELLED] == [ticket.wait(WAIT_S).outcome for ticket in known.values()]
        assert {OrderState.ACKNOWLEDGED} == {router.ticket(ticket.order_link_id).state for ticket in stays}
        assert [EventType.ORDER_FILLED, EventType.POSITION_OPENED, EventType.ORDER_SETTLED] == types_of(router, filled)
        world.assert_books_equal(router)
        compare_twice(router)
        assert {"sent"} == {decision.decided for decision in router.cancel_all().values()}
        assert {OrderState.CANCELLED} == {router.ticket(ticket.order_link_id).wait(WAIT_S).outcome for ticket in stays}
    assert 16 == len(world.orders())


def test_s23_replayed_signals_are_answered_from_the_journal(world: World) -> None:
    with world.router() as router:
        tickets = [router.submit(signal(f"n{number}")) for number in range(5)]
        denied = router.submit(signal("bad", qty="0.00001"))
        assert {OrderState.FILLED} == {ticket.wait(WAIT_S).outcome for ticket in tickets}
    before = len(world.exchange.requests())
    for _ in range(2):
        with world.router() as router:
            again = [router.submit(signal(f"n{number}")) for number in range(5)]
            assert [ticket.order_link_id for ticket in tickets] == [ticket.order_link_id for ticket in again]
            assert {(OrderState.CLOSED, OrderState.FILLED)} == {(ticket.state, ticket.outcome) for ticket in again}
            assert (OrderState.DENIED, denied.snapshot().deny_reason) == (
                (repeated := router.submit(signal("bad", qty="0.00001"))).state,
                repeated.snapshot().deny_reason,
            )
            world.assert_books_equal(router)
    assert [] == [row for row in world.exchange.requests()[before:] if "create" in str(row)]
    assert 5 == len(world.orders())


def test_s23_halt_outlives_the_process(world: World) -> None:
    with world.router() as router:
        router.halt("night", who="ann")
        router.submit(resting("while halted"))
    with world.router() as router:
        ticket = router.submit(signal("still halted"))
        assert ("halted", OrderState.DENIED) == (ticket.snapshot().deny_reason, ticket.state)
        router.resume(who="ann")
        assert OrderState.FILLED == router.submit(signal("at last")).wait(WAIT_S).outcome
    with world.router() as router:
        assert OrderState.FILLED == router.submit(signal("nor come back")).wait(WAIT_S).outcome


# Days: the core with a virtual clock.


def test_s23_absence_within_a_day_is_a_stated_no() -> None:
    made = life(SENT)
    made.take(Restarted(), after_ms=DAY_MS - HOUR_MS)
    made.look(after_ms=made.policy.visibility_ms)
    made.look(after_ms=1)
    assert (OrderState.REJECTED, "not_placed") == (made.state, made.order.reason)
    assert 1 == made.wanted(SendCreate)


@pytest.mark.parametrize("days", [1, 2, 10])
def test_s23_absence_proves_nothing_once_the_exchange_forgets(days: int) -> None:
    made = life(SENT)
    made.take(Restarted(), after_ms=days * DAY_MS)
    for _ in range(5):
        made.look(after_ms=HOUR_MS)
    assert OrderState.ERROR == made.state
    assert "longer ago than the exchange remembers" in made.order.reason
    assert [1, 0] == [made.wanted(SendCreate), made.told(EventType.ORDER_REJECTED)]
    made.take(Resolved(verdict="rejected", who="ann", why="the web page shows nothing"), after_ms=HOUR_MS)
    assert OrderState.REJECTED == made.state
    assert "ann" in made.order.reason


@pytest.mark.parametrize("days", [2, 10])
def test_s23_fills_of_the_days_between_are_applied_once(days: int) -> None:
    made = life(SENT, NEW, PART)
    made.take(Restarted(), after_ms=days * DAY_MS)
    made.take(PART, FULL, PART, FULL)
    assert (OrderState.FILLED, Decimal(1)) == (made.state, made.order.ledger.cum_exec_qty)
    assert 2 == made.told(EventType.ORDER_FILLED)


@pytest.mark.parametrize("days", [0, 2, 6, 10, 40])
def test_s23_look_up_reaches_back_to_the_submit(days: int) -> None:
    order = life(SENT).order
    submitted_ms = order.request.submitted_ms
    now_ms = Ms(submitted_ms + days * DAY_MS)
    windows = []
    look: lookup.Lookup | lookup.Ended = lookup.begin(order, now_ms)
    while isinstance(look, lookup.Lookup):
        question = look.question()
        if isinstance(question, QueryOrders) and question.history:
            windows.append((question.start_ms, question.end_ms))
        if isinstance(question, QueryExecutions):
            # By ID every other filter is ignored there. Source: Bybit V5 docs, order/execution.
            assert order.request.order_link_id == question.order_link_id
        look = lookup.feed(look, answered(question, Page()))
    if days < 6:
        assert [(None, None)] == windows
        return
    assert windows[0][0] is not None
    assert windows[0][0] <= submitted_ms
    assert all(start is not None and end is not None and end - start <= WINDOW_MS for start, end in windows)
    assert [end for _, end in windows[:-1]] == [start for start, _ in windows[1:]]
    assert windows[-1][1] is not None
    assert windows[-1][1] >= now_ms


def test_s23_order_that_ended_ten_days_ago_is_found_in_its_window() -> None:
    made = life(SENT, NEW)
    made.take(Restarted(), after_ms=10 * DAY_MS)
    look: lookup.Lookup | lookup.Ended = lookup.begin(made.order, Ms(made.now_ms))
    while isinstance(look, lookup.Lookup):
        question = look.question()
        page = Page()
        if isinstance(question, QueryExecutions):
            page = Page(executions=(fill("e9", "1", at=50),))
        elif question.history and question.start_ms is not None and question.start_ms < made.order.request.submitted_ms:
            page = Page(orders=(row(OrderStatus.FILLED, "1", at=60),))
        look = lookup.feed(look, answered(question, page))
    assert any(isinstance(fact, Executed) for fact in look.facts)
    made.take(*look.facts)
    assert (OrderState.FILLED, Decimal(1)) == (made.state, made.order.ledger.cum_exec_qty)


def answered(question: QueryOrders | QueryExecutions, page: Page) -> Reply:
    return Reply(call=question, verdict=Verdict(kind=VerdictKind.ACCEPTED), result=page)
