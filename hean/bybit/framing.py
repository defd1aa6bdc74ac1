"""
The framing of RFC 6455 as a client needs it: bytes to messages and back, no socket and no policy.

A message is text or binary, in one frame or in several; a control frame may come between these, whole. What a server
sends is not masked and uses no extension, for none was asked for. What breaks these rules raises, after everything that
came whole before it; nothing can be read after that. Whether text is UTF-8 is left to who parses it.

Source: RFC 6455, section 5.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from struct import Struct
from typing import Final

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

CONTROL_MAX_BYTES: Final = 125
"""A control frame holds no more, and its length needs no more than the seven bits of every head."""

KEYS_BYTES: Final = 4096
"""Fetched at a time, 1024 keys: asking the system lets other threads run, and the turn may be long in coming back."""

_OPCODES: Final = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
_FINAL: Final = 0x80
_RESERVED: Final = 0x70
_OPCODE: Final = 0x0F
_MASKED: Final = 0x80
_WHOLE_TEXT: Final = _FINAL | TEXT

_SHORT: Final = Struct(">BBI")
_MEDIUM: Final = Struct(">BBHI")
_LONG: Final = Struct(">BBQI")


class FrameReader:
    """
    What one server sends on one connection.

    Args:
        message_max_bytes: bound of a message, held against the lengths that its frames claim.
    """

    def __init__(self, message_max_bytes: int) -> None:
        self._message_max_bytes = message_max_bytes
        # A frame that is not whole yet, and how long it must get before it is worth another look.
        self._held = bytearray()
        self._wanted_bytes = 0
        # A message in fragments, and the opcode that it began with: CONTINUATION while there is none.
        self._message = bytearray()
        self._begun = CONTINUATION

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """
        Take what came next; run the iterator to its end before more is fed.

        Yields:
            Opcode and payload of each message and each control frame that is whole now, in order.

        Raises:
            ConnectionError: the server broke the protocol or a bound.
        """
        if self._held:
            self._held += data
            if len(self._held) < self._wanted_bytes:
                return
            data = bytes(self._held)
            self._held.clear()
        at, end = 0, len(data)
        while True:
            stop = at + 2
            if stop > end:
                break
            first, size = data[at], data[at + 1]
            opcode = first & _OPCODE
            if first != _WHOLE_TEXT or size >= _MASKED or self._begun:
                _check(first, size, self._begun)
            if size > CONTROL_MAX_BYTES:
                stop += 2 if size == 126 else 8
                if stop > end:
                    break
                size = int.from_bytes(data[at + 2 : stop], "big")
            if opcode < CLOSE and len(self._message) + size > self._message_max_bytes:
                raise ConnectionError(f"a message of more than {self._message_max_bytes} bytes")
            body, stop = stop, stop + size
            if stop > end:
                break
            at, payload = stop, data[body:stop]
            # Final and no continuation: most frames are all there is.
            if first > _FINAL:
                yield opcode, payload
                continue
            self._begun = self._begun or opcode
            self._message += payload
            if first == _FINAL:
                opcode, payload = self._begun, bytes(self._message)
                self._begun = CONTINUATION
                self._message.clear()
                yield opcode, payload
        self._held += data[at:]
        self._wanted_bytes = stop - at


def _check(first: int, second: int, begun: int) -> None:
    """Refuse a frame by the two bytes that it begins with, where a message that began with that opcode goes on."""
    opcode = first & _OPCODE
    if first & _RESERVED:
        raise ConnectionError(f"expected no reserved bit in a frame, was 0x{first:02x}")
    if opcode not in _OPCODES:
        raise ConnectionError(f"a frame of the unknown opcode {opcode}")
    if second & _MASKED:
        raise ConnectionError("a masked frame, which only a client sends")
    if opcode < CLOSE:
        # A message begins with text or binary and goes on with continuations only.
        if (opcode == CONTINUATION) == (begun == CONTINUATION):
            raise ConnectionError("a message out of order")
        return
    if not first & _FINAL:
        raise ConnectionError("a control frame in fragments")
    if second > CONTROL_MAX_BYTES:
        raise ConnectionError(f"a control frame of more than {CONTROL_MAX_BYTES} bytes")
    if opcode == CLOSE and second == 1:
        raise ConnectionError("a close frame with half a code")


class FrameWriter:
    """
    What one client sends, each frame masked with a key of its own that nobody can predict. Any thread may call.

    Source: RFC 6455, sections 5.3 and 10.3.
    """

    def __init__(self) -> None:
        # Taking one from its end is one step for every thread.
        self._keys = array("I", os.urandom(KEYS_BYTES))

    def frame(self, opcode: int, payload: bytes) -> bytes:
        """One whole frame; a control frame's payload is at most CONTROL_MAX_BYTES long."""
        try:
            key = self._keys.pop()
        except IndexError:
            keys = array("I", os.urandom(KEYS_BYTES))
            key = keys.pop()
            self._keys = keys
        size = len(payload)
        if size <= CONTROL_MAX_BYTES:
            head = _SHORT.pack(_FINAL | opcode, _MASKED | size, key)
        elif size < 1 << 16:
            head = _MEDIUM.pack(_FINAL | opcode, _MASKED | 126, size, key)
        else:
            head = _LONG.pack(_FINAL | opcode, _MASKED | 127, size, key)
        mask = (head[-4:] * (size // 4 + 1))[:size]
        return head + (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")
