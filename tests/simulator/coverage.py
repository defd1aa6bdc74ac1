"""What the worlds have reached: cells of the order machine, faults that struck, moments of death. Sums add up."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hean.core.order import TABLE


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
