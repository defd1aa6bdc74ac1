"""
The actor in front of the network: pace, priority, deadlines, breakers, and exactly one answer to each call.

Nothing waits here but messages: the calls themselves are performed by the wire port, on threads of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, assert_never

from attrs import frozen

from hean.actors.boundary import Boundary
from hean.actors.clock import ExchangeClock
from hean.actors.context import Context
from hean.actors.express import Express, Nudge, Performed, SharedGuard
from hean.actors.messages import Answered, Ping, Send, SpreadHalt, Withdraw
from hean.actors.pool import not_sent
from hean.actors.ports import Wire
from hean.bybit.retcodes import TIMESTAMP_REFUSED
from hean.core.breaker_facts import BreakerState, DriftExceeded, HaltAsked, JournalFailed, ProbeDue, ResumeAsked
from hean.core.calls import Group, QueryTime, Reply, category_of, group_of
from hean.core.clock import ClockFinding
from hean.core.guard import ALL, GoSilent, Guard, Probe, Speak, Tell, WakeBreaker, Wish
from hean.core.session_facts import StartRequested, StopRequested
from hean.core.types import Category, Event, EventType, Ms
from hean.journal.marks import FROZEN_MARK, HALT_MARK

# Cancels never wait behind anything; a look-up is what an unknown outcome waits for; creates are the most patient.
_PRIORITY = (Group.CANCEL, Group.AMEND, Group.QUERY, Group.PUBLIC, Group.CREATE, Group.SETTING)

_Lane = tuple[Group, Category]


@frozen(kw_only=True)
class Probed:
    """From a sender's thread: the reply to a breaker's probe."""

    name: str
    reply: Reply


@frozen(kw_only=True)
class BreakerDue:
    """That breaker's probe is due."""

    name: str


@frozen(kw_only=True)
class Pump:
    """A budget opens again: look at the queues."""


@frozen(kw_only=True)
class Sync:
    """Ask for the exchange's time."""


