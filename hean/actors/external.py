"""
The actor of everything that no order of ours explains: manual trades, liquidation, ADL, settlement, funding.

An execution whose position nobody can name yet, for its row does not, is parked until the exchange has said how its
symbol is held: one-way or hedged.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen

from hean.actors.brakes import brake
from hean.actors.context import Context, record_of
from hean.actors.kept import KeptActor
from hean.actors.messages import Answered, CancelChild, Fold, Forget, Ping, PositionsSeen, Send, Unowned
from hean.actors.scribe import duplicate_of, execution_entry, execution_key, parked_entry
from hean.core import plain
from hean.core.calls import CancelOrder, Page, QueryPositions, VerdictKind
from hean.core.foreign import Cause, ForeignOrder, ForeignOrders, cause_of, hedged_by, position_idx_of
from hean.core.reconcile import COVERED
from hean.core.record import Order
from hean.core.replies import said
from hean.core.types import (
    Category,
    Decision,
    Event,
    EventType,
    Execution,
    OrderLinkId,
    OrderRow,
    OrderSnapshot,
    OrderState,
    PositionRow,
    Reaction,
    Source,
)
from hean.journal import Batch, ExecutionEntry, ExecutionKey, OrderEntry
from hean.journal.marks import FOREIGN_MARK

# Ended ones are kept for executions that come late; beyond this many the oldest are dropped.
MAX_ENDED = 200
# How a symbol is held is asked for again after this long, twice as long each time.
ASK_AGAIN_MS = 500
ASK_CAP_MS = 10_000

Symbol = tuple[Category, str]


@frozen(kw_only=True)
class HowHeld:
    """A timer: ask how that symbol is held, one-way or hedged."""

    symbol: Symbol


class ExternalActor(KeptActor):
    """
    Accounts foreign executions once, and tells of foreign orders; never cancels or copies one.

    Args:
        mailbox: its own.
        context: the router's shared things.
        manual: what follows from a trade by another hand.
        forced: what follows from ADL, liquidation, settlement or delivery.
    """

    name = "external"

    def __init__(self, mailbox: Any, context: Context, manual: Reaction, forced: Reaction) -> None:
        super().__init__(mailbox, context)
        self._reactions = {True: forced, False: manual}
        kept = context.journal.mark(FOREIGN_MARK)
        self._open: dict[str, ForeignOrder] = {}
        self._ended: dict[str, ForeignOrder] = {}
        for order in plain.loads(ForeignOrders, kept).orders if kept else ():
            (self._ended if order.status.final else self._open)[order.order_id] = order
        self._rows: dict[tuple[Category, str, int], PositionRow] = {}
        self._unplaced: dict[Symbol, dict[ExecutionKey, Unowned]] = {}
        self._asked: dict[Symbol, int] = {}
        self._show()

    def handle(self, message: Any) -> Any:
        match message:
            case Unowned(row=Execution() as execution):
                self._account(message, execution)
            case Unowned(row=OrderRow() as row):
                self._note(row)
            case PositionsSeen():
                self._see(message.rows)
            case HowHeld():
                self._ask(message.symbol)
            case CancelChild():
                return self._cancel(message)
            case Answered():
                self._answered(message)
            case Forget():
                self._forget(message.order_ids)
            case Ping():
                return True
            case _:
                raise TypeError(f"unexpected message {message!r}")
        return None

    # Executions.

    def _account(self, message: Unowned, execution: Execution, hedged: bool | None = None) -> None:
        context, source = self._context, message.source
        entry = self._entry(execution)
        if entry is not None and (source is not Source.REPLAY or entry.order_link_id):
            self._count(entry, execution, source)
            self._forget_question(execution)
            return
        order = self._open.get(execution.order_id) or self._ended.get(execution.order_id)
        parent = self._parent(order.parent_order_link_id if order is not None else execution.order_link_id)
        cause = cause_of(execution, order, ours=parent is not None)
        idx = entry.position_idx if entry is not None else self._position_idx(execution, order, parent, hedged)
        if idx is None:
            self._park(message, execution)
            return
        # Spot and options have no position here: theirs is kept in the journal, and that is all.
        folded = execution.category in COVERED
        event = evolve(
            self._event(cause, execution, source),
            correlation_id=parent.correlation_id if parent is not None else f"external-{execution.order_id}",
            signal_id=parent.signal_id if parent is not None else "",
            parent_order_link_id=parent.order_link_id if parent is not None else "",
        )
        if entry is None:
            # Before it is remembered: what comes again after a crash brakes again.
            self._brake(cause, execution)
            # The portfolio tells of funding, with the position that it was paid for.
            told = () if cause is Cause.FUNDING else (event,)
            context.journal.commit(
                Batch(
                    at_ms=event.at_ms,
                    records=tuple(record_of(event) for event in told),
                    executions=(execution_entry(execution, None, idx),),
                    parked=(parked_entry(execution, event.at_ms),) if folded else (),
                    unparked=() if folded else (execution_key(execution),),
                )
            )
            self._forget_question(execution)
            context.tell_world(told)
        if folded:
            context.to.portfolio.tell(
                Fold(
                    execution=execution,
                    position_idx=idx,
                    correlation_id=event.correlation_id,
                    signal_id=event.signal_id,
                    reduce_only=order is not None and order.reduce_only,
                    parked=True,
                )
            )

    def _brake(self, cause: Cause, execution: Execution) -> None:
        if cause not in {Cause.CHILD, Cause.FUNDING}:
            reaction = self._reactions[cause.forced]
            why = f"{cause}: {execution.side} {execution.exec_qty} {execution.symbol}, of no order of ours"
            brake(self._context, reaction, execution.category, execution.symbol, who="external", why=why, lasting=True)

    def _entry(self, execution: Execution) -> ExecutionEntry | None:
        """The execution as the journal has it, whoever accounted it."""
        key = {"category": execution.category, "symbol": execution.symbol, "exec_id": execution.exec_id}
        if not self._context.journal.knows_execution(**key):
            return None
        return next(iter(self._context.journal.executions(**key)))

    def _count(self, entry: ExecutionEntry, execution: Execution, source: Source) -> None:
        """A second delivery: recorded, and nothing else. One of another hand may still wait for its position."""
        self._context.journal.commit(
            Batch(
                at_ms=self._context.now_ms(),
                records=(duplicate_of(execution, source),),
                unparked=(execution_key(execution),) if entry.order_link_id else (),
            )
        )
        self._context.observe("duplicate", {"exec_id": execution.exec_id, "source": source})

    def _position_idx(
        self, execution: Execution, order: ForeignOrder | None, parent: OrderEntry | None, hedged: bool | None
    ) -> int | None:
        """Which position it moves; None where nobody can say yet, and nobody guesses."""
        if execution.category not in COVERED:
            return 0
        if order is None and parent is not None:
            # A part of it, of which no row has come: it moves the position that the whole moves.
            ours = plain.loads(Order | OrderSnapshot, parent.body)
            return ours.request.position_idx if isinstance(ours, Order) else ours.position_idx
        if order is not None:
            return position_idx_of(execution, order, hedged=bool(hedged))
        keys = [(execution.category, execution.symbol, idx) for idx in range(3)]
        known = [rows.get(key) for key in keys for rows in (self._rows, self._context.shown)]
        shown = [row for row in known if row is not None]
        if hedged is None:
            hedged = hedged_by(execution, shown)
        return None if hedged is None else position_idx_of(execution, order, hedged=hedged, rows=shown)

    # How a symbol is held.

    def _park(self, message: Unowned, execution: Execution) -> None:
        """Keep it, and ask."""
        symbol, key = (execution.category, execution.symbol), execution_key(execution)
        waiting = self._unplaced.setdefault(symbol, {})
        now_ms = self._context.now_ms()
        if key in waiting:
            if message.source is not Source.REPLAY:
                # It came again before anybody could say which position the first moves.
                self._context.journal.commit(Batch(at_ms=now_ms, records=(duplicate_of(execution, message.source),)))
                self._context.observe("duplicate", {"exec_id": execution.exec_id, "source": message.source})
            return
        self._context.journal.commit(Batch(at_ms=now_ms, parked=(parked_entry(execution, now_ms),)))
        self._context.observe("parked", {"exec_id": execution.exec_id, "order_id": execution.order_id})
        waiting[key] = message
        if len(waiting) == 1:
            self._ask(symbol)

    def _ask(self, symbol: Symbol) -> None:
        """Ask how that symbol is held, and again until somebody says so."""
        if not self._unplaced.get(symbol):
            self._asked.pop(symbol, None)
            return
        times = self._asked[symbol] = self._asked.get(symbol, 0) + 1
        call = QueryPositions(category=symbol[0], symbol=symbol[1])
        self._context.to.gateway.tell(Send(tag="held", call=call, answer_to=self.mailbox))
        delay_ms = min(ASK_AGAIN_MS * 2 ** min(times - 1, 10), ASK_CAP_MS)
        key = ("external", "held", *symbol)
        self._context.ports.timers.after(delay_ms, self.mailbox, HowHeld(symbol=symbol), key)

    def _forget_question(self, execution: Execution) -> None:
        """It has its place, whoever said so: once that is true of all, nobody asks any more."""
        symbol = (execution.category, execution.symbol)
        waiting = self._unplaced.get(symbol, {})
        if waiting.pop(execution_key(execution), None) is not None and not waiting:
            self._asked.pop(symbol, None)
            self._context.ports.timers.cancel(("external", "held", *symbol))

    def _see(self, rows: tuple[PositionRow, ...]) -> None:
        """What the exchange said of positions, before anything that it said after it."""
        for row in rows:
            key = (row.category, row.symbol, row.position_idx)
            known = self._rows.get(key)
            if known is None or row.seq >= known.seq:
                self._rows[key] = row

    def _place(self, rows: tuple[PositionRow, ...]) -> None:
        """The exchange was asked after these executions, and says how their symbol is held."""
        self._see(rows)
        self._context.to.portfolio.tell(PositionsSeen(rows=rows, source=Source.QUERY))
        for symbol in dict.fromkeys((row.category, row.symbol) for row in rows):
            hedged = any(row.position_idx > 0 for row in rows if (row.category, row.symbol) == symbol)
            waiting = self._unplaced.get(symbol, {})
            for message in tuple(waiting.values()):
                assert isinstance(message.row, Execution)
                self._account(message, message.row, hedged)

    def _parent(self, order_link_id: str) -> OrderEntry | None:
        """The order of ours of that link ID, if it was ever sent."""
        entry = self._context.journal.order(order_link_id) if order_link_id else None
        return None if entry is None or entry.state == OrderState.DENIED else entry

    def _event(self, cause: Cause, execution: Execution, source: Source) -> Event:
        child = cause is Cause.CHILD
        whose = "of an order made of ours" if child else "of no order of ours"
        return Event(
            type=EventType.ORDER_FILLED if child else EventType.RECONCILIATION_ALERT,
            at_ms=self._context.now_ms(),
            event_ms=execution.exec_ms,
            order_link_id=execution.order_link_id,
            order_id=execution.order_id,
            exec_id=execution.exec_id,
            category=execution.category,
            symbol=execution.symbol,
            source=source,
            reason=str(cause),
            detail=f"{execution.create_type or execution.exec_type}: {execution.side} {execution.exec_qty} "
            f"at {execution.exec_price}, {whose}; accounted in the position",
            execution=execution,
        )

    # Orders.

    def _note(self, row: OrderRow) -> None:
        known = self._open.get(row.order_id) or self._ended.get(row.order_id)
        known_id = known.parent_order_link_id if known is not None else ""
        parent_id = row.parent_order_link_id or known_id or row.order_link_id
        parent = self._parent(parent_id)
        order = ForeignOrder.of(row, parent_id if parent is not None else "", self._context.now_ms())
        if known is not None and known.status.final:
            return
        # One that a list left out was forgotten, and is open again when it is shown.
        if row.order_id in self._open and known is not None and evolve(known, heard_ms=order.heard_ms) == order:
            return
        self._remember(order)
        whose = f"made of {parent_id}" if parent is not None else "of no signal of ours"
        self._context.announce(
            Event(
                type=EventType.STATUS,
                at_ms=order.heard_ms,
                event_ms=row.updated_ms,
                correlation_id=parent.correlation_id if parent is not None else f"external-{row.order_id}",
                signal_id=parent.signal_id if parent is not None else "",
                order_link_id=row.order_link_id,
                order_id=row.order_id,
                category=row.category,
                symbol=row.symbol,
                parent_order_link_id=order.parent_order_link_id,
                reason="child_order" if parent is not None else "foreign_order",
                detail=f"{row.stop_order_type or row.create_type or 'an order'} {whose}: {row.side} {row.qty}, "
                f"{row.status}",
            ),
            marks=self._marks(),
        )

    def _cancel(self, message: CancelChild) -> Decision:
        """Cancel what the exchange made of an order of ours; of another hand's orders none is ever touched."""
        order = self._open.get(message.order_id)
        if order is None or not order.parent_order_link_id:
            return Decision(decided="denied", why=f"order {message.order_id} is not open; nothing was sent")
        asked = message.asked
        self._context.announce(
            self._about(order, EventType.ORDER_CANCEL_REQUESTED, "child_order", f"asked by {asked.who}: {asked.why}")
        )
        call = CancelOrder(
            category=order.category, symbol=order.symbol, order_link_id=OrderLinkId(""), order_id=order.order_id
        )
        self._context.to.gateway.tell(Send(tag=f"child:{order.order_id}", call=call, answer_to=self.mailbox))
        return Decision(decided="sent")

    def _answered(self, message: Answered) -> None:
        page = message.reply.result
        if message.tag != "held":
            self._cancelled(message)
        elif isinstance(page, Page):
            self._place(page.positions)

    def _cancelled(self, message: Answered) -> None:
        """Its row says what came of it; only a no needs to be told."""
        verdict = message.reply.verdict
        order = self._open.get(message.tag.removeprefix("child:"))
        if order is not None and verdict.kind is not VerdictKind.ACCEPTED:
            why = f"the cancel came to nothing: {said(verdict)}; ask again if it is still open"
            self._context.announce(self._about(order, EventType.STATUS, "child_cancel_failed", why))

    def _about(self, order: ForeignOrder, type_: EventType, reason: str, detail: str) -> Event:
        parent = self._parent(order.parent_order_link_id)
        return Event(
            type=type_,
            at_ms=self._context.now_ms(),
            correlation_id=parent.correlation_id if parent is not None else "",
            signal_id=parent.signal_id if parent is not None else "",
            order_id=order.order_id,
            category=order.category,
            symbol=order.symbol,
            parent_order_link_id=order.parent_order_link_id,
            reason=reason,
            detail=detail,
        )

    def _remember(self, order: ForeignOrder) -> None:
        if order.status.final:
            self._open.pop(order.order_id, None)
            self._ended[order.order_id] = order
            while len(self._ended) > MAX_ENDED:
                del self._ended[next(iter(self._ended))]
        else:
            self._open[order.order_id] = order
        self._show()

    def _show(self) -> None:
        """What other threads may read of it."""
        self._context.foreign = dict(self._open)
        children: dict[str, tuple[ForeignOrder, ...]] = {}
        for order in (*self._ended.values(), *self._open.values()):
            if order.parent_order_link_id:
                parent_id = order.parent_order_link_id
                children[parent_id] = (*children.get(parent_id, ()), order)
        self._context.children = children

    def _forget(self, order_ids: tuple[str, ...]) -> None:
        gone = [self._open.pop(order_id) for order_id in order_ids if order_id in self._open]
        if not gone:
            return
        for order in gone:
            self._ended[order.order_id] = order
        self._show()
        self._context.journal.commit(Batch(at_ms=self._context.now_ms(), marks=self._marks()))

    def _marks(self) -> dict[str, str]:
        return {FOREIGN_MARK: plain.dumps(ForeignOrders(orders=(*self._open.values(), *self._ended.values())))}
