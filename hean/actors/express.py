"""
Sending, by whichever thread has the call: the gateway's direct line, and what every reply teaches.

A hop to the gateway's thread costs more than building and sending a frame, and so does a hop back for a reply that
changes nothing. So calls that need not wait leave from here, replies are learnt from where they are read, and the
gateway is woken only for what somebody must do about it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from attrs import frozen

from hean.actors.context import Context
from hean.actors.messages import Answered, Send
from hean.actors.ports import Mailbox, Point, Wire
from hean.actors.registry import Registry
from hean.bybit.retcodes import TIMESTAMP_REFUSED, Channel
from hean.core.calls import CreateOrder, Group, Phase, Reply, Verdict, VerdictKind, category_of, group_of
from hean.core.guard import Guard, Wish
from hean.core.types import Category, Ms


@frozen(kw_only=True)
class Performed:
    """To the gateway: a call is over, and there is something to do about it."""

    reply: Reply


@frozen(kw_only=True)
class Nudge:
    """To the gateway: orders whose create was accepted have waited for their first row."""


ROW_WAIT_MS: Final = 50
"""How long an accepted create waits for the order's first row; the stream brings it in a few."""


class SharedGuard:
    """
    Budgets and breakers, for every thread; what they wish is kept in the order in which they wished it.

    Args:
        guard: decides.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._lock = threading.Lock()
        self._wishes: deque[Wish] = deque()

    def refuses(self, group: Group) -> str:
        """Why no call of that group may leave; "" where it may."""
        with self._lock:
            return self._guard.refuses(group)

    def acquire(self, group: Group, category: Category, now_ms: Ms, *, over_http: bool) -> int:
        """Take a call's budget: 0 where it was taken, else how many milliseconds it must wait."""
        with self._lock:
            return self._guard.acquire(group, category, now_ms, over_http=over_http)

    def admits(self, group: Group, category: Category, now_ms: Ms, *, over_http: bool) -> bool:
        """Take a call's budget, if nothing stands against it."""
        with self._lock:
            if self._guard.refuses(group):
                return False
            return self._guard.acquire(group, category, now_ms, over_http=over_http) == 0

    def learn(self, ask: Callable[[Guard], tuple[Wish, ...]]) -> bool:
        """Tell the guard something; whether anything is wished now."""
        with self._lock:
            self._wishes.extend(ask(self._guard))
            return bool(self._wishes)

    def wishes(self) -> tuple[Wish, ...]:
        """Take what is wished and not done."""
        with self._lock:
            wishes = tuple(self._wishes)
            self._wishes.clear()
            return wishes

    @property
    def banned(self) -> bool:
        with self._lock:
            return self._guard.banned

    def stands(self, now_ms: Ms) -> tuple[dict[str, str], dict[str, int]]:
        """The breakers' states, and what is left of each budget, by name."""
        with self._lock:
            return {name: str(state) for name, state in self._guard.states.items()}, self._guard.left(now_ms)


