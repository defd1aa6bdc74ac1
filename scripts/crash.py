"""
A strategy that is killed, restarted and killed again, with faults on: nothing twice, nothing lost.

Each life is a process of its own. It starts a router on the same journal, replays its newest signals, submits new ones,
and dies by SIGKILL: at a random moment, or at one of the points between journal, send, reply, apply and publish. In the
end the faults stop, a last life replays every signal, and both sides are compared:

- with a maximum age beyond the run: exactly one order in the exchange's books for each signal;
- with a maximum age of 2 s: one order or one stated denial for each;
- either way no execution lost or doubled, equal positions, and no create sent again before proof.

The exchange is the loopback exchange of the tests, in a process of its own. Prints the counts; exit code 1 on any
difference.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import random
import select
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from attrs import asdict, define, evolve, field, frozen
from loguru import logger

from hean import HeanError, OrderState, OrderType, Router, Side, Signal, Ticket, TimeInForce
from hean.actors.ports import Point, Ports
from hean.journal import JournalView
from hean.settings import Settings
from tests.scenarios.audit import Ours, Told, differences, sent_before_proof

VISIBLE_S = 1.4
# Beyond any run.
AGELESS_S = 86_000
SYMBOLS = {"BTCUSDT": ("0.001", "96000", "50000"), "ETHUSDT": ("0.01", "3600", "1500")}
# How many of its newest signals a strategy replays; the last life replays all.
REPLAYED = 25
MOST_LIFE_S = 2.0
# A refused topic is asked for again after 5 to 10 s, then 10 to 20: some lives are refused twice in a row.
ROUTER_START_S = 90.0
# A start gives up by itself, and says why.
START_S = ROUTER_START_S + 10
SETTLE_S = 120.0
FAULTS: list[tuple[str, dict[str, str], float, dict[str, Any]]] = [
    ("lose_reply", {"op": "order.create"}, 0.03, {}),
    ("lose_reply", {"endpoint": "order/create"}, 0.05, {}),
    ("lose_request", {"op": "order.create"}, 0.02, {}),
    ("lose_request", {"endpoint": "order/create"}, 0.03, {}),
    ("error", {"op": "order.create"}, 0.03, {"ret_code": 10016, "executed": True}),
    ("error", {"op": "order.create"}, 0.03, {"ret_code": 10016, "executed": False}),
    ("error", {"endpoint": "order/create"}, 0.03, {"ret_code": 10016, "executed": True}),
    ("error", {"endpoint": "order/create"}, 0.03, {"ret_code": 10016, "executed": False}),
    ("error", {"endpoint": "order/realtime"}, 0.05, {"ret_code": 10016}),
    ("error", {"endpoint": "execution/list"}, 0.03, {"ret_code": 10016}),
    ("rate_limit", {"op": "order.create"}, 0.02, {"ms": 50}),
    ("rate_limit", {"endpoint": "order/create"}, 0.02, {"ms": 50}),
    ("delay_reply", {"op": "order.create"}, 0.10, {"ms": 60}),
    ("delay_reply", {"endpoint": "order/create"}, 0.10, {"ms": 60}),
    ("duplicate_push", {}, 0.10, {}),
    ("reorder_push", {}, 0.03, {}),
    ("delay_push", {}, 0.05, {"ms": 80}),
    ("drop_push", {"topic": "order"}, 0.02, {}),
    ("drop_push", {"topic": "execution"}, 0.02, {}),
]


@frozen
class Plan:
    """How one life ends: at the n-th passage of a point, or after a while; after LIVE, or from the start."""

    point: Point | None
    passage: int
    after_s: float
    live_first: bool


@define
class Tally:
    """What happened in a run."""

    lives: int = 0
    kills: int = 0
    after_live: int = 0
    in_flight: int = 0
    at_points: Counter[str] = field(factory=Counter)
    failed_starts: int = 0
    life_s: float = 0.0
    slowest_start_s: float = 0.0


class Shared:
    """Two numbers that outlive a killed process: how many signals it submitted, and how many were in flight."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, 16)

    def _get(self, at: int) -> int:
        return int(struct.unpack_from("q", self._map, at)[0])

    @property
    def submitted(self) -> int:
        return self._get(0)

    @submitted.setter
    def submitted(self, count: int) -> None:
        struct.pack_into("q", self._map, 0, count)

    @property
    def in_flight(self) -> int:
        return self._get(8)

    @in_flight.setter
    def in_flight(self, count: int) -> None:
        struct.pack_into("q", self._map, 8, count)


