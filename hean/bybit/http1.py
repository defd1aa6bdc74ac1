"""
HTTP/1.1 answers, read from bytes however they were cut: no socket, no clock.

Only what follows a request of ours: an answer has a body by length, by chunks or up to the end of the connection.
What could be read in two ways is refused, since an answer that is read wrongly proves something that never happened.

Source: RFC 9112, sections 2 to 7 (messages, field lines, body length, chunks) and 9.6 (close).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from attrs import field, frozen

from hean.bybit.codec import CodecError

HEAD_MAX_BYTES: Final = 64 * 1024
"""Status line and headers, or the trailer; a gateway sends about 1 kB."""
BODY_MAX_BYTES: Final = 16 * 1024 * 1024
"""A page of a thousand instruments is about 1.5 MB; whatever is ten times that is no answer."""
CHUNK_LINE_MAX_BYTES: Final = 4096
"""The size of a chunk and its extensions, which nobody sends."""

_STATUS_LINE: Final = re.compile(r"HTTP/1\.(\d) ([1-9]\d\d)(?: [^\r\n]*)?(?=\r\n|\Z)", re.ASCII)
_FIELD: Final = re.compile(r"\r\n([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n]*)")
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?")
_SWITCHING: Final = 101
_BODILESS: Final = frozenset({204, 304})


class AnswerCut(ConnectionError):
    """The connection ended before the answer did."""


@frozen(kw_only=True)
class HttpAnswer:
    """
    One whole answer.

    Attributes:
        status: from 200 on; interim answers are skipped.
        headers: by lower-case name; those that come several times are joined by commas.
        body: without the framing.
        keeps: the connection may carry another request.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    keeps: bool


class _Part(Enum):
    """What the next bytes belong to."""

    HEAD = auto()
    SIZED = auto()
    UNTIL_CLOSE = auto()
    CHUNK_LINE = auto()
    CHUNK = auto()
    TRAILER = auto()
    WHOLE = auto()


