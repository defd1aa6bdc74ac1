"""
A restart with a long past: a journal of 100,000 orders of which 100 are open, and how long until the router is LIVE.

The past is made of a few real orders, whose rows are written again and again under other IDs and at other times, by the
journal's own writer. That takes minutes, so it is kept beside the user's other caches. The hundred open orders
are real: a router on that journal sends them to the exchange and is killed, and the next one finds them there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
from attrs import evolve, fields, frozen

from hean.core.record import Order
from hean.core.types import Execution, OrderRequest
from hean.journal import Batch, ExecutionEntry, Journal, OrderEntry, Record
from hean.journal.sql import SCHEMA_VERSION
from tests.bench.exchange import TimedExchange
from tests.bench.figures import Target
from tests.bench.worker import Worker

OPEN = 100
SYMBOLS = ["BTCUSDT"]
PATTERN = 4
"""A sale and a purchase of each symbol: positions are flat after them."""
MONTH_MS = 30 * 24 * 60 * 60 * 1000
_WRITTEN = (Order, OrderRequest, Execution, OrderEntry, ExecutionEntry, Record)
"""Where one of them gets another field, the past is written anew."""
_LONG_AGO_MS = 1_500_000_000_000
"""An integer above it is a time in ms."""


@frozen
class Restart:
    """
    What was found.

    Attributes:
        orders: in the journal, the open ones included.
        live_s: from the router's start to LIVE, of each restart after a kill.
        whole_s: the same from the start of its process, the imports included.
        first_s: the first start on that journal, of which no position is summed up yet.
    """

    orders: int
    live_s: list[float]
    whole_s: list[float]
    first_s: float


def restart(orders: int, rounds: int, scratch: Path) -> Restart:
    """
    Measure.

    Args:
        orders: in the journal, at the end.
        rounds: restarts.
        scratch: for the journal.
    """
    home = scratch / "restart"
    home.mkdir()
    shutil.copy(past(orders - OPEN), home / "journal.db")
    live_s, whole_s = [], []
    with TimedExchange() as exchange:
        worker = Worker("hean ws")
        first_s = worker.do("start", urls=exchange.urls, scratch=str(home))["start_s"]
        # The exchange's word on the positions comes with the next fill; what it confirms is summed up.
        worker.do("one_by_one", first=0, count=PATTERN, pause_s=0.5)
        worker.do("live", symbols=SYMBOLS, first=0, count=OPEN, each=OPEN)
        for _ in range(rounds):
            worker.kill()
            began = time.monotonic()
            worker = Worker("hean ws")
            live_s.append(worker.do("start", urls=exchange.urls, scratch=str(home))["start_s"])
            whole_s.append(time.monotonic() - began)
            known = worker.do("open_orders")["count"]
            if known != OPEN:
                raise RuntimeError(f"expected {OPEN} open orders after the restart, was {known}")
        worker.close()
    return Restart(orders=orders, live_s=live_s, whole_s=whole_s, first_s=first_s)


def past(orders: int) -> Path:
    """A journal of so many orders, all settled; made where the cache has none of today's form."""
    form = hashlib.sha256(repr((2, orders, SCHEMA_VERSION, [fields(kind) for kind in _WRITTEN])).encode())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hean"
    path = cache / f"bench-{form.hexdigest()[:16]}.db"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            made = _made(orders, Path(scratch))
            made.rename(path)
    return path


