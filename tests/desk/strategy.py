"""
A strategy in a process of its own, for tests that stop it or kill it.

    python tests/desk/strategy.py

Starts a router of the environment, buys 0.003 and places a resting order, says "ready" and waits for lines: "lock"
takes the journal's write lock, anything else ends it.
"""

from __future__ import annotations

import os
import sqlite3
import sys

from attrs import evolve

from hean import OrderState, OrderType, Router, Side, Signal

WAIT_S = 20.0
BOUGHT = Signal(strategy_id="trend", signal_id="bought", symbol="BTCUSDT", side=Side.BUY, qty="0.003")
RESTING = evolve(BOUGHT, signal_id="resting", qty="0.001", order_type=OrderType.LIMIT, price="50000")


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    with Router.from_env() as router:
        router.submit(BOUGHT).wait(WAIT_S)
        router.submit(RESTING).wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
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
