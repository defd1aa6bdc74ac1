"""The synchronous face, from a signal to a closed position, over real sockets."""

from __future__ import annotations

import os
import socket
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pykka
import pytest

from hean import (
    AuthRefused,
    ConfigError,
    Event,
    EventType,
    HeanError,
    JournalError,
    JournalLocked,
    OrderState,
    OrderType,
    RemoteError,
    Router,
    RouterStopped,
    Side,
    Signal,
    TimeInForce,
)
from tests.conftest import Routers, env_of, our_threads
from tests.exchange import LoopbackExchange

WAIT_S = 10
# How a fault is told which create it is about, by the door that orders leave through.
CREATES = {"rest": {"endpoint": "order/create"}, "ws": {"op": "order.create"}}
by_either_door = pytest.mark.parametrize("entry", CREATES)
HIGH: dict[str, Any] = {"order_type": OrderType.LIMIT, "price": "96000"}
LOW: dict[str, Any] = {"order_type": OrderType.LIMIT, "price": "50000"}


def signal(name: str, **changes: Any) -> Signal:
    values: dict[str, Any] = {
        "strategy_id": "trend",
        "signal_id": name,
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "qty": "0.001",
    }
    return Signal(**values | changes)


def resting(name: str, **changes: Any) -> Signal:
    return signal(name, **LOW | changes)


def events_until(router: Router, type_: EventType, order_link_id: str = "") -> list[Event]:
    """Events up to the first of that type, of that order."""
    seen = []
    for event in router.events(WAIT_S):
        seen.append(event)
        if event.type is type_ and order_link_id in {"", event.order_link_id}:
            return seen
    raise AssertionError(f"no {type_} within {WAIT_S} s after {[event.type for event in seen]}")


def life_of(events: list[Event], order_link_id: str) -> list[EventType]:
    return [event.type for event in events if event.order_link_id == order_link_id]


# The way of a signal.


@by_either_door
def test_a_signal_becomes_a_position_and_its_opposite_closes_it(
    entry: str, router: Routers, exchange: LoopbackExchange
) -> None:
    made = router(bybit__entry=entry)
    bought = made.submit(signal("in"))
    order = bought.wait(WAIT_S)
    assert (OrderState.CLOSED, OrderState.FILLED) == (order.state, order.outcome)
    assert (Decimal("0.001"), Decimal(0)) == (order.cum_exec_qty, order.leaves_qty)
    assert (Side.BUY, Decimal("0.001")) == (made.positions["BTCUSDT"].side, made.positions["BTCUSDT"].size)
    assert order.avg_price == made.positions["BTCUSDT"].avg_price

    sold = made.submit(signal("out", side=Side.SELL, reduce_only=True))
    assert OrderState.FILLED == sold.wait(WAIT_S).outcome
    assert (None, Decimal(0)) == (made.positions["BTCUSDT"].side, made.positions["BTCUSDT"].size)

    events = events_until(made, EventType.ORDER_SETTLED, sold.order_link_id)
    assert [
        EventType.SIGNAL,
        EventType.ORDER_REQUEST,
        EventType.ORDER_PLACED,
        EventType.ORDER_FILLED,
        EventType.POSITION_OPENED,
        EventType.ORDER_SETTLED,
    ] == life_of(events, bought.order_link_id)
    assert EventType.POSITION_CLOSED in life_of(events, sold.order_link_id)
    (filled,) = [event for event in events if event.type is EventType.ORDER_FILLED][:1]
    (theirs,) = [row for row in exchange.books()["executions"] if row["orderLinkId"] == bought.order_link_id]
    assert (True, theirs["execId"], order.order_id) == (filled.complete, filled.exec_id, filled.order_id)
    assert (bought.correlation_id, "in") == (filled.correlation_id, filled.signal_id)
    doors = {row["channel"] for row in exchange.requests() if row["orderLinkId"]}
    assert {{"rest": "http", "ws": "trade"}[entry]} == doors


@pytest.mark.parametrize(
    "changes,outcome,executed",
    [
        (HIGH, OrderState.FILLED, "0.001"),
        (
            LOW | {"time_in_force": TimeInForce.IOC},
            OrderState.CANCELLED,
            "0",
        ),
        (
            LOW | {"time_in_force": TimeInForce.FOK},
            OrderState.CANCELLED,
            "0",
        ),
        (HIGH | {"time_in_force": TimeInForce.POST_ONLY}, OrderState.CANCELLED, "0"),
        ({"side": Side.SELL, "reduce_only": True}, OrderState.REJECTED, "0"),
    ],
    ids=["limit", "ioc", "fok", "post_only", "reduce_only_without_position"],
)
def test_each_kind_of_order_ends_as_the_exchange_says(
    changes: dict[str, Any], outcome: OrderState, executed: str, router: Routers
) -> None:
    order = router().submit(signal("kind", **changes)).wait(WAIT_S)
    assert (OrderState.CLOSED, outcome, Decimal(executed)) == (order.state, order.outcome, order.cum_exec_qty)


