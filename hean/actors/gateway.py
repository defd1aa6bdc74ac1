"""
The actor in front of the network: pace, priority, deadlines, breakers, and exactly one answer to each call.

Nothing waits here but messages: the calls themselves are performed by the wire port, on threads of its own.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from attrs import frozen

from hean.actors.boundary import Boundary
from hean.actors.context import Context
from hean.actors.messages import Answered, Ping, Send, Withdraw
from hean.actors.pool import not_sent
from hean.actors.ports import Wire
from hean.core.calls import Group, Reply, category_of, group_of
from hean.core.guard import Guard, Wake
from hean.core.types import Category

# Cancels never wait behind anything; a look-up is what an unknown outcome waits for; creates are the most patient.
_PRIORITY = (Group.CANCEL, Group.AMEND, Group.QUERY, Group.PUBLIC, Group.CREATE, Group.SETTING)

_Lane = tuple[Group, Category]


@frozen(kw_only=True)
class Performed:
    """From a sender's thread: this call is over."""

    reply: Reply


@frozen(kw_only=True)
class Pump:
    """A budget opens again, or a breaker's probe is due: look at the queues."""


class GatewayActor(Boundary):
    """
    Sends what may be sent now, in order of priority.

    Args:
        mailbox: its own.
        context: the router's shared things.
        wire: performs calls.
        guard: budgets and breakers; decides.
        timeout_s: for one call, from its first byte.
        queue_max: waiting calls; one more is answered as not sent.
    """

    def __init__(
        self,
        mailbox: Any,
        context: Context,
        wire: Wire,
        guard: Guard,
        *,
        timeout_s: float,
        queue_max: int,
    ) -> None:
        super().__init__(mailbox)
        self._context = context
        self._wire = wire
        self._guard = guard
        self._timeout_s = timeout_s
        self._queue_max = queue_max
        self._lanes: dict[_Lane, deque[Send]] = {}
        self._waiting = 0

    def handle(self, message: Any) -> Any:
        match message:
            case Send():
                self._accept(message)
            case Performed():
                self._act(self._guard.observe(message.reply, self._context.now_ms()))
            case Withdraw():
                self._withdraw(message)
            case Pump():
                self._act(self._guard.tick(self._context.now_ms()))
            case Ping():
                return True
            case _:
                raise TypeError(f"unexpected message {message!r}")
        self._pump()
        return None

    def crashed(self, message: Any, error: BaseException) -> None:
        self._context.observe("actor.crash", {"actor": "gateway", "what": type(message).__name__, "error": repr(error)})
        if isinstance(message, Send):
            self._refuse(message, f"the gateway failed: {error!r}")

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
        for lane in sorted(self._lanes, key=lambda lane: _PRIORITY.index(lane[0])):
            wait_ms = self._drain(lane)
            if wait_ms:
                wake_ms = wait_ms if wake_ms is None else min(wake_ms, wait_ms)
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
            why = self._guard.refuses(group, now_ms)
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
            self._perform(head)
        return 0

    def _pop(self, queue: deque[Send]) -> None:
        queue.popleft()
        self._waiting -= 1

    def _perform(self, message: Send) -> None:
        def answer(reply: Reply) -> None:
            message.answer_to.tell(Answered(tag=message.tag, reply=reply))
            self.mailbox.tell(Performed(reply=reply))

        self._wire.perform(message.call, self._timeout_s, answer)

    def _refuse(self, message: Send, why: str) -> None:
        message.answer_to.tell(Answered(tag=message.tag, reply=not_sent(message.call, why)))

    def _act(self, wishes: tuple[Wake, ...]) -> None:
        for wish in wishes:
            self._context.ports.timers.after(wish.delay_ms, self.mailbox, Pump(), ("gateway", "wake"))
