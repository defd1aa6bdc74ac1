"""
The router: wiring, and the synchronous face that a strategy sees.

`Router.from_env()` as a context manager is all that most need: it blocks until the router is LIVE and reconciled, or
says why it is not. Start-up is recovery: the journal is read, every order that is not settled is looked up, then
signals are taken. No user code runs on an actor's thread, and no call here waits for the network but `start` and the
settings.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pykka

from hean.actors.boundary import Threads, stop_actors
from hean.actors.clock import ExchangeClock, SteadyClock, TimerThread
from hean.actors.commands import DECISION_S, Commands
from hean.actors.context import Context
from hean.actors.inbox import Inbox
from hean.actors.messages import Answered, Ping, ReconcileAsked, Send
from hean.actors.pool import Pool, Wires
from hean.actors.ports import Ports
from hean.actors.sockets import PrivateSockets, TradeSockets
from hean.actors.trade import TradeEntry
from hean.assembly import assemble
from hean.bybit.auth import Credentials
from hean.bybit.endpoints import Endpoints, checked
from hean.bybit.rest import RestClient
from hean.core.breaker_facts import HaltAsked, ResumeAsked
from hean.core.calls import QueryTime, SetLeverage, SwitchMode, VerdictKind
from hean.core.facts import CancelAsked, Resolved
from hean.core.foreign import ForeignOrder
from hean.core.reconcile_record import Report
from hean.core.replies import said
from hean.core.types import (
    Category,
    Decision,
    Event,
    EventType,
    Ms,
    OrderLinkId,
    OrderSnapshot,
    Signal,
)
from hean.errors import ConfigError, OrderRejected, RemoteError, RouterStopped
from hean.journal import Journal
from hean.killswitch import Kill, KillReport
from hean.settings import Entry, Settings
from hean.setup import Setup, prepare
from hean.telemetry import Count, Deferred, Exporter, Telemetry
from hean.ticket import Positions, Ticket

_LOGIN_VALID_MS = 10_000
# A request may be taken this long after the end of its receive window.
# Source: Bybit V5 docs, guide, "server_time - recv_window <= timestamp < server_time + 1000".
_CLOCK_LEAD_S = 1.0
_SETUP_PAUSE_S = 0.2


class Router:
    """
    Turns signals into Bybit testnet orders and keeps what it believes equal to what the exchange says.

    Args:
        settings: as loaded; see `Settings.load`.

    Raises:
        ConfigError: a setting is wrong; nothing was opened or sent.
    """

    def __init__(self, settings: Settings) -> None:
        bybit = settings.bybit
        for name in ("api_key", "api_secret"):
            if not getattr(bybit, name):
                raise ConfigError(
                    f"bybit.{name} from {settings.source(f'bybit.{name}')}: expected a testnet key and its secret "
                    f"(BYBIT_{name.upper()}), was nothing"
                )
        self._endpoints: Endpoints = checked(
            rest_url=bybit.rest_url,
            private_url=bybit.private_url,
            trade_url=bybit.trade_url,
            sources={door: settings.source(f"bybit.{door}") for door in ("rest_url", "private_url", "trade_url")},
        )
        self._credentials = Credentials(api_key=bybit.api_key, api_secret=bybit.api_secret)
        self._telemetry = Telemetry(redact=self._credentials.redact)
        self._deferred = Deferred(self._telemetry.observe)
        self._exporter: Exporter | None = None
        self._metrics_port: int | None = None
        self._settings = settings
        self._clock = SteadyClock()
        self._exchange_clock = ExchangeClock(self._clock.now_ms, settings.clock.max_drift_ms)
        self._started = False
        self._stopped = False
        self._lock = threading.Lock()
        self._threads = Threads()
        self._actors: list[pykka.ActorRef[Any]] = []

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None, **overrides: object) -> Self:
        """
        A router of the environment's settings, not started yet.

        Args:
            env: instead of the process's environment.
            overrides: settings by dotted name with "__" for the dot, e.g. journal__path="j.db".

        Raises:
            ConfigError: a setting is wrong; nothing was opened or sent.
        """
        return cls(Settings.load(os.environ if env is None else env, None, **overrides))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # Life.

    def start(self) -> None:
        """
        Read the journal, connect, catch up, and return when LIVE.

        Raises:
            ConfigError: the metrics' port is taken, or prometheus-client is not installed.
            JournalError: the journal cannot be opened, or another router owns it.
            AuthRefused: the exchange does not take the key.
            RemoteError: the exchange cannot be reached, or is not LIVE by the deadline.

        Whatever is raised, nothing is left running.
        """
        with self._lock:
            if self._started:
                raise RouterStopped("this router was started before; make a new one")
            self._started = True
        deadline = time.monotonic() + self._settings.start.timeout_s
        try:
            self._deferred.start()
            if self._settings.metrics.port is not None:
                exporter = Exporter(lambda: self._telemetry.counts)
                self._metrics_port = exporter.start(self._settings.metrics.port)
                self._exporter = exporter
            self._journal = Journal.open(Path(self._settings.journal.path), self._clock.now_ms())
            self._wire_up(deadline)
            self._await_live(deadline)
        except BaseException:
            self.stop()
            raise

    def stop(self, timeout_s: float = 10.0) -> None:
        """
        Take no more signals, end every thread, close the journal. Open orders stay open at the exchange.

        Args:
            timeout_s: for all of it; what has not ended by then is a daemon thread and ends with the process.
        """
        with self._lock:
            if self._stopped or not self._started:
                return
            self._stopped = True
        deadline = time.monotonic() + timeout_s
        if hasattr(self, "_context"):
            self._context.gate.stopped = True
            self._context.gate.set_live(False, "the router stopped")

        def left_s() -> float:
            return max(deadline - time.monotonic(), 0.1)

        for ref in reversed(self._actors):
            stop_actors([ref], left_s())
        if hasattr(self, "_timers"):
            self._timers.stop(left_s())
        if hasattr(self, "_pool"):
            self._pool.close(left_s())
        self._threads.join(left_s())
        if hasattr(self, "_context"):
            # Nothing moves any more: who waits for an order gets its newest snapshot.
            self._admission.release()
            self._context.pay()
            self._context.bus.close(left_s())
        if hasattr(self, "_journal"):
            self._journal.close()
        if self._exporter is not None:
            self._exporter.stop()
        # Last, so that what the others said while they ended is said too.
        self._deferred.stop(left_s())

    @property
    def metrics(self) -> tuple[Count, ...]:
        """Every metric as it stands, with or without Prometheus; some hundredths of a second behind."""
        return self._telemetry.counts

    @property
    def metrics_port(self) -> int | None:
        """Where Prometheus may scrape on 127.0.0.1; None where `HEAN_METRICS__PORT` is not set."""
        return self._metrics_port

    # Orders.

    def submit(self, signal: Signal) -> Ticket:
        """
        Turn a signal into an order, once.

        The same signal again, here or after a restart, gives a ticket of the same order. A signal that is refused
        gives a ticket in state DENIED with `deny_reason`; a denial is final for its signal. Returns at once, whatever
        the exchange does: the ticket tells what comes of it.

        With `orders.submit` "handed_over" the ticket of a new signal is PENDING at first: another thread checks it,
        remembers its intent and sends, and then the ticket tells the denial or the order. Until then a crash loses the
        signal; no order exists of it, and it may be submitted again.

        Args:
            signal: numbers as str or Decimal; a float is denied. Quantity in the base coin.

        Raises:
            RouterStopped: the router is not running; nothing was sent.
            JournalError: the journal cannot be read, so nobody can say whether the signal was submitted before; halted,
                and nothing was sent.
        """
        self._require_running()
        return Ticket(self, self._admission.admit(signal))

    def ticket(self, order: str) -> Ticket:
        """
        A ticket of an order that this journal knows, by its order_link_id or order_id.

        Raises:
            KeyError: it knows none of that ID.
            RouterStopped: the router is not running.
        """
        self._require_running()
        link_id = self._admission.link_id_of(order)
        cell = None if link_id is None else self._admission.known(link_id)
        if cell is None:
            raise KeyError(order)
        return Ticket(self, cell)

    @property
    def orders(self) -> dict[OrderLinkId, OrderSnapshot]:
        """Orders that are not settled, and those that settled a moment ago, by order_link_id."""
        return {slot.order_link_id: slot.cell.snapshot for slot in self._started_context().registry.slots()}

    @property
    def positions(self) -> Positions:
        """Positions as of now, by (category, symbol, position_idx) or bare symbol."""
        return Positions(self._started_context().positions)

    @property
    def live(self) -> bool:
        """Whether signals are taken: the private stream is live and caught up."""
        return hasattr(self, "_context") and self._context.gate.live

    def cancel(self, order: str, *, who: str = "strategy", why: str = "") -> Decision:
        """
        Ask for the end of one order; returns at once with what was decided.

        Args:
            order: its order_link_id or order_id; an attached take profit or stop loss has only the latter.
            who: for the journal.
            why: for the journal.

        Raises:
            RouterStopped: the router is not running; nothing was sent.
        """
        return self._commands().cancel(order, CancelAsked(who=who, why=why))

    def amend(self, order: str, **changes: object) -> Decision:
        """
        Ask for a change of one order; returns at once with what was decided.

        Args:
            order: its order_link_id or order_id.
            changes: as of `Ticket.amend`.

        Raises:
            RouterStopped: the router is not running; nothing was sent.
        """
        return self._commands().amend(order, **changes)

    def cancel_all(self, symbol: str | None = None, *, who: str = "strategy", why: str = "") -> dict[str, Decision]:
        """
        Ask for the end of every open order, of one symbol or of all; what was decided, by order_link_id.

        What protects a position, attached take profits and stop losses, stays.

        Args:
            symbol: of all categories; None for every one.
            who: for the journal.
            why: for the journal.

        Raises:
            RouterStopped: the router is not running; nothing was sent.
        """
        return self._commands().cancel_all(symbol, CancelAsked(who=who, why=why))

    def resolve(self, order: str, verdict: str, *, who: str, why: str) -> Decision:
        """
        Decide what no evidence can settle: an order in ERROR, or one whose gap history no longer explains.

        Args:
            order: its order_link_id or order_id.
            verdict: "cancelled", "rejected" or "settled".
            who: for the journal.
            why: for the journal.

        Returns:
            denied, with the reason, where evidence can still settle it.

        Raises:
            RouterStopped: the router is not running; nothing has changed.
        """
        return self._commands().resolve(order, Resolved(verdict=verdict, who=who, why=why))

    def children(self, order_link_id: str) -> tuple[ForeignOrder, ...]:
        """Orders that the exchange made of one of ours: attached take profits and stop losses, parts of a split."""
        return self._started_context().children.get(order_link_id, ())

    # Events.

    def events(self, timeout_s: float | None = None) -> Iterator[Event]:
        """
        Events since the router's start, oldest first, and then those that come.

        Each iterator has its own place. One that falls behind `events.buffer` gets an ERROR event that says how many
        it lost; the journal has them all.

        Args:
            timeout_s: ends after this long without an event, in seconds; 0 for those that are there, None for ever,
                which is until the router stops.

        Raises:
            RouterStopped: the router was never started.
        """
        return self._started_context().bus.read(timeout_s)

    def subscribe(self, type_: EventType, handler: Callable[[Event], object]) -> None:
        """
        Call `handler` for each event of that type from now on.

        Args:
            type_: of the events.
            handler: runs on a thread of its own, one event after the other; one that raises is logged and hurts nobody.

        Raises:
            RouterStopped: the router was never started.
        """
        self._started_context().bus.subscribe(type_, handler)

    def trace(self, order: str) -> list[str]:
        """The records of an order, named by its order_link_id or order_id, oldest first, one line each."""
        journal = self._started_context().journal
        records = journal.records(order_link_id=self._admission.link_id_of(order) or order)
        return [f"{record.n} {record.at_ms} {record.kind} {record.body}" for record in records]

    # Both sides.

    def reconcile(self, timeout_s: float = 30.0) -> Report:
        """
        Compare orders, executions and positions with the exchange now, and act on every difference.

        Args:
            timeout_s: after which the answer is a report that is not complete; the comparison goes on.

        Raises:
            RouterStopped: the router is not running.
        """
        self._require_running()
        box = Inbox("reconcile")
        self._context.to.reconciler.tell(ReconcileAsked(answer_to=box))
        report = box.receive(timeout_s)
        return report if isinstance(report, Report) else Report(complete=False, why=f"no answer within {timeout_s} s")

    # The brakes.

    def halt(self, why: str, *, who: str = "strategy") -> None:
        """
        No more creates until `resume`, across restarts; open orders stay, cancels pass.

        Holds for the next `submit` of any thread when this returns.

        Args:
            why: told to whoever is denied, and journalled.
            who: for the journal.

        Raises:
            RouterStopped: the router is not running; nothing has changed.
        """
        self._require_running()
        # At once for this thread's next submit; the supervisor journals it and tells the orders.
        self._context.gate.halted_why = f"{why} ({who})"
        self._context.to.gateway.tell(HaltAsked(who=who, why=why))

    def resume(self, *, who: str = "strategy") -> None:
        """
        Take signals again, after a halt and after what froze a symbol.

        Args:
            who: for the journal.

        Raises:
            RouterStopped: the router is not running; nothing has changed.
        """
        self._require_running()
        self._context.to.gateway.ask(ResumeAsked(who=who), DECISION_S)

    def kill(
        self, *, flatten: bool = False, who: str = "strategy", why: str = "kill", timeout_s: float = 60.0
    ) -> KillReport:
        """
        Halt, cancel every order of the account over REST, and see that nothing is open; needs no actor and no journal.

        Blocks for at least the receive window and a second: until then a request that was under way could still be
        taken. Works on a router that is stopped, or that was never started, too.

        Args:
            flatten: close every position as well, by reduce-only market orders.
            who: for the journal.
            why: for the journal.
            timeout_s: for all of it.

        Returns:
            what was done, and what is still open: look at `done`.
        """
        if self._running:
            self.halt(why, who=who)
        client = self._client()
        try:
            self._exchange_clock.observe(client.perform(QueryTime(), timeout_s=DECISION_S))
            late_s = self._settings.bybit.recv_window_ms / 1000 + _CLOCK_LEAD_S
            kill = Kill(
                client,
                now_ms=self._clock.now_ms,
                pause=threading.Event().wait,
                late_s=late_s,
                timeout_s=timeout_s,
            )
            report = kill.run(flatten=flatten)
        finally:
            client.close()
        if self._running:
            kind = EventType.STATUS if report.done else EventType.ERROR
            self._context.announce(
                Event(type=kind, at_ms=self._clock.now_ms(), reason="kill", detail=f"{who}: {why}: {report.text}")
            )
        return report

    # Account settings.

    def set_leverage(self, symbol: str, leverage: str, category: Category = Category.LINEAR) -> None:
        """
        Set the leverage of one symbol, both sides; one that is set already is no error.

        Args:
            symbol: e.g. BTCUSDT.
            leverage: as text, e.g. "5"; between 1 and what the symbol's risk limit allows.
            category: linear or inverse.

        Raises:
            OrderRejected: the exchange refused; nothing has changed.
            RemoteError: no answer within twice `bybit.reply_timeout_s`, or an odd one; look at the account.
            RouterStopped: the router is not running; nothing was sent.

        Source: Bybit V5 docs, position/set-leverage.
        """
        self._set(SetLeverage(category=category, symbol=symbol, leverage=leverage))

    def switch_mode(self, symbol: str, mode: int, category: Category = Category.LINEAR) -> None:
        """
        Switch the position mode of one symbol; one that is on already is no error.

        Args:
            symbol: e.g. BTCUSDT.
            mode: 0 one-way, 3 hedge.
            category: linear or inverse.

        Raises:
            OrderRejected: the exchange refused; there may be open orders or a position. Nothing has changed.
            RemoteError: no answer within twice `bybit.reply_timeout_s`, or an odd one; look at the account.
            RouterStopped: the router is not running; nothing was sent.

        Source: Bybit V5 docs, position/position-mode.
        """
        self._set(SwitchMode(category=category, symbol=symbol, mode=mode))

    # Wiring.

    @property
    def _running(self) -> bool:
        return self._started and not self._stopped and hasattr(self, "_context")

    def _require_running(self) -> None:
        if not self._started or self._stopped:
            raise RouterStopped("the router is not running; nothing was sent")

    def _started_context(self) -> Context:
        """What may be read: from the start on, and after the stop too."""
        if not hasattr(self, "_context"):
            raise RouterStopped("the router was not started; nothing is known")
        return self._context

    def _commands(self) -> Commands:
        self._require_running()
        return Commands(self._context, self._admission)

    def _set(self, call: SetLeverage | SwitchMode) -> None:
        self._require_running()
        box, timeout_s = Inbox("setting"), self._settings.bybit.reply_timeout_s
        # Whoever is told that it failed must not find it done later on.
        expires_ms = Ms(self._clock.now_ms() + int(timeout_s * 1000))
        self._context.to.gateway.tell(Send(tag="setting", call=call, answer_to=box, expires_ms=expires_ms))
        answered = box.receive(timeout_s * 2)
        if not isinstance(answered, Answered):
            raise RemoteError(
                f"{type(call).__name__} {call.symbol}: no answer", hint="look at the account, then repeat"
            )
        reply = answered.reply
        kind = reply.verdict.kind
        if kind in {VerdictKind.ACCEPTED, VerdictKind.UNCHANGED}:
            return
        error = OrderRejected if kind is VerdictKind.REFUSED else RemoteError
        raise error(
            f"{type(call).__name__} {call.symbol}: {said(reply.verdict)}",
            ret_code=reply.verdict.ret_code,
            ret_msg=reply.verdict.ret_msg,
            hint=reply.verdict.hint,
        )

    def _client(self) -> RestClient:
        bybit = self._settings.bybit
        return RestClient(
            endpoints=self._endpoints,
            credentials=self._credentials,
            recv_window_ms=bybit.recv_window_ms,
            reply_timeout_s=bybit.reply_timeout_s,
            clock=self._exchange_clock.now_ms,
            local_clock=self._clock.now_ms,
        )

    def _wire_up(self, deadline: float) -> None:
        client = self._client()
        try:
            setup = prepare(
                client,
                journal=self._journal,
                exchange_clock=self._exchange_clock,
                now_ms=self._clock.now_ms,
                where=self._endpoints.rest_url,
                timeout_s=self._settings.bybit.reply_timeout_s,
                deadline_ms=self._clock.now_ms() + int((deadline - time.monotonic()) * 1000),
                pause=threading.Event().wait,
            )
        finally:
            client.close()
        self._build(setup)

    def _await_live(self, deadline: float) -> None:
        gate = self._context.gate
        if not gate.live_event.wait(max(deadline - time.monotonic(), 0)):
            raise RemoteError(
                f"not LIVE within {self._settings.start.timeout_s} s: {gate.live_why}", hint="run `hean doctor`"
            )

    def _build(self, setup: Setup) -> None:
        settings = self._settings
        self._threads.prepare()
        self._timers = TimerThread()
        self._pool = Pool(settings.gateway.threads, self._client)
        entry = self._trade_entry() if settings.bybit.entry is Entry.WS else None
        connect_timeout_s, scrub = settings.stream.connect_timeout_s, self._credentials.scrub
        self._plant = assemble(
            settings,
            ports=self._ports(),
            journal=self._journal,
            exchange_clock=self._exchange_clock,
            credentials=self._credentials,
            wire=Wires(entry, self._pool),
            sockets=PrivateSockets(self._endpoints.private_url, connect_timeout_s, self._reader_failed, scrub),
            trade=None
            if entry is None
            else (TradeSockets(self._endpoints.trade_url, connect_timeout_s, entry, self._reader_failed, scrub), entry),
            setup=setup,
            observe=self._deferred.observe,
            operator=True,
        )
        self._context, self._admission, self._actors = self._plant.context, self._plant.admission, self._plant.actors
        for ref in self._actors:
            # A failing on_start still returns a ref; only an answer proves an actor alive.
            ref.ask(Ping(), timeout=DECISION_S)
        self._plant.go()

    def _ports(self) -> Ports:
        return Ports(clock=self._clock, timers=self._timers, spawner=self._threads, unit=random.random)

    def _trade_entry(self) -> TradeEntry:
        return TradeEntry(
            now_ms=self._clock.now_ms,
            exchange_ms=self._exchange_clock.now_ms,
            recv_window_ms=self._settings.bybit.recv_window_ms,
            epoch=f"{self._clock.now_ms():x}-{self._journal.epoch:x}",
        )

    def _reader_failed(self, error: BaseException) -> None:
        self._deferred.observe("reader.failed", {"error": repr(error)})
