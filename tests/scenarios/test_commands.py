"""
Cancels and amends: from any state, by either ID, one at a time, decided at once.

What the exchange shows is what came of them; its books are asked each time.
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from hean import EventType, OrderState, OrderType, Router, Side, Ticket
from tests.scenarios.world import WAIT_S, World, await_event, resting, signal, until

LIVE = OrderState.ACKNOWLEDGED


def acknowledged(router: Router, name: str = "rests", **changes: Any) -> Ticket:
    ticket = router.submit(resting(name, **changes))
    assert LIVE == ticket.wait_for(LIVE, WAIT_S).state
    return ticket


def their(world: World, ticket: Ticket) -> dict[str, Any]:
    (row,) = world.orders(ticket.order_link_id)
    return row


def test_an_order_is_found_and_commanded_by_either_id(world: World) -> None:
    with world.router() as router:
        ticket = acknowledged(router)
        order_id = ticket.snapshot().order_id
        assert order_id is not None
        assert ticket.order_link_id == router.ticket(order_id).order_link_id
        assert router.trace(ticket.order_link_id) == router.trace(order_id)
        assert "sent" == router.amend(order_id, price="50001").decided
        until(lambda: ticket.snapshot().price == Decimal(50_001))
        assert "sent" == router.cancel(order_id, who="a person", why="enough").decided
        assert OrderState.CANCELLED == ticket.wait(WAIT_S).outcome
        assert ("Cancelled", "50001") == (their(world, ticket)["orderStatus"], their(world, ticket)["price"])
        assert "denied" == router.cancel("no-such-order").decided
        assert "denied" == router.amend("no-such-order", price="50001").decided
        with pytest.raises(KeyError):
            router.ticket("no-such-order")
    with world.router() as router:
        # A settled order is found by the exchange's ID in the journal too.
        assert OrderState.CANCELLED == router.ticket(order_id).outcome
        assert "CLOSED" in router.cancel(order_id).why


AMENDS = [
    ({"price": "49000"}, {}, {"price": "49000", "qty": "0.001"}),
    ({"qty": "0.005"}, {}, {"price": "50000", "qty": "0.005"}),
    ({"price": "49000", "qty": "0.002"}, {}, {"price": "49000", "qty": "0.002"}),
    ({"stop_loss": "40000"}, {}, {"stopLoss": "40000", "takeProfit": "0"}),
    ({"take_profit": "60000"}, {"stop_loss": "40000"}, {"stopLoss": "40000", "takeProfit": "60000"}),
    ({"take_profit": "0"}, {"take_profit": "60000", "stop_loss": "40000"}, {"stopLoss": "40000", "takeProfit": "0"}),
    ({"trigger_price": "97000"}, {"price": "99000", "trigger_price": "96000"}, {"triggerPrice": "97000"}),
    (
        {"trigger_price": "97000"},
        {"order_type": OrderType.MARKET, "price": None, "trigger_price": "96000"},
        {"triggerPrice": "97000"},
    ),
]


@pytest.mark.parametrize("changes, of, shown", AMENDS)
def test_each_part_of_an_order_can_be_amended(
    changes: dict[str, str], of: dict[str, Any], shown: dict[str, str], world: World
) -> None:
    with world.router() as router:
        ticket = acknowledged(router, **of)
        assert "sent" == ticket.amend(**changes).decided
        assert ["amend taken: the exchange shows it"] == until(lambda: world.decisions(ticket.order_link_id))
        row = their(world, ticket)
        assert {key: Decimal(value) for key, value in shown.items()} == {key: Decimal(row[key] or "0") for key in shown}
        order = ticket.snapshot()
        for name, value in changes.items():
            assert Decimal(value) == (getattr(order, name) or Decimal(0))
        amended = await_event(router, EventType.ORDER_AMENDED, ticket)
        assert all(name in amended.detail for name in changes)
        ticket.cancel()
        assert OrderState.CANCELLED == ticket.wait(WAIT_S).outcome
    assert 1 == len(world.commands("amend", ticket))


def test_cancel_asked_twice_is_sent_once(world: World) -> None:
    with world.router() as router:
        ticket = acknowledged(router)
        world.exchange.fault("delay_reply", world.cancel, args={"ms": 500})
        world.exchange.fault("delay_push", {"topic": "order"}, args={"ms": 500})
        assert ["sent", "waiting", "waiting"] == [ticket.cancel().decided for _ in range(3)]
        assert "cancel" == ticket.snapshot().pending
        order = ticket.wait(WAIT_S)
        assert (OrderState.CANCELLED, "") == (order.outcome, order.pending)
        assert [1, 1] == [world.fired("delay_reply"), world.fired("delay_push")]
    assert 1 == len(world.commands("cancel", ticket))


def test_amend_waits_for_the_one_that_is_out(world: World) -> None:
    with world.router() as router:
        ticket = acknowledged(router)
        world.exchange.fault("delay_push", {"topic": "order"}, args={"ms": 500})
        assert ["sent", "waiting"] == [ticket.amend(qty=qty).decided for qty in ("0.002", "0.003")]
        until(lambda: ticket.snapshot().qty == Decimal("0.003"))
        assert 1 == world.fired("delay_push")
        assert "0.003" == their(world, ticket)["qty"]
        ticket.cancel()
        assert OrderState.CANCELLED == ticket.wait(WAIT_S).outcome
    amends = world.commands("amend", ticket)
    assert 2 == len(amends)
    assert 500 <= amends[1]["time"] - amends[0]["time"]


def test_amend_that_waits_is_told_when_a_newer_one_takes_its_place(world: World) -> None:
    with world.router() as router:
        ticket = acknowledged(router)
        world.exchange.fault("delay_push", {"topic": "order"}, args={"ms": 300})
        decided = [ticket.amend(qty=qty).decided for qty in ("0.002", "0.003", "0.004")]
        assert ["sent", "waiting", "waiting"] == decided
        until(lambda: ticket.snapshot().qty == Decimal("0.004"))
        assert "0.004" == their(world, ticket)["qty"]
        assert 1 == world.fired("delay_push")
    assert 2 == len(world.commands("amend", ticket))
    assert [
        "amend not taken: superseded by a newer amend; qty 0.003 was not sent",
        "amend taken: the exchange shows it",
        "amend taken: the exchange shows it",
    ] == world.decisions(ticket.order_link_id)


def test_cancel_of_a_create_that_waits_in_the_queue_takes_it_back(world: World) -> None:
    with world.router() as router:
        # Bybit takes ten creates a second: what is beyond them waits here.
        tickets = [router.submit(resting(f"q{number}", price=str(50_000 - number))) for number in range(30)]
        last = tickets[-1]
        assert OrderState.SUBMITTED == last.state
        assert "waiting" == last.cancel().decided
        order = last.wait(WAIT_S)
        assert (OrderState.DENIED, "cancelled_unsent") == (order.state, order.reason)
        assert "denied" == last.cancel().decided
        router.cancel_all()
        assert {OrderState.CANCELLED, OrderState.DENIED} >= {ticket.wait(WAIT_S).outcome for ticket in tickets}
        assert [] == world.orders(last.order_link_id) == world.creates(last.order_link_id)
        assert {"Cancelled"} == {row["orderStatus"] for row in world.orders()}


def test_command_of_a_create_that_is_not_answered_waits_for_evidence(world: World) -> None:
    with world.router(bybit__reply_timeout_s=10) as router:
        for name in ("amended", "cancelled"):
            world.exchange.fault("delay_reply", world.create, args={"ms": 600})
            world.exchange.fault("delay_push", {"topic": "order"}, args={"ms": 400})
            ticket = router.submit(resting(name))
            until(partial(world.orders, ticket.order_link_id))
            assert OrderState.SUBMITTED == ticket.state
            decision = ticket.cancel() if name == "cancelled" else ticket.amend(qty="0.002")
            assert "waiting" == decision.decided
            assert [] == world.commands("cancel", ticket) + world.commands("amend", ticket)
            if name == "amended":
                await_event(router, EventType.ORDER_AMENDED, ticket)
                assert "0.002" == their(world, ticket)["qty"]
            else:
                assert OrderState.CANCELLED == ticket.wait(WAIT_S).outcome
        assert [2, 2] == [world.fired("delay_reply"), world.fired("delay_push")]


def test_cancel_of_an_unknown_outcome_is_sent_once_the_order_is_found(world: World) -> None:
    with world.router() as router:
        world.exchange.fault("lose_reply", world.create)
        world.exchange.fault("drop_push", {"topic": "order"})
        world.exchange.fault("error", {"endpoint": "order/realtime"}, count=3, args={"ret_code": 10016})
        world.exchange.fault("error", {"endpoint": "order/history"}, count=3, args={"ret_code": 10016})
        ticket = router.submit(resting("unknown"))
        await_event(router, EventType.ORDER_UNKNOWN, ticket)
        assert "denied" == ticket.amend(qty="0.002").decided
        assert "waiting" == ticket.cancel().decided
        assert [] == world.commands("cancel", ticket)
        order = ticket.wait(WAIT_S)
        assert (OrderState.CANCELLED, Decimal(0)) == (order.outcome, order.cum_exec_qty)
        assert [1, 1] == [world.fired("lose_reply"), world.fired("drop_push")]
    assert [1, 1] == [len(world.creates(ticket.order_link_id)), len(world.commands("cancel", ticket))]


def test_cancel_of_a_create_that_was_refused_for_now_is_the_end_once_its_absence_is_proven(world: World) -> None:
    with world.router() as router:
        world.exchange.fault("rate_limit", world.create, args={"ms": 1_500})
        ticket = router.submit(resting("throttled"))
        ticket.wait_for(OrderState.PENDING, WAIT_S)
        until(lambda: ticket.state is OrderState.PENDING)
        assert "denied" == ticket.amend(qty="0.002").decided
        assert "waiting" == ticket.cancel().decided
        order = ticket.wait(WAIT_S)
        assert (OrderState.REJECTED, "not_placed") == (order.outcome, order.reason)
        assert 1 == world.fired("rate_limit")
        assert [] == world.orders()
    assert 1 == len(world.creates(ticket.order_link_id))


def test_command_of_a_filled_order_is_denied_and_nothing_is_sent(world: World) -> None:
    with world.router() as router:
        # Filled, and kept from settling.
        world.exchange.fault("drop_push", {"topic": "position"}, count=None)
        world.exchange.fault("error", {"endpoint": "position/list"}, count=None, args={"ret_code": 10016})
        ticket = router.submit(signal("filled"))
        assert OrderState.FILLED == ticket.wait_for(OrderState.FILLED, WAIT_S).state
        assert ["denied", "denied"] == [ticket.cancel().decided, ticket.amend(qty="0.002").decided]
        world.exchange.clear_faults()
        assert OrderState.CLOSED == ticket.wait(WAIT_S).state
        assert ["denied", "denied"] == [ticket.cancel().decided, ticket.amend(qty="0.002").decided]
        world.assert_books_equal(router)
    assert [] == world.commands("cancel", ticket) + world.commands("amend", ticket)


def test_cancel_all_of_a_symbol_reaches_every_state_and_no_other_symbol(world: World) -> None:
    with world.router() as router:
        rests = acknowledged(router)
        part = acknowledged(router, "part", qty="0.003", price="50100")
        world.exchange.market("BTCUSDT", trade={"price": "50100", "qty": "0.001"})
        assert OrderState.PARTIAL_FILL == part.wait_for(OrderState.PARTIAL_FILL, WAIT_S).state
        trigger = acknowledged(router, "trigger", order_type=OrderType.MARKET, price=None, trigger_price="99000")
        inverse = router.submit(resting("inverse", symbol="BTCUSD", category="inverse", qty="10"))
        other = acknowledged(router, "other", symbol="ETHUSDT", qty="0.1", price="1000")
        assert LIVE == inverse.wait_for(LIVE, WAIT_S).state
        filled = router.submit(signal("filled"))
        filled.wait(WAIT_S)
        decisions = router.cancel_all("BTCUSDT")
        assert dict.fromkeys([rests.order_link_id, part.order_link_id, trigger.order_link_id], "sent") == {
            link_id: decision.decided for link_id, decision in decisions.items()
        }
        assert [OrderState.CANCELLED] * 3 == [ticket.wait(WAIT_S).outcome for ticket in (rests, part, trigger)]
        assert [LIVE, LIVE] == [inverse.state, other.state]
        statuses = {row["orderLinkId"]: row["orderStatus"] for row in world.orders()}
        assert ["Cancelled", "Cancelled", "Deactivated", "New", "New", "Filled"] == [
            statuses[ticket.order_link_id] for ticket in (rests, part, trigger, inverse, other, filled)
        ]
        world.assert_books_equal(router)


def test_cancel_of_a_symbol_whose_stream_is_away_passes(world: World) -> None:
    with world.router() as router:
        ticket = acknowledged(router)
        world.exchange.fault("cut_private", args={"refuse_s": 2})
        until(lambda: not router.live)
        assert OrderState.DENIED == router.submit(signal("now", side=Side.SELL)).state
        assert "sent" == ticket.cancel().decided
        until(lambda: their(world, ticket)["orderStatus"] == "Cancelled")
        assert OrderState.CANCELLED == ticket.wait(WAIT_S).outcome
