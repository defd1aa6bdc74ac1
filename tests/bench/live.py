"""
Thousands of live orders: what each costs in memory, and what they cost the next signal.

One router holds them, another holds ten; both trade in turns, so that what is compared was measured in one and the same
minute. The exchange takes 500 orders of a symbol, so there are enough symbols.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from pathlib import Path

from attrs import frozen

from tests.bench.exchange import TimedExchange, symbols_of
from tests.bench.figures import Figures, Target, paired
from tests.bench.turns import Turns

IDLE = 10
PER_SYMBOL = 400
AT_ONCE = 200
CALM_S = 3.0
LATENCIES = ("signal -> wire", "submit returns", "fill -> strategy")
"""What is hean's own; `signal -> fill` has the exchange's part in it, whose book grows too."""


@frozen
class Level:
    """What was found with so many live orders: KiB each, and each latency as a ratio of the idle router's."""

    live: int
    kib_each: float
    ratios: dict[str, float]


def many(levels: Iterable[int], *, client: str, rounds: int, orders: int, pause_s: float, scratch: Path) -> list[Level]:
    """
    Measure at each level.

    Args:
        levels: numbers of live orders, rising.
        client: "hean ws" or "hean rest".
        rounds: turns of each router at each level.
        orders: traded in each turn.
        pause_s: between a fill and the next signal.
        scratch: for the journals.
    """
    levels = sorted(levels)
    symbols = symbols_of(math.ceil(levels[-1] / PER_SYMBOL))
    busy, idle = client, f"{client}, idle"
    found = []
    with (
        TimedExchange(accounts=2, symbols=len(symbols)) as exchange,
        Turns(exchange, (busy, idle), scratch, {}) as turns,
    ):
        for name in (busy, idle):
            turns.workers[name].do("live", symbols=symbols, first=0, count=IDLE, each=IDLE)
        at, empty_kib = IDLE, _settled_kib(turns, busy)
        for level in levels:
            if level > at:
                turns.workers[busy].do("live", symbols=symbols, first=at, count=level - at, each=AT_ONCE)
            at = max(at, level)
            # Before any order more is traded: what is weighed is the live ones.
            kib_each = (_settled_kib(turns, busy) - empty_kib) / (at - IDLE) if at > IDLE else math.nan
            figures = Figures()
            for turn in range(rounds):
                turns.round(figures, turn, orders=orders, in_flight=(), pause_s=pause_s)
            ratios = {name: paired(figures.medians(busy, name), figures.medians(idle, name)) for name in LATENCIES}
            found.append(Level(live=at, kib_each=kib_each, ratios=ratios))
    return found


def _settled_kib(turns: Turns, name: str) -> float:
    time.sleep(CALM_S)  # waits because queues are emptied and settled orders retired by then
    kib: float = turns.workers[name].do("memory")["kib"]
    return kib


def show(levels: Iterable[Level]) -> str:
    """A line for each level."""
    lines = [f"{'live orders':>12}{'KiB each':>10}" + "".join(f"{name:>20}" for name in LATENCIES)]
    for level in levels:
        each = f"{level.kib_each:.1f}" if level.live > IDLE else "-"
        ratios = "".join(f"{level.ratios[name]:>18.2f} x" for name in LATENCIES)
        lines.append(f"{level.live:>12}{each:>10}{ratios}")
    return "\n".join([*lines, "latencies as ratios of a router's with ten live orders, in turns"])


def targets(levels: list[Level]) -> list[Target]:
    """Of the highest level."""
    last = levels[-1]
    worst = max(last.ratios, key=lambda name: last.ratios[name])
    return [
        Target(f"{last.live} live orders, KiB each", last.kib_each, 48, 32),
        Target(f"{last.live} live orders, {worst}, of an idle router's", last.ratios[worst], 3, 1.5),
    ]
