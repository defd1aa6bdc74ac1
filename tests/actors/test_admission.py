"""Signals at the door: what is known, what is denied, and that a denial sends nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from hean import DenyReason, EventType, OrderState, OrderType, Router, Side, Signal, Ticket
from hean.journal import Journal, JournalView
from tests.conftest import Routers, env_of
from tests.exchange import LoopbackExchange

WAIT_S = 10


@pytest.fixture(scope="module")
def shop() -> Iterator[LoopbackExchange]:
    with LoopbackExchange() as exchange:
        yield exchange


@pytest.fixture(scope="module")
def open_router(shop: LoopbackExchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """One router for all denials: each must leave it, and the exchange, as they were."""
    with Router.from_env(env_of(shop, tmp_path_factory.mktemp("denials") / "journal.db")) as router:
        yield router


def signal(name: str, **changes: Any) -> Signal:
    values: dict[str, Any] = {
        "strategy_id": "door",
        "signal_id": name,
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "qty": "0.001",
    }
    return Signal(**values | changes)


def resting(name: str, **changes: Any) -> Signal:
    return signal(name, **{"order_type": OrderType.LIMIT, "price": "50000"} | changes)


def blocked(router: Router, ticket: Ticket) -> list[Any]:
    """The reasons of RISK_BLOCKED that the journal has of one ticket."""
    with JournalView.read(Path(router._journal.path)) as view:
        bodies = [orjson.loads(row.body) for row in view.records(order_link_id=ticket.order_link_id, kind="event")]
    return [body["reason"] for body in bodies if body["type"] == EventType.RISK_BLOCKED]


class Number(float):
    """A float in disguise."""


@pytest.mark.parametrize(
    "changes,reason",
    [
        ({"symbol": "NOSUCHUSDT"}, DenyReason.BAD_SYMBOL),
        ({"symbol": ""}, DenyReason.BAD_SYMBOL),
        ({"symbol": None}, DenyReason.BAD_SYMBOL),
        ({"symbol": ["BTCUSDT"]}, DenyReason.BAD_SYMBOL),
        ({"symbol": "btcusdt"}, DenyReason.BAD_SYMBOL),
        ({"side": "buy"}, DenyReason.BAD_SIDE),
        ({"side": None}, DenyReason.BAD_SIDE),
        ({"qty": "0"}, DenyReason.BAD_QTY),
        ({"qty": "-0.001"}, DenyReason.BAD_QTY),
        ({"qty": "NaN"}, DenyReason.BAD_QTY),
        ({"qty": Decimal("sNaN")}, DenyReason.BAD_QTY),
        ({"qty": "Infinity"}, DenyReason.BAD_QTY),
        ({"qty": Decimal("-Infinity")}, DenyReason.BAD_QTY),
        ({"qty": 0.001}, DenyReason.BAD_QTY),
        ({"qty": Number(0.001)}, DenyReason.BAD_QTY),
        ({"qty": "one"}, DenyReason.BAD_QTY),
        ({"qty": None}, DenyReason.BAD_QTY),
        ({"qty": True}, DenyReason.BAD_QTY),
        ({"qty": "0.0015"}, DenyReason.OFF_STEP),
        ({"qty": "0.0001"}, DenyReason.BELOW_MINIMUM),
        ({"qty": "100000"}, DenyReason.ABOVE_MAXIMUM),
        ({"order_type": OrderType.LIMIT, "price": "50000.05"}, DenyReason.OFF_TICK),
        ({"order_type": OrderType.LIMIT, "price": "1000", "qty": "0.001"}, DenyReason.BELOW_NOTIONAL),
        ({"order_type": OrderType.LIMIT}, DenyReason.MISSING_PRICE),
        ({"order_type": OrderType.LIMIT, "price": 50000.0}, DenyReason.BAD_PRICE),
        ({"order_type": OrderType.LIMIT, "price": "-50000"}, DenyReason.BAD_PRICE),
        ({"price": "50000"}, DenyReason.BAD_PRICE),
        ({"order_type": "Stop"}, DenyReason.BAD_TYPE),
        ({"category": "option"}, DenyReason.NOT_SUPPORTED),
        ({"reduce_only": "yes"}, DenyReason.BAD_TYPE),
        ({"position_idx": 3}, DenyReason.BAD_TYPE),
        ({"strategy_id": ""}, DenyReason.BAD_IDENTITY),
        ({"leg": 1000}, DenyReason.BAD_IDENTITY),
        ({"correlation_id": "two\nlines"}, DenyReason.BAD_IDENTITY),
    ],
)  # fmt: skip
def test_bad_input_is_denied_and_journalled_and_nothing_is_sent(
    changes: dict[str, Any],
    reason: DenyReason,
    open_router: Router,
    shop: LoopbackExchange,
    request: pytest.FixtureRequest,
) -> None:
    ticket = open_router.submit(signal(request.node.name, **changes))
    snapshot = ticket.snapshot()
    assert (OrderState.DENIED, reason) == (snapshot.state, snapshot.deny_reason)
    assert snapshot.reason
    assert [reason] == blocked(open_router, ticket)
    books = shop.books()
    assert ([], 0) == (books["orders"], books["counters"]["creates_received"])
    assert set() == {row["orderLinkId"] for row in shop.requests()} - {""}


def test_a_denial_is_published_after_its_signal(router: Routers) -> None:
    made = router()
    ticket = made.submit(signal("float", qty=0.5))
    events = [event for event in made.events(0.2) if event.order_link_id == ticket.order_link_id]
    assert [EventType.SIGNAL, EventType.RISK_BLOCKED] == [event.type for event in events]
    assert {ticket.correlation_id} == {event.correlation_id for event in events}


def test_a_denied_signal_stays_denied(router: Routers, exchange: LoopbackExchange) -> None:
    made = router()
    made.halt("lunch")
    first = made.submit(signal("while halted"))
    made.resume()
    second = made.submit(signal("while halted"))
    assert DenyReason.HALTED == first.snapshot().deny_reason
    assert (first.order_link_id, OrderState.DENIED) == (second.order_link_id, second.state)
    assert [] == exchange.books()["orders"]


def test_a_known_id_with_another_payload_is_a_denial_of_its_own(router: Routers, exchange: LoopbackExchange) -> None:
    made = router()
    first = made.submit(resting("one"))
    first.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    other = made.submit(resting("one", qty="0.002"))
    assert (OrderState.DENIED, DenyReason.DUPLICATE_ID) == (other.state, other.snapshot().deny_reason)
    assert other.order_link_id != first.order_link_id
    assert [DenyReason.DUPLICATE_ID] == blocked(made, other)
    assert OrderState.ACKNOWLEDGED == first.state
    assert [("0.001", first.order_link_id)] == [(row["qty"], row["orderLinkId"]) for row in exchange.books()["orders"]]
    assert other.order_link_id == made.submit(resting("one", qty="0.002")).order_link_id
    assert first.order_link_id == made.submit(resting("one", qty="0.0010", price="50000.0")).order_link_id


def test_the_same_signal_twice_is_one_order(router: Routers, exchange: LoopbackExchange) -> None:
    made = router()
    first = made.submit(signal("twice"))
    second = made.submit(signal("twice"))
    assert first.order_link_id == second.order_link_id
    assert OrderState.CLOSED == second.wait(WAIT_S).state
    assert first.snapshot() == second.snapshot()
    third = made.submit(signal("twice"))
    assert OrderState.CLOSED == third.state
    books = exchange.books()
    assert (1, 1) == (len(books["orders"]), books["counters"]["creates_received"])


def test_a_known_signal_is_answered_whatever_the_gates_say(router: Routers) -> None:
    made = router()
    first = made.submit(resting("known"))
    first.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    made.halt("hands off")
    assert (first.order_link_id, OrderState.ACKNOWLEDGED) == (
        made.submit(resting("known")).order_link_id,
        made.submit(resting("known")).state,
    )


@pytest.mark.parametrize("limits,entry", [("bybit", "ws"), ("bybit", "rest"), ("none", "ws"), ("none", "rest")])
def test_a_hundred_signals_from_four_threads_twice_are_a_hundred_orders(
    limits: str, entry: str, tmp_path: Path
) -> None:
    start = threading.Barrier(4)

    def submit_all(router: Router, order: int) -> list[Ticket]:
        start.wait(WAIT_S)
        numbers = range(100) if order % 2 else reversed(range(100))
        return [
            router.submit(signal(f"n{number}", side=Side.SELL if number % 3 == 0 else Side.BUY))
            for number in numbers
            for _ in range(2)
        ]

    with (
        LoopbackExchange(limits=limits) as exchange,
        Router.from_env(env_of(exchange, tmp_path / "j.db", bybit__entry=entry)) as router,
    ):
        with ThreadPoolExecutor(4) as threads:
            tickets = [ticket for part in threads.map(lambda n: submit_all(router, n), range(4)) for ticket in part]
        assert 100 == len({ticket.order_link_id for ticket in tickets})
        assert {OrderState.CLOSED} == {ticket.wait(60).state for ticket in tickets}
        books, size = exchange.books(), router.positions["BTCUSDT"]
        counters = books["counters"]
        assert (100, 100, 100) == (len(books["orders"]), counters["creates_received"], counters["creates_accepted"])
        assert {0} == {row["verdict"] for row in exchange.requests()}
        (theirs,) = [row for row in books["positions"] if row["symbol"] == "BTCUSDT"]
        assert (theirs["side"], Decimal(theirs["size"])) == (size.side, size.size)
        assert Decimal("0.032") == size.size


def test_a_submit_while_the_journal_fails_is_denied_and_halts(router: Routers, exchange: LoopbackExchange) -> None:
    made = router()
    fails = made._journal._connection
    fails.execute("PRAGMA query_only = 1")
    ticket = made.submit(signal("unwritten"))
    assert (OrderState.DENIED, DenyReason.JOURNAL_FAILED) == (ticket.state, ticket.snapshot().deny_reason)
    fails.execute("PRAGMA query_only = 0")
    assert DenyReason.HALTED == made.submit(signal("after")).snapshot().deny_reason
    assert [] == exchange.books()["orders"]


def test_a_signal_of_an_earlier_run_gives_the_same_ticket(
    router_env: dict[str, str], exchange: LoopbackExchange
) -> None:
    with Router.from_env(router_env) as first:
        settled, denied = first.submit(signal("bought")), first.submit(signal("bad", qty="0"))
        open_one = first.submit(resting("rests"))
        settled.wait(WAIT_S)
        open_one.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    with Router.from_env(router_env) as second:
        again = (signal("bought"), signal("bad", qty="0"), resting("rests"))
        tickets = [second.submit(each) for each in again]
        assert [settled.order_link_id, denied.order_link_id, open_one.order_link_id] == [
            ticket.order_link_id for ticket in tickets
        ]
        assert [OrderState.CLOSED, OrderState.DENIED, OrderState.ACKNOWLEDGED] == [ticket.state for ticket in tickets]
        assert Decimal("0.001") == second.positions["BTCUSDT"].size
        assert "sent" == tickets[2].cancel().decided
        assert OrderState.CANCELLED == tickets[2].wait(WAIT_S).outcome
    assert 2 == len(exchange.books()["orders"])


def test_the_intent_is_in_the_journal_before_the_bytes(router: Routers, exchange: LoopbackExchange) -> None:
    made = router()
    exchange.fault("delay_reply", match={"op": "order.create"}, args={"ms": 400})
    ticket = made.submit(signal("slow"))
    with JournalView.read(Path(made._journal.path)) as view:
        assert ["signal"] == [row.kind for row in view.records(order_link_id=ticket.order_link_id)][:1]
    assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
    (create,) = [row for row in exchange.requests() if row["orderLinkId"]]
    with JournalView.read(Path(made._journal.path)) as view:
        intent = next(iter(view.records(order_link_id=ticket.order_link_id)))
    assert intent.at_ms <= int(create["time"])


def test_the_journal_is_sound_after_all_that(open_router: Router) -> None:
    assert isinstance(open_router._journal, Journal)
    assert open_router._journal.verify_chain() is None
