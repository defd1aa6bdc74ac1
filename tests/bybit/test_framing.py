"""The framing of RFC 6455: any chunks give the same messages, and a foreign server reads what is written."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
from collections.abc import Iterator
from typing import Self

import pytest
from aiohttp import WSMsgType, web
from attrs import frozen
from hypothesis import example, given
from hypothesis import strategies as st

from hean.bybit import framing
from hean.bybit.framing import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, FrameReader, FrameWriter

MAX_BYTES = 300
WAIT_S = 20
Heard = list[tuple[int, bytes]]


def frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True, wide: int | None = None) -> bytes:
    """A server's frame; `wide` is how many bytes its length takes after the head, None for as few as can be."""
    size = len(payload)
    if wide is None:
        wide = 0 if size < 126 else 2 if size < 1 << 16 else 8
    length = size.to_bytes(wide, "big") if wide else b""
    return bytes([0x80 * fin | opcode, {0: size, 2: 126, 8: 127}[wide]]) + length + payload


def read(chunks: list[bytes], message_max_bytes: int = MAX_BYTES) -> tuple[Heard, str | None]:
    """What a new reader tells of these chunks, and the error that ended it."""
    reader = FrameReader(message_max_bytes)
    heard: Heard = []
    try:
        for chunk in chunks:
            heard.extend(reader.feed(chunk))
    except ConnectionError as error:
        return heard, str(error)
    return heard, None


def counted(size: int) -> bytes:
    """Bytes of which no four are the four before them."""
    return b"".join(number.to_bytes(3, "big") for number in range(size // 3 + 1))[:size]


@frozen
class Said:
    """What a server sent, and what it means."""

    sent: bytes
    heard: Heard


@st.composite
def messages(draw: st.DrawFn) -> Said:
    """One message in any number of fragments with control frames between them, lengths written in any way."""
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    fragments = draw(
        st.lists(st.binary(max_size=140), min_size=1, max_size=3).filter(lambda all_: len(b"".join(all_)) <= MAX_BYTES)
    )
    sent, heard = b"", []
    for at, fragment in enumerate(fragments):
        for kind, payload in draw(st.lists(controls, max_size=2)):
            sent += frame(payload, kind)
            heard.append((kind, payload))
        wide = draw(st.sampled_from([None, 2, 8]))
        sent += frame(fragment, CONTINUATION if at else opcode, fin=at == len(fragments) - 1, wide=wide)
    return Said(sent, [*heard, (opcode, b"".join(fragments))])


controls = st.one_of(
    st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125)),
    st.tuples(st.just(CLOSE), st.binary(max_size=125).filter(lambda payload: len(payload) != 1)),
)
conversations = st.lists(messages(), max_size=5)
# Almost a conversation: bytes that get past the head now and then.
noise = st.lists(st.one_of(st.binary(max_size=20), messages().map(lambda said: said.sent)), max_size=5).map(b"".join)


def cut(sent: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place % (len(sent) + 1) for place in places)
    return [sent[begin:end] for begin, end in itertools.pairwise([0, *ends, len(sent)])]


@given(conversations, st.lists(st.integers(0, 10_000), max_size=20))
def test_any_chunks_give_the_messages_that_were_sent(said: list[Said], places: list[int]):
    sent = b"".join(one.sent for one in said)
    assert ([one for part in said for one in part.heard], None) == read(cut(sent, places))


@given(noise, st.lists(st.integers(0, 10_000), max_size=20))
@example(frame(b"x") + b"\xff\xff", [1])
def test_any_bytes_give_messages_or_one_connection_error_however_they_are_cut(sent: bytes, places: list[int]):
    expected = read([sent])
    assert expected == read(cut(sent, places))
    assert expected == read([bytes([byte]) for byte in sent])


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_lengths_of_all_three_sizes_are_read(size: int):
    payload = counted(size)
    sent = frame(payload, BINARY) + frame(b"next")
    assert ([(BINARY, payload), (TEXT, b"next")], None) == read([sent], 70_000)
    assert ([(BINARY, payload), (TEXT, b"next")], None) == read(cut(sent, [1, 2, 3, 5, 9, 100, size]), 70_000)


@pytest.mark.parametrize(
    "sent, why",
    [
        (b"\xc1\x01x", "expected no reserved bit in a frame, was 0xc1"),
        (b"\xa1\x01x", "expected no reserved bit in a frame, was 0xa1"),
        (b"\x99\x01x", "expected no reserved bit in a frame, was 0x99"),
        (b"\x83\x01x", "a frame of the unknown opcode 3"),
        (b"\x8b\x01x", "a frame of the unknown opcode 11"),
        (b"\x81\x81keysx", "a masked frame, which only a client sends"),
        (b"\x89\x80keys", "a masked frame, which only a client sends"),
        (b"\x09\x00", "a control frame in fragments"),
        (b"\x08\x00", "a control frame in fragments"),
        (b"\x89\x7e\x00\x01x", "a control frame of more than 125 bytes"),
        (b"\x88\x7f", "a control frame of more than 125 bytes"),
        (b"\x88\x01x", "a close frame with half a code"),
        (b"\x80\x01x", "a message out of order"),
        (b"\x00\x01x", "a message out of order"),
        (b"\x01\x01x\x81\x01y", "a message out of order"),
        (b"\x02\x01x\x02\x01y", "a message out of order"),
    ],
)
def test_broken_protocol_is_named_after_what_came_before_it(sent: bytes, why: str):
    assert ([(TEXT, b"before")], why) == read([frame(b"before") + sent])
    assert ([(TEXT, b"before")], why) == read([bytes([byte]) for byte in frame(b"before") + sent])


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("wide", [2, 8])
def test_message_is_refused_by_the_length_that_its_frame_claims(opcode: int, wide: int):
    whole = frame(b"x" * (MAX_BYTES + 1), opcode, wide=wide)
    assert ([], "a message of more than 300 bytes") == read([whole[: 2 + wide]])
    assert ([], None) == read([whole[: 1 + wide]])
    assert ([(opcode, b"x" * MAX_BYTES)], None) == read([frame(b"x" * MAX_BYTES, opcode, wide=wide)])


