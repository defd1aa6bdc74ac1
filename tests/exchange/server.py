"""
Sockets round the engine: aiohttp, one event loop, no decision of its own.

It hands requests in with the time, and carries out deliveries: an HTTP answer is written before the frames that come
after it, and what the engine ordered stays ordered.
"""

import asyncio
import contextlib
import heapq
import struct
import time
from collections.abc import Callable, Iterable

from aiohttp import WSMsgType, web

from tests.exchange.engine import Engine
from tests.exchange.wire import Channel, Close, Delivery, Hangup, Pong, Refuse, Reply, Request, Send

HOST = "127.0.0.1"
STREAMS: dict[str, Channel] = {"/v5/private": "private", "/v5/trade": "trade"}
SIGNED_HEADERS = ("x-bapi-api-key", "x-bapi-timestamp", "x-bapi-recv-window", "x-bapi-sign")
SHUTDOWN_S = 1.0
Outgoing = Send | Pong | Close


def wall_clock_ms() -> int:
    """
    Now, in ms.
    """
    return time.time_ns() // 1_000_000


def encode(opcode: int, payload: bytes) -> bytes:
    """
    One unmasked, final RFC 6455 frame.
    """
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, size) + payload


class Stream:
    """
    The sending half of one WebSocket.

    It writes frames to the transport itself: what one event causes leaves in one system call, not in four.
    """

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self._pending: list[bytes] = []
        self._ending = False

    def put(self, outgoing: Outgoing) -> None:
        """
        Take one delivery; `flush` sends it.
        """
        if isinstance(outgoing, Send):
            if outgoing.binary:
                self._pending.append(encode(WSMsgType.BINARY, outgoing.text.encode("latin-1")))
            else:
                self._pending.append(encode(WSMsgType.TEXT, outgoing.text.encode()))
        elif isinstance(outgoing, Pong):
            self._pending.append(encode(WSMsgType.PONG, outgoing.payload))
        else:
            self._ending = True

    def flush(self) -> None:
        """
        Send what was taken, and end the socket if that was asked for.
        """
        transport = self._request.transport
        if transport is None or transport.is_closing():
            return
        if self._pending:
            transport.write(b"".join(self._pending))
            self._pending.clear()
        if self._ending:
            # No close handshake: the client's socket just ends, as in an outage.
            transport.close()


