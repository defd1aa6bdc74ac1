"""
Positions: every path of a position, measured against the exchange's own books.

Executions count in the exchange's order whatever the order of their arrival. Gross PnL, fees and funding are three
sums; together they are what the exchange calls cumRealisedPnl.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from hean import Event, EventType, OrderState, PositionSnapshot, Router, Side
from tests.scenarios.world import WAIT_S, World, events_until, signal, until

ZERO = Decimal(0)
# The exchange books each fill's PnL to twelve places; of an average that has no last digit so much may be lost a fill.
ROUNDED = Decimal("1e-12")
POSITION_EVENTS = {EventType.POSITION_OPENED, EventType.POSITION_UPDATE, EventType.POSITION_CLOSED}

OPENED, UPDATE, CLOSED = EventType.POSITION_OPENED, EventType.POSITION_UPDATE, EventType.POSITION_CLOSED
# What is traded, at which price, and what is published of it.
STORY: list[tuple[Side, str, str, list[EventType]]] = [
    (Side.BUY, "3", "95000", [OPENED]),
    (Side.BUY, "4", "95700", [UPDATE]),
    (Side.SELL, "2", "96000", [UPDATE]),
    (Side.SELL, "5", "94000", [CLOSED]),
    (Side.SELL, "1", "94500", [OPENED]),
    (Side.BUY, "3", "93000", [CLOSED, OPENED]),
    (Side.SELL, "9", "97000", [CLOSED, OPENED]),
    (Side.BUY, "7", "96500", [CLOSED]),
]


def sums(pairs: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    return {coin: amount for coin, amount in pairs if amount}


def assert_money_equal(world: World, router: Router) -> None:
    """Side, size, average, fees, funding and PnL of every position are the exchange's."""
    books = world.exchange.books()
    paid: dict[tuple[Any, ...], dict[str, dict[str, Decimal]]] = defaultdict(lambda: {"Funding": {}, "Trade": {}})
    counts: dict[tuple[Any, ...], int] = defaultdict(int)
    for row in books["executions"]:
        of = paid[row["category"], row["symbol"]][row["execType"]]
        of[row["feeCurrency"]] = of.get(row["feeCurrency"], ZERO) + Decimal(row["execFee"])
        counts[row["category"], row["symbol"]] += 1
    assert books["positions"]
    for row in books["positions"]:
        key = (row["category"], row["symbol"])
        ours = router.positions[(*key, row["positionIdx"])]
        assert (row["side"] or None, Decimal(row["size"]), row["seq"]) == (ours.side, ours.size, ours.seq)
        average = ZERO if ours.avg_price is None else ours.avg_price.quantize(Decimal("1e-8"))
        assert Decimal(row["avgPrice"]) == average
        assert paid[key]["Trade"] == sums(ours.fees)
        assert sums(paid[key]["Funding"].items()) == sums(ours.funding)
        net = ours.realised_pnl - sum(sums(ours.fees).values()) - sum(sums(ours.funding).values())
        assert abs(Decimal(row["cumRealisedPnl"]) - net) <= ROUNDED * counts[key]


def at(world: World, symbol: str, category: str, price: str) -> None:
    """The market stands at that price, for both sides."""
    world.exchange.market(symbol, category, bid=price, ask=str(Decimal(price) + 1), bid_qty="900", ask_qty="900")


def position_events(router: Router, symbol: str) -> list[Event]:
    return [event for event in router.events(0) if event.type in POSITION_EVENTS and event.symbol == symbol]


def assert_executions_add_up(events: list[Event]) -> None:
    """Σ executions = position, after every event that was published."""
    total, seen = ZERO, set()
    for event in events:
        assert event.position is not None
        assert event.execution is not None
        if event.exec_id not in seen:
            seen.add(event.exec_id)
            total += event.execution.side.sign * event.execution.exec_qty
        if event.type is not EventType.POSITION_CLOSED:
            assert total == signed(event.position)


def signed(position: PositionSnapshot) -> Decimal:
    return ZERO if position.side is None else position.side.sign * position.size


@pytest.mark.parametrize("category, symbol, unit", [("linear", "BTCUSDT", "0.001"), ("inverse", "BTCUSD", "100")])
@pytest.mark.parametrize("mirrored", [False, True], ids=["long first", "short first"])
def test_every_step_of_a_position_is_the_exchanges(
    category: str, symbol: str, unit: str, mirrored: bool, plain_world: World
) -> None:
    world = plain_world
    with world.router() as router:
        kinds: list[EventType] = []
        for number, (side, qty, price, published) in enumerate(STORY):
            at(world, symbol, category, price)
            side = side.opposite if mirrored else side
            wish = {"symbol": symbol, "category": category, "qty": str(int(qty) * Decimal(unit))}
            order = router.submit(signal(f"step{number}", side=side, **wish)).wait(WAIT_S)
            # Settled says: compared with a row of the exchange at or past its last execution.
            assert (OrderState.CLOSED, OrderState.FILLED) == (order.state, order.outcome)
            assert_money_equal(world, router)
            kinds += published
        events = position_events(router, symbol)
        assert kinds == [event.type for event in events]
        assert_executions_add_up(events)
        # What was published last is what is held: size, average and all three sums.
        assert router.positions[category, symbol, 0] == events[-1].position
        world.assert_books_equal(router)
        before = dict(router.positions)
    with world.router() as router:
        assert before == dict(router.positions)
        assert_money_equal(world, router)


