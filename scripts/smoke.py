"""
The round trip, step by step, each with its evidence: from a signal to a closed position and back to flat.

With BYBIT_API_KEY and BYBIT_API_SECRET in the environment it trades the smallest sizes on the real testnet (or on the
exchange that HEAN_BYBIT__REST_URL, __PRIVATE_URL and __TRADE_URL name) and cleans up after itself; without keys it
starts the loopback exchange of the tests. The first and the last line name the exchange.

Exit codes: 0 all steps seen; 1 a bug; 2 wrong settings; 3 a step saw something else, or the journal failed; 4 the two
sides differ; 5 the exchange refused or was not reached; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import requests
from attrs import define, field
from loguru import logger

from hean import (
    Category,
    ConfigError,
    Event,
    EventType,
    HeanError,
    OrderSnapshot,
    OrderState,
    OrderType,
    RemoteError,
    Router,
    Side,
    Signal,
    Ticket,
)
from hean.bybit.auth import Credentials
from hean.bybit.endpoints import checked
from hean.bybit.rest import RestClient
from hean.core.calls import (
    Call,
    CancelOrder,
    CreateOrder,
    KeyInfo,
    Page,
    QueryExecutions,
    QueryInstruments,
    QueryKey,
    QueryOrders,
    QueryPositions,
    QueryTime,
    ServerTime,
    VerdictKind,
)
from hean.core.ids import order_link_id
from hean.core.types import ZERO, Instrument, Ms, OrderLinkId, OrderRequest, PositionRow, TimeInForce
from hean.settings import Settings

STRATEGY = "smoke"
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
MAX_OFFSET_MS = 5_000
DONE, BUG, USAGE, MISSED, DRIFT, REFUSED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


class Missed(Exception):
    """A step saw something else than it expected."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code


@define
class Steps:
    """The numbered steps as they are told; the first miss ends them."""

    number: int = 0

    def see(self, what: str, expected: object, seen: object, *, passed: bool | None = None, code: int = MISSED) -> None:
        """One step: `passed` None compares the two."""
        self.number += 1
        good = expected == seen if passed is None else passed
        print(f"{self.number:>2} {'ok  ' if good else 'MISS'} {what}", flush=True)
        print(f"        expected {expected}")
        print(f"        seen     {seen}", flush=True)
        if not good:
            raise Missed(code)


