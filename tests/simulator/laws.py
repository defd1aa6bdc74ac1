"""
The laws: what must hold in every world, at every step and whenever it is quiet.

A law is a function with a name; a violation says which, and what was seen. They look at the exchange's own books, which
no router sees, and at the journal.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from hean.core.types import (
    ZERO,
    Event,
    EventType,
    OrderSnapshot,
    OrderState,
    Signal,
)
from hean.journal import Batch, Committed
from tests.exchange.orders import Order as TheirOrder
from tests.simulator.lists import Lists
from tests.simulator.network import SimSocket
from tests.simulator.quiet import END_LAWS, FINAL, QUIET_LAWS, actor_of, the_journal_is_whole
from tests.simulator.violation import Unknowable, Violation, require

if TYPE_CHECKING:
    from tests.simulator.world import World

Key = tuple[str, str, str]
"""(category, symbol, exec_id)"""

MOMENT_MAX = 5_000
"""Turns in one millisecond; more is a loop that would burn a processor for ever."""
MAILBOX_MAX = 2_000
# Queries that leave something out: after these nobody can know what LIVE misses.
_LIARS = frozenset(
    {"history_lag", "realtime_lag", "partial_page", "unknown_enum", "missing_key", "empty_numbers", "clock_skew"}
)
_STATUSES = frozenset(
    {"Created", "New", "Untriggered", "Triggered", "PendingCancel", "PartiallyFilled", "Filled"}
    | {"Cancelled", "PartiallyFilledCanceled", "Deactivated", "Rejected"}
)
_EXEC_TYPES = frozenset({"Trade", "AdlTrade", "BustTrade", "Delivery", "Settle", "Funding"})
# What a clock or a breaker says, whoever compares what.
_BY_ITSELF = frozenset({EventType.STATUS, EventType.KILLSWITCH_TRIGGERED, EventType.KILLSWITCH_RESET})
_CANCELLED = frozenset({"Cancelled", "PartiallyFilledCanceled", "Deactivated"})

# Where an order may go, written down a second time: nothing regresses, an end is an end.
MOVES: dict[str, frozenset[str]] = {
    "PENDING": frozenset(
        {"SUBMITTED", "TIMEOUT", "ACKNOWLEDGED", "PARTIAL_FILL", "FILLED", "CANCELLED", "REJECTED", "DENIED", "ERROR"}
    ),
    "SUBMITTED": frozenset(
        {"PENDING", "TIMEOUT", "ACKNOWLEDGED", "PARTIAL_FILL", "FILLED", "CANCELLED", "REJECTED", "DENIED", "ERROR"}
    ),
    "TIMEOUT": frozenset(
        {"PENDING", "ACKNOWLEDGED", "PARTIAL_FILL", "FILLED", "CANCELLED", "REJECTED", "ERROR"}
    ),
    "ACKNOWLEDGED": frozenset({"PARTIAL_FILL", "FILLED", "CANCELLED", "REJECTED", "ERROR"}),
    "PARTIAL_FILL": frozenset({"FILLED", "CANCELLED", "ERROR"}),
    "FILLED": frozenset({"CLOSED", "ERROR"}),
    "CANCELLED": frozenset({"CLOSED", "ERROR"}),
    "REJECTED": frozenset({"CLOSED", "ERROR"}),
    "ERROR": frozenset({"FILLED", "CANCELLED", "REJECTED"}),
    "CLOSED": frozenset({"FILLED", "CANCELLED", "REJECTED", "ERROR"}),
    "DENIED": frozenset(),
}  # fmt: skip


WITHOUT_BOOKS = frozenset(
    {"no_handler_crashes", "orders_never_go_back", "intent_before_bytes", "apply_and_remember_are_one"}
)
"""Laws that hold whatever the exchange's books say."""


