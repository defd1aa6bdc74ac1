"""The actor of the private stream: runs its session machine, and takes every row to the order that owns it."""

from __future__ import annotations

from typing import Any, assert_never

from attrs import frozen

from hean.actors.boundary import Boundary
from hean.actors.context import Context
from hean.actors.messages import Answered, Ping, PositionsSeen, Send, Spoiled, StreamChanged
from hean.actors.ports import Mailbox, Point, Socket, Sockets
from hean.actors.routing import deliver, held_symbols, merge
from hean.bybit.codec import (
    AuthAck,
    Executions,
    Frame,
    Orders,
    Other,
    Poison,
    Pong,
    Positions,
    SubscribeAck,
    ping,
    subscription,
)
from hean.core import catchup, session
from hean.core.calls import Reply
from hean.core.session_facts import (
    Announce,
    AuthAnswered,
    CancelTimer,
    CatchUpFailed,
    CaughtUp,
    CloseSocket,
    DropBuffer,
    FrameSeen,
    OpenFailed,
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
    TopicAnswered,
)
from hean.core.session_record import Session, SessionPolicy
from hean.core.types import Event, EventType, Ms, Source
from hean.errors import JournalError
from hean.journal.marks import EXECUTIONS_MARK

STOP_S = 2.0
"""A reader that was told to close ends at once; one that does not is a daemon thread."""


# What a LIVE stream's actor need not see: rows, and frames that only show that somebody is there.
_STRAIGHT = (Orders, Executions, Positions, Other)

SIGN_OF_LIFE_MS = 1_000
"""Rows that go straight tell the silence watchdog this often; it waits for many times as long."""


@frozen(kw_only=True)
class Received:
    """From the socket's reader: one frame, parsed."""

    generation: int
    frame: Frame


class Ear:
    """
    What the socket's reader tells: rows of a LIVE stream go straight to their owners, all else to the stream's actor.

    A hop less for every fill. Rows that the actor still holds in its mailbox when the stream becomes LIVE may be
    overtaken; no order of rows is promised by the exchange, and none is needed here.
    """

    def __init__(self, context: Context, mailbox: Mailbox) -> None:
        self._context = context
        self._mailbox = mailbox
        self._told_ms = 0
        self.live_generation = 0
        """The connection whose rows go straight; 0 for none. Set by the actor."""

    def tell(self, message: object) -> None:
        """Take what a reader says of its connection."""
        if isinstance(message, Received) and message.generation == self.live_generation:
            frame = message.frame
            if isinstance(frame, _STRAIGHT):
                now_ms = self._context.now_ms()
                if now_ms - self._told_ms >= SIGN_OF_LIFE_MS:
                    self._told_ms = now_ms
                    self._mailbox.tell(FrameSeen(generation=message.generation))
                if isinstance(frame, Other):
                    return
                try:
                    route(self._context, frame)
                except Exception:  # noqa: BLE001 - the actor meets it again, where a crash is handled
                    self._mailbox.tell(message)
                return
        self._mailbox.tell(message)


def route(context: Context, frame: Orders | Executions | Positions) -> None:
    """Take each row of a frame to its owner; what does not parse is quarantined, its neighbours go on."""
    context.ports.point(Point.RECEIVED)
    for spoiled in frame.quarantined:
        context.to.supervisor.tell(Spoiled(quarantine=spoiled, where=frame.topic))
    if isinstance(frame, Positions):
        context.to.portfolio.tell(PositionsSeen(rows=frame.rows, source=Source.STREAM))
        return
    for row in frame.rows:
        deliver(context, row, Source.STREAM)


