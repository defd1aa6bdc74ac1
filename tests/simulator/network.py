"""
The network between the router and the exchange's engine, in virtual time: delays, losses, cuts, refusals.

`Net` is the only way to the engine. A request that has left goes on its way whatever becomes of the router; what comes
back finds the router alive or not. Bytes on one connection keep their order, as TCP has it; connections do not wait for
each other. What the exchange itself loses, doubles or reorders is a fault of the engine.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

import attrs
import orjson

from hean.actors.stream import Received
from hean.actors.trade import TradeEntry, told
from hean.bybit.codec import parse_frame
from hean.bybit.trade import parse_reply
from hean.core.calls import Phase
from hean.core.session_facts import Closed, Opened
from tests.exchange.engine import Engine
from tests.exchange.wire import Close, Delivery, Hangup, Request, Send
from tests.exchange.wire import Reply as HttpReply
from tests.simulator.runtime import Kernel, Process, SimMailbox

Tell = Callable[..., None]


@attrs.define(kw_only=True)
class Weather:
    """
    How the network is now; the plan changes it.

    Attributes:
        least_ms: one way, at least.
        spread_ms: one way, how much more at most.
        spike: how often one way takes `spike_ms` more.
        unreachable: HTTP connections that fail before a byte.
        lost_there: requests that never arrive, over a connection that then breaks.
        lost_back: answers that never arrive, over a connection that then breaks.
        stuck: requests of which nothing is heard until the deadline, arrived or not.
        refused: WebSocket handshakes that fail.
        half_sent: sends on a WebSocket that break the connection.
    """

    least_ms: int = 1
    spread_ms: int = 20
    spike: float = 0.0
    spike_ms: int = 2_000
    unreachable: float = 0.0
    lost_there: float = 0.0
    lost_back: float = 0.0
    stuck: float = 0.0
    refused: float = 0.0
    half_sent: float = 0.0


@attrs.define
class HeldReply:
    """
    An answer of the trade stream that takes as long as it takes an order to come to some state.

    Attributes:
        link_id: of the order that the request is about.
        op: `order.create`, `order.cancel` or `order.amend`.
        nth: which of its requests.
        most_ms: it comes then at the latest.
        req_id: of that request, once it was sent.
        waiting: the frame and the connection on which it would come, once the exchange has answered.
    """

    link_id: str
    op: str
    nth: int
    most_ms: int
    req_id: str = ""
    waiting: tuple[SimSocket, str] | None = None


class Net:
    """
    The engine behind its network.

    Args:
        kernel: makes things happen.
        engine: the exchange.
        rng: of delays and losses.
        story: is told what happens; None for nobody.
    """

    def __init__(self, kernel: Kernel, engine: Engine, rng: random.Random, story: Tell | None) -> None:
        self.kernel = kernel
        self.engine = engine
        self.weather = Weather()
        self.story = story
        self.on_create: Callable[[str, str], None] = lambda link_id, channel: None
        self.on_row: Callable[[SimSocket, bytes], None] = lambda socket, raw: None
        self.on_answer: Callable[[Request, bytes], Callable[[], None]] = lambda request, body: lambda: None
        self.in_flight = 0
        self.held: list[HeldReply] = []
        self.creates: dict[str, list[int]] = {}
        """Of each order, when the creates left that have not arrived yet."""
        self.hit: dict[str, int] = {}
        self._unit = rng.random
        self._sockets: dict[int, SimSocket] = {}
        self._connections = 0
        self._tick_ms: int | None = None

    def tell(self, what: str, /, **fields: Any) -> None:
        if self.story is not None:
            self.story(what, **fields)

    def strikes(self, name: str) -> bool:
        """Whether this misfortune happens now."""
        chance: float = getattr(self.weather, name)
        if chance and self._unit() < chance:
            self.hit[name] = self.hit.get(name, 0) + 1
            return True
        return False

    def delay_ms(self) -> int:
        weather = self.weather
        delay_ms = weather.least_ms + int(self._unit() * (weather.spread_ms + 1))
        return delay_ms + weather.spike_ms if weather.spike and self.strikes("spike") else delay_ms

    def create_leaves(self, link_id: str, channel: str) -> None:
        """A create's bytes are on their way."""
        self.on_create(link_id, channel)
        self.creates.setdefault(link_id, []).append(self.kernel.now_ms)

    def create_arrives(self, link_id: str) -> None:
        """The oldest of them is there, or lost."""
        if self.creates.get(link_id):
            self.creates[link_id].pop(0)

    # Answers that are held back.

    def hold_reply(self, held: HeldReply) -> None:
        """Let the answer to a request be late."""
        self.held.append(held)

    def request_leaves(self, frame: dict[str, Any]) -> None:
        """A request of the trade stream is sent: it may be the one whose answer will be late."""
        for held in self.held:
            if held.req_id or held.op != frame["op"] or frame["args"][0].get("orderLinkId") != held.link_id:
                continue
            held.nth -= 1
            if held.nth == 0:
                held.req_id = frame["reqId"]
                return

    def holds_back(self, socket: SimSocket, text: str) -> bool:
        """Whether the exchange keeps this answer for now."""
        for held in self.held:
            if held.req_id and held.waiting is None and f'"{held.req_id}"' in text:
                held.waiting = socket, text
                self.in_flight += 1
                self.hit["held_reply"] = self.hit.get("held_reply", 0) + 1
                self.kernel.at(self.kernel.now_ms + held.most_ms, lambda held=held: self._let_go(held))
                return True
        return False

    def release(self, link_id: str = "") -> None:
        """What was kept back of an order, or of all, is there now."""
        for held in list(self.held):
            if held.waiting is not None and link_id in {"", held.link_id}:
                self._let_go(held)

    def _let_go(self, held: HeldReply) -> None:
        if held not in self.held or held.waiting is None:
            return
        self.held.remove(held)
        self.in_flight -= 1
        socket, text = held.waiting
        socket.receive(text)

    # The engine.

    def http(self, request: Request) -> HttpReply | Hangup:
        """Hand a request to the engine now; what it pushes goes its way."""
        answer: HttpReply | Hangup | None = None
        for delivery in self.engine.handle(request, self.kernel.now_ms):
            if isinstance(delivery, HttpReply | Hangup):
                answer = delivery
            else:
                self._post(delivery)
        self.arm()
        assert answer is not None
        return answer

    def control(self, method: str, name: str, params: dict[str, Any] | None = None) -> Any:
        """
        One call of the control API, at once.

        Raises:
            ValueError: it was refused; nothing has changed.
        """
        body = orjson.dumps(params) if params else b""
        answer = self.http(Request(channel="control", method=method, path=f"/control/{name}", body=body))
        assert isinstance(answer, HttpReply)
        told_ = orjson.loads(answer.body)
        if answer.status != 200:
            raise ValueError(f"{name} {params}: {told_}")
        return told_

    def arm(self) -> None:
        """See that the engine gets its time when it has something to do."""
        due_ms = self.engine.next_due_ms()
        if due_ms is None or (self._tick_ms is not None and self._tick_ms <= due_ms):
            return
        self._tick_ms = due_ms
        self.kernel.at(due_ms, lambda: self._tick(due_ms))

    def _tick(self, due_ms: int) -> None:
        if self._tick_ms == due_ms:
            self._tick_ms = None
        self.deliver(self.engine.tick(self.kernel.now_ms))

    def deliver(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            self._post(delivery)
        self.arm()

    def _post(self, delivery: Delivery) -> None:
        if isinstance(delivery, Send | Close):
            if delivery.delay_ms:
                self.kernel.at(self.kernel.now_ms + delivery.delay_ms, lambda: self._emit(delivery))
            else:
                self._emit(delivery)

    def _emit(self, delivery: Send | Close) -> None:
        socket = self._sockets.get(delivery.connection_id)
        if socket is not None:
            socket.incoming(delivery.text if isinstance(delivery, Send) else None)

    # WebSockets.

    def connect(self, socket: SimSocket) -> int:
        self._connections += 1
        self._sockets[self._connections] = socket
        return self._connections

    def disconnect(self, connection_id: int) -> None:
        if self._sockets.pop(connection_id, None) is not None:
            self.deliver(self.engine.closed(connection_id, self.kernel.now_ms))

    def gone(self, connection_id: int) -> None:
        """The exchange has ended that connection itself."""
        self._sockets.pop(connection_id, None)

    def stands(self, connection_id: int) -> bool:
        return connection_id in self._sockets

    @property
    def connections(self) -> list[SimSocket]:
        """Those that stand, as the exchange sees it."""
        return list(self._sockets.values())


class SimSocket:
    """
    One WebSocket: FIFO each way, opened and closed as `bybit.stream.Socket` tells it.

    Args:
        on_opened, on_frame, on_closed: as there.
    """

    def __init__(
        self,
        net: Net,
        process: Process,
        channel: Literal["private", "trade"],
        *,
        on_opened: Callable[[], None],
        on_frame: Callable[[bytes], None],
        on_closed: Callable[[str], None],
    ) -> None:
        self.channel = channel
        self.open = False
        self.over = False
        self.frames = 0
        self._net = net
        self._process = process
        self._on_opened = on_opened
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._connection_id = 0
        self._last_in_ms = self._last_out_ms = 0
        self._inbound: deque[str | None] = deque()
        self._outbound: deque[tuple[str | None, str]] = deque()
        net.kernel.at(net.kernel.now_ms + net.delay_ms(), self._shake_hands)

    def _shake_hands(self) -> None:
        net = self._net
        if self.over:
            return
        if net.strikes("refused"):
            self._end("handshake refused by the network")
            return
        self._connection_id = net.connect(self)
        refusals = net.engine.opened(self._connection_id, self.channel, "", net.kernel.now_ms)
        if refusals:
            net.gone(self._connection_id)
            self._end("expected the status 101 of a WebSocket, was 503")
            return
        net.deliver([])
        net.kernel.at(net.kernel.now_ms + net.delay_ms(), self._opened)

    def _opened(self) -> None:
        if not self.over and self._process.alive:
            self.open = True
            self._net.tell("ws.open", channel=self.channel, connection=self._connection_id)
            self._on_opened()

    # Out.

    def send(self, text: str) -> Phase:
        self._process.require_alive()
        net = self._net
        if not self.open or self.over:
            return Phase.BEFORE_SEND
        if net.strikes("half_sent"):
            # Nobody knows whether the peer got the whole frame: it did, or it did not.
            if net._unit() < 0.5:
                self._travel(text, self._note_create(text))
            self._end("sending failed: BrokenPipeError")
            return Phase.SENDING
        self._travel(text, self._note_create(text))
        return Phase.AFTER_SEND

    def _note_create(self, text: str) -> str:
        """Whose create it is; empty for anything else."""
        if self.channel == "trade":
            frame = orjson.loads(text)
            if self._net.held and frame["op"].startswith("order."):
                self._net.request_leaves(frame)
            if frame["op"] == "order.create":
                link_id: str = frame["args"][0]["orderLinkId"]
                self._net.create_leaves(link_id, "trade")
                return link_id
        return ""

    def _travel(self, text: str | None, create: str = "") -> None:
        """Send a frame on its way, or the end of the connection (None), each behind what went before."""
        net = self._net
        due_ms = self._last_out_ms = max(net.kernel.now_ms + net.delay_ms(), self._last_out_ms)
        self._outbound.append((text, create))
        net.in_flight += 1
        net.kernel.at(due_ms, self._leave)

    def _leave(self) -> None:
        net, connection_id = self._net, self._connection_id
        net.in_flight -= 1
        text, create = self._outbound.popleft()
        if create:
            net.create_arrives(create)
        if text is None:
            net.disconnect(connection_id)
        elif net.stands(connection_id):
            net.tell("ws.out", channel=self.channel, text=text)
            request = Request(channel=self.channel, body=text.encode(), connection_id=connection_id)
            net.deliver(net.engine.handle(request, net.kernel.now_ms))

    # In.

    def incoming(self, text: str | None) -> None:
        """A frame of the exchange, or its end of the connection (None), is on its way to us."""
        net = self._net
        if net.held and text is not None and self.channel == "trade" and net.holds_back(self, text):
            return
        due_ms = self._last_in_ms = max(net.kernel.now_ms + net.delay_ms(), self._last_in_ms)
        self._inbound.append(text)
        net.in_flight += 1
        net.kernel.at(due_ms, self._arrive)
        if text is None:
            net.gone(self._connection_id)

    def _arrive(self) -> None:
        net = self._net
        net.in_flight -= 1
        text = self._inbound.popleft()
        if text is None and not self.over and self._process.alive:
            self._end("closed by the exchange")
        elif text is not None:
            self.receive(text)

    def receive(self, text: str) -> None:
        """A frame is there."""
        if self.over or not self._process.alive:
            return
        net = self._net
        self.frames += 1
        raw = text.encode()
        net.tell("ws.in", channel=self.channel, text=text)
        net.on_row(self, raw)
        self._on_frame(raw)

    # The end.

    def close(self, why: str) -> None:
        self._end(why)

    def cut(self) -> None:
        """The connection breaks: we notice at once, the exchange a little later; what was under way is lost."""
        self._outbound = deque((None, create) for _, create in self._outbound)
        self._end("ConnectionResetError")

    def join(self, timeout_s: float) -> bool:
        return True

    def _end(self, why: str) -> None:
        if self.over:
            return
        self.over, self.open = True, False
        net = self._net
        net.tell("ws.closed", channel=self.channel, connection=self._connection_id, why=why)
        self._travel(None)
        if self._process.alive:
            # Told by the reader's thread, a moment later.
            net.kernel.at(net.kernel.now_ms, lambda: self._on_closed(why) if self._process.alive else None)


class SimSockets:
    """Opens connections to the private stream."""

    def __init__(self, net: Net, process: Process) -> None:
        self._net = net
        self._process = process
        self.newest: SimSocket | None = None

    def open(self, generation: int, mailbox: SimMailbox) -> SimSocket:
        self.newest = SimSocket(
            self._net,
            self._process,
            "private",
            on_opened=lambda: mailbox.tell(Opened(generation=generation)),
            on_frame=lambda raw: mailbox.tell(Received(generation=generation, frame=parse_frame(raw))),
            on_closed=lambda why: mailbox.tell(Closed(generation=generation, why=why)),
        )
        return self.newest


class SimTradeSockets:
    """Opens connections to the trade stream."""

    def __init__(self, net: Net, process: Process, entry: TradeEntry) -> None:
        self._net = net
        self._process = process
        self._entry = entry

    def open(self, generation: int, mailbox: SimMailbox) -> SimSocket:
        return SimSocket(
            self._net,
            self._process,
            "trade",
            on_opened=lambda: mailbox.tell(Opened(generation=generation)),
            on_frame=lambda raw: told(self._entry, mailbox, generation, parse_reply(raw)),
            on_closed=lambda why: mailbox.tell(Closed(generation=generation, why=why)),
        )
