"""Passes of comparing, message by message: when they begin and end, and what a failed picture may not do."""

from __future__ import annotations

from decimal import Decimal

import pytest

from hean.actors.messages import (
    Answered,
    Compared,
    Forget,
    LookAgain,
    PositionsSeen,
    ReconcileAsked,
    Send,
    Spoiled,
    StreamChanged,
    Unowned,
)
from hean.actors.reconciler import (
    MAX_FAILURES,
    MAX_LOOKS,
    Due,
    LookOverdue,
    NextLook,
    Plan,
    ReconcilerActor,
    Soon,
)
from hean.core.calls import Page, Quarantine, QueryExecutions, QueryOrders, Reply, Verdict, VerdictKind
from hean.core.foreign import ForeignOrder
from hean.core.reconcile_record import Policies, Report
from hean.core.types import (
    Category,
    EventType,
    ExecId,
    ExecType,
    Execution,
    FindingKind,
    Ms,
    OrderId,
    OrderLinkId,
    OrderStatus,
    PositionSnapshot,
    Reaction,
    Side,
)
from hean.journal import Batch, ExecutionEntry
from hean.journal.marks import EXECUTIONS_MARK
from tests.actors.stage import Box, Stage

THERE_MS = 1_000_000
PLAN = Plan(orders_ms=10_000, positions_ms=20_000, confirm_ms=1_000, overlap_ms=60_000, first_ms=Ms(900_000))
EXECUTION = Execution(
    category=Category.LINEAR,
    symbol="BTCUSDT",
    exec_id=ExecId("e-1"),
    order_id=OrderId("o-1"),
    order_link_id=OrderLinkId(""),
    side=Side.BUY,
    exec_type=ExecType.TRADE,
    exec_qty=Decimal(1),
    exec_price=Decimal(100),
    seq=1,
    exec_ms=Ms(950_000),
)
PHANTOM = PositionSnapshot(
    category=Category.LINEAR, symbol="BTCUSDT", position_idx=0, side=Side.BUY, size=Decimal(1), seq=1
)


class World(Stage):
    """A reconciler alone, the exchange that answers it, and the portfolio."""

    def __init__(self, policies: Policies) -> None:
        super().__init__()
        self.actor = ReconcilerActor(Box(), self.context, exchange_ms=lambda: THERE_MS, plan=PLAN, policies=policies)
        self.actor.on_start()

    def fire(self, name: str) -> None:
        _, message = self.timers.pop(("reconciler", name))
        self.actor.handle(message)

    # The exchange and the portfolio.

    def answer(self, *, kind: VerdictKind = VerdictKind.ACCEPTED, **pages: Page) -> None:
        """Answer every question until a picture is complete, then compare positions."""
        while questions := self.boxes["gateway"].take(Send):
            (question,) = questions
            page = pages.get(type(question.call).__name__, Page())
            result = page if kind is VerdictKind.ACCEPTED else None
            reply = Reply(call=question.call, verdict=Verdict(kind=kind, ret_msg="no"), result=result)
            self.actor.handle(Answered(tag=question.tag, reply=reply))

    def answer_by_symbol(self, execution: Execution) -> bool:
        """Answer as one whose list shows an execution only to who asks for its symbol; whether that was asked."""
        asked = False
        while questions := self.boxes["gateway"].take(Send):
            (question,) = questions
            by_symbol = isinstance(question.call, QueryExecutions) and question.call.symbol == execution.symbol
            asked |= by_symbol
            page = Page(executions=(execution,)) if by_symbol else Page()
            reply = Reply(call=question.call, verdict=Verdict(kind=VerdictKind.ACCEPTED), result=page)
            self.actor.handle(Answered(tag=question.tag, reply=reply))
        return asked

    def compare(self, *unlisted: PositionSnapshot) -> None:
        for seen in self.boxes["portfolio"].take(PositionsSeen):
            self.actor.handle(Compared(asked_ms=seen.asked_ms, agreements=(), unlisted=unlisted))

    def go_live(self) -> None:
        self.actor.handle(StreamChanged(live=True))
        self.answer()
        self.compare()


@pytest.fixture
def world() -> World:
    return World(Policies())


def test_nothing_is_asked_before_the_stream_is_live(world: World) -> None:
    world.fire("orders")
    world.fire("positions")
    world.actor.handle(LookAgain(why="odd"))
    world.fire("soon")
    assert [] == world.boxes["gateway"].told
    assert {10_000, 20_000} == {delay_ms for delay_ms, _ in world.timers.values()}


def test_first_picture_opens_the_gate(world: World) -> None:
    world.context.gate.set_live(True, "")
    assert "comparison" in world.context.gate.live_why
    world.go_live()
    assert world.context.gate.live


def test_pictures_that_fail_do_not_open_the_gate_and_are_tried_again(world: World) -> None:
    world.actor.handle(StreamChanged(live=True))
    for _ in range(MAX_FAILURES - 1):
        world.answer(kind=VerdictKind.UNKNOWN)
        assert not world.context.gate.reconciled
        world.fire("again")
    world.answer()
    world.compare()
    assert world.context.gate.reconciled


