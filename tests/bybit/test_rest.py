"""Every way a request can end, over real sockets: a verdict claims what the wire proves; nothing is sent twice."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from hean.bybit.auth import REDACTED, Credentials, sign_request
from hean.bybit.endpoints import checked
from hean.bybit.http1 import BODY_MAX_BYTES
from hean.bybit.rest import TEXT_MAX_CHARS, RestClient
from hean.core.calls import (
    Ack,
    Budget,
    CreateOrder,
    Phase,
    QueryOrders,
    QueryTime,
    Reply,
    ServerTime,
    SetLeverage,
    VerdictKind,
)
from hean.core.types import Category
from tests.bybit.peer import Peer, Script, Talk, closed_port
from tests.bybit.samples import a_request, load

KEY, SECRET = "EXAMPLEKEY1234567", "EXAMPLESECRETabcdefghijklmnopqrstuv"
T0 = 1_720_000_000_000
CREATE = CreateOrder(request=a_request())
QUERY = QueryOrders(category=Category.LINEAR, symbol="BTCUSDT", cursor="page_token%3D39380%26")
ACCEPTED = {"retCode": 0, "retMsg": "OK", "result": {"orderId": "o-1", "orderLinkId": "demo-0001"}, "time": T0 + 7}
BOUND_S = 0.6


def client_at(port: int, clock: Callable[[], int] = lambda: T0, **options: object) -> RestClient:
    return RestClient(
        endpoints=checked(
            rest_url=f"http://127.0.0.1:{port}",
            private_url=f"ws://127.0.0.1:{port}/v5/private",
            trade_url=f"ws://127.0.0.1:{port}/v5/trade",
        ),
        credentials=Credentials(api_key=KEY, api_secret=SECRET),
        clock=clock,
        **{"reply_timeout_s": 5.0, **options},
    )


@contextmanager
def exchange(script: Script, **options: object) -> Iterator[tuple[Peer, RestClient]]:
    """A client and the peer that it talks to."""
    with Peer(script) as peer:
        client = client_at(peer.port, **options)
        try:
            yield peer, client
        finally:
            client.close()


def claim(reply: Reply) -> tuple[VerdictKind, Phase]:
    return reply.verdict.kind, reply.verdict.phase


def answering(body: object, status: str = "200 OK", headers: str = "") -> Script:
    """Answers every request of a connection alike."""

    def script(talk: Talk) -> None:
        while talk.read_request():
            talk.answer(body, status, headers)

    return script


def test_accepted_create_is_an_acknowledgement_with_its_times():
    now = iter(range(T0, T0 + 100))
    with exchange(answering(ACCEPTED), local_clock=lambda: next(now)) as (_, client):
        reply = client.perform(CREATE)
    assert (VerdictKind.ACCEPTED, Phase.ANSWERED) == claim(reply)
    assert Ack(order_id="o-1", order_link_id="demo-0001") == reply.result
    assert (T0, T0 + 1, T0 + 7) == (reply.sent_ms, reply.received_ms, reply.server_ms)
    assert (CREATE, "rest") == (reply.call, reply.channel)


def test_post_is_signed_over_the_bytes_that_were_sent():
    with exchange(answering(ACCEPTED)) as (peer, client):
        client.perform(CREATE)
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    assert "POST /v5/order/create HTTP/1.1" == lines[0]
    assert "demo-0001" == json.loads(body)["orderLinkId"]
    credentials = Credentials(api_key=KEY, api_secret=SECRET)
    expected = sign_request(credentials, timestamp_ms=T0, recv_window_ms=5000, payload=body.decode())
    assert (expected, KEY, str(T0), "5000") == (
        headers["x-bapi-sign"],
        headers["x-bapi-api-key"],
        headers["x-bapi-timestamp"],
        headers["x-bapi-recv-window"],
    )
    assert "application/json" == headers["content-type"]


def test_get_is_signed_over_the_query_string_with_its_cursor_verbatim():
    with exchange(answering(load("rest_order_realtime_empty"))) as (peer, client):
        reply = client.perform(QUERY)
    head = peer.requests[0].decode()
    sent = head.split(" ")[1].partition("?")[2]
    assert "category=linear&symbol=BTCUSDT&openOnly=0&limit=50&cursor=page_token%3D39380%26" == sent
    credentials = Credentials(api_key=KEY, api_secret=SECRET)
    assert sign_request(credentials, timestamp_ms=T0, recv_window_ms=5000, payload=sent) in head
    assert VerdictKind.ACCEPTED is reply.verdict.kind


def test_hostile_cursor_is_signed_as_it_is_sent():
    call = QueryOrders(category=Category.LINEAR, cursor='a b"#c\u00e9%zz\r\nHost: elsewhere')
    with exchange(answering(load("rest_order_realtime_empty"))) as (peer, client):
        client.perform(call)
    head = peer.requests[0].decode()
    sent = head.split(" ")[1].partition("?")[2]
    assert sent.endswith("&cursor=a%20b%22%23c%C3%A9%25zz%0D%0AHost:%20elsewhere")
    assert 1 == head.lower().count("\r\nhost:")
    credentials = Credentials(api_key=KEY, api_secret=SECRET)
    assert sign_request(credentials, timestamp_ms=T0, recv_window_ms=5000, payload=sent) in head


def test_public_call_carries_no_key():
    with exchange(answering(load("rest_market_time"))) as (peer, client):
        reply = client.perform(QueryTime())
    assert ServerTime(server_ms=1_688_639_403_423) == reply.result
    assert b"x-bapi" not in peer.requests[0].lower()


def test_each_attempt_is_signed_anew():
    now = iter(range(T0, T0 + 100))
    with exchange(answering(ACCEPTED), clock=lambda: next(now), local_clock=lambda: 0) as (peer, client):
        client.perform(CREATE)
        client.perform(CREATE)
    assert f"X-BAPI-TIMESTAMP: {T0}".encode() in peer.requests[0]
    assert f"X-BAPI-TIMESTAMP: {T0 + 1}".encode() in peer.requests[1]


def test_connection_is_kept_for_the_next_call():
    with exchange(answering(ACCEPTED)) as (peer, client):
        for _ in range(3):
            assert VerdictKind.ACCEPTED is client.perform(CREATE).verdict.kind
    assert (1, 3) == (peer.accepted, len(peer.requests))


def test_refused_connection_proves_that_nothing_was_sent():
    client = client_at(closed_port())
    reply = client.perform(CREATE)
    assert (VerdictKind.NOT_EXECUTED, Phase.BEFORE_SEND) == claim(reply)
    assert reply.sent_ms is None
    assert "demo-0001" in reply.request_text


def test_connection_that_never_comes_proves_that_nothing_was_sent():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # A full backlog: the kernel drops further SYNs, as a firewall would.
        held = [socket.socket() for _ in range(3)]
        for sock in held:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        started = time.monotonic()
        reply = client_at(listener.getsockname()[1]).perform(CREATE, timeout_s=BOUND_S)
        for sock in held:
            sock.close()
    assert (VerdictKind.NOT_EXECUTED, Phase.BEFORE_SEND) == claim(reply)
    assert time.monotonic() - started < 10


def test_unresolvable_host_proves_that_nothing_was_sent(monkeypatch):
    monkeypatch.setattr("hean.bybit.endpoints.LOOPBACK_HOSTS", frozenset({"127.0.0.1", "no-such-host.invalid"}))
    client = client_at(1)
    client._rest_url = "http://no-such-host.invalid"
    reply = client.perform(CREATE)
    assert (VerdictKind.NOT_EXECUTED, Phase.BEFORE_SEND) == claim(reply)
    assert "gaierror" in reply.verdict.ret_msg


def test_address_is_checked_again_before_each_connect():
    with exchange(answering(ACCEPTED)) as (peer, client):
        client._rest_url = "https://api.bybit.com"
        reply = client.perform(CREATE)
    assert (VerdictKind.NOT_EXECUTED, Phase.BEFORE_SEND) == claim(reply)
    assert "mainnet" in reply.verdict.ret_msg
    assert (None, 0) == (reply.sent_ms, peer.accepted)


def close_at_once(talk: Talk) -> None:
    talk.reset()


def close_after_reading(talk: Talk) -> None:
    talk.read_request()


def reset_after_reading(talk: Talk) -> None:
    talk.read_request()
    talk.reset()


def half_a_status_line(talk: Talk) -> None:
    talk.read_request()
    talk.sock.sendall(b"HTTP/1.1 2")


def no_http_at_all(talk: Talk) -> None:
    talk.read_request()
    talk.sock.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")


def half_the_headers(talk: Talk) -> None:
    talk.read_request()
    talk.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")


def half_the_body(talk: Talk) -> None:
    talk.read_request()
    talk.sock.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"retCode":0')


def half_a_chunk(talk: Talk) -> None:
    talk.read_request()
    talk.sock.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"retCode":0')


def broken_chunk(talk: Talk) -> None:
    talk.read_request()
    talk.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}")


@pytest.mark.parametrize(
    "script",
    [
        close_after_reading,
        reset_after_reading,
        half_a_status_line,
        no_http_at_all,
        half_the_body,
        half_a_chunk,
        broken_chunk,
    ],
)
@pytest.mark.parametrize("call", [CREATE, QUERY], ids=["create", "query"])
def test_answer_lost_after_sending_is_unknown_and_sent_once(script, call):
    with exchange(script) as (peer, client):
        reply = client.perform(call)
    assert (VerdictKind.UNKNOWN, Phase.AFTER_SEND) == claim(reply)
    assert (T0, None) == (reply.sent_ms, reply.result)
    assert (1, 1) == (peer.accepted, len(peer.requests))


def test_headers_cut_short_prove_nothing():
    with exchange(half_the_headers) as (peer, client):
        reply = client.perform(CREATE)
    assert VerdictKind.UNKNOWN is reply.verdict.kind
    assert 1 == peer.accepted


def test_connection_reset_at_once_claims_what_its_phase_proves():
    with exchange(close_at_once) as (peer, client):
        reply = client.perform(CREATE)
    # Where the reset overtakes even the connect, nothing was sent and that is what is claimed.
    unsent = Phase.BEFORE_SEND is reply.verdict.phase
    assert (VerdictKind.NOT_EXECUTED if unsent else VerdictKind.UNKNOWN) is reply.verdict.kind
    assert unsent == (reply.sent_ms is None)
    assert 1 == peer.accepted


def hang_without_reading(talk: Talk) -> None:
    talk.wait()


def hang_after_reading(talk: Talk) -> None:
    talk.read_request()
    talk.wait()


def hang_in_the_headers(talk: Talk) -> None:
    talk.read_request()
    talk.sock.sendall(b"HTTP/1.1 200 OK\r\n")
    talk.wait()


def hang_in_the_body(talk: Talk) -> None:
    talk.read_request()
    talk.sock.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"retCode":0')
    talk.wait()


def dribble(talk: Talk, text: bytes) -> None:
    for at in range(len(text)):
        talk.sock.sendall(text[at : at + 1])
        if talk.peer.over.wait(0.02):
            return


def dribble_the_headers(talk: Talk) -> None:
    talk.read_request()
    dribble(talk, b"HTTP/1.1 200 OK\r\nX-Filler: " + b"x" * 1000)


def dribble_the_body(talk: Talk) -> None:
    talk.read_request()
    talk.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    dribble(talk, b" " * 1000)


def dribble_chunks(talk: Talk) -> None:
    talk.read_request()
    talk.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    dribble(talk, b"1\r\n \r\n" * 200)


@pytest.mark.parametrize(
    "script",
    [
        hang_without_reading,
        hang_after_reading,
        hang_in_the_headers,
        hang_in_the_body,
        dribble_the_headers,
        dribble_the_body,
        dribble_chunks,
    ],
)
def test_no_server_holds_a_call_beyond_its_deadline(script):
    with exchange(script) as (peer, client):
        started = time.monotonic()
        reply = client.perform(CREATE, timeout_s=BOUND_S)
        took = time.monotonic() - started
    assert (VerdictKind.UNKNOWN, Phase.AFTER_SEND) == claim(reply)
    assert BOUND_S * 0.9 < took < BOUND_S + 5
    assert 1 == peer.accepted


def test_server_that_stops_reading_holds_no_call_beyond_its_deadline():
    with exchange(hang_without_reading) as (_, client):
        started = time.monotonic()
        reply = client.perform(SetLeverage(category=Category.LINEAR, symbol="S", leverage="1" * 8_000_000), timeout_s=2)
        took = time.monotonic() - started
    assert (VerdictKind.UNKNOWN, Phase.SENDING) == claim(reply)
    assert took < 10


def test_late_answer_is_never_read_as_the_answer_to_the_next_call():
    first_gone = threading.Event()

    def script(talk: Talk) -> None:
        talk.read_request()
        if 0 == talk.number:
            first_gone.wait(5)
            talk.answer({**ACCEPTED, "result": {"orderId": "late"}})
        else:
            talk.answer({**ACCEPTED, "result": {"orderId": "right"}})

    with exchange(script) as (peer, client):
        late = client.perform(CREATE, timeout_s=BOUND_S)
        first_gone.set()
        right = client.perform(CREATE)
    assert VerdictKind.UNKNOWN is late.verdict.kind
    assert Ack(order_id="right", order_link_id=None) == right.result
    assert 2 == peer.accepted


def test_kept_connection_that_dies_under_a_create_is_unknown_and_sent_once():
    def script(talk: Talk) -> None:
        talk.read_request()
        talk.answer(ACCEPTED)
        talk.read_request()

    with exchange(script) as (peer, client):
        assert VerdictKind.ACCEPTED is client.perform(CREATE).verdict.kind
        reply = client.perform(CREATE)
    assert (VerdictKind.UNKNOWN, Phase.AFTER_SEND) == claim(reply)
    assert (1, 2) == (peer.accepted, len(peer.requests))


def test_kept_connection_found_closed_is_replaced_before_sending():
    gone = threading.Event()

    def script(talk: Talk) -> None:
        talk.read_request()
        talk.answer(ACCEPTED)
        talk.sock.shutdown(socket.SHUT_RDWR)
        gone.set()

    with exchange(script) as (peer, client):
        kinds = []
        for _ in range(2):
            kinds.append(client.perform(CREATE).verdict.kind)
            assert gone.wait(5)
            gone.clear()
    assert [VerdictKind.ACCEPTED, VerdictKind.ACCEPTED] == kinds
    assert 2 == peer.accepted


def test_bytes_that_nobody_asked_for_are_never_read_as_the_next_answer():
    sent = threading.Event()

    def script(talk: Talk) -> None:
        while talk.read_request():
            talk.answer({**ACCEPTED, "result": {"orderId": f"right-{talk.number}"}})
            # In a segment of its own, so that the first call has ended before it comes.
            assert ended.wait(5)
            talk.answer({**ACCEPTED, "result": {"orderId": "never asked for"}})
            sent.set()

    ended = threading.Event()
    with exchange(script) as (peer, client):
        first = client.perform(CREATE)
        ended.set()
        assert sent.wait(5)
        second = client.perform(CREATE)
    assert ["right-0", "right-1"] == [reply.result.order_id for reply in (first, second)]
    assert 2 == peer.accepted


@pytest.mark.parametrize("head", ["HTTP/1.1 200 OK\r\nConnection: close\r\n", "HTTP/1.0 200 OK\r\n"])
def test_connection_that_the_exchange_closes_carries_no_other_request(head):
    def script(talk: Talk) -> None:
        body = json.dumps(ACCEPTED)
        while talk.read_request():
            # It says so and keeps listening: a second request on it would be answered.
            talk.sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())

    with exchange(script) as (peer, client):
        kinds = [client.perform(CREATE).verdict.kind for _ in range(2)]
    assert [VerdictKind.ACCEPTED] * 2 == kinds
    assert 2 == peer.accepted


def test_interim_answers_are_no_answers():
    def script(talk: Talk) -> None:
        while talk.read_request():
            talk.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
            talk.answer(ACCEPTED)

    with exchange(script) as (peer, client):
        kinds = [client.perform(CREATE).verdict.kind for _ in range(2)]
    assert [VerdictKind.ACCEPTED] * 2 == kinds
    assert 1 == peer.accepted


def test_answer_in_chunks_keeps_the_connection():
    def script(talk: Talk) -> None:
        body = json.dumps(ACCEPTED).encode()
        while talk.read_request():
            talk.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + body[:5] + b"\r\n")
            talk.sock.sendall(f"{len(body) - 5:x}\r\n".encode() + body[5:] + b"\r\n0\r\n\r\n")

    with exchange(script) as (peer, client):
        kinds = [client.perform(CREATE).verdict.kind for _ in range(2)]
    assert [VerdictKind.ACCEPTED] * 2 == kinds
    assert 1 == peer.accepted


def flood_interim_answers(talk: Talk) -> None:
    talk.read_request()
    while not talk.peer.over.is_set():
        talk.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


def test_server_that_never_stops_talking_holds_no_call_beyond_its_deadline():
    with exchange(flood_interim_answers) as (_, client):
        started = time.monotonic()
        reply = client.perform(CREATE, timeout_s=BOUND_S)
        took = time.monotonic() - started
    assert (VerdictKind.UNKNOWN, Phase.AFTER_SEND) == claim(reply)
    assert BOUND_S * 0.9 < took < BOUND_S + 5


def test_command_past_its_deadline_is_not_sent_on_a_kept_connection_either():
    with exchange(answering(ACCEPTED)) as (peer, client):
        client.perform(CREATE)
        reply = client.perform(CREATE, timeout_s=0)
    assert (VerdictKind.NOT_EXECUTED, Phase.BEFORE_SEND) == claim(reply)
    assert 1 == len(peer.requests)


def test_head_and_body_leave_together():
    seen: list[bytes] = []

    def script(talk: Talk) -> None:
        while part := talk.sock.recv(65536):
            seen.append(part)
            talk.answer(ACCEPTED)

    with exchange(script) as (_, client):
        for _ in range(20):
            assert VerdictKind.ACCEPTED is client.perform(CREATE).verdict.kind
    assert all(part.startswith(b"POST ") and part.endswith(b"}") for part in seen)
    assert 20 == len(seen)


def test_idle_connection_is_replaced(monkeypatch):
    monkeypatch.setattr("hean.bybit.rest._IDLE_MAX_S", -1.0)
    with exchange(answering(ACCEPTED)) as (peer, client):
        client.perform(CREATE)
        client.perform(CREATE)
    assert 2 == peer.accepted


@pytest.mark.parametrize(
    "status, kind",
    [
        ("502 Bad Gateway", VerdictKind.UNKNOWN),
        ("503 Service Unavailable", VerdictKind.UNKNOWN),
        ("403 Forbidden", VerdictKind.THROTTLED),
        ("429 Too Many Requests", VerdictKind.NOT_EXECUTED),
        ("401 Unauthorized", VerdictKind.AUTH),
        ("404 Not Found", VerdictKind.REFUSED),
        ("200 OK", VerdictKind.UNKNOWN),
    ],
)
def test_page_for_people_is_judged_by_its_status(status, kind):
    with exchange(answering(b"<html><h1>Sorry</h1></html>", status)) as (peer, client):
        reply = client.perform(CREATE)
    assert (kind, Phase.ANSWERED) == claim(reply)
    assert (int(status[:3]), None) == (reply.verdict.http_status, reply.verdict.ret_code)
    assert "Sorry" in reply.reply_text
    assert 1 == len(peer.requests)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"retCode":"no"}', b"\xff\xfe", b'{"retCode":0}', b'{"retCode":0,"result":7}']
)
def test_body_that_does_not_read_is_unknown(body):
    with exchange(answering(body)) as (_, client):
        for call in (CREATE, QUERY):
            reply = client.perform(call)
            assert (VerdictKind.UNKNOWN, None) == (reply.verdict.kind, reply.result)


def test_acknowledgement_of_another_order_is_unknown():
    with exchange(answering({**ACCEPTED, "result": {"orderId": "x", "orderLinkId": "other"}})) as (_, client):
        reply = client.perform(CREATE)
    assert (VerdictKind.UNKNOWN, 0) == (reply.verdict.kind, reply.verdict.ret_code)
    assert "query by order_link_id" in reply.verdict.next_step


def test_partial_page_is_a_failed_query():
    page = load("rest_order_realtime_open")
    del page["result"]["nextPageCursor"]
    with exchange(answering(page)) as (_, client):
        reply = client.perform(QUERY)
    assert (VerdictKind.UNKNOWN, None) == (reply.verdict.kind, reply.result)
    assert "absence" in reply.verdict.next_step


def test_redirect_is_not_followed():
    with Peer(answering(ACCEPTED)) as elsewhere:
        to = f"Location: http://127.0.0.1:{elsewhere.port}/v5/order/create\r\n"
        for status in ("302 Found", "307 Temporary Redirect", "308 Permanent Redirect"):
            with exchange(answering(b"", status, to)) as (peer, client):
                reply = client.perform(CREATE)
            assert VerdictKind.UNKNOWN is reply.verdict.kind
            assert 1 == len(peer.requests)
        assert 0 == elsewhere.accepted


def test_proxies_of_the_environment_are_ignored(monkeypatch):
    with Peer(answering(ACCEPTED)) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        with exchange(answering(ACCEPTED)) as (peer, client):
            client.perform(CREATE)
        assert (1, 0) == (len(peer.requests), proxy.accepted)


def test_cookies_are_not_kept():
    with exchange(answering(ACCEPTED, headers="Set-Cookie: track=me; Path=/\r\n")) as (peer, client):
        client.perform(CREATE)
        client.perform(CREATE)
    assert b"cookie" not in peer.requests[1].lower()


def test_answer_over_the_bound_is_unknown():
    def script(talk: Talk) -> None:
        talk.read_request()
        talk.sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            talk.sock.sendall(b" " * 1_000_000)

    with exchange(script) as (_, client):
        reply = client.perform(CREATE)
    assert (VerdictKind.UNKNOWN, Phase.AFTER_SEND) == claim(reply)
    assert str(BODY_MAX_BYTES) in reply.verdict.ret_msg


def test_budget_is_read_from_the_headers():
    told = load("rest_headers_rate_limited")
    headers = "".join(f"{name.upper()}: {value}\r\n" for name, value in told.items() if name.startswith("X-"))
    with exchange(answering(load("rest_error_10006"), headers=headers)) as (_, client):
        reply = client.perform(CREATE)
    assert VerdictKind.THROTTLED is reply.verdict.kind
    assert Budget(limit=10, remaining=0, reset_ms=1_720_000_000_950) == reply.budget


def test_odd_budget_headers_say_nothing():
    odd = "X-Bapi-Limit: many\r\nX-Bapi-Limit-Status: -1\r\nX-Bapi-Limit-Reset-Timestamp: " + "9" * 40 + "\r\n"
    with exchange(answering(ACCEPTED, headers=odd)) as (_, client):
        assert Budget() == client.perform(CREATE).budget


def test_no_secret_is_in_any_text():
    error = {"retCode": 10004, "retMsg": f"error sign! origin_string[{T0}{KEY}5000{{}}] {SECRET}", "result": {}}
    with exchange(answering(error)) as (_, client):
        reply = client.perform(CREATE)
    assert VerdictKind.AUTH is reply.verdict.kind
    assert REDACTED in reply.verdict.ret_msg
    for secret in (KEY, SECRET):
        assert secret not in repr(reply)


def test_texts_of_the_trace_are_bounded():
    with exchange(answering(b"x" * 100_000, "500 Oops")) as (_, client):
        reply = client.perform(CREATE)
    assert TEXT_MAX_CHARS == len(reply.reply_text)
    assert reply.request_text.startswith('POST /v5/order/create {"category":"linear"')


@pytest.mark.parametrize("late", [{"deadline_ms": T0}, {"deadline_ms": T0 - 1}, {"timeout_s": 0}, {"timeout_s": -1}])
def test_command_past_its_deadline_is_never_sent(late):
    with exchange(answering(ACCEPTED)) as (peer, client):
        reply = client.perform(CREATE, **late)
    assert (VerdictKind.NOT_EXECUTED, Phase.BEFORE_SEND) == claim(reply)
    assert (None, 0) == (reply.sent_ms, peer.accepted)


def test_deadline_bounds_the_call():
    with exchange(hang_after_reading) as (_, client):
        started = time.monotonic()
        reply = client.perform(CREATE, deadline_ms=T0 + 300)
    assert VerdictKind.UNKNOWN is reply.verdict.kind
    assert time.monotonic() - started < 10


def test_call_that_cannot_be_written_down_is_our_bug_and_costs_nothing():
    with exchange(answering(ACCEPTED)) as (peer, client):
        reply = client.perform(QueryOrders(category=None))
        assert (VerdictKind.LOCAL_BUG, Phase.BEFORE_SEND) == claim(reply)
        assert VerdictKind.ACCEPTED is client.perform(CREATE).verdict.kind
    assert 1 == len(peer.requests)


def test_closed_client_opens_another_connection():
    with exchange(answering(ACCEPTED)) as (peer, client):
        client.perform(CREATE)
        client.close()
        assert VerdictKind.ACCEPTED is client.perform(CREATE).verdict.kind
    assert 2 == peer.accepted
