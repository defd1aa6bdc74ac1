"""
A router's actors, made and introduced to each other.

Everything from outside comes in as an argument: whoever hands in other ports drives the same router by other means.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pykka
from attrs import evolve, frozen

from hean.actors.admission import Admission
from hean.actors.books import restore_told
from hean.actors.brakes import frozen_before
from hean.actors.bus import Bus
from hean.actors.clock import ExchangeClock
from hean.actors.commands import Commands
from hean.actors.context import Addresses, Context, Gate, Observe
from hean.actors.express import Express, SharedGuard
from hean.actors.external import ExternalActor
from hean.actors.gateway import GatewayActor
from hean.actors.handover import Door, Handover, HandoverActor
from hean.actors.messages import Adopt, Fold, FoldNoted, Unowned
from hean.actors.operator import OperatorActor
from hean.actors.portfolio import PortfolioActor, adopted
from hean.actors.ports import Ports, Sockets, Wire
from hean.actors.reconciler import Plan, ReconcilerActor
from hean.actors.registry import Cell, Registry, Slot
from hean.actors.stream import StreamActor
from hean.actors.supervisor import SupervisorActor, order_of
from hean.actors.trade import TradeActor, TradeEntry
from hean.bybit.auth import Credentials
from hean.bybit.codec import ping, socket_login
from hean.bybit.trade import auth_frame
from hean.core import plain
from hean.core.breaker_facts import BreakerPolicy
from hean.core.guard import Guard
from hean.core.limits import Budgets, LimitPolicy
from hean.core.reconcile_record import Policies
from hean.core.record import Order, OrderPolicy
from hean.core.retry import RetryPolicy
from hean.core.session_facts import StartRequested
from hean.core.session_record import SessionPolicy
from hean.core.types import EventType, Execution, FindingKind, Source
from hean.journal import Batch, ExecutionEntry, Journal, Record
from hean.journal.marks import HALT_MARK
from hean.settings import Settings, Submit
from hean.setup import Setup

_LOGIN_VALID_MS = 10_000
# What is noted is in the tables, where viewers see it, after this long; the facts of many orders take one transaction.
FOLD_MS = 50
_ACTORS = ("supervisor", "gateway", "stream", "trade", "portfolio", "external", "reconciler")


@frozen(kw_only=True)
class Plant:
    """
    A router's actors, running and not yet connected.

    Attributes:
        actors: in the order they were started; stop them in reverse.
        untold: executions that the journal has without the event of their position.
    """

    context: Context
    admission: Door
    actors: list[pykka.ActorRef[Any]]
    setup: Setup
    untold: tuple[ExecutionEntry, ...]
    has_trade: bool

    def go(self) -> None:
        """Tell of what was adopted, bring back every order that is not settled, and connect."""
        context = self.context
        # With what its orders live by, the journal can be replayed.
        start = Record(kind="start", body=plain.dumps({"policy": plain.to_plain(context.policy)}))
        context.journal.commit(Batch(at_ms=context.now_ms(), records=(start,)))
        for row in self.setup.adopted:
            context.announce(adopted(row, context.now_ms()))
        for execution in self.untold:
            self._fold(execution)
        for entry in context.journal.unsettled_orders():
            order = order_of(entry)
            if not isinstance(order, Order):
                continue
            link_id = order.request.order_link_id
            mailbox = context.ports.spawner.mailbox(f"order {link_id}")
            context.registry.track(Slot(link_id, mailbox, Cell(order.snapshot(), entry.digest)))
            if order.in_doubt:
                context.gate.doubt(link_id)
            context.to.supervisor.tell(Adopt(order=order, resumed=True))
        context.to.stream.tell(StartRequested())
        if self.has_trade:
            context.to.trade.tell(StartRequested())

    def _fold(self, entry: ExecutionEntry) -> None:
        context, execution = self.context, plain.loads(Execution, entry.body)
        owner = context.journal.order(entry.order_link_id) if entry.order_link_id else None
        order = order_of(owner) if owner is not None else None
        if not isinstance(order, Order):
            context.to.external.tell(Unowned(row=execution, source=Source.REPLAY))
            return
        request = order.request
        context.to.portfolio.tell(
            Fold(
                execution=execution,
                position_idx=entry.position_idx,
                correlation_id=request.correlation_id,
                signal_id=request.signal_id,
                reduce_only=request.reduce_only,
            )
        )


def assemble(
    settings: Settings,
    *,
    ports: Ports,
    journal: Journal,
    exchange_clock: ExchangeClock,
    credentials: Credentials,
    wire: Wire,
    sockets: Sockets,
    trade: tuple[Sockets, TradeEntry] | None,
    setup: Setup,
    observe: Observe,
    operator: bool = False,
) -> Plant:
    """
    Make the actors of one router.

    Args:
        settings: the figures to live by.
        ports: time, timers, chance, threads.
        journal: open and bound to the account.
        exchange_clock: the exchange's clock as well as it is known.
        credentials: for the streams' logins.
        wire: performs calls.
        sockets: opens connections to the private stream.
        trade: the same for the trade stream, and its channel; None where orders go over REST alone.
        setup: what was learnt from the exchange.
        observe: counts and logs.
        operator: whether commands that operators leave in the journal are obeyed, and the pulse is written.
    """
    boxes = {name: ports.spawner.mailbox(name) for name in _ACTORS}
    now_ms = ports.clock.now_ms

    def handler_failed(type_: EventType, error: BaseException) -> None:
        observe("handler.failed", {"type": type_, "error": repr(error)})

    books, untold = restore_told(journal, setup.instruments)
    context = Context(
        ports=ports,
        journal=journal,
        bus=Bus(settings.events.buffer, now_ms, handler_failed),
        registry=Registry(),
        gate=Gate(halted_why=journal.mark(HALT_MARK) or "", frozen=frozen_before(journal)),
        policy=order_policy(settings),
        to=Addresses(**boxes),
        observe=observe,
        instruments=setup.instruments,
        offset_ms=lambda: exchange_clock.offset_ms,
    )
    fold = (FOLD_MS, boxes["supervisor"], FoldNoted(), ("supervisor", "fold"))
    journal.when_noted = lambda: ports.timers.after(*fold)
    budgets = Budgets(LimitPolicy(pace=settings.gateway.pace))
    guard = SharedGuard(Guard(budgets, breaker_policy(settings), ports.unit))
    express = Express(context, wire, guard, settings.bybit.reply_timeout_s)

    def expires_ms() -> int:
        return exchange_clock.now_ms() + _LOGIN_VALID_MS

    def start(actor: type[pykka.ThreadingActor], name: str, *args: Any, **kwargs: Any) -> pykka.ActorRef[Any]:
        return ports.spawner.start(actor, boxes[name], context, *args, **kwargs)

    actors = [
        start(
            GatewayActor,
            "gateway",
            wire,
            guard,
            express,
            queue_max=settings.gateway.queue_max,
            exchange_clock=exchange_clock,
            sync_ms=int(settings.clock.sync_s * 1000),
        ),
        start(PortfolioActor, "portfolio", books),
        start(ExternalActor, "external", settings.reconcile.manual, settings.reconcile.forced),
        start(SupervisorActor, "supervisor"),
        start(
            StreamActor,
            "stream",
            sockets,
            login=lambda: socket_login(credentials, expires_ms=expires_ms()),
            exchange_ms=exchange_clock.now_ms,
            policy=session_policy(settings),
            overlap_ms=int(settings.reconcile.overlap_s * 1000),
            first_ms=setup.first_ms,
        ),
        start(
            ReconcilerActor,
            "reconciler",
            exchange_ms=exchange_clock.now_ms,
            plan=reconcile_plan(settings, setup),
            policies=reconcile_policies(settings),
        ),
    ]
    if trade is not None:
        trade_sockets, entry = trade
        actors.append(
            start(
                TradeActor,
                "trade",
                trade_sockets,
                entry,
                login=lambda: auth_frame(credentials, expires_ms=expires_ms(), req_id="login"),
                ping_frame=ping(),
                policy=evolve(session_policy(settings), topics=(), catches_up=False),
            )
        )
    decides = Admission(context, express, settings.orders.max_open)
    admission: Door = decides
    if settings.orders.submit is Submit.HANDED_OVER:
        mailbox = ports.spawner.mailbox("handover")
        admission = Handover(context, decides, mailbox, settings.orders.submit_max)
        actors.append(ports.spawner.start(HandoverActor, mailbox, context, admission))
    if operator:
        actors.append(
            ports.spawner.start(
                OperatorActor,
                ports.spawner.mailbox("operator"),
                context,
                commands=Commands(context, admission),
                guarded=lambda: guard.stands(now_ms()),
                brake=Path(journal.path),
            )
        )
    return Plant(
        context=context,
        admission=admission,
        actors=actors,
        setup=setup,
        untold=untold,
        has_trade=trade is not None,
    )


def order_policy(settings: Settings) -> OrderPolicy:
    """The figures that orders live by."""
    orders = settings.orders
    return OrderPolicy(
        max_age_ms=int(orders.max_age_s * 1000),
        visibility_ms=int(orders.visibility_delay_s * 1000),
        create=RetryPolicy(
            base_ms=int(orders.retry_base_s * 1000),
            cap_ms=int(orders.retry_cap_s * 1000),
            max_tries=orders.max_tries,
        ),
        query=RetryPolicy(base_ms=int(orders.query_base_s * 1000), cap_ms=int(orders.query_cap_s * 1000)),
    )


def breaker_policy(settings: Settings) -> BreakerPolicy:
    """The figures that the breakers live by."""
    given = settings.breaker
    open_ms = int(given.open_s * 1000)
    return BreakerPolicy(
        failures=given.failures,
        window_ms=int(given.window_s * 1000),
        open=RetryPolicy(base_ms=open_ms, cap_ms=open_ms * 12),
        ban_silence_ms=int(given.ban_silence_s * 1000),
    )


def reconcile_plan(settings: Settings, setup: Setup) -> Plan:
    """When both sides are compared."""
    given = settings.reconcile
    return Plan(
        orders_ms=int(given.orders_s * 1000),
        positions_ms=int(given.positions_s * 1000),
        confirm_ms=int(given.confirm_s * 1000),
        overlap_ms=int(given.overlap_s * 1000),
        first_ms=setup.first_ms,
    )


def reconcile_policies(settings: Settings) -> Policies:
    """What each kind of difference leads to."""
    given = settings.reconcile
    return Policies(**{str(kind): getattr(given, kind) for kind in FindingKind})


def session_policy(settings: Settings) -> SessionPolicy:
    """The figures that the private stream lives by."""
    stream = settings.stream
    return SessionPolicy(
        connect_ms=int(stream.connect_timeout_s * 1000),
        auth_ms=int(stream.ack_timeout_s * 1000),
        ack_ms=int(stream.ack_timeout_s * 1000),
        ping_ms=int(stream.ping_s * 1000),
        silence_ms=int(stream.silence_s * 1000),
        back_off=RetryPolicy(base_ms=int(stream.backoff_base_s * 1000), cap_ms=int(stream.backoff_cap_s * 1000)),
    )