class Express:
    """
    The gateway's direct line: a call that need not wait for anything is sent by the thread that has it.

    Nothing is weakened by leaving the gateway out: budgets and breakers are the same, a call that would have to wait
    goes the usual way, and no thread here waits for a reply.

    Args:
        context: the router's shared things.
        wire: performs calls.
        guard: budgets and breakers, shared with the gateway.
        timeout_s: for one call, from its first byte.
    """

    def __init__(self, context: Context, wire: Wire, guard: SharedGuard, timeout_s: float) -> None:
        self._context = context
        self._wire = wire
        self._guard = guard
        self.timeout_s = timeout_s
        self._patient: list[Mailbox] = []
        self._lock = threading.Lock()
        self.crowded = False
        """Calls wait in the gateway: whoever comes now waits behind them. Set by the gateway."""

    def offer(self, message: Send) -> None:
        """Send now if nothing stands against it, else queue it at the gateway."""
        call, wire = message.call, self._wire
        over_http = wire.over_http(call)
        if (
            self.crowded
            or (over_http and not wire.room(call))
            or not self._guard.admits(group_of(call), category_of(call), self._context.now_ms(), over_http=over_http)
        ):
            self._context.to.gateway.tell(message)
            return
        self.perform(message)

    def perform(self, message: Send) -> None:
        """
        Send a call; its answer goes to who asked, and what it teaches to the guard.

        One that expires has no more time than it has left, so that its bytes do not leave late either.
        """
        context = self._context
        ports = context.ports
        now_ms = ports.clock.now_ms()
        left_s = self.timeout_s if message.expires_ms is None else (message.expires_ms - now_ms) / 1000

        def answer(reply: Reply) -> None:
            ports.point(Point.ANSWERED)
            # First: whoever acts on the answer finds the budgets as it left them.
            concerns_gateway = self._learn(reply)
            answered = Answered(tag=message.tag, reply=reply)
            if isinstance(reply.call, CreateOrder) and reply.verdict.kind is VerdictKind.ACCEPTED:
                self._tell_patiently(message.answer_to, answered)
            else:
                message.answer_to.tell(answered)
            if concerns_gateway:
                context.to.gateway.tell(Performed(reply=reply))

        try:
            ports.point(Point.SENDING)
            self._wire.perform(message.call, min(self.timeout_s, left_s), answer)
            ports.point(Point.SENT)
        except Exception as error:  # noqa: BLE001 - whoever waits for the answer would wait for ever
            # How far it got nobody can say, so nothing is claimed.
            verdict = Verdict(kind=VerdictKind.UNKNOWN, phase=Phase.SENDING, ret_msg=f"sending failed: {error!r}")
            answer(Reply(call=message.call, verdict=verdict, received_ms=now_ms))

    def nudge(self) -> None:
        """End the patience of every order that waits for its first row."""
        with self._lock:
            patient, self._patient = self._patient, []
        for mailbox in patient:
            mailbox.nudge()

    def _tell_patiently(self, mailbox: Mailbox, answered: Answered) -> None:
        """
        Tell an order that its create was accepted, to be read together with its first row.

        It proves nothing that the row does not prove better, and a transaction of its own would keep the row, and the
        fill behind it, from being read.
        """
        mailbox.tell_patiently(answered)
        with self._lock:
            first = not self._patient
            self._patient.append(mailbox)
        if first:
            to = self._context.to.gateway
            self._context.ports.timers.after(ROW_WAIT_MS, to, Nudge(), ("gateway", "nudge"))

    def _learn(self, reply: Reply) -> bool:
        """Log a reply, and let the guard learn from it; whether the gateway must do something about it."""
        context = self._context
        try:
            context.observe("reply", reply_fields(reply, context.registry))
            wished = self._guard.learn(lambda guard: guard.observe(reply, context.now_ms()))
        except Exception as error:  # noqa: BLE001 - whoever waits for the answer would wait for ever
            context.observe("actor.crash", {"actor": "express", "what": "reply", "error": repr(error)})
            return True
        # Over HTTP there is room for the next call only now.
        over_http = reply.channel != Channel.TRADE
        return wished or over_http or self.crowded or reply.verdict.ret_code == TIMESTAMP_REFUSED


def reply_fields(reply: Reply, registry: Registry) -> dict[str, object]:
    """The parts of a request and its reply that a log line shows; `registry` knows whose order a bare ID is."""
    call, verdict = reply.call, reply.verdict
    fields: dict[str, object] = {
        "call": type(call).__name__,
        "group": group_of(call),
        "channel": reply.channel,
        "verdict": verdict.kind,
        "listed": verdict.listed,
        "phase": verdict.phase,
    }
    about = getattr(call, "request", call)
    order_id = getattr(about, "order_id", None) or ""
    slot = registry.owner(getattr(about, "order_link_id", None) or "", order_id)
    if slot is not None:
        about = slot.cell.snapshot
    for name in ("correlation_id", "signal_id", "order_link_id", "order_id", "symbol"):
        if value := getattr(about, name, None):
            fields[name] = value
    if verdict.ret_code is not None:
        fields["ret_code"] = verdict.ret_code
    if verdict.ret_msg:
        fields["ret_msg"] = verdict.ret_msg
    if reply.sent_ms is not None:
        fields["sent_ms"] = reply.sent_ms
        fields["delay_s"] = (reply.received_ms - reply.sent_ms) / 1000
    return fields
