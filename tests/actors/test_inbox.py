"""Who handles an actor's messages: one at a time, in order, none twice and none lost, on whichever thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pykka
import pytest
from attrs import frozen

from hean.actors.boundary import Boundary, Threads, stop_actors
from hean.actors.inbox import Carrier, Inbox
from tests.conftest import our_threads
from tests.scenarios.world import until

WAIT_S = 10


@frozen
class Lent:
    """A message that others may handle."""

    what: object = None


class Clerk(Boundary):
    """Notes what it handles, on which thread, and whether anybody else was at it; lends `Lent` alone."""

    lent = (Lent,)

    def __init__(self, mailbox: Any, rests: bool = True) -> None:
        super().__init__(mailbox)
        self._rests = rests
        self._busy = threading.Lock()
        self.handled: list[object] = []
        self.threads: list[str] = []
        self.crashes: list[tuple[object, str]] = []
        self.ended: list[str] = []

    def rests(self) -> bool:
        return self._rests

    def handle(self, message: Any) -> Any:
        assert self._busy.acquire(blocking=False), "two threads handle messages of one actor"
        try:
            what = message.what if isinstance(message, Lent) else message
            if callable(what):
                what()
            self.handled.append(what)
            self.threads.append(threading.current_thread().name)
            return what
        finally:
            self._busy.release()

    def crashed(self, message: Any, error: BaseException) -> None:
        self.crashes.append((message, threading.current_thread().name))

    def on_stop(self) -> None:
        self.ended.append(threading.current_thread().name)


class Office:
    """A clerk, its inbox, and the thread of this test as one that carries."""

    def __init__(self, *, rests: bool = True) -> None:
        self.threads = Threads(warm=2)
        self.inbox = self.threads.mailbox("clerk")
        made: list[Clerk] = []

        class Made(Clerk):
            def __init__(self, mailbox: Any) -> None:
                super().__init__(mailbox, rests)
                made.append(self)

        self.ref: pykka.ActorRef[Any] = self.threads.start(Made, self.inbox)
        [self.clerk] = made
        self.carrier = Carrier()

    def carry(self, work: Callable[[], None]) -> str:
        """Do something on a thread that carries; its name."""

        def carrying() -> None:
            self.carrier.settle()
            work()
            self.carrier.deliver()

        thread = threading.Thread(target=carrying, name="carrier")
        thread.start()
        thread.join(WAIT_S)
        assert not thread.is_alive()
        return thread.name


@pytest.fixture
def office() -> Iterator[Callable[..., Office]]:
    offices: list[Office] = []

    def make(**options: bool) -> Office:
        offices.append(Office(**options))
        return offices[-1]

    yield make
    for made in offices:
        stop_actors([made.ref], WAIT_S)
        assert made.threads.join(WAIT_S)
    assert [] == our_threads()


def test_what_a_carrier_tells_is_handled_on_its_thread_when_it_delivers(office: Callable[..., Office]) -> None:
    made = office()
    seen: list[int] = []

    def tell() -> None:
        made.inbox.tell(Lent(1))
        made.inbox.tell(Lent(2))
        seen.append(len(made.clerk.handled))

    made.carry(tell)
    assert ([0], [1, 2], ["carrier"] * 2) == (seen, made.clerk.handled, made.clerk.threads)


def test_what_a_handler_tells_on_a_carrier_is_carried_too(office: Callable[..., Office]) -> None:
    first, second = office(), office()
    first.carry(lambda: first.inbox.tell(Lent(lambda: second.inbox.tell(Lent("next")))))
    assert (["next"], ["carrier"]) == (second.clerk.handled, second.clerk.threads)


def test_what_others_tell_is_handled_on_the_actors_own_thread(office: Callable[..., Office]) -> None:
    made = office()
    made.inbox.tell(Lent(1))
    until(lambda: [1] == made.clerk.handled)
    assert ["hean-Made-1"] == made.clerk.threads


def test_what_is_not_lent_and_what_comes_after_it_is_left_to_the_actor(office: Callable[..., Office]) -> None:
    made = office()
    made.carry(lambda: [made.inbox.tell(message) for message in (Lent(1), "its own", Lent(2))])  # type: ignore[func-returns-value,return-value]
    until(lambda: 3 == len(made.clerk.handled))
    assert [1, "its own", 2] == made.clerk.handled
    assert ["carrier", "hean-Made-1"] == made.clerk.threads[:2]


def test_an_answer_that_somebody_waits_for_is_the_actors_own(office: Callable[..., Office]) -> None:
    made = office()
    assert "asked" == made.inbox.ask(Lent("asked"), WAIT_S)
    assert ["hean-Made-1"] == made.clerk.threads


def test_a_carrier_waits_for_no_actor_that_is_busy(office: Callable[..., Office]) -> None:
    made = office()
    began, go = threading.Event(), threading.Event()

    def busy() -> None:
        began.set()
        assert go.wait(WAIT_S)

    made.inbox.tell(busy)
    assert began.wait(WAIT_S)
    made.carry(lambda: made.inbox.tell(Lent("meanwhile")))
    assert [] == made.clerk.handled
    go.set()
    until(lambda: [busy, "meanwhile"] == made.clerk.handled)
    assert ["hean-Made-1"] * 2 == made.clerk.threads


def test_a_message_that_raises_on_a_carrier_is_dealt_with_by_the_actor_and_its_neighbours_go_on(
    office: Callable[..., Office],
) -> None:
    made = office()
    bad = Lent(lambda: 1 / 0)
    made.carry(lambda: [made.inbox.tell(message) for message in (Lent(1), bad, Lent(2))])  # type: ignore[func-returns-value,return-value]
    until(lambda: [1, 2] == made.clerk.handled)
    assert [(bad, "hean-Made-1")] == made.clerk.crashes


def test_what_raised_is_dealt_with_before_anything_that_was_told(office: Callable[..., Office]) -> None:
    made = office()
    order: list[object] = []
    made.clerk.crashed = lambda message, error: order.append("raised")  # type: ignore[method-assign]

    def fail() -> None:
        # Told patiently while the bad one is handled: what the actor holds is not what it has remembered.
        made.inbox.tell_patiently(Lent(lambda: order.append("patient")))
        made.inbox.tell(Lent(lambda: order.append("next")))
        raise ValueError("half done")

    made.carry(lambda: made.inbox.tell(Lent(fail)))
    until(lambda: 3 == len(order))
    assert ["raised", "patient", "next"] == order


def test_an_actor_at_rest_has_no_thread_until_it_needs_its_own(office: Callable[..., Office]) -> None:
    made = office()
    made.carry(lambda: made.inbox.tell(Lent(1)))
    assert [] == our_threads()
    made.inbox.tell("its own")
    until(lambda: "its own" in made.clerk.handled)
    assert ["hean-Made-1"] == [thread.name for thread in our_threads()]


def test_an_actor_with_something_to_do_at_its_start_has_its_thread_at_once(office: Callable[..., Office]) -> None:
    office(rests=False)
    assert ["hean-Made-1"] == [thread.name for thread in our_threads()]


def test_a_stop_at_rest_needs_no_thread_and_ends_the_actor(office: Callable[..., Office]) -> None:
    made = office()
    assert stop_actors([made.ref], WAIT_S)
    assert ([threading.current_thread().name], []) == (made.clerk.ended, our_threads())
    assert not made.ref.is_alive()
    made.carry(lambda: made.inbox.tell(Lent("late")))
    assert ([], ["late"]) == (made.clerk.handled, [message.what for message in made.inbox.leftover()])  # type: ignore[attr-defined]


def test_what_was_told_before_a_stop_is_handled_before_it(office: Callable[..., Office]) -> None:
    made = office()
    made.inbox.tell_patiently(Lent("patient"))
    assert stop_actors([made.ref], WAIT_S)
    assert (["patient"], ["hean-Made-1"]) == (made.clerk.handled, made.clerk.ended)


def test_a_patient_message_wakes_nobody_and_goes_before_the_next(office: Callable[..., Office]) -> None:
    made = office(rests=False)
    until(lambda: made.inbox.ask("begun", WAIT_S) == "begun")
    made.inbox.tell_patiently(Lent("accepted"))
    assert 1 == made.inbox.depth()
    made.carry(lambda: made.inbox.tell(Lent("row")))
    assert ["begun", "accepted", "row"] == made.clerk.handled
    assert ["carrier"] * 2 == made.clerk.threads[1:]


def test_what_hurries_goes_before_a_patient_message(office: Callable[..., Office]) -> None:
    made = office()
    made.clerk.hurried = (Lent,)  # type: ignore[misc]
    made.inbox.tell_patiently(Lent("accepted"))
    made.carry(lambda: made.inbox.tell(Lent("fill")))
    assert (["fill"], 1) == (made.clerk.handled, made.inbox.depth())
    made.clerk.hurried = ()  # type: ignore[misc]
    made.carry(lambda: made.inbox.tell(Lent("row")))
    assert ["fill", "accepted", "row"] == made.clerk.handled


def test_a_nudge_ends_the_patience(office: Callable[..., Office]) -> None:
    made = office()
    made.inbox.tell_patiently(Lent("accepted"))
    made.inbox.nudge()
    until(lambda: ["accepted"] == made.clerk.handled)


def test_what_is_handed_over_is_handled_at_once_by_who_hands_it(office: Callable[..., Office]) -> None:
    made = office()
    made.inbox.hand(Lent("here"))
    assert (["here"], [threading.current_thread().name]) == (made.clerk.handled, made.clerk.threads)


def test_what_waited_before_the_actor_came_is_handled_when_it_comes() -> None:
    threads, inbox = Threads(warm=0), Inbox("clerk")
    inbox.tell(Lent("early"))
    ref = threads.start(Clerk, inbox)
    until(lambda: 0 == inbox.depth())
    assert stop_actors([ref], WAIT_S)
    assert threads.join(WAIT_S)


def test_from_many_threads_each_message_is_handled_once_and_in_its_tellers_order(office: Callable[..., Office]) -> None:
    made, count, tellers = office(), 400, 6

    def tell(teller: int) -> None:
        carrier = Carrier()
        if teller % 2:
            carrier.settle()
        for number in range(count):
            message = (teller, number)
            if number % 50 == 7:
                made.inbox.tell(message)
            else:
                made.inbox.tell(Lent(message))
            if number % 3 == 0:
                carrier.deliver()
        carrier.deliver()

    threads = [threading.Thread(target=tell, args=(teller,)) for teller in range(tellers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    until(lambda: count * tellers == len(made.clerk.handled))
    assert [] == made.clerk.crashes
    for teller in range(tellers):
        mine = [message[1] for message in made.clerk.handled if message[0] == teller]  # type: ignore[index]
        assert list(range(count)) == mine
