"""
hean routes trading signals into Bybit testnet orders and keeps what it believes equal to what the exchange says.

The public names; each is imported when it is first used, so that a program pays for what it needs alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hean.core.types import (
        Category,
        Decision,
        DenyReason,
        Event,
        EventType,
        OrderSnapshot,
        OrderState,
        OrderType,
        PositionSnapshot,
        Side,
        Signal,
        TimeInForce,
    )
    from hean.errors import (
        AuthRefused,
        ConfigError,
        HeanError,
        IllegalTransition,
        JournalError,
        JournalLocked,
        LocalError,
        OrderRejected,
        OutcomeUnknown,
        RateLimited,
        RemoteError,
        RouterStopped,
    )
    from hean.router import Router
    from hean.ticket import Ticket

__all__ = [
    "AuthRefused",
    "Category",
    "ConfigError",
    "Decision",
    "DenyReason",
    "Event",
    "EventType",
    "HeanError",
    "IllegalTransition",
    "JournalError",
    "JournalLocked",
    "LocalError",
    "OrderRejected",
    "OrderSnapshot",
    "OrderState",
    "OrderType",
    "OutcomeUnknown",
    "PositionSnapshot",
    "RateLimited",
    "RemoteError",
    "Router",
    "RouterStopped",
    "Side",
    "Signal",
    "Ticket",
    "TimeInForce",
]

# Where the names live; `hean.errors` has those that are not listed.
_HOMES: Final = {"Router": "hean.router", "Ticket": "hean.ticket"}
_TYPES: Final = frozenset(
    {
        "Category",
        "Decision",
        "DenyReason",
        "Event",
        "EventType",
        "OrderSnapshot",
        "OrderState",
        "OrderType",
        "PositionSnapshot",
        "Side",
        "Signal",
        "TimeInForce",
    }
)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'hean' has no attribute {name!r}")
    home = "hean.core.types" if name in _TYPES else _HOMES.get(name, "hean.errors")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
