"""
An HTTP transport for `requests` that knows how far each request got, and that no server can hold beyond a deadline.

The exceptions of `requests` do not say whether a byte left: a reset on a kept-alive connection looks like a refused
one. So the connection itself notes it. And its read time-out is per `recv`, which a dribbling server resets with every
byte, so every send and every recv gets only what is left of the whole call's time. Nothing is ever sent twice here.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError
from urllib3.poolmanager import PoolManager
from urllib3.util.retry import Retry

from hean.core.calls import Phase

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

NEVER_AGAIN: Final = Retry(total=False, connect=False, read=False, redirect=False, status=False, other=False)
"""False, not 0: the first error comes up as it is. A hidden second attempt could place an order twice."""


class DeadlinePassed(TimeoutError):
    """The whole call's time is over."""


class Wire:
    """
    How far the current request got, and how long it may take; one per client, which does one request at a time.

    Args:
        on_first_byte: called just before the first byte of a request leaves.
    """

    def __init__(self, on_first_byte: Callable[[], None]) -> None:
        self._on_first_byte = on_first_byte
        self._deadline = 0.0
        self.phase = Phase.BEFORE_SEND

    def begin(self, timeout_s: float) -> None:
        """A new request, of which nothing is sent yet."""
        self._deadline = time.monotonic() + timeout_s
        self.phase = Phase.BEFORE_SEND

    def left_s(self) -> float:
        """
        What is left of the call's time.

        Raises:
            DeadlinePassed: nothing is left.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise DeadlinePassed("the call's whole time is over")
        return left

    def sending(self) -> None:
        """
        Bytes are about to leave.

        Raises:
            DeadlinePassed: it is too late to send; a command is never sent late.
        """
        self.left_s()
        if self.phase is Phase.BEFORE_SEND:
            self._on_first_byte()
            self.phase = Phase.SENDING


def open_tcp(host: str, port: int, left_s: Callable[[], float]) -> socket.socket:
    """
    A connected TCP socket without Nagle's delay.

    Args:
        host: name or address; a name is tried at all its addresses.
        port: where.
        left_s: time left in seconds, asked before each step; resolving the name is the one step that it cannot bound.

    Raises:
        OSError: no address answered in time; no byte was sent.
    """
    error: OSError | None = None
    for family, kind, proto, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, proto)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(left_s())
            sock.connect(address)
            sock.settimeout(left_s())
        except OSError as caught:
            sock.close()
            error = caught
        else:
            return sock
    raise error or OSError(f"{host} has no address")


class _DeadlineReader(io.RawIOBase):
    """A socket's bytes, each recv bounded by what is left of the call's time."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, wire: Wire) -> None:
        self._raw, self._sock, self._wire = raw, sock, wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        self._sock.settimeout(self._wire.left_s())
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _HttpConnection(HTTPConnection):
    """One connection whose steps are noted on the wire."""

    def __init__(self, *args: Any, wire: Wire, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wire = wire

    def _new_conn(self) -> socket.socket:
        try:
            return open_tcp(self.host.strip("[]"), self.port or self.default_port, self.wire.left_s)
        except OSError as error:
            raise NewConnectionError(self, str(error)) from error

    def request(self, *args: Any, **kwargs: Any) -> None:
        super().request(*args, **kwargs)
        self.wire.phase = Phase.AFTER_SEND

    def send(self, data: ReadableBuffer | Any) -> None:
        if self.sock is None:
            self.connect()
        self.wire.sending()
        self.sock.settimeout(self.wire.left_s())
        super().send(data)

    def response_class(self, sock: socket.socket, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:  # type: ignore[override]
        """What http.client makes of the socket, reading through the deadline."""
        response = http.client.HTTPResponse(sock, *args, **kwargs)
        response.fp = io.BufferedReader(_DeadlineReader(response.fp.detach(), sock, self.wire))
        return response


class _HttpsConnection(_HttpConnection, HTTPSConnection):
    """The same over TLS; the handshake comes before the first byte of a request."""


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


class _Pools(PoolManager):
    """Pools whose connections all note on the same wire."""

    def __init__(self, wire: Wire, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._wire = wire
        self.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def _new_pool(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        pool = super()._new_pool(*args, **kwargs)
        pool.conn_kw["wire"] = self._wire
        return pool


class WireAdapter(HTTPAdapter):
    """A `requests` adapter over one wire: one connection, no second attempts."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=NEVER_AGAIN)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        self.poolmanager = _Pools(self._wire, num_pools=connections, maxsize=maxsize, block=block, **kwargs)
