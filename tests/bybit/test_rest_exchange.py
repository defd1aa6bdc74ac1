"""Our wire against the loopback exchange: real sockets, its own books, its own faults."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal

import pytest

from hean.bybit.auth import Credentials
from hean.bybit.codec import (
    AuthAck,
    Executions,
    Frame,
    Orders,
    Pong,
    Positions,
    SubscribeAck,
    parse_frame,
    ping,
    socket_login,
    subscription,
)
from hean.bybit.endpoints import Door, Endpoints, checked
from hean.bybit.rest import RestClient
from hean.bybit.stream import Socket
from hean.bybit.trade import TradeAuth, TradeReply, auth_frame, parse_reply, reply_to, request_frame
from hean.core.calls import (
    AccountInfo,
    Ack,
    AmendOrder,
    Call,
    CancelAll,
    Cancelled,
    CancelOrder,
    CreateOrder,
    KeyInfo,
    Page,
    Phase,
    PreCheck,
    PreChecked,
    QueryAccount,
    QueryExecutions,
    QueryInstruments,
    QueryKey,
    QueryOrders,
    QueryPositions,
    QueryTime,
    Reply,
    ServerTime,
    SetLeverage,
    SwitchMode,
    VerdictKind,
)
from hean.core.types import Amend, Category, ExecType, OrderStatus, OrderType, Side, TimeInForce
from tests.bybit.samples import a_request
from tests.exchange.loopback import LoopbackExchange

LINEAR, SPOT, INVERSE = Category.LINEAR, Category.SPOT, Category.INVERSE
BTC = {"category": LINEAR, "symbol": "BTCUSDT"}
CREATE_FAULT = {"endpoint": "order/create"}
WAIT_S = 20


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def exchange() -> Iterator[LoopbackExchange]:
    with LoopbackExchange() as running:
        running.market("BTCUSDT", bid="95000", ask="95001", bid_qty="5", ask_qty="5")
        yield running


@pytest.fixture
def endpoints(exchange: LoopbackExchange) -> Endpoints:
    return checked(
        rest_url=exchange.urls["rest"], private_url=exchange.urls["private"], trade_url=exchange.urls["trade"]
    )


@pytest.fixture
def credentials(exchange: LoopbackExchange) -> Credentials:
    return Credentials(api_key=exchange.urls["api_key"], api_secret=exchange.urls["api_secret"])


@pytest.fixture
def client(endpoints: Endpoints, credentials: Credentials) -> Iterator[RestClient]:
    client = RestClient(endpoints=endpoints, credentials=credentials, clock=now_ms, reply_timeout_s=WAIT_S)
    yield client
    client.close()


def resting(link: str, **changes: object) -> CreateOrder:
    fields = {"order_link_id": link, "qty": Decimal("0.01"), "price": Decimal(90000)}
    return CreateOrder(request=a_request(**{**fields, "time_in_force": TimeInForce.GTC, **changes}))


def market(link: str, **changes: object) -> CreateOrder:
    kind = {"order_type": OrderType.MARKET, "price": None, "time_in_force": TimeInForce.IOC}
    return resting(link, **{**kind, **changes})


def done(client: RestClient, call: Call) -> object:
    """The result of a call that must be accepted."""
    reply = client.perform(call)
    assert VerdictKind.ACCEPTED is reply.verdict.kind, reply.verdict
    return reply.result


def fired(exchange: LoopbackExchange) -> list[int]:
    return [fault["fired"] for fault in exchange.faults()]


def test_create_amend_cancel_and_look_up(client):
    ack = done(client, resting("a"))
    assert isinstance(ack, Ack)
    assert "a" == ack.order_link_id
    [row] = done(client, QueryOrders(**BTC, order_link_id="a")).orders
    assert (OrderStatus.NEW, ack.order_id, Decimal("0.01")) == (row.status, row.order_id, row.qty)
    done(client, AmendOrder(**BTC, order_link_id="a", amend=Amend(qty=Decimal("0.02"), price=Decimal(90001))))
    [row] = done(client, QueryOrders(**BTC, order_link_id="a")).orders
    assert (Decimal("0.02"), Decimal(90001)) == (row.qty, row.price)
    done(client, CancelOrder(**BTC, order_link_id="a", order_id=ack.order_id))
    [row] = done(client, QueryOrders(**BTC, order_link_id="a")).orders
    assert (OrderStatus.CANCELLED, "CancelByUser") == (row.status, row.cancel_type)
    assert VerdictKind.GONE is client.perform(CancelOrder(**BTC, order_link_id="a")).verdict.kind


def test_fill_is_listed_with_its_fee_and_moves_the_position(client, exchange):
    done(client, market("a"))
    [fill] = done(client, QueryExecutions(**BTC, order_link_id="a")).executions
    assert (ExecType.TRADE, Decimal("0.01"), Decimal(95001)) == (fill.exec_type, fill.exec_qty, fill.exec_price)
    assert (False, "USDT") == (fill.is_maker, fill.fee_currency)
    assert fill.exec_fee is not None
    [position] = done(client, QueryPositions(**BTC)).positions
    assert (Side.BUY, Decimal("0.01"), Decimal(95001)) == (position.side, position.size, position.avg_price)
    assert fill.seq == position.seq
    assert [fill.exec_id] == [row["execId"] for row in exchange.books()["executions"]]


def test_pages_are_followed_by_their_cursor(client):
    links = [f"o-{number}" for number in range(5)]
    for link in links:
        done(client, resting(link))
    seen: list[str] = []
    cursor = ""
    while True:
        page = done(client, QueryOrders(category=LINEAR, settle_coin="USDT", limit=2, cursor=cursor))
        assert isinstance(page, Page)
        seen += [row.order_link_id for row in page.orders]
        cursor = page.next_cursor
        if not cursor or not page.orders:
            break
    assert sorted(links) == sorted(seen)


def test_cancel_all_takes_everything(client, exchange):
    ids = {done(client, resting(link)).order_id for link in ("a", "b")}
    result = done(client, CancelAll(category=LINEAR, settle_coin="USDT"))
    assert isinstance(result, Cancelled)
    assert ids == set(result.order_ids)
    assert {"Cancelled"} == {order["orderStatus"] for order in exchange.books()["orders"]}


@pytest.mark.parametrize("category", [LINEAR, INVERSE, SPOT])
def test_instruments_read(client, category):
    page = done(client, QueryInstruments(category=category))
    assert page.instruments
    assert () == page.quarantined
    assert all(row.trading and row.category is category for row in page.instruments)


def test_key_account_and_clock_read(client):
    key = done(client, QueryKey())
    assert isinstance(key, KeyInfo)
    assert (True, False) == (bool(key.uid), key.read_only)
    account = done(client, QueryAccount())
    assert isinstance(account, AccountInfo)
    assert account.unified_margin_status in {3, 4, 5, 6}
    clock = done(client, QueryTime())
    assert isinstance(clock, ServerTime)
    assert abs(clock.server_ms - now_ms()) < 60_000


def test_settings_are_set_and_then_unchanged(client):
    leverage, mode = SetLeverage(**BTC, leverage="7"), SwitchMode(**BTC, mode=3)
    for call in (leverage, mode):
        assert done(client, call) is None
        assert VerdictKind.UNCHANGED is client.perform(call).verdict.kind


def test_pre_check_places_nothing(client, exchange):
    reply = client.perform(PreCheck(request=resting("a").request))
    if VerdictKind.ACCEPTED is not reply.verdict.kind:
        pytest.skip("this exchange has no pre-check")
    assert isinstance(reply.result, PreChecked)
    assert [] == exchange.books()["orders"]


def test_conditional_and_spot_orders_are_understood(client):
    done(client, resting("stop", trigger_price=Decimal(96000), price=Decimal(96001)))
    [row] = done(client, QueryOrders(**BTC, order_link_id="stop")).orders
    assert (OrderStatus.UNTRIGGERED, Decimal(96000)) == (row.status, row.trigger_price)
    done(client, market("spot", category=SPOT, qty=Decimal("0.01")))
    rows = done(client, QueryExecutions(category=SPOT, symbol="BTCUSDT", order_link_id="spot")).executions
    assert Decimal("0.01") == sum(row.exec_qty for row in rows)


def test_reused_link_id_is_a_duplicate_and_places_nothing(client, exchange):
    done(client, resting("a"))
    assert VerdictKind.DUPLICATE is client.perform(resting("a")).verdict.kind
    assert 1 == len(exchange.books()["orders"])


@pytest.mark.parametrize("fault, orders", [("lose_request", 0), ("lose_reply", 1)])
def test_lost_create_is_unknown_and_was_sent_once(client, exchange, fault, orders):
    done(client, QueryTime())
    exchange.fault(fault, CREATE_FAULT)
    reply = client.perform(resting("a"))
    assert (VerdictKind.UNKNOWN, Phase.AFTER_SEND) == (reply.verdict.kind, reply.verdict.phase)
    assert [1] == fired(exchange)
    books = exchange.books()
    assert orders == len(books["orders"])
    assert orders == len(done(client, QueryOrders(**BTC, order_link_id="a")).orders)
    creates = [asked for asked in exchange.requests() if "a" == asked["orderLinkId"] and "create" in str(asked)]
    assert 1 == len(creates)


def test_reply_beyond_the_deadline_is_unknown(client, exchange):
    exchange.fault("delay_reply", CREATE_FAULT, args={"ms": 5000})
    started = time.monotonic()
    reply = client.perform(resting("a"), timeout_s=1)
    assert VerdictKind.UNKNOWN is reply.verdict.kind
    assert time.monotonic() - started < 4
    assert 1 == len(exchange.books()["orders"])


@pytest.mark.parametrize(
    "args, kind",
    [
        ({"ret_code": 10000, "executed": True}, VerdictKind.UNKNOWN),
        ({"ret_code": 10016, "executed": False}, VerdictKind.UNKNOWN),
        ({"ret_code": 987654, "executed": True}, VerdictKind.UNKNOWN),
        ({"http_status": 502, "body": "<html>502</html>", "executed": True}, VerdictKind.UNKNOWN),
        ({"http_status": 429, "body": "slow down"}, VerdictKind.NOT_EXECUTED),
        ({"ret_code": 110007}, VerdictKind.REFUSED),
        ({"ret_code": 10005}, VerdictKind.AUTH),
    ],
)
def test_error_is_judged_by_what_it_proves(client, exchange, args, kind):
    exchange.fault("error", CREATE_FAULT, args=args)
    assert kind is client.perform(resting("a")).verdict.kind
    assert [1] == fired(exchange)


def test_throttle_and_ban_are_told_apart(client, exchange):
    exchange.fault("rate_limit", CREATE_FAULT)
    throttled = client.perform(resting("a"))
    exchange.clear_faults()
    exchange.fault("ban", args={"s": 60})
    banned = client.perform(resting("b"))
    assert throttled.verdict.kind is banned.verdict.kind is VerdictKind.THROTTLED
    assert (10006, 200) == (throttled.verdict.ret_code, throttled.verdict.http_status)
    assert 403 == banned.verdict.http_status
    assert [] == exchange.books()["orders"]


def test_rate_headers_are_read(client):
    budget = client.perform(resting("a")).budget
    assert budget.limit is not None
    assert budget.remaining is not None
    assert budget.remaining < budget.limit


def test_wrong_clock_is_refused_before_matching(client, exchange):
    exchange.fault("clock_skew", count=None, args={"ms": 60_000})
    reply = client.perform(resting("a"))
    assert (VerdictKind.NOT_EXECUTED, 10002) == (reply.verdict.kind, reply.verdict.ret_code)
    assert "clock" in reply.verdict.next_step


def test_wrong_secret_is_auth_and_quotes_no_key(endpoints, credentials):
    wrong = Credentials(api_key=credentials.api_key, api_secret="wrong")
    client = RestClient(endpoints=endpoints, credentials=wrong, clock=now_ms)
    reply = client.perform(QueryKey())
    client.close()
    assert (VerdictKind.AUTH, 10004) == (reply.verdict.kind, reply.verdict.ret_code)
    assert credentials.api_key not in repr(reply)


class Listener:
    """A socket's owner that keeps what it is told."""

    def __init__(self, door: Door, url: str) -> None:
        self.told: queue.SimpleQueue[object] = queue.SimpleQueue()
        self.errors: list[BaseException] = []
        self.socket = Socket(
            door=door,
            url=url,
            connection_id=1,
            on_open=lambda _: self.told.put("open"),
            on_frame=lambda _, data: self.told.put(data),
            on_closed=lambda _, why: self.told.put(("closed", why)),
            on_error=lambda _, error: self.errors.append(error),
        )

    def next(self) -> object:
        return self.told.get(timeout=WAIT_S)

    def frames_until(self, wanted: Callable[[Frame], bool]) -> list[Frame]:
        """Parsed frames up to the first wanted one."""
        seen: list[Frame] = []
        while not seen or not wanted(seen[-1]):
            raw = self.next()
            assert isinstance(raw, bytes), raw
            seen.append(parse_frame(raw))
        return seen


