"""An order's actor may die; the order goes on, with the same inbox, out of the journal."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from attrs import evolve

from hean import Event, EventType, OrderState, OrderType, Router, Side, Signal, Ticket
from hean.actors.messages import Crashed, Retire, Unowned
from hean.actors.registry import Cell, Slot
from hean.actors.scribe import order_entry
from hean.actors.supervisor import MAX_CRASHES, SupervisorActor
from hean.core.facts import Broken, Executed, Sent
from hean.core.order import apply
from hean.core.record import Order
from hean.core.types import Source
from hean.journal import Batch, Committed, JournalView
from tests.actors.stage import Box, Stage
from tests.conftest import Routers
from tests.core.orders import POLICY, REQUEST, executed
from tests.exchange import LoopbackExchange

WAIT_S = 10


class Poison:
    """A message that no actor can handle."""


def resting(name: str) -> Signal:
    return Signal(
        strategy_id="s",
        signal_id=name,
        symbol="BTCUSDT",
        side=Side.BUY,
        qty="0.001",
        order_type=OrderType.LIMIT,
        price="50000",
    )


def acknowledged(router: Router, name: str) -> Ticket:
    ticket = router.submit(resting(name))
    assert OrderState.ACKNOWLEDGED == ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state
    return ticket


def await_event(router: Router, type_: EventType, ticket: Ticket) -> Event:
    for event in router.events(WAIT_S):
        if (event.type, event.order_link_id) == (type_, ticket.order_link_id):
            return event
    raise AssertionError(f"no {type_}")


def test_a_message_that_kills_every_actor_is_put_aside_and_the_order_goes_on(
    router: Routers, exchange: LoopbackExchange
) -> None:
    made = router()
    ticket = acknowledged(made, "poisoned")
    slot = made._context.registry.slot(ticket.order_link_id)
    assert slot is not None
    assert slot.tell(Poison())
    error = await_event(made, EventType.ERROR, ticket)
    assert f"crashed {MAX_CRASHES + 1} times" in error.detail
    assert OrderState.ERROR == ticket.state
    with JournalView.read(Path(made._journal.path)) as view:
        kinds = Counter(row.kind for row in view.records(order_link_id=ticket.order_link_id))
    assert 1 == kinds["poison"]
    # It is alive all the same: it takes commands and evidence.
    assert "sent" == ticket.cancel().decided
    assert OrderState.CANCELLED == ticket.wait(WAIT_S).outcome
    assert 1 == exchange.books()["counters"]["creates_received"]


class Resting(Box):
    """A mailbox whose actor has no thread that would have to end."""

    def end(self) -> bool:
        return True


class Spawned:
    """A spawner whose actors never run; what each was given to begin with."""

    def __init__(self) -> None:
        self.first: list[tuple[object, ...]] = []

    def mailbox(self, name: str) -> Box:
        return Resting()

    def start(self, _: object, mailbox: Box, slot: Slot, order: Order, context: object, first: Any) -> object:
        self.first.append(first)
        return SimpleNamespace(actor_urn=f"actor {len(self.first)}")


def test_crashes_of_an_order_that_retires_in_between_are_counted_on() -> None:
    stage, spawned, poison = Stage(), Spawned(), Poison()
    stage.context.ports = evolve(stage.context.ports, spawner=spawned)
    order = evolve(Order.of(REQUEST), state=OrderState.DENIED)
    stage.context.journal.commit(Batch(at_ms=1, order=order_entry(order, "digest")))
    supervisor = SupervisorActor(stage.boxes["supervisor"], stage.context)
    link_id, crashes = REQUEST.order_link_id, 0
    for _ in range(MAX_CRASHES + 1):
        told = Crashed(
            order_link_id=link_id, actor_urn="it", crashes=crashes, message=poison, error="boom", journal=False
        )
        supervisor.handle(told)
        slot = stage.context.registry.slot(link_id)
        assert slot is not None
        crashes = slot.crashes
        supervisor.handle(Retire(order_link_id=link_id))
        assert stage.context.registry.slot(link_id) is None
    assert [poison] * MAX_CRASHES == [first[-1] for first in spawned.first[:-1]]
    assert isinstance(spawned.first[-1][-1], Broken)
    assert 1 == [row.kind for row in stage.context.journal.records(order_link_id=link_id)].count("poison")
    assert 0 == crashes


def test_what_meets_a_failing_journal_is_kept_until_it_can_be_remembered(router: Routers) -> None:
    made = router()
    ticket, other = acknowledged(made, "unwritten"), acknowledged(made, "bystander")
    connection = made._journal._connection
    connection.execute("PRAGMA query_only = 1")
    decision = ticket.cancel()
    assert "waiting" == decision.decided
    assert OrderState.ACKNOWLEDGED == ticket.state
    connection.execute("PRAGMA query_only = 0")
    assert OrderState.CANCELLED == ticket.wait(WAIT_S).outcome
    assert OrderState.ACKNOWLEDGED == other.state
    # What could not be remembered for a while must not be traded on until a person has looked.
    assert OrderState.DENIED == made.submit(resting("after")).state


def test_a_fill_of_an_order_that_crashed_is_counted_once(router: Routers, exchange: LoopbackExchange) -> None:
    made = router()
    ticket = acknowledged(made, "filled meanwhile")
    slot = made._context.registry.slot(ticket.order_link_id)
    assert slot is not None
    assert slot.tell(Poison())
    exchange.market("BTCUSDT", bid="49000", ask="49001", bid_qty="5", ask_qty="5")
    assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
    assert "0.001" == f"{made.positions['BTCUSDT'].size:f}"
    assert 1 == [event.type for event in made.events(0)].count(EventType.ORDER_FILLED)


def test_an_execution_that_is_parked_while_its_order_learns_its_id_is_delivered_at_once() -> None:
    stage, inbox = Stage(), Box()
    journal, registry = stage.context.journal, stage.context.registry
    sent = apply(Order.of(REQUEST), Sent(), REQUEST.submitted_ms, POLICY).order
    registry.track(Slot(REQUEST.order_link_id, inbox, Cell(sent.snapshot(), "digest")))
    supervisor = SupervisorActor(stage.boxes["supervisor"], stage.context)
    execution = evolve(executed("e1", "1").execution, order_link_id="")
    commit = journal.commit

    def bound_meanwhile(batch: Batch) -> Committed:
        # The order's actor looks and finds nothing parked, the instant before the row is.
        registry.bind(REQUEST.order_link_id, execution.order_id)
        assert () == journal.parked()
        return commit(batch)

    journal.commit = bound_meanwhile  # type: ignore[method-assign]
    supervisor.handle(Unowned(row=execution, source=Source.STREAM))
    assert [execution] == [fact.execution for fact in inbox.take(Executed)]
