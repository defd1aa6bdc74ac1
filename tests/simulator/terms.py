"""What a plan's words are in the router's terms: its signals, its settings, and how a story names what it sees."""

from __future__ import annotations

from typing import Any

from hean.core.ids import order_link_id
from hean.core.types import Category, Event, OrderType, Reaction, Side, Signal, TimeInForce
from hean.journal import Batch
from hean.settings import (
    BreakerSettings,
    BybitSettings,
    ClockSettings,
    Entry,
    OrderSettings,
    ReconcileSettings,
    Settings,
    StreamSettings,
)
from tests.simulator.draws import RARE_KINDS
from tests.simulator.plan import Args


def kind_of(batch: Batch) -> str:
    """What a batch is about, in one word: its rarest record."""
    kinds = [record.kind for record in batch.records]
    for kind in RARE_KINDS:
        if kind in kinds:
            return kind
    if kinds:
        return kinds[-1]
    for name in ("marks", "parked", "unparked", "positions"):
        if getattr(batch, name):
            return name
    return "nothing"


def link_of(signal: Signal) -> str:
    """The ID of a signal's order."""
    return order_link_id(signal.strategy_id, signal.signal_id, signal.leg)


def signal_of(n: int, args: Args) -> Signal:
    """A signal of the plan."""
    tif = args.get("time_in_force")
    return Signal(
        strategy_id="sim",
        signal_id=f"s{n}",
        symbol=args["symbol"],
        category=Category(args["category"]),
        side=Side(args["side"]),
        qty=args["qty"],
        order_type=OrderType(args["order_type"]),
        price=args.get("price"),
        time_in_force=None if tif is None else TimeInForce(tif),
        reduce_only=args.get("reduce_only", False),
        trigger_price=args.get("trigger_price"),
        take_profit=args.get("take_profit"),
        stop_loss=args.get("stop_loss"),
        position_idx=args.get("position_idx", 0),
    )


def settings_of(config: Args) -> Settings:
    """The router's settings in this world: bounds short enough for a short life."""
    policy = Reaction(config["position_policy"])
    return Settings(
        bybit=BybitSettings(
            entry=Entry(config["entry"]),
            recv_window_ms=config["recv_window_ms"],
            reply_timeout_s=config["reply_timeout_s"],
        ),
        orders=OrderSettings(
            max_age_s=config["max_age_s"],
            visibility_delay_s=config["visibility_s"],
            max_tries=config["max_tries"],
            query_cap_s=5.0,
        ),
        stream=StreamSettings(backoff_cap_s=3.0),
        reconcile=ReconcileSettings(
            orders_s=config["reconcile_s"],
            positions_s=config["reconcile_s"],
            confirm_s=config["confirm_s"],
            overlap_s=config["overlap_s"],
            position_only_here=policy,
            position_only_there=policy,
            position_differs=policy,
        ),
        clock=ClockSettings(max_drift_ms=config["max_drift_ms"]),
        breaker=BreakerSettings(failures=config["breaker_failures"], open_s=1.0, ban_silence_s=config["ban_silence_s"]),
    )


def event_words(event: Event) -> dict[str, Any]:
    """The parts of an event that a story tells."""
    words: dict[str, Any] = {"reason": event.reason}
    for name in ("order_link_id", "exec_id", "symbol", "detail"):
        if getattr(event, name):
            words[name] = getattr(event, name)
    return words
