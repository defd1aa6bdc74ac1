"""
Where each microsecond goes: from the signal to the wire, and from the frame of a fill to the strategy.

The stages are stamped by wrapping hean's callables in this process, where they are looked up; hean itself has no code
for it, so a run without stages costs nothing. One order is in flight at a time, so that whatever is stamped between a
signal and its fill is of that order. A stamp costs some tenths of a microsecond: the sum is a little above a run
without. A stage whose callable has another name by now is told, and left out.
"""

from __future__ import annotations

import functools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from hean import Router
from hean.actors import admission, express, order, sockets, stream, trade
from hean.actors.bus import Bus
from hean.bybit.stream import Socket
from hean.core import checks, ids
from hean.journal import Journal
from tests.bench.clients import client_of
from tests.bench.exchange import TimedExchange
from tests.bench.trip import Client, Trip


@frozen
class Span:
    """One call: the names of the wrapped calls round it and its own, and when it began and ended."""

    path: tuple[str, ...]
    began_ns: int
    ended_ns: int
    thread: int


class Tracer:
    """Wraps callables until `close`, and keeps a span for each call."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._local = threading.local()
        self.missing: list[str] = []
        self._wrapped: list[tuple[Any, str, Any]] = []

    def wrap(self, owner: Any, attribute: str, name: str | Callable[..., str]) -> None:
        """
        Stamp each call of `owner.attribute`.

        Args:
            owner: a module or a class, there where the caller looks the callable up.
            attribute: of it.
            name: of the stage, or what makes it from the call's arguments.
        """
        inner, spans, local = getattr(owner, attribute, None), self.spans, self._local
        if inner is None:
            self.missing.append(f"{owner.__name__}.{attribute}")
            return
        now_ns, get_ident = time.monotonic_ns, threading.get_ident
        self._wrapped.append((owner, attribute, inner))

        @functools.wraps(inner)
        def stamped(*args: Any, **kwargs: Any) -> Any:
            outer = getattr(local, "path", ())
            path = local.path = (*outer, name if isinstance(name, str) else name(*args))
            began_ns = now_ns()
            try:
                return inner(*args, **kwargs)
            finally:
                ended_ns = now_ns()
                local.path = outer
                spans.append(Span(path, began_ns, ended_ns, get_ident()))

        setattr(owner, attribute, stamped)

    def close(self) -> None:
        """Give every callable back as it was."""
        for owner, attribute, inner in reversed(self._wrapped):
            setattr(owner, attribute, inner)
        self._wrapped = []


WARM_UP = 50
LATER = 1_000_000
SAID_S = 0.3


def trace_hean(tracer: Tracer) -> None:
    """Wrap what an order passes on its way; before a router is made, for it binds some of these at its wiring."""
    wrap = tracer.wrap
    wrap(Router, "submit", "submit")
    wrap(admission.Admission, "known", "known")
    wrap(ids, "payload_digest", "digest")
    wrap(checks, "check", "checks")
    wrap(admission, "apply", "apply")
    wrap(admission, "batch_of", "batch")
    wrap(admission, "Slot", "slot")
    wrap(Journal, "note", "note")
    wrap(Bus, "publish", "publish")
    wrap(express.Express, "offer", "offer")
    wrap(express.SharedGuard, "admits", "budget")
    wrap(trade, "request_frame", "encode")
    wrap(Socket, "send", "send")
    wrap(order.OrderActor, "__init__", "new actor")
    wrap(Socket, "_receive", "read")
    wrap(sockets, "parse_frame", "parse")
    wrap(sockets, "parse_reply", "parse reply")
    wrap(stream, "route", lambda _, frame: f"route {type(frame).__name__}")
    wrap(order.OrderActor, "handle", lambda _, message: f"handle {type(message).__name__}")
    wrap(order, "apply", "apply")
    wrap(order, "batch_of", "batch")


@frozen
class Mark:
    """A moment of an order's way: the beginning or the end of the first call of that path, and what led up to it."""

    path: tuple[str, ...]
    ended: bool
    says: str


WIRE = ("the exchange",)
"""Not a call of ours: the moment is the exchange's, and what follows in the caller does not wait for it."""

HANDLER = ("the handler",)
"""Of the strategy."""


def began(*path: str, says: str) -> Mark:
    return Mark(path, False, says)