@define
class Venue:
    """The exchange by its own queries, beside the router and without it."""

    settings: Settings
    client: RestClient = field(init=False)
    offset_ms: int = 0

    def __attrs_post_init__(self) -> None:
        bybit = self.settings.bybit
        self.client = RestClient(
            endpoints=checked(rest_url=bybit.rest_url, private_url=bybit.private_url, trade_url=bybit.trade_url),
            credentials=Credentials(api_key=bybit.api_key, api_secret=bybit.api_secret),
            recv_window_ms=bybit.recv_window_ms,
            reply_timeout_s=bybit.reply_timeout_s,
            clock=lambda: time.time_ns() // 1_000_000 + self.offset_ms,
        )

    def ask(self, call: Call) -> Any:
        """The result of a call that must pass."""
        reply = self.client.perform(call)
        if reply.verdict.kind is not VerdictKind.ACCEPTED:
            verdict = reply.verdict
            told = f"{type(call).__name__}: {verdict.ret_code or verdict.phase} {verdict.ret_msg}. {verdict.hint}"
            raise RemoteError(told, ret_code=verdict.ret_code, ret_msg=verdict.ret_msg, hint=verdict.hint)
        return reply.result

    def pages(self, ask: Callable[[str], Call]) -> Iterator[Page]:
        """Every page of a query."""
        cursor, seen = "", set[str]()
        while cursor not in seen:
            seen.add(cursor)
            page: Page = self.ask(ask(cursor))
            yield page
            cursor = page.next_cursor

    def clock_offset_ms(self) -> int:
        """The exchange's clock minus ours, as of now."""
        before = time.time_ns() // 1_000_000
        told: ServerTime = self.ask(QueryTime())
        self.offset_ms = told.server_ms - (before + time.time_ns() // 1_000_000) // 2
        return self.offset_ms

    def price(self, symbol: str) -> Decimal:
        """Last price. Source: Bybit V5 docs, market/tickers."""
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(
                f"{self.settings.bybit.rest_url}/v5/market/tickers",
                params={"category": "linear", "symbol": symbol},
                timeout=self.settings.bybit.reply_timeout_s,
            ).json()
        return Decimal(answer["result"]["list"][0]["lastPrice"])

    def open_orders(self, symbol: str) -> dict[str, Decimal]:
        """What is open at the exchange: order_link_id -> qty."""
        pages = self.pages(lambda cursor: QueryOrders(category=Category.LINEAR, symbol=symbol, cursor=cursor))
        return {row.order_link_id: row.qty for page in pages for row in page.orders if not row.status.final}

    def order_ids(self, symbol: str, link_id: str) -> set[str]:
        """The exchange's IDs of all orders under one of ours, open and closed."""
        return {
            row.order_id
            for history in (False, True)
            for page in self.pages(
                lambda cursor, history=history: QueryOrders(  # type: ignore[misc]
                    category=Category.LINEAR, symbol=symbol, history=history, order_link_id=link_id, cursor=cursor
                )
            )
            for row in page.orders
            if row.order_link_id == link_id
        }

    def executions(self, symbol: str, since_ms: int) -> dict[str, Decimal]:
        """What was executed: exec_id -> signed qty."""
        pages = self.pages(
            lambda cursor: QueryExecutions(
                category=Category.LINEAR, symbol=symbol, start_ms=Ms(since_ms + self.offset_ms), cursor=cursor
            )
        )
        return {
            row.exec_id: row.exec_qty * row.side.sign for page in pages for row in page.executions if row.exec_qty > 0
        }

    def position(self, symbol: str) -> PositionRow | None:
        """The one-way position; None where the exchange shows none."""
        pages = self.pages(lambda cursor: QueryPositions(category=Category.LINEAR, symbol=symbol, cursor=cursor))
        rows = [row for page in pages for row in page.positions if row.position_idx == 0]
        return rows[0] if rows else None

    def size(self, symbol: str) -> Decimal:
        """Signed size of the position, positive long."""
        row = self.position(symbol)
        return ZERO if row is None or row.side is None else row.size * row.side.sign


@define
class Log:
    """What was logged, for the last steps to look at."""

    lines: list[tuple[str, dict[str, Any]]] = field(factory=list)

    def take(self, message: Any) -> None:
        """A loguru sink."""
        self.lines.append((str(message.record["message"]), dict(message.record["extra"])))

    def about(self, names: Mapping[str, str]) -> tuple[int, list[str]]:
        """
        Lines that name one of these IDs, and those of them that lack its correlation ID.

        Args:
            names: any ID of the journey -> the correlation ID it belongs to.
        """
        named, without = 0, []
        for text, extra in self.lines:
            told = " ".join([text, *map(str, extra.values())])
            owners = {correlation for name, correlation in names.items() if name in told}
            named += bool(owners)
            if owners and extra.get("correlation_id") not in owners:
                without.append(f"{text} {extra}")
        return named, without


@define
class Journey:
    """One run of the steps on one exchange."""

    settings: Settings
    venue: Venue
    log: Log
    wait_s: float
    steps: Steps = field(factory=Steps)
    symbol: str = ""
    qty: Decimal = ZERO
    price: Decimal = ZERO
    started_ms: int = field(factory=lambda: time.time_ns() // 1_000_000)
    tickets: list[Ticket] = field(factory=list)
    names: dict[str, str] = field(factory=dict)
    wishes: list[str] = field(factory=list)
    pause: threading.Event = field(factory=threading.Event)

    def run(self) -> None:
        """All steps, on an exchange that is left as it was found."""
        try:
            self.preflight()
            with Router(self.settings) as router:
                self.live(router)
                self.round_trip(router)
                self.rest_and_cancel(router)
                self.once(router)
                self.agree(router)
            self.quiet()
        finally:
            self.clean_up()

    def preflight(self) -> None:
        """Clock, key, instrument."""
        see = self.steps.see
        offset_ms = self.venue.clock_offset_ms()
        see("preflight: clock", f"within {MAX_OFFSET_MS} ms", f"{offset_ms} ms", passed=abs(offset_ms) <= MAX_OFFSET_MS)
        key: KeyInfo = self.venue.ask(QueryKey())
        see("preflight: key", "may trade", "read-only" if key.read_only else "may trade")
        found = [symbol for symbol in SYMBOLS if not self.venue.size(symbol) and not self.venue.open_orders(symbol)]
        see("preflight: a flat symbol", f"one of {', '.join(SYMBOLS)}", ", ".join(found) or "none", passed=bool(found))
        self.symbol = found[0]
        page: Page = self.venue.ask(QueryInstruments(category=Category.LINEAR, symbol=self.symbol))
        instrument = page.instruments[0]
        price = self.venue.price(self.symbol)
        self.qty, self.price = _smallest(instrument, price), _below(instrument, price)
        told = f"tick {instrument.tick_size}, step {instrument.qty_step}, last price {price}: {self.qty} {self.symbol}"
        see("preflight: instrument", "trading", f"{'' if instrument.trading else 'not '}trading; {told}",
            passed=instrument.trading)  # fmt: skip

    def live(self, router: Router) -> None:
        """The private stream is up."""
        event = self.event(router, "stream live", EventType.STATUS, lambda event: event.reason == "stream_LIVE")
        self.steps.see("stream live", (True, "stream_LIVE"), (router.live, event.reason))

    def round_trip(self, router: Router) -> None:
        """In and out."""
        bought = self.submit(router, "in", Side.BUY)
        for type_ in (EventType.SIGNAL, EventType.ORDER_REQUEST, EventType.ORDER_PLACED, EventType.ORDER_FILLED):
            self.expect(router, bought, type_)
        self.expect(router, bought, EventType.POSITION_OPENED)
        self.settled(bought, OrderState.FILLED)
        sold = self.submit(router, "out", Side.SELL, reduce_only=True)
        self.expect(router, sold, EventType.SIGNAL, "opposite reduce-only signal: ")
        self.expect(router, sold, EventType.ORDER_FILLED, "opposite reduce-only signal: ")
        self.expect(router, sold, EventType.POSITION_CLOSED)
        self.settled(sold, OrderState.FILLED)
        self.steps.see("position", "0", f"{router.positions[self.symbol].size:f}", passed=self.size(router) == ZERO)

    def rest_and_cancel(self, router: Router) -> None:
        """A limit that does not trade."""
        ticket = self.submit(router, "rest", Side.BUY, order_type=OrderType.LIMIT, price=self.price)
        state = ticket.wait_for(OrderState.ACKNOWLEDGED, self.wait_s).state
        self.steps.see("a resting limit is placed", OrderState.ACKNOWLEDGED, state)
        self.same_orders(router)
        decision = ticket.cancel("smoke")
        self.steps.see("its cancel is sent", "sent", decision.decided)
        self.expect(router, ticket, EventType.ORDER_CANCELLED)
        self.settled(ticket, OrderState.CANCELLED)

    def once(self, router: Router) -> None:
        """The same signal twice."""
        first = self.tickets[0]
        again = self.submit(router, "in", Side.BUY)
        self.steps.see("the same signal again: the same ticket", first.order_link_id, again.order_link_id)
        known = {str(first.snapshot().order_id)}
        self.same(
            "the same signal again: one order at the exchange",
            lambda: known,
            lambda: self.venue.order_ids(self.symbol, first.order_link_id),
        )

        def answered() -> int:
            return sum(line.split()[2:3] == ["reply"] and '"create' in line for line in first.trace())

        # A reply that says no more than the order's row did is taken in a moment after it.
        _, creates = self.settle(lambda: 1, answered)
        self.steps.see("the same signal again: one create was answered", 1, creates)

    def agree(self, router: Router) -> None:
        """Both sides by query."""
        self.same_orders(router)
        self.same(
            "executions equal on both sides",
            lambda: {
                event.exec_id: event.execution.exec_qty * event.execution.side.sign
                for event in router.events(0)
                if event.type is EventType.ORDER_FILLED and event.execution is not None
            },
            lambda: self.venue.executions(self.symbol, self.started_ms),
        )
        self.same("positions equal on both sides", lambda: self.size(router), lambda: self.venue.size(self.symbol))
        for event in router.events(0):
            if event.correlation_id in {ticket.correlation_id for ticket in self.tickets}:
                ids = (event.order_link_id, event.order_id, event.exec_id)
                self.names |= {name: event.correlation_id for name in ids if name}

    def quiet(self) -> None:
        """All is said, and nothing of ours runs on."""
        # The log is written a moment after what it tells of, and all of it by the router's stop.
        named, without = self.log.about(self.names)
        self.steps.see(
            "every log line of the journey carries its correlation ID",
            "more than 0 lines, 0 without",
            f"{named} lines, {len(without)} without {without[:3] or ''}",
            passed=named > 0 and not without,
        )
        left = [thread.name for thread in threading.enumerate() if thread.name.startswith("hean-")]
        self.steps.see("the router stopped: threads left", [], left)

    def submit(self, router: Router, name: str, side: Side, **more: Any) -> Ticket:
        """Hand in a signal of this run; the same name is the same signal."""
        signal_id = f"{self.started_ms}/{name}"
        self.wishes.append(signal_id)
        ticket = router.submit(
            Signal(strategy_id=STRATEGY, signal_id=signal_id, symbol=self.symbol, side=side, qty=self.qty, **more)
        )
        self.tickets.append(ticket)
        return ticket

    def expect(self, router: Router, ticket: Ticket, type_: EventType, prefix: str = "") -> None:
        """One step: that event of that order."""
        event = self.event(router, f"{prefix}{type_}", type_, lambda event: event.order_link_id == ticket.order_link_id)
        self.steps.see(f"{prefix}{type_}", f"of {ticket.order_link_id}", _told(event), passed=True)

    def settled(self, ticket: Ticket, outcome: OrderState) -> None:
        """One step: the order is closed, with that outcome."""
        order = ticket.wait(self.wait_s)
        self.steps.see("settled", f"CLOSED {outcome}", f"{order.state} {order.outcome}")

    def event(self, router: Router, what: str, type_: EventType, good: Callable[[Event], bool]) -> Event:
        """The first such event since the start, or a miss."""
        deadline = time.monotonic() + self.wait_s
        seen = []
        for event in router.events(self.wait_s):
            if event.type is type_ and good(event):
                return event
            seen.append(str(event.type))
            if time.monotonic() > deadline:
                break
        self.steps.see(what, f"{type_} within {self.wait_s} s", ", ".join(seen[-8:]), passed=False)
        raise AssertionError("a miss raises")

    def same(self, what: str, ours: Callable[[], object], theirs: Callable[[], object]) -> None:
        """One step: both sides, as soon as they agree; the exchange's queries may lag behind its streams."""
        here, there = self.settle(ours, theirs)
        self.steps.see(what, f"ours   {_plain(here)}", f"theirs {_plain(there)}", passed=here == there, code=DRIFT)

    def settle(self, ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[object, object]:
        """Both sides once they agree, or as they are when the time is over."""
        deadline = time.monotonic() + self.wait_s
        here, there = ours(), theirs()
        while here != there and time.monotonic() < deadline:
            self.pause.wait(0.25)
            here, there = ours(), theirs()
        return here, there

    def same_orders(self, router: Router) -> None:
        """One step: what is open."""
        ours, theirs = lambda: _open(router), lambda: self.venue.open_orders(self.symbol)
        self.same("open orders equal on both sides", ours, theirs)

    def size(self, router: Router) -> Decimal:
        """Our signed size."""
        position = router.positions.get((Category.LINEAR, self.symbol, 0))
        return ZERO if position is None or position.side is None else position.size * position.side.sign

    def clean_up(self) -> None:
        """Cancel and close what this run left behind, whatever happened to the router; usually nothing."""
        if not self.wishes:
            return
        ours = {order_link_id(STRATEGY, name, 0) for name in self.wishes}
        for link_id in ours.intersection(self.venue.open_orders(self.symbol)):
            print(f"   clean up: cancelling {link_id}")
            self.venue.ask(CancelOrder(category=Category.LINEAR, symbol=self.symbol, order_link_id=link_id))
        size = self.venue.size(self.symbol)
        if size:
            print(f"   clean up: closing {size} {self.symbol}")
            self.venue.ask(CreateOrder(request=self.close_of(size)))

    def close_of(self, size: Decimal) -> OrderRequest:
        """What takes a position back to flat, beside the router."""
        name = f"{self.started_ms}/clean up"
        return OrderRequest(
            order_link_id=order_link_id(STRATEGY, name, 0),
            correlation_id=name,
            strategy_id=STRATEGY,
            signal_id=name,
            leg=0,
            category=Category.LINEAR,
            symbol=self.symbol,
            side=Side.SELL if size > ZERO else Side.BUY,
            order_type=OrderType.MARKET,
            qty=abs(size),
            price=None,
            time_in_force=TimeInForce.IOC,
            reduce_only=True,
            submitted_ms=Ms(self.started_ms),
        )


def _smallest(instrument: Instrument, price: Decimal) -> Decimal:
    """The smallest quantity that passes, with room for the price to fall a fifth, where the resting limit stands."""
    steps = (instrument.min_notional * 2 / price / instrument.qty_step).to_integral_value(rounding="ROUND_CEILING")
    return max(instrument.min_order_qty, steps * instrument.qty_step)


def _below(instrument: Instrument, price: Decimal) -> Decimal:
    """A fifth below the market: no order trades there today."""
    ticks = (price * Decimal("0.8") / instrument.tick_size).to_integral_value(rounding="ROUND_FLOOR")
    return ticks * instrument.tick_size


def _open(router: Router) -> dict[str, Decimal]:
    orders: Mapping[OrderLinkId, OrderSnapshot] = router.orders
    return {str(link_id): order.qty for link_id, order in orders.items() if order.outcome is None}


def _told(event: Event) -> str:
    parts = (event.order_link_id, event.order_id, event.exec_id, event.reason, event.detail)
    return f"{event.correlation_id} at {event.at_ms}: {' '.join(part for part in parts if part)}"


def _plain(value: object) -> str:
    return str({key: f"{qty:f}" for key, qty in value.items()}) if isinstance(value, dict) else str(value)


@contextmanager
def settings_of(env: Mapping[str, str]) -> Iterator[tuple[Settings, str]]:
    """The settings of this run and the name of its exchange; a throw-away journal, kept when something goes wrong."""
    directory = Path(tempfile.mkdtemp(prefix="hean-smoke-"))
    with ExitStack() as stack:
        changes: dict[str, object] = {"journal__path": directory / "journal.db"}
        if not env.get("BYBIT_API_KEY") and not env.get("HEAN_BYBIT__API_KEY"):
            from tests.exchange import LoopbackExchange  # noqa: PLC0415 - the real testnet needs no exchange of tests

            urls = stack.enter_context(LoopbackExchange()).urls
            changes |= {f"bybit__{door}_url": urls[door] for door in ("rest", "private", "trade")}
            changes |= {f"bybit__{part}": urls[part] for part in ("api_key", "api_secret")}
        settings = Settings.load(env, None, **changes)
        kind = "Bybit testnet" if "testnet" in settings.bybit.rest_url else "the loopback exchange"
        yield settings, f"{kind} {settings.bybit.rest_url}"
    shutil.rmtree(directory)


def smoke(env: Mapping[str, str], wait_s: float) -> int:
    """Run all steps once and say how it went."""
    name, code, why, steps = "no exchange", BUG, "a bug", Steps()
    log = Log()
    logger.remove()
    logger.add(log.take, level="TRACE", format="{message}")
    try:
        with settings_of(env) as (settings, name):
            print(f"smoke on {name}; journal {settings.journal.path}, kept where a step misses", flush=True)
            Journey(settings, Venue(settings), log, wait_s, steps).run()
            code, why = DONE, ""
    except Missed as error:
        code, why = error.code, f"missed step {steps.number}"
    except ConfigError as error:
        code, why = USAGE, str(error)
    except RemoteError as error:
        code, why = REFUSED, f"after step {steps.number}: {error}"
    except HeanError as error:
        code, why = MISSED, f"after step {steps.number}: {type(error).__name__}: {error}"
    except KeyboardInterrupt:
        code, why = INTERRUPTED, "interrupted"
    finally:
        verdict = f"passed, {steps.number} steps" if code == DONE else f"FAILED: {why}"
        print(f"smoke on {name}: {verdict}", flush=True)
    return code


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--wait", type=float, default=20.0, metavar="S", help="bound on each thing that is waited for")
    return smoke(os.environ, parser.parse_args().wait)


if __name__ == "__main__":
    sys.exit(main())
