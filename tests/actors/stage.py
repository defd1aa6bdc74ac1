"""One actor alone on the stage: mailboxes that keep what they are told, a clock and timers of the test's own."""

from __future__ import annotations

from typing import Any

from hean.actors.bus import Bus
from hean.actors.context import Addresses, Context, Gate
from hean.actors.ports import Ports
from hean.actors.registry import Registry
from hean.core.record import OrderPolicy
from hean.core.types import Event, Ms
from hean.journal import Journal

NAMES = ("supervisor", "gateway", "stream", "trade", "portfolio", "external", "reconciler")


class Box:
    """A mailbox that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def tell(self, message: object) -> None:
        self.told.append(message)

    def ask(self, message: object, timeout_s: float) -> object:
        raise AssertionError(f"asked {message!r} within {timeout_s} s: nobody here may wait")

    def depth(self) -> int:
        return len(self.told)

    def leftover(self) -> list[object]:
        return []

    def hand(self, message: object) -> None:
        self.tell(message)

    def end(self) -> bool:
        return False

    def tell_patiently(self, message: object) -> None:
        self.tell(message)

    def nudge(self) -> None:
        """What waits here wakes nobody."""

    def next_of(self, wanted: Any) -> object | None:
        return self.told.pop(0) if self.told and wanted(self.told[0]) else None

    def give_back(self, messages: Any) -> None:
        self.told[:0] = messages

    def take(self, kind: type[Any]) -> list[Any]:
        """Take out what is of that kind."""
        taken = [message for message in self.told if isinstance(message, kind)]
        self.told = [message for message in self.told if not isinstance(message, kind)]
        return taken


class Stage:
    """
    What an actor shares with the others.

    Attributes:
        boxes: the others' mailboxes, by name.
        timers: key -> delay in ms, and what is told then.
    """

    def __init__(self) -> None:
        self.clock_ms = 1_000
        self.timers: dict[tuple[str, ...], tuple[int, object]] = {}
        self.boxes = {name: Box() for name in NAMES}
        ports = Ports(clock=self, timers=self, spawner=None, unit=lambda: 0.5)  # type: ignore[arg-type]
        self.context = Context(
            ports=ports,
            journal=Journal.memory(),
            bus=Bus(1_000, self.now_ms, lambda type_, error: None),
            registry=Registry(),
            gate=Gate(),
            policy=OrderPolicy(),
            to=Addresses(**self.boxes),
            observe=lambda name, fields: None,
        )

    def now_ms(self) -> Ms:
        """Each look at the clock finds it later."""
        self.clock_ms += 1
        return Ms(self.clock_ms)

    def after(self, delay_ms: int, mailbox: object, message: object, key: tuple[str, ...]) -> None:
        assert mailbox is not None
        self.timers[key] = (delay_ms, message)

    def cancel(self, key: tuple[str, ...]) -> None:
        self.timers.pop(key, None)

    def events(self) -> list[Event]:
        """What was published so far."""
        return list(self.context.bus.read(0))

    def reasons(self) -> list[str]:
        """The reasons of what was published so far."""
        return [event.reason for event in self.events()]
