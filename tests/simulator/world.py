"""
One world: the exchange, the network, the router in one process after another, a strategy, an operator, and bad luck.

`World(plan).run()` plays a plan to its end, and asks the laws at each step and at each quiet point.
"""

from __future__ import annotations

import random
from typing import Any

import attrs

from hean.actors.clock import ExchangeClock
from hean.actors.messages import ReconcileAsked
from hean.actors.pool import Wires
from hean.actors.ports import Ports
from hean.actors.registry import Cell, Slot
from hean.actors.trade import TradeEntry
from hean.assembly import Plant, assemble
from hean.bybit.auth import Credentials
from hean.core import checks
from hean.core.breaker_facts import HaltAsked, ResumeAsked
from hean.core.calls import Call, CancelAll
from hean.core.facts import AmendAsked, CancelAsked, Resolved
from hean.core.reconcile_record import Report
from hean.core.types import (
    Category,
    Decision,
    Denial,
    Event,
    OrderState,
    Signal,
)
from hean.errors import AuthRefused, JournalError, RemoteError
from hean.journal import Batch, Committed
from hean.settings import (
    Entry,
)
from hean.setup import prepare
from tests.exchange.engine import API_KEY, API_SECRET, Engine
from tests.exchange.faults import AT_ONCE
from tests.simulator.ambush import Ambushes, Bug, link_id_of
from tests.simulator.coverage import Coverage
from tests.simulator.journal import Disk, SimJournal
from tests.simulator.laws import Laws
from tests.simulator.network import HeldReply, Net, SimSockets, SimTradeSockets, Weather
from tests.simulator.plan import Action, Args, Plan
from tests.simulator.quiet import not_a_word
from tests.simulator.runtime import Kernel, Killed, Process, SimMailbox
from tests.simulator.senders import SimClient, SimPool
from tests.simulator.story import Story
from tests.simulator.terms import event_words, kind_of, link_of, settings_of, signal_of
from tests.simulator.violation import Violation

START_MS = 1_720_000_000_000
QUIET_MS = 300_000
"""Every world is quiet so long after the last fault, or something is stuck."""
SETTLE_MS = 3_000
CLEARINGS = 10
"""How often a person cancels by hand what is still open, before giving up."""
# No multiple of any timer: what happens at regular times must not be met each time.
LOOK_MS = 211
START_TIMEOUT_MS = 30_000
PATIENCE_MS = 90_000
_OURS = frozenset(
    {"submit", "replay", "clash", "cancel", "amend", "cancel_all", "halt", "resume", "kill", "reconcile", "resolve"}
)


@attrs.define
class Life:
    """One process of the router, wired."""

    process: Process
    journal: SimJournal
    plant: Plant
    pool: SimPool
    entry: TradeEntry | None
    sockets: SimSockets
    cells: dict[int, Cell] = attrs.Factory(dict)


@attrs.define
class Crash:
    """A death that waits for its moment."""

    point: str
    nth: int
    action: Action


