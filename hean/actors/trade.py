"""
Order entry over the trade WebSocket: a session of its own, and replies matched to what was asked.

`TradeEntry` is the channel as the gateway sees it: a call is written down under its request ID before its frame leaves,
so that no reply can come too early, and is answered exactly once: by the reply, by its deadline, or by the connection's
end. `TradeActor` keeps the connection. What comes after the deadline is told once more, as the late reply it is; a
reply that answers nothing we know of is kept, and the order that it names looks itself up.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, assert_never

from attrs import frozen

from hean.actors.boundary import Boundary
from hean.actors.context import Context
from hean.actors.messages import Ping, Recheck, Spoiled
from hean.actors.ports import Socket, Sockets, Told
from hean.bybit.codec import linked_to
from hean.bybit.trade import (
    Operation,
    TradeAuth,
    TradeFrame,
    TradePoison,
    TradePong,
    TradeReply,
    reply_to,
    request_frame,
    unanswered,
)
from hean.core import plain, session
from hean.core.calls import AmendOrder, Call, CancelOrder, CreateOrder, Phase, Reply
from hean.core.session_facts import (
    Announce,
    AuthAnswered,
    CancelTimer,
    CloseSocket,
    DropBuffer,
    FrameSeen,
    OpenSocket,
    PongSeen,
    Release,
    SendAuth,
    SendPing,
    SendSubscribe,
    SessionEffect,
    SessionFact,
    SessionState,
    StartCatchUp,
    StartTimer,
    TimerFired,
)
from hean.core.session_record import Session, SessionPolicy
from hean.core.types import Event, EventType, Ms
from hean.journal import Record

Answer = Callable[[Reply], None]

# Calls whose deadline passed, kept for a reply that is merely late.
LATE_MAX = 10_000
# How often deadlines are looked at: a lost reply is known this much late at the most.
SWEEP_MS = 250
# Source: Bybit V5 docs, websocket/trade/guideline: the node is draining; open a new connection.
DRAINING = 10019


@frozen(kw_only=True)
class TradeReceived:
    """From the socket's reader: a frame that answers no call of ours."""

    generation: int
    frame: TradeFrame


@frozen(kw_only=True)
class Sweep:
    """Look at the deadlines."""


@frozen(kw_only=True)
class Drain:
    """The exchange asked for a new connection."""

    generation: int


@frozen(kw_only=True)
class _Pending:
    call: Operation
    answer: Answer
    sent_ms: Ms
    due_ms: Ms
    text: str


