"""
The simulator's runtime against pykka's own: the same actors on threads and on one thread, and nobody can tell.

Pykka's rules are tried on both; what only one thread can have (virtual time, a seeded order, sudden death) on it alone.
"""

from __future__ import annotations

import queue
import random
from collections.abc import Callable, Iterator
from typing import Any

import pykka
import pytest
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from hean.actors.boundary import Boundary, Inbox, Threads
from tests.simulator.runtime import Deadlock, Kernel, Killed, Process, SimFuture, SimMailbox

PATIENCE_S = 5.0


class Threaded:
    """Production: a thread for each actor."""

    def __init__(self) -> None:
        self._threads = Threads(warm=0)
        self.future: Callable[[], pykka.Future[Any]] = pykka.ThreadingFuture
        self.mailbox = self._threads.mailbox
        self.start = self._threads.start

    def ended(self, ref: pykka.ActorRef[Any]) -> None:
        """Wait until an actor that was stopped or has failed is gone."""
        assert ref.actor_stopped.wait(PATIENCE_S)
        assert self._threads.join(PATIENCE_S)


class OneThread:
    """The simulator."""

    def __init__(self) -> None:
        self.kernel = Kernel(random.Random("runtime"), 0)
        self.process = Process(self.kernel)
        self.future: Callable[[], pykka.Future[Any]] = lambda: self._bound(SimFuture())
        self.mailbox = self.process.mailbox
        self.start = self.process.start

    def _bound(self, future: SimFuture) -> SimFuture:
        future.process = self.process
        return future

    def ended(self, ref: pykka.ActorRef[Any]) -> None:
        """Let everything happen that can."""
        self.kernel.run_until(self.kernel.now_ms + 1_000)
        assert ref.actor_stopped.is_set()


Lab = Threaded | OneThread


@pytest.fixture(params=[Threaded, OneThread])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Either runtime."""
    before = set(pykka.ActorRegistry.get_all())
    yield request.param()
    for ref in set(pykka.ActorRegistry.get_all()) - before:
        pykka.ActorRegistry.unregister(ref)
        ref.actor_inbox.put(Envelope(_ActorStop()))


class Bad(Exception):
    """What a handler raises."""


class Plain(pykka.ThreadingActor):
    """An actor as pykka has it, on a mailbox of ours."""

    def __init__(self, mailbox: Any, log: list[Any]) -> None:
        super().__init__()
        self.actor_inbox = mailbox
        self._actor_ref = pykka.ActorRef(self)
        self.log = log
        self.colour = "red"

    def on_start(self) -> None:
        self.log.append("start")

    def on_stop(self) -> None:
        self.log.append("stop")

    def on_failure(self, *error: Any) -> None:
        self.log.append(f"failure {error[1]}")

    def on_receive(self, message: Any) -> Any:
        if message == "bad":
            raise Bad("bad")
        if message == "end":
            self.stop()
        if message == "echo":
            self.actor_ref.tell("echoed")
        self.log.append(message)
        return f"re {message}"

    def paint(self, colour: str) -> str:
        self.colour = colour
        return f"painted {colour}"


class Guarded(Boundary):
    """An actor behind hean's boundary."""

    def __init__(self, mailbox: Any, log: list[Any]) -> None:
        super().__init__(mailbox)
        self.log = log

    def handle(self, message: Any) -> Any:
        if message == "bad":
            raise Bad("bad")
        self.log.append(message)
        return f"re {message}"

    def crashed(self, message: Any, error: BaseException) -> None:
        self.log.append(f"crashed by {message}: {error}")


def test_messages_are_handled_in_the_order_they_were_told(lab: Lab) -> None:
    log: list[Any] = []
    box = lab.mailbox("box")
    lab.start(Plain, box, log)
    for number in range(5):
        box.tell(number)
    box.ask("last", PATIENCE_S)
    assert ["start", 0, 1, 2, 3, 4, "last"] == log


