"""What has queued for an order is taken in together: one transaction, every fact, in its order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from hean.actors.boundary import Inbox
from hean.actors.messages import Answered, Bound, Confirm, Crashed, Fold, Ping, Send
from hean.actors.order import TOGETHER, OrderActor
from hean.actors.ports import Point
from hean.actors.registry import Cell, Slot
from hean.actors.scribe import parked_entry
from hean.core.calls import Ack, CancelOrder, CreateOrder, Phase, Reply, Verdict, VerdictKind
from hean.core.facts import CancelAsked, Executed, Sent, Settled, Shown, Timer
from hean.core.order import apply
from hean.core.record import Order
from hean.core.types import EventType, ExecId, OrderState, OrderStatus, Source
from hean.errors import JournalError
from hean.journal import Batch
from tests.actors.stage import Stage
from tests.core.orders import ORDER_ID, POLICY, REQUEST, executed, row


class Commits:
    """The stage's journal, with what it was given, and a fault of one's choice."""

    def __init__(self, stage: Stage) -> None:
        self.batches: list[Batch] = []
        self.error: BaseException | None = None
        journal, note = stage.context.journal, stage.context.journal.note

        def noted(batch: Batch) -> Any:
            if self.error is not None:
                raise self.error
            self.batches.append(batch)
            return note(batch)

        journal.note = noted  # type: ignore[method-assign]

    @property
    def facts(self) -> list[int]:
        """How many facts each transaction carried."""
        return [len(batch.records) for batch in self.batches]


class Staged:
    """An actor of an order that was sent, on an inbox that the test fills; no thread."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.inbox = Inbox("order")
        self.commits = Commits(self.stage)
        order = apply(Order.of(REQUEST), Sent(), REQUEST.submitted_ms, POLICY).order
        self.slot = Slot(REQUEST.order_link_id, self.inbox, Cell(order.snapshot(), "digest"))
        self.stage.context.registry.track(self.slot)
        self.actor = OrderActor(self.inbox, self.slot, order, self.stage.context, ())

    def handle_next(self) -> None:
        self.actor.on_receive(self.inbox.get().message)

    @property
    def state(self) -> OrderState:
        return self.slot.cell.snapshot.state


@pytest.fixture
def staged() -> Staged:
    return Staged()


def shown(status: OrderStatus, cum: str = "0", at: int = 10) -> Shown:
    return Shown(row=row(status, cum, at), source=Source.STREAM)


def test_what_has_queued_is_one_transaction_with_each_fact_in_its_turn(staged: Staged) -> None:
    for fact in (shown(OrderStatus.NEW), executed("e1", "0.4"), executed("e2", "0.6"), shown(OrderStatus.FILLED, "1")):
        staged.inbox.tell(fact)
    staged.handle_next()
    assert ([4], 0) == (staged.commits.facts, staged.inbox.depth())
    assert OrderState.FILLED is staged.state
    [batch] = staged.commits.batches
    assert ["e1", "e2"] == [entry.exec_id for entry in batch.executions]
    fills = [event for event in staged.stage.events() if event.type is EventType.ORDER_FILLED]
    assert [("e1", False), ("e2", True)] == [(event.exec_id, event.complete) for event in fills]
    folds = staged.stage.boxes["portfolio"].take(Fold)
    assert ["e1", "e2"] == [fold.execution.exec_id for fold in folds]


def accepted() -> Answered:
    reply = Reply(
        call=CreateOrder(request=REQUEST),
        verdict=Verdict(kind=VerdictKind.ACCEPTED, phase=Phase.AFTER_SEND),
        result=Ack(order_id=ORDER_ID, order_link_id=REQUEST.order_link_id),
    )
    return Answered(tag="create:1", reply=reply)


def test_an_accepted_reply_that_is_told_patiently_is_one_transaction_with_its_row(staged: Staged) -> None:
    staged.inbox.tell_patiently(accepted())
    staged.inbox.tell(shown(OrderStatus.FILLED, "1"))
    staged.inbox.tell(executed("e1", "1"))
    staged.handle_next()
    assert OrderState.FILLED is staged.state
    [batch] = staged.commits.batches
    assert ["reply", "fact", "fact", "fact"] == [record.kind for record in batch.records]


def test_an_accepted_reply_whose_row_does_not_come_is_remembered_alone(staged: Staged) -> None:
    staged.inbox.tell(accepted())
    staged.handle_next()
    assert (OrderState.SUBMITTED, ORDER_ID) == (staged.state, staged.slot.cell.snapshot.order_id)
    assert ["reply", "fact"] == [record.kind for batch in staged.commits.batches for record in batch.records]


def test_who_waits_for_an_answer_is_answered_in_its_turn(staged: Staged) -> None:
    staged.inbox.tell(shown(OrderStatus.NEW))
    staged.inbox.tell(Ping())
    staged.inbox.tell(executed("e1", "1"))
    staged.handle_next()
    assert ([1], 2) == (staged.commits.facts, staged.inbox.depth())
    staged.handle_next()
    staged.handle_next()
    assert ([1, 1], 0) == (staged.commits.facts, staged.inbox.depth())
    assert OrderState.FILLED is staged.state


