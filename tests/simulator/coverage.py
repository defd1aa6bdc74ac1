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

_BEFORE_EVIDENCE = ("PENDING", "SUBMITTED", "TIMEOUT")

UNREACHABLE: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        (
            "`Sent` is made by `Admission` alone, in the call that makes the order, and takes it out of PENDING before "
            "anybody else knows of it; later attempts are `RetryDue` or a look-up's answer"
        ),
        ("sent",),
        ("SUBMITTED", "TIMEOUT", "ACKNOWLEDGED", "PARTIAL_FILL", "FILLED", "CANCELLED", "REJECTED", "ERROR", "CLOSED"),
    ),
    (
        (
            "`Evidence.stale` compares with a row that was taken before; the first that is taken leads out of these "
            "states, and no edge leads back into them"
        ),
        ("shows_stale",),
        _BEFORE_EVIDENCE,
    ),
    (
        (
            "`executed_known` is said of an execution that the order's ledger has; the first that it takes leads out "
            "of these states in the same transaction (`executed_*`, or `broken` to ERROR), and no edge leads back"
        ),
        ("executed_known",),
        (*_BEFORE_EVIDENCE, "ACKNOWLEDGED"),
    ),
    (
        (
            "what is partly filled or filled has an execution or a watermark, so `_name_of` calls its Rejected row "
            "`shows_rejected_part`"
        ),
        ("shows_rejected",),
        ("PARTIAL_FILL", "FILLED"),
    ),
    (
        (
            "`Lookup` gives what it found before `LookedUp`, and any row or execution leads out of these states, but "
            "for a piece of a split order; `is_piece` knows one by the order_id of ours, which PENDING has not, and "
            "with which SUBMITTED asks for its own order alone: only an accepted create is looked up there"
        ),
        ("looked_up",),
        ("PENDING", "SUBMITTED"),
    ),
    (
        (
            "an attempt is PENDING again when its reply said that it was not executed, or when its absence is proven: "
            "then it is older than the exchange takes, and no reply can say that it was taken"
        ),
        ("accepted",),
        ("PENDING",),
    ),
    (
        (
            "`_pursue` sends a cancel or an amend of an order that was accepted or shown, which `claimed` and the view "
            "keep from PENDING for good, or that is in ERROR, from which no edge leads to PENDING"
        ),
        ("command_accepted", "command_failed"),
        ("PENDING",),
    ),
    (
        (
            "an attempt is answered as not sent once, and that answer makes it PENDING; nothing else does while it "
            "waits in the gateway, since `forget_flight` withdraws what may wait before an absence can count"
        ),
        ("not_sent",),
        ("PENDING", "REJECTED"),
    ),
    (
        (
            "`_seek_settlement` asks of an order that has ended, and an end leads to CLOSED, to ERROR or to another "
            "end, never back to what is open (a law says so)"
        ),
        ("settled_stale",),
        (*_BEFORE_EVIDENCE, "ACKNOWLEDGED", "PARTIAL_FILL"),
    ),
)
"""Why no world reaches these cells: the reason, the facts, the states. A cell that is reached all the same is told."""

EXPLAINED: dict[str, str] = {
    f"{state} {fact}": why for why, facts, states in UNREACHABLE for fact in facts for state in states
}
"""Each cell that no world reaches, and why."""
