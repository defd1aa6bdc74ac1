"""Every machine that hean runs, as a reader is shown it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import Final

from hean.core import breaker, order, order_words, position_chart, session
from hean.core.picture import Group, Machine

ORDER: Final = Machine(
    name="order",
    title="The life of an order",
    table=order.TABLE,
    states=order_words.STATES,
    facts=order_words.FACTS,
    checks=order_words.CHECKS,
    happy=(
        ("PENDING", "SUBMITTED"),
        ("SUBMITTED", "ACKNOWLEDGED"),
        ("ACKNOWLEDGED", "PARTIAL_FILL"),
        ("alive", "FILLED"),
        ("ended", "CLOSED"),
    ),
    trouble=frozenset({"TIMEOUT", "ERROR"}),
    groups=(
        Group(name="unproven", title="no evidence yet", members=("PENDING", "SUBMITTED", "TIMEOUT")),
        Group(name="alive", title="at the exchange", members=("ACKNOWLEDGED", "PARTIAL_FILL")),
        Group(name="ended", title="ended, not yet settled", members=("FILLED", "CANCELLED", "REJECTED")),
    ),
    places={
        "PENDING": (400, 110),
        "SUBMITTED": (400, 250),
        "TIMEOUT": (120, 250),
        "DENIED": (790, 110),
        "ACKNOWLEDGED": (400, 420),
        "PARTIAL_FILL": (400, 530),
        "ERROR": (120, 560),
        "to_ERROR": (135, 430),
        "FILLED": (400, 700),
        "CANCELLED": (585, 700),
        "REJECTED": (780, 700),
        "CLOSED": (400, 850),
    },
    noted=frozenset({("absence_proven", "ERROR")}),
    symbols={
        "query": "Q",
        "query_later": "Q",
        "query_if_unresolved": "Q",
        "deny_command": "D",
        "alarm": "!",
        "unknown_alarm": "!",
        "break_down": "!",
        "vanished": "!",
        "overfilled": "!",
    },
    accounted=frozenset({"executed_part", "executed_full", "executed_over"}),
    legend={
        "Q": "asks the exchange",
        "D": "the command is denied",
        "!": "alarm",
        "F": "accounts the fill and stays",
    },
)

SESSION: Final = Machine(
    name="session",
    title="The life of a stream",
    table=session.TABLE,
    states=session.STATES,
    facts=session.FACTS,
    happy=(
        ("STOPPED", "CONNECTING"),
        ("CONNECTING", "AUTHENTICATING"),
        ("AUTHENTICATING", "SUBSCRIBING"),
        ("SUBSCRIBING", "CATCHING_UP"),
        ("CATCHING_UP", "LIVE"),
    ),
    trouble=frozenset({"STALE", "BACKING_OFF", "FAILED"}),
    groups=(Group(name="logged_in", title="logged in", members=("SUBSCRIBING", "CATCHING_UP", "LIVE")),),
    places={
        "STOPPED": (420, 90),
        "to_STOPPED": (160, 90),
        "CONNECTING": (420, 190),
        "AUTHENTICATING": (420, 290),
        "SUBSCRIBING": (420, 420),
        "CATCHING_UP": (420, 520),
        "LIVE": (420, 620),
        "STALE": (700, 720),
        "BACKING_OFF": (760, 420),
        "FAILED": (110, 420),
    },
)

POSITION: Final = Machine(
    name="position",
    title="The life of a position",
    table=position_chart.TABLE,
    states=position_chart.STATES,
    facts=position_chart.FACTS,
    # A position has no wish: each way is as good as another.
    happy=tuple(permutations(position_chart.TABLE.states, 2)),
    places={"FLAT": (450, 100), "LONG": (200, 280), "SHORT": (700, 280)},
)

BREAKER: Final = Machine(
    name="breaker",
    title="What may be sent",
    table=breaker.TABLE,
    states=breaker.STATES,
    facts=breaker.FACTS,
    # As wished is the way back: all is well until something happens.
    happy=(("OPEN", "HALF_OPEN"), ("HALF_OPEN", "CLOSED"), ("HALTED", "CLOSED")),
    trouble=frozenset({"OPEN", "HALF_OPEN", "HALTED"}),
    places={"CLOSED": (450, 100), "OPEN": (150, 310), "HALF_OPEN": (450, 310), "HALTED": (750, 310)},
)

MACHINES: Final[Mapping[str, Machine]] = {machine.name: machine for machine in (ORDER, POSITION, SESSION, BREAKER)}
"""By name."""