def ended(*path: str, says: str) -> Mark:
    return Mark(path, True, says)


SIGNAL = (
    began("submit", says="call of submit"),
    began("submit", "digest", says="identity, order_link_id"),
    ended("submit", "digest", says="payload digest"),
    began("submit", "known", says="lock of admission"),
    ended("submit", "known", says="look-up: known already? (registry, journal)"),
    began("submit", "checks", says="gates: live, halted, counts"),
    ended("submit", "checks", says="checks, quantising"),
    began("submit", "apply", says="SIGNAL event, Order.of"),
    ended("submit", "apply", says="first step of the machine"),
    began("submit", "batch", says="signal record to JSON"),
    ended("submit", "batch", says="record and order to JSON"),
    ended("submit", "note", says="into the journal"),
    began("submit", "publish", says="snapshot, cell, inbox, registry"),
    ended("submit", "publish", says="publish (and whoever it wakes)"),
    ended("submit", "offer", "budget", says="budget and breaker"),
    began("submit", "offer", "encode", says="to the channel"),
    ended("submit", "offer", "encode", says="encode the frame"),
    began("submit", "offer", "send", says="pending call written down"),
    Mark(WIRE, False, "= the frame at the exchange"),
    ended("submit", "offer", "send", says="socket write returns (the lock was given away meanwhile)"),
    ended("submit", says="adopt told, log queued, return"),
)
FILL = (
    ended("read", says="wake, read the frame"),
    began("parse", says="scrub secrets"),
    ended("parse", says="parse"),
    began("route Executions", says="to the route"),
    ended("route Executions", says="route, tell"),
    began("handle", says="the order has its turn"),
    ended("handle", "apply", says="step of the machine, ledger (of all that came together, the last)"),
    ended("handle", "batch", says="records to JSON"),
    ended("handle", "note", says="into the journal"),
    began("handle", "publish", says="snapshot, registry, log queued"),
    ended("handle", "publish", says="publish"),
    Mark(HANDLER, False, "= the callbacks' thread wakes, the handler runs"),
)


def stages(entry: str, orders: int, pause_s: float) -> str:
    """
    Trade with every stage stamped.

    Args:
        entry: the client, "hean ws" or "hean rest".
        orders: how many are looked at.
        pause_s: between a fill and the next signal.
    """
    tracer = Tracer()
    trace_hean(tracer)
    client = client_of(entry)
    try:
        with tempfile.TemporaryDirectory() as scratch, TimedExchange() as exchange:
            client.start(exchange.urls, Path(scratch))
            try:
                client.one_by_one(0, WARM_UP, pause_s)
                exchange.stamps()
                tracer.spans.clear()
                trips = client.one_by_one(WARM_UP, orders, pause_s)
                told = report(tracer, trips, exchange.stamps())
                # What follows is counted without a stamp in its way.
                tracer.close()
                for number, most in enumerate((1, 50), start=1):
                    time.sleep(client.rest_s)  # waits because the last orders are retired meanwhile
                    told += _by_thread(client, number * LATER, orders, most)
                return told
            finally:
                client.stop()
    finally:
        tracer.close()


def _by_thread(client: Client, first: int, orders: int, most: int) -> str:
    before = _cpu_s()
    client.in_flight(first, orders, most)
    time.sleep(SAID_S)  # waits because what is said to the log comes a moment later
    spent: dict[str, float] = {}
    for (name, ident), cpu_s in _cpu_s().items():
        spent[name] = spent.get(name, 0.0) + cpu_s - before.get((name, ident), 0.0)
    lines = ["", "", f"{most} in flight: µs of processor time for an order, by kind of thread"]
    lines += [
        f"  {cpu_s / orders * 1e6:7.0f}  {name}" for name, cpu_s in sorted(spent.items(), key=lambda item: -item[1])
    ]
    return "\n".join(lines)


def _cpu_s() -> dict[tuple[str, int], float]:
    """Processor time of each thread that lives, by its name without number; one that ends meanwhile is left out."""
    found = {}
    for thread in threading.enumerate():
        try:
            cpu_s = time.clock_gettime(time.pthread_getcpuclockid(thread.ident or 0))
        except OSError:
            continue
        found[thread.name.rstrip("-0123456789"), thread.ident or 0] = cpu_s
    return found