class Doomed(Router):
    """A router that dies at a point, by no fault of its own."""

    def __init__(self, settings: Settings, plan: Plan) -> None:
        super().__init__(settings)
        self._plan = plan
        self._passed = 0
        self._counting = threading.Lock()
        self.marked = not plan.live_first

    def _ports(self) -> Ports:
        return evolve(super()._ports(), point=self._strike)

    def _strike(self, point: Point) -> None:
        if not self.marked or point is not self._plan.point:
            return
        with self._counting:
            self._passed += 1
            if self._passed == self._plan.passage:
                os.kill(os.getpid(), signal.SIGKILL)


@frozen
class Strategy:
    """
    What is killed.

    Attributes:
        run: names the signals.
        pace_s: between two of them.
    """

    settings: Settings
    run: str
    shared: Shared
    pace_s: float


# The strategy.


def wish(run: str, number: int) -> Signal:
    """The signal of that number: the same in each life."""
    rng = random.Random(f"{run}-{number}")
    symbol = rng.choice(list(SYMBOLS))
    qty, high, low = SYMBOLS[symbol]
    side = rng.choice([Side.BUY, Side.SELL])
    kind = rng.random()
    # Far on the other side of the market, or far on this one.
    crossing, resting = (high, low) if side is Side.BUY else (low, high)
    limit: dict[str, Any] = {"order_type": OrderType.LIMIT}
    if kind < 0.45:
        shape: dict[str, Any] = {}
    elif kind < 0.65:
        shape = limit | {"price": crossing}
    elif kind < 0.75:
        shape = limit | {"price": resting, "time_in_force": TimeInForce.IOC}
    else:
        shape = limit | {"price": resting}
    return Signal(strategy_id=run, signal_id=str(number), symbol=symbol, side=side, qty=qty, **shape)


def trade(router: Router, strategy: Strategy) -> None:
    """Replay the newest signals, then submit new ones until the end; cancel what rests."""
    run, shared = strategy.run, strategy.shared
    first = max(shared.submitted - REPLAYED, 0)
    tickets = [router.submit(wish(run, number)) for number in range(first, shared.submitted)]
    pause = threading.Event()
    while True:
        while not router.live:
            pause.wait(0.005)
        number = shared.submitted
        # Before the submit: a signal that may have become an order must be known to whoever counts.
        shared.submitted = number + 1
        tickets.append(router.submit(wish(run, number)))
        for ticket in tickets[-8:-4]:
            if ticket.state is OrderState.ACKNOWLEDGED:
                ticket.cancel("enough")
        tickets = tickets[-REPLAYED:]
        shared.in_flight = sum(not ticket.snapshot().settled for ticket in tickets)
        pause.wait(strategy.pace_s)


def last_life(router: Router, run: str, count: int) -> dict[str, Any]:
    """Replay everything, cancel what rests, and say what became of it all."""
    deadline = time.monotonic() + SETTLE_S
    tickets = {str(number): router.submit(wish(run, number)) for number in range(count)}
    while time.monotonic() < deadline and not all(ticket.snapshot().settled for ticket in tickets.values()):
        for ticket in tickets.values():
            if ticket.outcome is None and ticket.state is OrderState.ACKNOWLEDGED and not ticket.snapshot().pending:
                ticket.cancel("the end")
        threading.Event().wait(0.05)
    return {
        "told": {name: asdict(told_of(ticket)) for name, ticket in tickets.items()},
        "positions": [
            [str(category), symbol, idx, str(held.side), str(held.size)]
            for (category, symbol, idx), held in router.positions.items()
            if held.size
        ],
    }


def told_of(ticket: Ticket) -> Told:
    """The end of one signal, as the router tells it."""
    order = ticket.snapshot()
    return Told(order.order_link_id, str(order.state), order.outcome and str(order.outcome), order.reason)


# The lives.


def live(strategy: Strategy, plan: Plan, word: int) -> None:
    """One doomed life, in a process of its own; never returns."""
    router = Doomed(strategy.settings, plan)
    try:
        logger.remove()
        random.seed()
        router.start()
        os.write(word, b"L")
        router.marked = True
        trade(router, strategy)
    except BaseException:  # noqa: BLE001 - a life must end by the hand of its killer
        os.write(word, b"F" + traceback.format_exc().encode()[-3000:] + history(router).encode()[-3000:])
    os._exit(3)


def history(router: Router) -> str:
    """The newest events of a router that did not come up."""
    try:
        return "\n".join(f"{event.at_ms} {event.type} {event.reason} {event.detail}" for event in router.events(0))
    except HeanError as error:
        return str(error)


