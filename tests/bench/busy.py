"""
A strategy that computes all the time on another thread of the router's process, and what helps.

Python gives the interpreter's lock away every 5 ms by default, so each hop from thread to thread may wait for as long.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path

from attrs import frozen

from tests.bench.exchange import TimedExchange
from tests.bench.figures import paired, spans_of
from tests.bench.turns import Turns

CLIENT = "hean ws"
DEFAULT_S = 0.005
CASES = (("quiet", False, DEFAULT_S), ("busy", True, DEFAULT_S), ("busy, switch interval 0.5 ms", True, 0.0005))
MEASURES = ("signal -> wire", "fill -> strategy")


@frozen
class Case:
    """
    What was found.

    Attributes:
        says: which case.
        ratios: the 90th percentile of each measure as a ratio of the quiet process's, the median of the rounds.
        p90_us: the medians of the rounds.
    """

    says: str
    ratios: dict[str, float]
    p90_us: dict[str, float]


def busy(*, rounds: int, orders: int, pause_s: float, scratch: Path) -> list[Case]:
    """Trade beside a thread that never waits, in turns with a process without one."""
    found: dict[str, dict[str, list[float]]] = {says: {name: [] for name in MEASURES} for says, _, _ in CASES}
    with TimedExchange() as exchange, Turns(exchange, (CLIENT,), scratch, {}) as turns:
        worker, number = turns.workers[CLIENT], 1_000_000
        for _ in range(rounds):
            for says, spins, switch_s in CASES:
                worker.do("busy", spins=spins, switch_s=switch_s)
                trips = worker.do("one_by_one", first=number, count=orders, pause_s=pause_s)["trips"]
                number += orders
                worker.do("busy", spins=False, switch_s=DEFAULT_S)
                spans = spans_of(trips, exchange.stamps())
                for name in MEASURES:
                    found[says][name].append(statistics.quantiles(spans[name], n=10)[-1])
    quiet = found[CASES[0][0]]
    return [
        Case(
            says=says,
            ratios={name: paired(values, quiet[name]) for name, values in by_name.items()},
            p90_us={name: statistics.median(values) for name, values in by_name.items()},
        )
        for says, by_name in found.items()
    ]


def show(cases: Iterable[Case]) -> str:
    """A line for each case."""
    lines = [f"{'90th percentile, µs and ratio':32}" + "".join(f"{name:>26}" for name in MEASURES)]
    for case in cases:
        cells = "".join(f"{case.p90_us[name]:>17.0f} {case.ratios[name]:>6.2f} x" for name in MEASURES)
        lines.append(f"{case.says:32}{cells}")
    return "\n".join(lines)