class StreamActor(Boundary):
    """
    Owns the private stream.

    Args:
        mailbox: its own.
        context: the router's shared things.
        sockets: opens connections.
        login: makes the login frame, anew each time.
        exchange_ms: the exchange's clock as well as we know it.
        policy: the session's figures.
        overlap_ms: how far before the watermark a catch-up begins.
        first_ms: exchange time of this journal's first start; nothing older is ours.
    """

    def __init__(
        self,
        mailbox: Any,
        context: Context,
        sockets: Sockets,
        *,
        login: Any,
        exchange_ms: Any,
        policy: SessionPolicy,
        overlap_ms: int,
        first_ms: Ms,
    ) -> None:
        super().__init__(mailbox)
        self._context = context
        self._sockets = sockets
        self._login = login
        self._exchange_ms = exchange_ms
        self._overlap_ms = overlap_ms
        self._first_ms = first_ms
        self._ear = Ear(context, mailbox)
        self._session = Session(policy=policy)
        self._socket: Socket | None = None
        self._buffer: list[Orders | Executions | Positions] = []
        self._catch_up: catchup.CatchUp | None = None
        self._catch_ups = 0
        self._caught_by = 0

    def handle(self, message: Any) -> Any:
        match message:
            case Received():
                self._receive(message)
            case Answered():
                if message.tag == f"catch_up:{self._catch_ups}":
                    self._feed(message.reply)
            case Ping():
                return True
            case _:
                self._take(message)
        return None

    def crashed(self, message: Any, error: BaseException) -> None:
        # What was half done is done anew: the next connection catches up with what this one missed.
        if isinstance(error, JournalError):
            self._context.journal_failed(error, actor="stream")
        else:
            self._context.observe("actor.crash", {"actor": "stream", "what": repr(message)[:500], "error": repr(error)})
        self._close(f"{type(message).__name__} could not be handled: {error!r}")

    def on_stop(self) -> None:
        self._close("the router stops")
        if self._socket is not None:
            self._socket.join(STOP_S)

    def _take(self, fact: SessionFact) -> None:
        self._session, effects = session.apply(
            self._session, fact, self._context.now_ms(), unit=self._context.ports.unit()
        )
        self._context.sessions["private"] = self._session
        for effect in effects:
            self._perform(effect)

    def _perform(self, effect: SessionEffect) -> None:
        timers = self._context.ports.timers
        match effect:
            case OpenSocket():
                try:
                    self._socket = self._sockets.open(effect.generation, self._ear)
                except Exception as error:  # noqa: BLE001 - any failure to open is a fact of the session
                    self.mailbox.tell(OpenFailed(generation=effect.generation, why=repr(error)))
            case SendAuth():
                self._say(self._login())
            case SendSubscribe():
                self._say(subscription([effect.topic], req_id=effect.topic))
            case SendPing():
                self._say(ping())
            case StartCatchUp():
                self._start_catch_up()
            case CloseSocket():
                self._close(effect.why)
            case StartTimer():
                due = TimerFired(timer=effect.timer, generation=effect.generation)
                timers.after(effect.delay_ms, self.mailbox, due, ("stream", effect.timer))
            case CancelTimer():
                timers.cancel(("stream", effect.timer))
            case Release():
                buffered, self._buffer = self._buffer, []
                for frame in buffered:
                    route(self._context, frame)
            case DropBuffer():
                self._buffer = []
            case Announce():
                self._announce(effect)
            case _:
                assert_never(effect)

    def _announce(self, effect: Announce) -> None:
        context = self._context
        live = effect.state is SessionState.LIVE
        self._ear.live_generation = self._session.generation if live else 0
        context.gate.set_live(live, "" if live else f"the private stream is {effect.state}: {effect.why}")
        context.to.reconciler.tell(StreamChanged(live=live))
        type_ = EventType.ERROR if effect.alarm else EventType.STATUS
        detail = f"private stream {effect.state}: {effect.why}"
        context.announce(Event(type=type_, at_ms=context.now_ms(), reason=f"stream_{effect.state}", detail=detail))

    def _say(self, text: str) -> None:
        # A send that fails closes the socket, and its closing is the fact.
        if self._socket is not None:
            self._socket.send(text)

    def _close(self, why: str) -> None:
        if self._socket is not None:
            self._socket.close(why)

    # Frames.

    def _receive(self, message: Received) -> None:
        generation, frame = message.generation, message.frame
        if generation != self._session.generation:
            return
        match frame:
            case AuthAck():
                self._take(AuthAnswered(generation=generation, ok=frame.success, why=frame.msg))
            case SubscribeAck():
                self._take(TopicAnswered(generation=generation, topic=frame.req_id, ok=frame.success, why=frame.msg))
            case Pong():
                self._take(PongSeen(generation=generation))
            case Poison():
                self._take(FrameSeen(generation=generation))
                self._context.to.supervisor.tell(Spoiled(quarantine=frame.quarantine, where="stream"))
            case Other():
                self._take(FrameSeen(generation=generation))
            case Orders() | Executions() | Positions():
                buffering = self._session.buffering
                self._take(FrameSeen(generation=generation))
                if buffering:
                    self._buffer.append(frame)
                else:
                    route(self._context, frame)
            case _:
                assert_never(frame)

    # What was missed.

    def _start_catch_up(self) -> None:
        context = self._context
        self._catch_ups += 1
        self._caught_by = self._session.generation
        mark = context.journal.mark(EXECUTIONS_MARK)
        since_ms = max(int(mark) - self._overlap_ms if mark else self._first_ms, self._first_ms)
        self._catch_up = catchup.begin(
            context.now_ms(),
            until_ms=Ms(self._exchange_ms()),
            since_ms=Ms(since_ms),
            symbols=held_symbols(context),
        )
        self._ask()

    def _ask(self) -> None:
        assert self._catch_up is not None
        self._context.to.gateway.tell(
            Send(tag=f"catch_up:{self._catch_ups}", call=self._catch_up.question(), answer_to=self.mailbox)
        )

    def _feed(self, reply: Reply) -> None:
        generation = self._session.generation
        if self._catch_up is None or self._caught_by != generation:
            # Its connection is gone, and the next one catches up with what that one missed too.
            return
        after = catchup.feed(self._catch_up, reply)
        match after:
            case catchup.CatchUp():
                self._catch_up = after
                self._ask()
            case catchup.Unfinished():
                self._catch_up = None
                self._take(CatchUpFailed(generation=generation, why=after.why))
            case catchup.Picture():
                self._catch_up = None
                for spoiled in after.quarantined:
                    self._context.to.supervisor.tell(Spoiled(quarantine=spoiled, where="catch_up", queried=True))
                merge(self._context, after)
                self._take(CaughtUp(generation=generation))