def test_a_resting_order_is_amended_and_cancelled(router: Routers, exchange: LoopbackExchange) -> None:
    made = router()
    ticket = made.submit(resting("rests"))
    assert OrderState.ACKNOWLEDGED == ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state
    assert "sent" == ticket.amend(price="50001", qty="0.002").decided
    events_until(made, EventType.ORDER_AMENDED, ticket.order_link_id)
    assert (Decimal(50001), Decimal("0.002")) == (ticket.snapshot().price, ticket.snapshot().qty)
    assert "sent" == ticket.cancel().decided
    order = ticket.wait(WAIT_S)
    assert (OrderState.CLOSED, OrderState.CANCELLED, OrderState.CANCELLED) == (
        order.state,
        order.outcome,
        ticket.outcome,
    )
    (row,) = exchange.books()["orders"]
    assert ("Cancelled", "50001", "0.002") == (row["orderStatus"], row["price"], row["qty"])


def test_a_cancel_of_a_settled_order_is_denied_and_sends_nothing(router: Routers, exchange: LoopbackExchange) -> None:
    made = router()
    ticket = made.submit(signal("done"))
    ticket.wait(WAIT_S)
    decision = ticket.cancel()
    assert ("denied", False) == (decision.decided, decision.taken)
    assert "CLOSED" in decision.why
    assert "denied" == ticket.amend(qty="0.002").decided
    assert "denied" == made.cancel("h1-unheard-of").decided
    assert 0 == exchange.books()["counters"]["cancels_received"]


@pytest.mark.parametrize("changes", [{}, {"qty": 0.002}, {"price": "50000.05"}, {"qty": "0"}, {"trigger_price": "1"}])
def test_a_bad_amend_is_denied_and_sends_nothing(
    changes: dict[str, Any], router: Routers, exchange: LoopbackExchange
) -> None:
    ticket = router().submit(resting("steady"))
    ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    decision = ticket.amend(**changes)
    assert "denied" == decision.decided
    assert decision.why
    assert 0 == exchange.books()["counters"]["amends_received"]


def test_cancel_all_ends_the_open_orders_of_one_symbol(router: Routers) -> None:
    made = router()
    btc = [made.submit(resting(f"b{number}")) for number in range(3)]
    eth = made.submit(resting("e", symbol="ETHUSDT", qty="0.1", price="1000"))
    for ticket in (*btc, eth):
        assert OrderState.ACKNOWLEDGED == ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state
    decisions = made.cancel_all("BTCUSDT")
    assert {ticket.order_link_id: "sent" for ticket in btc} == {key: each.decided for key, each in decisions.items()}
    assert {OrderState.CANCELLED} == {ticket.wait(WAIT_S).outcome for ticket in btc}
    assert OrderState.ACKNOWLEDGED == eth.state
    assert [eth.order_link_id] == list(made.cancel_all())
    assert OrderState.CANCELLED == eth.wait(WAIT_S).outcome


def test_a_halt_stops_creates_and_lets_cancels_pass(router: Routers, exchange: LoopbackExchange) -> None:
    made = router()
    ticket = made.submit(resting("before"))
    ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    made.halt("enough")
    assert OrderState.DENIED == made.submit(signal("while")).state
    assert "sent" == ticket.cancel().decided
    assert OrderState.CANCELLED == ticket.wait(WAIT_S).outcome
    made.resume()
    assert OrderState.FILLED == made.submit(signal("after")).wait(WAIT_S).outcome
    assert 2 == len(exchange.books()["orders"])


def test_settings_of_the_account_pass_or_raise(router: Routers) -> None:
    made = router()
    made.set_leverage("BTCUSDT", "7")
    made.set_leverage("BTCUSDT", "7")
    with pytest.raises(RemoteError) as refused:
        made.set_leverage("BTCUSDT", "100000")
    assert refused.value.ret_code


# Tickets and snapshots.


