"""
A small true exchange, a hostile wire, and one order's machine between them, driven by a row of bytes.

Each byte is a choice; a shorter or smaller row is a simpler story, so what hypothesis shrinks to reads well. What the
exchange does is the truth; the wire may delay, double, reorder, split or lose what is told of it, never falsify it.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from attrs import Factory, define, evolve, field

from hean.core.facts import (
    Accepted,
    Account,
    AmendAsked,
    CancelAsked,
    Command,
    CommandAccepted,
    CommandFailed,
    ConfirmPosition,
    Duplicate,
    Effect,
    Executed,
    Fact,
    FreezeSymbol,
    Halted,
    LookedUp,
    NotExecuted,
    NotSent,
    OutcomeUnknown,
    QueryDue,
    QueryOrder,
    Refused,
    Restarted,
    RetryDue,
    SendAmend,
    SendCancel,
    SendCreate,
    Sent,
    Settled,
    Shown,
    StartTimer,
    Timer,
    WithdrawCreate,
)
from hean.core.order import apply
from hean.core.record import Order, OrderPolicy
from hean.core.types import (
    ZERO,
    Amend,
    EventType,
    Execution,
    Ms,
    OrderRow,
    OrderState,
    OrderStatus,
    Source,
)
from tests.core.orders import ORDER_ID, REQUEST, START_MS, fill, row

POLICY = OrderPolicy()
# A request's bytes reach the exchange within its receive window and the clocks' difference, or never.
ARRIVES_WITHIN_MS = 8_000
# The exchange may take this long to show an order that it has.
SHOWN_WITHIN_MS = 3_000
# Every call has a deadline.
ANSWERED_WITHIN_MS = 5_000
TENTH = Decimal("0.1")


class Over(Exception):
    """The row of bytes is used up."""


@define
class Choices:
    """A row of bytes, read one by one."""

    data: bytes
    at: int = 0

    def pick(self, below: int) -> int:
        """A number of [0, below)."""
        if self.at >= len(self.data):
            raise Over
        self.at += 1
        return self.data[self.at - 1] % below


@define
class Exchange:
    """The truth about one order_link_id."""

    clock_ms: int = 0
    status: OrderStatus | None = None
    qty: Decimal = ZERO
    price: Decimal = Decimal(100)
    cum: Decimal = ZERO
    updated_ms: int = 0
    created_ms: int = 0
    creates: int = 0
    cancelling: bool = False
    doubled: bool = False
    rows: list[OrderRow] = Factory(list)
    executions: list[Execution] = Factory(list)
    pushed: Callable[[OrderRow | Execution], None] = field(default=lambda message: None)

    @property
    def open(self) -> bool:
        return self.status is not None and not self.status.final

    def row(self) -> OrderRow:
        assert self.status is not None
        return row(self.status, str(self.cum), self.updated_ms, qty=self.qty, price=self.price)

    def create(self, now_ms: int, *, silent: bool, rejected: bool) -> None:
        self.creates += 1
        self.qty, self.created_ms = REQUEST.qty, now_ms
        self._now_is(
            now_ms, OrderStatus.REJECTED if rejected else OrderStatus.NEW, silent=silent, reject_reason="EC_Others"
        )

    def match(self, now_ms: int, qty: Decimal, *, silent: bool) -> None:
        """Trade; the order topic may skip a state, as it does when matches come fast."""
        qty = min(qty, self.qty - self.cum)
        self.cum += qty
        self._tick(now_ms)
        execution = fill(
            f"e{len(self.executions)}",
            str(qty),
            self.updated_ms,
            order_qty=self.qty,
            exec_price=self.price + len(self.executions),
        )
        self.executions.append(execution)
        self.pushed(execution)
        full = self.cum == self.qty
        self._now_is(now_ms, OrderStatus.FILLED if full else OrderStatus.PARTIALLY_FILLED, silent=silent and not full)
        if full and self.cancelling:
            self._lost()

    def cancel(self, now_ms: int) -> None:
        self.cancelling = False
        self._now_is(now_ms, OrderStatus.CANCELLED, silent=False, cancel_type="CancelByUser")

    def end_badly(self, now_ms: int) -> None:
        """Spot's word for an order that traded and was thrown out."""
        self._now_is(now_ms, OrderStatus.REJECTED, silent=False, reject_reason="EC_Others")

    def amend(self, now_ms: int, amend: Amend) -> None:
        self.price = self.price if amend.price is None else amend.price
        self.qty = self.qty if amend.qty is None else max(amend.qty, self.cum)
        status = OrderStatus.FILLED if self.qty == self.cum else self.status
        assert status is not None
        self._now_is(now_ms, status, silent=False)
        if status is OrderStatus.FILLED and self.cancelling:
            self._lost()

    def _lost(self) -> None:
        self.cancelling = False
        self._tick(self.updated_ms)
        reason = "EC_OrigClOrdIDDoesNotExist"
        self._push(evolve(self.row(), cancel_type="CancelByUser", reject_reason=reason))

    def _now_is(self, now_ms: int, status: OrderStatus, *, silent: bool, **reasons: str) -> None:
        self._tick(now_ms)
        self.status = status
        if not silent:
            self._push(evolve(self.row(), **reasons))

    def _push(self, message: OrderRow) -> None:
        self.rows.append(message)
        self.pushed(message)

    def _tick(self, now_ms: int) -> None:
        self.updated_ms = max(self.updated_ms + 1, now_ms)


