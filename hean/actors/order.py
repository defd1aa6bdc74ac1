"""The actor of one order: gives facts to the machine, remembers what it did, and performs what it wants."""

from __future__ import annotations

from functools import partial
from typing import Any, assert_never, cast

from hean.actors.boundary import Boundary
from hean.actors.brakes import freeze
from hean.actors.context import Context
from hean.actors.messages import (
    Answered,
    Bound,
    Confirm,
    Crashed,
    Fold,
    Ping,
    Recheck,
    Retire,
    Send,
    Spoiled,
    Undelivered,
    Unowned,
    Withdraw,
)
from hean.actors.ports import Point
from hean.actors.registry import Slot
from hean.actors.scribe import Taken, batch_of
from hean.core import lookup, plain, replies
from hean.core.calls import AmendOrder, Call, CancelOrder, CreateOrder, Page, Reply, VerdictKind
from hean.core.facts import (
    Account,
    AmendAsked,
    CancelAsked,
    ConfirmPosition,
    Decide,
    Effect,
    Executed,
    Fact,
    FreezeSymbol,
    QueryDue,
    QueryOrder,
    Resolved,
    Restarted,
    RetryDue,
    SendAmend,
    SendCancel,
    SendCreate,
    Settled,
    Shown,
    StartTimer,
    Timer,
    WithdrawCreate,
)
from hean.core.foreign import is_piece
from hean.core.order import Applied, apply
from hean.core.record import Order
from hean.core.retry import throttled_delay_ms
from hean.core.types import Command, Decision, Ms, OrderSnapshot, OrderState, Source
from hean.errors import JournalError
from hean.journal import Record

# How long a settled order's actor stays for late duplicates, so that each need not be revived from the journal.
LINGER_MS = 2_000
LINGER_STEP_MS = 100

# Facts that one transaction carries at most: those behind wait no longer than these take.
TOGETHER = 8
# Effects after which the next fact may be taken in before they are performed: none of them sends anything.
_QUIET = (Account, ConfirmPosition, StartTimer, Decide)
_TIMERS = tuple(Timer)