def test_ask_gives_the_answer_of_the_handler(lab: Lab) -> None:
    box = lab.mailbox("box")
    lab.start(Plain, box, [])
    assert "re question" == box.ask("question", PATIENCE_S)


def test_messages_told_before_the_actor_starts_are_handled_by_it(lab: Lab) -> None:
    log: list[Any] = []
    box = lab.mailbox("box")
    box.tell("early")
    lab.start(Plain, box, log)
    box.ask("late", PATIENCE_S)
    assert ["start", "early", "late"] == log


def test_what_an_actor_tells_itself_goes_behind_what_waits(lab: Lab) -> None:
    log: list[Any] = []
    box = lab.mailbox("box")
    box.tell("echo")
    box.tell("second")
    lab.start(Plain, box, log)
    box.ask("third", PATIENCE_S)
    box.ask("fourth", PATIENCE_S)
    assert ["start", "echo", "second", "third", "echoed", "fourth"] == sorted(log, key=log.index)
    assert log.index("second") < log.index("echoed")


def test_exception_in_an_ask_is_raised_at_the_caller_and_the_actor_lives(lab: Lab) -> None:
    ref = lab.start(Plain, lab.mailbox("box"), [])
    with pytest.raises(Bad):
        ref.ask("bad", timeout=PATIENCE_S)
    assert "re good" == ref.ask("good", timeout=PATIENCE_S)


def test_exception_in_a_tell_kills_the_actor_and_those_behind_it_hear_that_it_is_dead(lab: Lab) -> None:
    log: list[Any] = []
    box = lab.mailbox("box")
    box.tell("bad")
    box.tell("never")
    ref = lab.start(Plain, box, log)
    lab.ended(ref)
    assert ["start", "failure bad"] == log
    assert not ref.is_alive()
    assert ref not in pykka.ActorRegistry.get_all()
    with pytest.raises(pykka.ActorDeadError):
        ref.tell("later")


def test_pending_ask_of_an_actor_that_dies_fails(lab: Lab) -> None:
    box = lab.mailbox("box")
    box.tell("bad")
    future = lab.future()
    box.put(Envelope("pending", reply_to=future))
    lab.ended(lab.start(Plain, box, []))
    with pytest.raises(pykka.ActorDeadError):
        future.get(timeout=PATIENCE_S)


def test_boundary_survives_what_its_handler_raises(lab: Lab) -> None:
    log: list[Any] = []
    box = lab.mailbox("box")
    ref = lab.start(Guarded, box, log)
    box.tell("bad")
    assert None is box.ask("bad", PATIENCE_S)
    assert "re good" == box.ask("good", PATIENCE_S)
    assert ["crashed by bad: bad", "crashed by bad: bad", "good"] == log
    assert ref.is_alive()


def test_stop_comes_after_what_was_told_before_and_leaves_the_rest(lab: Lab) -> None:
    log: list[Any] = []
    box = lab.mailbox("box")
    ref = lab.start(Guarded, box, log)
    box.tell("before")
    stopping = ref.stop(block=False)
    assert True is stopping.get(timeout=PATIENCE_S)
    lab.ended(ref)
    box.tell("after")
    assert ["before"] == log
    assert ["after"] == box.leftover()
    assert not ref.is_alive()
    assert ref not in pykka.ActorRegistry.get_all()


def test_mailbox_outlives_its_actor_and_another_goes_on_with_it(lab: Lab) -> None:
    log: list[Any] = []
    box = lab.mailbox("box")
    first = lab.start(Guarded, box, log)
    first.stop(block=False).get(timeout=PATIENCE_S)
    box.tell("between")
    if isinstance(lab, OneThread):
        lab.ended(first)
    lab.start(Guarded, box, log)
    assert "re now" == box.ask("now", PATIENCE_S)
    assert ["between", "now"] == log


