"""Signals handed over: the ticket at once, the same answers a moment later, and nothing that waits is lost."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from attrs import evolve

from hean import (
    DenyReason,
    EventType,
    JournalError,
    OrderState,
    Router,
    RouterStopped,
    Signal,
    Ticket,
)
from hean.actors.admission import Admission
from hean.actors.boundary import Inbox
from hean.actors.handover import Handover, HandoverActor
from hean.actors.ports import Point, Ports
from hean.actors.registry import Cell
from hean.core.types import Denial, Ms, OrderLinkId
from hean.journal import JournalView
from hean.settings import Settings
from tests.actors.stage import Box, Stage
from tests.conftest import Routers, env_of
from tests.exchange import LoopbackExchange
from tests.scenarios.world import resting, signal
from tests.simulator.runtime import Kernel, Process

WAIT_S = 10
HANDED = {"orders__submit": "handed_over"}


class Held(Router):
    """A router whose admission stands still between the intent and the send, as long as the test wants."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.open = threading.Event()
        self.open.set()
        self.reached = threading.Semaphore(0)
        self.raises: list[Exception] = []
        self.threads: set[str] = set()

    def _ports(self) -> Ports:
        return evolve(super()._ports(), point=self._pass, unit=self._unit)

    def _unit(self) -> float:
        if self.raises and threading.current_thread().name.startswith("hean-HandoverActor"):
            raise self.raises.pop()
        return 0.5

    def _pass(self, point: Point) -> None:
        if point is Point.ADMITTED:
            self.threads.add(threading.current_thread().name.rsplit("-", 1)[0])
            self.reached.release()
            assert self.open.wait(WAIT_S)


Making = Callable[..., Held]


@pytest.fixture
def held(router_env: dict[str, str]) -> Iterator[Making]:
    made: list[Held] = []

    def make(**settings: Any) -> Held:
        one = Held.from_env(router_env, **HANDED | settings)
        made.append(one)
        one.start()
        return one

    yield make
    for one in made:
        one.open.set()
        one.stop()


@contextmanager
def busy(router: Held) -> Iterator[Ticket]:
    """One signal holds up all behind it."""
    router.open.clear()
    first = router.submit(resting("first"))
    assert router.reached.acquire(timeout=WAIT_S)
    yield first
    router.open.set()


def kinds(path: Path, ticket: Ticket) -> list[tuple[str, str]]:
    """Type and reason of the events that the journal has of one ticket."""
    with JournalView.read(path) as view:
        bodies = [orjson.loads(row.body) for row in view.records(order_link_id=ticket.order_link_id)]
    events = [body.get("event", body) for body in bodies]
    return [(event["type"], event["reason"]) for event in events if "type" in event and "reason" in event]


@pytest.mark.parametrize("entry", ["ws", "rest"])
def test_a_signal_handed_over_is_filled_as_one_of_the_caller(
    entry: str, router: Routers, exchange: LoopbackExchange
) -> None:
    made = router(**HANDED, bybit__entry=entry)
    ticket = made.submit(signal("buy"))
    assert OrderState.CLOSED == ticket.wait(WAIT_S).state
    assert OrderState.FILLED == ticket.outcome
    assert Decimal("0.001") == made.positions["BTCUSDT"].size
    (row,) = exchange.books()["orders"]
    assert ticket.order_link_id == row["orderLinkId"]
    types = [event.type for event in made.events(0.2) if event.order_link_id == ticket.order_link_id]
    assert [EventType.SIGNAL, EventType.ORDER_REQUEST] == types[:2]


def test_the_ticket_is_there_before_the_intent_and_a_thread_that_stood_ready_does_the_rest(
    held: Making, exchange: LoopbackExchange
) -> None:
    made = held()
    with busy(made):
        ticket = made.submit(resting("second"))
        assert (OrderState.PENDING, None) == (ticket.state, ticket.outcome)
        assert ("second", "BTCUSDT") == (ticket.snapshot().signal_id, ticket.snapshot().symbol)
        assert OrderState.PENDING == ticket.wait(0.01).state
        assert OrderState.PENDING == ticket.wait_for(OrderState.PENDING).state
        assert [] == kinds(Path(made._journal.path), ticket)
        assert [] == exchange.books()["orders"]
        link_id, correlation_id = ticket.order_link_id, ticket.correlation_id
    assert OrderState.ACKNOWLEDGED == ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state
    assert (link_id, correlation_id) == (ticket.order_link_id, ticket.correlation_id)
    assert {"hean-HandoverActor"} == made.threads


