"""
One HTTP connection that knows how far each request got, and that no server can hold beyond a deadline.

Libraries do not say whether a byte left: their reset on a kept-alive connection looks like a refused one. So the
connection itself notes it. And their time-outs are per `recv`, which a dribbling server resets with every byte, so
the socket never blocks and each wait for it gets only what is left of the whole call's time. Nothing is ever sent
twice here.

`requests` is not used to send: an order would pass several times as many functions of it, and of what it stands on,
as of all the rest of its way. What is left of it is the bundle of authorities, which both wires trust.
"""

from __future__ import annotations

import select
import socket
import ssl
import sys
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from hean.bybit.http1 import AnswerReader, HttpAnswer
from hean.core.calls import Phase

RECEIVE_BYTES: Final = 64 * 1024
"""Read at once; more than most answers."""


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


class Connection:
    """
    One kept-alive connection, opened when a request needs it; one request at a time, from one thread.

    Args:
        url: scheme, host and port; asked before each connect.
        wire: notes how far each request got, and bounds it.
        ca_file: the authorities that a server's certificate must lead to.
    """

    def __init__(self, url: Callable[[], str], wire: Wire, *, ca_file: str = DEFAULT_CA_BUNDLE_PATH) -> None:
        self._url = url
        self._wire = wire
        self._ca_file = ca_file
        # Reading the authorities takes longer than a handshake, so it is done once.
        self._tls: ssl.SSLContext | None = None
        self._sock: socket.socket | None = None

    def ask(self, request: bytes) -> HttpAnswer:
        """
        Send one whole request and read its answer.

        Raises:
            DeadlinePassed: the call's time is over.
            OSError: the connection failed, or ended before the answer did.
            CodecError: what came is no HTTP/1.1 answer, or one beyond a bound.

            Whichever it is, the connection is closed, and the wire's phase says how far the request got.
        """
        try:
            sock = self._sock
            if sock is None or _is_over(sock):
                sock = self._open()
            self._wire.sending()
            self._send(sock, request)
            self._wire.phase = Phase.AFTER_SEND
            answer = self._receive(sock)
        except BaseException:
            # What comes on it later would be read as the answer to the next request.
            self.close()
            raise
        if not answer.keeps:
            self.close()
        return answer

    def close(self) -> None:
        """Close; the next request opens another."""
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()

    def _open(self) -> socket.socket:
        self.close()
        self._wire.left_s()
        parts = urlsplit(self._url())
        host, secure = parts.hostname or "", parts.scheme == "https"
        self._sock = open_tcp(host, parts.port or (443 if secure else 80), self._wire.left_s)
        if secure:
            # The socket's time-out is what was left after the connect, and bounds the handshake as a whole.
            self._sock = self._context().wrap_socket(self._sock, server_hostname=host)
        self._sock.setblocking(False)
        return self._sock

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            # Not the default context, which writes the keys of each session where the environment says.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if sys.version_info >= (3, 13):
                context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
            context.load_verify_locations(self._ca_file)
            context.set_alpn_protocols(["http/1.1"])
            self._tls = context
        return self._tls

    def _send(self, sock: socket.socket, request: bytes) -> None:
        rest = memoryview(request)
        while True:
            try:
                sent = sock.send(rest)
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._wait(sock, select.POLLOUT)
            except ssl.SSLWantReadError:
                self._wait(sock, select.POLLIN)
            else:
                rest = rest[sent:]
                if not rest:
                    return
                self._wire.left_s()

    def _receive(self, sock: socket.socket) -> HttpAnswer:
        reader = AnswerReader()
        self._wait(sock, select.POLLIN)
        while True:
            try:
                data = sock.recv(RECEIVE_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait(sock, select.POLLIN)
            except ssl.SSLWantWriteError:
                self._wait(sock, select.POLLOUT)
            else:
                answer = reader.feed(data) if data else reader.end()
                if answer is not None:
                    return answer
                # All that came is read before the next wait; a server that never pauses is bounded here.
                self._wire.left_s()

    def _wait(self, sock: socket.socket, event: int) -> None:
        # Not the socket's own time-out: setting that, and each step under it, lets other threads run once more.
        poll = select.poll()
        poll.register(sock, event)
        if not poll.poll(self._wire.left_s() * 1000):
            raise DeadlinePassed("the call's whole time is over")


def _is_over(sock: socket.socket) -> bool:
    """
    Whether a connection that was left alone can carry no other request.

    The other side may have closed it meanwhile, and finding that out by sending would leave a create unknown. Bytes
    that nobody asked for are no better: they would be read as the next answer.
    """
    try:
        sock.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    return True
