"""The actor of everything that no order of ours explains: manual trades, liquidation, ADL, settlement, funding."""

from __future__ import annotations

from typing import Any

from hean.actors.boundary import Boundary
from hean.actors.context import Context, record_of
from hean.actors.messages import Fold, Ping, Unowned
from hean.actors.scribe import execution_entry, execution_key
from hean.core.types import Event, EventType, ExecType, Execution, OrderRow, Source
from hean.journal import Batch


class ExternalActor(Boundary):
    """Accounts foreign executions once, and tells of foreign orders; never cancels or copies one."""

    def __init__(self, mailbox: Any, context: Context) -> None:
        super().__init__(mailbox)
        self._context = context
        self._orders: dict[str, OrderRow] = {}

    def handle(self, message: Any) -> Any:
        match message:
            case Unowned(row=Execution() as execution, source=source):
                self._account(execution, source)
            case Unowned(row=OrderRow() as row):
                self._note(row)
            case Ping():
                return True
            case _:
                raise TypeError(f"unexpected message {message!r}")
        return None

    def crashed(self, message: Any, error: BaseException) -> None:
        self._context.observe(
            "actor.crash", {"actor": "external", "what": type(message).__name__, "error": repr(error)}
        )

    def _account(self, execution: Execution, source: Source) -> None:
        journal = self._context.journal
        if journal.knows_execution(execution.category, execution.symbol, execution.exec_id):
            self._context.observe("duplicate", {"exec_id": execution.exec_id, "source": source})
            return
        order = self._orders.get(execution.order_id)
        position_idx = order.position_idx if order is not None else 0
        funding = execution.exec_type is ExecType.FUNDING
        correlation_id = f"external-{execution.order_id or execution.exec_id}"
        event = Event(
            type=EventType.FUNDING if funding else EventType.RECONCILIATION_ALERT,
            at_ms=self._context.now_ms(),
            event_ms=execution.exec_ms,
            correlation_id=correlation_id,
            order_link_id=execution.order_link_id,
            order_id=execution.order_id,
            exec_id=execution.exec_id,
            category=execution.category,
            symbol=execution.symbol,
            source=source,
            reason=str(execution.exec_type) if funding else f"foreign_{execution.exec_type}",
            detail=f"{execution.create_type or execution.exec_type}: {execution.side} {execution.exec_qty} "
            f"at {execution.exec_price}, of no order of ours; accounted in the position",
            execution=execution,
        )
        journal.commit(
            Batch(
                at_ms=event.at_ms,
                records=(record_of(event),),
                executions=(execution_entry(execution, None, position_idx),),
                unparked=(execution_key(execution),),
            )
        )
        self._context.tell_world((event,))
        self._context.to.portfolio.tell(
            Fold(
                execution=execution,
                position_idx=position_idx,
                correlation_id=correlation_id,
                signal_id="",
                reduce_only=False,
            )
        )

    def _note(self, row: OrderRow) -> None:
        known = self._orders.get(row.order_id)
        if known == row:
            return
        if row.status.final:
            self._orders.pop(row.order_id, None)
        else:
            self._orders[row.order_id] = row
        self._context.status(
            "foreign_order",
            f"{row.create_type or 'an order'} of no signal of ours: {row.side} {row.qty}, {row.status}",
            category=row.category,
            symbol=row.symbol,
            order_id=row.order_id,
            order_link_id=row.order_link_id,
        )