def test_message_in_fragments_is_refused_by_what_they_claim_together():
    begun = frame(b"x" * 200, fin=False)
    full = frame(b"y" * 100, CONTINUATION, fin=False)
    assert ([], "a message of more than 300 bytes") == read([begun + frame(b"y" * 101, CONTINUATION)[:2]])
    assert ([(TEXT, b"x" * 200 + b"y" * 100)], None) == read([begun + full + frame(b"", CONTINUATION)])


def test_control_frames_do_not_count_towards_the_message_that_they_interrupt():
    sent = frame(b"x" * MAX_BYTES, fin=False) + frame(b"b" * 125, PING) + frame(b"", CONTINUATION)
    assert ([(PING, b"b" * 125), (TEXT, b"x" * MAX_BYTES)], None) == read([sent])


def test_next_message_after_one_in_fragments_begins_from_nothing():
    sent = frame(b"x" * 200, BINARY, fin=False) + frame(b"", CONTINUATION)
    assert ([(BINARY, b"x" * 200)] * 2, None) == read([sent * 2])


def test_frame_in_many_chunks_is_looked_at_three_times_only(monkeypatch: pytest.MonkeyPatch):
    looks: list[int] = []
    monkeypatch.setattr(framing, "_check", lambda first, *_: looks.append(first))
    sent = frame(b"x" * 65_536, BINARY)
    assert ([(BINARY, b"x" * 65_536)], None) == read([sent[at : at + 1] for at in range(len(sent))], 70_000)
    assert [0x82] * 3 == looks


class Echo:
    """A foreign server on loopback: sends each message back, and answers pings."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        self._loop.close()

    def connect(self) -> socket.socket:
        client = socket.create_connection(self._address, timeout=WAIT_S)
        client.sendall(
            b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += client.recv(1)
        assert answer.startswith(b"HTTP/1.1 101")
        return client

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_get("/", self._echo)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._address = runner.addresses[0]
        self._ready.set()
        await self._over.wait()
        await runner.cleanup()

    async def _echo(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                await ws.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await ws.send_bytes(message.data)
        return ws


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    with Echo() as server:
        yield server


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just(TEXT), st.text(max_size=200).map(str.encode)),
            st.tuples(st.just(BINARY), st.binary(max_size=200)),
            st.tuples(st.just(BINARY), st.sampled_from([125, 126, 127, 65_535, 65_536]).map(counted)),
            st.tuples(st.just(PING), st.binary(max_size=125)),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_foreign_server_reads_what_is_written_and_what_it_answers_is_read(echo: Echo, said: Heard):
    writer, reader = FrameWriter(), FrameReader(1 << 20)
    heard: Heard = []
    with echo.connect() as client:
        for opcode, payload in said:
            client.sendall(writer.frame(opcode, payload))
        while len(heard) < len(said):
            chunk = client.recv(65_536)
            assert chunk
            heard.extend(reader.feed(chunk))
    assert [(PONG if PING == opcode else opcode, payload) for opcode, payload in said] == heard


def key_of(sent: bytes) -> bytes:
    """The key of a frame that is shorter than 126 bytes."""
    return sent[2:6]


def test_keys_are_the_systems_chance_fetched_seldom(monkeypatch: pytest.MonkeyPatch):
    blocks: list[bytes] = []

    def urandom(size: int) -> bytes:
        blocks.append(
            b"".join(number.to_bytes(4, "big") for number in range(len(blocks) * size, (len(blocks) + 1) * size, 4))
        )
        return blocks[-1]

    monkeypatch.setattr(framing.os, "urandom", urandom)
    writer = FrameWriter()
    keys = [key_of(writer.frame(PING, b"beat")) for _ in range(2048)]
    assert [4096, 4096] == [len(block) for block in blocks]
    # Which byte of a key comes first is no matter.
    offered = {tuple(sorted(block[at : at + 4])) for block in blocks for at in range(0, 4096, 4)}
    assert offered == {tuple(sorted(key)) for key in keys}
    assert 2048 == len(set(keys))


def test_threads_that_write_at_once_never_get_one_key_twice(monkeypatch: pytest.MonkeyPatch):
    numbers = itertools.count()
    monkeypatch.setattr(
        framing.os, "urandom", lambda size: b"".join(next(numbers).to_bytes(4, "big") for _ in range(size // 4))
    )
    writer = FrameWriter()
    keys: list[list[bytes]] = [[] for _ in range(4)]

    def write(mine: list[bytes]) -> None:
        mine.extend(key_of(writer.frame(TEXT, b"")) for _ in range(5_000))

    threads = [threading.Thread(target=write, args=(mine,)) for mine in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert [5_000] * 4 == [len(mine) for mine in keys]
    assert 20_000 == len({key for mine in keys for key in mine})
