"""An answer is the same however its bytes were cut, and bytes that are none are told so in one of two ways."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hean.bybit.codec import CodecError
from hean.bybit.http1 import (
    BODY_MAX_BYTES,
    CHUNK_LINE_MAX_BYTES,
    HEAD_MAX_BYTES,
    AnswerCut,
    AnswerReader,
    HttpAnswer,
)

OK = b"HTTP/1.1 200 OK\r\n"
NOISE = st.binary(max_size=60)


def read(parts: list[bytes]) -> HttpAnswer:
    """What comes of these bytes, and of the end of the connection after them."""
    reader = AnswerReader()
    for part in parts:
        answer = reader.feed(part)
        if answer is not None:
            return answer
    return reader.end()


def outcome(parts: list[bytes]) -> object:
    """The same as a value that compares; whether bytes follow the answer is not part of it."""
    try:
        answer = read(parts)
    except (CodecError, ConnectionError) as error:
        return f"{type(error).__name__}: {error}"
    return answer.status, answer.headers, answer.body


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return [raw[start:end] for start, end in pairwise(marks) if end > start]


def chunked(parts: list[bytes], trailer: bytes = b"") -> bytes:
    chunks = b"".join(f"{len(part):X};ext=1\r\n".encode() + part + b"\r\n" for part in parts if part)
    return chunks + b"0\r\n" + trailer + b"\r\n"


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, int, bytes, bool]:
    """A good answer on the wire, with its status, its body and whether the connection outlives it."""
    status = draw(st.sampled_from([200, 201, 302, 403, 502, 999]))
    parts = draw(st.lists(NOISE, max_size=4))
    interim = draw(
        st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" * 2])
    )
    framing = draw(st.sampled_from(["length", "chunks", "trailer", "close"]))
    closes = draw(st.booleans())
    body = b"".join(parts)
    head = f"HTTP/1.1 {status} Whatever\r\nX-Bapi-Limit: 10\r\n".encode()
    head += b"connection: Close\r\n" if closes else b""
    match framing:
        case "length":
            raw = head + f"content-LENGTH:  {len(body)} \r\n\r\n".encode() + body
        case "chunks":
            raw = head + b"Transfer-Encoding: Chunked\r\n\r\n" + chunked(parts)
        case "trailer":
            raw = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(parts, b"X-After: 1\r\nX-More: 2\r\n")
        case _:
            raw, closes = head + b"\r\n" + body, True
    return interim + raw, status, body, not closes


@given(good=answers(), places=st.lists(st.integers(0, 10_000)))
def test_answer_is_the_same_however_its_bytes_were_cut(good, places):
    raw, status, body, keeps = good
    for parts in (cut(raw, places), [raw], [raw[at : at + 1] for at in range(len(raw))]):
        answer = read(parts)
        assert (status, body, keeps, "10") == (answer.status, answer.body, answer.keeps, answer.headers["x-bapi-limit"])


@given(good=answers(), at=st.integers(0, 10_000), noise=NOISE, places=st.lists(st.integers(0, 10_000)))
def test_damaged_answer_is_the_same_however_its_bytes_were_cut(good, at, noise, places):
    raw = good[0]
    at %= len(raw) + 1
    for damaged in (raw[:at], raw[:at] + noise, raw[:at] + noise + raw[at:], raw[:at] + noise + raw[at + len(noise) :]):
        whole = outcome([damaged])
        assert whole == outcome(cut(damaged, places))
        assert whole == outcome([damaged[at : at + 1] for at in range(len(damaged))])


@given(start=st.sampled_from([b"", OK, OK + b"Transfer-Encoding: chunked\r\n\r\n"]), parts=st.lists(NOISE))
@example(start=b"", parts=[])
def test_any_bytes_are_an_answer_or_one_of_two_errors(start, parts):
    outcome([start, *parts])


@given(good=answers(), at=st.integers(0, 10_000))
def test_answer_cut_short_is_no_answer(good, at):
    raw, _, body, _ = good
    short = raw[: at % len(raw)]
    try:
        answer = read([short])
    except AnswerCut:
        return
    # Only one that goes on until the connection ends can be cut without a trace.
    assert not {"content-length", "transfer-encoding"} & set(answer.headers)
    assert body.startswith(answer.body)


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        OK + b"no header\r\n\r\n",
        OK + b"Content-Length : 0\r\n\r\n",
        OK + b": nameless\r\n\r\n",
        OK + b"X: folded\r\n over two lines\r\n\r\n",
        OK + b"X: 1\nContent-Length: 0\r\n\r\n",
        OK + b"X: 1\rContent-Length: 0\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: +1\r\n\r\n",
        OK + b"Content-Length: 1_0\r\n\r\n",
        OK + b"Content-Length: \xb2\r\n\r\n",
        OK + b"Content-Length:\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1 1\r\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(raw):
    with pytest.raises(CodecError):
        read([raw])


@pytest.mark.parametrize("status", [204, 304])
def test_status_without_a_body_ends_with_its_head(status):
    answer = read([f"HTTP/1.1 {status} None\r\nContent-Length: 5\r\n\r\n".encode()])
    assert (b"", True) == (answer.body, answer.keeps)


@pytest.mark.parametrize(
    "head, keeps",
    [
        (OK, True),
        (b"HTTP/1.1 200\r\n", True),
        (OK + b"Connection: keep-alive\r\n", True),
        (OK + b"Connection: close\r\n", False),
        (OK + b"Connection: close\r\nConnection: keep-alive\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
    ],
)
def test_connection_is_kept_where_nothing_speaks_against_it(head, keeps):
    assert keeps is read([head + b"Content-Length: 0\r\n\r\n"]).keeps


def test_bytes_beyond_the_answer_end_the_connection():
    answer = read([OK + b"Content-Length: 1\r\n\r\nab"])
    assert (b"a", False) == (answer.body, answer.keeps)


def test_repeated_header_is_joined():
    assert "a, b" == read([OK + b"Set-Cookie: a\r\nset-cookie: b\r\nContent-Length: 0\r\n\r\n"]).headers["set-cookie"]


@pytest.mark.parametrize(
    "start, filler, bound",
    [
        (b"", b"x", HEAD_MAX_BYTES),
        (OK, b"X: 1\r\n", HEAD_MAX_BYTES),
        (b"HTTP/1.1 100 Continue\r\n", b"X: 1\r\n", HEAD_MAX_BYTES),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0", CHUNK_LINE_MAX_BYTES),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: 1\r\n", HEAD_MAX_BYTES),
        (OK + b"\r\n", b" " * 65536, BODY_MAX_BYTES),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 65536 + b"\r\n", BODY_MAX_BYTES),
    ],
)
def test_endless_answer_is_refused_at_its_bound(start, filler, bound):
    reader = AnswerReader()
    assert reader.feed(start) is None
    fed = 0

    def feed_on() -> None:
        nonlocal fed
        while fed < 2 * bound:
            fed += len(filler)
            assert reader.feed(filler) is None

    with pytest.raises(CodecError, match=str(bound)):
        feed_on()
    assert fed <= bound + 2 * len(filler) + 4


@pytest.mark.parametrize("size", [BODY_MAX_BYTES + 1, 10**17])
def test_body_that_says_it_is_too_long_is_refused_before_it_comes(size):
    with pytest.raises(CodecError, match=str(BODY_MAX_BYTES)):
        read([OK + f"Content-Length: {size}\r\n\r\n".encode()])
    with pytest.raises(CodecError, match=str(BODY_MAX_BYTES)):
        read([OK + f"Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n".encode()])


def test_head_at_its_bound_is_read_however_it_was_cut():
    head = OK + b"Content-Length: 0\r\nX: "
    head += b"x" * (HEAD_MAX_BYTES - len(head))
    for raw, good in ((head + b"\r\n\r\n", True), (head + b"x\r\n\r\n", False)):
        for parts in ([raw], [raw[:-2], raw[-2:]], [raw[:-1], raw[-1:]]):
            assert good is isinstance(outcome(parts), tuple)