def test_wait_returns_the_newest_snapshot_at_the_timeout(router: Routers) -> None:
    ticket = router().submit(resting("patient"))
    ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    assert OrderState.ACKNOWLEDGED == ticket.wait(0.05).state
    assert OrderState.ACKNOWLEDGED == ticket.wait_for(OrderState.FILLED, 0.05).state
    assert OrderState.ACKNOWLEDGED == ticket.wait_for(OrderState.SUBMITTED, 0).state


def test_a_router_knows_its_tickets_by_id(router: Routers) -> None:
    made = router()
    ticket = made.submit(resting("mine"))
    ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    assert ticket.order_link_id == made.ticket(ticket.order_link_id).order_link_id
    assert OrderState.ACKNOWLEDGED == made.orders[ticket.order_link_id].state
    assert ticket.order_link_id in repr(ticket)
    with pytest.raises(KeyError):
        made.ticket("h1-unheard-of")


def test_a_trace_tells_the_order_from_signal_to_reply(router: Routers) -> None:
    ticket = router().submit(signal("traced"))
    ticket.wait(WAIT_S)
    kinds = [line.split()[2] for line in ticket.trace()]
    assert "signal" == kinds[0]
    assert {"signal", "fact", "reply"} <= set(kinds)


def test_positions_are_found_by_key_and_by_bare_symbol(router: Routers) -> None:
    made = router()
    made.submit(signal("held")).wait(WAIT_S)
    assert made.positions["linear", "BTCUSDT", 0] == made.positions["BTCUSDT"]
    assert [("linear", "BTCUSDT", 0)] == list(made.positions)
    assert "ETHUSDT" not in made.positions


def test_a_waiting_thread_is_let_go_when_the_router_stops(router: Routers) -> None:
    made = router()
    ticket = made.submit(resting("for ever"))
    ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    waiting = threading.Thread(target=ticket.wait)
    waiting.start()
    made.stop()
    waiting.join(WAIT_S)
    assert not waiting.is_alive()


# Events.


def test_events_begin_at_the_start_for_every_reader(router: Routers) -> None:
    made = router()
    first = next(made.events(WAIT_S))
    assert (EventType.STATUS, "CONNECTING") == (first.type, first.reason.rpartition("_")[2])
    assert first == next(made.events(WAIT_S))
    assert [] != list(made.events(0))


def test_an_overflow_of_events_is_an_event(router: Routers) -> None:
    made = router(events__buffer=3)
    made.submit(signal("a", qty="0"))
    made.submit(signal("b", qty="0"))
    lost, *rest = list(made.events(0))
    assert (EventType.ERROR, "events_lost") == (lost.type, lost.reason)
    assert [EventType.RISK_BLOCKED, EventType.SIGNAL, EventType.RISK_BLOCKED] == [event.type for event in rest]


def test_a_callback_that_raises_hurts_nobody(router: Routers) -> None:
    made = router()
    seen: list[tuple[str, str]] = []
    settled = threading.Event()

    def bad(event: Event) -> None:
        raise SystemExit("a strategy's mistake")

    def good(event: Event) -> None:
        seen.append((event.order_link_id, threading.current_thread().name))
        settled.set()

    made.subscribe(EventType.ORDER_SETTLED, bad)
    made.subscribe(EventType.ORDER_SETTLED, good)
    first = made.submit(signal("one"))
    assert OrderState.FILLED == first.wait(WAIT_S).outcome
    assert settled.wait(WAIT_S)
    assert [(first.order_link_id, "hean-callbacks")] == seen
    assert OrderState.FILLED == made.submit(signal("two")).wait(WAIT_S).outcome


def test_a_callback_may_submit(router: Routers) -> None:
    made = router()
    done = threading.Event()

    def close(event: Event) -> None:
        made.submit(signal("close", side=Side.SELL, reduce_only=True)).wait(WAIT_S)
        done.set()

    made.subscribe(EventType.POSITION_OPENED, close)
    made.submit(signal("open"))
    assert done.wait(WAIT_S)
    assert Decimal(0) == made.positions["BTCUSDT"].size


def test_a_subscriber_gets_nothing_from_before(router: Routers) -> None:
    made = router()
    seen: list[str] = []
    here = threading.Event()
    made.subscribe(EventType.STATUS, lambda event: here.set())
    made.submit(signal("early", qty="0"))
    made.subscribe(EventType.SIGNAL, lambda event: (seen.append(event.signal_id), here.set()))
    made.submit(signal("late", qty="0"))
    assert here.wait(WAIT_S)
    made.stop()
    assert ["late"] == seen


# Life.


