"""What stands between pykka and us: a handler that raises, an inbox that outlives its actor, a stop that ends."""

from __future__ import annotations

import threading
from typing import Any

import pykka
import pytest

from hean.actors.boundary import Boundary, Inbox, Threads, stop_actors
from tests.conftest import our_threads
from tests.scenarios.world import until

WAIT_S = 10


class Echo(Boundary):
    """Answers; raises what it is told to raise; waits for an event that it is told."""

    def __init__(self, mailbox: Any, crashes: list[tuple[object, BaseException]]) -> None:
        super().__init__(mailbox)
        self.crashes = crashes

    def handle(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        if isinstance(message, threading.Event):
            message.wait(WAIT_S)
        return message

    def crashed(self, message: Any, error: BaseException) -> None:
        self.crashes.append((message, error))


def started() -> tuple[Threads, Inbox, pykka.ActorRef[Any], list[tuple[object, BaseException]]]:
    threads, crashes = Threads(), []
    mailbox = threads.mailbox("echo")
    return threads, mailbox, threads.start(Echo, mailbox, crashes), crashes


@pytest.mark.parametrize("error", [ValueError("v"), SystemExit(), KeyboardInterrupt()], ids=type)
def test_whatever_a_handler_raises_the_actor_and_the_hosts_go_on(error: BaseException) -> None:
    threads, mailbox, ref, crashes = started()
    host = Echo.start(Inbox("host"), [])
    try:
        mailbox.tell(error)
        assert "after" == mailbox.ask("after", WAIT_S)
        assert [(error, error)] == crashes
        assert "host" == host.ask("host", timeout=WAIT_S)
    finally:
        stop_actors([ref, host], WAIT_S)
        threads.join(WAIT_S)


def test_what_was_told_before_a_stop_is_handled_and_what_comes_after_stays() -> None:
    threads, mailbox, ref, crashes = started()
    error = ValueError("told in time")
    mailbox.tell(error)
    assert stop_actors([ref], WAIT_S)
    mailbox.tell("late")
    assert threads.join(WAIT_S)
    assert [(error, error)] == crashes
    assert ["late"] == mailbox.leftover()
    assert [] == our_threads()


def test_an_actor_that_hangs_costs_a_stop_its_timeout_and_no_more() -> None:
    threads, mailbox, ref, _ = started()
    release = threading.Event()
    mailbox.tell(release)
    assert not stop_actors([ref], 0.05)
    assert not threads.join(0.05)
    assert mailbox.ask("busy", 0.05) is None
    release.set()
    assert threads.join(WAIT_S)


def test_an_actor_that_hung_still_finds_the_word_to_stop_when_others_took_its_messages() -> None:
    threads, mailbox, ref, crashes = started()
    release = threading.Event()
    mailbox.tell(release)
    mailbox.tell(ValueError("for another"))
    assert not stop_actors([ref], 0.05)
    assert 1 == len(mailbox.leftover())
    release.set()
    assert threads.join(WAIT_S)
    assert [] == crashes


def test_a_successor_goes_on_with_the_inbox() -> None:
    threads, mailbox, ref, _ = started()
    stop_actors([ref], WAIT_S)
    mailbox.tell(first := ValueError("left over"))
    crashes: list[tuple[object, BaseException]] = []
    successor = threads.start(Echo, mailbox, crashes)
    assert "here" == mailbox.ask("here", WAIT_S)
    assert [first] == [message for message, _ in crashes]
    stop_actors([successor], WAIT_S)
    threads.join(WAIT_S)


def test_an_inbox_without_an_actor_can_be_read() -> None:
    inbox = Inbox("box")
    assert inbox.receive(0) is None
    inbox.tell("one")
    assert (1, "one") == (inbox.depth(), inbox.receive(0))


def test_threads_are_named_after_their_actors() -> None:
    threads, _, ref, _ = started()
    assert ["hean-Echo-1"] == [thread.name for thread in our_threads()]
    stop_actors([ref], WAIT_S)
    threads.join(WAIT_S)


def test_a_thread_is_used_again_and_no_more_wait_than_told() -> None:
    threads = Threads(warm=1)
    first, second = (threads.start(Echo, threads.mailbox(name), []) for name in ("first", "second"))
    ran = set(our_threads())
    assert {"hean-Echo-1", "hean-Echo-2"} == {thread.name for thread in ran}
    stop_actors([first], WAIT_S)
    until(lambda: "hean-idle" in {thread.name for thread in our_threads()})
    third = threads.start(Echo, threads.mailbox("third"), [])
    assert ran == set(our_threads())
    assert {"hean-Echo-2", "hean-Echo-3"} == {thread.name for thread in ran}
    stop_actors([second, third], WAIT_S)
    until(lambda: ["hean-idle"] == [thread.name for thread in our_threads()])
    assert threads.join(WAIT_S)
    assert [] == our_threads()


def test_threads_stand_ready_before_the_first_actor() -> None:
    threads = Threads(warm=3)
    threads.prepare()
    ready = set(our_threads())
    assert ["hean-idle"] * 3 == [thread.name for thread in ready]
    ref = threads.start(Echo, threads.mailbox("echo"), [])
    assert ready == set(our_threads())
    stop_actors([ref], WAIT_S)
    assert threads.join(WAIT_S)
    assert [] == our_threads()


def test_the_hosts_threads_keep_their_stack_size() -> None:
    before = threading.stack_size()
    threads, _, ref, _ = started()
    assert before == threading.stack_size()
    stop_actors([ref], WAIT_S)
    assert threads.join(WAIT_S)