def _made(orders: int, scratch: Path) -> Path:
    # IDs of its own: another exchange takes the orders that come later.
    with TimedExchange(seed=1) as exchange:
        worker = Worker("hean ws")
        worker.do("start", urls=exchange.urls, scratch=str(scratch))
        worker.do("one_by_one", first=0, count=PATTERN, pause_s=0.1)
        time.sleep(3)  # waits because a settled order is retired, and its last rows are written, a while later
        worker.do("stop")
        worker.close()
    path = scratch / "journal.db"
    journal = Journal.open(path, int(time.time() * 1000))
    pattern = [_Story(journal, entry) for entry in journal.orders() if entry.settled]
    if len(pattern) != PATTERN:
        raise RuntimeError(f"expected {PATTERN} settled orders, was {len(pattern)}")
    for number in range(PATTERN, orders):
        # Oldest first, the newest just before the real ones.
        journal.commit(pattern[number % PATTERN].again(number, MONTH_MS * (orders - number) // orders))
    journal.close()
    return path


class _Story:
    """Everything that the journal has of one order, to be written again as another's."""

    def __init__(self, journal: Journal, entry: OrderEntry) -> None:
        self._entry = entry
        self._records = list(journal.records(order_link_id=entry.order_link_id))
        self._executions = list(journal.executions(order_link_id=entry.order_link_id))
        self._names = [entry.order_link_id, entry.signal_id, entry.correlation_id, str(entry.order_id)]
        self._names += [execution.exec_id for execution in self._executions]

    def again(self, number: int, ago_ms: int) -> Batch:
        """
        As an order of its own.

        Args:
            number: makes its IDs, and the sequence of its execution, which is before all of the exchange's.
            ago_ms: how much earlier it happened.
        """
        names = {name: f"{number:06}{name[6:]}" for name in self._names}
        entry = self._entry

        def moved(body: str) -> str:
            return orjson.dumps(_moved(orjson.loads(body), names, ago_ms, number)).decode()

        return Batch(
            at_ms=entry.updated_ms - ago_ms,
            records=tuple(
                Record(
                    kind=record.kind,
                    body=moved(record.body),
                    order_link_id=names[entry.order_link_id],
                    correlation_id=names[entry.correlation_id],
                )
                for record in self._records
            ),
            order=evolve(
                entry,
                order_link_id=names[entry.order_link_id],
                order_id=names[str(entry.order_id)],
                correlation_id=names[entry.correlation_id],
                signal_id=names[entry.signal_id],
                submitted_ms=entry.submitted_ms - ago_ms,
                updated_ms=entry.updated_ms - ago_ms,
                body=moved(entry.body),
            ),
            executions=tuple(self._moved_executions(names, number, ago_ms, moved)),
        )

    def _moved_executions(
        self, names: dict[str, str], number: int, ago_ms: int, moved: Callable[[str], str]
    ) -> Iterator[ExecutionEntry]:
        for execution in self._executions:
            yield evolve(
                execution,
                exec_id=names[execution.exec_id],
                order_link_id=names[execution.order_link_id],
                order_id=names[execution.order_id],
                seq=number,
                exec_ms=execution.exec_ms - ago_ms,
                body=moved(execution.body),
            )


def _moved(plain: Any, names: dict[str, str], ago_ms: int, seq: int) -> Any:
    match plain:
        case dict():
            return {key: seq if key == "seq" else _moved(part, names, ago_ms, seq) for key, part in plain.items()}
        case list():
            return [_moved(part, names, ago_ms, seq) for part in plain]
        case str():
            for name, other in names.items():
                if name in plain:
                    plain = plain.replace(name, other)
            return plain
        case int() if plain > _LONG_AGO_MS:
            return plain - ago_ms
        case _:
            return plain


def show(found: Restart) -> str:
    """In words."""
    return (
        f"restart with {found.orders} orders in the journal, {OPEN} of them open, after a kill: LIVE after "
        f"{statistics.median(found.live_s):.2f} s (median of {len(found.live_s)}; "
        f"{statistics.median(found.whole_s):.2f} s with the start of its process), "
        f"{found.first_s:.2f} s for the first start on a journal whose positions nobody had summed up"
    )


def targets(found: Restart) -> list[Target]:
    """Of the median restart."""
    says = f"restart, {found.orders} orders, {OPEN} open, s until LIVE"
    return [Target(says, statistics.median(found.live_s), 3, 1)]
