"""The actor of one order: gives facts to the machine, remembers what it did, and performs what it wants."""

from __future__ import annotations

from typing import Any, assert_never

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
    Unowned,
    Withdraw,
)
from hean.actors.ports import Point
from hean.actors.registry import Slot
from hean.actors.scribe import batch_of
from hean.core import lookup, plain, replies
from hean.core.calls import AmendOrder, Call, CancelOrder, CreateOrder, Page, Reply, VerdictKind
from hean.core.facts import (
    Account,
    AmendAsked,
    CancelAsked,
    Command,
    ConfirmPosition,
    Decide,
    Effect,
    Executed,
    Fact,
    FreezeSymbol,
    QueryDue,
    QueryOrder,
    Resolved,
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
from hean.core.types import Decision, OrderSnapshot, OrderState, Source
from hean.errors import JournalError
from hean.journal import Record

# How long a settled order's actor stays for late duplicates, so that each need not be revived from the journal.
LINGER_MS = 2_000
LINGER_STEP_MS = 100


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

    def __init__(self, mailbox: Any, slot: Slot, order: Order, context: Context, first: tuple[object, ...]) -> None:
        super().__init__(mailbox)
        self._slot = slot
        self._order = order
        self._context = context
        self._first = first
        self._lookup: lookup.Lookup | None = None

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
                message=message,
                error=f"{type(error).__name__}: {error}",
                journal=isinstance(error, JournalError),
            )
        )

    def _take(self, fact: Fact, extra: tuple[Record, ...] = ()) -> Applied:
        context = self._context
        now_ms, unit = context.now_ms(), context.ports.unit()
        applied = apply(self._order, fact, now_ms, context.policy, unit=unit)
        context.ports.point(Point.APPLIED)
        context.journal.commit(
            batch_of(applied, fact, at_ms=now_ms, unit=unit, digest=self._slot.cell.digest, extra=extra)
        )
        context.ports.point(Point.REMEMBERED)
        known = self._order.order_id
        self._order = applied.order
        if applied.order.order_id not in {None, known}:
            self._bind(applied.order)
        if context.gate.doubtful and not applied.order.in_doubt:
            context.gate.resolve(self._slot.order_link_id)
        context.registry.publish(self._slot, shown_by(applied))
        self._report(applied, getattr(fact, "source", None))
        context.tell_world(applied.events)
        self._slot.cell.wake()
        context.ports.point(Point.PUBLISHED)
        for effect in applied.effects:
            self._perform(effect)
        context.ports.point(Point.PERFORMED)
        if applied.order.state is OrderState.CLOSED and applied.before is not OrderState.CLOSED:
            # Together with others that linger: one waking of the timers for all of a tenth of a second.
            linger_ms = LINGER_MS + -now_ms % LINGER_STEP_MS
            self._after(linger_ms, Retire(order_link_id=self._slot.order_link_id), "linger", context.to.supervisor)
        elif applied.order.state is OrderState.DENIED:
            context.to.supervisor.tell(Retire(order_link_id=self._slot.order_link_id))
        elif applied.before is OrderState.CLOSED and applied.order.state is not OrderState.CLOSED:
            context.ports.timers.cancel((self._slot.order_link_id, "linger"))
        return applied

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
        if self._context.registry.bind(order.request.order_link_id, order.order_id):
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
                freeze(self._context, request.category, request.symbol, effect.why)
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
        extra = (self._exchange_of(message),)
        if kind == "create":
            self._take(replies.of_create(reply, int(number), self._context.offset_ms()), extra)
        else:
            throttled = reply.verdict.kind is VerdictKind.THROTTLED
            self._take(replies.of_command(reply, Command(kind), self._wait_ms(reply) if throttled else 0), extra)

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
