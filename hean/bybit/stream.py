"""
One WebSocket connection: bytes in, bytes out, no policy.

A `Socket` is one attempt to be connected. It never reconnects, knows no login and no topic; who owns it decides, and
makes another one. The reader thread only reads and tells: a callback that raises is reported and reading goes on.

The opening handshake is websocket-client's; the frames after it are `framing`'s. The system is called once for all that
came and once for all that leaves, since each call lets other threads run before this one gets its turn back: so the
socket never blocks, and is waited for only where it must be.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import websocket
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from hean.bybit.endpoints import Door, checked_url
from hean.bybit.framing import BINARY, CLOSE, PING, PONG, TEXT, FrameReader, FrameWriter
from hean.bybit.wire import DeadlinePassed, open_tcp
from hean.core.calls import Phase

MESSAGE_MAX_BYTES: Final = 16 * 1024 * 1024
"""A message that claims to be longer closes the connection; what the codec takes is far less."""

CHUNK_BYTES: Final = 64 * 1024
"""Read at once; more than most of what the exchange has to say at a time."""


class Socket:
    """
    One connection attempt and the life of the connection that comes of it.

    Callbacks run on the reader thread and get `connection_id` first. `on_open` comes at most once, `on_frame` only
    after it, `on_closed` exactly once and last, whatever happened.

    Args:
        door: which of the three addresses this is; the address is checked against it at the connect.
        url: where.
        connection_id: names this attempt, so that a frame of an earlier one can be told apart.
        on_open: the handshake is done; frames can be sent.
        on_frame: one whole message, as it came.
        on_pause: all that came was told; the reader is about to wait for more, or has read its last.
        on_closed: the connection is over, or never came, and why.
        on_error: a callback raised this.
        connect_timeout_s: bound of connecting and of each step of the handshake.
        send_timeout_s: bound of one send; a peer that stops reading for so long loses the connection.
    """

    def __init__(
        self,
        *,
        door: Door,
        url: str,
        connection_id: int,
        on_open: Callable[[int], object],
        on_frame: Callable[[int, bytes], object],
        on_closed: Callable[[int, str], object],
        on_error: Callable[[int, BaseException], object],
        on_pause: Callable[[int], object] = lambda _: None,
        connect_timeout_s: float = 5.0,
        send_timeout_s: float = 5.0,
    ) -> None:
        self.connection_id = connection_id
        self._door = door
        self._url = url
        self._on_open = on_open
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._on_error = on_error
        self._on_pause = on_pause
        self._connect_timeout_s = connect_timeout_s
        self._send_timeout_s = send_timeout_s
        # Guards `_tcp` and `_why`: closing from another thread must find the socket, however early it comes.
        self._guard = threading.Lock()
        self._tcp: socket.socket | None = None
        # Why we closed it; None while we have not.
        self._why: str | None = None
        # Set once the handshake is done, and never replaced.
        self._opened: socket.socket | None = None
        # Held while a frame leaves, so that no other begins in the middle of it.
        self._sending = threading.Lock()
        # Held for each call of what encrypts, which is for one thread at a time; Python sees to it from 3.13 on.
        self._encrypting: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
        self._writer = FrameWriter()
        self._thread = threading.Thread(target=self._run, name=f"hean-{door.name.lower()}-{connection_id}", daemon=True)

    def start(self) -> None:
        """Connect and read, on a thread of its own; returns at once."""
        self._thread.start()

    def send(self, text: str) -> Phase:
        """
        Send one text message; never raises, and waits at most `send_timeout_s`.

        Returns:
            AFTER_SEND when all of it left, BEFORE_SEND when nothing did, SENDING when nobody knows: the connection
            is then closed, for what follows half a frame cannot be read.
        """
        return self._send(TEXT, text)

    def close(self, why: str = "closed here") -> None:
        """Close from any thread, at any time; `on_closed` tells the first reason given. Returns at once."""
        with self._guard:
            if self._why is None:
                self._why = why
            if self._tcp is not None:
                # Wakes a reader that waits. Past SSLSocket's own shutdown, which would take the encryption off a
                # socket on which another thread may be sending.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self._tcp, socket.SHUT_RDWR)

    def join(self, timeout_s: float) -> bool:
        """Wait for the reader to end; whether it has. True if it was never started."""
        if self._thread.ident is None:
            return True
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _send(self, opcode: int, said: str | bytes) -> Phase:
        with self._sending:
            if self._opened is None or self._why is not None:
                return Phase.BEFORE_SEND
            try:
                payload = said.encode() if isinstance(said, str) else said
                self._send_all(self._opened, self._writer.frame(opcode, payload))
            except Exception as error:  # noqa: BLE001 whatever broke, some bytes may have left
                # While no other can send: its frame would go on in the middle of this one.
                self.close(f"sending failed: {type(error).__name__}: {error}")
                return Phase.SENDING
        return Phase.AFTER_SEND

    def _send_all(self, tcp: socket.socket, frame: bytes) -> None:
        rest = memoryview(frame)
        until_s = 0.0
        while True:
            event = select.POLLOUT
            try:
                with self._encrypting:
                    rest = rest[tcp.send(rest) :]
            except ssl.SSLWantReadError:
                event = select.POLLIN
            except (BlockingIOError, ssl.SSLWantWriteError):
                pass
            if not rest:
                return
            now_s = time.monotonic()
            until_s = until_s or now_s + self._send_timeout_s
            if now_s >= until_s or not _is_ready(tcp, event, until_s - now_s):
                raise TimeoutError(f"not all of it left within {self._send_timeout_s} s")

    def _run(self) -> None:
        try:
            self._opened = tcp = self._connect()
            self._tell(self._on_open)
            why = self._read(tcp)
        except Exception as error:  # noqa: BLE001 whatever ends the connection, its owner must hear of it
            why = f"{type(error).__name__}: {error}"
        self.close(why)
        with self._guard:
            why = why if self._why is None else self._why
            held, self._tcp = self._tcp, None
        if held is not None:
            # Not while a send that was cut short still runs: the number of a closed socket may be another's next.
            with self._sending:
                held.close()
        self._tell(self._on_pause)
        self._tell(self._on_closed, why)

    def _connect(self) -> socket.socket:
        url = checked_url(self._door, self._url)
        parts = urlsplit(url)
        deadline = time.monotonic() + self._connect_timeout_s

        def left_s() -> float:
            if self._why is not None:
                raise ConnectionAbortedError(self._why)
            left = deadline - time.monotonic()
            if left <= 0:
                raise DeadlinePassed(f"no connection within {self._connect_timeout_s} s")
            return left

        host, secure = parts.hostname or "", parts.scheme == "wss"
        tcp = self._hold(open_tcp(host, parts.port or (443 if secure else 80), left_s))
        if secure:
            context = ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)
            tcp = self._hold(context.wrap_socket(tcp, server_hostname=host))
            self._encrypting = threading.Lock()
        # It reads the answer byte by byte: a frame that came along with it is left for the reader. A redirect could
        # lead anywhere: none is followed. A socket that is given is not proxied, whatever the environment says.
        ws: Any = websocket.WebSocket()
        ws.connect(url, socket=tcp, timeout=left_s(), redirect_limit=0, suppress_origin=True)
        if ws.getstatus() != 101:
            raise ConnectionError(f"expected the status 101 of a WebSocket, was {ws.getstatus()}")
        tcp.setblocking(False)
        return tcp

    def _hold(self, tcp: socket.socket) -> socket.socket:
        """Make the socket the one that `close` closes."""
        with self._guard:
            if self._why is not None:
                tcp.close()
                raise ConnectionAbortedError(self._why)
            self._tcp = tcp
        return tcp

    def _read(self, tcp: socket.socket) -> str:
        reader = FrameReader(MESSAGE_MAX_BYTES)
        readable = select.poll()
        readable.register(tcp, select.POLLIN)
        while True:
            self._tell(self._on_pause)
            chunk = self._receive(tcp, readable)
            if not chunk:
                return "cut without a close frame"
            for opcode, payload in reader.feed(chunk):
                if opcode <= BINARY:
                    self._tell(self._on_frame, payload)
                elif opcode == PING:
                    self._send(PONG, payload)
                elif opcode == CLOSE:
                    code, reason = int.from_bytes(payload[:2], "big"), payload[2:].decode(errors="replace")
                    return f"closed by the exchange: {code} {reason}".rstrip()

    def _receive(self, tcp: socket.socket, readable: select.poll) -> bytes:
        while True:
            # What is decrypted already makes no socket readable.
            if not (isinstance(tcp, ssl.SSLSocket) and self._holds_more(tcp)):
                readable.poll()
            try:
                with self._encrypting:
                    return tcp.recv(CHUNK_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                continue
            except ssl.SSLWantWriteError:
                _is_ready(tcp, select.POLLOUT)

    def _holds_more(self, tcp: ssl.SSLSocket) -> bool:
        with self._encrypting:
            return bool(tcp.pending())

    def _tell(self, callback: Callable[..., object], *what: object) -> None:
        try:
            callback(self.connection_id, *what)
        except BaseException as error:  # noqa: BLE001 a callback that kills the reader would lose every frame after it
            # Where the report of it fails too, there is nobody left to tell.
            with contextlib.suppress(BaseException):
                self._on_error(self.connection_id, error)


def _is_ready(tcp: socket.socket, event: int, timeout_s: float | None = None) -> bool:
    """Wait until the socket is ready, or over; False where time is over first."""
    poll = select.poll()
    poll.register(tcp, event)
    return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))