class OrderActor(Boundary):
    """
    Owns one order's machine. Every decision is the machine's; this only carries.

    Args:
        mailbox: the slot's, which outlives this actor.
        slot: where others find the order.
        order: as the journal has it.
        context: the router's shared things.
        first: messages to handle before the mailbox's, left by a predecessor that crashed.
    """

    # What the streams bring; it leads to the journal, to messages, and to nothing that is waited for.
    lent = (Answered, Shown, Executed, Settled)
    hurried = (Executed,)

    def __init__(self, mailbox: Any, slot: Slot, order: Order, context: Context, first: tuple[object, ...]) -> None:
        super().__init__(mailbox)
        self._slot = slot
        self._order = order
        self._context = context
        self._first = first
        self._lookup: lookup.Lookup | None = None

    def rests(self) -> bool:
        return not self._first and self._order.order_id is None

    def on_start(self) -> None:
        if self._order.order_id is not None:
            self._bind(self._order)
        for index, message in enumerate(self._first):
            if self.actor_stopped.is_set():
                # A crash in the middle: what is left goes back where it came from, behind what has queued meanwhile.
                for left in self._first[index:]:
                    self.mailbox.tell(left)
                return
            self.on_receive(message)

    def on_stop(self) -> None:
        if self._slot.retired and not self._order.snapshot().settled:
            # It was at rest when it was let go; what had queued before brought it back to life.
            link_id = self._slot.order_link_id
            self._context.to.supervisor.tell(Undelivered(order_link_id=link_id, message=Restarted()))

    def handle(self, message: Any) -> Any:
        match message:
            case Answered():
                return self._answered(message)
            case CancelAsked() | AmendAsked() | Resolved():
                return _decision(self._take(message))
            case Recheck():
                # What happened since the list was asked for outweighs the list.
                if self._order.updated_ms <= message.asked_ms and not self._order.looking and not self._order.in_flight:
                    self._look_up()
                return None
            case Ping():
                return True
            case _:
                self._learn(message)
                return None

    def crashed(self, message: Any, error: BaseException) -> None:
        self._stop()
        self._context.to.supervisor.tell(
            Crashed(
                order_link_id=self._slot.order_link_id,
                actor_urn=self.actor_urn,
                crashes=self._slot.crashes,
                message=message,
                error=f"{type(error).__name__}: {error}",
                journal=isinstance(error, JournalError),
            )
        )

    def _take(self, fact: Fact, extra: tuple[Record, ...] = ()) -> Applied:
        """Give the machine a fact, and with it those that have queued behind: one transaction for all of them."""
        context, before = self._context, self._order
        now_ms = context.now_ms()
        gathered: list[object] = []
        try:
            taken = self._gather(fact, extra, now_ms, gathered)
            # A freeze whose cause comes again is told twice; a cause whose freeze a kill took would trade on.
            self._freeze(taken)
            context.journal.note(batch_of(*taken, at_ms=now_ms, digest=self._slot.cell.digest))
        except BaseException:
            # Nothing was remembered: they are handled after the one that is reported now.
            self.mailbox.give_back(gathered)
            raise
        context.ports.point(Point.REMEMBERED)
        last = taken[-1].applied
        self._order = order = last.order
        if order.order_id not in {None, before.order_id}:
            self._bind(order)
        if context.gate.doubtful and not order.in_doubt:
            context.gate.resolve(self._slot.order_link_id)
        context.registry.publish(self._slot, shown_by(last))
        for each in taken:
            self._report(each.applied, getattr(each.fact, "source", None))
            context.tell_world(each.applied.events)
        self._slot.cell.wake()
        context.ports.point(Point.PUBLISHED)
        for each in taken:
            for effect in each.applied.effects:
                self._perform(effect)
        context.ports.point(Point.PERFORMED)
        self._rest(before.state, order.state, now_ms)
        return taken[0].applied

    def _freeze(self, taken: list[Taken]) -> None:
        for each in taken:
            for effect in each.applied.effects:
                if isinstance(effect, FreezeSymbol):
                    request = self._order.request
                    freeze(self._context, request.category, request.symbol, effect.why)

    def _gather(self, fact: Fact, extra: tuple[Record, ...], now_ms: Ms, gathered: list[object]) -> list[Taken]:
        """
        What the machine did with a fact and with those that waited, whose messages are put into `gathered`.

        As long as nothing is to be sent: what goes out is decided by the last that is known, not by what is known
        before it.
        """
        context, order, taken = self._context, self._order, list[Taken]()
        message: object | None = None
        while True:
            unit = context.ports.unit()
            try:
                if message is not None:
                    fact, extra = self._fact_of(message) if isinstance(message, Answered) else (cast(Fact, message), ())
                applied = apply(order, fact, now_ms, context.policy, unit=unit)
            except BaseException:
                if message is None:
                    raise
                # Raises again when its turn comes, alone.
                self.mailbox.give_back([gathered.pop()])
                return taken
            context.ports.point(Point.APPLIED)
            taken.append(Taken(fact=fact, applied=applied, unit=unit, extra=extra))
            order = applied.order
            for effect in applied.effects:
                if not isinstance(effect, _QUIET):
                    return taken
            message = self.mailbox.next_of(partial(_joins, order)) if len(taken) < TOGETHER else None
            if message is None:
                return taken
            gathered.append(message)

    def _rest(self, before: OrderState, after: OrderState, now_ms: Ms) -> None:
        """An order that came to rest retires after a while; one that came back stays."""
        link_id, to = self._slot.order_link_id, self._context.to
        if after is OrderState.CLOSED and before is not OrderState.CLOSED:
            # Nothing is open that a look-up or another try could answer: neither shall wake it.
            for timer in _TIMERS:
                self._context.ports.timers.cancel((link_id, timer))
            # Together with others that linger: one waking of the timers for all of a tenth of a second.
            self._after(LINGER_MS + -now_ms % LINGER_STEP_MS, Retire(order_link_id=link_id), "linger", to.supervisor)
        elif after is OrderState.DENIED:
            to.supervisor.tell(Retire(order_link_id=link_id))
        elif before is OrderState.CLOSED and after is not OrderState.CLOSED:
            self._context.ports.timers.cancel((link_id, "linger"))

    def _learn(self, fact: Fact) -> None:
        """Take a fact, or pass on what is about a part that the exchange split off this order."""
        match fact:
            case Shown(row=row, source=source) | Executed(execution=row, source=source) if is_piece(
                self._order, row.order_id
            ):
                self._context.to.external.tell(Unowned(row=row, source=source))
            case _:
                self._take(fact)

    def _report(self, applied: Applied, source: Source | None) -> None:
        request = applied.order.request
        self._context.observe(
            "transition" if applied.before is not applied.order.state else "fact",
            {
                "fact": applied.fact,
                "from": applied.before,
                "to": applied.order.state,
                "correlation_id": request.correlation_id,
                "signal_id": request.signal_id,
                "order_link_id": request.order_link_id,
                "order_id": applied.order.order_id or "",
                **({"source": str(source)} if source is not None else {}),
            },
        )

    def _bind(self, order: Order) -> None:
        assert order.order_id is not None
        # Bound first, then looked: what is parked after this look finds the order, or its ID, itself.
        if self._context.registry.bind(order.request.order_link_id, order.order_id) and self._context.journal.parked():
            self._context.to.supervisor.tell(Bound(order_link_id=order.request.order_link_id, order_id=order.order_id))

    def _perform(self, effect: Effect) -> None:
        request = self._order.request
        match effect:
            case SendCreate():
                self._context.to.gateway.tell(create_of(effect, self._slot))
            case WithdrawCreate():
                tag = f"create:{effect.attempt}"
                self._context.to.gateway.tell(Withdraw(tag=tag, answer_to=self.mailbox))
            case SendCancel():
                self._send(
                    "cancel",
                    CancelOrder(
                        category=request.category,
                        symbol=request.symbol,
                        order_link_id=request.order_link_id,
                        order_id=self._order.order_id,
                    ),
                )
            case SendAmend():
                self._send(
                    "amend",
                    AmendOrder(
                        category=request.category,
                        symbol=request.symbol,
                        order_link_id=request.order_link_id,
                        order_id=self._order.order_id,
                        amend=effect.amend,
                    ),
                )
            case QueryOrder():
                self._look_up()
            case StartTimer():
                fact = RetryDue() if effect.timer is Timer.RETRY else QueryDue()
                self._after(effect.delay_ms, fact, effect.timer, self.mailbox)
            case Account():
                self._context.to.portfolio.tell(
                    Fold(
                        execution=effect.execution,
                        position_idx=effect.position_idx,
                        correlation_id=request.correlation_id,
                        signal_id=request.signal_id,
                        reduce_only=effect.reduce_only,
                    )
                )
            case ConfirmPosition():
                self._confirm(effect)
            case FreezeSymbol():
                # Done before it was remembered.
                pass
            case Decide():
                self._context.observe(
                    "decision",
                    {
                        "command": effect.command,
                        "taken": effect.taken,
                        "why": effect.why,
                        "order_link_id": request.order_link_id,
                        "correlation_id": request.correlation_id,
                    },
                )
            case _:
                assert_never(effect)

    def _confirm(self, effect: ConfirmPosition) -> None:
        request = self._order.request
        if self._order.settles_alone:
            # What the position lacks where a person accepted a gap is a difference of its own.
            self.mailbox.tell(Settled(seq=effect.seq))
            return
        self._context.to.portfolio.tell(
            Confirm(
                order_link_id=request.order_link_id,
                symbol_key=(request.category, request.symbol, request.position_idx),
                seq=effect.seq,
            )
        )

    def _send(self, tag: str, call: Call) -> None:
        self._context.to.gateway.tell(Send(tag=tag, call=call, answer_to=self.mailbox))

    def _after(self, delay_ms: int, message: object, name: str, mailbox: Any) -> None:
        self._context.ports.timers.after(delay_ms, mailbox, message, (self._slot.order_link_id, name))

    def _look_up(self) -> None:
        self._slot.lookups += 1
        self._lookup = lookup.begin(self._order, self._context.now_ms())
        self._send(f"look:{self._slot.lookups}", self._lookup.question())

    def _answered(self, message: Answered) -> None:
        kind, _, number = message.tag.partition(":")
        reply = message.reply
        if kind == "look":
            if number == str(self._slot.lookups) and self._lookup is not None:
                self._feed(reply)
            return
        self._take(*self._fact_of(message))

    def _fact_of(self, message: Answered) -> tuple[Fact, tuple[Record, ...]]:
        """What a reply to a create or to a command says, and its record."""
        kind, _, number = message.tag.partition(":")
        extra = (self._exchange_of(message),)
        if kind == "create":
            return replies.of_create(message.reply, int(number), self._context.offset_ms()), extra
        throttled = message.reply.verdict.kind is VerdictKind.THROTTLED
        wait_ms = self._wait_ms(message.reply) if throttled else 0
        return replies.of_command(message.reply, Command(kind), wait_ms), extra

    def _wait_ms(self, reply: Reply) -> int:
        """How long the exchange wants to be left alone after it refused for frequency."""
        context = self._context
        return throttled_delay_ms(context.policy.create, reply.budget, reply.server_ms, context.ports.unit())

    def _feed(self, reply: Reply) -> None:
        assert self._lookup is not None
        if isinstance(reply.result, Page):
            for spoiled in reply.result.quarantined:
                self._context.to.supervisor.tell(Spoiled(quarantine=spoiled, where="look_up", queried=True))
        after = lookup.feed(self._lookup, reply)
        if isinstance(after, lookup.Lookup):
            self._lookup = after
            self._send(f"look:{self._slot.lookups}", after.question())
            return
        self._lookup = None
        for fact in after.facts:
            self._learn(fact)

    def _exchange_of(self, message: Answered) -> Record:
        """The request and its reply as a line of the audit chain."""
        reply, request = message.reply, self._order.request
        body = {
            "tag": message.tag,
            "channel": reply.channel,
            "kind": reply.verdict.kind,
            "phase": reply.verdict.phase,
            "ret_code": reply.verdict.ret_code,
            "ret_msg": reply.verdict.ret_msg,
            "hint": reply.verdict.hint,
            "sent_ms": reply.sent_ms,
            "received_ms": reply.received_ms,
            "server_ms": reply.server_ms,
            "request": reply.request_text,
            "reply": reply.reply_text,
        }
        return Record(
            kind="reply",
            body=plain.dumps(body),
            order_link_id=request.order_link_id,
            correlation_id=request.correlation_id,
        )