def test_what_is_to_be_sent_goes_out_before_the_next_fact_is_taken_in(staged: Staged) -> None:
    staged.inbox.tell(shown(OrderStatus.NEW))
    staged.handle_next()
    staged.inbox.tell(CancelAsked(who="ann", why=""))
    staged.inbox.tell(executed("e1", "0.4"))
    staged.handle_next()
    assert ([1, 1], 1) == (staged.commits.facts, staged.inbox.depth())
    [sent] = staged.stage.boxes["gateway"].take(Send)
    assert isinstance(sent.call, CancelOrder)


def test_the_supervisor_hears_of_a_bound_id_only_where_an_execution_is_parked(staged: Staged) -> None:
    staged.inbox.tell(shown(OrderStatus.NEW))
    staged.handle_next()
    assert [] == staged.stage.boxes["supervisor"].take(Bound)
    parked = Staged()
    entry = parked_entry(executed("e1", "1").execution, parked.stage.now_ms())
    parked.stage.context.journal.commit(Batch(at_ms=1, parked=(entry,)))
    parked.inbox.tell(shown(OrderStatus.NEW))
    parked.handle_next()
    assert [ORDER_ID] == [bound.order_id for bound in parked.stage.boxes["supervisor"].take(Bound)]


def test_no_transaction_carries_more_than_its_bound(staged: Staged) -> None:
    for number in range(TOGETHER + 1):
        staged.inbox.tell(executed(f"e{number}", "0.1"))
    staged.handle_next()
    assert ([TOGETHER], 1) == (staged.commits.facts, staged.inbox.depth())


def test_facts_that_could_not_be_remembered_are_all_handled_again(staged: Staged) -> None:
    facts = [executed("e1", "0.4"), shown(OrderStatus.NEW), executed("e2", "0.6")]
    for fact in facts:
        staged.inbox.tell(fact)
    staged.commits.error = JournalError("full")
    staged.handle_next()
    assert OrderState.SUBMITTED is staged.state
    [crashed] = staged.stage.boxes["supervisor"].take(Crashed)
    # The first is the supervisor's to tell its successor; the others wait where that one finds them.
    assert (facts[0], True) == (crashed.message, crashed.journal)
    left = [message for message in staged.inbox.leftover() if message in facts]
    assert facts[1:] == left
    assert [] == staged.stage.events()


def test_a_fact_that_raises_takes_none_of_its_neighbours_with_it(staged: Staged) -> None:
    good, after = executed("e1", "0.4"), executed("e3", "0.6")
    spoilt = evolve(good, execution=evolve(good.execution, exec_id=ExecId("e2"), exec_qty=Decimal("NaN")))
    for fact in (good, shown(OrderStatus.NEW), spoilt, after):
        staged.inbox.tell(fact)
    staged.handle_next()
    assert ([2], 2) == (staged.commits.facts, staged.inbox.depth())
    staged.handle_next()
    [crashed] = staged.stage.boxes["supervisor"].take(Crashed)
    assert spoilt is crashed.message
    assert [after] == [message for message in staged.inbox.leftover() if isinstance(message, Executed)]


def test_an_order_at_rest_is_woken_by_no_timer_of_its_life(staged: Staged) -> None:
    staged.inbox.tell(shown(OrderStatus.FILLED, "1"))
    staged.handle_next()
    link_id = REQUEST.order_link_id
    assert {(link_id, Timer.QUERY)} == set(staged.stage.timers)
    staged.inbox.tell(executed("e1", "1"))
    staged.handle_next()
    [confirm] = staged.stage.boxes["portfolio"].take(Confirm)
    staged.inbox.tell(Settled(seq=confirm.seq))
    staged.handle_next()
    assert OrderState.CLOSED is staged.state
    assert {(link_id, "linger")} == set(staged.stage.timers)


def test_an_overfill_freezes_its_symbol_before_anything_can_forget_why(staged: Staged) -> None:
    staged.inbox.tell(executed("e1", "1.5"))
    staged.commits.error = JournalError("full")
    staged.handle_next()
    assert OrderState.SUBMITTED is staged.state
    assert staged.stage.context.gate.why_frozen(REQUEST.category, REQUEST.symbol)
    staged.commits.error = None
    staged.inbox.tell(executed("e1", "1.5"))
    staged.handle_next()
    assert Decimal("0.5") == staged.slot.cell.snapshot.overfill_qty


def test_what_raises_after_a_fact_was_gathered_drops_none(staged: Staged) -> None:
    facts = [executed("e1", "0.4"), shown(OrderStatus.NEW), executed("e2", "0.6")]
    for fact in facts:
        staged.inbox.tell(fact)
    passed: list[Point] = []

    def strike(point: Point) -> None:
        passed.append(point)
        if [Point.APPLIED] * 2 == passed:
            raise RuntimeError("a mistake of ours")

    staged.stage.context.ports = evolve(staged.stage.context.ports, point=strike)
    staged.handle_next()
    assert ([], OrderState.SUBMITTED) == (staged.commits.facts, staged.state)
    [crashed] = staged.stage.boxes["supervisor"].take(Crashed)
    assert facts[0] is crashed.message
    assert facts[1:] == [message for message in staged.inbox.leftover() if message in facts]
