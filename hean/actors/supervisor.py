"""The actor above the orders: gives each its actor, brings crashed ones back, and finds owners for rows without one."""

from __future__ import annotations

from typing import Any

import pykka

from hean.actors.boundary import stop_actors
from hean.actors.context import JOURNAL_RETRY_MS, Context
from hean.actors.kept import KeptActor
from hean.actors.messages import (
    Adopt,
    Bound,
    Crashed,
    Fold,
    FoldNoted,
    LookAgain,
    PayOwed,
    Ping,
    Retire,
    Spoiled,
    SpreadHalt,
    Undelivered,
    Unowned,
)
from hean.actors.order import LINGER_MS, OrderActor
from hean.actors.registry import Cell, Slot
from hean.actors.scribe import duplicate_of, execution_key, parked_entry
from hean.core import plain
from hean.core.breaker_facts import JournalFailed
from hean.core.calls import Quarantine
from hean.core.facts import Broken, Executed, Halted, Restarted, Shown
from hean.core.record import Order
from hean.core.types import (
    Event,
    EventType,
    Execution,
    Ms,
    OrderLinkId,
    OrderRow,
    OrderSnapshot,
    OrderState,
    Source,
)
from hean.journal import Batch, OrderEntry, Record

# An order whose actor crashes more often than this on the way is parked in ERROR.
MAX_CRASHES = 3
# An execution that nobody owns is kept back this long while an order of its symbol still waits for its order_id.
PARK_MS = 3_000
# ... and no longer than this, whatever waits: it is then accounted as foreign, and claimed later if need be.
PARK_MAX_MS = 60_000
# Rows of queries that do not read come again with each query: so many are remembered, to be told once.
MAX_SPOILED = 1_000
# An order actor's handler never waits for the network; one that takes longer to end is left to its daemon thread.
STOP_S = 2.0