class Server:
    """
    Serves one engine on loopback.

    Args:
        clock: Gives now in ms.
        watch: Is told each frame as it comes in ("in", its bytes) and each execution as it leaves ("out", its text):
            for benchmarks.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        port: int = 0,
        clock: Callable[[], int] = wall_clock_ms,
        watch: Callable[[str, bytes | str], None] | None = None,
    ) -> None:
        self._engine = engine
        self._watch = watch
        self._clock = clock
        self._streams: dict[int, Stream] = {}
        self._opened = 0
        self._late: list[tuple[int, int, Send | Close]] = []
        self._planned = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_ms = 0
        self._runner: web.ServerRunner | None = None
        self.port = port

    async def start(self) -> None:
        """
        Listen; afterwards `port` is the real one.
        """
        self._runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """
        Close every socket.
        """
        if self._timer is not None:
            self._timer.cancel()
        for stream in self._streams.values():
            stream.put(Close(0))
            stream.flush()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._serve_stream(request, path, query)
        try:
            body = await request.read()
        except ConnectionError:
            # The client died in the middle of its request: nobody acts on half of one.
            return web.Response()
        if self._watch is not None:
            self._watch("in", body)
        given = request.headers
        now_ms = self._clock()
        delivered = self._engine.handle(
            Request(
                channel="control" if path.startswith("/control") else "http",
                method=request.method,
                path=path,
                query=query,
                headers={name: value for name in SIGNED_HEADERS if (value := given.get(name)) is not None},
                body=body,
            ),
            now_ms,
        )
        at = next(index for index, delivery in enumerate(delivered) if isinstance(delivery, Reply | Hangup))
        answer = delivered[at]
        self._deliver(delivered[:at], now_ms)
        if answer.delay_ms if isinstance(answer, Reply | Hangup) else 0:
            # A late answer must not hold back the frames behind it.
            self._deliver(delivered[at + 1 :], now_ms)
            await asyncio.sleep(answer.delay_ms / 1000)  # type: ignore[union-attr]
            return await self._answer(request, answer)
        response = await self._answer(request, answer)
        self._deliver(delivered[at + 1 :], now_ms)
        return response

    @staticmethod
    async def _answer(request: web.BaseRequest, answer: Delivery) -> web.Response:
        if isinstance(answer, Reply):
            response = web.Response(status=answer.status, headers=answer.headers, body=answer.body)
            with contextlib.suppress(ConnectionError):
                await response.prepare(request)
                await response.write_eof()
            return response
        if request.transport is not None:
            request.transport.close()
        return web.Response()

    async def _serve_stream(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        channel = STREAMS.get(path) or ("public" if path.startswith("/v5/public") else None)
        if channel is None:
            return web.Response(status=404)
        self._opened += 1
        connection_id = self._opened
        for delivery in self._engine.opened(connection_id, channel, query, self._clock()):
            if isinstance(delivery, Refuse):
                return web.Response(status=delivery.status)
        self._rearm()
        socket = web.WebSocketResponse(autoping=False, autoclose=True, compress=False, max_msg_size=0)
        await socket.prepare(request)
        self._streams[connection_id] = Stream(request)
        try:
            await self._read(socket, channel, connection_id)
        finally:
            del self._streams[connection_id]
            now_ms = self._clock()
            self._deliver(self._engine.closed(connection_id, now_ms), now_ms)
        return socket

    async def _read(self, socket: web.WebSocketResponse, channel: Channel, connection_id: int) -> None:
        async for message in socket:
            now_ms = self._clock()
            if message.type is WSMsgType.TEXT:
                body = message.data.encode()
                if self._watch is not None:
                    self._watch("in", body)
                request = Request(channel=channel, body=body, connection_id=connection_id)
                self._deliver(self._engine.handle(request, now_ms), now_ms)
            elif message.type is WSMsgType.PING:
                self._deliver(self._engine.ping(connection_id, bytes(message.data), now_ms), now_ms)
            elif message.type is WSMsgType.ERROR:
                return

    def _deliver(self, deliveries: Iterable[Delivery], now_ms: int) -> None:
        touched = self._due(now_ms)
        for delivery in deliveries:
            if isinstance(delivery, Send | Close) and delivery.delay_ms:
                # A queue of our own: the loop's timers do not keep the order of equal times.
                self._planned += 1
                heapq.heappush(self._late, (now_ms + delivery.delay_ms, self._planned, delivery))
            elif isinstance(delivery, Outgoing):
                self._put(delivery, touched)
        for stream in touched.values():
            stream.flush()
        self._rearm()

    def _put(self, outgoing: Outgoing, touched: dict[int, Stream]) -> None:
        stream = self._streams.get(outgoing.connection_id)
        if stream is not None:
            if self._watch is not None and isinstance(outgoing, Send) and outgoing.topic.startswith("execution"):
                self._watch("out", outgoing.text)
            stream.put(outgoing)
            touched[outgoing.connection_id] = stream

    def _due(self, now_ms: int) -> dict[int, Stream]:
        touched: dict[int, Stream] = {}
        while self._late and self._late[0][0] <= now_ms:
            self._put(heapq.heappop(self._late)[2], touched)
        return touched

    def _rearm(self) -> None:
        due_ms = self._engine.next_due_ms()
        if self._late and (due_ms is None or self._late[0][0] < due_ms):
            due_ms = self._late[0][0]
        if due_ms is None or (self._timer is not None and due_ms == self._timer_due_ms):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due_ms = due_ms
        wait_s = max(0, due_ms - self._clock()) / 1000
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now_ms = self._clock()
        self._deliver(self._engine.tick(now_ms), now_ms)
