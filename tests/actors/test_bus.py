"""Events on their way to the strategy."""

from __future__ import annotations

import threading

from hean import Event, EventType
from hean.actors.bus import Bus
from hean.core.types import Ms
from tests.scenarios.world import until

WAIT_S = 10


def event(number: int, type_: EventType = EventType.STATUS) -> Event:
    return Event(type=type_, at_ms=Ms(number))


def bus_of(bound: int = 100) -> tuple[Bus, list[BaseException]]:
    failed: list[BaseException] = []
    return Bus(bound, lambda: Ms(7), lambda _, error: failed.append(error)), failed


def numbers(events: list[Event]) -> list[int]:
    return [each.at_ms for each in events]


def test_every_reader_begins_at_the_start() -> None:
    bus, _ = bus_of()
    bus.publish([event(1), event(2)])
    assert [1, 2] == numbers(list(bus.read(0)))
    bus.publish([event(3)])
    assert [1, 2, 3] == numbers(list(bus.read(0)))


def test_a_reader_waits_for_more_and_ends_without() -> None:
    bus, _ = bus_of()
    bus.publish([event(1)])
    reader = bus.read(WAIT_S)
    assert 1 == next(reader).at_ms
    publisher = threading.Thread(target=bus.publish, args=([event(2)],))
    publisher.start()
    assert 2 == next(reader).at_ms
    publisher.join()
    bus.close()
    assert [] == list(reader)


def test_what_a_slow_reader_lost_is_counted_in_an_event() -> None:
    bus, _ = bus_of(2)
    bus.publish([event(number) for number in range(5)])
    lost, *rest = list(bus.read(0))
    assert (EventType.ERROR, "events_lost", 7) == (lost.type, lost.reason, lost.at_ms)
    assert lost.detail.startswith("3 events")
    assert [3, 4] == numbers(rest)


def test_a_handler_gets_its_type_from_its_subscription_on() -> None:
    bus, failed = bus_of()
    seen: list[int] = []
    bus.publish([event(1, EventType.SIGNAL)])
    bus.subscribe(EventType.STATUS, lambda _: None)
    bus.publish([event(2, EventType.SIGNAL)])
    bus.subscribe(EventType.SIGNAL, lambda got: seen.append(got.at_ms))
    bus.publish([event(3, EventType.SIGNAL), event(4)])
    bus.close(WAIT_S)
    assert [3] == seen
    assert [] == failed


def test_a_handler_that_raises_is_reported_and_the_others_go_on() -> None:
    bus, failed = bus_of()
    seen: list[int] = []
    error = KeyboardInterrupt("a mistake")

    def bad(_: Event) -> None:
        raise error

    bus.subscribe(EventType.STATUS, bad)
    bus.subscribe(EventType.STATUS, lambda got: seen.append(got.at_ms))
    bus.publish([event(1), event(2)])
    bus.close(WAIT_S)
    assert ([1, 2], [error, error]) == (seen, failed)


def test_a_handler_may_close_the_bus() -> None:
    bus, _ = bus_of()
    closed = threading.Event()
    bus.subscribe(EventType.STATUS, lambda _: (bus.close(), closed.set()))
    bus.publish([event(1)])
    assert closed.wait(WAIT_S)


def test_a_handler_is_told_of_no_loss_among_events_that_it_never_waited_for() -> None:
    bound = 10
    bus, _ = bus_of(bound)
    seen: list[Event] = []
    bus.subscribe(EventType.ERROR, seen.append)
    for first in range(0, 10 * bound, 3):
        bus.publish([event(first + place) for place in range(3)])
        until(lambda: bus._next - bus._called <= bound // 2)
    bus.publish([event(0, EventType.ERROR)])
    bus.close(WAIT_S)
    assert [""] == [each.reason for each in seen]
