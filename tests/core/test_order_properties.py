"""Whatever the wire does to the truth, an order ends as the exchange has it."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from attrs import evolve, frozen
from hypothesis import given, note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hean.bybit.codec import parse_frame
from hean.core.facts import Accepted, CancelAsked, Command, CommandAccepted, Executed, Fact, Sent, Shown
from hean.core.record import Order
from hean.core.types import (
    EventType,
    Execution,
    Ms,
    OrderId,
    OrderRequest,
    OrderRow,
    OrderSnapshot,
    OrderState,
    OrderStatus,
    OrderType,
    Source,
    TimeInForce,
)
from tests.bybit import samples
from tests.core.orders import REQUEST, Life, life
from tests.core.world import Choices, World

ENDS = {
    OrderStatus.FILLED: OrderState.FILLED,
    OrderStatus.CANCELLED: OrderState.CANCELLED,
    OrderStatus.REJECTED: OrderState.REJECTED,
    None: OrderState.REJECTED,
}


def assert_equal_to_the_truth(world: World) -> None:
    order, truth = world.order, world.exchange
    assert truth.cum == order.ledger.cum_exec_qty
    assert {execution.exec_id for execution in truth.executions} == order.ledger.exec_ids
    assert sum(execution.exec_price * execution.exec_qty for execution in truth.executions) == order.ledger.cum_value
    assert sum(execution.exec_fee for execution in truth.executions) == sum(fee for _, fee in order.ledger.fees)
    if truth.open:
        state = OrderState.PARTIAL_FILL if truth.cum else OrderState.ACKNOWLEDGED
        assert (state, truth.qty, truth.price) == (order.state, order.qty, order.snapshot().price)
        assert (None, False) == (order.pending, order.wish_cancel)
    elif order.state is OrderState.DENIED:
        assert None is truth.status
    else:
        outcome = OrderState.CANCELLED if truth.status is OrderStatus.REJECTED and truth.cum else ENDS[truth.status]
        assert (OrderState.CLOSED, outcome) == (order.state, order.outcome)


@given(st.binary(min_size=60, max_size=200))
def test_order_ends_as_the_exchange_has_it(data):
    world = World()
    try:
        world.run(Choices(data))
        assert_equal_to_the_truth(world)
    finally:
        note("\n".join(world.story))
    state = world.order.state
    assert [] == world.deliver_everything_again()
    assert state is world.order.state
    assert_equal_to_the_truth(world)


class Hostile(RuleBasedStateMachine):
    """The same world, step by step, so that a failure names each step."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(action=st.sampled_from(World.ACTIONS), number=st.integers(0, 255))
    def happens(self, action, number):
        self.world.do(action, number)

    @invariant()
    def holds(self):
        self.world.check()

    def teardown(self):
        self.world.drain()
        assert_equal_to_the_truth(self.world)
        assert [] == self.world.deliver_everything_again()


TestHostile = Hostile.TestCase


# The documented conversations, in every order.


@frozen
class Conversation:
    """What one order's part of a documented conversation tells, by topic, each in its order."""

    request: OrderRequest
    topics: tuple[tuple[Fact, ...], ...]

    def interleavings(self) -> Iterator[tuple[Fact, ...]]:
        """Every order that keeps each topic's own."""
        labels = [number for number, topic in enumerate(self.topics) for _ in topic]
        for pattern in distinct_orders(labels):
            rest = [iter(topic) for topic in self.topics]
            yield tuple(next(rest[number]) for number in pattern)

    def permutations(self) -> Iterator[tuple[Fact, ...]]:
        """Every order whatever."""
        return itertools.permutations([fact for topic in self.topics for fact in topic])

    def end(self, facts: Iterable[Fact]) -> tuple[Life, OrderSnapshot]:
        """The order after these facts, without our own clock."""
        made = life(Sent(), *facts, order=Order.of(self.request))
        return made, evolve(made.order.snapshot(), updated_ms=Ms(0))