class SupervisorActor(KeptActor):
    """Owns the slots' actors. The journal is where it finds what it needs to rebuild one."""

    name = "supervisor"
    lent = (Adopt,)

    def __init__(self, mailbox: Any, context: Context) -> None:
        super().__init__(mailbox, context)
        self._actors: dict[OrderLinkId, pykka.ActorRef[Any]] = {}
        self._spoiled: dict[Quarantine, None] = {}

    def on_start(self) -> None:
        if self._context.journal.parked():
            self._look_at_parked()

    def handle(self, message: Any) -> Any:
        match message:
            case Adopt():
                self._adopt(message)
            case Unowned():
                self._find_owner(message)
            case Bound():
                self._unpark(message)
            case Crashed():
                self._crashed(message)
            case ("revive", link_id, first):
                self._revive(link_id, first)
            case ("unpark",):
                self._release_parked()
            case Retire():
                self._retire(message.order_link_id)
            case Undelivered():
                self._deliver(message.order_link_id, message.message)
            case Spoiled():
                self._quarantine(message)
            case SpreadHalt():
                self._spread(message)
            case PayOwed():
                self._context.pay()
            case FoldNoted():
                self._context.fold()
            case Ping():
                return True
            case _:
                raise TypeError(f"unexpected message {message!r}")
        return None

    def on_stop(self) -> None:
        stop_actors(self._actors.values(), STOP_S)

    # Life of the actors.

    def _adopt(self, message: Adopt) -> None:
        order = message.order
        slot = self._context.registry.slot(order.request.order_link_id)
        assert slot is not None, "whoever adopts has made the slot"
        halted_why = self._context.gate.halted_why
        # Who was not there when the word went round must hear it now.
        first: tuple[object, ...] = (Halted(halted=True, why=halted_why),) if halted_why and not order.halted else ()
        self._start(slot, order, (*first, Restarted()) if message.resumed else first)

    def _start(self, slot: Slot, order: Order, first: tuple[object, ...]) -> None:
        self._actors[slot.order_link_id] = self._context.ports.spawner.start(
            OrderActor, slot.mailbox, slot, order, self._context, first
        )

    def _crashed(self, message: Crashed) -> None:
        slot, ref = self._context.registry.slot(message.order_link_id), self._actors.get(message.order_link_id)
        self._context.observe(
            "actor.crash",
            {"actor": "order", "order_link_id": message.order_link_id, "error": message.error},
        )
        if ref is not None and ref.actor_urn != message.actor_urn:
            # It crashed while it was retired, and the order has another actor already.
            self._deliver(message.order_link_id, message.message)
            return
        self._actors.pop(message.order_link_id, None)
        # Restarted: a look-up that was out died with its actor, and an effect may not have been performed.
        again = () if isinstance(message.message, Restarted) else (message.message,)
        first: tuple[object, ...] = (Restarted(), *again)
        if message.journal:
            self._context.to.gateway.tell(JournalFailed(why=message.error))
            revive = ("revive", message.order_link_id, first)
            key = (message.order_link_id, "revive")
            self._context.ports.timers.after(JOURNAL_RETRY_MS, self.mailbox, revive, key)
            return
        crashes = message.crashes + 1
        if crashes > MAX_CRASHES:
            # The message itself is the poison: kept in the journal, and the order goes on without it.
            entry = self._context.journal.order(message.order_link_id)
            self._context.journal.commit(
                Batch(
                    at_ms=self._context.now_ms(),
                    records=(
                        Record(
                            kind="poison",
                            body=plain.dumps(repr(message.message)),
                            order_link_id=message.order_link_id,
                            correlation_id="" if entry is None else entry.correlation_id,
                        ),
                    ),
                )
            )
            crashes = 0
            # Restarted here too: what its last actor asked, nobody hears the answer to.
            first = (Restarted(), Broken(why=f"its actor crashed {MAX_CRASHES + 1} times: {message.error}"))
        self._revive(message.order_link_id, first, crashes=crashes)
        if slot is not None:
            self._fold_again(slot)

    def _fold_again(self, slot: Slot) -> None:
        """What the journal has and the actor did not live to tell; the portfolio knows what it has."""
        snapshot = slot.cell.snapshot
        for entry in self._context.journal.executions(order_link_id=slot.order_link_id):
            self._context.to.portfolio.tell(
                Fold(
                    execution=plain.loads(Execution, entry.body),
                    position_idx=entry.position_idx,
                    correlation_id=snapshot.correlation_id,
                    signal_id=snapshot.signal_id,
                    reduce_only=snapshot.reduce_only,
                )
            )

    def _revive(self, link_id: OrderLinkId, first: tuple[object, ...], *, crashes: int | None = None) -> None:
        """Give an order an actor again, from the journal, on the mailbox it has or a new one."""
        entry = self._context.journal.order(link_id)
        assert entry is not None, f"order {link_id} is not in the journal"
        order = order_of(entry)
        if not isinstance(order, Order):
            return
        slot = self._context.registry.slot(link_id) or self._track(entry, order)
        if crashes is not None:
            slot.crashes = crashes
        self._start(slot, order, first)
        if order.state is OrderState.CLOSED:
            # What it was revived for may change nothing; then nobody else would let it retire again.
            retire = Retire(order_link_id=link_id)
            self._context.ports.timers.after(LINGER_MS, self.mailbox, retire, (link_id, "linger"))

    def _track(self, entry: OrderEntry, order: Order) -> Slot:
        registry, link_id = self._context.registry, order.request.order_link_id
        cell = registry.cell(link_id) or Cell(order.snapshot(), entry.digest)
        slot = Slot(link_id, self._context.ports.spawner.mailbox(f"order {link_id}"), cell)
        registry.track(slot)
        return slot

    def _retire(self, link_id: OrderLinkId) -> None:
        slot, ref = self._context.registry.slot(link_id), self._actors.pop(link_id, None)
        if slot is None or ref is None:
            return
        if not slot.cell.snapshot.settled:
            # A late fill came in the meantime: it lives.
            self._actors[link_id] = ref
            return
        slot.retire()
        self._context.registry.forget(slot)
        if not slot.mailbox.end():
            stop_actors([ref], STOP_S)
        leftover = slot.mailbox.leftover()
        for message in leftover:
            self._deliver(link_id, message)

    def _deliver(self, link_id: OrderLinkId, message: object) -> None:
        slot = self._context.registry.slot(link_id)
        if slot is None or not slot.tell(message):
            self._revive(link_id, (message,))

    # Rows without an owner.

    def _find_owner(self, message: Unowned) -> None:
        row, journal = message.row, self._context.journal
        slot = self._context.registry.owner(row.order_link_id, row.order_id)
        if slot is not None and slot.tell(fact_of(row, message.source)):
            return
        entry = journal.order(row.order_link_id) if row.order_link_id else None
        if entry is None and row.order_id:
            entry = journal.order_by_order_id(row.order_id)
        if entry is not None and isinstance(order_of(entry), Order):
            if isinstance(row, Execution) and self._accounted(row, entry):
                self._count(row, entry, message.source)
                return
            self._deliver(OrderLinkId(entry.order_link_id), fact_of(row, message.source))
            return
        if isinstance(row, Execution) and self._may_be_ours(row) and message.source is not Source.REPLAY:
            self._park(row)
            return
        self._context.to.external.tell(message)

    def _may_be_ours(self, row: Execution) -> bool:
        """
        Whether an order of ours that was sent and does not know its order_id yet may own it.

        A row that carries an order_link_id is not in doubt: ours are known before their first byte leaves.
        """
        known = row.order_link_id or row.order_id in self._context.foreign
        return not known and self._context.registry.unbound(row.category, row.symbol)

    def _accounted(self, row: Execution, entry: OrderEntry) -> bool:
        """Whether a settled order has this execution: then it need not be woken for it."""
        kept = self._context.journal.executions(category=row.category, symbol=row.symbol, exec_id=row.exec_id)
        return any(execution.order_link_id == entry.order_link_id for execution in kept)

    def _count(self, row: Execution, entry: OrderEntry, source: Source) -> None:
        """A second delivery: recorded, and nothing else."""
        self._context.journal.commit(
            Batch(
                at_ms=self._context.now_ms(),
                records=(duplicate_of(row, source, entry.order_link_id, entry.correlation_id),),
                unparked=(execution_key(row),),
            )
        )
        self._context.observe("duplicate", {"exec_id": row.exec_id, "source": source})

    def _park(self, execution: Execution) -> None:
        now_ms = self._context.now_ms()
        self._context.journal.commit(Batch(at_ms=now_ms, parked=(parked_entry(execution, now_ms),)))
        self._context.observe("parked", {"exec_id": execution.exec_id, "order_id": execution.order_id})
        self._look_at_parked()
        # Its order may have learnt its ID before anything was parked, and then told nobody.
        slot = self._context.registry.owner("", execution.order_id)
        if slot is not None:
            self._unpark(Bound(order_link_id=slot.order_link_id, order_id=execution.order_id))

    def _look_at_parked(self) -> None:
        self._context.ports.timers.after(PARK_MS, self.mailbox, ("unpark",), ("supervisor", "unpark"))

    def _unpark(self, message: Bound) -> None:
        for entry in self._context.journal.parked():
            if entry.order_id == message.order_id:
                self._deliver(
                    message.order_link_id,
                    Executed(execution=plain.loads(Execution, entry.body), source=Source.REPLAY),
                )

    def _release_parked(self) -> None:
        """Whoever still has no owner, and no order of its symbol waits for an ID: it was somebody else's."""
        now_ms, left = self._context.now_ms(), False
        for entry in self._context.journal.parked():
            execution = plain.loads(Execution, entry.body)
            age_ms = now_ms - entry.at_ms
            if age_ms < PARK_MS or (age_ms < PARK_MAX_MS and self._may_be_ours(execution)):
                left = True
                continue
            # Whoever accounts it takes it out of the parked ones, in the same transaction.
            self._find_owner(Unowned(row=execution, source=Source.REPLAY))
        if left:
            self._look_at_parked()

    # What goes wrong, and who stops it.

    def _quarantine(self, message: Spoiled) -> None:
        if message.queried:
            if message.quarantine in self._spoiled:
                self._context.observe("quarantined.again", {"where": message.where})
                return
            self._spoiled[message.quarantine] = None
            if len(self._spoiled) > MAX_SPOILED:
                del self._spoiled[next(iter(self._spoiled))]
        else:
            # It may have said something that matters; a query may say it better.
            self._context.to.reconciler.tell(LookAgain(why=message.quarantine.why))
        self._context.announce(
            Event(
                type=EventType.QUARANTINED,
                at_ms=self._context.now_ms(),
                reason=message.where,
                detail=message.quarantine.why,
            ),
            records=(Record(kind="quarantine", body=plain.dumps(message.quarantine.raw)),),
        )

    def _spread(self, message: SpreadHalt) -> None:
        for slot in self._context.registry.slots():
            slot.tell(Halted(halted=message.halted, why=message.why))


def fact_of(row: OrderRow | Execution, source: Source, asked_ms: Ms | None = None) -> Shown | Executed:
    """A row of the exchange as the fact of its order; `asked_ms` for a queried one."""
    if isinstance(row, Execution):
        return Executed(execution=row, source=source)
    return Shown(row=row, source=source, asked_ms=asked_ms)


def order_of(entry: OrderEntry) -> Order | OrderSnapshot:
    """The order that the journal remembers: a denied one is only a picture, for it never was more."""
    return plain.loads(Order | OrderSnapshot, entry.body)