def test_actor_that_stops_itself_ends_after_what_waits_already(lab: Lab) -> None:
    log: list[Any] = []
    box = lab.mailbox("box")
    box.tell("end")
    box.tell("waits")
    ref = lab.start(Plain, box, log)
    lab.ended(ref)
    assert ["start", "end", "waits", "stop"] == log


def test_start_that_raises_gives_a_reference_to_a_dead_actor(lab: Lab) -> None:
    class Stillborn(Plain):
        def on_start(self) -> None:
            raise Bad("at birth")

    box = lab.mailbox("box")
    ref = lab.start(Stillborn, box, [])
    lab.ended(ref)
    assert not ref.is_alive()
    assert ref not in pykka.ActorRegistry.get_all()


def test_word_to_stop_for_an_actor_that_is_dead_is_answered_at_once(lab: Lab) -> None:
    box = lab.mailbox("box")
    box.tell("end")
    ref = lab.start(Plain, box, [])
    lab.ended(ref)
    assert False is ref.stop(block=False).get(timeout=0)


def test_actor_is_registered_from_its_start_on(lab: Lab) -> None:
    ref = lab.start(Plain, lab.mailbox("box"), [])
    assert ref in pykka.ActorRegistry.get_all()
    assert ref.is_alive()


def test_proxy_reads_writes_and_calls(lab: Lab) -> None:
    proxy = lab.start(Plain, lab.mailbox("box"), []).proxy()
    assert "red" == proxy.colour.get(timeout=PATIENCE_S)
    assert "painted blue" == proxy.paint("blue").get(timeout=PATIENCE_S)
    proxy.colour = "green"
    assert "green" == proxy.colour.get(timeout=PATIENCE_S)


def test_ask_without_an_actor_gives_none_and_the_message_waits(lab: Lab) -> None:
    box = lab.mailbox("box")
    assert None is box.ask("anybody", 0.01)
    assert 1 == box.depth()


def test_leftover_answers_who_asked_and_keeps_the_word_to_stop(lab: Lab) -> None:
    box = lab.mailbox("box")
    ref = lab.start(Guarded, box, [])
    ref.stop(block=False).get(timeout=PATIENCE_S)
    lab.ended(ref)
    future = lab.future()
    box.tell("left")
    box.put(Envelope("asked", reply_to=future))
    box.tell(_ActorStop())
    assert ["left", "asked"] == box.leftover()
    assert None is future.get(timeout=PATIENCE_S)
    assert 1 == box.depth()


def test_future_is_answered_once_and_read_as_often_as_wanted(lab: Lab) -> None:
    future = lab.future()
    future.set("answer")
    with pytest.raises(queue.Full):
        future.set("another")
    assert ["answer", "answer"] == [future.get(timeout=0), future.get()]


def test_future_gives_the_exception_that_it_was_set_to(lab: Lab) -> None:
    future = lab.future()
    try:
        raise Bad("set")
    except Bad:
        future.set_exception()
    for _ in range(2):
        with pytest.raises(Bad, match="set"):
            future.get(timeout=0)


def test_future_without_an_answer_times_out(lab: Lab) -> None:
    with pytest.raises(pykka.Timeout):
        lab.future().get(timeout=0.01)


def test_future_maps_as_pykkas(lab: Lab) -> None:
    future = lab.future()
    mapped = future.map(len)
    future.set("four")
    assert 4 == mapped.get(timeout=0)