def test_the_same_signal_while_it_waits_is_the_same_order(held: Making, exchange: LoopbackExchange) -> None:
    made = held()
    with busy(made) as first:
        tickets = [made.submit(resting("first", qty="0.0010")), *(made.submit(resting("second")) for _ in range(3))]
    for ticket in tickets:
        assert OrderState.ACKNOWLEDGED == ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state
    assert first.order_link_id == tickets[0].order_link_id
    assert 1 == len({ticket.order_link_id for ticket in tickets[1:]})
    assert tickets[1].order_link_id == made.submit(resting("second")).order_link_id
    books = exchange.books()
    assert (2, 2) == (len(books["orders"]), books["counters"]["creates_received"])


def test_another_payload_while_the_first_waits_is_a_denial_of_its_own(held: Making, exchange: LoopbackExchange) -> None:
    made = held()
    with busy(made) as first:
        others = [made.submit(resting("first", qty="0.002")) for _ in range(2)]
    for other in others:
        assert (OrderState.DENIED, DenyReason.DUPLICATE_ID) == (other.wait(WAIT_S).state, other.snapshot().deny_reason)
    assert {first.order_link_id} != {other.order_link_id for other in others}
    others.append(made.submit(resting("first", qty="0.002")))
    assert 1 == len({other.order_link_id for other in others})
    assert OrderState.ACKNOWLEDGED == first.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state
    assert ["0.001"] == [row["qty"] for row in exchange.books()["orders"]]


def test_a_hundred_signals_from_four_threads_twice_are_a_hundred_orders(tmp_path: Path) -> None:
    start = threading.Barrier(4)

    def submit_all(router: Router, order: int) -> list[Ticket]:
        start.wait(WAIT_S)
        numbers = range(100) if order % 2 else reversed(range(100))
        return [router.submit(signal(f"n{number}")) for number in numbers for _ in range(2)]

    with (
        LoopbackExchange(limits="none") as exchange,
        Router.from_env(env_of(exchange, tmp_path / "j.db"), **HANDED) as router,
    ):
        with ThreadPoolExecutor(4) as threads:
            tickets = [ticket for part in threads.map(lambda n: submit_all(router, n), range(4)) for ticket in part]
        assert 100 == len({ticket.order_link_id for ticket in tickets})
        assert {OrderState.CLOSED} == {ticket.wait(60).state for ticket in tickets}
        counters = exchange.books()["counters"]
        assert (100, 100) == (counters["creates_received"], counters["creates_accepted"])
        assert Decimal("0.100") == router.positions["BTCUSDT"].size


@pytest.mark.parametrize(
    "changes,reason",
    [
        ({"symbol": "NOSUCHUSDT"}, DenyReason.BAD_SYMBOL),
        ({"symbol": ["BTCUSDT"]}, DenyReason.BAD_SYMBOL),
        ({"side": "buy"}, DenyReason.BAD_SIDE),
        ({"qty": 0.001}, DenyReason.BAD_QTY),
        ({"qty": "0.0015"}, DenyReason.OFF_STEP),
        ({"strategy_id": ""}, DenyReason.BAD_IDENTITY),
    ],
)
def test_a_denial_comes_later_with_the_events_and_the_reason_of_the_caller(
    changes: dict[str, Any], reason: DenyReason, router: Routers, exchange: LoopbackExchange
) -> None:
    made = router(**HANDED)
    ticket = made.submit(signal("bad", **changes))
    snapshot = ticket.wait(WAIT_S)
    assert (OrderState.DENIED, OrderState.DENIED, reason) == (snapshot.state, snapshot.outcome, snapshot.deny_reason)
    events = [event for event in made.events(0.2) if event.order_link_id == ticket.order_link_id]
    assert [EventType.SIGNAL, EventType.RISK_BLOCKED] == [event.type for event in events]
    assert ("RISK_BLOCKED", reason) == kinds(Path(made._journal.path), ticket)[-1]
    again = made.submit(signal("bad", **changes))
    assert (ticket.order_link_id, OrderState.DENIED) == (again.order_link_id, again.state)
    assert [] == exchange.books()["orders"]


def test_what_is_no_signal_raises_in_the_caller(router: Routers) -> None:
    made = router(**HANDED)
    with pytest.raises(AttributeError):
        made.submit("buy")  # type: ignore[arg-type]


def test_a_halt_holds_for_what_waits(held: Making, exchange: LoopbackExchange) -> None:
    made = held()
    with busy(made):
        waiting = made.submit(resting("waits"))
        made.halt("lunch")
        after = made.submit(resting("after"))
    for ticket in (waiting, after):
        assert DenyReason.HALTED == ticket.wait(WAIT_S).deny_reason
    assert 1 >= len(exchange.books()["orders"])


