"""The kill: nothing is open in the end, whoever hangs, and what could not be seen is said."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from hean import EventType, OrderState, OrderType, Router, RouterStopped, Side, Signal
from hean.bybit.auth import Credentials
from hean.bybit.endpoints import checked
from hean.bybit.rest import RestClient
from hean.core.calls import CreateOrder, QueryInstruments, Reply, SwitchMode, VerdictKind
from hean.core.types import Category, Ms, OrderLinkId, OrderRequest, TimeInForce
from hean.killswitch import Kill, KillReport
from tests.conftest import Routers
from tests.exchange import LoopbackExchange

LATE_S = 1.3
WAIT_S = 20
QUICK = {"bybit__recv_window_ms": 300, "orders__visibility_delay_s": 1.4, "breaker__failures": 1000}


def now_ms() -> Ms:
    return Ms(time.time_ns() // 1_000_000)


@pytest.fixture
def client(exchange: LoopbackExchange) -> Iterator[RestClient]:
    """Somebody else with our key, who knows nothing of a router."""
    urls = exchange.urls
    made = RestClient(
        endpoints=checked(rest_url=urls["rest"], private_url=urls["private"], trade_url=urls["trade"]),
        credentials=Credentials(api_key=urls["api_key"], api_secret=urls["api_secret"]),
        clock=now_ms,
    )
    yield made
    made.close()


def order(name: str, **changes: Any) -> OrderRequest:
    plain = OrderRequest(
        order_link_id=OrderLinkId(name),
        correlation_id=name,
        strategy_id="hand",
        signal_id=name,
        leg=0,
        category=Category.LINEAR,
        symbol="BTCUSDT",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        qty=Decimal("0.01"),
        price=Decimal(50000),
        time_in_force=TimeInForce.GTC,
        submitted_ms=Ms(0),
    )
    return evolve(plain, **changes)


def place(client: RestClient, *requests: OrderRequest) -> None:
    for request in requests:
        reply = client.perform(CreateOrder(request=request))
        assert VerdictKind.ACCEPTED is reply.verdict.kind, reply.verdict


def market(name: str, **changes: Any) -> OrderRequest:
    return order(name, **{"order_type": OrderType.MARKET, "price": None, "time_in_force": TimeInForce.IOC} | changes)


def kill(client: Any, *, flatten: bool = False, timeout_s: float = 30.0) -> KillReport:
    pause: Callable[[float], object] = threading.Event().wait
    return Kill(client, now_ms=now_ms, pause=pause, late_s=LATE_S, timeout_s=timeout_s).run(flatten=flatten)


def open_orders(exchange: LoopbackExchange) -> list[str]:
    return [
        row["orderLinkId"]
        for row in exchange.books()["orders"]
        if row["orderStatus"] in {"New", "PartiallyFilled", "Untriggered"}
    ]


def held(exchange: LoopbackExchange) -> dict[str, str]:
    return {row["symbol"]: row["size"] for row in exchange.books()["positions"] if Decimal(row["size"])}


SPOT = {"category": Category.SPOT, "qty": Decimal("0.001")}
EVERYWHERE = [
    order("limit"),
    order("conditional", trigger_price=Decimal(99000), trigger_direction=1),
    order("another symbol", symbol="ETHUSDT", price=Decimal(1500), qty=Decimal("0.1")),
    order("inverse", category=Category.INVERSE, symbol="BTCUSD", qty=Decimal(100)),
    order("spot", **SPOT),
    order("spot conditional", **SPOT, trigger_price=Decimal(99000)),
]


def link(request: OrderRequest) -> OrderRequest:
    return evolve(request, order_link_id=OrderLinkId(request.signal_id.replace(" ", "-")))


def test_every_kind_of_order_is_cancelled(client: RestClient, exchange: LoopbackExchange) -> None:
    exchange.accounts(exchange.urls["api_key"], exchange.urls["api_secret"], {"USDT": "1000000", "BTC": "10"})
    place(client, *map(link, EVERYWHERE))
    assert len(EVERYWHERE) == len(open_orders(exchange))
    report = kill(client)
    assert [] == open_orders(exchange)
    assert (True, len(EVERYWHERE), (), None) == (
        report.done,
        len(report.cancelled),
        report.open_orders,
        report.positions,
    )
    assert "6 orders cancelled; 0 still open" == report.text


def test_more_orders_than_a_page_are_cancelled(client: RestClient, exchange: LoopbackExchange) -> None:
    exchange.limits(endpoint="order/create", per_s=1000)
    place(client, *(order(f"many-{number}") for number in range(60)))
    assert (True, 60) == ((report := kill(client)).done, len(report.cancelled))
    assert [] == open_orders(exchange)


def test_account_with_nothing_open_is_done(client: RestClient) -> None:
    report = kill(client, flatten=True)
    assert (True, (), (), ()) == (report.done, report.cancelled, report.flattened, report.positions)


def test_order_that_was_on_its_way_is_caught_by_the_last_look(client: RestClient, exchange: LoopbackExchange) -> None:
    begun = threading.Event()
    reports: list[KillReport] = []

    class Telling:
        def perform(self, call: Any, *, timeout_s: float) -> Reply:
            begun.set()
            return client.perform(call, timeout_s=timeout_s)

    killing = threading.Thread(target=lambda: reports.append(kill(Telling())))
    killing.start()
    assert begun.wait(WAIT_S)
    # Past the first looks, within the time that a signed request is good for.
    threading.Event().wait(0.8)
    urls = exchange.urls
    late = RestClient(
        endpoints=checked(rest_url=urls["rest"], private_url=urls["private"], trade_url=urls["trade"]),
        credentials=Credentials(api_key=urls["api_key"], api_secret=urls["api_secret"]),
        clock=now_ms,
    )
    place(late, order("late"))
    late.close()
    killing.join(WAIT_S)
    assert [True] == [report.done for report in reports]
    assert [] == open_orders(exchange)
    assert ["Cancelled"] == [row["orderStatus"] for row in exchange.books()["orders"]]


def test_positions_are_closed_on_both_sides_in_parts_that_the_exchange_takes(
    client: RestClient, exchange: LoopbackExchange
) -> None:
    exchange.market("XRPUSDT", bid_qty="10000000", ask_qty="10000000", bid="0.5", ask="0.5001")
    info = client.perform(QueryInstruments(category=Category.LINEAR, symbol="XRPUSDT")).result.instruments[0]  # type: ignore[union-attr]
    most = info.max_market_qty
    place(
        client,
        market("long", qty=Decimal("0.5")),
        market("short", symbol="ETHUSDT", side=Side.SELL, qty=Decimal(3)),
        market("big", symbol="XRPUSDT", qty=most),
        market("bigger", symbol="XRPUSDT", qty=most / 2),
        order("resting"),
    )
    assert {"BTCUSDT", "ETHUSDT", "XRPUSDT"} == held(exchange).keys()
    report = kill(client, flatten=True)
    assert (True, (), {}) == (report.done, report.positions, held(exchange))
    assert [] == open_orders(exchange)
    assert 4 == len(report.flattened)
    closing = {row["orderLinkId"]: row for row in exchange.books()["orders"] if row["orderLinkId"].startswith("kill-")}
    assert set(report.flattened) == closing.keys()
    assert {True} == {row["reduceOnly"] for row in closing.values()}
    assert most == max(Decimal(row["qty"]) for row in closing.values())


def test_hedged_positions_are_closed_each_on_its_side(client: RestClient, exchange: LoopbackExchange) -> None:
    client.perform(SwitchMode(category=Category.LINEAR, symbol="BTCUSDT", mode=3))
    place(client, market("up", position_idx=1), market("down", side=Side.SELL, position_idx=2))
    report = kill(client, flatten=True)
    assert (True, 2, {}) == (report.done, len(report.flattened), held(exchange))


def test_positions_are_left_alone_unless_asked(client: RestClient, exchange: LoopbackExchange) -> None:
    place(client, market("kept"))
    assert kill(client).done
    assert {"BTCUSDT": "0.01"} == held(exchange)


@pytest.mark.parametrize(
    "fault, match, args",
    [
        ("lose_reply", {"endpoint": "order/cancel-all"}, {}),
        ("lose_request", {"endpoint": "order/cancel-all"}, {}),
        ("rate_limit", {"endpoint": "order/cancel-all"}, {}),
        ("error", {"endpoint": "order/cancel-all"}, {"ret_code": 10016, "executed": False}),
        ("error", {"endpoint": "order/realtime"}, {"ret_code": 10016}),
        ("lose_reply", {"endpoint": "order/realtime"}, {}),
        ("lose_reply", {"endpoint": "position/list"}, {}),
        ("lose_reply", {"endpoint": "order/create"}, {}),
        ("error", {"endpoint": "order/create"}, {"ret_code": 10016, "executed": False}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_kill_goes_on_until_it_has_seen_that_nothing_is_open(
    fault: str, match: dict[str, str], args: dict[str, Any], client: RestClient, exchange: LoopbackExchange
) -> None:
    place(client, order("resting"), market("held"))
    exchange.fault(fault, match, count=2, args=args)
    report = kill(client, flatten=True)
    assert exchange.faults()[0]["fired"]
    assert (True, [], {}) == (report.done, open_orders(exchange), held(exchange))


def test_what_could_not_be_seen_is_a_problem(client: RestClient, exchange: LoopbackExchange) -> None:
    exchange.fault("error", {"endpoint": "order/realtime", "category": "inverse"}, count=None, args={"ret_code": 10016})
    report = kill(client, timeout_s=2)
    assert not report.done
    assert any("QueryOrders inverse" in problem for problem in report.problems)


def test_exchange_that_hangs_does_not_hold_the_kill(client: RestClient, exchange: LoopbackExchange) -> None:
    exchange.fault("delay_reply", {"endpoint": "order/cancel-all"}, count=None, args={"ms": 60_000})
    began = time.monotonic()
    report = kill(client, timeout_s=1)
    assert time.monotonic() - began < 10
    assert not report.done
    assert any("no time left" in problem for problem in report.problems)


def test_ban_ends_the_kill_at_once_and_says_so(client: RestClient, exchange: LoopbackExchange) -> None:
    place(client, order("resting"))
    exchange.fault("ban", args={"s": 60})
    before = len(exchange.requests())
    report = kill(client)
    assert not report.done
    assert any("banned" in problem for problem in report.problems)
    assert 1 == len(exchange.requests()) - before


def test_a_key_that_is_refused_at_every_door_ends_the_kill(client: RestClient, exchange: LoopbackExchange) -> None:
    exchange.fault("error", {}, count=None, args={"ret_code": 10003})
    paused: list[float] = []
    told: list[str] = []
    report = Kill(client, now_ms=now_ms, pause=paused.append, late_s=LATE_S, tell=told.append).run(flatten=True)
    assert "QueryOrders inverse; 0 cancelled" in told
    assert ([], False) == (paused, report.done)
    # Each once: one right may be missing where another is there.
    assert {"CancelAll", "QueryOrders"} == {problem.split()[0] for problem in report.problems}
    assert all("10003" in problem for problem in report.problems)
    assert {"linear", "inverse", "spot"} == {problem.split()[1].rstrip(":") for problem in report.problems}


def test_a_key_that_may_not_cancel_everywhere_is_used_where_it_may(
    client: RestClient, exchange: LoopbackExchange
) -> None:
    place(client, order("resting"))
    exchange.fault("error", {"category": "spot"}, count=None, args={"ret_code": 10005})
    report = kill(client, timeout_s=2)
    assert (1, (), False) == (len(report.cancelled), report.open_orders, report.done)


def test_product_that_the_account_may_not_trade_is_a_note(client: RestClient, exchange: LoopbackExchange) -> None:
    exchange.fault("error", {"category": "inverse"}, count=None, args={"ret_code": 110102})
    report = kill(client, flatten=True)
    assert (True, ()) == (report.done, report.problems)
    assert any("110102" in note for note in report.notes)


# Through a router.


def resting(name: str) -> Signal:
    return Signal(
        strategy_id="s",
        signal_id=name,
        symbol="BTCUSDT",
        side=Side.BUY,
        qty="0.001",
        order_type=OrderType.LIMIT,
        price="50000",
    )


def test_router_halts_cancels_flattens_and_remembers(router: Routers, exchange: LoopbackExchange) -> None:
    made = router(**QUICK)
    tickets = [made.submit(resting(f"r{number}")) for number in range(3)]
    held_ticket = made.submit(Signal(strategy_id="s", signal_id="h", symbol="BTCUSDT", side=Side.BUY, qty="0.002"))
    assert OrderState.FILLED == held_ticket.wait(WAIT_S).outcome
    report = made.kill(flatten=True, who="ann", why="enough")
    assert (True, [], {}) == (report.done, open_orders(exchange), held(exchange))
    assert [OrderState.CANCELLED] * 3 == [ticket.wait(WAIT_S).outcome for ticket in tickets]
    assert OrderState.DENIED == made.submit(resting("after")).state
    said = {event.reason: event for event in made.events(0)}
    assert "ann: enough" in said["kill"].detail
    assert EventType.STATUS == said["kill"].type
    made.stop()
    again = router(**QUICK)
    assert OrderState.DENIED == again.submit(resting("after a restart")).state
    again.resume(who="ann")
    assert OrderState.ACKNOWLEDGED == again.submit(resting("at last")).wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state


def test_kill_catches_creates_in_flight(router: Routers, exchange: LoopbackExchange) -> None:
    made = router(**QUICK, bybit__entry="rest")
    exchange.fault("delay_reply", {"endpoint": "order/create"}, count=None, args={"ms": 400})
    tickets = [made.submit(resting(f"f{number}")) for number in range(8)]
    report = made.kill()
    assert (True, []) == (report.done, open_orders(exchange))
    assert all(ticket.wait(WAIT_S).settled for ticket in tickets)
    assert not {OrderState.ACKNOWLEDGED} & {ticket.state for ticket in tickets}


def test_kill_needs_no_actor(router: Routers, exchange: LoopbackExchange) -> None:
    made = router(**QUICK)
    made.submit(resting("orphan")).wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    made.stop()
    assert ["New"] == [row["orderStatus"] for row in exchange.books()["orders"]]
    report = made.kill()
    assert (True, []) == (report.done, open_orders(exchange))
    with pytest.raises(RouterStopped):
        made.submit(resting("no"))


def test_kill_needs_no_start(
    router_env: dict[str, str], exchange: LoopbackExchange, client: RestClient, tmp_path: Path
) -> None:
    place(client, order("foreign"))
    report = Router.from_env(router_env, **QUICK).kill()
    assert (True, []) == (report.done, open_orders(exchange))
    assert not (tmp_path / "journal.db").exists()
