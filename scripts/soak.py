"""
Continuous trading on several symbols while everything that can go wrong on the wire does; then look at both books.

The exchange is the loopback one of the tests, in a process of its own. Sockets are cut, pushes dropped, duplicated,
reordered and delayed, queries lag, lie by omission and fail, replies are lost, and foreign orders and funding arrive.
At each quiet point trading pauses, faults are cleared, and another process compares the exchange's own books with the
journal and with what the router holds: open orders, executions by exec_id, positions, orphans. One JSON line for each,
with counts, memory and threads, and one at the end.

It ends when both are reached, so many orders and so many minutes. `--orders 300 --minutes 0.5 --quiet-s 15` is a short
run. Exit codes: 0 both sides equal at every quiet point, and memory and threads flat; 1 anything else.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loguru import logger

from hean import EventType, OrderState, OrderType, Router, Side, Signal, Ticket, TimeInForce
from tests.soak.audit import Held, audit
from tests.soak.exchange import FAULTS, SYMBOLS, Chaos, ExchangeProcess

QUIET_S = 90.0
# Memory may grow by this much between the first quiet points and the last: caches fill, allocators round up.
GROWTH = 0.15
SLACK_MB = 24.0
ALIVE = {OrderState.ACKNOWLEDGED, OrderState.PARTIAL_FILL}
# A lagging list must not stop the trading that is to be observed: differences are told, and counted here.
SETTINGS: dict[str, object] = {
    "bybit__recv_window_ms": 1_000,
    "bybit__reply_timeout_s": 1,
    "orders__visibility_delay_s": 2.6,
    "orders__query_cap_s": 2,
    "stream__backoff_base_s": 0.1,
    "stream__backoff_cap_s": 1,
    "breaker__failures": 10_000,
    "clock__max_drift_ms": 5_000,
    "events__buffer": 5_000,
    "reconcile__position_only_here": "alert",
    "reconcile__position_only_there": "alert",
    "reconcile__position_differs": "alert",
}


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="trade while the wire breaks, and compare both books")
    parser.add_argument(
        "--orders", type=int, default=20_000, help="at least so many, not counting denied ones (default 20000)"
    )
    parser.add_argument("--minutes", type=float, default=30.0, help="at least so long (default 30)")
    parser.add_argument("--quiet-s", type=float, default=60.0, help="trading between two quiet points, s (default 60)")
    parser.add_argument("--rate", type=float, default=15.0, help="orders per second (default 15)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--journal", type=Path, help="kept; default: a temporary one")
    return parser.parse_args()


class Trader:
    """A strategy without a view: every kind of order, on every symbol."""

    def __init__(self, router: Router, seed: int, per_s: float) -> None:
        self.router = router
        self.sent = 0
        self.denied: Counter[str] = Counter()
        self._rng = random.Random(seed)
        self._pause_s = 1 / per_s
        self._resting: list[Ticket] = []

    @property
    def taken(self) -> int:
        """Orders that were not denied."""
        return self.sent - sum(self.denied.values())

    def trade(self, until: float, chaos: Chaos) -> None:
        """Trade until then."""
        due = time.monotonic()
        while due < until:
            self._one(chaos)
            due += self._pause_s
            threading.Event().wait(max(due - time.monotonic(), 0))

    def _one(self, chaos: Chaos) -> None:
        rng = self._rng
        symbol = rng.choice(list(SYMBOLS))
        price, qty, tick = chaos.price(symbol), SYMBOLS[symbol].qty, SYMBOLS[symbol].tick
        held = self.router.positions.get(("linear", symbol, 0))
        side = rng.choice([Side.BUY, Side.SELL])
        if held is not None and held.side is not None and held.size > qty * 20:
            side = held.side.opposite
        changes: dict[str, Any] = {"qty": str(qty * rng.randint(1, 4))}
        kind = rng.random()
        if kind >= 0.45:
            away = tick * rng.randint(1, 30) * (-1 if side is Side.BUY else 1)
            force = rng.choice([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.POST_ONLY])
            changes |= {"order_type": OrderType.LIMIT, "price": str(price + away), "time_in_force": force}
        signal = Signal(strategy_id="soak", signal_id=f"{self.sent}", symbol=symbol, side=side, **changes)
        ticket = self.router.submit(signal)
        self.sent += 1
        if ticket.state is OrderState.DENIED:
            self.denied[str(ticket.snapshot().deny_reason)] += 1
        elif kind >= 0.45:
            self._resting.append(ticket)
        if len(self._resting) > 30:
            victim = self._resting.pop(rng.randrange(len(self._resting)))
            if rng.random() < 0.3 and victim.state in ALIVE:
                victim.amend(price=str(chaos.price(victim.snapshot().symbol)))
                self._resting.append(victim)
            else:
                victim.cancel()


def settle(router: Router) -> list[str]:
    """Wait until every order is either open, by evidence, or gone; what is still unsettled at the time-out."""
    deadline = time.monotonic() + QUIET_S
    while True:
        doubtful = [f"{link} {held.state} gap {held.gap}" for link, held in router.orders.items() if unsettled(held)]
        if not doubtful or time.monotonic() > deadline:
            return doubtful
        threading.Event().wait(0.2)


def unsettled(snapshot: Any) -> bool:
    return snapshot.state not in ALIVE or bool(snapshot.pending)


def memory_mb() -> float:
    """Resident memory of this process, MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS in /proc/self/status")


