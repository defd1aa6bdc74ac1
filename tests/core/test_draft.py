"""What a step tells carries the whole order."""

from __future__ import annotations

import ast
import inspect
from decimal import Decimal

import pytest
from attrs import evolve, fields_dict

from hean.core import commands, doubt, draft, evidence, step
from hean.core.facts import Account
from hean.core.record import Order
from hean.core.types import Category, EventType, OrderStatus, Source
from tests.core.orders import (
    ACCEPTED,
    FULL,
    NEW,
    ORDER_ID,
    PART,
    REQUEST,
    SENT,
    START_MS,
    Life,
    executed,
    last_event,
    life,
    shown,
)


def test_event_names_the_order_the_signal_and_both_clocks():
    event = last_event(life(SENT, NEW))
    assert ("c1", "s1", "h1-order", ORDER_ID, Category.LINEAR, "BTCUSDT", 10, START_MS + 2) == (
        event.correlation_id,
        event.signal_id,
        event.order_link_id,
        event.order_id,
        event.category,
        event.symbol,
        event.event_ms,
        event.at_ms,
    )


@pytest.mark.parametrize("module", [draft, doubt, commands, evidence, step])
def test_step_writes_only_what_an_order_has(module):
    calls = [node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Call)]
    writes = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "_set"]
    assert [] == [call.lineno for call in writes if call.args]
    written = {keyword.arg for call in writes for keyword in call.keywords}
    assert written
    assert set() == written - fields_dict(Order).keys()


def test_row_binds_the_order_id_once():
    made = life(SENT, NEW, shown(OrderStatus.NEW, at=20, order_id="o-2"))
    assert ORDER_ID == made.order.order_id


def test_conditional_order_that_fires_takes_its_new_order_id():
    conditional = Order.of(evolve(REQUEST, trigger_price=Decimal(110), trigger_direction=1))
    made = Life(order=conditional)
    made.take(SENT, shown(OrderStatus.UNTRIGGERED, at=10), shown(OrderStatus.NEW, at=20, order_id="o-2"))
    assert "o-2" == made.order.order_id
    # Neither the late reply nor a row of before brings the old one back.
    made.take(ACCEPTED, shown(OrderStatus.UNTRIGGERED, at=10))
    assert "o-2" == made.order.order_id
    made.take(executed("e1", "0.4", order_id="o-3"))
    assert "o-3" == made.order.order_id
    made.take(executed("e2", "0.1", order_id=""))
    assert "o-3" == made.order.order_id


def test_fill_tells_what_it_was():
    made = life(SENT, NEW, PART)
    event = last_event(made)
    assert (EventType.ORDER_FILLED, "e1", 20, False, Source.STREAM, "Trade") == (
        event.type,
        event.exec_id,
        event.event_ms,
        event.complete,
        event.source,
        event.reason,
    )
    assert PART.execution is event.execution
    assert made.order.snapshot() == event.order
    assert Account(execution=PART.execution, position_idx=0, reduce_only=False) in made.effects


def test_fill_that_completes_the_order_says_so():
    made = life(SENT, NEW, PART, FULL)
    assert [False, True] == [event.complete for event in made.events if event.type is EventType.ORDER_FILLED]