def test_what_waits_at_a_stop_is_denied_and_told(held: Making, exchange: LoopbackExchange) -> None:
    made = held()
    path = Path(made._journal.path)
    with busy(made) as first:
        waiting = [made.submit(resting(f"waits {number}")) for number in range(20)]
        stopping = threading.Thread(target=made.stop)
        stopping.start()
        # The first that a stop ends, once nothing is taken any more.
        assert made._actors[-1].actor_stopped.wait(WAIT_S)
    stopping.join(WAIT_S)
    assert {(OrderState.DENIED, DenyReason.STOPPED)} == {
        (ticket.state, ticket.snapshot().deny_reason) for ticket in waiting
    }
    for ticket in waiting:
        assert [("SIGNAL", "received"), ("RISK_BLOCKED", "stopped")] == kinds(path, ticket)
        assert OrderState.DENIED == ticket.wait().state
    with pytest.raises(RouterStopped):
        made.submit(resting("late"))
    # What was admitted before the stop is an order, whatever became of its send.
    assert first.state not in {OrderState.PENDING, OrderState.DENIED}
    assert 1 >= len(exchange.books()["orders"])


def test_a_submit_after_the_door_is_closed_raises(held: Making) -> None:
    made = held()
    assert [] == made._admission.close()  # type: ignore[union-attr]
    with pytest.raises(RouterStopped, match="nothing was sent"):
        made.submit(resting("late"))


def test_a_full_queue_denies_and_says_so(held: Making, exchange: LoopbackExchange) -> None:
    made = held(orders__submit_max=3)
    with busy(made):
        waiting = [made.submit(resting(f"waits {number}")) for number in range(2)]
        refused = made.submit(resting("too many"))
        assert (OrderState.DENIED, DenyReason.TOO_MANY_ORDERS) == (refused.state, refused.snapshot().deny_reason)
        assert "3 signals wait" in refused.snapshot().reason
        assert ("RISK_BLOCKED", "too_many_orders") == kinds(Path(made._journal.path), refused)[-1]
        # What waits already is no more.
        assert waiting[0].order_link_id == made.submit(resting("waits 0")).order_link_id
    for ticket in waiting:
        assert OrderState.ACKNOWLEDGED == ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state
    assert OrderState.DENIED == made.submit(resting("too many")).state
    assert 3 == len(exchange.books()["orders"])


def test_a_command_waits_for_the_signals_before_it(held: Making, exchange: LoopbackExchange) -> None:
    made = held()
    with busy(made) as first:
        second = made.submit(resting("second"))
        third = made.submit(resting("third"))
        with ThreadPoolExecutor(1) as thread:
            decided = thread.submit(second.cancel)
            assert not decided.done()
            made.open.set()
            assert decided.result(WAIT_S).decided in {"sent", "waiting", "done"}
    assert OrderState.CANCELLED == second.wait(WAIT_S).outcome
    assert made.ticket(third.order_link_id).order_link_id == third.order_link_id
    made.submit(resting("fourth"))
    assert 3 == len(made.cancel_all())
    for ticket in (first, third):
        assert OrderState.CANCELLED == ticket.wait(WAIT_S).outcome
    assert set() == {row["orderLinkId"] for row in exchange.books()["orders"] if row["orderStatus"] == "New"}


def test_a_signal_that_waited_too_long_is_denied_not_sent(held: Making, exchange: LoopbackExchange) -> None:
    made = held(orders__max_age_s=0.1)
    with busy(made):
        late = made.submit(resting("late"))
        assert OrderState.PENDING == late.wait(0.2).state
    assert DenyReason.TOO_OLD == late.wait(WAIT_S).deny_reason
    assert late.order_link_id not in {row["orderLinkId"] for row in exchange.books()["orders"]}


def test_a_journal_that_fails_is_told_by_the_ticket_and_halts(held: Making, exchange: LoopbackExchange) -> None:
    made = held()
    fails = made._journal._connection
    fails.execute("PRAGMA query_only = 1")
    ticket = made.submit(signal("unwritten"))
    assert DenyReason.JOURNAL_FAILED == ticket.wait(WAIT_S).deny_reason
    fails.execute("PRAGMA query_only = 0")
    assert DenyReason.HALTED == made.submit(signal("after")).wait(WAIT_S).deny_reason
    assert [] == exchange.books()["orders"]