def test_the_context_manager_starts_and_stops(router_env: dict[str, str]) -> None:
    with Router.from_env(router_env) as made:
        assert made.live
        assert [] != our_threads()
    assert [] == our_threads()
    assert not made.live
    with pytest.raises(RouterStopped):
        made.submit(signal("late"))
    with pytest.raises(RouterStopped):
        made.start()
    made.stop()
    assert EventType.STATUS == next(made.events(0)).type


def test_a_router_that_was_never_started_says_so(router_env: dict[str, str]) -> None:
    made = Router.from_env(router_env)
    for use in (lambda: made.submit(signal("x")), lambda: made.orders, lambda: made.positions, lambda: made.events(0)):
        with pytest.raises(RouterStopped):
            use()
    assert not made.live
    made.stop()


@by_either_door
def test_a_stop_with_work_in_flight_leaves_no_thread(entry: str, router: Routers, exchange: LoopbackExchange) -> None:
    made = router(bybit__entry=entry)
    exchange.fault("delay_reply", match=CREATES[entry], count=None, args={"ms": 300})
    for number in range(20):
        made.submit(signal(f"n{number}"))
    made.stop()
    assert [] == our_threads()
    assert [True] == [fault["fired"] > 0 for fault in exchange.faults()]


def test_the_hosts_actors_survive_our_stop(router: Routers) -> None:
    class Host(pykka.ThreadingActor):
        def on_receive(self, message: object) -> object:
            return message

    others = set(pykka.ActorRegistry.get_all())
    host = Host.start()
    try:
        made = router()
        made.submit(signal("beside")).wait(WAIT_S)
        made.stop()
        assert host.is_alive()
        assert "here" == host.ask("here", timeout=WAIT_S)
        assert {host} == {ref for ref in pykka.ActorRegistry.get_all() if ref.is_alive()} - others
    finally:
        host.stop()


def test_two_routers_on_two_journals_live_in_one_process(
    router_env: dict[str, str], exchange: LoopbackExchange, tmp_path: Path
) -> None:
    exchange.accounts("other", "secret", {"USDT": "100000"})
    other = router_env | {
        "BYBIT_API_KEY": "other",
        "BYBIT_API_SECRET": "secret",
        "HEAN_JOURNAL__PATH": str(tmp_path / "other.db"),
    }
    with Router.from_env(router_env) as one, Router.from_env(other) as two:
        buys, sells = one.submit(signal("same")), two.submit(signal("same", side=Side.SELL, qty="0.002"))
        assert buys.order_link_id == sells.order_link_id
        assert {OrderState.FILLED} == {ticket.wait(WAIT_S).outcome for ticket in (buys, sells)}
        assert (Side.BUY, Side.SELL) == (one.positions["BTCUSDT"].side, two.positions["BTCUSDT"].side)
        assert [1, 1] == [len(exchange.books(key)["orders"]) for key in (None, "other")]
        two.stop()
        assert OrderState.FILLED == one.submit(signal("still here")).wait(WAIT_S).outcome


def test_a_second_router_on_one_journal_is_refused(router: Routers, router_env: dict[str, str]) -> None:
    made = router()
    with pytest.raises(JournalLocked, match=str(os.getpid())):
        Router.from_env(router_env).start()
    assert OrderState.FILLED == made.submit(signal("unharmed")).wait(WAIT_S).outcome


def test_a_journal_of_another_account_is_refused(
    router: Routers, router_env: dict[str, str], exchange: LoopbackExchange
) -> None:
    router().stop()
    exchange.accounts("other", "secret")
    with pytest.raises(JournalError, match="UID"):
        Router.from_env(router_env | {"BYBIT_API_KEY": "other", "BYBIT_API_SECRET": "secret"}).start()
    assert [] == our_threads()


# What is wrong at the start.


@pytest.mark.parametrize("wrong", [{"BYBIT_API_KEY": "nobodys"}, {"BYBIT_API_SECRET": "wrong"}], ids=["key", "secret"])
def test_a_wrong_key_or_secret_is_refused_at_once(wrong: dict[str, str], router_env: dict[str, str]) -> None:
    with pytest.raises(AuthRefused) as refused:
        Router.from_env(router_env | wrong).start()
    assert refused.value.ret_code in {10003, 10004}
    assert [] == our_threads()


def test_an_exchange_that_is_down_is_an_error_within_the_deadline(router_env: dict[str, str]) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        rest = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(RemoteError, match=r"127\.0\.0\.1"):
            Router.from_env(router_env, bybit__rest_url=rest, start__timeout_s=1).start()
    assert [] == our_threads()


