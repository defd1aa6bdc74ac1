"""Who is measured, by name; each is imported when it is its turn, so that no client pays for another's imports."""

from __future__ import annotations

import importlib
from typing import Any

from tests.bench.trip import Client

CLIENTS: dict[str, tuple[str, str, tuple[Any, ...]]] = {
    "floor": ("floor", "Floor", (True,)),
    "raw socket": ("floor", "Floor", (False,)),
    "hean ws": ("hean", "Hean", ("ws", "caller")),
    "hean rest": ("hean", "Hean", ("rest", "caller")),
    "hean handed over": ("hean", "Hean", ("ws", "handed_over")),
    "hean one core": ("hean", "Hean", ("ws", "caller")),
    "pybit ws": ("official", "PybitWs", ()),
    "pybit http": ("official", "PybitHttp", ()),
    "ccxt ws": ("ccxt_pro", "CcxtPro", ()),
    "ccxt http": ("ccxt_sync", "CcxtSync", ()),
    "nautilus": ("nautilus", "Nautilus", ()),
}
"""Module, class and arguments."""

OURS = ("hean ws", "hean rest")
ONE_CORE = "hean one core"
"""The client whose whole process is kept on one processor."""
FLOORS = ("floor", "raw socket")
PACKAGES = {
    "pybit ws": "pybit",
    "pybit http": "pybit",
    "ccxt ws": "ccxt",
    "ccxt http": "ccxt",
    "nautilus": "nautilus_trader",
}
"""What must be installed for a peer."""


def client_of(name: str) -> Client:
    """The client of that name, which may go on after a comma; not started."""
    module, kind, arguments = CLIENTS[name.partition(",")[0]]
    client: Client = getattr(importlib.import_module(f"{__name__}.{module}"), kind)(*arguments)
    return client