def _joins(order: Order, message: object) -> bool:
    """Whether a message is a fact for that order's machine and nothing else."""
    match message:
        case Shown(row=row) | Executed(execution=row):
            return not is_piece(order, row.order_id)
        case Answered(tag=tag):
            return not tag.startswith("look:")
        case _:
            return isinstance(message, Settled)


def shown_by(applied: Applied) -> OrderSnapshot:
    """The order's public picture after a fact; its events carry it already."""
    shown = applied.events[0].order if applied.events else None
    return shown or applied.order.snapshot()


def create_of(effect: SendCreate, slot: Slot) -> Send:
    """A create for the gateway; its answer goes to the order's mailbox, whether or not its actor is up."""
    return Send(
        tag=f"create:{effect.attempt}",
        call=CreateOrder(request=effect.request),
        answer_to=slot.mailbox,
        expires_ms=effect.expires_ms,
    )


def _decision(applied: Applied) -> Decision:
    """What was decided of a command, for the caller who waits for the word."""
    for effect in applied.effects:
        if isinstance(effect, Decide) and not (effect.taken or effect.earlier):
            return Decision(decided="denied", why=effect.why)
        if isinstance(effect, SendCancel | SendAmend):
            return Decision(decided="sent", why="")
    if applied.order.state is OrderState.DENIED:
        return Decision(decided="done", why="cancelled before anything was sent")
    if applied.order.ended:
        return Decision(decided="done", why=f"the order is {applied.order.state}")
    return Decision(decided="waiting", why=f"the order is {applied.order.state}; sent when the exchange shows it")