def test_a_stream_that_refuses_us_is_an_error_within_the_deadline(router: Routers, exchange: LoopbackExchange) -> None:
    exchange.fault("refuse_topic", count=None)
    with pytest.raises(RemoteError, match=r"not LIVE within 1\.0 s"):
        router(start__timeout_s=1)
    assert [] == our_threads()


@pytest.mark.parametrize("place", ["missing/under/a/file/journal.db", "a directory"])
def test_an_unwritable_journal_is_an_error_at_once(place: str, router_env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "missing").write_text("a file, no directory")
    (tmp_path / "a directory").mkdir()
    made = Router.from_env(router_env, journal__path=tmp_path / place)
    with pytest.raises(JournalError):
        made.start()
    made.stop()
    assert [] == our_threads()


@pytest.mark.parametrize(
    "wrong,named",
    [
        ({"BYBIT_API_KEY": ""}, "bybit.api_key"),
        ({"BYBIT_API_SECRET": ""}, "bybit.api_secret"),
        ({"HEAN_BYBIT__RECV_WINDOW_MS": "soon"}, "HEAN_BYBIT__RECV_WINDOW_MS"),
        ({"HEAN_ORDERS__MAX_AGE": "1"}, "HEAN_ORDERS__MAX_AGE_S"),
        ({"HEAN_BYBIT__REST_URL": "https://api.bybit.com"}, "HEAN_BYBIT__REST_URL.*mainnet"),
        ({"HEAN_BYBIT__REST_URL": "https://api-demo.bybit.com"}, "demo"),
        ({"HEAN_BYBIT__REST_URL": "https://api-testnet.bybit.com.evil.example"}, "looks like"),
        ({"HEAN_BYBIT__PRIVATE_URL": "wss://stream.bybit.com/v5/private"}, "HEAN_BYBIT__PRIVATE_URL.*mainnet"),
        ({"HEAN_BYBIT__TRADE_URL": "wss://stream-testnet.bybit.com/v5/trade"}, "loopback|mixed|together"),
    ],
)
def test_a_wrong_setting_is_one_error_that_names_it(
    wrong: dict[str, str], named: str, router_env: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=named):
        Router.from_env(router_env | wrong)
    assert not (tmp_path / "journal.db").exists()


def test_a_missing_key_is_one_error_that_names_it(router_env: dict[str, str]) -> None:
    del router_env["BYBIT_API_KEY"]
    with pytest.raises(ConfigError, match=r"bybit\.api_key from default: expected .*BYBIT_API_KEY"):
        Router.from_env(router_env)


# Start-up is recovery.


def test_a_restart_takes_up_what_is_open(router: Routers, exchange: LoopbackExchange) -> None:
    first = router()
    ticket = first.submit(resting("overnight"))
    ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    first.stop()
    exchange.market("BTCUSDT", bid="49000", ask="49001", bid_qty="5", ask_qty="5")
    second = router()
    again = second.ticket(ticket.order_link_id)
    assert OrderState.FILLED == again.wait(WAIT_S).outcome
    assert Decimal("0.001") == second.positions["BTCUSDT"].size
    assert 1 == exchange.books()["counters"]["creates_received"]


@by_either_door
def test_an_order_whose_reply_was_lost_is_found_not_sent_again(
    entry: str, router: Routers, exchange: LoopbackExchange
) -> None:
    exchange.fault("lose_reply", match=CREATES[entry])
    order = router(bybit__entry=entry).submit(signal("lost word")).wait(WAIT_S)
    assert OrderState.FILLED == order.outcome
    assert 1 == exchange.books()["counters"]["creates_received"]
    assert [1] == [fault["fired"] for fault in exchange.faults()]


def test_a_position_from_before_our_time_is_adopted(
    router: Routers, router_env: dict[str, str], exchange: LoopbackExchange, tmp_path: Path
) -> None:
    with Router.from_env(env_of(exchange, tmp_path / "elsewhere.db")) as before:
        before.submit(signal("long ago", qty="0.005")).wait(WAIT_S)
    made = router()
    assert Decimal("0.005") == made.positions["BTCUSDT"].size
    assert EventType.POSITION_ADOPTED in [event.type for event in made.events(0)]
    made.submit(signal("reduce", side=Side.SELL, qty="0.002", reduce_only=True)).wait(WAIT_S)
    assert Decimal("0.003") == made.positions["BTCUSDT"].size


def test_every_error_is_one_of_the_tree() -> None:
    for error in (AuthRefused, ConfigError, JournalError, RemoteError, RouterStopped):
        assert issubclass(error, HeanError)
