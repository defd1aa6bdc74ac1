"""
A storm over thousands of signals: lost replies, 10016 with and without execution, bursts of 10006, cut sockets, a ban.

In the end each signal is one order in the exchange's books or one stated denial, both sides' books are equal, and no
create was sent again before proof. The exchange is the loopback exchange of the tests, in a process of its own. Prints
the counts; exit code 1 on any difference.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loguru import logger

from hean import OrderState, Router, Ticket
from hean.journal import JournalView
from hean.settings import Settings
from scripts.crash import control, exchange, told_of, wish
from tests.scenarios.audit import Ours, Told, differences, sent_before_proof

VISIBLE_S = 1.6
SETTLE_S = 120.0
# Signals go on, slowly, while none can be taken.
DENIED_PACE_S = 0.25


def settings_of(urls: dict[str, str], journal: Path, *, entry: str, silence_s: float) -> Settings:
    """Bounds short enough for a storm of minutes; the breaker is patient, or it would deny the storm away."""
    env = {
        "HEAN_BYBIT__REST_URL": urls["rest"],
        "HEAN_BYBIT__PRIVATE_URL": urls["private"],
        "HEAN_BYBIT__TRADE_URL": urls["trade"],
        "BYBIT_API_KEY": urls["api_key"],
        "BYBIT_API_SECRET": urls["api_secret"],
        "HEAN_JOURNAL__PATH": str(journal),
    }
    return Settings.load(
        env,
        bybit__entry=entry,
        bybit__recv_window_ms=500,
        bybit__reply_timeout_s=1.0,
        orders__visibility_delay_s=VISIBLE_S,
        orders__max_open=5_000,
        orders__max_age_s=60,
        orders__query_cap_s=1.0,
        stream__backoff_base_s=0.05,
        stream__backoff_cap_s=0.5,
        breaker__failures=300,
        breaker__window_s=10,
        breaker__open_s=0.5,
        breaker__ban_silence_s=silence_s,
        reconcile__orders_s=3,
        reconcile__positions_s=3,
        reconcile__overlap_s=5,
        clock__max_drift_ms=60_000,
    )


def fault(urls: dict[str, str], name: str, **arming: Any) -> None:
    control(urls, "POST", "faults", fault=name, **arming)


def arm(urls: dict[str, str]) -> None:
    """What lasts through the whole storm: 10 % of the replies lost, 5 % answered 10016, half of those executed."""
    for match in ({"op": "order.create"}, {"endpoint": "order/create"}):
        fault(urls, "lose_reply", match=match, count=None, probability=0.10)
        for executed in (True, False):
            args = {"ret_code": 10016, "executed": executed}
            fault(urls, "error", match=match, count=None, probability=0.025, args=args)
    fault(urls, "duplicate_push", count=None, probability=0.05)
    fault(urls, "drop_push", match={"topic": "execution"}, count=None, probability=0.01)


def gusts(count: int, ban_s: float) -> dict[int, list[tuple[str, dict[str, Any]]]]:
    """What comes once the storm has taken so many signals."""
    # Whoever is told to wait waits, so a burst is few refusals and a long time.
    burst = ("rate_limit", {"count": 20, "args": {"ms": 300}})
    headerless = ("rate_limit", {"count": 5, "args": {"reset_header": False}})
    return {
        count // 6: [burst],
        count // 4: [("cut_trade", {"args": {"refuse_s": 0.5}})],
        count // 3: [headerless],
        count * 5 // 12: [("cut_private", {"args": {"refuse_s": 0.5}})],
        count // 2: [("ban", {"args": {"s": ban_s}})],
        count * 2 // 3: [("cut_private", {}), ("cut_trade", {})],
        count * 3 // 4: [burst],
        count * 5 // 6: [("cut_trade", {}), headerless],
    }


def blow(router: Router, urls: dict[str, str], run: str, *, count: int, pace_s: float, ban_s: float) -> list[Ticket]:
    """Submit every signal while the weather lasts; cancel a part of what rests."""
    coming = gusts(count, ban_s)
    rng = random.Random(run)
    tickets: list[Ticket] = []
    for number in range(count):
        for name, arming in coming.get(number, ()):
            fault(urls, name, **arming)
        tickets.append(router.submit(wish(run, number)))
        if number >= 20 and rng.random() < 0.5:
            tickets[number - 20].cancel("enough")
        threading.Event().wait(pace_s if router.live else DENIED_PACE_S)
    return tickets


def settle(tickets: list[Ticket]) -> float:
    """Wait until nothing is open any more; how long it took."""
    began = time.monotonic()
    while time.monotonic() - began < SETTLE_S and not all(ticket.snapshot().settled for ticket in tickets):
        for ticket in tickets:
            if ticket.state is OrderState.ACKNOWLEDGED and not ticket.snapshot().pending:
                ticket.cancel("the end")
        threading.Event().wait(0.25)
    return time.monotonic() - began


def storm(*, count: int, pace_s: float, entry: str, seed: int, ban_s: float, silence_s: float) -> int:
    """One storm and its reckoning; the number of differences, which are printed."""
    run = f"storm-{seed}-{entry}"
    began = time.monotonic()
    with exchange(seed) as urls, tempfile.TemporaryDirectory() as directory:
        journal = Path(directory) / "journal.db"
        with Router(settings_of(urls, journal, entry=entry, silence_s=silence_s)) as router:
            arm(urls)
            tickets = blow(router, urls, run, count=count, pace_s=pace_s, ban_s=ban_s)
            settled_s = settle(tickets)
            told = {str(number): told_of(ticket) for number, ticket in enumerate(tickets)}
            denied = Counter(str(ticket.snapshot().deny_reason) for ticket in tickets if ticket.snapshot().deny_reason)
            positions = {
                (str(category), symbol, idx): (str(held.side), held.size)
                for (category, symbol, idx), held in router.positions.items()
                if held.size
            }
        fired = Counter[str]()
        for row in control(urls, "GET", "faults"):
            fired[row["fault"]] += row["fired"]
        books, requests = control(urls, "GET", "books"), control(urls, "GET", "requests")
        with JournalView.read(journal) as view:
            executions = Counter((entry_.symbol, entry_.exec_id) for entry_ in view.executions())
            broken_at = view.verify_chain()
    found = differences(Ours(told, executions, positions), books, denials=True)
    found += sent_before_proof(requests, int(VISIBLE_S * 1000))
    found += [] if broken_at is None else [f"the journal's chain is broken at {broken_at}"]
    report(entry, told, denied, fired, books=books, requests=requests, took_s=time.monotonic() - began)
    print(f"  settled {settled_s:.0f} s after the last signal; {len(found)} differences", flush=True)
    for difference in found[:20]:
        print(f"  DIFFERENCE {difference}", flush=True)
    return len(found)


def report(
    entry: str,
    told: dict[str, Told],
    denied: Counter[str],
    fired: Counter[str],
    *,
    books: dict[str, Any],
    requests: list[dict[str, Any]],
    took_s: float,
) -> None:
    """The counts."""
    creates = Counter(
        row["orderLinkId"]
        for row in requests
        if (row.get("op") or row.get("endpoint")) in {"order.create", "order/create"}
    )
    outcomes = Counter(str(each.outcome) for each in told.values())
    print(
        f"storm ({entry}): {len(told)} signals in {took_s:.0f} s, {len(books['orders'])} orders, "
        f"{creates.total()} creates, {sum(times > 1 for times in creates.values())} signals sent again after proof, "
        f"{len(books['executions'])} executions; outcomes {dict(sorted(outcomes.items()))}, "
        f"denied {dict(sorted(denied.items()))}, faults fired {dict(sorted(fired.items()))}",
        flush=True,
    )


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="A storm over thousands of signals, and the reckoning")
    parser.add_argument("--signals", type=int, default=2100)
    parser.add_argument("--pace", type=float, default=0.01, help="seconds between signals")
    parser.add_argument("--entry", choices=("ws", "rest", "both"), default="both")
    parser.add_argument("--ban", type=float, default=30.0, help="seconds of HTTP 403")
    parser.add_argument("--silence", type=float, default=5.0, help="seconds that the router keeps silent in a ban")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> int:
    options = parse()
    logger.remove()
    found = 0
    for entry in ("ws", "rest") if options.entry == "both" else (options.entry,):
        found += storm(
            count=options.signals,
            pace_s=options.pace,
            entry=entry,
            seed=options.seed,
            ban_s=options.ban,
            silence_s=options.silence,
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
