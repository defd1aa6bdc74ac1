"""The cell that a ticket looks at, and the registry's count of what is active."""

from __future__ import annotations

import threading
from decimal import Decimal

from attrs import evolve

from hean import Category, OrderSnapshot, OrderState, OrderType, Side
from hean.actors.boundary import Inbox
from hean.actors.registry import Cell, Registry, Slot
from hean.core.types import OrderId, OrderLinkId, OrderStatus

WAIT_S = 10
OPEN = OrderSnapshot(
    order_link_id=OrderLinkId("h1-a"),
    correlation_id="c",
    strategy_id="s",
    signal_id="1",
    category=Category.LINEAR,
    symbol="BTCUSDT",
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    state=OrderState.SUBMITTED,
    outcome=None,
    qty=Decimal("0.001"),
    price=Decimal(50000),
    cum_exec_qty=Decimal(0),
    leaves_qty=Decimal("0.001"),
    avg_price=None,
)
CLOSED = evolve(OPEN, state=OrderState.CLOSED, outcome=OrderState.CANCELLED)


def slot_of(snapshot: OrderSnapshot) -> Slot:
    return Slot(snapshot.order_link_id, Inbox("order"), Cell(snapshot, "digest"))


def test_a_snapshot_is_seen_at_once_and_waited_for_until_it_is_told() -> None:
    cell = Cell(OPEN, "digest")
    cell.publish(CLOSED)
    assert CLOSED == cell.snapshot
    over = threading.Event()
    waiting = threading.Thread(target=lambda: (cell.wait(lambda snapshot: snapshot.settled, WAIT_S), over.set()))
    waiting.start()
    assert not over.wait(0.05)
    cell.wake()
    assert over.wait(WAIT_S)
    waiting.join()


def test_nobody_is_let_go_for_what_is_over_already() -> None:
    cell = Cell(CLOSED, "digest")
    cell.publish(OPEN)
    assert OPEN == cell.wait(lambda snapshot: snapshot.settled, 0)
    assert not cell._is_told(lambda snapshot: snapshot.settled)


def test_a_release_lets_go_who_waits_for_ever() -> None:
    registry, slot = Registry(), slot_of(OPEN)
    registry.track(slot)
    waiting = threading.Thread(target=lambda: slot.cell.wait(lambda snapshot: snapshot.settled, None))
    waiting.start()
    registry.release()
    waiting.join(WAIT_S)
    assert not waiting.is_alive()
    assert OPEN == slot.cell.wait(lambda snapshot: snapshot.settled, None)


def test_a_retired_slot_takes_nothing_more() -> None:
    slot = slot_of(OPEN)
    assert slot.tell("in time")
    slot.retire()
    assert not slot.tell("late")
    assert ["in time"] == slot.mailbox.leftover()


def test_an_order_is_found_by_either_id_until_it_is_forgotten() -> None:
    registry, slot = Registry(), slot_of(evolve(OPEN, order_id=OrderId("x")))
    registry.track(slot)
    assert registry.bind(slot.order_link_id, OrderId("x"))
    assert not registry.bind(slot.order_link_id, OrderId("x"))
    assert (slot, slot, None) == (
        registry.owner("h1-a", ""),
        registry.owner("", "x"),
        registry.owner("h1-other", "y"),
    )
    registry.forget(slot)
    assert (None, None, ()) == (registry.owner("h1-a", ""), registry.owner("", "x"), registry.slots())
    assert slot.cell is registry.cell("h1-a")


def test_a_cell_that_nobody_holds_is_forgotten() -> None:
    registry = Registry()
    cell = registry.keep(OPEN.order_link_id, Cell(OPEN, "digest"))
    assert cell is registry.keep(OPEN.order_link_id, Cell(CLOSED, "digest"))
    del cell
    assert registry.cell(OPEN.order_link_id) is None


def test_active_orders_are_counted_by_symbol() -> None:
    registry, slot = Registry(), slot_of(OPEN)
    registry.track(slot)
    assert (1, 0) == registry.active("linear", "BTCUSDT")
    registry.publish(slot, evolve(OPEN, status=OrderStatus.UNTRIGGERED))
    assert (1, 1) == registry.active("linear", "BTCUSDT")
    registry.publish(slot, CLOSED)
    assert (0, 0) == registry.active("linear", "BTCUSDT")
    assert (0, 0) == registry.active("linear", "ETHUSDT")