def report(tracer: Tracer, trips: Iterable[Trip], stamps: dict[str, dict[str, int]]) -> str:
    """Both ways, stage by stage, and what else ran between signal and fill."""
    trips = list(trips)
    spans = sorted(tracer.spans, key=lambda span: span.began_ns)
    rows: dict[str, dict[str, list[float]]] = {"signal": {}, "fill": {}}
    shares: dict[str, list[float]] = {}
    at = 0
    for trip in trips:
        came, left = stamps["came"][trip.link], stamps["left"][trip.link]
        while at < len(spans) and spans[at].began_ns < trip.spoke_ns:
            at += 1
        end = at
        while end < len(spans) and spans[end].began_ns <= trip.filled_ns:
            end += 1
        # A read begins when the one before it ended, so the first may have begun before the signal.
        mine = [*(span for span in spans[max(at - 20, 0) : at] if span.path == ("read",)), *spans[at:end]]
        _walk(rows["signal"], SIGNAL, trip.spoke_ns, [*mine, Span(WIRE, came, came, 0)])
        handler = Span(HANDLER, trip.filled_ns, trip.filled_ns, 0)
        _walk(rows["fill"], FILL, left, [*_of_fill(mine, left), handler])
        for path, spent in _shares(mine).items():
            shares.setdefault(path, []).append(spent)
    lines = [f"not found, so not stamped: {name}" for name in tracer.missing]
    for way, by_name in rows.items():
        lines += ["", f"{way}: us since the moment before, median and p90; us since the start"]
        for name, pairs in by_name.items():
            steps = sorted(pairs[0::2])
            since = statistics.median(pairs[1::2])
            p90 = steps[int(len(steps) * 0.9)]
            lines.append(f"  {statistics.median(steps):7.1f} {p90:8.1f}   {since:7.1f}  {name}")
    lines += ["", "between signal and fill, all threads: us of wall time in each call, what it called included, median"]
    for path, each in sorted(shares.items(), key=lambda item: -statistics.median(item[1])):
        if len(each) * 2 >= len(trips):
            lines.append(f"  {statistics.median(each):7.1f}  {path}")
    return "\n".join(lines)


def _of_fill(spans: list[Span], left_ns: int) -> list[Span]:
    """The calls that took the fill's frame and the fill, without those that took what came round them."""
    route = next((span for span in spans if span.path == ("route Executions",) and span.began_ns > left_ns), None)
    told = [span for span in spans if span.path[0].startswith("handle") and span.path[1:] == ("publish",)]
    if route is None or not told:
        return []
    reader = [span for span in spans if span.thread == route.thread and span.ended_ns <= route.began_ns]
    found = [[span for span in reader if span.path == (name,)][-1:] for name in ("read", "parse")]
    # What publishes last before the strategy has it: the fill may have been taken in together with other facts.
    own = [span for span in spans if span.thread == told[-1].thread and span.path[0] == told[-1].path[0]]
    begins = [span.began_ns for span in own if len(span.path) == 1 and span.began_ns <= told[-1].began_ns]
    if not begins:
        # Of the very last order the strategy may have the fill before the call that told it has ended.
        return []
    begin = max(begins)
    newest = {span.path: span for span in own if span.began_ns >= begin}
    taken = [evolve(span, path=("handle", *span.path[1:])) for span in newest.values()]
    return [*found[0], *found[1], route, *taken]


def _walk(rows: dict[str, list[float]], marks: tuple[Mark, ...], start_ns: int, spans: list[Span]) -> None:
    before_ns = start_ns
    for mark in marks:
        found = next((span for span in spans if span.path == mark.path), None)
        if found is None:
            continue
        at_ns = found.ended_ns if mark.ended else found.began_ns
        rows.setdefault(mark.says, []).extend(((at_ns - before_ns) / 1000, (at_ns - start_ns) / 1000))
        if mark.path != WIRE:
            before_ns = at_ns


def _shares(spans: list[Span]) -> dict[str, float]:
    shares: dict[str, float] = {}
    for span in spans:
        if span.path[0] != "read":
            name = " > ".join(span.path)
            shares[name] = shares.get(name, 0.0) + (span.ended_ns - span.began_ns) / 1000
    return shares
