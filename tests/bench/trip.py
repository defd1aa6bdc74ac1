"""
One order's times, and what a client must do to be measured.

A client trades one order at a time or many; it says when the strategy spoke, when its call returned, and when the fill
was in the strategy's hands. Links are the client's own order IDs, so that its times can be joined with the exchange's.
Each client speaks where its users would: on a thread of theirs, or on its event loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any, Protocol

SYMBOLS = ("BTCUSDT", "ETHUSDT")
"""Taken in turn: 500 in flight on one symbol would be what the exchange allows, and no more."""
QTYS = ("0.001", "0.01")
WAIT_S = 20.0


class Trip:
    """One order's times, monotonic ns; 0 for not yet."""

    __slots__ = ("done", "filled_ns", "link", "returned_ns", "spoke_ns")

    def __init__(self, done: threading.Event | asyncio.Event, link: str = "") -> None:
        self.link = link
        self.spoke_ns = 0
        self.returned_ns = 0
        self.filled_ns = 0
        self.done = done

    def filled(self) -> None:
        if not self.filled_ns:
            self.filled_ns = time.monotonic_ns()
            self.done.set()


class Client(Protocol):
    """
    Something that can trade.

    Attributes:
        rest_s: what its orders still cause after their fill is over by then, so that it burdens nobody else's turn.
        widest: orders that it can have in flight; a call that waits for its reply has one.
    """

    rest_s: float
    widest: int

    def start(self, urls: dict[str, str], scratch: Path) -> None:
        """Connect; returns when it can trade."""

    def one_by_one(self, first: int, count: int, pause_s: float) -> list[Trip]:
        """Orders one after the other, each filled before the next, and a pause between them."""

    def in_flight(self, first: int, count: int, most: int) -> None:
        """Orders with `most` on the way; returns when all are filled."""

    def stop(self) -> None: ...


class Threaded:
    """A client that is called from the strategy's thread."""

    rest_s = 0.05
    widest = 1_000_000

    def __init__(self) -> None:
        self.trips: dict[str, Trip] = {}
        self.run = f"{time.monotonic_ns():x}"

    def trade(self, number: int) -> Trip:
        """Send one market order; returns when the call returned, the fill comes later."""
        raise NotImplementedError

    def prepare(self, first: int, count: int) -> None:
        """What may be done before the strategy speaks."""

    def new_trip(self, number: int) -> Trip:
        trip = Trip(threading.Event(), f"{self.run}-{number}")
        self.trips[trip.link] = trip
        return trip

    def filled(self, link: str) -> None:
        trip = self.trips.get(link)
        if trip is not None:
            trip.filled()

    def one_by_one(self, first: int, count: int, pause_s: float) -> list[Trip]:
        self.trips.clear()
        self.prepare(first, count)
        trips = []
        for number in range(first, first + count):
            trip = self.trade(number)
            self._await(trip)
            trips.append(trip)
            time.sleep(pause_s)  # waits because the pause is what is asked for
        return trips

    def in_flight(self, first: int, count: int, most: int) -> None:
        self.trips.clear()
        self.prepare(first, count)
        waiting: list[Trip] = []
        for number in range(first, first + count):
            waiting.append(self.trade(number))
            if len(waiting) >= most:
                self._await(waiting.pop(0))
        for trip in waiting:
            self._await(trip)

    @staticmethod
    def _await(trip: Trip) -> None:
        if not trip.done.wait(WAIT_S):  # type: ignore[call-arg]
            raise RuntimeError(f"no fill of {trip.link} within {WAIT_S} s")


class Looped:
    """A client that is called on its event loop, where its users' code runs too; some other thread gives the orders."""

    rest_s = 0.05
    widest = 1_000_000

    def __init__(self) -> None:
        self.trips: dict[str, Trip] = {}
        self.run = f"{time.monotonic_ns():x}"
        self.loop = asyncio.new_event_loop()

    async def connect(self, urls: dict[str, str], scratch: Path) -> None:
        """Connect; returns when it can trade."""
        raise NotImplementedError

    async def trade(self, trip: Trip, number: int) -> None:
        """Send one market order of that link, and stamp when the strategy spoke and when the call returned."""
        raise NotImplementedError

    async def disconnect(self) -> None:
        """End what `connect` began."""

    def start(self, urls: dict[str, str], scratch: Path) -> None:
        self._do(self.connect(urls, scratch))

    def stop(self) -> None:
        self._do(self.disconnect())

    def filled(self, link: str) -> None:
        trip = self.trips.get(link)
        if trip is not None:
            trip.filled()

    def one_by_one(self, first: int, count: int, pause_s: float) -> list[Trip]:
        async def trade() -> list[Trip]:
            self.trips.clear()
            trips = []
            for number in range(first, first + count):
                trip = self._new_trip(number)
                await self.trade(trip, number)
                await asyncio.wait_for(trip.done.wait(), WAIT_S)  # type: ignore[arg-type]
                trips.append(trip)
                await asyncio.sleep(pause_s)  # waits because the pause is what is asked for
            return trips

        trips: list[Trip] = self._do(trade())
        return trips

    def in_flight(self, first: int, count: int, most: int) -> None:
        async def trade() -> None:
            self.trips.clear()
            waiting: list[tuple[Trip, asyncio.Task[None]]] = []

            async def settle() -> None:
                trip, task = waiting.pop(0)
                await task
                await asyncio.wait_for(trip.done.wait(), WAIT_S)  # type: ignore[arg-type]

            for number in range(first, first + count):
                trip = self._new_trip(number)
                waiting.append((trip, asyncio.create_task(self.trade(trip, number))))
                if len(waiting) >= most:
                    await settle()
            while waiting:
                await settle()

        self._do(trade())

    def _new_trip(self, number: int) -> Trip:
        trip = Trip(asyncio.Event(), f"{self.run}-{number}")
        self.trips[trip.link] = trip
        return trip

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()


def side_of(number: int) -> str:
    """Buys and sells in turn for each symbol, so that positions stay small."""
    return "Buy" if number // len(SYMBOLS) % 2 else "Sell"


def symbol_of(number: int) -> str:
    return SYMBOLS[number % len(SYMBOLS)]


def qty_of(number: int) -> str:
    return QTYS[number % len(SYMBOLS)]