def spend(strategy: Strategy, plan: Plan, tally: Tally) -> None:
    """Start a life and see to its end."""
    reading, writing = os.pipe()
    began = time.monotonic()
    strategy.shared.in_flight = 0
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        live(strategy, plan, writing)
    os.close(writing)
    said = b""
    if plan.live_first:
        said, _ = listen(reading, START_S, until=b"LF")
        tally.slowest_start_s = max(tally.slowest_start_s, time.monotonic() - began)
    # At a point it ends itself; whoever never passes that point ends all the same.
    more, ended = listen(reading, MOST_LIFE_S if plan.point is not None else plan.after_s)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    said += more + drain(reading)
    os.close(reading)
    tally.lives += 1
    tally.life_s += time.monotonic() - began
    if b"F" in said or os.WIFEXITED(status):
        tally.failed_starts += 1
        print(f"a life ended by itself, {plan}:\n{said.decode()}", flush=True)
        return
    was_live = said.startswith(b"L")
    tally.kills += 1
    tally.after_live += was_live
    tally.in_flight += was_live and strategy.shared.in_flight > 0
    if plan.point is not None and ended:
        tally.at_points[str(plan.point)] += 1


def listen(pipe: int, timeout_s: float, until: bytes = b"") -> tuple[bytes, bool]:
    """What is said within that time, or up to one of those bytes, and whether the other side ended meanwhile."""
    said, deadline = b"", time.monotonic() + timeout_s
    while (left_s := deadline - time.monotonic()) > 0 and not set(said) & set(until):
        ready, _, _ = select.select([pipe], [], [], left_s)
        part = os.read(pipe, 65536) if ready else b""
        if ready and not part:
            return said, True
        said += part
    return said, False


def drain(pipe: int) -> bytes:
    """What is left in a pipe whose other side is gone."""
    said = b""
    while part := os.read(pipe, 65536):
        said += part
    return said


def settle(settings: Settings, run: str, count: int) -> dict[str, Any]:
    """The last life, in a process of its own as well, and what it says."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reading)
            logger.remove()
            with Router(settings) as router:
                answer = last_life(router, run, count)
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(json.dumps(answer).encode())
            code = 0
        except BaseException:  # noqa: BLE001 - forked: nobody above may go on as if it were the parent
            traceback.print_exc()
        os._exit(code)
    os.close(writing)
    said = drain(reading)
    os.close(reading)
    _, status = os.waitpid(pid, 0)
    if status:
        raise RuntimeError("the last life failed")
    return dict(json.loads(said))


# The exchange.


@contextmanager
def exchange(seed: int) -> Iterator[dict[str, str]]:
    """The loopback exchange in a process of its own."""
    script = Path(__file__).resolve().parent / "exchange.py"
    command = [sys.executable, str(script), "--limits", "none", "--seed", str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def control(urls: dict[str, str], method: str, name: str, **params: Any) -> Any:
    """One call of the exchange's control API."""
    body = json.dumps(params).encode() if method == "POST" else None
    request = urllib.request.Request(f"{urls['control']}/{name}", data=body, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def arm(urls: dict[str, str], *, cuts: bool) -> None:
    """Switch the faults on."""
    for name, match, probability, args in FAULTS:
        control(urls, "POST", "faults", fault=name, match=match, count=None, probability=probability, args=args)
    if cuts:
        control(urls, "POST", "faults", fault="refuse_topic", count=None, probability=0.01)


def settings_of(urls: dict[str, str], journal: Path, *, max_age_s: float, entry: str, submit: str) -> Settings:
    """A strategy's settings: patient enough to live through the faults, quick enough to be killed often."""
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
        bybit__recv_window_ms=350,
        bybit__reply_timeout_s=1.0,
        orders__max_age_s=max_age_s,
        orders__submit=submit,
        orders__submit_max=100_000,
        start__timeout_s=ROUTER_START_S,
        orders__visibility_delay_s=VISIBLE_S,
        orders__max_open=100_000,
        orders__max_tries=100,
        orders__retry_base_s=0.02,
        orders__retry_cap_s=0.1,
        orders__query_base_s=0.05,
        orders__query_cap_s=0.5,
        stream__backoff_base_s=0.05,
        stream__backoff_cap_s=0.2,
        # The faults of this run would open every breaker; those have tests of their own.
        breaker__failures=10_000,
        reconcile__overlap_s=5,
        clock__max_drift_ms=60_000,
    )


# The run.


def plan_of(rng: random.Random) -> Plan:
    """Two in three at a point, the others at any moment; nine in ten after LIVE."""
    live_first = rng.random() < 0.9
    if rng.random() < 2 / 3:
        return Plan(point=rng.choice(list(Point)), passage=rng.randint(1, 12), after_s=0.0, live_first=live_first)
    return Plan(point=None, passage=0, after_s=rng.uniform(0.0, 0.35), live_first=live_first)


