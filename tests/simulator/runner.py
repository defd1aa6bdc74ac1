"""Many worlds, on several processes: what each came to, and the smallest plan that still breaks a law."""

from __future__ import annotations

import contextlib
import gc
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

from tests.simulator.coverage import Coverage
from tests.simulator.draws import plan_of
from tests.simulator.plan import Plan
from tests.simulator.story import Story
from tests.simulator.violation import Unknowable, Violation
from tests.simulator.world import World

CHUNK = 10
"""Seeds that one process takes at a time."""


@attrs.frozen(kw_only=True)
class Broken:
    """A seed that broke a law."""

    seed: int
    law: str
    why: str


@attrs.frozen(kw_only=True)
class Played:
    """One world, played to its end or to a violation."""

    broken: Broken | None
    head: str
    turns: int
    virtual_ms: int


def play(plan: Plan, coverage: Coverage | None = None, story: Story | None = None) -> Played:
    """Play one plan; whatever it raises is a violation."""
    world = World(plan, story, coverage)
    broken = None
    try:
        world.run()
    except Unknowable:
        pass
    except Violation as violation:
        broken = Broken(seed=plan.seed, law=violation.law, why=violation.why)
    except Exception as error:  # noqa: BLE001 - a world that raises has broken a law that has no name yet
        broken = Broken(seed=plan.seed, law=type(error).__name__, why=f"{error}")
    return Played(broken=broken, head=world.head, turns=world.kernel.turns, virtual_ms=world.virtual_ms)


def play_chunk(seeds: tuple[int, int]) -> tuple[int, int, list[Broken], dict[str, dict[str, int]]]:
    """Play the seeds of a range."""
    coverage, broken, turns = Coverage(), [], 0
    with few_collections():
        for seed in range(*seeds):
            played = play(plan_of(seed), coverage)
            turns += played.turns
            if played.broken is not None:
                broken.append(played.broken)
    return seeds[1] - seeds[0], turns, broken, coverage.plain()


@contextlib.contextmanager
def few_collections() -> Iterator[None]:
    """Collect what a world leaves behind after some worlds only: a fifth of the time would go into looking for it."""
    thresholds = gc.get_threshold()
    gc.set_threshold(200_000, 5, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def play_many(first: int, count: int, processes: int) -> Iterator[tuple[int, int, list[Broken], Any]]:
    """Play `count` seeds from `first` on; yields what each chunk came to."""
    chunks = [(at, min(at + CHUNK, first + count)) for at in range(first, first + count, CHUNK)]
    if processes == 1:
        yield from map(play_chunk, chunks)
        return
    # Whoever calls this has no threads, and what is imported is imported once.
    gc.freeze()
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        yield from pool.imap(play_chunk, chunks)


def shrink(plan: Plan, law: str, told: Callable[[str], None]) -> tuple[int, ...]:
    """
    The fewest actions with which the law still breaks; one at a time, after halves.

    Returns:
        their indices in the plan.
    """
    kept = tuple(range(len(plan.actions)))

    def breaks(some: tuple[int, ...]) -> bool:
        played = play(plan.only(some))
        return played.broken is not None and played.broken.law == law

    size = max(len(kept) // 2, 1)
    while size >= 1:
        at = 0
        while at < len(kept):
            fewer = kept[:at] + kept[at + size :]
            if breaks(fewer):
                kept = fewer
                told(f"{len(kept)} actions left")
            else:
                at += size
        size //= 2
    return kept


@attrs.define
class Totals:
    """What all runs together came to, kept in a file."""

    seeds: int = 0
    turns: int = 0
    seconds: float = 0.0
    broken: list[Broken] = attrs.Factory(list)
    coverage: Coverage = attrs.Factory(Coverage)
    commit: str = ""

    @classmethod
    def load(cls, path: Path, commit: str = "") -> Totals:
        """The totals so far; those of another commit than this do not count."""
        if not path.exists():
            return cls(commit=commit)
        data = json.loads(path.read_text())
        if commit and data["commit"] != commit:
            return cls(commit=commit)
        totals = cls(seeds=data["seeds"], turns=data["turns"], seconds=data["seconds"], commit=data["commit"])
        totals.broken = [Broken(**row) for row in data["broken"]]
        totals.coverage.add(data["coverage"])
        return totals

    def save(self, path: Path) -> None:
        """Write them down, whole or not at all."""
        data = {
            "commit": self.commit,
            "seeds": self.seeds,
            "turns": self.turns,
            "seconds": round(self.seconds, 1),
            "broken": [attrs.asdict(row) for row in self.broken],
            "coverage": self.coverage.plain(),
        }
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps(data, indent=1))
        beside.replace(path)


def now_s() -> float:
    """For rates."""
    return time.perf_counter()