@define
class Request:
    """A write on its way. `reply` is what the exchange said, None before it acted."""

    effect: SendCreate | SendCancel | SendAmend
    sent_ms: int
    reply: Fact | None = None
    answered: bool = False

    @property
    def command(self) -> Command:
        return Command.AMEND if isinstance(self.effect, SendAmend) else Command.CANCEL


@define
class LookUp:
    """A look-up on its way; what it will say was true when it was asked."""

    started_ms: int
    row: OrderRow | None
    executions: tuple[Execution, ...]


class World:
    """One story. `check` holds after every fact; `drain` brings the story to its end."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.order = Order.of(REQUEST)
        self.exchange = Exchange(pushed=self._pushed)
        self.requests: list[Request] = []
        self.stream: list[OrderRow | Execution] = []
        self.told: list[OrderRow | Execution] = []
        self.look_ups: list[LookUp] = []
        self.timers: dict[Timer, int] = {}
        self.confirming: list[int] = []
        self.filled: set[str] = set()
        self.accounted: set[str] = set()
        self.feeless: set[str] = set()
        self.story: list[str] = []
        self.quiet = False

    # What happens. Each takes a number to choose by, and does nothing where it does not apply.

    def wait(self, number: int) -> None:
        self._pass((1, 40, 300, 700, 2_500, 6_000)[number % 6])

    def begin(self, number: int) -> None:
        if self.order.tries == 0 and self.order.state is OrderState.PENDING:
            self.take(Sent())

    def arrive(self, number: int) -> None:
        """A request reaches the exchange."""
        waiting = [request for request in self.requests if request.reply is None]
        if waiting:
            self._act(waiting[number % len(waiting)], number // 7)

    def answer(self, number: int) -> None:
        """A reply reaches us, or its loss is noticed."""
        waiting = [request for request in self.requests if not request.answered]
        if not waiting:
            return
        request = waiting[number % len(waiting)]
        if request.reply is not None and number % 5:
            self._answer(request, request.reply)
        elif number % 3 == 0:
            self._answer(request, self._lost(request))

    def push(self, number: int) -> None:
        """Any message of the stream comes, out of turn."""
        if self.stream:
            self._tell(self.stream.pop(number % len(self.stream)), Source.STREAM)

    def repeat(self, number: int) -> None:
        """A message comes again, by another door."""
        if self.told:
            self._tell(self.told[number % len(self.told)], Source.RECONCILE)

    def drop(self, number: int) -> None:
        if self.stream:
            self.stream.pop(number % len(self.stream))

    def trade(self, number: int) -> None:
        if self.exchange.open:
            self.exchange.match(self.now_ms, TENTH * (1 + number % 10), silent=number % 4 == 1)

    def interfere(self, number: int) -> None:
        """The exchange, or a person at its screen, changes the order."""
        if not self.exchange.open:
            return
        match number % 4:
            case 0:
                self.exchange.cancel(self.now_ms)
            # Another quantity than ours under a doubled ID is another order: see the rule of the duplicate.
            case 1 if not self.exchange.doubled or self.order.first_qty is not None:
                self.exchange.amend(self.now_ms, Amend(qty=TENTH * (1 + number // 4 % 20)))
            case 2 if self.exchange.cum > 0:
                self.exchange.end_badly(self.now_ms)
            case _ if self.exchange.cancelling:
                self.exchange.cancel(self.now_ms)
            case _:
                self.exchange.amend(self.now_ms, Amend(price=Decimal(90 + number // 4)))

    def ring(self, number: int) -> None:
        """The next timer fires."""
        if self.timers:
            timer, due_ms = min(self.timers.items(), key=lambda item: item[1])
            if due_ms > self.now_ms:
                self._pass(due_ms - self.now_ms, ring=False)
            if self.timers.get(timer) == due_ms:
                self._ring(timer)

    def found(self, number: int) -> None:
        """A look-up ends: it fails, tells what was true when it began, or what is true now."""
        if not self.look_ups:
            return
        asked = self.look_ups.pop(0)
        match number % 6:
            case 0:
                self.take(self._looked(asked, complete=False, found=False))
            case 1:
                self._show(asked)
                self.take(self._looked(asked, complete=False, found=asked.row is not None))
            case 2 | 3:
                self._end_look_up(asked)
            case _:
                self._end_look_up(self._asked(asked.started_ms))

    def ask_cancel(self, number: int) -> None:
        self.take(CancelAsked())

    def ask_amend(self, number: int) -> None:
        amend = Amend(price=Decimal(90 + number % 20)) if number % 2 else Amend(qty=TENTH * (1 + number // 2 % 20))
        self.take(AmendAsked(amend=amend))

    def halt(self, number: int) -> None:
        self.take(Halted(halted=number % 3 > 0))

    def confirm(self, number: int) -> None:
        """The position agrees with what was asked of it."""
        if self.confirming:
            self.take(Settled(seq=self.confirming.pop(0)))

    def restart(self, number: int) -> None:
        """
        The process dies: replies, timers, look-ups and the stream's queue are gone; bytes that left are not.

        Or only the order's actor does: then what is on its way finds the next one.
        """
        if number % 3:
            self.timers.clear()
            self.look_ups.clear()
            self.stream.clear()
            self.confirming.clear()
            for request in self.requests:
                request.answered = True
            self._forget()
        self.take(Restarted())

    ACTIONS = (
        wait, begin, arrive, arrive, arrive, answer, answer, push, push, push, push, repeat, drop, trade, trade, trade,
        interfere, ring, ring, found, found, found, ask_cancel, ask_amend, ask_amend, halt, confirm, confirm, restart,
    )  # fmt: skip

    def run(self, choices: Choices) -> None:
        """Live through a row of bytes, then to the end of the story."""
        try:
            self.take(Sent()) if choices.pick(8) else None
            while True:
                action = self.ACTIONS[choices.pick(len(self.ACTIONS))]
                number = choices.pick(256)
                self.do(action, number)
        except Over:
            self.drain()

    def do(self, action: Callable[[World, int], None], number: int) -> None:
        self.story.append(f"{self.now_ms - START_MS:>6} {action.__name__} {number}")
        action(self, number)

    def drain(self) -> None:
        """Nothing is lost any more: what is on its way arrives, the truth is told, all questions are answered."""
        self.story.append("drain")
        self.quiet = True
        if self.order.tries == 0 and self.order.state is OrderState.PENDING and not self.timers:
            self.take(Sent())
        self.take(Halted(halted=False)) if self.order.state is not OrderState.DENIED else None
        reconciled = False
        for _ in range(400):
            waiting = [request for request in self.requests if not request.answered or request.reply is None]
            if waiting:
                request = waiting[0]
                if request.reply is None:
                    self._act(request, 3)
                if not request.answered and request.reply is not None:
                    self._answer(request, request.reply)
                self._forget()
            elif self.exchange.cancelling:
                self.exchange.cancel(self.now_ms)
            elif self.look_ups:
                self._end_look_up(self._asked(self.look_ups.pop(0).started_ms))
            elif self.confirming:
                self.confirm(0)
            elif self.timers:
                self.ring(0)
            elif not reconciled:
                # What the reconciler does on its timer for every order that is open here or there.
                reconciled = True
                self._pass(SHOWN_WITHIN_MS)
                self._end_look_up(self._asked(self.now_ms))
            else:
                return
        raise AssertionError(f"it never comes to rest: {self.order.state}, {self.timers}, {self.order}")

    def deliver_everything_again(self) -> list[Effect | EventType]:
        """Every row and execution that ever was, once more and by both doors: what that wanted and told."""
        self.timers.clear()
        effects: list[Effect | EventType] = []
        for source in (Source.STREAM, Source.QUERY):
            for message in (*self.exchange.rows, *reversed(self.exchange.executions), *reversed(self.exchange.rows)):
                applied = apply(self.order, self._fact(message, source), Ms(self.now_ms), POLICY)
                self.order = applied.order
                effects += applied.effects
                effects += [event.type for event in applied.events]
        return effects

    # The machine, and what must hold after each of its steps.

    def take(self, fact: Fact) -> None:
        applied = apply(self.order, fact, Ms(self.now_ms), POLICY, unit=0.9)
        self.story.append(f"{'':>8} {fact} -> {applied.fact}: {applied.before} -> {applied.order.state}")
        self.order = applied.order
        for event in applied.events:
            if event.type is EventType.ORDER_FILLED:
                assert event.exec_id not in self.filled, f"{event.exec_id} was told twice"
                self.filled.add(event.exec_id)
            assert event.type is not EventType.ERROR or event.reason in {"unresolved", "cancel_failing"}, event.detail
        for effect in applied.effects:
            self._perform(effect)
        self.check()

    def check(self) -> None:
        order, truth = self.order, self.exchange
        executed = {execution.exec_id: execution for execution in truth.executions}
        assert order.ledger.exec_ids <= set(executed), "a fill was invented"
        assert sum((executed[exec_id].exec_qty for exec_id in order.ledger.exec_ids), ZERO) == order.ledger.cum_exec_qty
        assert order.ledger.exec_ids == self.filled == self.accounted
        assert order.ledger.cum_exec_qty <= truth.cum
        assert order.ledger.watermark <= truth.cum
        assert truth.creates <= 1, "it was placed twice"
        match order.outcome:
            case OrderState.FILLED:
                assert OrderStatus.FILLED is truth.status
            case OrderState.CANCELLED:
                part = truth.status is OrderStatus.REJECTED and truth.cum > 0
                assert OrderStatus.CANCELLED is truth.status or part
            case OrderState.REJECTED:
                assert (truth.status is OrderStatus.REJECTED and truth.cum == 0) or not self._may_exist()
            case OrderState.DENIED:
                assert not self._may_exist()
            case _:
                assert order.state is not OrderState.ERROR, order.reason
        if order.state is OrderState.CLOSED:
            assert (order.ledger.cum_exec_qty, True) == (truth.cum, order.ledger.fees_known)

    def _may_exist(self) -> bool:
        """The order is at the exchange, or a create may still reach it."""
        creates = (request for request in self.requests if isinstance(request.effect, SendCreate))
        return self.exchange.status is not None or any(request.reply is None for request in creates)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case SendCreate():
                assert not self._may_exist(), "a create was sent before the last one was disproved"
                self.requests.append(Request(effect, self.now_ms))
            case SendCancel() | SendAmend():
                self.requests.append(Request(effect, self.now_ms))
            case WithdrawCreate():
                # What still waits in the gateway's queue is taken back; what has left is not.
                for request in self.requests:
                    queued = request.reply is None and not request.answered and self.now_ms % 2 == 0
                    if queued and isinstance(request.effect, SendCreate):
                        request.reply = NotSent(attempt=request.effect.attempt, why="withdrawn")
            case QueryOrder():
                self.look_ups.append(self._asked(self.now_ms))
            case StartTimer():
                self.timers[effect.timer] = self.now_ms + effect.delay_ms
            case Account():
                exec_id = effect.execution.exec_id
                assert exec_id not in self.accounted or exec_id in self.feeless, f"{exec_id} was accounted twice"
                self.accounted.add(exec_id)
                if effect.execution.exec_fee is not None:
                    self.feeless.discard(exec_id)
            case ConfirmPosition():
                self.confirming.append(effect.seq)
            case FreezeSymbol():
                raise AssertionError(effect.why)
            case _:
                pass

    # The wire.

    def _pushed(self, message: OrderRow | Execution) -> None:
        if isinstance(message, Execution) and message.seq % 5 == 0:
            # The stream leaves something out; a query tells it.
            message = evolve(message, exec_fee=None, order_qty=None if message.seq % 2 else message.order_qty)
        if self.quiet:
            self.told.append(message)
        else:
            self.stream.append(message)

    def _fact(self, message: OrderRow | Execution, source: Source, asked_ms: int | None = None) -> Fact:
        if isinstance(message, Execution):
            return Executed(execution=message, source=source)
        return Shown(row=message, source=source, asked_ms=None if asked_ms is None else Ms(asked_ms))

    def _tell(self, message: OrderRow | Execution, source: Source) -> None:
        self.told.append(message)
        if isinstance(message, Execution) and message.exec_fee is None and message.exec_id not in self.filled:
            self.feeless.add(message.exec_id)
        self.take(self._fact(message, source))

    def _asked(self, started_ms: int) -> LookUp:
        truth = self.exchange
        # Young orders may not be shown yet.
        shown = truth.status is not None and (self.quiet or self.now_ms - truth.created_ms >= SHOWN_WITHIN_MS)
        return LookUp(started_ms, truth.row() if shown else None, tuple(truth.executions) if shown else ())

    def _looked(self, asked: LookUp, *, complete: bool, found: bool) -> LookedUp:
        return LookedUp(complete=complete, found=found, started_ms=Ms(asked.started_ms))

    def _show(self, asked: LookUp) -> None:
        for execution in asked.executions:
            self.take(self._fact(execution, Source.QUERY))
        if asked.row is not None:
            self.take(self._fact(asked.row, Source.QUERY, asked.started_ms))

    def _end_look_up(self, asked: LookUp) -> None:
        self._show(asked)
        self.take(self._looked(asked, complete=True, found=asked.row is not None))

    def _pass(self, ms: int, *, ring: bool = True) -> None:
        self.now_ms += ms
        for request in self.requests:
            late_ms = self.now_ms - request.sent_ms
            if not request.answered and late_ms >= ANSWERED_WITHIN_MS:
                self._answer(request, request.reply or self._lost(request))
        self._forget()
        for timer, due_ms in tuple(self.timers.items()):
            if ring and due_ms <= self.now_ms and self.timers.get(timer) == due_ms:
                self._ring(timer)

    def _forget(self) -> None:
        """Bytes that are too old never arrive; what is answered or can no longer arrive is over."""
        self.requests = [
            request
            for request in self.requests
            if (request.reply is None and self.now_ms - request.sent_ms < ARRIVES_WITHIN_MS) or not request.answered
        ]

    def _ring(self, timer: Timer) -> None:
        del self.timers[timer]
        self.take(RetryDue() if timer is Timer.RETRY else QueryDue())

    def _lost(self, request: Request) -> Fact:
        if isinstance(request.effect, SendCreate):
            return OutcomeUnknown(attempt=request.effect.attempt, why="no answer")
        return CommandFailed(command=request.command, why="no answer")

    def _answer(self, request: Request, fact: Fact) -> None:
        request.answered = True
        self._forget()
        self.take(fact)

    def _act(self, request: Request, number: int) -> None:
        """The exchange takes a request; `number` chooses among what it may do with it."""
        truth, effect = self.exchange, request.effect
        if isinstance(effect, SendCreate):
            request.reply = self._create(effect, number)
        elif not truth.open:
            request.reply = CommandFailed(command=request.command, why="110001 order not exists or too late")
        elif number % 6 == 0:
            request.reply = CommandFailed(command=request.command, why="10006 too many visits", retry_ms=200)
        else:
            request.reply = CommandAccepted(command=request.command)
            if isinstance(effect, SendAmend):
                # It is asynchronous: taken for processing may come to nothing.
                if number % 6 > 1 and (
                    effect.amend.qty is None or not truth.doubled or self.order.first_qty is not None
                ):
                    truth.amend(self.now_ms, effect.amend)
            elif number % 6 > 2:
                truth.cancel(self.now_ms)
            elif number % 6 == 2:
                truth.cancelling = True

    def _create(self, effect: SendCreate, number: int) -> Fact:
        truth, attempt = self.exchange, effect.attempt
        accepted = Accepted(attempt=attempt, order_id=ORDER_ID)
        match number % 9:
            case _ if truth.status is not None:
                raise AssertionError("a second create reached the exchange")
            case 0:
                return NotExecuted(attempt=attempt, why="10006 too many visits")
            case 1:
                return Refused(attempt=attempt, ret_code=110007, ret_msg="not enough balance")
            case 2:
                truth.create(self.now_ms, silent=False, rejected=True)
                return accepted
            case 4:
                # The network doubled the request; the answer to the second is the one that comes.
                truth.create(self.now_ms, silent=False, rejected=False)
                truth.doubled = True
                return Duplicate(attempt=attempt, ret_code=110072)
            case 5:
                # Marketable: no New row before the match.
                truth.create(self.now_ms, silent=True, rejected=False)
                truth.match(self.now_ms, TENTH * (1 + number // 9 % 10), silent=False)
                return accepted
            case _:
                truth.create(self.now_ms, silent=False, rejected=False)
                return accepted