def campaign(
    number: int, kills: int, *, max_age_s: float, entry: str, submit: str, seed: int, pace_s: float, tally: Tally
) -> int:
    """
    One exchange and one journal, many lives, one reckoning.

    Returns:
        the number of differences, which are printed.
    """
    denials = max_age_s < AGELESS_S
    run = f"crash-{seed}-{number}"
    rng = random.Random(run)
    shared = Shared()
    before = tally.kills
    began = time.monotonic()
    with exchange(rng.randrange(2**31)) as urls, tempfile.TemporaryDirectory() as directory:
        journal = Path(directory) / "journal.db"
        settings = settings_of(urls, journal, max_age_s=max_age_s, entry=entry, submit=submit)
        strategy = Strategy(settings, run, shared, pace_s)
        arm(urls, cuts=denials)
        while tally.kills - before < kills and tally.failed_starts < 20:
            spend(strategy, plan_of(rng), tally)
            if rng.random() < 0.1:
                # The next start finds a door shut for a while.
                channel = rng.choice(["cut_private", "cut_trade"] if denials else ["cut_trade"])
                control(urls, "POST", "faults", fault=channel, args={"refuse_s": 0.2})
        fired = Counter[str]()
        for row in control(urls, "GET", "faults"):
            fired[row["fault"]] += row["fired"]
        control(urls, "DELETE", "faults")
        answer = settle(settings, run, shared.submitted)
        books = control(urls, "GET", "books")
        requests = control(urls, "GET", "requests")
        with JournalView.read(journal) as view:
            executions = Counter((entry.symbol, entry.exec_id) for entry in view.executions())
            broken_at = view.verify_chain()
    told = {name: Told(**fields) for name, fields in answer["told"].items()}
    positions = {
        (category, symbol, idx): (side, Decimal(size)) for category, symbol, idx, side, size in answer["positions"]
    }
    found = differences(Ours(told, executions, positions), books, denials=denials)
    found += sent_before_proof(requests, int(VISIBLE_S * 1000))
    found += [] if broken_at is None else [f"the journal's chain is broken at {broken_at}"]
    outcomes = Counter(each.outcome for each in told.values())
    creates = sum(row.get("op") == "order.create" or row.get("endpoint") == "order/create" for row in requests)
    print(
        f"campaign {number} ({entry}, {submit}, max age {max_age_s:g} s): {tally.kills - before} kills in "
        f"{time.monotonic() - began:.0f} s, {len(told)} signals, {len(books['orders'])} orders, {creates} creates, "
        f"{len(books['executions'])} executions here {sum(executions.values())}, "
        f"outcomes {dict(sorted(outcomes.items(), key=str))}, faults fired {dict(sorted(fired.items()))}, "
        f"{len(found)} differences",
        flush=True,
    )
    for difference in found[:20]:
        print(f"  DIFFERENCE {difference}", flush=True)
    return len(found)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Kill a strategy again and again, and compare the books")
    parser.add_argument("--kills", type=int, default=1000, help="with a maximum age beyond the run")
    parser.add_argument("--kills-aged", type=int, default=300, help="with a maximum age of 2 s")
    parser.add_argument("--campaign", type=int, default=125, help="kills on one exchange and journal")
    parser.add_argument("--pace", type=float, default=0.01, help="seconds between signals")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> int:
    options = parse()
    tally = Tally()
    found, number = 0, 0
    for total, max_age_s in ((options.kills, AGELESS_S), (options.kills_aged, 2.0)):
        left = total
        while left > 0:
            number += 1
            kills = min(left, options.campaign)
            found += campaign(
                number,
                kills,
                max_age_s=max_age_s,
                entry="rest" if number % 3 == 0 else "ws",
                submit="handed_over" if number % 2 == 0 else "caller",
                seed=options.seed,
                pace_s=options.pace,
                tally=tally,
            )
            left -= kills
    print(
        f"{tally.kills} kills, {tally.after_live} after LIVE, {tally.in_flight} of them with orders in flight, "
        f"{sum(tally.at_points.values())} at points {dict(sorted(tally.at_points.items()))}, "
        f"{tally.life_s / max(tally.lives, 1):.2f} s a life, slowest start {tally.slowest_start_s:.1f} s, "
        f"{tally.failed_starts} lives failed, {found} differences"
    )
    return 1 if found or tally.failed_starts else 0


if __name__ == "__main__":
    sys.exit(main())