def distinct_orders(labels: list[int]) -> Iterator[tuple[int, ...]]:
    if not labels:
        yield ()
    for label in sorted(set(labels)):
        rest = list(labels)
        rest.remove(label)
        for order in distinct_orders(rest):
            yield (label, *order)


def conversations() -> dict[str, Conversation]:
    return {
        f"{name}:{link_id}": conversation
        for name in samples.names("seq_")
        for link_id, conversation in read_conversations(samples.load(name)).items()
    }


def read_conversations(steps: Any) -> dict[str, Conversation]:
    rows: dict[str, list[OrderRow]] = defaultdict(list)
    executions: dict[str, list[Execution]] = defaultdict(list)
    replies: dict[str, list[Fact]] = defaultdict(list)
    asked: tuple[str, str] = ("", "")
    for step in steps:
        frame = step["frame"]
        if step["channel"].startswith("rest-request"):
            asked = (step["channel"].rpartition("/")[2], frame["orderLinkId"])
        elif step["channel"] == "rest-response":
            replies[asked[1]] += answer_of(asked[0], frame)
        else:
            parsed = parse_frame(json.dumps(frame))
            for order_row in getattr(parsed, "rows", ()):
                if isinstance(order_row, OrderRow):
                    rows[order_row.order_link_id].append(order_row)
                elif isinstance(order_row, Execution):
                    executions[order_row.order_link_id].append(order_row)
    return {
        link_id: Conversation(
            request_of(told[0]),
            (
                tuple(Shown(row=order_row, source=Source.STREAM) for order_row in told),
                tuple(Executed(execution=execution, source=Source.STREAM) for execution in executions[link_id]),
                tuple(replies[link_id]),
            ),
        )
        for link_id, told in rows.items()
        if link_id
    }


def answer_of(asked: str, frame: Any) -> list[Fact]:
    assert frame["retCode"] in {0, 110017}
    if frame["retCode"]:
        return []
    if asked == "create":
        return [Accepted(attempt=1, order_id=OrderId(frame["result"]["orderId"]))]
    return [CancelAsked(), CommandAccepted(command=Command.CANCEL)]


def request_of(order_row: OrderRow) -> OrderRequest:
    return evolve(
        REQUEST,
        order_link_id=order_row.order_link_id,
        category=order_row.category,
        symbol=order_row.symbol,
        side=order_row.side,
        qty=order_row.qty,
        price=order_row.price or None,
        order_type=OrderType(order_row.order_type),
        time_in_force=TimeInForce(order_row.time_in_force),
        reduce_only=order_row.reduce_only,
        trigger_price=order_row.trigger_price,
    )


CONVERSATIONS = conversations()
# More facts than this have more orders than a test should try; those keep each topic's own order.
ALL_ORDERS_UP_TO = 6


@pytest.mark.parametrize("name", sorted(CONVERSATIONS))
def test_documented_conversation_ends_alike_in_every_order(name):
    conversation = CONVERSATIONS[name]
    written = [fact for topic in conversation.topics for fact in topic]
    _, expected = conversation.end(written)
    assert expected.state in {OrderState.FILLED, OrderState.CANCELLED, OrderState.ACKNOWLEDGED}
    orders = conversation.permutations() if len(written) <= ALL_ORDERS_UP_TO else conversation.interleavings()
    for facts in orders:
        made, end = conversation.end(facts)
        assert expected == evolve(end, pending=expected.pending), [type(fact).__name__ for fact in facts]
        assert 0 == made.told(EventType.ERROR)
        for fact in facts:
            assert () == made.take(fact).events or isinstance(fact, CancelAsked)
        assert expected == evolve(made.order.snapshot(), updated_ms=Ms(0), pending=expected.pending)


def test_documented_conversations_are_all_read():
    assert {"seq_cancel_race_with_fill", "seq_limit_two_partials_then_filled", "seq_cancel_partially_filled_spot"} <= {
        name.partition(":")[0] for name in CONVERSATIONS
    }
    assert {OrderState.FILLED, OrderState.CANCELLED} <= {
        conversation.end([fact for topic in conversation.topics for fact in topic])[1].state
        for conversation in CONVERSATIONS.values()
    }
