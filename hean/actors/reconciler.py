"""
The actor that compares both sides: at the start, after each gap, on timers, on demand.

A pass is one picture of the exchange, and where that shows a difference, another one a little later, until nothing is
in doubt. What a difference is, and what follows from it, is decided in `core/reconcile.py`.
"""

from __future__ import annotations

from typing import Any

from attrs import define, evolve, field, frozen

from hean.actors.boundary import Boundary
from hean.actors.brakes import brake
from hean.actors.context import Context
from hean.actors.messages import (
    AdoptPosition,
    Answered,
    Compared,
    Forget,
    LookAgain,
    Ping,
    PositionsSeen,
    Recheck,
    ReconcileAsked,
    Send,
    Spoiled,
    StreamChanged,
)
from hean.actors.ports import Mailbox
from hean.actors.routing import deliver, held_symbols, unknown
from hean.core import catchup, reconcile
from hean.core.calls import Quarantine
from hean.core.reconcile_record import Comparison, Holdings, Policies, Report, Suspects
from hean.core.types import Event, EventType, Finding, FindingKind, Ms, Reaction, Source
from hean.errors import JournalError
from hean.journal import Batch
from hean.journal.marks import EXECUTIONS_MARK

# A pass ends after this many pictures, whatever is still in doubt; the next timer goes on.
MAX_LOOKS = 8
# Pictures in a row that could not be completed, before whoever asked is told so.
MAX_FAILURES = 4
# A picture that is not complete by then is given up.
LOOK_MS = 60_000
_WHO = "reconciler"


@frozen(kw_only=True)
class Plan:
    """
    When to compare; milliseconds.

    Attributes:
        orders_ms: spacing of comparisons of open orders.
        positions_ms: spacing of comparisons of positions and executions.
        confirm_ms: from a suspicion to the second look.
        overlap_ms: how far before the watermark the list of executions begins.
        first_ms: exchange time of this journal's first start; nothing older is ours.
    """

    orders_ms: int
    positions_ms: int
    confirm_ms: int
    overlap_ms: int
    first_ms: Ms


@frozen(kw_only=True)
class Due:
    """A timer: compare these parts."""

    orders: bool = False
    positions: bool = False


@frozen(kw_only=True)
class Soon:
    """A timer: something asked for another look."""


@frozen(kw_only=True)
class NextLook:
    """A timer: the second look of that pass."""

    number: int


@frozen(kw_only=True)
class LookOverdue:
    """A timer: that look is not complete."""

    look: int


@define(kw_only=True)
class _Pass:
    number: int
    orders: bool
    positions: bool
    callers: tuple[Mailbox, ...] = ()
    looks: int = 0
    failures: int = 0
    found: dict[Finding, None] = field(factory=dict)
    report: Report = field(factory=lambda: Report(complete=False, why="no picture yet"))


