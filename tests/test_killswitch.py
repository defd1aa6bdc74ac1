<<<<<<< ours
"""The kill: nothing is open in the end, whoever hangs, and what could not be seen is said."""
=======
"""The kill switch against an exchange that loses, throttles and lags."""
>>>>>>> theirs

from __future__ import annotations

import threading
import time
<<<<<<< ours
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
=======
from collections.abc import Iterator
from typing import Any

import pytest

from hean.desk.exchange import Exchange
from hean.killswitch import KillReport, KillSwitch
from hean.settings import Settings
from tests.desk.conftest import until
from tests.exchange import LoopbackExchange


@pytest.fixture
def desk(router_env: dict[str, str]) -> Iterator[Exchange]:
    made = Exchange(Settings.load(router_env | {"HEAN_BYBIT__RECV_WINDOW_MS": "500"}))
>>>>>>> theirs
    yield made
    made.close()


<<<<<<< ours
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
=======
def kill(desk: Exchange, *, flatten: bool = False, timeout_s: float = 20.0) -> KillReport:
    switch = KillSwitch(
        lambda call: desk.perform(call, timeout_s=1.0),
        now_s=time.monotonic,
        now_ms=desk.clock.now_ms,
        pause=lambda s: threading.Event().wait(s),
        timeout_s=timeout_s,
        settle_s=1.5,
    )
    return switch.run(flatten=flatten)


def foreign(exchange: LoopbackExchange, symbol: str = "BTCUSDT", **args: Any) -> None:
    asked = {"symbol": symbol, "side": "Buy", "qty": "0.001"} | args
    exchange.fault("foreign_order", args=asked)


def rested(exchange: LoopbackExchange) -> list[Any]:
    return [order for order in exchange.books()["orders"] if order["orderStatus"] in {"New", "Untriggered"}]


def held(exchange: LoopbackExchange) -> dict[str, str]:
    return {row["symbol"]: row["size"] for row in exchange.books()["positions"] if row["size"] not in {"", "0"}}


def test_an_account_with_nothing_open_is_done_at_once(desk: Exchange):
    report = kill(desk, flatten=True)
    assert (True, True, (), (), ()) == (
        report.complete,
        report.looked,
        report.cancelled,
        report.flattened,
        report.problems,
    )


def test_linear_and_inverse_orders_of_any_hand_are_cancelled(desk: Exchange, exchange: LoopbackExchange):
    foreign(exchange, price="50000")
    foreign(exchange, "ETHUSDT", price="1000", qty="0.1")
    foreign(exchange, "BTCUSD", price="50000", qty="100", category="inverse")
    assert 3 == len(rested(exchange))
    report = kill(desk)
    assert (True, 3) == (report.complete, len(report.cancelled))
    assert [] == rested(exchange)


def test_a_position_larger_than_one_market_order_is_closed_in_chunks(desk: Exchange, exchange: LoopbackExchange):
    exchange.market("BTCUSDT", bid="95000", ask="95001", bid_qty="1000", ask_qty="1000", refill=True)
    for _ in range(2):
        foreign(exchange, qty="400")
    assert {"BTCUSDT": "800"} == held(exchange)
    report = kill(desk, flatten=True)
    assert (True, {}) == (report.complete, held(exchange))
    sent = [order for order in exchange.books()["orders"] if order["orderLinkId"].startswith("hk-")]
    assert all(order["reduceOnly"] for order in sent)
    assert ["300", "500"] == sorted(order["qty"] for order in sent)
    assert 2 == len(report.flattened)


def test_a_short_and_an_inverse_position_are_closed_too(desk: Exchange, exchange: LoopbackExchange):
    foreign(exchange, "ETHUSDT", side="Sell", qty="0.5")
    foreign(exchange, "BTCUSD", qty="100", category="inverse")
    assert {"ETHUSDT", "BTCUSD"} == held(exchange).keys()
    assert kill(desk, flatten=True).complete
    assert {} == held(exchange)


@pytest.mark.parametrize("fault", ["lose_reply", "lose_request"])
@pytest.mark.parametrize("endpoint", ["order/cancel-all", "order/create", "order/realtime", "position/list"])
def test_a_lost_word_is_asked_for_again_and_nothing_is_closed_twice(
    fault: str, endpoint: str, desk: Exchange, exchange: LoopbackExchange
):
    foreign(exchange, price="50000")
    foreign(exchange, qty="0.4")
    exchange.fault(fault, match={"endpoint": endpoint}, count=2)
    report = kill(desk, flatten=True)
    assert (True, {}, []) == (report.complete, held(exchange), rested(exchange))
    assert report.problems
    closed = [row for row in exchange.books()["executions"] if row["orderLinkId"].startswith("hk-")]
    assert 0.4 == pytest.approx(sum(float(row["execQty"]) for row in closed))


def test_an_empty_book_is_waited_for_under_another_id(desk: Exchange, exchange: LoopbackExchange):
    foreign(exchange, qty="0.2")
    exchange.market("BTCUSDT", bid="0", ask="95001", bid_qty="0", ask_qty="5")

    def mend() -> None:
        ended = until(lambda: "Cancelled" in [order["orderStatus"] for order in exchange.books()["orders"]])
        assert ended
        exchange.market("BTCUSDT", bid="95000", ask="95001", bid_qty="5", ask_qty="5")

    mending = threading.Thread(target=mend)
    mending.start()
    report = kill(desk, flatten=True)
    mending.join()
    assert (True, {}) == (report.complete, held(exchange))
    assert len(set(report.flattened)) > 1


def test_throttling_and_a_lagging_list_only_cost_time(desk: Exchange, exchange: LoopbackExchange):
    foreign(exchange, price="50000")
    exchange.fault("rate_limit", match={"endpoint": "order/cancel-all"}, count=2)
    exchange.fault("realtime_lag", count=2, args={"ms": 500})
    report = kill(desk)
    assert (True, []) == (report.complete, rested(exchange))


def test_a_list_with_a_row_that_does_not_read_proves_nothing(desk: Exchange, exchange: LoopbackExchange):
    foreign(exchange, price="50000")
    exchange.fault("unknown_enum", match={"endpoint": "order/realtime"}, count=None)
    exchange.fault("error", match={"endpoint": "order/cancel-all"}, count=None, args={"ret_code": 10016})
    report = kill(desk, timeout_s=1.0)
    assert (False, False) == (report.complete, report.looked)


def test_what_an_account_wide_cancel_leaves_alive_is_cancelled_by_name(desk: Exchange, exchange: LoopbackExchange):
    foreign(exchange, price="50000")
    exchange.fault("error", match={"endpoint": "order/cancel-all"}, count=9, args={"ret_code": 10016})
    report = kill(desk)
    assert (True, 1, []) == (report.complete, len(report.cancelled), rested(exchange))
    assert 1 == exchange.books()["counters"]["cancels_received"] - sum(
        request["endpoint"] == "order/cancel-all" and request["executed"] for request in exchange.requests()
    )


def test_a_refused_key_ends_it_at_once(router_env: dict[str, str]):
    desk = Exchange(Settings.load(router_env | {"BYBIT_API_KEY": "nobodys"}))
    began = time.monotonic()
    report = kill(desk)
    desk.close()
    assert (False, True, False) == (report.complete, report.refused, report.looked)
    assert time.monotonic() - began < 5
>>>>>>> theirs