class AnswerReader:
    """
    Reads one answer; after it, or after an error, the reader is used up.

    Which answer or error comes of some bytes does not depend on how they were cut, except that bytes beyond the
    answer end the connection only if they were fed with its last ones.
    """

    def __init__(self) -> None:
        self._part = _Part.HEAD
        self._buffer = bytearray()
        # Up to here the buffer holds no end of a head, so that one fed byte by byte is searched once.
        self._searched = 0
        self._status = 0
        self._headers: Mapping[str, str] = {}
        self._keeps = False
        # Of the body, or of the current chunk.
        self._size = 0
        self._chunks = bytearray()
        self._answer: HttpAnswer | None = None

    def feed(self, data: bytes) -> HttpAnswer | None:
        """
        Take what came; the answer once it is whole.

        Raises:
            CodecError: this is no HTTP/1.1 answer, or one beyond a bound.
        """
        self._buffer += data
        while self._advance():
            pass
        return self._answer

    def end(self) -> HttpAnswer:
        """
        The answer, now that no byte will follow.

        Raises:
            AnswerCut: it is not whole.
        """
        if self._part is _Part.UNTIL_CLOSE:
            return self._whole(self._take(len(self._buffer)))
        raise AnswerCut(f"the connection ended in the {self._part.name.lower().replace('_', ' ')} of the answer")

    def _advance(self) -> bool:
        """Read one part; False where it needs more bytes, or there is none left."""
        match self._part:
            case _Part.HEAD:
                return self._read_head()
            case _Part.SIZED:
                if len(self._buffer) >= self._size:
                    self._answer = self._whole(self._take(self._size))
            case _Part.UNTIL_CLOSE:
                _bounded(len(self._buffer))
            case _Part.CHUNK_LINE:
                return self._read_chunk_line()
            case _Part.CHUNK:
                return self._read_chunk()
            case _Part.TRAILER:
                self._read_trailer()
            case _Part.WHOLE:
                pass
        return False

    def _read_head(self) -> bool:
        end = self._find(b"\r\n\r\n", HEAD_MAX_BYTES, self._searched)
        if end < 0:
            self._searched = max(len(self._buffer) - 3, 0)
            return False
        head = self._take(end).decode("latin-1")
        del self._buffer[:4]
        self._searched = 0
        line = _STATUS_LINE.match(head)
        if line is None:
            raise CodecError("expected the status line of an HTTP/1.1 answer, was something else")
        fields = _FIELD.findall(head, line.end())
        # Each field ends one line, and no line end stands for itself.
        if not len(fields) == head.count("\r\n") == head.count("\r") == head.count("\n"):
            raise CodecError("a line of the answer's head is no header")
        self._status = int(line[2])
        if self._status < 200:
            if self._status == _SWITCHING:
                raise CodecError("the answer switches to a protocol that nobody asked for")
            return True
        headers: dict[str, str] = {}
        for name, value in fields:
            key = name.lower()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
        self._headers = headers
        self._frame(headers, old=line[1] == "0")
        return True

    def _frame(self, headers: Mapping[str, str], *, old: bool) -> None:
        """How the body ends, and whether the connection outlives it."""
        coding, size = headers.get("transfer-encoding"), headers.get("content-length")
        self._keeps = not old and "close" not in headers.get("connection", "").lower()
        if self._status in _BODILESS:
            self._part, self._size = _Part.SIZED, 0
        elif coding is not None:
            # Both lengths at once are how answers are smuggled, and so is a coding that we do not undo.
            if coding.strip().lower() != "chunked" or size is not None:
                raise CodecError("expected a body by chunks alone, was coded otherwise or sized as well")
            self._part = _Part.CHUNK_LINE
        elif size is not None:
            figure = size.strip()
            if not (figure.isascii() and figure.isdigit() and len(figure) <= 18):
                raise CodecError("expected one number as Content-Length, was something else")
            self._part, self._size = _Part.SIZED, _bounded(int(figure))
        else:
            self._part, self._keeps = _Part.UNTIL_CLOSE, False

    def _read_chunk_line(self) -> bool:
        end = self._find(b"\r\n", CHUNK_LINE_MAX_BYTES)
        if end < 0:
            return False
        line = _CHUNK_LINE.fullmatch(self._take(end))
        del self._buffer[:2]
        if line is None:
            raise CodecError("expected the size of a chunk, was something else")
        self._size = int(line[1], 16)
        _bounded(len(self._chunks) + self._size)
        self._part = _Part.CHUNK if self._size else _Part.TRAILER
        return True

    def _read_chunk(self) -> bool:
        if len(self._buffer) < self._size + 2:
            return False
        self._chunks += self._take(self._size)
        if self._take(2) != b"\r\n":
            raise CodecError("a chunk is longer than it said")
        self._part = _Part.CHUNK_LINE
        return True

    def _read_trailer(self) -> None:
        # Trailer fields say nothing that we read.
        if self._buffer.startswith(b"\r\n"):
            size = 2
        elif (end := self._find(b"\r\n\r\n", HEAD_MAX_BYTES)) >= 0:
            size = end + 4
        else:
            return
        del self._buffer[:size]
        self._answer = self._whole(bytes(self._chunks))

    def _find(self, mark: bytes, bound: int, start: int = 0) -> int:
        """Where the mark stands; negative where it may come yet."""
        at = self._buffer.find(mark, start)
        if at > bound or (at < 0 and len(self._buffer) >= bound + len(mark)):
            raise CodecError(f"part of an answer's framing has more than {bound} bytes")
        return at

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _whole(self, body: bytes) -> HttpAnswer:
        self._part = _Part.WHOLE
        return HttpAnswer(status=self._status, headers=self._headers, body=body, keeps=self._keeps and not self._buffer)


def _bounded(size: int) -> int:
    if size > BODY_MAX_BYTES:
        raise CodecError(f"answer of more than {BODY_MAX_BYTES} bytes")
    return size
