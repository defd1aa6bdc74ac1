"""
An order in the middle of its life: its three parts are kept together, and a restart goes on from all of them.

Life-cycle, pending request and fill ledger are one value of one transaction; whatever was out is asked about, and what
was wished for is not forgotten.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from hean import OrderSnapshot, OrderState, Ticket
from hean.actors.supervisor import order_of
from hean.core.record import Order
from hean.journal import JournalView
from tests.scenarios.world import WAIT_S, World, resting, until

PART = Decimal("0.001")
PARTS = (
    "state",
    "outcome",
    "order_id",
    "qty",
    "price",
    "pending",
    "cum_exec_qty",
    "watermark",
    "gap",
    "fees",
    "avg_price",
)


def kept(world: World, ticket: Ticket) -> Order:
    """The order as the journal has it."""
    with JournalView.read(world.journal) as view:
        entry = view.order(ticket.order_link_id)
    assert entry is not None
    order = order_of(entry)
    assert isinstance(order, Order)
    return order


def part_filled(world: World, command: str) -> tuple[Ticket, OrderSnapshot]:
    """Run a router until an order is filled in part and `command` is out; then stop it."""
    with world.router() as router:
        ticket = router.submit(resting("half", qty="0.003"))
        ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        world.exchange.market("BTCUSDT", trade={"price": "50000", "qty": str(PART)})
        ticket.wait_for(OrderState.PARTIAL_FILL, WAIT_S)
        until(lambda: ticket.snapshot().watermark == PART)
        if command:
            # Neither an answer nor a row comes in the life of this process.
            door = world.cancel if command == "cancel" else world.amend
            world.exchange.fault("lose_request", door)
            world.exchange.fault("error", {"endpoint": "order/realtime"}, count=None, args={"ret_code": 10016})
            decision = ticket.cancel() if command == "cancel" else ticket.amend(qty="0.005", price="49000")
            assert "sent" == decision.decided
            until(lambda: world.fired("lose_request"))
            assert command == ticket.snapshot().pending
        snapshot = ticket.snapshot()
    world.exchange.clear_faults()
    return ticket, snapshot


@pytest.mark.parametrize("command", ["", "cancel", "amend"])
def test_all_three_parts_are_in_the_snapshot_and_in_the_journal(command: str, plain_world: World) -> None:
    world = plain_world
    ticket, snapshot = part_filled(world, command)
    assert (OrderState.PARTIAL_FILL, command, PART, PART, Decimal(0)) == (
        snapshot.state,
        snapshot.pending,
        snapshot.cum_exec_qty,
        snapshot.watermark,
        snapshot.gap,
    )
    assert (Decimal(50_000), "USDT") == (snapshot.avg_price, snapshot.fees[0][0])
    order = kept(world, ticket)
    # Only when it was last looked at may have changed while the router stopped.
    now = order.snapshot()
    assert {name: getattr(snapshot, name) for name in PARTS} == {name: getattr(now, name) for name in PARTS}
    assert {row["execId"] for row in world.executions(ticket.order_link_id)} == order.ledger.exec_ids
    assert command == (order.pending.command if order.pending is not None else "")


@pytest.mark.parametrize("command", ["", "cancel", "amend"])
def test_a_restart_goes_on_from_the_same_snapshot(command: str, plain_world: World) -> None:
    world = plain_world
    ticket, snapshot = part_filled(world, command)
    with world.router() as router:
        again = router.ticket(ticket.order_link_id)
        now = again.snapshot()
        held = ("order_id", "qty", "cum_exec_qty", "watermark", "gap", "fees", "avg_price")
        assert {name: getattr(snapshot, name) for name in held} == {name: getattr(now, name) for name in held}
        if command == "cancel":
            # What was wished for is carried out, although its first request got lost with the process.
            order = again.wait(WAIT_S)
            assert (OrderState.CANCELLED, PART) == (order.outcome, order.cum_exec_qty)
            assert 2 == len(world.commands("cancel", again))
        else:
            assert OrderState.PARTIAL_FILL == again.state
            if command == "amend":
                # Nobody knows what became of it, so one look decides: it did nothing.
                told = until(lambda: world.decisions(ticket.order_link_id))
                assert [True] == [text.startswith("amend not taken") for text in told]
            assert "" == again.snapshot().pending
            assert "sent" == again.amend(qty="0.004").decided
            until(lambda: again.snapshot().qty == Decimal("0.004"))
            world.exchange.market("BTCUSDT", trade={"price": "50000", "qty": "1"})
            order = again.wait(WAIT_S)
            assert (OrderState.FILLED, Decimal("0.004")) == (order.outcome, order.cum_exec_qty)
        assert (router.positions["BTCUSDT"].size,) == (order.cum_exec_qty,)
        world.assert_books_equal(router)
    assert 1 == len(world.creates(ticket.order_link_id))
