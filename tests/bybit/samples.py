"""The documented messages of `tests/data/bybit-v5`, one file per kind, whole sequences as lists of steps."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

from hean.core.types import Category, OrderRequest, OrderType, Side, TimeInForce

DATA = Path(__file__).parent.parent / "data"
SAMPLES = DATA / "bybit-v5"


def load(name: str) -> object:
    """One sample, decoded."""
    return json.loads((SAMPLES / f"{name}.json").read_text())


def text(name: str) -> str:
    """One sample as it would come over the wire."""
    return json.dumps(load(name), separators=(",", ":"))


def names(prefix: str) -> list[str]:
    """Samples whose names begin so, in order."""
    return sorted(path.stem for path in SAMPLES.glob(f"{prefix}*.json"))


def private_frames() -> list[tuple[str, str]]:
    """Every frame of the private stream, by name: the single ones and those inside sequences."""
    singles = [name for name in names("ws_") if not name.endswith("_request") and "_request_" not in name]
    frames = [(name, text(name)) for name in singles]
    for name in names("seq_"):
        steps = load(name)
        assert isinstance(steps, list)
        frames += [
            (f"{name}[{step['n']}]", json.dumps(step["frame"])) for step in steps if "ws-private" == step["channel"]
        ]
    return frames


def a_request(**changes: object) -> OrderRequest:
    """A linear limit buy with every required field, changed as told."""
    fields: dict[str, object] = {
        "order_link_id": "demo-0001",
        "correlation_id": "c",
        "strategy_id": "s",
        "signal_id": "1",
        "leg": 0,
        "category": Category.LINEAR,
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "qty": Decimal("0.010"),
        "price": Decimal("60000.00"),
        "time_in_force": TimeInForce.POST_ONLY,
        "submitted_ms": 1_720_000_000_000,
    }
    return OrderRequest(**{**fields, **changes})
