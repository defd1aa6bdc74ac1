"""Whatever the wire does to the truth, an order ends as the exchange has it."""

from __future__ import annotations

from hypothesis import given, note
from hypothesis import strategies as st

from hean.core.types import OrderState, OrderStatus
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


@given(st.binary(max_size=160))
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