def test_one_execution_that_flips_closes_one_position_and_opens_another(plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        router.submit(signal("long", qty="0.003")).wait(WAIT_S)
        ticket = router.submit(signal("flip", side=Side.SELL, qty="0.005"))
        ticket.wait(WAIT_S)
        assert 1 == len(world.executions(ticket.order_link_id))
        closed, opened = (
            event
            for event in router.events(0)
            if event.exec_id and event.position and event.order_link_id == ticket.order_link_id
        )
        assert (EventType.POSITION_CLOSED, EventType.POSITION_OPENED) == (closed.type, opened.type)
        assert closed.exec_id == opened.exec_id
        assert closed.position is not None
        assert opened.position is not None
        assert (None, ZERO, None) == (closed.position.side, closed.position.size, closed.position.avg_price)
        assert (Side.SELL, Decimal("0.002")) == (opened.position.side, opened.position.size)
        assert_money_equal(world, router)


def test_late_executions_are_folded_in_the_exchanges_order(plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        # What happened first is heard of last.
        for delay_ms in (900, 600, 300):
            world.exchange.fault("delay_push", {"topic": "execution"}, args={"ms": delay_ms})
        tickets = []
        for number, (side, qty, price) in enumerate(
            [
                (Side.BUY, "0.003", "95000"),
                (Side.SELL, "0.001", "97000"),
                (Side.BUY, "0.004", "94000"),
                (Side.SELL, "0.007", "96000"),
            ]
        ):
            at(world, "BTCUSDT", "linear", price)
            tickets.append(router.submit(signal(f"late{number}", side=side, qty=qty)))
            until(partial(world.executions, tickets[-1].order_link_id))
        assert {OrderState.FILLED} == {ticket.wait(WAIT_S).outcome for ticket in tickets}
        assert 3 == world.fired("delay_push")
        events = position_events(router, "BTCUSDT")
        assert "refolded" in [event.reason for event in events]
        by_arrival = list(dict.fromkeys(event.exec_id for event in events))
        assert by_arrival != [row["execId"] for row in world.exchange.books()["executions"]]
        assert_executions_add_up(events)
        assert_money_equal(world, router)
        world.assert_books_equal(router)


@pytest.mark.parametrize("rate", ["0.0001", "-0.0003"])
@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
def test_funding_is_a_sum_of_its_own(rate: str, side: Side, plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        router.submit(signal("held", side=side, qty="0.004")).wait(WAIT_S)
        pnl = router.positions["BTCUSDT"].realised_pnl
        fees = router.positions["BTCUSDT"].fees
        world.exchange.fault("funding", args={"symbol": "BTCUSDT", "rate": rate})
        event = events_until(router, lambda event: event.type is EventType.FUNDING)[-1]
        assert event.position is not None
        held = router.positions["BTCUSDT"]
        assert (pnl, fees, Decimal("0.004")) == (held.realised_pnl, held.fees, held.size)
        ((coin, paid),) = held.funding
        assert "USDT" == coin
        assert (paid > ZERO) is ((Decimal(rate) > ZERO) is (side is Side.BUY))
        router.submit(signal("out", side=side.opposite, qty="0.004", reduce_only=True)).wait(WAIT_S)
        assert_money_equal(world, router)
        world.assert_books_equal(router)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_storm_of_trades_over_a_stream_in_disorder_ends_as_the_exchange_says(seed: int, plain_world: World) -> None:
    world, rng = plain_world, random.Random(seed)
    markets = [
        ("linear", "BTCUSDT", "0.001", 95_000),
        ("linear", "ETHUSDT", "0.01", 3_000),
        ("inverse", "BTCUSD", "100", 95_000),
    ]
    world.exchange.limits(endpoint="order/create", per_s=1_000)
    with world.router() as router:
        for name, probability in (("duplicate_push", 0.3), ("reorder_push", 0.3), ("drop_push", 0.1)):
            for topic in ("execution", "order", "position"):
                world.exchange.fault(name, {"topic": topic}, count=None, probability=probability)
        tickets = []
        for number in range(40):
            category, symbol, unit, price = rng.choice(markets)
            at(world, symbol, category, str(price + rng.randrange(-price // 50, price // 50)))
            wish = {"symbol": symbol, "category": category, "qty": str(rng.randrange(1, 9) * Decimal(unit))}
            tickets.append(router.submit(signal(f"storm{number}", side=rng.choice(list(Side)), **wish)))
        assert {OrderState.FILLED} == {ticket.wait(WAIT_S).outcome for ticket in tickets}
        assert all(world.fired(name) for name in ("duplicate_push", "reorder_push", "drop_push"))
        world.exchange.clear_faults()
        report = router.reconcile()
        assert report.equal
        for ticket in tickets:
            assert OrderState.CLOSED == ticket.wait(WAIT_S).state
        assert_money_equal(world, router)
        world.assert_books_equal(router)
        before = dict(router.positions)
    with world.router() as router:
        assert before == dict(router.positions)
