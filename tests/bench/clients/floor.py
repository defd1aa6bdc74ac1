"""
The floor below every client in Python: a frame on a raw socket, fills read by a raw reader; no state, no journal.

Its WebSocket is as little as can be: a handshake, masked frames out, unmasked frames in.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import re
import socket
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench.trip import Threaded, Trip, qty_of, side_of, symbol_of

_LINK = re.compile(rb'"orderLinkId": ?"([^"]+)"')
_ORDER = (
    '{"reqId":"%s","header":{"X-BAPI-TIMESTAMP":"%d","X-BAPI-RECV-WINDOW":"5000"},"op":"order.create","args":['
    '{"category":"linear","symbol":"%s","side":"%s","orderType":"Market","qty":"%s","orderLinkId":"%s"}]}'
)


class Floor(Threaded):
    """
    The floor.

    Args:
        prebuilt: whether the frame is built before the strategy speaks.
    """

    def __init__(self, prebuilt: bool) -> None:
        super().__init__()
        self._prebuilt = prebuilt
        self._frames: dict[int, bytes] = {}

    def start(self, urls: dict[str, str], scratch: Path) -> None:
        self._trade = _opened(urls, "trade")
        private = _opened(urls, "private")
        private.sendall(_frame(json.dumps({"op": "subscribe", "args": ["execution"]})))
        _message(private)
        threading.Thread(target=self._read, args=(private,), daemon=True).start()
        threading.Thread(target=_drain, args=(self._trade,), daemon=True).start()

    def prepare(self, first: int, count: int) -> None:
        if self._prebuilt:
            self._frames = {number: self._order(number) for number in range(first, first + count)}

    def trade(self, number: int) -> Trip:
        trip = self.new_trip(number)
        if self._prebuilt:
            frame = self._frames.pop(number)
            trip.spoke_ns = time.monotonic_ns()
            self._trade.sendall(frame)
        else:
            trip.spoke_ns = time.monotonic_ns()
            self._trade.sendall(self._order(number))
        trip.returned_ns = time.monotonic_ns()
        return trip

    def stop(self) -> None:
        self._trade.close()

    def _order(self, number: int) -> bytes:
        link = f"{self.run}-{number}"
        now_ms = int(time.time() * 1000)
        return _frame(_ORDER % (link, now_ms, symbol_of(number), side_of(number), qty_of(number), link))

    def _read(self, private: socket.socket) -> None:
        while text := _message(private):
            if b'"topic":"execution"' in text or b'"topic": "execution"' in text:
                for link in _LINK.findall(text):
                    self.filled(link.decode())


def _opened(urls: dict[str, str], door: str) -> socket.socket:
    parts = urlsplit(urls[door])
    opened = socket.create_connection((parts.hostname, parts.port))
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = base64.b64encode(os.urandom(16)).decode()
    opened.sendall(
        f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += opened.recv(1)
    expires = int(time.time() * 1000) + 10_000
    sign = hmac.new(urls["api_secret"].encode(), f"GET/realtime{expires}".encode(), "sha256").hexdigest()
    opened.sendall(_frame(json.dumps({"op": "auth", "args": [urls["api_key"], expires, sign]})))
    _message(opened)
    return opened


def _frame(text: str) -> bytes:
    """A text message, masked by zeros: the rule is kept, and nothing is to be computed."""
    body = text.encode()
    size = bytes([0x80 | len(body)]) if len(body) < 126 else bytes([0x80 | 126]) + len(body).to_bytes(2, "big")
    return b"\x81" + size + bytes(4) + body


def _message(opened: socket.socket) -> bytes:
    """The next message; empty at the end."""
    head = _exactly(opened, 2)
    if len(head) < 2:
        return b""
    size = head[1]
    if size == 126:
        size = int.from_bytes(_exactly(opened, 2), "big")
    elif size == 127:
        size = int.from_bytes(_exactly(opened, 8), "big")
    return _exactly(opened, size)


def _exactly(opened: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        try:
            more = opened.recv(size - len(found))
        except OSError:
            return b""
        if not more:
            return b""
        found += more
    return found


def _drain(opened: socket.socket) -> None:
    while _message(opened):
        pass
