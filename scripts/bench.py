"""
How fast hean is, and against what: signal to wire, fill to strategy, round trips per second, many orders, a restart.

Runs against the loopback exchange in a process of its own. Each client has its own process and account, and they take
turns within one run, because a machine's mood changes more between runs than clients differ: look at the paired ratios.
Peers that are not installed (`pip install -e .[peers]`) are skipped.

hummingbot is not among them: for Python 3.11 there is a source archive alone, and pip had not so much as listed what
its build needs after two minutes of compiling Cython.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from attrs import asdict

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hean import Router, Side, Signal
from tests.bench import busy as busy_strategy
from tests.bench import live as many_live
from tests.bench import readme
from tests.bench import restart as long_past
from tests.bench.clients import CLIENTS, OURS
from tests.bench.exchange import TimedExchange
from tests.bench.figures import Figures, Target, targets
from tests.bench.plot import plot
from tests.bench.stages import stages
from tests.bench.table import show, show_targets
from tests.bench.turns import Turns, installed
from tests.exchange import LoopbackExchange

ROOT = Path(__file__).resolve().parent.parent
DESK_MS = 150
"""What a person at a terminal does not notice as waiting; on an idle machine."""


VIEWERS = ("--help", "status", "signals", "orders", "trace one", "config show", "version")
ASKERS = ("positions", "reconcile", "doctor")
"""These wait for the exchange, and so for more than what they import."""


def desk(rounds: int) -> int:
    """How soon the desk's viewers answer, as a person waits for them; 1 where one takes longer than it may."""
    slowest = 0.0
    program = "import sys; from hean.desk.cli import run; run(sys.argv[1:])"
    with tempfile.TemporaryDirectory() as scratch, LoopbackExchange() as exchange:
        urls = exchange.urls
        env = {f"HEAN_BYBIT__{door.upper()}_URL": urls[door] for door in ("rest", "private", "trade")}
        env |= {"BYBIT_API_KEY": urls["api_key"], "BYBIT_API_SECRET": urls["api_secret"]}
        env |= {"HEAN_JOURNAL__PATH": str(Path(scratch) / "journal.db")}
        with Router.from_env(env) as router:
            asked = Signal(strategy_id="bench", signal_id="one", symbol="BTCUSDT", side=Side.BUY, qty="0.001")
            router.submit(asked).wait(30)
        for line in (*VIEWERS, *ASKERS):
            spans = []
            for _ in range(rounds):
                began = time.monotonic()
                command = [sys.executable, "-c", program, *line.split()]
                subprocess.run(command, capture_output=True, check=True, env=os.environ | env)
                spans.append((time.monotonic() - began) * 1000)
            if line in VIEWERS:
                slowest = max(slowest, statistics.median(spans))
            print(f"hean {line:12} {statistics.median(spans):6.0f} ms median, {min(spans):6.0f} ms least")
    return 0 if slowest <= DESK_MS else 1


def trips(options: argparse.Namespace, found: dict[str, Any]) -> list[Target]:
    """An order's way, and many on the way at once."""
    names = []
    for name in CLIENTS:
        if options.only and name not in options.only:
            continue
        if installed(name, options.pythons.get(name, sys.executable)):
            names.append(name)
        else:
            print(f"{name} is not installed: skipped")
    figures = Figures()
    pause_s = options.pause_ms / 1000
    with (
        tempfile.TemporaryDirectory() as scratch,
        TimedExchange(accounts=len(names), core=options.cores[0]) as exchange,
        Turns(exchange, names, Path(scratch), options.pythons, core=options.cores[1]) as turns,
    ):
        for turn in range(options.rounds):
            turns.round(figures, turn, orders=options.orders, in_flight=options.in_flight, pause_s=pause_s)
    print(show(figures))
    found["trips"] = figures.as_json()
    found |= {"rounds": options.rounds, "orders": options.orders, "pause_ms": options.pause_ms}
    return targets(figures)


