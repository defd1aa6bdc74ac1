"""
What happens in one world: everything that a seed decides before the first step, as plain values.

A plan is a configuration and a list of actions, so that one of them can be left out to see whether a law still breaks,
and a plan that broke one can be written down as a test. `draws.py` draws plans, `designs.py` designs what chance alone
hardly ever puts together. What is decided on the way (which actor is next, how long a
frame takes) is drawn from the seed again, from streams of their own.
"""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import attrs

Args = dict[str, Any]
SECOND = 1000

# symbol, category, start price, tick, least qty, a typical step of price in ticks.
MARKETS = (
    ("BTCUSDT", "linear", "95000", "0.1", "0.001", 500),
    ("ETHUSDT", "linear", "3300", "0.01", "0.01", 300),
    ("BTCUSD", "inverse", "95000", "0.1", "1", 500),
)

CALM: Args = {
    "entry": "ws",
    "recv_window_ms": 2000,
    "reply_timeout_s": 2.0,
    "visibility_s": 4.0,
    "max_age_s": 300.0,
    "max_tries": 5,
    "breaker_failures": 5,
    "ban_silence_s": 2.0,
    "reconcile_s": 10.0,
    "confirm_s": 0.3,
    "overlap_s": 60.0,
    "max_drift_ms": 60_000,
    "position_policy": "halt_symbol",
    "hedged": False,
    "opening": False,
    "offset_ms": 0,
    "lag": 0.0,
    "spread_ms": 5,
    "behaviour": {},
    "limits": "bybit",
    "finale": "",
}
"""What a world is without any misfortune."""


@attrs.frozen
class Action:
    """One thing that happens at a time (ms since the start of the world)."""

    at_ms: int
    kind: str
    args: Args = attrs.Factory(dict)


@attrs.frozen(kw_only=True)
class Plan:
    """One world."""

    seed: int
    config: Args
    actions: tuple[Action, ...]
    length_ms: int

    def only(self, kept: tuple[int, ...]) -> Plan:
        """The same world with these of its actions alone."""
        return attrs.evolve(self, actions=tuple(self.actions[index] for index in kept))


class Draw:
    """Draws from one stream that stays the same in every Python version."""

    def __init__(self, seed: str) -> None:
        self._rng = random.Random(seed)
        self.unit = self._rng.random

    def whole(self, least: int, most: int) -> int:
        return least + int(self.unit() * (most - least + 1))

    def one(self, choices: Any) -> Any:
        return choices[int(self.unit() * len(choices))]

    def chance(self, probability: float) -> bool:
        return self.unit() < probability

    def weighted(self, weights: dict[Any, float]) -> Any:
        at = self.unit() * sum(weights.values())
        for choice, weight in weights.items():
            at -= weight
            if at < 0:
                return choice
        return choice


def times(text: str, by: int) -> str:
    return format(Decimal(text) * by, "f")


def plus(text: str, tick: str, ticks: int) -> str:
    return format(Decimal(text) + Decimal(tick) * ticks, "f")
