"""A router, the exchange it trades on, and what both remember, side by side."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from hean import Event, EventType, OrderType, Router, Side, Signal, Ticket
from hean.bybit.auth import Credentials
from hean.bybit.endpoints import checked
from hean.bybit.rest import RestClient
from hean.core.calls import Call, CancelOrder, SwitchMode, VerdictKind
from hean.core.types import Category
from hean.journal import JournalView
from tests.conftest import env_of
from tests.exchange import LoopbackExchange

WAIT_S = 20
# The age at which an absence begins to prove something, just beyond the receive window and a second.
VISIBLE_MS = 1_600
# Bounds short enough for a test, and a breaker that does not speak up before the scenario is over.
QUICK: dict[str, object] = {
    "bybit__recv_window_ms": 500,
    "bybit__reply_timeout_s": 1,
    "orders__visibility_delay_s": VISIBLE_MS / 1000,
    "orders__retry_base_s": 0.02,
    "orders__retry_cap_s": 0.1,
    "orders__query_base_s": 0.05,
    "orders__query_cap_s": 0.2,
    "stream__backoff_base_s": 0.05,
    "stream__backoff_cap_s": 0.2,
    "breaker__failures": 1000,
}

# What is published of an execution's effect; of one that flips a position, twice.
POSITION_EVENTS = {"POSITION_OPENED", "POSITION_UPDATE", "POSITION_CLOSED", "FUNDING"}


class World:
    """
    Both sides of one test.

    Args:
        exchange: what the router trades on.
        journal: the router's file.
        settings: over the quick ones, as `section__key=value`.
    """

    def __init__(self, exchange: LoopbackExchange, journal: Path, **settings: object) -> None:
        self.exchange = exchange
        self.journal = journal
        self.settings = QUICK | settings

    @property
    def create(self) -> dict[str, str]:
        """What a fault's match says to strike the creates of this world's way of entry."""
        return self._writes("create")

    @property
    def cancel(self) -> dict[str, str]:
        """The same for cancels."""
        return self._writes("cancel")

    @property
    def amend(self) -> dict[str, str]:
        """The same for amends."""
        return self._writes("amend")

    def _writes(self, verb: str) -> dict[str, str]:
        rest = self.settings.get("bybit__entry") == "rest"
        return {"endpoint": f"order/{verb}"} if rest else {"op": f"order.{verb}"}

    @contextmanager
    def router(self, **settings: object) -> Iterator[Router]:
        """A running router; each call is a restart on the same journal."""
        with Router.from_env(env_of(self.exchange, self.journal, **self.settings | settings)) as router:
            if self.settings.get("bybit__entry") != "rest":
                # Until then orders would go over REST.
                await_event(router, EventType.STATUS, reason="trade_LIVE")
            yield router

    # What the exchange remembers.

    def creates(self, order_link_id: str) -> list[dict[str, Any]]:
        """Every create of that ID that reached the exchange, or was lost on its doorstep, in order."""
        return [
            row
            for row in self.exchange.requests()
            if row["orderLinkId"] == order_link_id and "create" in (row.get("op") or row.get("endpoint") or "")
        ]

    def commands(self, verb: str, ticket: Ticket) -> list[dict[str, Any]]:
        """Every cancel or amend of that order that reached the exchange, in order."""
        named = {ticket.order_link_id, ticket.snapshot().order_id}
        return [
            row
            for row in self.exchange.requests()
            if (row.get("op") or row.get("endpoint")) in {f"order.{verb}", f"order/{verb}"}
            and named & {row["orderLinkId"], row["orderId"]}
        ]

    def orders(self, order_link_id: str | None = None) -> list[dict[str, Any]]:
        """The exchange's orders of that ID, or all of them."""
        return [row for row in self.exchange.books()["orders"] if order_link_id in {None, row["orderLinkId"]}]

    def executions(self, order_link_id: str | None = None) -> list[dict[str, Any]]:
        """The exchange's executions of that order, or all of them."""
        return [row for row in self.exchange.books()["executions"] if order_link_id in {None, row["orderLinkId"]}]

    def fired(self, name: str) -> int:
        """How often faults of that name have fired since the last clear."""
        return sum(row["fired"] for row in self.exchange.faults() if row["fault"] == name)

    def cancel_by_hand(self, ticket: Ticket) -> None:
        """Another hand with our key cancels that order, past every router."""
        order = ticket.snapshot()
        self._by_hand(CancelOrder(category=order.category, symbol=order.symbol, order_link_id=order.order_link_id))

    def switch_by_hand(self, symbol: str, mode: int) -> None:
        """Another hand with our key makes a symbol one-way (0) or hedged (3)."""
        self._by_hand(SwitchMode(category=Category.LINEAR, symbol=symbol, mode=mode))

    def _by_hand(self, call: Call) -> None:
        urls = self.exchange.urls
        client = RestClient(
            endpoints=checked(rest_url=urls["rest"], private_url=urls["private"], trade_url=urls["trade"]),
            credentials=Credentials(api_key=urls["api_key"], api_secret=urls["api_secret"]),
            clock=lambda: time.time_ns() // 1_000_000,
        )
        assert VerdictKind.ACCEPTED is client.perform(call).verdict.kind
        client.close()

    # What we remember.

    def records(self, order_link_id: str, kind: str) -> list[dict[str, Any]]:
        """The journal's records of that order."""
        with JournalView.read(self.journal) as view:
            return [orjson.loads(record.body) for record in view.records(order_link_id=order_link_id, kind=kind)]

    def decisions(self, order_link_id: str) -> list[str]:
        """What was decided of that order's commands, as its records tell it."""
        told = [effect for fact in self.records(order_link_id, "fact") for effect in fact["effects"]]
        return [effect.removeprefix("Decide ") for effect in told if effect.startswith("Decide ")]

    def correlations(self, order_link_id: str) -> set[str]:
        """Every correlation ID under which the journal tells of that order."""
        with JournalView.read(self.journal) as view:
            return {record.correlation_id for record in view.records(order_link_id=order_link_id)}

    def told_of_positions(self) -> Counter[str]:
        """How often the journal tells what each execution did to its position."""
        with JournalView.read(self.journal) as view:
            told = [orjson.loads(record.body) for record in view.records(kind="event")]
        return Counter(event["exec_id"] for event in told if event["type"] in POSITION_EVENTS)

    def parked(self) -> int:
        """How many executions wait for their order."""
        with JournalView.read(self.journal) as view:
            return len(view.parked())

    def assert_books_equal(self, router: Router) -> None:
        """Every execution of the exchange is in our journal once, and every position is the same."""
        books = self.exchange.books()
        theirs = Counter((row["symbol"], row["execId"]) for row in books["executions"])
        with JournalView.read(self.journal) as view:
            ours = Counter((entry.symbol, entry.exec_id) for entry in view.executions())
        assert theirs == ours
        assert {
            (row["category"], row["symbol"], row["positionIdx"]): (row["side"], Decimal(row["size"]))
            for row in books["positions"]
            if Decimal(row["size"])
        } == {key: (held.side, held.size) for key, held in router.positions.items() if held.size}


