"""A strategy process that dies by SIGKILL when its router passes a point: `python -m tests.scenarios.dying`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from attrs import evolve

from hean import Router
from hean.actors.ports import Point, Ports
from hean.core import plain
from hean.core.types import Signal
from hean.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


class Dying(Router):
    """A router that dies at a point, once it is armed."""

    def __init__(self, settings: Settings, point: Point) -> None:
        super().__init__(settings)
        self._point = point
        self.armed = False

    def _ports(self) -> Ports:
        return evolve(super()._ports(), point=self._strike)

    def _strike(self, point: Point) -> None:
        if self.armed and point is self._point:
            os.kill(os.getpid(), signal.SIGKILL)


def die_at(point: Point, env: dict[str, str], wished: Signal) -> None:
    """Let a process start a router, submit one signal, and die at that point."""
    command = [sys.executable, "-m", "tests.scenarios.dying", str(point), json.dumps(env), plain.dumps(wished)]
    died = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert -signal.SIGKILL == died.returncode, died.stderr.decode()


def main() -> None:
    point, env, wished = sys.argv[1:]
    router = Dying(Settings.load(json.loads(env)), Point(point))
    router.start()
    router.armed = True
    router.submit(plain.loads(Signal, wished))
    threading.Event().wait(20)


if __name__ == "__main__":
    main()
