"""Clients that take turns: each in its own process and with its own account, all at one exchange."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.bench.clients import ONE_CORE, PACKAGES
from tests.bench.exchange import TimedExchange
from tests.bench.figures import Figures, spans_of
from tests.bench.worker import ROOT, Worker

WARM_UP = 30


def installed(name: str, python: str) -> bool:
    """Whether that interpreter has what the client needs."""
    package = PACKAGES.get(name)
    if package is None:
        return True
    look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    return subprocess.run([python, "-c", look], cwd=ROOT, check=False).returncode == 0


class Turns:
    """
    The clients of a run, started.

    Args:
        exchange: started, with an account for each.
        names: of the clients.
        scratch: each gets a directory in it.
        pythons: interpreters of clients that live in an environment of their own.
        warm_up: orders before the first that counts.
        core: the processor that each client is kept on; None leaves that to the system.
    """

    def __init__(
        self,
        exchange: TimedExchange,
        names: Iterable[str],
        scratch: Path,
        pythons: Mapping[str, str],
        *,
        warm_up: int = WARM_UP,
        core: int | None = None,
    ) -> None:
        self._warm_up = warm_up
        self._exchange = exchange
        self._number = 0
        self._rest_s: dict[str, float] = {}
        self._widest: dict[str, int] = {}
        self._calm_at = 0.0
        self._scratch = scratch
        self.workers = {
            name: Worker(
                name,
                pythons.get(name, sys.executable),
                max(os.sched_getaffinity(0)) if core is None and name == ONE_CORE else core,
            )
            for name in names
        }

    def __enter__(self) -> Self:
        for account, (name, worker) in enumerate(self.workers.items()):
            home = self._scratch / name.replace(" ", "-")
            home.mkdir(exist_ok=True)
            says = worker.do("start", urls=self._exchange.urls_of(account), scratch=str(home))
            self._rest_s[name], self._widest[name] = says["rest_s"], says["widest"]
            worker.do("one_by_one", first=self._take(self._warm_up), count=self._warm_up, pause_s=0)
        self._exchange.stamps()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers.values():
            worker.close()

    def round(self, figures: Figures, turn: int, *, orders: int, in_flight: Iterable[int], pause_s: float) -> None:
        """
        One turn of each client; who begins changes from round to round.

        Args:
            figures: take what is found.
            turn: the number of the round.
            orders: one after the other, of each client.
            in_flight: how many on the way at once, and so a run of as many again as `orders` for each.
            pause_s: between a fill and the next signal.
        """
        names = list(self.workers)
        at = turn % len(names)
        for name in names[at:] + names[:at]:
            worker = self.workers[name]
            # Waits because the client before it still works on what its last orders caused.
            time.sleep(max(self._calm_at - time.monotonic(), 0))
            trips = worker.do("one_by_one", first=self._take(orders), count=orders, pause_s=pause_s)["trips"]
            for measure, spans in spans_of(trips, self._exchange.stamps()).items():
                figures.spans[name][measure].append(spans)
            for most in in_flight:
                if most <= self._widest[name]:
                    count = orders + most
                    says = worker.do("in_flight", first=self._take(count), count=count, most=most)
                    figures.rates[name][most].append(says["per_s"])
                    figures.cpu_us[name][most].append(says["cpu_us"])
            self._exchange.stamps()
            self._calm_at = time.monotonic() + self._rest_s[name]

    def _take(self, count: int) -> int:
        first, self._number = self._number, self._number + count
        return first
