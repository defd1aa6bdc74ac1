"""What the worlds have reached: cells of the order machine, faults that struck, moments of death. Sums add up."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hean.actors.ports import Point
from hean.core.order import TABLE
from tests.exchange.faults import NAMES


class Coverage:
    """Counts of what was reached."""

    def __init__(self) -> None:
        self.cells: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.points: Counter[str] = Counter()
        self.crashes: Counter[str] = Counter()

    def cell(self, state: str, fact: str) -> None:
        self.cells[f"{state} {fact}"] += 1

    def struck(self, fault: str, count: int = 1) -> None:
        self.faults[fault] += count

    def passed(self, point: str) -> None:
        self.points[point] += 1

    def crashed(self, point: str) -> None:
        self.crashes[point] += 1

    def add(self, other: dict[str, dict[str, int]]) -> None:
        """Take in what another run has reached."""
        for name, counts in other.items():
            getattr(self, name).update(counts)

    def plain(self) -> dict[str, dict[str, int]]:
        """As JSON."""
        return {name: dict(sorted(getattr(self, name).items())) for name in ("cells", "faults", "points", "crashes")}

    def missing(self) -> dict[str, Any]:
        """What was never reached."""
        return {"cells": sorted(all_cells() - self.cells.keys())}


def all_cells() -> set[str]:
    """Every cell that the order machine declares."""
    return {f"{edge.before} {edge.fact}" for edge in TABLE.edges}


FAULTS = NAMES | frozenset(
    {
        *("net:spike", "net:unreachable", "net:lost_there", "net:lost_back", "net:stuck", "net:refused"),
        *("net:half_sent", "net:cut", "net:held_reply"),
        *("actor_paused", "process_stalled", "journal_fails", "handler_bug"),
    }
)
"""Everything that can go wrong in a world: the exchange's own faults, the network's, the host's."""

CRASHES = frozenset(
    {
        "turn",
        "finale",
        "power_cut",
        *(f"commit:{side}:{kind}" for side in ("before", "after") for kind in ("fact", "event", "marks", "duplicate")),
        *(f"commit:{side}:{kind}" for side in ("before", "after") for kind in ("quarantine", "poison", "parked")),
        *map(str, Point),
    }
)
"""Moments at which a process dies in some world, by name."""

_NEVER_AT_ONCE = ["shows_open", "shows_partly", "shows_filled", "shows_cancelled", "shows_rejected_part"]
_EXECUTIONS = ["executed_part", "executed_full", "executed_over", "executed_known"]

UNREACHABLE: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "an order is sent for the first time in the strategy's call that makes it, before it can be anything else",
        ("sent",),
        ("SUBMITTED", "TIMEOUT", "ACKNOWLEDGED", "PARTIAL_FILL", "FILLED", "CANCELLED", "REJECTED", "ERROR", "CLOSED"),
    ),
    (
        (
            "nothing of an order in PENDING is at the exchange or under way to it: its attempt was not executed, or is "
            "proven absent (a law says so); after a restart it is in TIMEOUT before any row can come"
        ),
        (*_NEVER_AT_ONCE, *_EXECUTIONS, "accepted", "shows_rejected", "shows_stale", "looked_up"),
        ("PENDING",),
    ),
    (
        "the exchange never took what is REJECTED, or calls it Rejected itself (a law says so), and trades neither",
        (*_NEVER_AT_ONCE, *_EXECUTIONS),
        ("REJECTED",),
    ),
    (
        "the simulated operator leaves alone what has ended and waits for its executions: look-ups settle it",
        ("resolved",),
        ("FILLED", "CANCELLED", "REJECTED"),
    ),
    (
        (
            "what was accepted is there, and the lists lag for less than an absence takes to be proven; a restart, in "
            "which our clock may jump, makes it TIMEOUT"
        ),
        ("absence_proven",),
        ("SUBMITTED",),
    ),
    (
        "only an order that has ended asks whether its position has all of it, and an end is an end",
        ("settled_stale",),
        ("PENDING", "SUBMITTED", "TIMEOUT", "ACKNOWLEDGED", "PARTIAL_FILL"),
    ),
)
"""Why no world reaches these cells: the reason, the facts, the states. A cell that is reached all the same is told."""

EXPLAINED: dict[str, str] = {
    f"{state} {fact}": why for why, facts, states in UNREACHABLE for fact in facts for state in states
}
"""Each cell that no world reaches, and why."""