class TradeEntry:
    """
    The trade channel, for any thread.

    Args:
        now_ms: our clock.
        exchange_ms: the exchange's clock as well as we know it.
        recv_window_ms: how old a frame may be when it arrives.
        epoch: makes request IDs unique across restarts.
    """

    def __init__(
        self, *, now_ms: Callable[[], Ms], exchange_ms: Callable[[], int], recv_window_ms: int, epoch: str
    ) -> None:
        self._now_ms = now_ms
        self._exchange_ms = exchange_ms
        self._recv_window_ms = recv_window_ms
        self._epoch = epoch
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._socket: Socket | None = None
        self._pending: OrderedDict[str, _Pending] = OrderedDict()
        self._late: OrderedDict[str, _Pending] = OrderedDict()

    @property
    def live(self) -> bool:
        """Whether calls can be sent: logged in, not draining."""
        return self._socket is not None

    @property
    def waiting(self) -> int:
        """Calls that were sent and not answered."""
        return len(self._pending)

    def takes(self, call: Call) -> bool:
        """Whether this call would go this way now."""
        return self._socket is not None and isinstance(call, CreateOrder | AmendOrder | CancelOrder)

    def perform(self, call: Call, timeout_s: float, answer: Answer) -> bool:
        """Send a call; False when it must go another way, and then nothing was sent."""
        socket = self._socket
        if socket is None or not isinstance(call, CreateOrder | AmendOrder | CancelOrder):
            return False
        req_id = f"{self._epoch}-{next(self._numbers)}"
        frame = request_frame(
            call, req_id=req_id, timestamp_ms=self._exchange_ms(), recv_window_ms=self._recv_window_ms
        )
        sent_ms = self._now_ms()
        due_ms = Ms(sent_ms + int(timeout_s * 1000))
        with self._lock:
            self._pending[req_id] = _Pending(call=call, answer=answer, sent_ms=sent_ms, due_ms=due_ms, text=frame)
        phase = socket.send(frame)
        if phase is Phase.AFTER_SEND:
            return True
        with self._lock:
            pending = self._pending.pop(req_id, None)
        if pending is None:
            # The connection's end answered it already.
            return True
        if phase is Phase.BEFORE_SEND:
            return False
        answer(self._unanswered(pending, phase, "the connection broke while sending"))
        return True

    def answered(self, reply: TradeReply) -> bool:
        """A reply came; called by the reader. False where it answers no call that we know of."""
        with self._lock:
            pending = self._pending.pop(reply.req_id, None) or self._late.pop(reply.req_id, None)
        if pending is None:
            return False
        received_ms = self._now_ms()
        pending.answer(
            reply_to(pending.call, reply, sent_ms=pending.sent_ms, received_ms=received_ms, request_text=pending.text)
        )
        return True

    def use(self, socket: Socket | None) -> None:
        """From here on calls go over this connection; None for none."""
        self._socket = socket

    def overdue(self) -> None:
        """Answer every call whose deadline passed as unknown, and keep it for a late reply."""
        now_ms = self._now_ms()
        with self._lock:
            over = [(req_id, pending) for req_id, pending in self._pending.items() if pending.due_ms <= now_ms]
            for req_id, pending in over:
                del self._pending[req_id]
                self._keep_late(req_id, pending)
        for _, pending in over:
            pending.answer(self._unanswered(pending, Phase.AFTER_SEND, "no reply within the deadline"))

    def lost(self, why: str) -> None:
        """The connection is gone: what was sent over it is unknown."""
        self._socket = None
        with self._lock:
            pending, self._pending = self._pending, OrderedDict()
            for req_id, call in pending.items():
                # What the reader has read already may still be told.
                self._keep_late(req_id, call)
        for call in pending.values():
            call.answer(self._unanswered(call, Phase.AFTER_SEND, why))

    def _keep_late(self, req_id: str, pending: _Pending) -> None:
        self._late[req_id] = pending
        while len(self._late) > LATE_MAX:
            self._late.popitem(last=False)

    def _unanswered(self, pending: _Pending, phase: Phase, why: str) -> Reply:
        return unanswered(
            pending.call,
            phase=phase,
            why=why,
            sent_ms=pending.sent_ms,
            received_ms=self._now_ms(),
            request_text=pending.text,
        )