class Watch:
    """Counts what the router tells, on the router's own callback thread."""

    def __init__(self, router: Router) -> None:
        self.events: Counter[str] = Counter()
        for type_ in EventType:
            router.subscribe(type_, self._count)

    def _count(self, event: Any) -> None:
        name = str(event.type)
        if event.type in {EventType.RECONCILIATION_ALERT, EventType.ERROR}:
            name += f".{event.reason}"
        self.events[name] += 1


def look(router: Router, exchange: ExchangeProcess, journal: Path, began: float) -> dict[str, Any]:
    """One quiet point: settle, compare, measure."""
    settle(router)
    report = router.reconcile(timeout_s=QUIET_S)
    # What was found has to be taken in, and what ended by it to retire.
    doubtful = settle(router)
    tracked = len(router.orders)
    measured = {
        "memory_mb": round(memory_mb(), 1),
        "threads": threading.active_count() - tracked,
        "open": tracked,
    }
    held = Held(
        orders={
            link: (str(order.status), str(order.qty), str(order.cum_exec_qty)) for link, order in router.orders.items()
        },
        positions={"/".join(map(str, key)): str(signed(held)) for key, held in router.positions.items() if held.size},
    )
    found = audit_elsewhere(exchange, journal, held)
    differences = found.pop("differences") + [f"unsettled: {text}" for text in doubtful]
    if not report.equal:
        differences.append(f"reconcile: {report.why}; left {[finding.text for finding in report.left]}")
    return {
        "at_s": round(time.monotonic() - began),
        **found,
        **measured,
        "found": len(report.found),
        "looks": report.looks,
        "differences": differences,
    }


def signed(position: Any) -> Decimal:
    size: Decimal = position.size
    return size * position.side.sign if position.side is not None else size


def audit_elsewhere(exchange: ExchangeProcess, journal: Path, held: Held) -> dict[str, Any]:
    """Compare in another process: its garbage must not count as ours."""
    asked = json.dumps({"control": exchange.urls["control"], "journal": str(journal), "held": held.plain()})
    done = subprocess.run(
        [sys.executable, __file__, "--audit"], input=asked, capture_output=True, text=True, check=False
    )
    if done.returncode:
        return {"differences": [f"the audit failed: {done.stderr[-2000:]}"]}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def drifted(points: list[dict[str, Any]]) -> list[str]:
    """What of memory and threads was not flat; the first quarter of the run is warming up."""
    if len(points) < 4:
        return []
    base, last = points[len(points) // 4], points[-1]
    told = []
    if last["memory_mb"] > base["memory_mb"] * (1 + GROWTH) + SLACK_MB:
        told.append(f"memory: {base['memory_mb']} MB at {base['at_s']} s, {last['memory_mb']} MB at the end")
    if len({point["threads"] for point in points}) > 1:
        told.append(f"threads: {[point['threads'] for point in points]}")
    return told


def soak(options: argparse.Namespace, journal: Path) -> int:
    """Run; the exit code."""
    began = time.monotonic()
    points: list[dict[str, Any]] = []
    with ExchangeProcess(seed=options.seed) as exchange:
        env = exchange.env(journal)
        with Router.from_env(env, **SETTINGS) as router:
            watch = Watch(router)
            trader = Trader(router, options.seed, options.rate)
            chaos = Chaos(exchange, options.seed)
            while trader.taken < options.orders or time.monotonic() - began < options.minutes * 60:
                with chaos:
                    trader.trade(time.monotonic() + options.quiet_s, chaos)
                points.append({"quiet": len(points) + 1, **look(router, exchange, journal, began)})
                print(json.dumps(points[-1]), flush=True)
            flat = drifted(points)
    differences = [text for point in points for text in point["differences"]] + flat
    print(
        json.dumps(
            {
                "orders": trader.taken,
                "denied": dict(trader.denied),
                "minutes": round((time.monotonic() - began) / 60, 1),
                "quiet_points": len(points),
                "faults_fired": dict(chaos.fired),
                "events": dict(sorted(watch.events.items())),
                "memory_mb": [point["memory_mb"] for point in points],
                "threads": sorted({point["threads"] for point in points}),
                "differences": differences,
            }
        )
    )
    missed = sorted(set(FAULTS) - {name for name, count in chaos.fired.items() if count})
    if missed and trader.taken >= 1_000:
        print(f"never fired: {', '.join(missed)}", file=sys.stderr)
        return 1
    return 1 if differences else 0


def main() -> int:
    """Run, or audit for one that runs."""
    if sys.argv[1:] == ["--audit"]:
        print(json.dumps(audit(json.load(sys.stdin))))
        return 0
    logger.remove()
    options = parse()
    if options.journal is not None:
        return soak(options, options.journal)
    with tempfile.TemporaryDirectory() as directory:
        return soak(options, Path(directory) / "journal.db")


if __name__ == "__main__":
    os.environ.pop("HEAN_CONFIG", None)
    sys.exit(main())
