"""
A strategy in a process of its own, for tests that stop it or kill it.

    python -m tests.desk.strategy [lock]

Starts a router of the environment, buys 0.003 and places a resting order, says "ready" and waits for lines: "lock"
takes the journal's write lock, anything else ends it.
"""

from __future__ import annotations

import os
import sqlite3
import sys

from hean import OrderState, Router
from tests.desk.conftest import WAIT_S, resting, signal


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    with Router.from_env() as router:
        router.submit(signal("bought", qty="0.003")).wait(WAIT_S)
        router.submit(resting("resting")).wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        say("ready")
        locked = None
        while sys.stdin.readline() == "lock\n":
            locked = sqlite3.connect(os.environ["HEAN_JOURNAL__PATH"], isolation_level=None)
            locked.execute("BEGIN IMMEDIATE")
            say("locked")
        if locked is not None:
            locked.close()


if __name__ == "__main__":
    main()