class Laws:
    """The laws of one world, and what they must remember."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._creates: dict[str, list[int]] = {}
        self._sends: dict[str, int] = {}
        self._proof: dict[str, str] = {}
        self._filled: Counter[tuple[str, str]] = Counter()
        self._placed: Counter[str] = Counter()
        self._owed: list[Key] = []
        self._buffered: list[Key] = []
        self._before: list[Key] = []
        self._spoiled_owed = 0
        self._seen: set[int] = set()
        self.halted = False
        """A halt was told, and nobody has resumed."""
        self.resolved: set[str] = set()
        """Orders whose end a person decided."""
        self.amended: set[str] = set()
        """Orders of which a change by the exchange was told."""
        self.cancelled: set[str] = set()
        """Orders whose end was asked for, and promised."""
        self._executed: dict[str, Decimal] = {}
        self._seen_of: dict[str, tuple[Decimal, int]] = {}
        self._their_execs: dict[str, Any] = {}
        self._their_seen = 0
        self._before_us: int | None = None
        self._moment_ms = self._moment_turns = 0
        self._failed: Violation | None = None
        self.moot = ""
        """Why the exchange's books cannot be asked any more; empty while they can."""
        self._spoiled = 0
        self.told = 0
        self.lists = Lists(world)

    # The other side's books.

    def their_order(self, link_id: str) -> TheirOrder | None:
        return self.world.account.by_link.get(link_id)

    def is_open(self, link_id: str) -> bool:
        """Whether the exchange has an open order of that ID."""
        return any(order.status not in FINAL for order in self._orders_of(link_id))

    def their_exec(self, exec_id: str) -> Any:
        executions = self.world.account.executions
        while self._their_seen < len(executions):
            execution = executions[self._their_seen]
            self._their_execs[execution.exec_id] = execution
            self._their_seen += 1
        return self._their_execs.get(exec_id)

    def their_sum(self, link_id: str) -> Decimal:
        return sum(
            (
                execution.qty
                for execution in self.world.account.executions
                if execution.order_link_id == link_id and execution.exec_type != "Funding"
            ),
            ZERO,
        )

    def fail(self, law: str, why: str) -> None:
        """Inside an actor an exception would be caught: what was seen there is raised after the turn."""
        if self._failed is None and not (self.moot and law not in WITHOUT_BOOKS):
            self._failed = Violation(law, why)

    # After each turn.

    def after_turn(self) -> None:
        if self._failed is not None:
            raise self._failed
        kernel = self.world.kernel
        if kernel.now_ms != self._moment_ms:
            self._moment_ms, self._moment_turns = kernel.now_ms, kernel.turns
        elif kernel.turns - self._moment_turns > MOMENT_MAX:
            raise Violation("time_goes_on", f"more than {MOMENT_MAX} turns in one millisecond")
        life = self.world.life
        if life is None or not life.process.alive:
            return
        if self.moot:
            return
        if self.world.kernel.turns % 64 == 0:
            for box in life.process.mailboxes:
                require(box.depth() <= MAILBOX_MAX, "mailboxes_are_bounded", f"{box}: {box.depth()}")
        if (self._owed or self._spoiled_owed > self._spoiled) and self.world.kernel.idle:
            self._no_row_is_lost()

    # Creates.

    def create_leaves(self, link_id: str, channel: str) -> None:
        """A create's bytes are about to leave: its intent is known, and nothing of it can be at the exchange."""
        world = self.world
        creates = self._creates.setdefault(link_id, [])
        creates.append(world.kernel.now_ms)
        with world.disk.look() as journal:
            entry = journal.order(link_id)
        if entry is None:
            self.fail("intent_before_bytes", f"{link_id} leaves over {channel}, and the journal knows no such order")
            return
        request = orjson.loads(entry.body)["request"]
        age_ms = world.our_ms() - request["submitted_ms"]
        if age_ms > world.settings.orders.max_age_s * 1000:
            self.fail("no_create_is_sent_late", f"{link_id} leaves {age_ms} ms after its signal")
        if world.power_cut or world.denied or link_id in world.twins:
            # Neither what was remembered nor what is listed can be relied on.
            return
        if len(creates) > 1 and self.their_order(link_id) is not None:
            self.fail("no_second_create_before_proof", f"{link_id}: create {len(creates)}, and the exchange has it")
        proof = self._proof.get(link_id, "")
        sends = self._sends.get(link_id, 0)
        if len(creates) > 1 and sends > 1 and not proof:
            self.fail("no_second_create_before_proof", f"{link_id}: create {len(creates)} without a proof of absence")

    # Commits.

    def committed(self, batch: Batch, committed: Committed) -> None:
        """What the journal took in is what the exchange's books say."""
        for record in batch.records:
            if record.kind == "fact":
                self._fact(record.order_link_id, orjson.loads(record.body))
                if '"ORDER_AMENDED"' in record.body:
                    self.amended.add(record.order_link_id)
            elif record.kind == "quarantine":
                self._spoiled += 1
            elif record.kind == "event" and '"KILLSWITCH_' in record.body:
                self.halted = orjson.loads(record.body)["type"] == EventType.KILLSWITCH_TRIGGERED
        for entry in batch.executions:
            theirs = self.their_exec(entry.exec_id)
            if theirs is None:
                self.fail("executions_are_theirs", f"execution {entry.exec_id} is in no book of the exchange")
                return
            ours = orjson.loads(entry.body)
            same = (Decimal(ours["exec_qty"]), Decimal(ours["exec_price"]), ours["side"], ours["symbol"])
            if same != (theirs.qty, theirs.price, theirs.side, theirs.symbol):
                self.fail("executions_are_theirs", f"{entry.exec_id}: ours {same}, theirs {theirs}")
            if entry.order_link_id and theirs.order_link_id not in {"", entry.order_link_id}:
                self.fail("executions_are_theirs", f"{entry.exec_id} is of {theirs.order_link_id}")
            owned = bool(entry.order_link_id) and (
                batch.order is None or batch.order.order_link_id != entry.order_link_id
            )
            if owned:
                self.fail("apply_and_remember_are_one", f"{entry.exec_id} without the order that it is applied to")
        if batch.order is not None:
            self._ledger(batch)

    def _ledger(self, batch: Batch) -> None:
        entry = batch.order
        assert entry is not None
        body = orjson.loads(entry.body)
        ledger = body.get("ledger")
        if ledger is None:
            return
        for execution in batch.executions:
            if execution.order_link_id == entry.order_link_id:
                qty = Decimal(orjson.loads(execution.body)["exec_qty"])
                self._executed[entry.order_link_id] = self._executed.get(entry.order_link_id, ZERO) + qty
        ours = Decimal(ledger.get("cum_exec_qty", "0"))
        self._nothing_seen_is_unseen(entry.order_link_id, Decimal(ledger.get("watermark", "0")), body.get("view"))
        summed = self._executed.get(entry.order_link_id, ZERO)
        if ours != summed and not self.world.power_cut:
            self.fail("quantity_is_the_sum", f"{entry.order_link_id}: ledger {ours}, its executions {summed}")
        theirs = self.their_sum(entry.order_link_id) if ours else ZERO
        if ours > theirs and not self._is_split(entry.order_link_id):
            self.fail("never_more_than_theirs", f"{entry.order_link_id}: {ours} here, {theirs} there")

    def _nothing_seen_is_unseen(self, link_id: str, watermark: Decimal, view: dict[str, Any] | None) -> None:
        """What the exchange once showed of an order is not taken back by what it said before."""
        updated_ms = 0 if view is None else view["updated_ms"]
        before, before_ms = self._seen_of.get(link_id, (ZERO, 0))
        self._seen_of[link_id] = (watermark, updated_ms)
        if self.world.power_cut:
            return
        if watermark < before:
            self.fail(
                "nothing_seen_is_unseen", f"{link_id}: {before} executed by the exchange's word, then {watermark}"
            )
        # What a list shows for long must be so: as where the exchange's clock went back.
        excused = self.world.plan_has("clock_skew") or self.world.denied
        if updated_ms < before_ms and not excused:
            self.fail("nothing_seen_is_unseen", f"{link_id}: a row of {updated_ms} after one of {before_ms}")

    def _orders_of(self, link_id: str) -> list[TheirOrder]:
        return [order for order in self.world.account.orders.values() if order.order_link_id == link_id]

    def _words(self, link_id: str) -> set[str | None]:
        """
        What the exchange calls the orders of that ID, of which a split makes several; None where it has none of ours.

        What another hand placed under our ID may be taken for ours, as nobody can tell them apart by their ID; that
        ours was refused is true all the same.
        """
        statuses: set[str | None] = {order.status for order in self._orders_of(link_id)}
        return statuses | {None} if self.none_is_ours(link_id) else statuses

    def none_is_ours(self, link_id: str) -> bool:
        """Whether the exchange has no order of that ID but those that another hand placed."""
        foreign = self.world.twins.get(link_id, set())
        return all(order.order_id in foreign for order in self._orders_of(link_id))

    def _is_split(self, link_id: str) -> bool:
        return len(self._orders_of(link_id)) > 1

    def _fact(self, link_id: str, body: dict[str, Any]) -> None:
        before, after, fact = body["before"], body["after"], body["fact"]
        if before == "PENDING":
            # The first steps of an order are taken in the strategy's call, and no actor tells of them.
            self.world.coverage.cell(before, fact)
        if before != after and after not in MOVES[before]:
            self.fail("orders_never_go_back", f"{link_id}: {before} -> {after} by {fact}")
        if before != after and after == "CLOSED" and not (before == "REJECTED" and self.none_is_ours(link_id)):
            self._settled(link_id)
        self._lost_for_good(link_id, after, fact)
        if before != after and fact != "resolved":
            self._no_end_is_assumed(link_id, after, fact)
        if fact == "resolved":
            self.resolved.add(link_id)
        effects = body["effects"]
        if fact == "absence_proven" and before == "TIMEOUT" and after in {"PENDING", "REJECTED"}:
            self._absent(link_id)
        if fact in {"not_sent", "absence_proven"}:
            self._proof[link_id] = fact
        if fact == "not_executed" and self._proof.get(link_id) != "absence_proven":
            # A refusal that comes after its order's absence was proven says the same once more.
            self._proof[link_id] = "refused"
        if fact == "nothing_found" and self._proof.get(link_id) == "refused":
            self._proof[link_id] = "refused, and one empty look-up"
        if "SendCreate" in effects:
            sends = self._sends[link_id] = self._sends.get(link_id, 0) + 1
            proof = self._proof.pop(link_id, "")
            good = proof in {"not_sent", "absence_proven", "refused, and one empty look-up"}
            if sends > 1 and not good and not self.world.power_cut:
                self.fail("no_second_create_before_proof", f"{link_id}: send {sends} after {proof or 'no proof'}")
            self._proof[link_id] = proof

    def _absent(self, link_id: str) -> None:
        """What is proven absent is neither there nor on its way there, and young enough to be taken."""
        world = self.world
        if world.power_cut or world.denied:
            return
        if self.their_order(link_id) is not None:
            self.fail("absence_is_proven", f"{link_id} is said to be absent: {_status(self.their_order(link_id))}")
        youngest_ms = max(world.net.creates.get(link_id, ()), default=0)
        if world.kernel.now_ms - youngest_ms < world.config["recv_window_ms"] and not world.plan_has("clock_skew"):
            self.fail("absence_is_proven", f"{link_id} is said to be absent, and a create is on its way")

    def _settled(self, link_id: str) -> None:
        """CLOSED says that every execution is here; what is executed after an order's end nobody can know before."""
        world, theirs = self.world, self.their_order(link_id)
        excused = world.power_cut or world.fills_late or self._is_split(link_id) or link_id in self.resolved
        if theirs is None or excused:
            return
        ours = self._executed.get(link_id, ZERO)
        if ours < theirs.cum_qty:
            self.fail("closed_is_settled", f"{link_id} is CLOSED: {ours} executed here, {theirs.cum_qty} there")

    def _lost_for_good(self, link_id: str, after: str, fact: str) -> None:
        """
        A power cut took an intent back; its signal, sent anew, was refused: the first order lives unknown.

        From here on the exchange's books say nothing of what the router may know. The world plays on under the laws
        that do not ask them.
        """
        refused = fact == "refused" or (after in {"REJECTED", "DENIED"} and fact != "resolved")
        if self.world.power_cut and refused and self.their_order(link_id) is not None:
            self.moot = self.moot or f"{link_id}: sent before a power cut, and refused after it"

    def _no_end_is_assumed(self, link_id: str, after: str, fact: str) -> None:
        """FILLED, CANCELLED and REJECTED are the exchange's words, not guesses; unless a person's word stands."""
        if link_id in self.resolved or self.world.denied:
            return
        theirs = self._orders_of(link_id)
        fine = {
            "FILLED": {"Filled"},
            "CANCELLED": _CANCELLED | {"Rejected"},
            "REJECTED": {"Rejected", None},
        }.get(after)
        late = any(order.cum_qty >= order.qty for order in theirs)
        said = self._words(link_id)
        if fine is not None and not said & fine and not (after == "FILLED" and late):
            self.fail("no_end_is_assumed", f"{link_id} is {after} by {fact}: the exchange says {said}")

    # Events.

    def event(self, event: Event) -> None:
        """No event says what the exchange's books do not."""
        link_id = event.order_link_id
        still_asking = event.type is EventType.ERROR and (not link_id or event.reason == "unresolved")
        if event.type not in _BY_ITSELF and not still_asking:
            self.told += 1
        match event.type:
            case EventType.ORDER_FILLED if event.execution is not None:
                theirs = self.their_exec(event.exec_id)
                if theirs is None:
                    self.fail("events_agree_with_books", f"ORDER_FILLED {event.exec_id}: no such execution")
                    return
                if theirs.exec_type == "Funding":
                    self.fail("events_agree_with_books", f"ORDER_FILLED {event.exec_id}: it is funding")
                self._filled[link_id, event.exec_id] += 1
                # What another hand did under our ID is told as its doing, and as what contradicts ours.
                twice = self.world.power_cut or link_id in self.world.twins
                if self._filled[link_id, event.exec_id] > 1 and not twice:
                    self.fail("each_fill_is_told_once", f"{link_id} {event.exec_id}")
                if event.complete:
                    self._filled_there(event)
            case EventType.ORDER_PLACED:
                self._placed[link_id] += 1
                if self._placed[link_id] > 1 and not self.world.power_cut:
                    self.fail("each_order_is_placed_once", link_id)
                if self.their_order(link_id) is None:
                    self.fail("events_agree_with_books", f"ORDER_PLACED {link_id}: the exchange has none")
            case EventType.ORDER_CANCELLED if event.reason != "resolved":
                if not self._words(link_id) & (FINAL - {"Filled"}):
                    self.fail("events_agree_with_books", f"ORDER_CANCELLED {link_id}: there {self._words(link_id)}")
            case EventType.ORDER_REJECTED if event.reason != "resolved":
                if not self._words(link_id) & {"Rejected", None}:
                    self.fail("events_agree_with_books", f"ORDER_REJECTED {link_id}: there {self._words(link_id)}")
            case EventType.RISK_BLOCKED:
                # A power cut can take an intent back whose order the exchange has.
                excused = event.reason == "duplicate_id" or self.world.power_cut or link_id in self.world.twins
                if not excused and self.their_order(link_id) is not None:
                    self.fail("events_agree_with_books", f"RISK_BLOCKED {link_id}: the exchange has it")
            case EventType.ERROR if event.reason == "overfill":
                theirs = self.their_order(link_id)
                if theirs is None or self.their_sum(link_id) <= theirs.qty:
                    self.fail("events_agree_with_books", f"overfill {link_id}: {event.detail}; {_status(theirs)}")
            case EventType.STATUS if event.reason.startswith("stream_"):
                self._stream_changes(event.reason)
            case EventType.FUNDING:
                theirs = self.their_exec(event.exec_id)
                if theirs is None or theirs.exec_type != "Funding":
                    self.fail("events_agree_with_books", f"FUNDING {event.exec_id}: no funding there")
            case _:
                pass

    def _filled_there(self, event: Event) -> None:
        # A late fill can fill an order whose row says Cancelled.
        theirs = self._orders_of(event.order_link_id)
        if not any(order.status == "Filled" or order.cum_qty >= order.qty for order in theirs):
            said = self._words(event.order_link_id)
            self.fail("events_agree_with_books", f"{event.type} {event.order_link_id}: there {said}")

    # Handlers.

    def observed(self, name: str, fields: dict[str, object]) -> None:
        """No handler raises: every cell that can be reached is declared."""
        if name not in {"actor.crash", "handler.failed"}:
            return
        error = str(fields.get("error", ""))
        injected = (
            "Killed" in error
            or ("JournalFull" in error and self.world.journal_failed)
            or ("injected bug" in error and self.world.bugs)
        )
        if not injected:
            self.fail("no_handler_crashes", f"{fields}")

    # Rows.

    def frame_arrives(self, socket: SimSocket, raw: bytes) -> None:
        """What a live stream says must be accounted as soon as nothing moves any more."""
        life = self.world.life
        if life is None or socket.channel != "private" or life.sockets.newest is not socket:
            return
        keys, spoiled = rows_of(raw, self)
        self.lists.tell({exec_id for _, _, exec_id in keys})
        if life.plant.context.gate.streaming:
            self._owed += keys
            self._spoiled_owed += spoiled
        else:
            self._buffered += keys

    def _no_row_is_lost(self) -> None:
        world = self.world
        if world.kernel.held or world.life is None:
            return
        owed, self._owed = self._owed, []
        gate = world.life.plant.context.gate
        if world.journal_failed or not gate.streaming:
            self._spoiled_owed = self._spoiled
            return
        with world.disk.look() as journal:
            parked = {(entry.category, entry.symbol, entry.exec_id) for entry in journal.parked()}
            for key in owed:
                known = journal.knows_execution(*key) or key in parked
                require(known, "no_row_is_lost", lambda key=key: f"execution {key} came over the stream and is nowhere")
        require(
            self._spoiled >= self._spoiled_owed,
            "what_does_not_read_is_kept",
            lambda: f"{self._spoiled_owed} rows or frames do not read, {self._spoiled} are in the journal",
        )

    def _stream_changes(self, reason: str) -> None:
        """LIVE means: nothing that happened before is missing."""
        world = self.world
        # What happened before the stream was asked for comes by no other way than the catch-up.
        if reason in {"stream_SUBSCRIBING", "stream_CATCHING_UP"}:
            self._before = [(e.instrument.category, e.symbol, e.exec_id) for e in world.account.executions]
        elif reason == "stream_LIVE":
            self._owed += self._buffered
            first_ms = int(world.journal.mark("first_start_ms") or 0)
            if not world.plan_has(*_LIARS):
                self._owed += [key for key in self._before if self.their_exec(key[2]).exec_ms >= first_ms]
        else:
            self._before = []
        if reason != "stream_CATCHING_UP":
            self._buffered = []

    def starts(self, halted_why: str) -> None:
        """A restart does not lift a halt that the journal has."""
        if self._before_us is None:
            self._before_us = len(self.world.account.executions)
        if self.halted and not self.world.power_cut:
            require(halted_why, "a_restart_lifts_no_halt", "halted before, and not after")

    def life_ends(self) -> None:
        """Whenever a process ends, its journal is whole."""
        the_journal_is_whole(self)
        self._owed.clear()
        self._buffered.clear()
        self._spoiled_owed = self._spoiled

    # The strategy.

    def submitted(self, n: int, signal: Signal, snapshot: OrderSnapshot) -> None:
        """A ticket is of the signal's order; while everything is halted, a new signal is denied."""
        gate = self.world.life.plant.context.gate if self.world.life is not None else None
        if gate is not None and gate.halted_why and n not in self._seen and snapshot.attempts == 1:
            fresh = snapshot.updated_ms == self.world.our_ms() and snapshot.state is OrderState.SUBMITTED
            require(not fresh, "a_halt_denies", lambda: f"signal {n} was sent: halted {gate.halted_why}")
        self._seen.add(n)
        require(
            snapshot.signal_id == signal.signal_id or snapshot.state is OrderState.DENIED,
            "a_ticket_is_of_its_signal",
            f"signal {n}: {snapshot}",
        )

    def clashed(self, signal: Signal, snapshot: OrderSnapshot) -> None:
        """The same ID with another payload is denied."""
        require(
            snapshot.state is OrderState.DENIED,
            "another_payload_is_denied",
            lambda: f"{signal.signal_id} with another payload became {snapshot.state}",
        )

    # Quiet.

    def restless(self) -> str:
        """Why it is not quiet yet; empty when it is."""
        world, life = self.world, self.world.life
        if life is None:
            return "no process"
        context = life.plant.context
        gate = context.gate
        if not world.kernel.idle:
            return "messages wait"
        if world.net.in_flight:
            return f"{world.net.in_flight} frames are under way"
        if not (gate.streaming and gate.reconciled):
            return f"not live: {gate.live_why}"
        if life.entry is not None and (not life.entry.live or life.entry.waiting):
            return f"trade stream: live {life.entry.live}, {life.entry.waiting} calls wait"
        if life.pool.in_flight:
            return f"{life.pool.in_flight} calls are out"
        reconciler = actor_of(life, "reconciler")
        if reconciler._pass is not None:
            return "a comparison goes on"
        if reconciler._suspects:
            return f"both sides differ: {', '.join(reconciler._suspects)}"
        if life.journal.parked():
            return "executions are parked"
        for slot in context.registry.slots():
            why = self._open_end(slot.cell.snapshot)
            if why:
                return f"{slot.order_link_id} {why}"
        return ""

    def _open_end(self, snapshot: OrderSnapshot) -> str:
        """Why an order is not at rest."""
        if snapshot.state in {OrderState.ACKNOWLEDGED, OrderState.PARTIAL_FILL}:
            if snapshot.pending:
                return f"has a {snapshot.pending} out"
            if snapshot.gap:
                # A row may tell of executions whose own rows are still to be pushed, or to be asked for.
                return f"lacks {snapshot.gap} of what was executed"
            # An execution may tell of it seconds before the order's own row is pushed.
            return "" if snapshot.status else "has no row yet"
        theirs = self.their_order(snapshot.order_link_id)
        alive = theirs is not None and theirs.status not in FINAL
        if snapshot.state is OrderState.ERROR and (self.world.bugs or self.world.denied) and alive:
            return ""
        return f"is {snapshot.state} ({snapshot.reason})"

    def at_quiet(self, when: str) -> None:
        """Everything that must hold when nothing moves."""
        self.end_if_moot()
        for law in QUIET_LAWS:
            law(self)
        self.after_turn()

    def end_if_moot(self) -> None:
        """
        Nothing more can be asked of a world in which nobody could do better.

        Raises:
            Unknowable: it is one.
        """
        self.moot = self.moot or self._dated_before_us()
        if self.moot:
            raise Unknowable(self.moot)

    def _dated_before_us(self) -> str:
        """An execution that only a list can tell, and by a clock that went back is of before what is listed."""
        world = self.world
        if not world.plan_has("clock_skew"):
            return ""
        with world.disk.look() as journal:
            first_ms = int(journal.mark("first_start_ms") or 0)
            for execution in world.account.executions[self._before_us or 0 :]:
                if execution.exec_ms >= first_ms or self.lists.has_told(execution.exec_id):
                    continue
                # Those of an order that we know are asked for by its ID.
                if not execution.order_link_id or journal.order(execution.order_link_id) is None:
                    return f"execution {execution.exec_id} is dated before the first start"
        return ""

    def all_ended(self) -> None:
        """Every order was cancelled: every one has ended."""
        for entry in self.world.journal.orders():
            require(entry.settled, "every_order_ends", f"{entry.order_link_id} is {entry.state}")

    def at_the_end(self) -> None:
        """The last look: the journal gives the same again, and nothing is left running."""
        for law in END_LAWS:
            law(self)


def rows_of(raw: bytes, laws: Laws) -> tuple[list[Key], int]:
    """The executions that a frame tells, and how much of it does not read; read by another reader than hean's."""
    try:
        frame = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return [], 1
    topic = frame.get("topic", "").partition(".")[0]
    keys: list[Key] = []
    spoiled = 0
    for row in frame.get("data", ()) if topic in {"execution", "order"} else ():
        if topic == "order":
            bad = row.get("orderStatus") not in _STATUSES or row.get("cumExecQty") == "one"
        else:
            bad = row.get("execType") not in _EXEC_TYPES or row.get("execQty") == "one"
            if not bad and laws.their_exec(row["execId"]) is not None:
                keys.append((row["category"], row["symbol"], row["execId"]))
        spoiled += bad
    return keys, spoiled


def _status(order: TheirOrder | None) -> str:
    return "the exchange has none" if order is None else f"the exchange says {order.status}"