def live(options: argparse.Namespace, found: dict[str, Any]) -> list[Target]:
    """What many live orders cost."""
    with tempfile.TemporaryDirectory() as scratch:
        levels = many_live.many(
            options.levels,
            client="hean ws",
            rounds=options.rounds,
            orders=max(options.orders // 2, 10),
            pause_s=options.pause_ms / 1000,
            scratch=Path(scratch),
        )
    print(many_live.show(levels))
    found["live"] = [asdict(level) for level in levels]
    return many_live.targets(levels)


def busy(options: argparse.Namespace, found: dict[str, Any]) -> list[Target]:
    """What a strategy that computes in the same process does to it; nothing to be reached."""
    with tempfile.TemporaryDirectory() as scratch:
        cases = busy_strategy.busy(
            rounds=options.rounds, orders=options.orders, pause_s=options.pause_ms / 1000, scratch=Path(scratch)
        )
    print(busy_strategy.show(cases))
    found["busy"] = [asdict(case) for case in cases]
    return []


def restart(options: argparse.Namespace, found: dict[str, Any]) -> list[Target]:
    """How soon a router with a long past is LIVE."""
    with tempfile.TemporaryDirectory() as scratch:
        seen = long_past.restart(options.past, options.rounds, Path(scratch))
    print(long_past.show(seen))
    found["restart"] = asdict(seen)
    return long_past.targets(seen)


def main() -> int:
    """Measure, print, and write JSON and the plot where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--orders", type=int, default=100, help="per client, round and measure")
    parser.add_argument("--in-flight", type=int, nargs="*", default=[1, 50, 500])
    parser.add_argument("--pause-ms", type=float, default=5.0, help="between a fill and the next signal")
    parser.add_argument("--only", nargs="*", choices=list(CLIENTS), help="clients by name")
    parser.add_argument("--python", nargs="*", default=[], metavar="NAME=PATH", help="a peer's own interpreter")
    parser.add_argument(
        "--cores",
        type=int,
        nargs=2,
        default=(None, None),
        metavar=("EXCHANGE", "CLIENT"),
        help="keep the exchange on one processor, and every client on another",
    )
    parser.add_argument("--json", type=Path, help="where to write what was found")
    parser.add_argument("--from", dest="read", type=Path, metavar="JSON", help="begin with what an earlier run found")
    parser.add_argument("--readme", action="store_true", help="put it into README.md, with its picture")
    parser.add_argument("--svg", type=Path, help="where to draw it")
    parser.add_argument(
        "--trips", action="store_true", help="orders on their way; what is measured where nothing is asked"
    )
    parser.add_argument("--live", action="store_true", help="what thousands of live orders cost")
    parser.add_argument("--levels", type=int, nargs="*", default=[10, 1_000, 5_000, 10_000], help="of live orders")
    parser.add_argument("--restart", action="store_true", help="how soon a router with a long past is LIVE")
    parser.add_argument("--past", type=int, default=100_000, help="orders in its journal; made once, in minutes")
    parser.add_argument("--busy", action="store_true", help="what a strategy that computes in the same process does")
    parser.add_argument("--all", action="store_true", help="all of the above")
    parser.add_argument("--stages", action="store_true", help="where each microsecond of hean goes, and nothing else")
    parser.add_argument("--desk", action="store_true", help="how soon the desk's viewers answer, and nothing else")
    options = parser.parse_args()
    options.pythons = dict(pair.split("=", 1) for pair in options.python)
    if options.desk:
        return desk(options.rounds)
    if options.stages:
        for entry in OURS:
            if not options.only or entry in options.only:
                print(f"{entry}\n{stages(entry, options.orders, options.pause_ms / 1000)}\n")
        return 0
    found: dict[str, Any] = json.loads(options.read.read_text()) if options.read else {}
    asked = [part for part in (trips, live, restart, busy) if options.all or getattr(options, part.__name__)]
    for part in asked if asked or options.read else [trips]:
        reached = part(options, found)
        if reached:
            print(f"\n{show_targets(reached)}\n")
        told = [asdict(target) | {"verdict": target.verdict()} for target in reached]
        found.setdefault("targets", {})[part.__name__] = told
        found |= {"commit": _commit(), "machine": _machine()}
    # Through JSON, so that what was read and what was measured are alike.
    text = json.dumps(found, indent=1)
    found = json.loads(text)
    if options.json:
        options.json.write_text(text)
    if options.svg and "trips" in found:
        options.svg.write_text(plot(found["trips"]))
    if options.readme and "trips" in found:
        readme.write(found, ROOT)
    return 0


def _commit() -> str:
    asked = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, check=False)
    return asked.stdout.decode().strip() or "no commit"


def _machine() -> str:
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    sys.exit(main())
