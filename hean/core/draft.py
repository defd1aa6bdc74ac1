"""
What one step of the order machine writes on: a copy of the record, and the effects and events that gather.

`Doubt`, `Commands` and `Evidence` write about look-ups, commands and the exchange's rows; `Step` is them all.
"""

from __future__ import annotations

from typing import Any

from attrs import frozen

from hean.core.facts import Effect, Fact, Shown
from hean.core.record import Order, OrderPolicy
from hean.core.types import Event, EventType, Execution, Ms, OrderId, OrderState


@frozen
class _Note:
    type: EventType
    reason: str = ""
    detail: str = ""
    execution: Execution | None = None


class Draft:
    """The record as one fact leaves it, and what is to be done and told once it is in the journal."""

    __slots__ = (
        "_notes",
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
        row = self.fact.row if isinstance(self.fact, Shown) else None
        snapshot = order.snapshot()
        return tuple(
            Event(
                type=note.type,
                at_ms=self.now_ms,
                event_ms=note.execution.exec_ms if note.execution else row.updated_ms if row else None,
                correlation_id=request.correlation_id,
                signal_id=request.signal_id,
                order_link_id=request.order_link_id,
                order_id=order.order_id or "",
                exec_id=note.execution.exec_id if note.execution else "",
                category=request.category,
                symbol=request.symbol,
                source=getattr(self.fact, "source", None),
                complete=self._completes() if note.type is EventType.ORDER_FILLED else None,
                reason=note.reason or chart_fact,
                detail=note.detail,
                order=snapshot,
                execution=note.execution,
            )
            for note in self._notes
        )

    def _completes(self) -> bool:
        return self.order.state is OrderState.FILLED and self.order.ledger.cum_exec_qty >= self.order.qty

    def _bind(self, order_id: OrderId, *, newer: bool = False) -> None:
        # A conditional order may get another ID when it fires; a late reply to its create still names the old one.
        # Source: Bybit V5 docs, order/create-order, which leaves it open.
        renewed = newer and self.order.request.trigger_price is not None
        if order_id and (self.order.order_id is None or renewed):
            self._set(order_id=order_id)

    def _sent_by(self, at_ms: Ms) -> None:
        self._set(last_sent_ms=at_ms, blind_until_ms=Ms(at_ms + self.policy.visibility_ms))

    def _note(self, type_: EventType, reason: str, detail: str = "", execution: Execution | None = None) -> None:
        self._notes.append(_Note(type_, reason, detail, execution))

    def _set(self, **changes: Any) -> None:
        # The draft is this step's own copy, made once and seen by nobody before the step is over: written in place,
        # because copying forty fields at each change is most of what a step would cost.
        for name, value in changes.items():
            object.__setattr__(self.order, name, value)
