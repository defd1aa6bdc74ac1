"""One WebSocket connection over real sockets: what it tells, once, and that nothing but its owner ends it."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from hean.bybit.endpoints import Door
from hean.bybit.stream import MESSAGE_MAX_BYTES, Socket
from hean.core.calls import Phase
from tests.bybit.peer import Peer, Script, Talk, closed_port

TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
WAIT_S = 20


def handshake(talk: Talk, along: bytes = b"") -> bytes:
    """The server's side of RFC 6455's handshake, `along` in the same segment as its answer; the request."""
    request = talk.read_request()
    if not request:
        raise ConnectionError("closed before the handshake")
    found = re.search(rb"Sec-WebSocket-Key: (\S+)", request, re.IGNORECASE)
    assert found
    accept = base64.b64encode(hashlib.sha1(found[1] + GUID).digest()).decode()
    talk.sock.sendall(SWITCHING + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode() + along)
    return request


def frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True) -> bytes:
    head = bytes([(0x80 if fin else 0) | opcode])
    if len(payload) < 126:
        return head + bytes([len(payload)]) + payload
    return head + bytes([127]) + len(payload).to_bytes(8, "big") + payload


def exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            raise ConnectionError("closed")
        data += part
    return data


def read_frame(sock: socket.socket) -> tuple[int, bytes]:
    """One frame of the client, unmasked."""
    first, second = exactly(sock, 2)
    length = second & 0x7F
    if length >= 126:
        length = int.from_bytes(exactly(sock, 2 if 126 == length else 8), "big")
    mask = exactly(sock, 4)
    data = exactly(sock, length)
    return first & 0xF, bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


class Owner:
    """Records what a socket tells, in order."""

    def __init__(self) -> None:
        self.told: queue.SimpleQueue[tuple[object, ...]] = queue.SimpleQueue()
        self.frame_error: BaseException | None = None

    def on_open(self, connection_id: int) -> None:
        self.told.put(("open", connection_id))

    def on_frame(self, connection_id: int, data: bytes) -> None:
        self.told.put(("frame", connection_id, data))
        if self.frame_error is not None:
            raise self.frame_error

    def on_closed(self, connection_id: int, why: str) -> None:
        self.told.put(("closed", connection_id, why))

    def on_error(self, connection_id: int, error: BaseException) -> None:
        self.told.put(("error", connection_id, error))

    def next(self) -> tuple[object, ...]:
        return self.told.get(timeout=WAIT_S)

    def socket_to(self, port: int, **options: object) -> Socket:
        return Socket(
            door=Door.PRIVATE,
            url=f"ws://127.0.0.1:{port}/v5/private",
            connection_id=7,
            on_open=self.on_open,
            on_frame=self.on_frame,
            on_closed=self.on_closed,
            on_error=self.on_error,
            **options,
        )


class Pausing(Owner):
    """Records the pauses too."""

    def on_pause(self, connection_id: int) -> None:
        self.told.put(("pause", connection_id))

    def socket_to(self, port: int, **options: object) -> Socket:
        return super().socket_to(port, on_pause=self.on_pause, **options)


@contextmanager
def connected(
    script: Script, owner_type: type[Owner] = Owner, **options: object
) -> Iterator[tuple[Peer, Socket, Owner]]:
    """A started socket and its peer; in the end, the reader is gone and has told the end once."""
    owner = owner_type()
    with Peer(script) as peer:
        stream = owner.socket_to(peer.port, **options)
        stream.start()
        yield peer, stream, owner
        stream.close("end of the test")
        assert stream.join(WAIT_S)
    assert owner.told.empty()


def serving(after: Callable[[Talk], None]) -> Script:
    def script(talk: Talk) -> None:
        handshake(talk)
        after(talk)

    return script


def quiet(talk: Talk) -> None:
    talk.wait()


def why_closed(owner: Owner) -> str:
    kind, connection_id, why = owner.next()
    assert ("closed", 7) == (kind, connection_id)
    return str(why)


def test_open_then_frames_then_closed_in_order():
    def script(talk: Talk) -> None:
        talk.sock.sendall(frame(b"one") + frame(b"two") + frame(b"\xff\xfe", BINARY))
        talk.sock.sendall(frame((1000).to_bytes(2, "big") + b"bye", CLOSE))

    with connected(serving(script)) as (_, _, owner):
        assert ("open", 7) == owner.next()
        assert [("frame", 7, b"one"), ("frame", 7, b"two"), ("frame", 7, b"\xff\xfe")] == [
            owner.next() for _ in range(3)
        ]
        assert "closed by the exchange: 1000 bye" == why_closed(owner)


def test_text_reaches_the_other_side_and_its_answer_comes_back():
    def echo(talk: Talk) -> None:
        while True:
            opcode, data = read_frame(talk.sock)
            talk.sock.sendall(frame(data, opcode))

    with connected(serving(echo)) as (_, stream, owner):
        owner.next()
        assert Phase.AFTER_SEND is stream.send('{"op":"ping"}')
        assert ("frame", 7, b'{"op":"ping"}') == owner.next()
        stream.close()
        assert "closed here" == why_closed(owner)


def test_many_threads_send_whole_frames():
    seen: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def script(talk: Talk) -> None:
        while True:
            seen.put(read_frame(talk.sock)[1])

    with connected(serving(script)) as (_, stream, owner):
        owner.next()
        texts = [str(number) * 5000 for number in range(10)]
        threads = [threading.Thread(target=stream.send, args=(text,)) for text in texts]
        for thread in threads:
            thread.start()
        assert {text.encode() for text in texts} == {seen.get(timeout=WAIT_S) for _ in texts}
        stream.close()
        why_closed(owner)


def test_fragments_are_one_message_and_a_ping_between_them_is_answered():
    answered: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()

    def script(talk: Talk) -> None:
        talk.sock.sendall(frame(b"one ", fin=False) + frame(b"beat", PING) + frame(b"message", CONT))
        answered.put(read_frame(talk.sock))
        talk.sock.sendall(frame(b"", PONG))
        talk.wait()

    with connected(serving(script)) as (_, stream, owner):
        owner.next()
        assert ("frame", 7, b"one message") == owner.next()
        assert (PONG, b"beat") == answered.get(timeout=WAIT_S)
        stream.close()
        why_closed(owner)


def test_frame_that_comes_slowly_is_read_whole():
    def script(talk: Talk) -> None:
        for byte in frame(b"slow"):
            talk.sock.sendall(bytes([byte]))
            talk.peer.over.wait(0.05)
        talk.wait()

    with connected(serving(script), send_timeout_s=0.02) as (_, stream, owner):
        owner.next()
        assert ("frame", 7, b"slow") == owner.next()
        stream.close()
        why_closed(owner)


def test_frames_that_come_along_with_the_handshake_are_told():
    def script(talk: Talk) -> None:
        handshake(talk, frame(b"early") + frame(b"late")[:3])
        talk.sock.sendall(frame(b"late")[3:])
        talk.wait()

    with connected(script) as (_, stream, owner):
        assert [("open", 7), ("frame", 7, b"early"), ("frame", 7, b"late")] == [owner.next() for _ in range(3)]
        stream.close()
        why_closed(owner)


def test_pause_comes_after_all_frames_of_a_chunk_before_the_wait_and_at_the_end():
    def script(talk: Talk) -> None:
        handshake(talk, frame(b"one") + frame(b"beat", PING) + frame(b"two") + frame(b"half")[:3])
        assert (PONG, b"beat") == read_frame(talk.sock)
        talk.wait()

    with connected(script, Pausing, send_timeout_s=60) as (_, stream, owner):
        assert [("open", 7), ("pause", 7)] == [owner.next() for _ in range(2)]
        assert [("frame", 7, b"one"), ("frame", 7, b"two"), ("pause", 7)] == [owner.next() for _ in range(3)]
        stream.close()
        assert ("pause", 7) == owner.next()
        assert "closed here" == why_closed(owner)


def test_pause_comes_last_after_frames_that_the_end_came_along_with():
    def script(talk: Talk) -> None:
        handshake(talk, frame(b"last") + frame((1001).to_bytes(2, "big"), CLOSE) + frame(b"never"))
        talk.wait()

    with connected(script, Pausing) as (_, _, owner):
        assert [("open", 7), ("pause", 7), ("frame", 7, b"last"), ("pause", 7)] == [owner.next() for _ in range(4)]
        assert "closed by the exchange: 1001" == why_closed(owner)


def test_pause_that_raises_is_reported_and_reading_goes_on():
    def fail(_: int) -> None:
        raise LookupError

    with connected(serving(lambda talk: (talk.sock.sendall(frame(b"x")), talk.wait())), on_pause=fail) as (
        _,
        stream,
        owner,
    ):
        kinds = [owner.next()[0] for _ in range(4)]
        assert ["open", "error", "frame", "error"] == kinds
        stream.close()
        assert "error" == owner.next()[0]
        why_closed(owner)


@pytest.mark.parametrize("error", [KeyError("{"), SystemExit(1), KeyboardInterrupt()])
def test_callback_that_raises_is_reported_and_reading_goes_on(error):
    def script(talk: Talk) -> None:
        talk.sock.sendall(frame(b"first") + frame(b"second"))
        talk.wait()

    owner = Owner()
    owner.frame_error = error
    with Peer(serving(script)) as peer:
        stream = owner.socket_to(peer.port)
        stream.start()
        assert [("open", 7), ("frame", 7, b"first"), ("error", 7, error)] == [owner.next() for _ in range(3)]
        assert [("frame", 7, b"second"), ("error", 7, error)] == [owner.next() for _ in range(2)]
        stream.close()
        assert "closed here" == why_closed(owner)
        assert stream.join(WAIT_S)


def test_report_that_raises_does_not_end_the_reading():
    frames: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def script(talk: Talk) -> None:
        talk.sock.sendall(frame(b"first") + frame(b"second"))
        talk.wait()

    def fail(*_: object) -> None:
        raise RuntimeError

    def keep_and_fail(_: int, data: bytes) -> None:
        frames.put(data)
        raise RuntimeError

    with Peer(serving(script)) as peer:
        stream = Socket(
            door=Door.PRIVATE,
            url=f"ws://127.0.0.1:{peer.port}/v5/private",
            connection_id=1,
            on_open=fail,
            on_frame=keep_and_fail,
            on_closed=fail,
            on_error=fail,
        )
        stream.start()
        assert [b"first", b"second"] == [frames.get(timeout=WAIT_S) for _ in range(2)]
        stream.close()
        assert stream.join(WAIT_S)


def test_owner_may_send_and_close_from_its_callbacks():
    seen: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    done = threading.Event()

    def script(talk: Talk) -> None:
        seen.put(read_frame(talk.sock)[1])
        talk.sock.sendall(frame(b"hello"))
        talk.wait()

    with Peer(serving(script)) as peer:
        stream = Socket(
            door=Door.PRIVATE,
            url=f"ws://127.0.0.1:{peer.port}/v5/private",
            connection_id=1,
            on_open=lambda _: stream.send("login"),
            on_frame=lambda _, data: (stream.close(data.decode()), stream.join(WAIT_S)),
            on_closed=lambda _, why: done.set() if "hello" == why else None,
            on_error=lambda *_: None,
        )
        stream.start()
        assert b"login" == seen.get(timeout=WAIT_S)
        assert done.wait(WAIT_S)
        assert stream.join(WAIT_S)


def test_close_wakes_a_reader_that_waits():
    with connected(serving(quiet), send_timeout_s=60) as (_, stream, owner):
        owner.next()
        started = time.monotonic()
        stream.close("no frame for 30 s")
        assert "no frame for 30 s" == why_closed(owner)
        assert time.monotonic() - started < 10


def test_first_reason_is_the_one_told():
    with connected(serving(quiet)) as (_, stream, owner):
        owner.next()
        stream.close("first")
        stream.close("second")
        assert "first" == why_closed(owner)


def test_cut_by_the_other_side_is_told():
    def script(talk: Talk) -> None:
        talk.sock.shutdown(socket.SHUT_RDWR)

    with connected(serving(script)) as (_, stream, owner):
        owner.next()
        assert "" != why_closed(owner)
        assert Phase.BEFORE_SEND is stream.send("too late")


def test_reset_by_the_other_side_is_told():
    with connected(serving(Talk.reset)) as (_, _, owner):
        assert ("open", 7) == owner.next()
        assert "" != why_closed(owner)


def test_refused_connection_is_told_once_and_never_opened():
    owner = Owner()
    stream = owner.socket_to(closed_port())
    stream.start()
    assert "refused" in why_closed(owner)
    assert stream.join(WAIT_S)
    assert owner.told.empty()


def no_websocket(talk: Talk) -> None:
    talk.read_request()
    talk.answer(b"<html>403</html>", "403 Forbidden")


def wrong_key(talk: Talk) -> None:
    talk.read_request()
    talk.sock.sendall(SWITCHING + b"Sec-WebSocket-Accept: x\r\n\r\n")


def garbage(talk: Talk) -> None:
    talk.read_request()
    talk.sock.sendall(b"\x00\xff nonsense\r\n\r\n")


def gone(talk: Talk) -> None:
    talk.read_request()


@pytest.mark.parametrize("script", [no_websocket, wrong_key, garbage, gone])
def test_handshake_that_fails_is_told_once_and_never_opened(script):
    with connected(script) as (_, stream, owner):
        assert "" != why_closed(owner)
        assert Phase.BEFORE_SEND is stream.send("x")


def test_redirect_is_not_followed():
    with Peer(serving(quiet)) as elsewhere:

        def script(talk: Talk) -> None:
            talk.read_request()
            talk.answer(b"", "302 Found", f"Location: ws://127.0.0.1:{elsewhere.port}/v5/private\r\n")

        with connected(script) as (_, _, owner):
            assert "" != why_closed(owner)
        assert 0 == elsewhere.accepted


def test_proxies_of_the_environment_are_ignored(monkeypatch):
    with Peer(serving(quiet)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        with connected(serving(quiet)) as (_, stream, owner):
            assert ("open", 7) == owner.next()
            stream.close()
            why_closed(owner)
        assert 0 == proxy.accepted


def test_close_in_the_middle_of_the_handshake_ends_it():
    reached = threading.Event()

    def script(talk: Talk) -> None:
        talk.read_request()
        reached.set()
        talk.wait()

    with connected(script, connect_timeout_s=60) as (_, stream, owner):
        assert reached.wait(WAIT_S)
        started = time.monotonic()
        stream.close("changed our mind")
        assert "changed our mind" == why_closed(owner)
        assert time.monotonic() - started < 10


def test_silent_handshake_is_given_up():
    def script(talk: Talk) -> None:
        talk.read_request()
        talk.wait()

    with connected(script, connect_timeout_s=0.2) as (_, _, owner):
        assert "" != why_closed(owner)


def test_close_before_start_opens_nothing():
    owner = Owner()
    with Peer(serving(quiet)) as peer:
        stream = owner.socket_to(peer.port)
        assert stream.join(0)
        stream.close("not today")
        stream.start()
        assert "not today" == why_closed(owner)
        assert stream.join(WAIT_S)
        assert [] == peer.requests


def test_send_before_open_sends_nothing():
    assert Phase.BEFORE_SEND is Owner().socket_to(1).send("x")


def test_frames_before_the_one_that_breaks_the_protocol_are_told():
    def script(talk: Talk) -> None:
        talk.sock.sendall(frame(b"filled") + b"\xf1\x01x")
        talk.wait()

    with connected(serving(script)) as (_, _, owner):
        assert [("open", 7), ("frame", 7, b"filled")] == [owner.next() for _ in range(2)]
        assert "ConnectionError: expected no reserved bit in a frame, was 0xf1" == why_closed(owner)


@pytest.mark.parametrize(
    "sent",
    [
        frame(b"", TEXT)[:1] + bytes([127]) + (MESSAGE_MAX_BYTES + 1).to_bytes(8, "big"),
        frame(b"x", CONT),
        frame(b"x", fin=False) + frame(b"y", TEXT),
        b"\xf1\x01x",
        b"\x83\x01x",
        b"\x81\x81keysx",
        frame(b"x", PING, fin=False),
        frame(b"x" * 126, PING),
    ],
    ids=[
        "huge",
        "continuation first",
        "text inside text",
        "reserved bits",
        "unknown opcode",
        "masked",
        "ping in fragments",
        "long ping",
    ],
)
def test_frame_that_breaks_the_protocol_closes_the_connection(sent):
    def script(talk: Talk) -> None:
        talk.sock.sendall(sent)
        talk.wait()

    with connected(serving(script)) as (_, _, owner):
        owner.next()
        assert "" != why_closed(owner)


def test_message_of_many_fragments_is_bounded():
    def script(talk: Talk) -> None:
        talk.sock.sendall(frame(b"x", fin=False))
        while True:
            talk.sock.sendall(frame(b"x" * 4_000_000, CONT, fin=False))

    with connected(serving(script)) as (_, _, owner):
        owner.next()
        assert str(MESSAGE_MAX_BYTES) in why_closed(owner)


def test_peer_that_stops_reading_loses_the_connection():
    with connected(serving(quiet), send_timeout_s=0.3) as (_, stream, owner):
        owner.next()
        phases = {stream.send("x" * 20_000_000)}
        assert {Phase.SENDING} == phases
        assert "sending failed" in why_closed(owner)
        assert Phase.BEFORE_SEND is stream.send("x")


def test_nothing_is_sent_after_half_a_frame():
    begun = threading.Event()

    def script(talk: Talk) -> None:
        exactly(talk.sock, 1)
        begun.set()
        talk.wait()

    with connected(serving(script), send_timeout_s=0.3) as (_, stream, owner):
        owner.next()
        halved = threading.Thread(target=stream.send, args=("x" * 20_000_000,))
        halved.start()
        assert begun.wait(WAIT_S)
        assert Phase.BEFORE_SEND is stream.send("waited for its turn")
        halved.join(WAIT_S)
        assert "sending failed" in why_closed(owner)


def test_peer_that_reads_slowly_has_the_time_of_one_send():
    def script(talk: Talk) -> None:
        while talk.sock.recv(10_000):
            talk.peer.over.wait(0.02)

    with connected(serving(script), send_timeout_s=0.5) as (_, stream, owner):
        owner.next()
        started = time.monotonic()
        assert Phase.SENDING is stream.send("x" * 20_000_000)
        assert time.monotonic() - started < 10
        assert "sending failed" in why_closed(owner)


def test_close_cuts_a_send_short():
    begun = threading.Event()
    phases: queue.SimpleQueue[Phase] = queue.SimpleQueue()

    def script(talk: Talk) -> None:
        exactly(talk.sock, 1)
        begun.set()
        talk.wait()

    with connected(serving(script), send_timeout_s=60) as (_, stream, owner):
        owner.next()
        threading.Thread(target=lambda: phases.put(stream.send("x" * 20_000_000))).start()
        assert begun.wait(WAIT_S)
        stream.close("enough")
        assert Phase.SENDING is phases.get(timeout=WAIT_S)
        assert "enough" == why_closed(owner)


def test_what_is_no_text_is_not_sent():
    with connected(serving(quiet)) as (_, stream, owner):
        owner.next()
        assert Phase.SENDING is stream.send("\ud800")
        assert "sending failed: UnicodeEncodeError" in why_closed(owner)


@pytest.mark.parametrize("url", ["wss://stream.bybit.com/v5/private", "ws://127.0.0.1:1/v5/trade", "nonsense"])
def test_address_is_checked_at_every_connect(url):
    owner = Owner()
    stream = Socket(
        door=Door.PRIVATE,
        url=url,
        connection_id=7,
        on_open=owner.on_open,
        on_frame=owner.on_frame,
        on_closed=owner.on_closed,
        on_error=owner.on_error,
    )
    stream.start()
    assert "ConfigError: HEAN_BYBIT__PRIVATE_URL" in why_closed(owner)
    assert stream.join(WAIT_S)


def test_tls_is_the_same_and_its_close_wakes_the_reader(certificate, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def script(talk: Talk) -> None:
        talk.sock = context.wrap_socket(talk.sock, server_side=True)
        handshake(talk)
        talk.sock.sendall(frame(read_frame(talk.sock)[1]) + frame(b"x" * 100_000))
        with contextlib.suppress(OSError):
            talk.sock.recv(1)

    # Only testnet has TLS: the test must hand a loopback address past the guard.
    monkeypatch.setattr("hean.bybit.stream.checked_url", lambda _, url: url.replace("ws://", "wss://"))
    monkeypatch.setattr("hean.bybit.stream.DEFAULT_CA_BUNDLE_PATH", str(certificate))
    with connected(script, send_timeout_s=60) as (_, stream, owner):
        assert ("open", 7) == owner.next()
        assert Phase.AFTER_SEND is stream.send("over TLS")
        # The second is longer than what TLS decrypts at a time, and than what is read at a time.
        assert [("frame", 7, b"over TLS"), ("frame", 7, b"x" * 100_000)] == [owner.next() for _ in range(2)]
        started = time.monotonic()
        stream.close()
        assert "closed here" == why_closed(owner)
        assert time.monotonic() - started < 10


def test_tls_is_read_and_written_by_one_thread_at_a_time(certificate, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    inside, watched, written, read = threading.Lock(), threading.Event(), threading.Event(), threading.Event()
    overlaps: list[str] = []
    plain = {name: getattr(ssl.SSLSocket, name) for name in ("recv", "send")}

    def alone(name: str, sock: ssl.SSLSocket, *args: object) -> object:
        if sock.server_side:
            return plain[name](sock, *args)
        if not inside.acquire(blocking=False):
            overlaps.append(name)
            return plain[name](sock, *args)
        try:
            if name == "recv":
                read.set()
                # As long as a sender could take to come in between.
                written.wait(0.2)
            else:
                written.set()
            return plain[name](sock, *args)
        finally:
            inside.release()

    def script(talk: Talk) -> None:
        talk.sock = context.wrap_socket(talk.sock, server_side=True)
        handshake(talk)
        watched.wait(WAIT_S)
        talk.sock.sendall(frame(b"pushed"))
        talk.sock.sendall(frame(read_frame(talk.sock)[1]))
        with contextlib.suppress(OSError):
            talk.sock.recv(1)

    monkeypatch.setattr("hean.bybit.stream.checked_url", lambda _, url: url.replace("ws://", "wss://"))
    monkeypatch.setattr("hean.bybit.stream.DEFAULT_CA_BUNDLE_PATH", str(certificate))
    with connected(script) as (_, stream, owner):
        owner.next()
        for name in plain:
            monkeypatch.setattr(
                ssl.SSLSocket, name, functools.partialmethod(lambda s, n, *args: alone(n, s, *args), name)
            )
        watched.set()
        assert read.wait(WAIT_S)
        assert Phase.AFTER_SEND is stream.send("said meanwhile")
        assert [("frame", 7, b"pushed"), ("frame", 7, b"said meanwhile")] == [owner.next() for _ in range(2)]
        stream.close()
        assert "closed here" == why_closed(owner)
    assert [] == overlaps


def test_tls_that_does_not_verify_is_never_opened(certificate, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def script(talk: Talk) -> None:
        talk.sock = context.wrap_socket(talk.sock, server_side=True)

    monkeypatch.setattr("hean.bybit.stream.checked_url", lambda _, url: url.replace("ws://", "wss://"))
    with connected(script) as (_, _, owner):
        assert "CERTIFICATE_VERIFY_FAILED" in why_closed(owner)


def test_reader_is_a_named_daemon():
    stream = Owner().socket_to(1)
    assert ("hean-private-7", True) == (stream._thread.name, stream._thread.daemon)