@contextmanager
def listening(door: Door, url: str) -> Iterator[Listener]:
    listener = Listener(door, url)
    listener.socket.start()
    assert "open" == listener.next()
    yield listener
    listener.socket.close()
    assert listener.socket.join(WAIT_S)
    assert [] == listener.errors


@pytest.fixture
def private(endpoints: Endpoints, credentials: Credentials) -> Iterator[Listener]:
    with listening(Door.PRIVATE, endpoints.private_url) as listener:
        listener.socket.send(socket_login(credentials, expires_ms=now_ms() + 10_000, req_id="auth"))
        assert AuthAck(success=True) == listener.frames_until(lambda frame: isinstance(frame, AuthAck))[-1]
        listener.socket.send(subscription(["order", "execution", "position", "wallet"], req_id="sub"))
        [*_, ack] = listener.frames_until(lambda frame: isinstance(frame, SubscribeAck))
        assert SubscribeAck(success=True, req_id="sub") == ack
        yield listener


def test_private_stream_tells_a_fill(private, client):
    done(client, market("a"))
    seen: list[Frame] = []
    kinds = {Orders, Executions, Positions}
    while not kinds <= {type(frame) for frame in seen}:
        seen += private.frames_until(lambda frame: isinstance(frame, Orders | Executions | Positions))
    rows = {type(frame): frame.rows for frame in seen if isinstance(frame, Orders | Executions | Positions)}
    assert all(() == frame.quarantined for frame in seen if isinstance(frame, Orders | Executions | Positions))
    assert OrderStatus.FILLED is rows[Orders][-1].status
    assert Decimal("0.01") == rows[Executions][-1].exec_qty
    assert Decimal("0.01") == rows[Positions][-1].size


