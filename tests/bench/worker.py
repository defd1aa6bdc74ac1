"""
One client in a process of its own, told by lines of JSON what to do: nobody's memory, threads or lock are another's.

`python -m tests.bench.worker NAME` reads a command a line and answers each with a line.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

from tests.bench.clients import client_of
from tests.bench.trip import Client, Looped

ROOT = Path(__file__).resolve().parent.parent.parent


class WorkerFailed(Exception):
    """A client could not do what it was told; its own words."""


class Worker:
    """
    A client's process.

    Args:
        name: of the client.
        python: the interpreter that has its packages.
        core: the processor that all its threads are kept on; None leaves that to the system.
    """

    def __init__(self, name: str, python: str = sys.executable, core: int | None = None) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [python, "-m", "tests.bench.worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        if core is not None:
            # Before it has threads: each inherits this.
            os.sched_setaffinity(self._process.pid, {core})

    def do(self, what: str, **arguments: Any) -> dict[str, Any]:
        """
        Do something; see `_Hands`.

        Raises:
            WorkerFailed: it could not.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise WorkerFailed(f"{self.name}: the process ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerFailed(f"{self.name}: {answer['error']}")
        return answer

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    def close(self) -> None:
        """End it."""
        if self._process.poll() is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()


class _Hands:
    """What a worker can do; each returns what is answered."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._calm = threading.Event()

    def start(self, urls: dict[str, str], scratch: str) -> dict[str, Any]:
        began = time.monotonic()
        self._client.start(urls, Path(scratch))
        started_s = time.monotonic() - began
        return {"rest_s": self._client.rest_s, "widest": self._client.widest, "start_s": started_s}

    def one_by_one(self, first: int, count: int, pause_s: float) -> dict[str, Any]:
        trips = self._client.one_by_one(first, count, pause_s)
        return {"trips": [[trip.link, trip.spoke_ns, trip.returned_ns, trip.filled_ns] for trip in trips]}

    def in_flight(self, first: int, count: int, most: int) -> dict[str, Any]:
        began, cpu = time.monotonic(), _cpu_s()
        self._client.in_flight(first, count, most)
        return {"per_s": count / (time.monotonic() - began), "cpu_us": (_cpu_s() - cpu) / count * 1e6}

    def live(self, symbols: list[str], first: int, count: int, each: int) -> dict[str, Any]:
        self._client.live(symbols, first, count, each)  # type: ignore[attr-defined]
        return {}

    def busy(self, spins: bool, switch_s: float) -> dict[str, Any]:
        sys.setswitchinterval(switch_s)
        self._calm.set()
        if spins:
            self._calm = threading.Event()
            threading.Thread(target=_spin, args=(self._calm,), daemon=True).start()
        return {}

    def memory(self) -> dict[str, Any]:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return {"kib": int(line.split()[1])}
        raise RuntimeError("no VmRSS")

    def open_orders(self) -> dict[str, Any]:
        return {"count": self._client.open_orders()}  # type: ignore[attr-defined]

    def stop(self) -> dict[str, Any]:
        self._client.stop()
        return {}


def _spin(calm: threading.Event) -> None:
    """What a strategy does that computes in Python and never waits."""
    while not calm.is_set():
        sum(range(1_000))


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _serve(client: Client, answers: TextIO) -> None:
    hands = _Hands(client)
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(hands, command.pop("do"))(**command)
        except BaseException as error:  # noqa: BLE001 - told to whoever asked
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    os._exit(0)


def _main(name: str) -> None:
    # Whatever a client prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    client = client_of(name)
    if isinstance(client, Looped):
        # A loop that handles signals must be the main thread's.
        threading.Thread(target=_serve, args=(client, answers), daemon=True).start()
        client.loop.run_forever()
    _serve(client, answers)


if __name__ == "__main__":
    _main(sys.argv[1])
