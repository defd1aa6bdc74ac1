"""From what the order machine did to what the journal keeps: one batch, all or none."""

from __future__ import annotations

from attrs import frozen

from hean.core import plain
from hean.core.facts import Decide, Effect, Executed, Fact
from hean.core.order import Applied
from hean.core.record import Order
from hean.core.types import Execution, Ms, OrderState, Source
from hean.journal import Batch, ExecutionEntry, ExecutionKey, OrderEntry, ParkedEntry, Record


@frozen(kw_only=True)
class Taken:
    """
    One fact that the machine took.

    Attributes:
        fact: what it was given; with our clock and `unit` it is enough to do it again.
        applied: what it did.
        unit: the random number it was given.
        extra: records that belong to the same moment, such as the reply that the fact was read from.
    """

    fact: Fact
    applied: Applied
    unit: float
    extra: tuple[Record, ...] = ()

    @property
    def executed(self) -> Execution | None:
        """The execution that it brought and the order did not have."""
        new = isinstance(self.fact, Executed) and self.applied.fact != "executed_known"
        return self.fact.execution if new and isinstance(self.fact, Executed) else None


def batch_of(*taken: Taken, at_ms: Ms, digest: str) -> Batch:
    """
    Everything that some facts of one order changed, one after the other.

    Args:
        taken: at least one.
        at_ms: our clock, when the machine took them.
        digest: of the order's signal.
    """
    order = taken[-1].applied.order
    link_id, correlation_id = order.request.order_link_id, order.request.correlation_id
    records: list[Record] = []
    for each in taken:
        records += each.extra
        body = plain.dumps(body_of(each.applied, each.fact, each.unit))
        records.append(Record(kind="fact", body=body, order_link_id=link_id, correlation_id=correlation_id))
    return Batch(
        at_ms=at_ms,
        records=tuple(records),
        order=order_entry(order, digest),
        executions=tuple(execution_entry(each.executed, order) for each in taken if each.executed is not None),
        unparked=tuple(execution_key(each.fact.execution) for each in taken if isinstance(each.fact, Executed)),
    )


def body_of(applied: Applied, fact: Fact, unit: float) -> dict[str, object]:
    """What the audit chain says of one fact: what went in, and what came of it."""
    return {
        "fact": applied.fact,
        "before": applied.before,
        "after": applied.order.state,
        "unit": unit,
        "what": plain.to_plain(fact),
        "events": [
            {
                "type": event.type,
                "reason": event.reason,
                "detail": event.detail,
                **({"exec_id": event.exec_id} if event.exec_id else {}),
            }
            for event in applied.events
        ],
        "effects": [_words_of(effect) for effect in applied.effects],
    }


def _words_of(effect: Effect) -> str:
    """An effect's name; of a decision also what was decided, for nothing else in the record says that."""
    if isinstance(effect, Decide):
        return f"Decide {effect.command} {'taken' if effect.taken else 'not taken'}: {effect.why}"
    return type(effect).__name__


def order_entry(order: Order, digest: str) -> OrderEntry:
    """The row that gives this order back after a crash."""
    request = order.request
    return OrderEntry(
        order_link_id=request.order_link_id,
        digest=digest,
        state=order.state,
        settled=order.state in {OrderState.CLOSED, OrderState.DENIED},
        order_id=order.order_id,
        correlation_id=request.correlation_id,
        signal_id=request.signal_id,
        strategy_id=request.strategy_id,
        symbol=request.symbol,
        category=request.category,
        submitted_ms=request.submitted_ms,
        updated_ms=order.updated_ms,
        body=plain.dumps(order),
    )


def execution_entry(execution: Execution, order: Order | None, position_idx: int = 0) -> ExecutionEntry:
    """The row that makes a second delivery of this execution a no-op for ever; `order` None for a foreign one."""
    return ExecutionEntry(
        category=execution.category,
        symbol=execution.symbol,
        exec_id=execution.exec_id,
        order_link_id=order.request.order_link_id if order is not None else "",
        order_id=execution.order_id,
        position_idx=order.request.position_idx if order is not None else position_idx,
        seq=execution.seq,
        exec_ms=execution.exec_ms,
        body=plain.dumps(execution),
    )


def parked_entry(execution: Execution, at_ms: Ms) -> ParkedEntry:
    """The row that keeps an execution until its owner, and its position, are known and told."""
    return ParkedEntry(
        category=execution.category,
        symbol=execution.symbol,
        exec_id=execution.exec_id,
        order_id=execution.order_id,
        at_ms=at_ms,
        body=plain.dumps(execution),
    )


def duplicate_of(execution: Execution, source: Source, order_link_id: str = "", correlation_id: str = "") -> Record:
    """A second delivery of an execution that no order's machine is asked about, as a line of the audit chain."""
    body = {"exec_id": execution.exec_id, "order_id": execution.order_id, "symbol": execution.symbol, "source": source}
    return Record(kind="duplicate", body=plain.dumps(body), order_link_id=order_link_id, correlation_id=correlation_id)


def execution_key(execution: Execution) -> ExecutionKey:
    """What makes an execution unique."""
    return ExecutionKey(category=execution.category, symbol=execution.symbol, exec_id=execution.exec_id)