class GatewayActor(Boundary):
    """
    Sends what may be sent now, in order of priority.

    Args:
        mailbox: its own.
        context: the router's shared things.
        wire: performs calls.
        guard: budgets and breakers, for every thread.
        express: the direct line past this actor, and what sends.
        queue_max: waiting calls; one more is answered as not sent.
        exchange_clock: learns from each reply that tells the time.
        sync_ms: between such questions.
    """

    def __init__(
        self,
        mailbox: Any,
        context: Context,
        wire: Wire,
        guard: SharedGuard,
        express: Express,
        *,
        queue_max: int,
        exchange_clock: ExchangeClock,
        sync_ms: int,
    ) -> None:
        super().__init__(mailbox)
        self._context = context
        self._wire = wire
        self._guard = guard
        self._express = express
        self._queue_max = queue_max
        self._exchange_clock = exchange_clock
        self._sync_ms = sync_ms
        self._told: ClockFinding | None = None
        self._lanes: dict[_Lane, deque[Send]] = {}
        self._waiting = 0

    def on_start(self) -> None:
        context = self._context
        if context.gate.halted_why:
            # A restart does not lift a halt.
            self.on_receive(HaltAsked(who="journal", why=context.gate.halted_why))
        context.ports.timers.after(self._sync_ms, self.mailbox, Sync(), ("gateway", "sync"))

    def handle(self, message: Any) -> Any:
        match message:
            case Send():
                self._accept(message)
            case Performed():
                self._act()
                if message.reply.verdict.ret_code == TIMESTAMP_REFUSED:
                    self._accept(Send(tag="time", call=QueryTime(), answer_to=self.mailbox))
            case Withdraw():
                self._withdraw(message)
            case Pump():
                pass
            case Nudge():
                self._express.nudge()
            case BreakerDue():
                self._learn(lambda guard, now_ms: guard.take(message.name, ProbeDue(), now_ms))
            case Probed():
                self._learn(lambda guard, now_ms: guard.probed(message.name, message.reply, now_ms))
            case ResumeAsked():
                # Whoever resumes has looked at the clock too.
                self._exchange_clock.forgive()
                self._thaw(message.who)
                self._learn(lambda guard, now_ms: guard.take(ALL, message, now_ms))
            case HaltAsked() | JournalFailed() | DriftExceeded():
                self._learn(lambda guard, now_ms: guard.take(ALL, message, now_ms))
            case Sync():
                self._sync()
            case Answered():
                self._learn_time(message.reply)
            case Ping():
                return True
            case _:
                raise TypeError(f"unexpected message {message!r}")
        self._pump()
        return None

    def crashed(self, message: Any, error: BaseException) -> None:
        # A call that was accepted is in its lane, and will be answered from there.
        self._context.observe("actor.crash", {"actor": "gateway", "what": type(message).__name__, "error": repr(error)})

    def _accept(self, message: Send) -> None:
        if self._waiting >= self._queue_max:
            self._refuse(message, f"{self._waiting} calls wait already")
            return
        lane = (group_of(message.call), category_of(message.call))
        self._lanes.setdefault(lane, deque()).append(message)
        self._waiting += 1

    def _withdraw(self, message: Withdraw) -> None:
        for lane in self._lanes.values():
            for waiting in lane:
                if waiting.tag == message.tag and waiting.answer_to is message.answer_to:
                    lane.remove(waiting)
                    self._waiting -= 1
                    self._refuse(waiting, "withdrawn before it was sent")
                    return

    def _pump(self) -> None:
        wake_ms: int | None = None
        crowded = [lane for lane, queue in self._lanes.items() if queue]
        for lane in sorted(crowded, key=lambda lane: _PRIORITY.index(lane[0])):
            wait_ms = self._drain(lane)
            if wait_ms:
                wake_ms = wait_ms if wake_ms is None else min(wake_ms, wait_ms)
        self._express.crowded = self._waiting > 0
        if wake_ms is not None:
            self._context.ports.timers.after(wake_ms, self.mailbox, Pump(), ("gateway", "pump"))

    def _drain(self, lane: _Lane) -> int:
        """Send from one lane what may go now; how long its head must wait for its budget, 0 for anything else."""
        group, category = lane
        queue = self._lanes[lane]
        while queue:
            now_ms = self._context.now_ms()
            head = queue[0]
            if head.expires_ms is not None and now_ms >= head.expires_ms:
                self._pop(queue)
                self._refuse(head, "its deadline passed in the queue")
                continue
            why = self._guard.refuses(group)
            if why:
                self._pop(queue)
                self._refuse(head, why)
                continue
            if not self._wire.room(head.call):
                return 0
            over_http = self._wire.over_http(head.call)
            wait_ms = self._guard.acquire(group, category, now_ms, over_http=over_http)
            if wait_ms > 0:
                return wait_ms
            self._pop(queue)
            self._express.perform(head)
        return 0

    def _pop(self, queue: deque[Send]) -> None:
        queue.popleft()
        self._waiting -= 1

    def _refuse(self, message: Send, why: str) -> None:
        message.answer_to.tell(Answered(tag=message.tag, reply=not_sent(message.call, why)))

    def _learn(self, ask: Callable[[Guard, Ms], tuple[Wish, ...]]) -> None:
        now_ms = self._context.now_ms()
        self._guard.learn(lambda guard: ask(guard, now_ms))
        self._act()

    def _act(self) -> None:
        """Do what budgets and breakers wish."""
        context, wishes = self._context, self._guard.wishes()
        # Before anybody is told: who hears that submits pass, or do not, must find it so.
        context.gate.breaker_why = self._guard.refuses(Group.CREATE)
        for wish in wishes:
            match wish:
                case WakeBreaker():
                    due = BreakerDue(name=wish.name)
                    context.ports.timers.after(wish.delay_ms, self.mailbox, due, ("breaker", wish.name))
                case Probe():
                    self._probe(wish.name)
                case GoSilent():
                    self._wire.hang_up()
                    context.to.stream.tell(StopRequested(why=wish.why))
                    context.to.trade.tell(StopRequested(why=wish.why))
                case Speak():
                    context.to.stream.tell(StartRequested())
                    context.to.trade.tell(StartRequested())
                case Tell():
                    self._tell(wish)
                case _:
                    assert_never(wish)

    def _tell(self, wish: Tell) -> None:
        context, what = self._context, wish.what
        event = Event(
            type=what.type,
            at_ms=context.now_ms(),
            reason=f"breaker_{wish.name}_{what.state}",
            detail=what.why,
        )
        if not wish.halted:
            context.announce(event)
            return
        halted = what.state is BreakerState.HALTED
        context.gate.halted_why = what.why if halted else ""
        context.to.supervisor.tell(SpreadHalt(halted=halted, why=what.why))
        context.announce(event, marks={HALT_MARK: context.gate.halted_why})

    def _thaw(self, who: str) -> None:
        """Lift what only let reduce-only orders pass: whoever resumes has looked at that too."""
        frozen = self._context.gate.thaw_all()
        if frozen:
            symbols = ", ".join(f"{symbol}: {why}" for (_, symbol), why in frozen.items())
            event = Event(
                type=EventType.STATUS,
                at_ms=self._context.now_ms(),
                reason="symbols_resumed",
                detail=f"{who} lifted what stood against {symbols}",
            )
            self._context.announce(event, marks={FROZEN_MARK: ""})

    def _probe(self, name: str) -> None:
        def answer(reply: Reply) -> None:
            self.mailbox.tell(Probed(name=name, reply=reply))

        self._wire.perform(QueryTime(), self._express.timeout_s, answer)

    # The exchange's clock.

    def _sync(self) -> None:
        self._context.pay()
        self._context.ports.timers.after(self._sync_ms, self.mailbox, Sync(), ("gateway", "sync"))
        if not self._guard.banned:
            self._accept(Send(tag="time", call=QueryTime(), answer_to=self.mailbox))

    def _learn_time(self, reply: Reply) -> None:
        clock = self._exchange_clock
        why = clock.observe(reply)
        told, self._told = self._told, clock.finding
        if clock.finding is not None and clock.finding is not told:
            detail = f"offset {clock.offset_ms} ms, known within {clock.uncertainty_ms} ms; check this host's clock"
            self._context.announce(
                Event(type=EventType.ERROR, at_ms=self._context.now_ms(), reason=str(clock.finding), detail=detail)
            )
        if why:
            self._learn(lambda guard, now_ms: guard.take(ALL, DriftExceeded(why=why), now_ms))