class ReconcilerActor(Boundary):
    """
    Compares, and carries out what the comparison wants.

    Args:
        mailbox: its own.
        context: the router's shared things.
        exchange_ms: the exchange's clock as well as we know it.
        plan: when to compare.
        policies: what each kind of difference leads to.
    """

    def __init__(self, mailbox: Any, context: Context, *, exchange_ms: Any, plan: Plan, policies: Policies) -> None:
        super().__init__(mailbox)
        self._context = context
        self._exchange_ms = exchange_ms
        self._plan = plan
        self._policies = policies
        self._streaming = False
        self._soon = False
        self._suspects: Suspects = {}
        self._spoiled: tuple[Quarantine, ...] = ()
        self._passes = 0
        self._looks = 0
        self._pass: _Pass | None = None
        self._wanted = Due()
        self._callers: tuple[Mailbox, ...] = ()
        self._catch_up: catchup.CatchUp | None = None
        self._picture: catchup.Picture | None = None

    def on_start(self) -> None:
        self._arm(Due(orders=True), self._plan.orders_ms)
        self._arm(Due(positions=True), self._plan.positions_ms)

    def handle(self, message: Any) -> Any:
        match message:
            case Due():
                self._arm(message, self._plan.orders_ms if message.orders else self._plan.positions_ms)
                if self._streaming:
                    self._want(message)
            case StreamChanged():
                self._streaming = message.live
                if message.live:
                    self._want(Due(orders=True, positions=True))
            case LookAgain():
                # A stream of oddities leads to one comparison after the other, not to one for each.
                if not self._soon:
                    self._soon = True
                    self._context.ports.timers.after(self._plan.confirm_ms, self.mailbox, Soon(), (_WHO, "soon"))
            case Soon():
                self._soon = False
                if self._streaming:
                    self._want(Due(orders=True, positions=True))
            case ReconcileAsked():
                self._callers = (*self._callers, message.answer_to)
                self._want(Due(orders=True, positions=True))
            case NextLook():
                if self._pass is not None and self._pass.number == message.number:
                    self._look()
            case LookOverdue():
                if message.look == self._looks and (self._catch_up is not None or self._picture is not None):
                    self._failed(f"the picture was not complete within {LOOK_MS} ms")
            case Answered():
                if message.tag == f"reconcile:{self._looks}" and self._catch_up is not None:
                    self._feed(message)
            case Compared():
                if self._picture is not None and message.asked_ms == self._picture.asked_ms:
                    self._weigh(message)
            case Ping():
                return True
            case _:
                raise TypeError(f"unexpected message {message!r}")
        return None

    def crashed(self, message: Any, error: BaseException) -> None:
        if isinstance(error, JournalError):
            self._context.journal_failed(error, actor=_WHO)
        else:
            self._context.observe("actor.crash", {"actor": _WHO, "what": type(message).__name__, "error": repr(error)})
        if self._pass is not None:
            self._failed(f"comparing failed: {error!r}")

    def _arm(self, due: Due, delay_ms: int) -> None:
        key = (_WHO, "orders" if due.orders else "positions")
        self._context.ports.timers.after(delay_ms, self.mailbox, due, key)

    # Passes.

    def _want(self, due: Due) -> None:
        self._wanted = Due(orders=self._wanted.orders or due.orders, positions=self._wanted.positions or due.positions)
        if self._pass is None:
            self._begin()

    def _begin(self) -> None:
        if not self._context.gate.reconciled:
            self._wanted = Due(orders=True, positions=True)
        self._passes += 1
        self._pass = _Pass(
            number=self._passes,
            orders=self._wanted.orders,
            positions=self._wanted.positions,
            callers=self._callers,
        )
        self._wanted, self._callers = Due(), ()
        self._look()

    def _again(self, delay_ms: int) -> None:
        assert self._pass is not None
        again = NextLook(number=self._pass.number)
        self._context.ports.timers.after(delay_ms, self.mailbox, again, (_WHO, "again"))

    def _failed(self, why: str) -> None:
        self._catch_up = self._picture = None
        current = self._pass
        assert current is not None
        current.failures += 1
        current.report = evolve(current.report, complete=False, why=why)
        awaited = bool(current.callers) or not self._context.gate.reconciled
        if awaited and current.failures < MAX_FAILURES:
            self._again(self._plan.confirm_ms)
        else:
            self._end()

    def _end(self) -> None:
        current, self._pass = self._pass, None
        assert current is not None
        report = evolve(current.report, found=tuple(current.found), looks=current.looks)
        self._context.observe(
            "reconciled",
            {
                "complete": report.complete,
                "why": report.why,
                "found": len(report.found),
                "left": len(report.left),
                "looks": report.looks,
            },
        )
        if report.looks > current.failures:
            self._context.gate.set_reconciled()
        for caller in current.callers:
            caller.tell(report)
        if self._wanted != Due():
            self._begin()

    # Looking.

    def _look(self) -> None:
        current, context, plan = self._pass, self._context, self._plan
        assert current is not None
        self._looks += 1
        current.looks += 1
        until_ms = Ms(self._exchange_ms())
        since_ms = None
        if current.positions:
            mark = context.journal.mark(EXECUTIONS_MARK)
            since_ms = Ms(max(int(mark) - plan.overlap_ms, plan.first_ms)) if mark else plan.first_ms
        self._catch_up = catchup.begin(
            context.now_ms(),
            until_ms=until_ms,
            since_ms=since_ms,
            symbols=held_symbols(context) if current.positions else (),
            deep=self._doubted() if current.positions else (),
            deep_since_ms=plan.first_ms,
            orders=current.orders,
            positions=current.positions,
        )
        self._ask()
        overdue = LookOverdue(look=self._looks)
        context.ports.timers.after(LOOK_MS, self.mailbox, overdue, (_WHO, "overdue"))

    def _doubted(self) -> tuple[Any, ...]:
        """
        Symbols whose executions are asked for as far back as one question reaches.

        Those whose position differs, and those of which such a question found an execution: without it the next
        picture would not show it again, and neither difference would ever be confirmed.
        """
        doubted = (
            (suspect.finding.category, suspect.finding.symbol)
            for suspect in self._suspects.values()
            if suspect.finding.kind in reconcile.OF_POSITIONS | {FindingKind.EXECUTION_ONLY_THERE}
        )
        return tuple(dict.fromkeys(doubted))

    def _ask(self) -> None:
        assert self._catch_up is not None
        question = Send(tag=f"reconcile:{self._looks}", call=self._catch_up.question(), answer_to=self.mailbox)
        self._context.to.gateway.tell(question)

    def _feed(self, message: Answered) -> None:
        assert self._catch_up is not None
        after = catchup.feed(self._catch_up, message.reply)
        match after:
            case catchup.CatchUp():
                self._catch_up = after
                self._ask()
            case catchup.Unfinished():
                self._failed(after.why)
            case catchup.Picture():
                self._catch_up, self._picture = None, after
                if after.positions is None:
                    self._weigh(Compared(asked_ms=after.asked_ms, agreements=(), unlisted=()))
                    return
                seen = PositionsSeen(
                    rows=after.positions, source=Source.RECONCILE, asked_ms=after.asked_ms, answer_to=self.mailbox
                )
                self._context.to.portfolio.tell(seen)

    def _weigh(self, compared: Compared) -> None:
        picture, current = self._picture, self._pass
        assert picture is not None
        assert current is not None
        self._picture = None
        self._context.ports.timers.cancel((_WHO, "overdue"))
        holdings = self._holdings(picture, compared)
        comparison = reconcile.compare(holdings, picture, self._suspects, self._policies)
        self._suspects = comparison.suspects
        self._act(comparison, picture)
        self._keep_mark(holdings, picture)
        current.found.update(dict.fromkeys(comparison.told))
        left = tuple(suspect.finding for suspect in comparison.suspects.values() if suspect.confirmed)
        doubtful = comparison.fresh or bool(current.callers and comparison.discarded)
        current.report = Report(
            complete=not doubtful and not picture.quarantined,
            why=_doubt(comparison, picture),
            left=left,
            orders=len(picture.orders or ()),
            executions=len(picture.executions),
            positions=len(compared.agreements) + len(compared.unlisted),
        )
        if (doubtful or comparison.told) and current.looks < MAX_LOOKS:
            self._again(self._plan.confirm_ms)
        else:
            self._end()

    def _holdings(self, picture: catchup.Picture, compared: Compared) -> Holdings:
        context = self._context
        journal = context.journal
        retired: dict[str, Ms] = {}
        for row in picture.orders or ():
            if context.registry.owner(row.order_link_id, row.order_id) is not None:
                continue
            entry = journal.order(row.order_link_id) if row.order_link_id else None
            entry = entry or journal.order_by_order_id(row.order_id)
            if entry is not None:
                retired[row.order_id] = Ms(entry.updated_ms)
        accounted = {}
        if picture.since_ms is not None:
            for execution in journal.executions_since(picture.since_ms):
                key = reconcile.key_of(execution.category, execution.symbol, execution.exec_id)
                accounted[key] = Ms(execution.exec_ms)
        return Holdings(
            orders=tuple(slot.cell.snapshot for slot in context.registry.slots()),
            retired=retired,
            foreign={order_id: order.heard_ms for order_id, order in context.foreign.items()},
            unknown=unknown(context, picture),
            accounted=accounted,
            agreements=compared.agreements,
            unlisted=compared.unlisted,
        )

    # Acting.

    def _act(self, comparison: Comparison, picture: catchup.Picture) -> None:
        context = self._context
        for spoiled in picture.quarantined:
            context.to.supervisor.tell(Spoiled(quarantine=spoiled, where=_WHO, queried=True))
        for link_id in comparison.rechecks:
            slot = context.registry.slot(link_id)
            if slot is not None:
                slot.tell(Recheck(asked_ms=picture.asked_ms))
        for execution in comparison.executions:
            deliver(context, execution, Source.RECONCILE)
        for row in comparison.rows:
            deliver(context, row, Source.RECONCILE, picture.asked_ms)
        for position in comparison.adopt:
            context.to.portfolio.tell(AdoptPosition(row=position, why="the exchange's balance differs from ours"))
        if comparison.forgotten:
            context.to.external.tell(Forget(order_ids=comparison.forgotten))
        for finding in comparison.told:
            self._tell(finding)
        for finding in comparison.gone:
            context.gate.thaw(finding.category, finding.symbol, _freeze_words(finding))
            context.status(
                "difference_gone",
                f"{finding.kind} {finding.category} {finding.symbol}: both sides agree again",
                category=finding.category,
                symbol=finding.symbol,
                order_link_id=finding.order_link_id,
                order_id=finding.order_id,
            )

    def _tell(self, finding: Finding) -> None:
        context = self._context
        reaction = self._policies.of(finding.kind)
        slot = context.registry.slot(finding.order_link_id) if finding.order_link_id else None
        snapshot = slot.cell.snapshot if slot is not None else None
        context.announce(
            Event(
                type=EventType.RECONCILIATION_ALERT,
                at_ms=context.now_ms(),
                correlation_id=snapshot.correlation_id if snapshot is not None else "",
                signal_id=snapshot.signal_id if snapshot is not None else "",
                order_link_id=finding.order_link_id,
                order_id=finding.order_id,
                exec_id=finding.exec_ids[0] if len(finding.exec_ids) == 1 else "",
                category=finding.category,
                symbol=finding.symbol,
                source=Source.RECONCILE,
                reason=str(finding.kind),
                detail=f"{finding.text}: {_WORDS[reaction]}",
                order=snapshot,
                finding=finding,
            )
        )
        why = _freeze_words(finding)
        brake(context, reaction, finding.category, finding.symbol, who=_WHO, why=why, lasting=False)

    def _keep_mark(self, holdings: Holdings, picture: catchup.Picture) -> None:
        """Move the watermark where the list was complete and the journal has all of it."""
        told, self._spoiled = self._spoiled, picture.quarantined
        if picture.since_ms is None or holdings.unknown or not set(picture.quarantined) <= set(told):
            return
        mark = self._context.journal.mark(EXECUTIONS_MARK)
        if mark is None or int(mark) < picture.until_ms:
            self._context.journal.commit(
                Batch(at_ms=self._context.now_ms(), marks={EXECUTIONS_MARK: str(picture.until_ms)})
            )


_WORDS = {
    Reaction.ADOPT: "the exchange's word is taken over",
    Reaction.QUERY: "asking and taking in what the exchange says",
    Reaction.ALERT: "a person should look: `hean reconcile`",
    Reaction.HALT_SYMBOL: "only reduce-only orders on this symbol until both sides agree",
    Reaction.HALT_ALL: "halted; look with `hean reconcile`, then `hean resume`",
}


def _freeze_words(finding: Finding) -> str:
    return f"{finding.kind} {finding.category} {finding.symbol} {finding.position_idx}: both sides differ"


def _doubt(comparison: Comparison, picture: catchup.Picture) -> str:
    if picture.quarantined:
        return f"{len(picture.quarantined)} rows do not read: {picture.quarantined[0].why}"
    if comparison.fresh:
        return "a difference was seen once and not again yet"
    return "something here was newer than the picture" if comparison.discarded else ""
