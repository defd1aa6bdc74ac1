"""
What one step of the order machine writes on: a copy of the record, and the effects and events that gather.

`Doubt`, `Commands` and `Evidence` write about look-ups, commands and the exchange's rows; `Step` is them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from hean.core.facts import Effect, Fact, Shown
from hean.core.record import Order, OrderPolicy
from hean.core.types import Event, EventType, Execution, Ms, OrderId, OrderState

# What is told, its reason, its detail, and the execution that it is about.
_Note: TypeAlias = tuple[EventType, str, str, Execution | None]


class Draft:
    """The record as one fact leaves it, and what is to be done and told once it is in the journal."""

    __slots__ = (
        "_notes",
        "_set",
        "_set_back",
        "_uncertain",
        "chart_state",
        "effects",
        "fact",
        "now_ms",
        "order",
        "policy",
        "unit",
        "why",
    )

    def __init__(self, order: Order, fact: Fact, now_ms: Ms, policy: OrderPolicy, unit: float) -> None:
        self.order = order.draft(now_ms)
        # The draft is this step's own copy, made once and seen by nobody before the step is over: written in place,
        # because copying forty fields at each change is most of what a step would cost.
        self._set: Callable[..., None] = vars(self.order).update
        self.fact = fact
        self.now_ms = now_ms
        self.policy = policy
        self.unit = unit
        self.effects: list[Effect] = []
        self.why = ""
        self.chart_state: str | None = None
        self._notes: list[_Note] = []
        self._uncertain = False
        self._set_back = False

    def events_of(self, chart_fact: str) -> tuple[Event, ...]:
        """The notes as events, all with the order as it is now."""
        if not self._notes:
            return ()
        order = self.order
        request = order.request
        shown_ms = self.fact.row.updated_ms if isinstance(self.fact, Shown) else None
        source = getattr(self.fact, "source", None)
        snapshot = order.snapshot()
        events = []
        for kind, reason, detail, execution in self._notes:
            complete = None
            if kind is EventType.ORDER_FILLED:
                complete = snapshot.state is OrderState.FILLED and snapshot.cum_exec_qty >= snapshot.qty
            events.append(
                Event(
                    type=kind,
                    at_ms=self.now_ms,
                    event_ms=execution.exec_ms if execution else shown_ms,
                    correlation_id=request.correlation_id,
                    signal_id=request.signal_id,
                    order_link_id=request.order_link_id,
                    order_id=order.order_id or "",
                    exec_id=execution.exec_id if execution else "",
                    category=request.category,
                    symbol=request.symbol,
                    source=source,
                    complete=complete,
                    reason=reason or chart_fact,
                    detail=detail,
                    order=snapshot,
                    execution=execution,
                )
            )
        return tuple(events)

    def _bind(self, order_id: OrderId, *, newer: bool = False) -> None:
        # A conditional order may get another ID when it fires; a late reply to its create still names the old one.
        # Source: Bybit V5 docs, order/create-order, which leaves it open.
        renewed = newer and self.order.request.trigger_price is not None
        if order_id and (self.order.order_id is None or renewed):
            self._set(order_id=order_id)

    def _sent_by(self, at_ms: Ms) -> None:
        self._set(last_sent_ms=at_ms, blind_until_ms=Ms(at_ms + self.policy.visibility_ms))

    def _note(self, type_: EventType, reason: str, detail: str = "", execution: Execution | None = None) -> None:
        self._notes.append((type_, reason, detail, execution))
