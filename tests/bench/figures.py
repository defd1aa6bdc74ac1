"""
From stamps to figures: what each order took, medians, 99th percentiles, and the medians of paired ratios.

A machine's mood changes more between rounds than clients differ, so clients are compared within a round: what the
machine did in a round, it did to both. Figures in µs drift with the machine; ratios last.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable

from attrs import define, field, frozen

MEASURES = ("signal -> wire", "submit returns", "fill -> strategy", "signal -> fill")
PEERS = ("pybit ws", "pybit http", "ccxt ws", "ccxt http", "nautilus")
Row = tuple[str, int, int, int]
"""Of an order: its link, when the strategy spoke, when its call returned, when it had the fill; monotonic ns."""


def spans_of(trips: Iterable[Row], stamps: dict[str, dict[str, int]]) -> dict[str, list[float]]:
    """
    Microseconds by measure, the client's times joined with the exchange's by order_link_id.

    Args:
        trips: of one client's turn.
        stamps: when the exchange saw each link come in, and an execution of it leave.

    Raises:
        ValueError: an order did not make its trip, or the exchange did not see it.
    """
    found: dict[str, list[float]] = {name: [] for name in MEASURES}
    for link, spoke_ns, returned_ns, filled_ns in trips:
        came_ns, left_ns = stamps["came"].get(link), stamps["left"].get(link)
        if came_ns is None or not filled_ns:
            raise ValueError(f"order {link} did not make its trip")
        found["signal -> wire"].append((came_ns - spoke_ns) / 1000)
        found["submit returns"].append((returned_ns - spoke_ns) / 1000)
        if left_ns is not None:
            # Who has no stream is told of no execution.
            found["fill -> strategy"].append((filled_ns - left_ns) / 1000)
        found["signal -> fill"].append((filled_ns - spoke_ns) / 1000)
    return found


def p99(spans: Iterable[float]) -> float:
    """The value that one in a hundred exceeds."""
    ordered = sorted(spans)
    return ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)]


def paired(ours: list[float], theirs: list[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


@define
class Figures:
    """
    What a run found.

    Attributes:
        spans: µs by client, measure and round.
        rates: round trips per second by client, orders in flight and round.
        cpu_us: processor time per order of the client's whole process, the same way.
    """

    spans: dict[str, dict[str, list[list[float]]]] = field(factory=lambda: defaultdict(lambda: defaultdict(list)))
    rates: dict[str, dict[int, list[float]]] = field(factory=lambda: defaultdict(lambda: defaultdict(list)))
    cpu_us: dict[str, dict[int, list[float]]] = field(factory=lambda: defaultdict(lambda: defaultdict(list)))

    def medians(self, client: str, measure: str) -> list[float]:
        """Of each round; empty where the client has no such measure."""
        return [statistics.median(spans) for spans in self.spans.get(client, {}).get(measure, []) if spans]

    def every(self, client: str, measure: str) -> list[float]:
        """All rounds' values."""
        return [span for spans in self.spans.get(client, {}).get(measure, []) for span in spans]

    def best(self, values: Callable[[str], list[float]], *, most: bool = False) -> str:
        """The peer that is best by the median of its rounds; "the best peer" where none was measured."""
        measured = {peer: statistics.median(found) for peer in PEERS if (found := values(peer))}
        if not measured:
            return "the best peer"
        return (max if most else min)(measured, key=lambda peer: measured[peer])

    def as_json(self) -> dict[str, object]:
        """Everything that was derived, and the rounds' medians that it was derived from."""
        return {
            "spans_us": {
                client: {
                    measure: {
                        "median": statistics.median(self.every(client, measure)),
                        "p99": p99(self.every(client, measure)),
                        "rounds": self.medians(client, measure),
                    }
                    for measure in by_measure
                    if self.every(client, measure)
                }
                for client, by_measure in self.spans.items()
            },
            "per_s": self.rates,
            "cpu_us": self.cpu_us,
        }


@frozen
class Target:
    """
    A figure to be reached.

    Attributes:
        says: what is compared.
        found: from the figures; None where it was not measured.
        reach: the bound, None for none.
        beyond: the bolder bound, None for none.
        more: whether more is better.
    """

    says: str
    found: float | None
    reach: float | None
    beyond: float | None
    more: bool = False

    def verdict(self) -> str:
        """How far it got."""
        if self.found is None:
            return "not measured"
        if self.beyond is not None and self._holds(self.beyond):
            return "beyond"
        if self.reach is None:
            return "short of beyond"
        return "reached" if self._holds(self.reach) else "SHORT"

    def _holds(self, bound: float) -> bool:
        assert self.found is not None
        return self.found >= bound if self.more else self.found <= bound


def targets(figures: Figures) -> list[Target]:
    """What was to be reached on an order's way, and what was found."""

    def ratio(ours: str, measure: str, theirs: str) -> float | None:
        mine, others = figures.medians(ours, measure), figures.medians(theirs, measure)
        return paired(mine, others) if mine and others else None

    def rate(in_flight: int) -> Target:
        best = figures.best(lambda peer: figures.rates.get(peer, {}).get(in_flight, []), most=True)
        mine = figures.rates.get("hean ws", {}).get(in_flight, [])
        theirs = figures.rates.get(best, {}).get(in_flight, [])
        found = paired(mine, theirs) if mine and theirs else None
        reach, beyond = {50: (1.4, 2.5), 500: (1.25, 2.0)}.get(in_flight, (None, None))
        return Target(f"round trips/s, {in_flight} in flight, of {best}'s", found, reach, beyond, more=True)

    wire, fill, whole = "signal -> wire", "fill -> strategy", "signal -> fill"
    to_fill = figures.best(lambda peer: figures.medians(peer, fill))
    to_whole = figures.best(lambda peer: figures.medians(peer, whole))
    returns, wires = figures.every("hean ws", "submit returns"), figures.every("hean ws", wire)
    handed = figures.every("hean handed over", "submit returns")
    return [
        Target(f"{wire}, of pybit ws's", ratio("hean ws", wire, "pybit ws"), 1.9, 1.0),
        Target(f"{wire}, of ccxt ws's", ratio("hean ws", wire, "ccxt ws"), 1.2, None),
        Target(f"{wire}, of nautilus's", ratio("hean ws", wire, "nautilus"), 0.5, None),
        Target(f"{wire}, of the floor's", ratio("hean ws", wire, "floor"), None, 2.0),
        Target(f"{wire} over REST, of pybit http's", ratio("hean rest", wire, "pybit http"), 0.6, 0.25),
        Target("submit returns, in the caller, µs", statistics.median(returns) if returns else None, 150, 80),
        Target("submit returns, handed over, µs", statistics.median(handed) if handed else None, 50, 25),
        Target(f"{fill}, of {to_fill}'s", ratio("hean ws", fill, to_fill), 0.35, 0.25),
        Target(f"{whole}, of {to_whole}'s", ratio("hean ws", whole, to_whole), 0.7, 0.5),
        rate(50),
        rate(500),
        Target(f"p99 of {wire}, of its own median", p99(wires) / statistics.median(wires) if wires else None, 3.5, 2.5),
    ]