def test_timer_asks_for_its_part_alone(world: World) -> None:
    world.go_live()
    world.fire("orders")
    assert QueryOrders is type(world.boxes["gateway"].told[0].call)
    world.answer()
    assert [] == world.boxes["portfolio"].told
    world.fire("positions")
    calls = []
    while questions := world.boxes["gateway"].take(Send):
        calls.append(type(questions[0].call))
        reply = Reply(call=questions[0].call, verdict=Verdict(kind=VerdictKind.ACCEPTED), result=Page())
        world.actor.handle(Answered(tag=questions[0].tag, reply=reply))
    assert QueryOrders not in calls
    assert QueryExecutions in calls


def test_what_is_wanted_meanwhile_is_looked_at_afterwards(world: World) -> None:
    world.go_live()
    world.fire("orders")
    caller = Box()
    world.actor.handle(ReconcileAsked(answer_to=caller))
    world.answer()
    assert [] == caller.told
    world.answer()
    world.compare()
    (report,) = caller.take(Report)
    assert (True, 1) == (report.equal, report.looks)


def test_caller_is_told_when_no_picture_can_be_made(world: World) -> None:
    caller = Box()
    world.actor.handle(ReconcileAsked(answer_to=caller))
    for _ in range(MAX_FAILURES - 1):
        world.answer(kind=VerdictKind.UNKNOWN)
        world.fire("again")
    world.answer(kind=VerdictKind.UNKNOWN)
    assert Report(complete=False, why="QueryOrders: answered no", looks=MAX_FAILURES) == caller.told[0]
    assert not world.context.gate.reconciled


def test_picture_that_is_overdue_is_given_up(world: World) -> None:
    world.go_live()
    world.fire("orders")
    late = world.boxes["gateway"].take(Send)[0]
    world.fire("overdue")
    reply = Reply(call=late.call, verdict=Verdict(kind=VerdictKind.ACCEPTED), result=Page())
    world.actor.handle(Answered(tag=late.tag, reply=reply))
    assert [] == world.boxes["gateway"].told
    # A timer of a picture that is over means nothing.
    world.actor.handle(LookOverdue(look=1))
    world.actor.handle(NextLook(number=1))
    assert [] == world.boxes["gateway"].told


def test_difference_is_looked_at_again_before_it_is_told(world: World) -> None:
    world.go_live()
    caller = Box()
    world.actor.handle(ReconcileAsked(answer_to=caller))
    world.answer()
    world.compare(PHANTOM)
    assert [] == world.reasons()
    world.fire("again")
    world.answer()
    world.compare(PHANTOM)
    assert ["position_only_here"] == world.reasons()
    assert "both sides differ" in world.context.gate.symbols["linear", "BTCUSDT"]
    world.fire("again")
    world.answer()
    world.compare(PHANTOM)
    (report,) = caller.take(Report)
    assert (True, False, 3) == (report.complete, report.equal, report.looks)
    assert [FindingKind.POSITION_ONLY_HERE] == [finding.kind for finding in report.left]


def test_execution_that_only_a_deep_question_shows_is_asked_for_until_it_is_taken_in(world: World) -> None:
    world.go_live()
    world.actor.handle(ReconcileAsked(answer_to=Box()))
    asked = [world.answer_by_symbol(EXECUTION)]
    world.compare(PHANTOM)
    for _ in range(2):
        world.fire("again")
        asked.append(world.answer_by_symbol(EXECUTION))
        world.compare(PHANTOM)
    assert [False, True, True] == asked
    assert [EXECUTION] == [told.row for told in world.boxes["supervisor"].take(Unowned)]


def test_difference_that_goes_lifts_what_it_brought(world: World) -> None:
    test_difference_is_looked_at_again_before_it_is_told(world)
    world.fire("positions")
    world.answer()
    world.compare()
    assert ["position_only_here", "difference_gone"] == world.reasons()
    assert {} == world.context.gate.symbols


def test_pass_ends_even_where_something_new_is_suspected_each_time(world: World) -> None:
    world.go_live()
    world.fire("positions")
    for number in range(MAX_LOOKS):
        world.answer()
        world.compare(PositionSnapshot(category=Category.LINEAR, symbol=f"X{number}", position_idx=0, size=Decimal(1)))
        if ("reconciler", "again") in world.timers:
            world.fire("again")
    assert [] == world.boxes["gateway"].told
    assert [] == world.reasons()


def test_policy_halts_everything_by_the_gateway() -> None:
    world = World(Policies(position_only_here=Reaction.HALT_ALL))
    world.go_live()
    world.fire("positions")
    for _ in range(2):
        world.answer()
        world.compare(PHANTOM)
        if ("reconciler", "again") in world.timers:
            world.fire("again")
    assert "reconciler" in world.context.gate.halted_why
    assert [("reconciler", True)] == [
        (message.who, "both sides differ" in message.why)
        for message in world.boxes["gateway"].told
        if not isinstance(message, Send)
    ]