class TradeActor(Boundary):
    """
    Keeps the trade connection.

    Args:
        mailbox: its own.
        context: the router's shared things.
        sockets: opens connections.
        entry: the channel that it keeps alive.
        login: makes the login frame, anew each time.
        ping_frame: the text that is answered by a pong.
        policy: the session's figures; no topics, nothing to catch up.
    """

    def __init__(
        self,
        mailbox: Any,
        context: Context,
        sockets: Sockets,
        entry: TradeEntry,
        *,
        login: Callable[[], str],
        ping_frame: str,
        policy: SessionPolicy,
    ) -> None:
        super().__init__(mailbox)
        self._context = context
        self._sockets = sockets
        self._entry = entry
        self._login = login
        self._ping_frame = ping_frame
        self._session = Session(policy=policy)
        self._socket: Socket | None = None

    def handle(self, message: Any) -> Any:
        match message:
            case TradeReceived():
                self._receive(message)
            case Sweep():
                self._entry.overdue()
                self._sweep_later()
            case Drain():
                if message.generation == self._session.generation:
                    self._entry.use(None)
                    self._close("the exchange asked for a new connection")
            case Ping():
                return True
            case _:
                self._take(message)
        return None

    def crashed(self, message: Any, error: BaseException) -> None:
        self._context.observe("actor.crash", {"actor": "trade", "what": repr(message)[:500], "error": repr(error)})

    def on_start(self) -> None:
        self._sweep_later()

    def on_stop(self) -> None:
        self._context.ports.timers.cancel(("trade", "sweep"))
        self._close("the router stops")
        self._entry.lost("the router stops")
        if self._socket is not None:
            self._socket.join(2.0)

    def _sweep_later(self) -> None:
        self._context.ports.timers.after(SWEEP_MS, self.mailbox, Sweep(), ("trade", "sweep"))

    def _receive(self, message: TradeReceived) -> None:
        generation, frame = message.generation, message.frame
        if generation != self._session.generation:
            return
        match frame:
            case TradeAuth():
                why = frame.verdict.ret_msg
                self._take(AuthAnswered(generation=generation, ok=frame.success, why=why))
            case TradePong():
                self._take(PongSeen(generation=generation))
            case TradePoison():
                self._take(FrameSeen(generation=generation))
                self._context.to.supervisor.tell(Spoiled(quarantine=frame.quarantine, where="trade"))
            case TradeReply():
                self._take(FrameSeen(generation=generation))
                self._keep_stray(frame)
            case _:
                assert_never(frame)

    def _keep_stray(self, reply: TradeReply) -> None:
        """A reply to nobody proves nothing, but the order that it names had better be looked at."""
        context, link_id = self._context, linked_to(reply.envelope)
        slot = context.registry.slot(link_id)
        correlation_id = slot.cell.snapshot.correlation_id if slot is not None else ""
        body = plain.dumps(reply.text)
        context.announce(
            Event(
                type=EventType.QUARANTINED,
                at_ms=context.now_ms(),
                correlation_id=correlation_id,
                order_link_id=link_id,
                reason="stray_reply",
                detail=f"{reply.op or 'a frame'} {reply.envelope.ret_code} answers no request of ours "
                f"(request ID {reply.req_id or 'missing'})",
            ),
            records=(Record(kind="quarantine", body=body, order_link_id=link_id, correlation_id=correlation_id),),
        )
        if slot is not None:
            slot.tell(Recheck(asked_ms=context.now_ms()))

    def _take(self, fact: SessionFact) -> None:
        self._session, effects = session.apply(
            self._session, fact, self._context.now_ms(), unit=self._context.ports.unit()
        )
        self._context.sessions["trade"] = self._session
        for effect in effects:
            self._perform(effect)

    def _perform(self, effect: SessionEffect) -> None:
        timers = self._context.ports.timers
        match effect:
            case OpenSocket():
                self._socket = self._sockets.open(effect.generation, self.mailbox)
            case SendAuth():
                self._say(self._login())
            case SendPing():
                self._say(self._ping_frame)
            case CloseSocket():
                self._close(effect.why)
            case StartTimer():
                due = TimerFired(timer=effect.timer, generation=effect.generation)
                timers.after(effect.delay_ms, self.mailbox, due, ("trade", effect.timer))
            case CancelTimer():
                timers.cancel(("trade", effect.timer))
            case Announce():
                self._announce(effect)
            case Release() | DropBuffer() | SendSubscribe() | StartCatchUp():
                # No topics and nothing to catch up: nothing is ever buffered here.
                pass
            case _:
                assert_never(effect)

    def _announce(self, effect: Announce) -> None:
        if effect.state is SessionState.LIVE:
            self._entry.use(self._socket)
        else:
            self._entry.lost(f"the trade stream is {effect.state}: {effect.why}")
        type_ = EventType.ERROR if effect.alarm else EventType.STATUS
        detail = f"trade stream {effect.state}: {effect.why}"
        self._context.announce(
            Event(type=type_, at_ms=self._context.now_ms(), reason=f"trade_{effect.state}", detail=detail)
        )

    def _say(self, text: str) -> None:
        if self._socket is not None:
            self._socket.send(text)

    def _close(self, why: str) -> None:
        if self._socket is not None:
            self._socket.close(why)


def told(entry: TradeEntry, mailbox: Told, generation: int, frame: TradeFrame) -> None:
    """Take a frame where it is read: replies to their calls at once, everything else to the actor."""
    if isinstance(frame, TradeReply):
        if frame.envelope.ret_code == DRAINING:
            mailbox.tell(Drain(generation=generation))
        if entry.answered(frame):
            return
    mailbox.tell(TradeReceived(generation=generation, frame=frame))