class World:
    """
    A plan, played.

    Args:
        plan: what happens.
        story: is told everything; None for silence.
        coverage: counts what was reached.
    """

    def __init__(self, plan: Plan, story: Story | None = None, coverage: Coverage | None = None) -> None:
        self.plan = plan
        self.config: Args = plan.config
        self.coverage = coverage or Coverage()
        self.kernel = Kernel(random.Random(f"order {plan.seed}"), START_MS)
        self.kernel.lag = self.config["lag"]
        self.engine = Engine(seed=plan.seed, limits=self.config["limits"])
        self.story = story
        self.net = Net(
            self.kernel, self.engine, random.Random(f"net {plan.seed}"), None if story is None else self.tell
        )
        self.account = self.engine.venue.accounts[API_KEY]
        self._unit = random.Random(f"unit {plan.seed}").random
        self.draw = random.Random(f"draw {plan.seed}").random
        self._power_cuts = [action for action in plan.actions if action.kind == "crash" and action.args["lost_commits"]]
        self.disk = Disk(max((action.args["lost_commits"] for action in self._power_cuts), default=0))
        self.settings = settings_of(self.config)
        self.credentials = Credentials(api_key=API_KEY, api_secret=API_SECRET)
        self._faults = {action.args["fault"] for action in plan.actions if action.kind == "fault"}
        deeds = [deed for action in plan.actions if action.kind == "ambush" for deed in action.args["do"]]
        self._faults |= {deed["fault"]["fault"] for deed in deeds if deed["do"] == "fault"}
        armed = [action.args for action in plan.actions if action.kind == "fault"]
        self.fills_late = any(each["fault"] == "late_fill" or "apart_ms" in each.get("args", {}) for each in armed)
        """Something may be executed of an order that the exchange has ended."""
        self.life: Life | None = None
        self.dying: Process | None = None
        self.signals: dict[int, Signal] = {}
        self.unsure: set[int] = set()
        """Signals of which the strategy cannot know whether they were taken."""
        self.power_cut = False
        self.journal_failed = False
        self.bugs = 0
        self.twins: dict[str, set[str]] = {}
        """IDs of ours that another hand has used, and the orders that it placed under them."""
        self.denied = False
        """The exchange's lists have denied an order that it had shown, for longer than they may."""
        self.calm = False
        self.looked_in_vain = -1
        """How much was told when a comparison last found nothing and told nothing."""
        self.head = ""
        self._running: Process | None = None
        self._crashes: list[Crash] = []
        self._restart: Action | None = None
        self.ambushes = Ambushes(self)
        self.laws = Laws(self)
        self.kernel.after_turn = self.laws.after_turn
        self.net.on_create = self.laws.create_leaves
        self.net.on_row = self.laws.frame_arrives
        self.net.on_answer = self.laws.lists.answered

    def plan_has(self, *faults: str) -> bool:
        """Whether one of these faults is in the plan."""
        return not self._faults.isdisjoint(faults)

    # Telling.

    def tell(self, what: str, /, **fields: Any) -> None:
        if self.story is not None:
            self.story.tell(self.kernel.now_ms - START_MS, what, fields)

    # Running.

    def run(self) -> None:
        """
        Play the plan to its end.

        Raises:
            Violation: a law was broken.
        """
        try:
            self._play()
        finally:
            self.head = self.disk.head()
            if self._running is not None:
                self._running.kill()
            self.disk.close()

    def our_ms(self) -> int:
        """The router's clock."""
        assert self._running is not None
        return int(self._running.now_ms())

    @property
    def virtual_ms(self) -> int:
        return self.kernel.now_ms - START_MS

    def _play(self) -> None:
        self._open_market()
        self._boot()
        for action in self.plan.actions:
            if action.kind not in _OURS:
                self.kernel.at(START_MS + action.at_ms, lambda action=action: self._happen(action))
        for action in self.plan.actions:
            if action.kind in _OURS:
                self._live_until(START_MS + action.at_ms)
                self._act(action)
        self._live_until(START_MS + self.plan.length_ms)
        self._quiet("the faults are over")
        match self.config["finale"]:
            case "close":
                self._close_all()
            case "restart":
                self.die(Action(0, "crash", {"down_ms": 100, "lost_commits": 0, "offset_ms": 0}), "finale")
                self._quiet("after a restart")
        self.laws.at_the_end()
        self._harvest()

    def _open_market(self) -> None:
        net = self.net
        if self.config["behaviour"]:
            net.control("POST", "behaviour", self.config["behaviour"])
        net.control("POST", "behaviour", {"ip_ban_ms": int(self.config["ban_silence_s"] * 1000)})
        if self.config["hedged"]:
            self.account.hedged.add(("linear", "BTCUSDT"))
        if self.config["opening"]:
            args: Args = {"symbol": "BTCUSDT", "side": "Buy", "qty": "0.05"}
            if self.config["hedged"]:
                args["position_idx"] = 1
            net.control("POST", "faults", {"fault": "foreign_order", "args": args})
        net.weather = Weather(spread_ms=self.config["spread_ms"])

    def _live_until(self, due_ms: int) -> None:
        """Let the world go on; whenever the process died, start another."""
        while self.kernel.now_ms < due_ms or self.dying is not None:
            self.kernel.run_until(due_ms, lambda: self.dying is not None)
            if self.dying is None:
                return
            self._rise()

    def _rise(self) -> None:
        """Wait as long as the process stays down, then start it again."""
        while self.dying is not None:
            assert self._restart is not None
            args = self._restart.args
            self.kernel.run_until(self.kernel.now_ms + args["down_ms"])
            self.dying = None
            self._boot(args["offset_ms"])

    # The router's process.

    def _boot(self, jump_ms: int = 0) -> None:
        """Start the router, again and again where it does not come up, as whoever runs it does."""
        before = self.life
        offset_ms = (before.process.offset_ms if before is not None else self.config["offset_ms"]) + jump_ms
        while True:
            process = Process(self.kernel, offset_ms)
            try:
                self.life = self._wire_up(process)
            except Killed:
                self.life = None
                if self.dying is None:
                    raise
                self._rise()
                return
            except (RemoteError, AuthRefused, JournalError) as error:
                if isinstance(error, JournalError) and not self.disk.full:
                    raise
                # Whoever runs the router starts it again.
                self.tell("start.failed", error=str(error))
                process.kill()
                self.dying = None
                self.kernel.run_until(self.kernel.now_ms + 1_000)
                if self.calm:
                    raise Violation("starts_in_calm_weather", f"the router does not start: {error}") from error
                continue
            self.laws.starts(self.life.plant.context.gate.halted_why)
            if self._comes_up():
                break
        if self.life is not None:
            self.tell("router.started", epoch=self.life.journal.epoch)
            self._replay_lost()

    def _comes_up(self) -> bool:
        """As `Router.start`: wait until it is live, or stop it. A process that dies meanwhile came up as well."""
        life = self.life
        assert life is not None
        gate = life.plant.context.gate
        due_ms = self.kernel.now_ms + START_TIMEOUT_MS
        self.kernel.run_until(due_ms, lambda: gate.live or not life.process.alive)
        if self.dying is not None:
            self._rise()
            return True
        if gate.live:
            return True
        if self.calm:
            raise Violation("starts_in_calm_weather", f"not live: {gate.live_why}")
        self.tell("start.failed", error=gate.live_why)
        life.process.kill()
        self.laws.life_ends()
        for socket in self.net.connections:
            socket.cut()
        self.kernel.run_until(self.kernel.now_ms + 1_000)
        return False

    def _wire_up(self, process: Process) -> Life:
        settings = self.settings
        self._running = process
        journal = self.journal = self.disk.open(process, self)
        exchange_clock = ExchangeClock(process.now_ms, settings.clock.max_drift_ms)
        pool = SimPool(
            self.net,
            process,
            self.credentials,
            exchange_ms=exchange_clock.now_ms,
            recv_window_ms=settings.bybit.recv_window_ms,
            size=settings.gateway.threads,
        )
        setup = prepare(
            SimClient(pool, process),
            journal=journal,
            exchange_clock=exchange_clock,
            now_ms=process.now_ms,
            where="the simulated exchange",
            timeout_s=settings.bybit.reply_timeout_s,
            deadline_ms=process.now_ms() + 20_000,
            pause=process.pause,
        )
        entry = None
        if settings.bybit.entry is Entry.WS:
            entry = TradeEntry(
                now_ms=process.now_ms,
                exchange_ms=exchange_clock.now_ms,
                recv_window_ms=settings.bybit.recv_window_ms,
                epoch=f"{process.now_ms():x}-{journal.epoch:x}",
            )
        sockets = SimSockets(self.net, process)
        plant = assemble(
            settings,
            ports=Ports(
                clock=process,
                timers=process,
                spawner=process,
                unit=self._unit,
                point=lambda point: self._point(str(point)),
            ),
            journal=journal,
            exchange_clock=exchange_clock,
            credentials=self.credentials,
            wire=Wires(entry, pool),  # type: ignore[arg-type]
            sockets=sockets,
            trade=None if entry is None else (SimTradeSockets(self.net, process, entry), entry),
            setup=setup,
            observe=lambda name, fields: self._observe(process, name, fields),
        )
        life = Life(process, journal, plant, pool, entry, sockets)
        publish = plant.context.bus.publish

        def published(events: tuple[Event, ...]) -> None:
            publish(events)
            if process.alive:
                for event in events:
                    if self.story is not None:
                        self.tell(f"event {event.type}", **event_words(event))
                    self.laws.event(event)

        plant.context.bus.publish = published  # type: ignore[method-assign,assignment]
        self.life = life
        plant.go()
        return life

    def _observe(self, process: Process, name: str, fields: dict[str, object]) -> None:
        if not process.alive:
            return
        moved = name == "transition"
        if moved or name == "fact":
            self.coverage.cell(str(fields["from"]), str(fields["fact"]))
        if self.story is not None and not name.startswith("event."):
            self.tell(name, **fields)
        self.laws.observed(name, fields)
        if moved or name == "fact":
            link_id, state = str(fields["order_link_id"]), str(fields["to"])
            self.ambushes.met(link_id, state, str(fields["fact"]), moved=moved)

    # Dying.

    def before_commit(self, batch: Batch) -> None:
        self._point("commit:before", kind_of(batch))

    def after_commit(self, batch: Batch, committed: Committed) -> None:
        self.disk.note()
        self.laws.committed(batch, committed)
        self._point("commit:after", kind_of(batch))

    def _point(self, point: str, what: str = "") -> None:
        """A moment at which a process can die."""
        assert self._running is not None
        self._running.require_alive()
        name = f"{point}:{what}" if what else point
        self.coverage.passed(name)
        for crash in self._crashes:
            if crash.point not in {point, name}:
                continue
            crash.nth -= 1
            if crash.nth <= 0:
                self._crashes.remove(crash)
                self.die(crash.action, name)
                raise Killed

    def die(self, action: Action, point: str) -> None:
        process = self._running
        if process is None or not process.alive or (self.calm and point != "finale"):
            return
        self.coverage.crashed(point)
        self.tell("CRASH", **action.args | {"point": point})
        self.laws.life_ends()
        process.kill()
        for socket in self.net.connections:
            socket.cut()
        lost = self.disk.lose(action.args["lost_commits"])
        if action in self._power_cuts:
            self._power_cuts.remove(action)
            if not self._power_cuts:
                self.disk.keep_none()
        if lost:
            self.power_cut = True
            self.coverage.crashed("power_cut")
            self.tell("POWER CUT", commits=lost)
        self.unsure |= set(self.signals)
        self.dying, self._restart = process, action
        self.life = None

    # What happens by itself.

    def _happen(self, action: Action) -> None:
        args = action.args
        if self.calm:
            return
        self.tell(f"* {action.kind}", **args)
        match action.kind:
            case "fault":
                self.arm(args)
            case "market":
                self.net.control("POST", "market", args)
            case "weather":
                weather = self.net.weather
                for name, value in args["set"].items():
                    setattr(weather, name, value)
                self.kernel.at(self.kernel.now_ms + args["for_ms"], self._clear_sky)
            case "cut":
                for socket in self.net.connections:
                    if socket.channel == args["channel"]:
                        self.coverage.struck("net:cut")
                        socket.cut()
            case "pause":
                self.hold(args["actor"], args["ms"])
            case "stall":
                self.hold("", args["ms"])
            case "journal_fails":
                self.disk.full = self.journal_failed = True
                self.coverage.struck("journal_fails")
                self.kernel.at(self.kernel.now_ms + args["ms"], self._mend_disk)
            case "crash":
                if args["point"] == "turn":
                    self.kernel.at(self.kernel.now_ms + args["nth"], lambda: self.die(action, "turn"))
                else:
                    self._crashes.append(Crash(args["point"], args["nth"], action))
            case "break":
                self._break(args["n"])
            case "ambush":
                self.ambushes.lay(args)
            case "hold_reply":
                self.net.hold_reply(HeldReply(link_id_of(args["n"]), **args["reply"]))
            case _:
                raise ValueError(action)

    def arm(self, args: Args) -> None:
        before = set(self.account.orders)
        try:
            row = self.net.control("POST", "faults", args)
        except ValueError as error:
            self.tell("fault.refused", error=str(error))
            return
        if "order_link_id" in args.get("args", {}):
            placed = self.account.orders.keys() - before
            self.twins.setdefault(args["args"]["order_link_id"], set()).update(placed)
        if args["fault"] in AT_ONCE and row["fired"]:
            self.coverage.struck(args["fault"], row["fired"])

    def _clear_sky(self) -> None:
        self.net.weather = Weather(spread_ms=self.config["spread_ms"])

    def _mend_disk(self) -> None:
        self.disk.full = False

    def hold(self, actor: str, for_ms: int) -> None:
        if self.life is None:
            return
        until_ms = self.kernel.now_ms + for_ms
        held = {
            box.name: until_ms
            for box in self.life.process.mailboxes
            if not actor or box.name == actor or (actor == "order" and box.name.startswith("order "))
        }
        self.coverage.struck("actor_paused" if actor else "process_stalled")
        self.kernel.held |= held
        for name in held:
            self.kernel.at(until_ms, lambda name=name: self._let_go(name, until_ms))

    def _let_go(self, name: str, until_ms: int) -> None:
        if self.kernel.held.get(name) == until_ms:
            del self.kernel.held[name]

    def _break(self, n: int) -> None:
        """A handler that raises, whatever is done with its message."""
        life = self.life
        signal = self.signals.get(n)
        if life is None or signal is None:
            return
        slot = life.plant.context.registry.slot(link_of(signal))
        if slot is not None:
            self.bugs += 1
            self.coverage.struck("handler_bug")
            slot.tell(Bug())

    # The strategy and the operator.

    def _act(self, action: Action) -> None:
        self.tell(f"> {action.kind}", **action.args)
        if self.life is None:
            self._remember(action)
            return
        try:
            self._do(action)
        except Killed:
            self._rise()

    def _remember(self, action: Action) -> None:
        if action.kind in {"submit", "replay"} and "signal" in action.args:
            self.signals[action.args["n"]] = signal_of(action.args["n"], action.args["signal"])
            self.unsure.add(action.args["n"])

    def _do(self, action: Action) -> None:
        life, args = self.life, action.args
        assert life is not None
        context = life.plant.context
        n = args.get("n", -1)
        signal = self.signals.get(n)
        match action.kind:
            case "submit":
                self.signals[n] = signal_of(n, args["signal"])
                self._submit(n)
            case "replay" if signal is not None:
                self._submit(n)
            case "clash" if signal is not None and n not in self.unsure:
                other = attrs.evolve(signal, qty="7", price=None)
                cell = life.plant.admission.admit(other)
                self.laws.clashed(signal, cell.snapshot)
            case "cancel" if signal is not None:
                self._ask(link_of(signal), CancelAsked(who="strategy"))
            case "cancel_all":
                self._cancel_all("strategy")
            case "amend" if signal is not None:
                self._amend(link_of(signal), args["changes"])
            case "resolve" if signal is not None:
                self._resolve_as(link_of(signal), args["verdict"])
            case "halt":
                context.gate.halted_why = "drill (operator)"
                context.to.gateway.tell(HaltAsked(who="operator", why="drill"))
            case "resume":
                self.resume()
            case "kill":
                context.gate.halted_why = "kill (operator)"
                context.to.gateway.tell(HaltAsked(who="operator", why="kill"))
                self.cancel_by_hand()
                self._cancel_all("operator")
            case "reconcile":
                self.reconcile()

    def _submit(self, n: int) -> None:
        life, signal = self.life, self.signals[n]
        assert life is not None
        self.unsure.add(n)
        cell = life.plant.admission.admit(signal)
        self.unsure.discard(n)
        life.cells[n] = cell
        self.laws.submitted(n, signal, cell.snapshot)
        if cell.snapshot.state is OrderState.SUBMITTED and cell.snapshot.attempts == 1:
            self.ambushes.met(link_of(signal), "SUBMITTED", "sent", moved=True)

    def _replay_lost(self) -> None:
        """After a restart the strategy sends again whatever it cannot be sure of, most of the time at once."""
        for n in sorted(self.unsure):
            if self.draw() < 0.7 and self.life is not None:
                try:
                    self._submit(n)
                except Killed:
                    self._rise()

    def _ask(self, link_id: str, message: Any) -> None:
        assert self.life is not None
        slot = self.life.plant.context.registry.slot(link_id)
        if slot is None:
            return
        mailbox: SimMailbox = slot.mailbox  # type: ignore[assignment]
        answer = mailbox.ask(message, 5.0)
        self.tell("< answer", answer=answer)
        if isinstance(message, CancelAsked) and isinstance(answer, Decision) and answer.taken:
            self.laws.cancelled.add(link_id)

    def _amend(self, link_id: str, changes: Args) -> None:
        assert self.life is not None
        context = self.life.plant.context
        slot = context.registry.slot(link_id)
        if slot is None:
            return
        snapshot = slot.cell.snapshot
        amend = checks.read_amend(**changes)
        assert not isinstance(amend, Denial)
        instrument = context.instruments[snapshot.category, snapshot.symbol]
        if checks.check_amend(amend, snapshot, instrument) is None:
            self._ask(link_id, AmendAsked(amend=amend))

    def _resolve_as(self, link_id: str, verdict: str) -> None:
        """
        The operator decides of an order, whatever it is.

        Whoever may decide has looked at the exchange; what needs no decision is denied.
        """
        assert self.life is not None
        slot = self.life.plant.context.registry.slot(link_id)
        if slot is not None and self.may_resolve(slot):
            self._ask(link_id, Resolved(verdict=verdict, who="operator", why="looked"))

    def may_resolve(self, slot: Slot) -> bool:
        """Whether somebody who has looked at the exchange would decide of that order."""
        theirs = self.account.by_link.get(slot.order_link_id)
        return slot.cell.snapshot.state is not OrderState.ERROR or theirs is None or theirs.is_final

    def _cancel_all(self, who: str) -> None:
        assert self.life is not None
        for slot in self.life.plant.context.registry.slots():
            if slot.cell.snapshot.outcome is None and self.life is not None:
                self._ask(slot.order_link_id, CancelAsked(who=who))

    def cancel_by_hand(self) -> None:
        """The operator's kill goes past the router."""
        assert self.life is not None
        for category, coin in ((Category.LINEAR, "USDT"), (Category.INVERSE, "BTC")):
            call: Call = CancelAll(category=category, settle_coin=coin)
            self.life.pool.perform(call, 5.0, lambda reply: None)

    def resume(self) -> None:
        """A person looks, and wants orders again."""
        assert self.life is not None
        mailbox: SimMailbox = self.life.plant.context.to.gateway  # type: ignore[assignment]
        mailbox.ask(ResumeAsked(who="operator"), 5.0)

    def reconcile(self) -> Report | None:
        """Compare both sides now; None where there is no answer in time."""
        life = self.life
        assert life is not None
        told = self.laws.told
        box = life.process.mailbox("reconcile caller")
        life.plant.context.to.reconciler.tell(ReconcileAsked(answer_to=box))
        self.kernel.run_until(self.kernel.now_ms + 60_000, lambda: bool(box.depth()) or not life.process.alive)
        life.process.require_alive()
        for report in box.leftover():
            assert isinstance(report, Report)
            self.looked_in_vain = told if not_a_word(report) and told == self.laws.told else -1
            return report
        return None

    # Quiet.

    def _quiet(self, when: str) -> None:
        """Faults off, time passes: then both sides must be the same."""
        self.laws.end_if_moot()
        self._harvest()
        self.calm = True
        self._crashes.clear()
        self.disk.keep_none()
        self.ambushes.lift()
        self.net.release()
        self.net.held.clear()
        self._clear_sky()
        self._mend_disk()
        self.kernel.held.clear()
        self.net.control("DELETE", "faults")
        self.tell("QUIET", when=when)
        self._live_until(self.kernel.now_ms + 1)
        if self.life is None:
            raise Violation("process_lives", "no process runs")
        self._clear_by_hand()
        self._await_quiet()
        lost = sorted(self.unsure | (self.signals.keys() - self.life.cells.keys()))
        for n in lost:
            self._submit(n)
        if lost:
            self._await_quiet()
        self.laws.at_quiet(when)

    def _clear_by_hand(self) -> None:
        """Who decided before the exchange had spoken looks again; what another hand placed under our ID goes too."""
        for _ in range(CLEARINGS):
            if not any(self.laws.is_open(link_id) for link_id in self.laws.resolved | self.twins.keys()):
                return
            # It may be refused, as for a clock that the router has still to measure again: then once more.
            self.cancel_by_hand()
            self.kernel.run_until(self.kernel.now_ms + SETTLE_MS)

    def _await_quiet(self) -> None:
        deadline_ms = self.kernel.now_ms + QUIET_MS
        why = "nothing yet"
        # What a stream lost without breaking is found by the next comparison.
        self.kernel.run_until(self.kernel.now_ms + SETTLE_MS)
        self.reconcile()
        while self.kernel.now_ms < deadline_ms:
            self.kernel.run_until(self.kernel.now_ms + LOOK_MS)
            why = self.laws.restless()
            if not why:
                return
            if self.kernel.now_ms > deadline_ms - QUIET_MS + PATIENCE_MS:
                self._resolve()
        raise Violation("becomes_quiet", f"{QUIET_MS} ms after the last fault: {why}")

    def _resolve(self) -> None:
        """The operator decides what no evidence can settle, after a look at the exchange."""
        assert self.life is not None
        for slot in self.life.plant.context.registry.slots():
            if slot.cell.snapshot.state is OrderState.ERROR:
                theirs = self.account.by_link.get(slot.order_link_id)
                if theirs is None or theirs.is_final:
                    verdict = "rejected" if theirs is None else "cancelled"
                    self.coverage.struck("operator_resolved")
                    self._ask(slot.order_link_id, Resolved(verdict=verdict, who="operator", why="looked"))

    def _close_all(self) -> None:
        """Cancel everything: then every order ends."""
        self.resume()
        for _ in range(3):
            self._cancel_all("operator")
            self.kernel.run_until(self.kernel.now_ms + 1_000)
        self._await_quiet()
        self.laws.at_quiet("everything was cancelled")
        self.laws.all_ended()

    def _harvest(self) -> None:
        for row in self.engine.venue.faults.rows():
            if row["fired"] and row["fault"] not in AT_ONCE:
                self.coverage.struck(row["fault"], row["fired"])
        for name, count in self.net.hit.items():
            self.coverage.struck(f"net:{name}", count)
        self.net.hit.clear()