def signal(name: str, **changes: Any) -> Signal:
    """A market order that fills at once."""
    values: dict[str, Any] = {
        "strategy_id": "storm",
        "signal_id": name,
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "qty": "0.001",
    }
    return Signal(**values | changes)


def resting(name: str, **changes: Any) -> Signal:
    """A limit order far below the market."""
    return signal(name, **{"order_type": OrderType.LIMIT, "price": "50000"} | changes)


def events_until(router: Router, enough: Callable[[Event], bool], timeout_s: float = WAIT_S) -> list[Event]:
    """Events since the start, up to the first that is enough."""
    seen = []
    for event in router.events(timeout_s):
        seen.append(event)
        if enough(event):
            return seen
    raise AssertionError(f"not seen: {[(event.type.value, event.reason, event.detail) for event in seen]}")


def until(seen: Callable[[], Any], timeout_s: float = WAIT_S) -> Any:
    """What `seen` returns, once it is true; for what happens at the exchange or in the journal, and tells nobody."""
    deadline = time.monotonic() + timeout_s
    while not (value := seen()):
        assert time.monotonic() < deadline, f"not seen within {timeout_s} s"
        threading.Event().wait(0.02)
    return value


def await_event(router: Router, type_: EventType, ticket: Ticket | None = None, reason: str = "") -> Event:
    """The first event of that type, of that order, with that reason."""

    def enough(event: Event) -> bool:
        mine = ticket is None or event.order_link_id == ticket.order_link_id
        return event.type is type_ and mine and reason in {"", event.reason}

    return events_until(router, enough)[-1]


def types_of(router: Router, ticket: Ticket) -> list[EventType]:
    """The types of an order's events so far."""
    return [event.type for event in router.events(0) if event.order_link_id == ticket.order_link_id]


def await_nth(router: Router, reason: str, nth: int) -> Event:
    """The nth event with that reason since the start."""
    seen = 0

    def enough(event: Event) -> bool:
        nonlocal seen
        seen += event.reason == reason
        return seen == nth

    return events_until(router, enough)[-1]
