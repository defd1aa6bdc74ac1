"""
The simulator: the whole router in virtual time, from seeds.

    simulate.py --seeds 1000                 play seeds 0 .. 999
    simulate.py --seeds 1000 --state FILE    go on where FILE says, and add up
    simulate.py --state FILE --report        say what was played and reached so far
    simulate.py --seeds 100 --heads          print the head of each journal's chain, to compare Pythons
    simulate.py --seed 7                     tell the story of one seed
    simulate.py --seed 7 --shrink            find the fewest actions that break the same law
    simulate.py --seed 7 --only 0,3          play these actions of its plan alone

Exit code: 0 no violation, 1 a law was broken.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.simulator.coverage import CRASHES, EXPLAINED, FAULTS, UNREACHABLE, all_cells
from tests.simulator.draws import plan_of
from tests.simulator.plan import CALM, Plan
from tests.simulator.runner import Totals, now_s, play, play_many, shrink
from tests.simulator.story import Story

MANY = 10_000
"""After so many seeds a cell that is neither reached nor explained is named."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=0, help="how many to play")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="one seed, with its story")
    parser.add_argument("--only", help="indices of the plan's actions to keep, with commas; with --seed")
    parser.add_argument("--shrink", action="store_true", help="with --seed: the fewest actions that break the law")
    parser.add_argument("--state", type=Path, help="a file in which runs of one commit add up")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--stop", action="store_true", help="stop at the first violation")
    parser.add_argument("--coverage", action="store_true", help="print what was never reached")
    parser.add_argument("--report", action="store_true", help="with --state: say what the file holds, and play nothing")
    parser.add_argument("--heads", action="store_true", help="print each seed's newest hash, and nothing else")
    args = parser.parse_args()
    if args.report:
        totals = Totals.load(args.state)
        report(totals, full=True)
        return 1 if totals.broken else 0
    if args.heads:
        return heads(args.first, args.seeds)
    if args.seed is not None:
        return one(args.seed, args.only, smaller=args.shrink)
    return many(args)


def one(seed: int, only: str | None, *, smaller: bool) -> int:
    """Tell of one seed."""
    plan = plan_of(seed)
    kept = tuple(range(len(plan.actions)))
    if only is not None:
        kept = tuple(int(index) for index in only.split(",") if index)
        plan = plan.only(kept)
    if smaller:
        played = play(plan)
        if played.broken is None:
            print(f"seed {seed}: no law is broken")
            return 0
        print(f"seed {seed} breaks {played.broken.law}; {len(plan.actions)} actions", flush=True)
        few = shrink(plan, played.broken.law, lambda text: print(text, flush=True))
        kept, plan = tuple(kept[index] for index in few), plan.only(few)
    story = Story()
    print(f"seed {seed}\nconfig {plan.config}")
    for index, action in zip(kept, plan.actions, strict=True):
        print(f"action {index:3} {action.at_ms / 1000:8.3f} {action.kind} {action.args}")
    played = play(plan, story=story)
    print(story.text())
    print(f"journal head {played.head}, {played.turns} turns, {played.virtual_ms / 1000:.3f} s of virtual time")
    if smaller:
        print(f"again: scripts/simulate.py --seed {seed} --only {','.join(map(str, kept))}")
        print(f"as a test:\n{as_test(plan)}")
    if played.broken is None:
        print("no law was broken")
        return 0
    print(f"BROKEN {played.broken.law}: {played.broken.why}")
    return 1


def heads(first: int, count: int) -> int:
    """Print what each journal ends with: the same in every Python, whatever its hash seed."""
    broken = False
    for seed in range(first, first + count):
        played = play(plan_of(seed))
        broken |= played.broken is not None
        print(seed, played.head, flush=True)
    return int(broken)


def as_test(plan: Plan) -> str:
    """The plan as tests/simulator/regressions writes it."""
    lines = [f"        {plan.seed},"]
    lines += [f"        Action({action.at_ms}, {action.kind!r}, {action.args!r})," for action in plan.actions]
    lines.append(f"        length_ms={plan.length_ms},")
    lines += [f"        {name}={value!r}," for name, value in plan.config.items() if value != CALM[name]]
    return "    plan = world(\n" + "\n".join(lines) + "\n    )\n    assert None is play(plan).broken"


def many(args: argparse.Namespace) -> int:
    """Play many seeds, and say what they came to."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    totals = Totals(commit=commit) if args.state is None else Totals.load(args.state, commit)
    first = args.first + totals.seeds if args.state is not None else args.first
    began_s, before_s, done = now_s(), totals.seconds, 0
    fresh = 0
    for seeds, turns, broken, coverage in play_many(first, args.seeds, args.processes):
        done += seeds
        totals.seeds += seeds
        totals.turns += turns
        totals.coverage.add(coverage)
        totals.broken += broken
        fresh += len(broken)
        took_s = now_s() - began_s
        totals.seconds = before_s + took_s
        for each in broken:
            print(f"\nseed {each.seed} BROKEN {each.law}: {each.why[:400]}", flush=True)
        print(f"\r{done}/{args.seeds} seeds, {done / took_s:.1f} seeds/s, {fresh} broken ", end="", flush=True)
        if args.state is not None:
            totals.save(args.state)
        if broken and args.stop:
            break
    print()
    report(totals, full=args.coverage)
    return 1 if totals.broken else 0


def report(totals: Totals, *, full: bool) -> None:
    """What was reached, and what was not."""
    reached = totals.coverage
    cells = all_cells()
    hit = cells & reached.cells.keys()
    open_cells = sorted(cells - hit - EXPLAINED.keys())
    faults = FAULTS & reached.faults.keys()
    crashes = CRASHES & reached.crashes.keys()
    print(f"commit {totals.commit[:12]}: {totals.seeds} seeds, {totals.turns} turns, {len(totals.broken)} broken")
    print(f"cells {len(hit)} of {len(cells)}, {len(EXPLAINED)} explained, {len(open_cells)} open")
    print(f"faults {len(faults)} of {len(FAULTS)}, crash points {len(crashes)} of {len(CRASHES)}")
    odd = sorted(EXPLAINED.keys() & reached.cells.keys())
    if odd:
        print(f"explained as unreachable, and reached: {', '.join(odd)}")
    strange = sorted(EXPLAINED.keys() - cells)
    if strange:
        print(f"explained, and no cell of the table: {', '.join(strange)}")
    if open_cells and totals.seeds >= MANY and not full:
        print("neither reached nor explained:", ", ".join(open_cells))
    if full:
        print("cells neither reached nor explained:", ", ".join(open_cells) or "none")
        for why, facts, states in UNREACHABLE:
            print(f"not reachable: {', '.join(facts)} in {', '.join(states)}: {why}")
        print("faults not reached:", ", ".join(sorted(FAULTS - faults)) or "none")
        print("crash points not reached:", ", ".join(sorted(CRASHES - crashes)) or "none")
        others = sorted(reached.crashes.keys() - CRASHES)
        print("other crash points:", ", ".join(others) or "none")


if __name__ == "__main__":
    sys.exit(main())
