"""
How fast hean is, and against what: signal to wire, fill to strategy, round trips per second.

Runs against the loopback exchange in a process of its own; clients take turns within one run, because a machine's mood
changes more between runs than clients differ. Medians, 99th percentiles and the medians of paired ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loguru import logger

from hean.journal import Journal
from tests.bench.clients import WAIT_S, Client, Hean, Pybit, RawSocket, Trip
from tests.bench.exchange import TimedExchange

DESK_MS = 150
"""What a person at a terminal does not notice as waiting; on an idle machine."""
MEASURES = ("signal -> wire", "submit returns", "fill -> strategy", "signal -> fill")


def latencies(trips: list[Trip], stamps: dict[str, dict[str, int]]) -> dict[str, list[float]]:
    """Microseconds by measure."""
    found: dict[str, list[float]] = {name: [] for name in MEASURES}
    for trip in trips:
        came, left = stamps["came"].get(trip.link), stamps["left"].get(trip.link)
        if came is None or left is None or not trip.filled_ns:
            raise RuntimeError(f"order {trip.link} did not make its trip")
        for name, span_ns in zip(
            MEASURES,
            (
                came - trip.spoke_ns,
                trip.returned_ns - trip.spoke_ns,
                trip.filled_ns - left,
                trip.filled_ns - trip.spoke_ns,
            ),
            strict=True,
        ):
            found[name].append(span_ns / 1000)
    return found


def one_by_one(client: Client, first: int, count: int) -> list[Trip]:
    """Orders one after the other, each filled before the next."""
    trips = []
    for number in range(first, first + count):
        trip = client.trade(number)
        if not trip.done.wait(WAIT_S):
            raise RuntimeError(f"{client.name}: no fill of {trip.link} within {WAIT_S} s")
        trips.append(trip)
    return trips


def per_second(client: Client, first: int, count: int, in_flight: int) -> float:
    """Round trips per second with `in_flight` orders on the way."""
    waiting: list[Trip] = []
    began = time.monotonic()
    for number in range(first, first + count):
        waiting.append(client.trade(number))
        if len(waiting) >= in_flight and not waiting.pop(0).done.wait(WAIT_S):
            raise RuntimeError(f"{client.name}: no fill within {WAIT_S} s")
    for trip in waiting:
        if not trip.done.wait(WAIT_S):
            raise RuntimeError(f"{client.name}: no fill within {WAIT_S} s")
    return count / (time.monotonic() - began)


def desk(rounds: int) -> int:
    """How soon the desk's viewers answer, as a person waits for them; 1 where one takes longer than it may."""
    slowest = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "journal.db"
        Journal.open(path, int(time.time() * 1000)).close()
        for verb in (["--help"], ["status"], ["orders"], ["signals"], ["positions"]):
            program = "import sys; from hean.desk.cli import run; run(sys.argv[1:])"
            command = [sys.executable, "-c", program, *verb]
            spans = []
            for _ in range(rounds):
                began = time.monotonic()
                subprocess.run(
                    command, capture_output=True, check=False, env=os.environ | {"HEAN_JOURNAL__PATH": str(path)}
                )
                spans.append((time.monotonic() - began) * 1000)
            slowest = max(slowest, statistics.median(spans))
            print(f"hean {verb[0]:12} {statistics.median(spans):6.0f} ms median, {min(spans):6.0f} ms least")
    return 0 if slowest <= DESK_MS else 1


def main() -> int:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--orders", type=int, default=200, help="per client and round")
    parser.add_argument("--in-flight", type=int, nargs="*", default=[1, 50])
    parser.add_argument("--only", nargs="*", help="clients by name")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--desk", action="store_true", help="how soon the desk's viewers answer, and nothing else")
    options = parser.parse_args()
    if options.desk:
        return desk(options.rounds)
    logger.remove()
    logger.add(Path(tempfile.gettempdir()) / "hean-bench.log", level="INFO")
    clients: list[Client] = [RawSocket(), Hean("ws"), Hean("rest"), Pybit("ws"), Pybit("http")]
    clients = [client for client in clients if not options.only or client.name in options.only]
    samples: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    medians: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    rates: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as scratch, TimedExchange() as exchange:
        for client in clients:
            client.start(exchange.urls, Path(scratch))
        number = 0
        try:
            for client in clients:
                one_by_one(client, number, 20)
                number += 20
            exchange.stamps()
            for _ in range(options.rounds):
                for client in clients:
                    trips = one_by_one(client, number, options.orders)
                    number += options.orders
                    for name, spans in latencies(trips, exchange.stamps()).items():
                        samples[client.name][name] += spans
                        medians[client.name][name].append(statistics.median(spans))
                    for in_flight in options.in_flight:
                        rates[client.name][in_flight].append(per_second(client, number, options.orders, in_flight))
                        number += options.orders
                    exchange.stamps()
        finally:
            for client in clients:
                client.stop()
    show(samples, medians, rates)
    if options.json:
        options.json.write_text(json.dumps({"medians": medians, "rates": rates}, indent=1))
    return 0


def paired_ratio(ours: list[float], theirs: list[float]) -> float:
    """The median of the rounds' ratios: what the machine did in a round, it did to both."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def show(
    samples: dict[str, dict[str, list[float]]],
    medians: dict[str, dict[str, list[float]]],
    rates: dict[str, dict[int, list[float]]],
) -> None:
    """The table."""
    print(f"{'client':12}" + "".join(f"{name + ' p50/p99':>26}" for name in MEASURES))
    for client, by_name in samples.items():
        cells = []
        for name in MEASURES:
            spans = sorted(by_name[name])
            cells.append(f"{statistics.median(spans):.0f} / {spans[int(len(spans) * 0.99) - 1]:.0f} us")
        print(f"{client:12}" + "".join(f"{cell:>26}" for cell in cells))
    print()
    for client, by_in_flight in rates.items():
        told = ", ".join(f"{n} in flight {statistics.median(each):.0f}/s" for n, each in by_in_flight.items())
        print(f"{client:12} {told}")
    ours = "hean ws"
    if ours in medians:
        print(f"\nmedians of paired ratios, {ours} against")
        for client in medians:
            if client == ours:
                continue
            told = ", ".join(
                f"{name} {paired_ratio(medians[ours][name], medians[client][name]):.2f}" for name in MEASURES
            )
            print(f"  {client:12} {told}")


if __name__ == "__main__":
    sys.exit(main())