def test_ping_is_answered(private):
    private.socket.send(ping("p"))
    assert Pong() == private.frames_until(lambda frame: isinstance(frame, Pong))[-1]


def test_refused_login_is_told(exchange, endpoints, credentials):
    exchange.fault("refuse_auth")
    with listening(Door.PRIVATE, endpoints.private_url) as listener:
        listener.socket.send(socket_login(credentials, expires_ms=now_ms() + 10_000))
        [*_, ack] = listener.frames_until(lambda frame: isinstance(frame, AuthAck))
    assert isinstance(ack, AuthAck)
    assert ack.success is False


@pytest.mark.parametrize("fault", ["unknown_enum", "missing_key", "empty_numbers"])
def test_wire_surprise_never_loses_a_neighbour(private, client, exchange, fault):
    exchange.fault(fault, {"topic": "order"})
    done(client, resting("a"))
    [*_, frame] = private.frames_until(lambda frame: isinstance(frame, Orders))
    assert isinstance(frame, Orders)
    assert [1] == fired(exchange)
    expected = (0, 1) if "unknown_enum" == fault else (1, 0)
    assert expected == (len(frame.rows), len(frame.quarantined))


def test_poison_row_is_quarantined_beside_the_good_one(private, client, exchange):
    exchange.fault("poison_frame", {"topic": "order"})
    done(client, resting("a"))
    [*_, frame] = private.frames_until(lambda frame: isinstance(frame, Orders))
    assert isinstance(frame, Orders)
    assert (["a"], 1) == ([row.order_link_id for row in frame.rows], len(frame.quarantined))