def test_simulated_mailbox_offers_all_that_productions_does() -> None:
    def offered(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    # `receive` blocks a thread that is no actor's; here the world's own loop does what such a thread would. The others
    # say which thread handles a message, and here there is one.
    assert {"receive", "carry", "enter", "lend", "rest"} >= offered(Inbox) - offered(SimMailbox)


# One thread alone.


def one_thread(seed: str = "seed") -> tuple[Kernel, Process]:
    kernel = Kernel(random.Random(seed), 0)
    return kernel, Process(kernel)


def order_of(seed: str) -> list[Any]:
    kernel, process = one_thread(seed)
    log: list[Any] = []
    for name in "abc":
        box = process.mailbox(name)
        process.start(Guarded, box, log)
        for number in range(4):
            box.tell(f"{name}{number}")
    kernel.run_until(10)
    return log


def test_seed_chooses_whose_message_is_next_and_each_mailbox_keeps_its_order() -> None:
    assert order_of("one") == order_of("one")
    assert order_of("one") != order_of("two")
    assert [f"b{number}" for number in range(4)] == [word for word in order_of("one") if word.startswith("b")]


def test_one_turn_handles_one_message() -> None:
    kernel, process = one_thread()
    log: list[Any] = []
    box = process.mailbox("box")
    process.start(Guarded, box, log)
    box.tell("first")
    box.tell("second")
    assert kernel.turn(0)
    assert kernel.turn(0)
    assert ["first"] == log[:1]
    kernel.run_until(0)
    assert not kernel.turn(0)


def test_whoever_waits_lets_the_others_go_on() -> None:
    kernel, process = one_thread()

    class Asker(Guarded):
        def handle(self, message: Any) -> Any:
            self.log.append(other.ask("deep", 1.0))

    log: list[Any] = []
    other, box = process.mailbox("other"), process.mailbox("box")
    process.start(Guarded, other, [])
    process.start(Asker, box, log)
    box.tell("go")
    kernel.run_until(0)
    assert ["re deep"] == log


def test_waiting_takes_virtual_time_and_no_more_than_allowed() -> None:
    kernel, process = one_thread()
    assert None is process.mailbox("nobody").ask("x", 2.5)
    assert 2_500 == kernel.now_ms


def test_waiting_without_end_is_told_as_a_deadlock() -> None:
    _, process = one_thread()
    future = SimFuture()
    future.process = process
    with pytest.raises(Deadlock):
        future.get()


def test_timer_is_replaced_by_one_of_its_key_and_a_cancelled_one_stays_away() -> None:
    kernel, process = one_thread()
    box = process.mailbox("box")
    process.after(10, box, "replaced", ("key",))
    process.after(20, box, "kept", ("key",))
    process.after(15, box, "cancelled", ("other",))
    process.cancel(("other",))
    kernel.run_until(100)
    assert ["kept"] == box.leftover()
    assert {} == process.armed


def test_nothing_happens_before_its_time_or_beyond_the_end() -> None:
    kernel, process = one_thread()
    box = process.mailbox("box")
    process.after(10, box, "due", ("key",))
    kernel.run_until(9)
    assert (9, []) == (kernel.now_ms, box.leftover())
    kernel.run_until(10)
    assert (10, ["due"]) == (kernel.now_ms, box.leftover())


def test_actor_that_is_held_waits_and_then_goes_on() -> None:
    kernel, process = one_thread()
    log: list[Any] = []
    box = process.mailbox("box")
    process.start(Guarded, box, log)
    kernel.held["box"] = 50
    box.tell("slow")
    kernel.run_until(49)
    assert [] == log
    kernel.at(50, lambda: None)
    kernel.run_until(51)
    assert ["slow"] == log


def test_killed_process_does_nothing_more() -> None:
    kernel, process = one_thread()
    log: list[Any] = []
    box = process.mailbox("box")
    ref = process.start(Guarded, box, log)
    box.tell("queued")
    process.after(10, box, "timed", ("key",))
    process.kill()
    box.tell("late")
    kernel.run_until(1_000)
    assert [] == log
    assert not ref.is_alive()
    with pytest.raises(Killed):
        process.start(Guarded, box, log)


def test_whoever_waits_when_the_process_dies_goes_with_it() -> None:
    kernel, process = one_thread()
    kernel.at(5, process.kill)
    with pytest.raises(Killed):
        process.mailbox("nobody").ask("x", 1.0)
    assert 5 == kernel.now_ms