def test_a_journal_that_cannot_be_read_denies_what_was_handed_over(held: Making, exchange: LoopbackExchange) -> None:
    made = held()
    reading, admission = made._journal.order, made._admission
    with busy(made):
        waiting = made.submit(resting("waits"))

        def fail(link_id: str) -> Any:
            raise JournalError("no such file")

        made._journal.order = fail  # type: ignore[method-assign]
        with pytest.raises(JournalError):
            admission.admit(resting("unread"))
    assert (DenyReason.JOURNAL_FAILED, "no such file") == (waiting.wait(WAIT_S).deny_reason, waiting.snapshot().reason)
    made._journal.order = reading  # type: ignore[method-assign]
    assert made._context.gate.halted_why


def test_what_raises_while_it_is_admitted_is_denied_and_hurts_nobody(held: Making) -> None:
    made = held()
    made.raises.append(ValueError("a bug"))
    ticket = made.submit(resting("raises"))
    assert DenyReason.UNREACHABLE == ticket.wait(WAIT_S).deny_reason
    assert "a bug" in ticket.snapshot().reason
    after = made.submit(resting("after"))
    assert OrderState.ACKNOWLEDGED == after.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state


def test_whoever_waits_is_let_go_when_the_door_does_not_answer_at_a_stop(held: Making) -> None:
    made = held()
    with busy(made), ThreadPoolExecutor(1) as thread:
        hangs = made.submit(resting("hangs"))
        waiting = thread.submit(hangs.wait)
        made.stop(0.2)
        assert OrderState.PENDING == waiting.result(WAIT_S).state
        made.open.set()


def door_of(mailbox: Any, stage: Stage, admission: Admission | None = None) -> Handover:
    return Handover(stage.context, admission or Admission(stage.context, None, 10), mailbox, 10)  # type: ignore[arg-type]


def test_one_thread_with_a_clock_of_its_own_drives_the_door_too() -> None:
    stage, kernel = Stage(), Kernel(random.Random(1), 1_000)
    process = Process(kernel)
    mailbox = process.mailbox("handover")
    door = door_of(mailbox, stage)
    process.start(HandoverActor, mailbox, stage.context, door)
    first, second = door.admit(signal("first")), door.admit(signal("second"))
    assert {OrderState.PENDING} == {each.snapshot.state for each in (first, second)}
    # Asking for one lets everything before it happen.
    door.link_id_of(first.snapshot.order_link_id)
    assert {DenyReason.NOT_LIVE} == {each.snapshot.deny_reason for each in (first, second)}
    assert ["received", "not_live"] * 2 == stage.reasons()
    process.kill()


def test_what_is_found_behind_the_word_to_stop_is_decided_too() -> None:
    stage, mailbox = Stage(), Inbox("handover")
    door = door_of(mailbox, stage)
    actor = HandoverActor(mailbox, stage.context, door)
    late = door.admit(signal("late"))
    actor.on_stop()
    assert DenyReason.NOT_LIVE == late.snapshot.deny_reason
    assert 0 == mailbox.depth()


def test_a_signal_that_waits_has_its_name_though_the_door_does_not_answer() -> None:
    class Busy(Box):
        def ask(self, message: object, timeout_s: float) -> object:
            return None

    door = door_of(Busy(), Stage())
    waits = door.admit(signal("waits"))
    assert waits.snapshot.order_link_id == door.link_id_of(waits.snapshot.order_link_id)
    assert None is door.link_id_of("nobody")


def test_a_door_that_cannot_even_deny_lets_go_and_says_so() -> None:
    class Broken(Admission):
        def admit(self, signal: Signal, submitted_ms: Ms | None = None) -> Cell:
            raise ValueError("a bug")

        def deny(self, signal: Signal, denial: Denial, link_id: OrderLinkId) -> Cell:
            raise TypeError("another")

    stage, mailbox, said = Stage(), Inbox("handover"), []
    stage.context.observe = lambda name, fields: said.append((name, fields["error"]))
    door = door_of(mailbox, stage, Broken(stage.context, None, 10))  # type: ignore[arg-type]
    actor = HandoverActor(mailbox, stage.context, door)
    first = door.admit(signal("one"))
    for message in (mailbox.receive(0), "nonsense"):
        assert None is actor.on_receive(message)
    assert ["ValueError('a bug')", "TypeError('another')"] == [error for _, error in said[:2]]
    assert {"actor.crash"} == {name for name, _ in said}
    assert 3 == len(said)
    assert OrderState.PENDING == first.wait(lambda snapshot: snapshot.settled, None).state
    # It waits no more, and may be submitted again.
    assert first is not door.admit(signal("one"))