# The watermark.


def test_watermark_waits_until_the_journal_has_every_execution(world: World) -> None:
    world.go_live()
    journal = world.context.journal
    assert str(THERE_MS) == journal.mark(EXECUTIONS_MARK)
    journal.commit(Batch(at_ms=0, marks={EXECUTIONS_MARK: "960000"}))
    world.fire("positions")
    world.answer(QueryExecutions=Page(executions=(EXECUTION,)))
    world.compare()
    world.fire("again")
    world.answer(QueryExecutions=Page(executions=(EXECUTION,)))
    world.compare()
    assert [EXECUTION] == [message.row for message in world.boxes["supervisor"].take(Unowned)]
    assert "960000" == journal.mark(EXECUTIONS_MARK)
    entry = ExecutionEntry(
        category="linear",
        symbol="BTCUSDT",
        exec_id="e-1",
        order_link_id="",
        order_id="o-1",
        position_idx=0,
        seq=1,
        exec_ms=950_000,
        body="{}",
    )
    journal.commit(Batch(at_ms=0, executions=(entry,)))
    world.fire("again")
    world.answer(QueryExecutions=Page(executions=(EXECUTION,)))
    world.compare()
    assert str(THERE_MS) == journal.mark(EXECUTIONS_MARK)


def test_list_begins_an_overlap_before_the_watermark_and_never_before_the_first_start(world: World) -> None:
    for mark, start_ms in (("965000", 905_000), ("901000", 900_000)):
        world.context.journal.commit(Batch(at_ms=0, marks={EXECUTIONS_MARK: mark}))
        world.actor.handle(StreamChanged(live=True))
        starts = set()
        while questions := world.boxes["gateway"].take(Send):
            call = questions[0].call
            starts |= {call.start_ms} if isinstance(call, QueryExecutions) else set()
            reply = Reply(call=call, verdict=Verdict(kind=VerdictKind.ACCEPTED), result=Page())
            world.actor.handle(Answered(tag=questions[0].tag, reply=reply))
        world.compare()
        assert {start_ms} == starts


def test_row_that_does_not_read_is_told_and_holds_the_watermark_for_one_look(world: World) -> None:
    world.go_live()
    world.context.journal.commit(Batch(at_ms=0, marks={EXECUTIONS_MARK: "960000"}))
    spoiled = Quarantine(why="no", raw="{")
    for mark in ("960000", str(THERE_MS)):
        world.fire("positions")
        world.answer(QueryExecutions=Page(quarantined=(spoiled,)))
        world.compare()
        told = world.boxes["supervisor"].take(Spoiled)
        assert {(spoiled, "reconciler", True)} == {(one.quarantine, one.where, one.queried) for one in told}
        assert mark == world.context.journal.mark(EXECUTIONS_MARK)


def test_report_of_a_picture_with_such_a_row_is_not_complete(world: World) -> None:
    world.go_live()
    caller = Box()
    world.actor.handle(ReconcileAsked(answer_to=caller))
    world.answer(QueryExecutions=Page(quarantined=(Quarantine(why="no", raw="{"),)))
    world.compare()
    assert (False, "1 rows do not read: no") == (caller.told[0].complete, caller.told[0].why)


# Others.


def test_oddities_lead_to_one_look_not_to_one_each(world: World) -> None:
    world.go_live()
    for _ in range(5):
        world.actor.handle(LookAgain(why="odd"))
    assert (1_000, Soon()) == world.timers["reconciler", "soon"]
    world.fire("soon")
    assert 1 == len(world.boxes["gateway"].told)


def test_foreign_order_that_is_not_listed_any_more_is_forgotten(world: World) -> None:
    order = ForeignOrder(
        order_id=OrderId("o-9"),
        category=Category.LINEAR,
        symbol="BTCUSDT",
        side=Side.BUY,
        status=OrderStatus.NEW,
        heard_ms=Ms(1),
    )
    world.context.foreign = {"o-9": order}
    world.go_live()
    assert [Forget(order_ids=("o-9",))] == world.boxes["external"].told


def test_crash_in_a_comparison_ends_the_pass_and_not_the_actor(world: World) -> None:
    world.go_live()
    world.fire("orders")
    world.actor.crashed(Due(orders=True), RuntimeError("bug"))
    world.boxes["gateway"].take(Send)
    world.actor.handle(Due(orders=True))
    assert 1 == len(world.boxes["gateway"].told)


def test_message_of_nobody_is_refused(world: World) -> None:
    with pytest.raises(TypeError, match="unexpected"):
        world.actor.handle("hello")


def test_alert_carries_its_finding(world: World) -> None:
    test_difference_is_looked_at_again_before_it_is_told(world)
    (event,) = [event for event in world.context.bus.read(0) if event.type is EventType.RECONCILIATION_ALERT]
    assert event.finding is not None
    assert (FindingKind.POSITION_ONLY_HERE, "Buy 1") == (event.finding.kind, event.finding.expected)