def test_cut_socket_is_told(private, exchange):
    exchange.fault("cut_private")
    told = private.next()
    while isinstance(told, bytes):
        told = private.next()
    assert "closed" == told[0]


def trade_reply(listener: Listener, call: CreateOrder | CancelOrder, req_id: str) -> Reply:
    """Ask over the trade socket and wait for the answer."""
    frame = request_frame(call, req_id=req_id, timestamp_ms=now_ms(), recv_window_ms=5000)
    assert Phase.AFTER_SEND is listener.socket.send(frame)
    raw = listener.next()
    assert isinstance(raw, bytes), raw
    answer = parse_reply(raw)
    assert isinstance(answer, TradeReply)
    assert req_id == answer.req_id
    return reply_to(call, answer, sent_ms=None, received_ms=now_ms())


@pytest.fixture
def desk(endpoints: Endpoints, credentials: Credentials) -> Iterator[Listener]:
    with listening(Door.TRADE, endpoints.trade_url) as listener:
        listener.socket.send(auth_frame(credentials, expires_ms=now_ms() + 10_000, req_id="auth"))
        raw = listener.next()
        assert isinstance(raw, bytes)
        login = parse_reply(raw)
        assert isinstance(login, TradeAuth)
        assert login.success
        yield listener


def test_trade_socket_places_and_cancels(desk, exchange):
    placed = trade_reply(desk, resting("a"), "r1")
    assert VerdictKind.ACCEPTED is placed.verdict.kind
    assert isinstance(placed.result, Ack)
    assert placed.budget.limit is not None
    cancelled = trade_reply(desk, CancelOrder(**BTC, order_link_id="a"), "r2")
    assert VerdictKind.ACCEPTED is cancelled.verdict.kind
    assert [("a", "Cancelled")] == [(o["orderLinkId"], o["orderStatus"]) for o in exchange.books()["orders"]]
    assert VerdictKind.GONE is trade_reply(desk, CancelOrder(**BTC, order_link_id="a"), "r3").verdict.kind


def test_trade_socket_refuses_a_second_frame_of_the_same_id_as_unknown(desk):
    trade_reply(desk, resting("a"), "r1")
    assert VerdictKind.UNKNOWN is trade_reply(desk, resting("b"), "r1").verdict.kind


def test_trade_socket_that_dies_is_told(desk, exchange):
    exchange.fault("lose_reply", {"op": "order.create"})
    desk.socket.send(request_frame(resting("a"), req_id="r1", timestamp_ms=now_ms(), recv_window_ms=5000))
    told = desk.next()
    assert isinstance(told, tuple)
    assert "closed" == told[0]
    assert 1 == len(exchange.books()["orders"])
