"""
Try the order machine against many hostile worlds.

`python scripts/properties.py --examples 100000` lives through that many stories of `tests/core/world.py`, and a tenth
of that step by step as a hypothesis state machine. It prints how they ended and exits with 1 at the first that does not
end as the exchange has it, after shrinking it. A seed makes a run repeatable.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import click
import hypothesis
from hypothesis.stateful import run_state_machine_as_test

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.core.test_order_properties import Hostile, test_order_ends_as_the_exchange_has_it
from tests.core.world import World


@click.command()
@click.option("--examples", type=click.IntRange(min=1), default=100_000, show_default=True)
@click.option("--seed", type=int, default=None, help="Repeat a run; random unless told.")
def main(examples: int, seed: int | None) -> None:
    """Live through many stories of one order, and count how they ended."""
    ends = _count_ends()
    stepwise = max(examples // 10, 1)
    settings = hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    story = settings(test_order_ends_as_the_exchange_has_it)
    _run("stories", ends, hypothesis.seed(seed)(story) if seed is not None else story)
    machine = hypothesis.seed(seed)(Hostile) if seed is not None else Hostile
    _run(
        "step by step",
        ends,
        lambda: run_state_machine_as_test(machine, settings=hypothesis.settings(settings, max_examples=stepwise)),
    )


def _count_ends() -> Counter[str]:
    """Count every story that came to its end, by where it ended."""
    ends: Counter[str] = Counter()
    drain = World.drain

    def counted(world: World) -> None:
        drain(world)
        ends[str(world.order.outcome or world.order.state)] += 1

    World.drain = counted  # type: ignore[method-assign,assignment]
    return ends


def _run(name: str, ends: Counter[str], run: Callable[[], object]) -> None:
    ends.clear()
    started = time.monotonic()
    try:
        run()
    except Exception as error:  # noqa: BLE001 - whatever a story raised is what there is to tell
        print(f"{name}: FAILED after {ends.total()} that held", file=sys.stderr)
        traceback.print_exception(error, limit=-3)
        sys.exit(1)
    spread = ", ".join(f"{end} {count}" for end, count in sorted(ends.items()))
    print(f"{name}: {ends.total()} held in {time.monotonic() - started:.0f} s ({spread})")


if __name__ == "__main__":
    main()
