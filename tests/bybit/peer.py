"""A scripted TCP peer on loopback: what it does with each connection is told by the test, byte by byte."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from attrs import define, field

Script = Callable[["Talk"], None]


@define
class Talk:
    """One accepted connection; `number` counts from 0."""

    sock: socket.socket
    number: int
    peer: Peer

    def read_request(self) -> bytes:
        """One whole HTTP request; empty when the other side closed."""
        data = b""
        while b"\r\n\r\n" not in data:
            part = self.sock.recv(65536)
            if not part:
                return b""
            data += part
        head, _, rest = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while len(rest) < length:
            rest += self.sock.recv(65536)
        self.peer.requests.append(head + b"\r\n\r\n" + rest)
        return self.peer.requests[-1]

    def answer(self, body: object, status: str = "200 OK", headers: str = "") -> None:
        """A whole HTTP answer; anything but bytes is sent as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.sock.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(raw)}\r\n{headers}\r\n".encode() + raw)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.sock.close()

    def wait(self) -> None:
        """Until the test is over."""
        self.peer.over.wait()


@define
class Peer:
    """
    Listens until the test leaves its `with`; each connection is one thread that runs the script.

    Attributes:
        requests: every whole HTTP request that was read, in order.
        over: set when the test leaves.
    """

    script: Script
    requests: list[bytes] = field(factory=list)
    accepted: int = 0
    over: threading.Event = field(factory=threading.Event)
    _listener: socket.socket = field(factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _threads: list[threading.Thread] = field(factory=list)
    _open: list[socket.socket] = field(factory=list)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.over.set()
        # Closing alone does not wake a thread that waits in accept or recv; and only once nobody accepts any more is
        # the list of connections complete.
        self._wake(self._listener)
        self._end(self._threads[0])
        for sock in self._open:
            self._wake(sock)
        for thread in self._threads:
            self._end(thread)
        for sock in [self._listener, *self._open]:
            sock.close()

    def _wake(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    def _end(self, thread: threading.Thread) -> None:
        thread.join(20)
        assert not thread.is_alive()

    def _start(self, run: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.over.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(sock)
            number, self.accepted = self.accepted, self.accepted + 1
            self._start(self._talk, Talk(sock, number, self))

    def _talk(self, talk: Talk) -> None:
        try:
            self.script(talk)
        except OSError:
            pass  # the client hung up, which is often the point
        finally:
            talk.sock.close()


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
