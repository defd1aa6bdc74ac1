"""The production half of the stream port: websocket connections whose frames are parsed where they are read."""

from __future__ import annotations

from collections.abc import Callable

from hean.actors.inbox import Carrier
from hean.actors.ports import Told
from hean.actors.stream import Received
from hean.actors.trade import TradeEntry, told
from hean.bybit.codec import Executions, parse_frame
from hean.bybit.endpoints import Door
from hean.bybit.stream import Socket
from hean.bybit.trade import parse_reply
from hean.core.session_facts import Closed, Opened


class PrivateSockets:
    """
    Opens connections to the private stream.

    Args:
        url: checked by the wire package before each connect.
        connect_timeout_s: for the handshake.
        failed: told what a callback raised; the reader goes on.
        scrub: takes secrets out of a frame before anybody sees it.
    """

    def __init__(
        self,
        url: str,
        connect_timeout_s: float,
        failed: Callable[[BaseException], None],
        scrub: Callable[[bytes], bytes],
    ) -> None:
        self._url = url
        self._scrub = scrub
        self._connect_timeout_s = connect_timeout_s
        self._failed = failed

    def open(self, generation: int, mailbox: Told) -> Socket:
        """Begin to connect; everything that happens is told to `mailbox` with `generation`."""
        carrier = Carrier()

        def opened(number: int) -> None:
            carrier.settle()
            mailbox.tell(Opened(generation=number))

        def received(number: int, raw: bytes) -> None:
            frame = parse_frame(self._scrub(raw))
            mailbox.tell(Received(generation=number, frame=frame))
            if isinstance(frame, Executions):
                # A strategy waits for these; everything else is handled once all that came is read.
                carrier.deliver()

        socket = Socket(
            door=Door.PRIVATE,
            url=self._url,
            connection_id=generation,
            on_open=opened,
            on_frame=received,
            on_pause=lambda _: carrier.deliver(),
            on_closed=lambda number, why: mailbox.tell(Closed(generation=number, why=why)),
            on_error=lambda _, error: self._failed(error),
            connect_timeout_s=self._connect_timeout_s,
        )
        socket.start()
        return socket


class TradeSockets:
    """
    Opens connections to the trade stream.

    Args:
        url: checked by the wire package before each connect.
        connect_timeout_s: for the handshake.
        entry: takes the replies where they are read.
        failed: told what a callback raised; the reader goes on.
        scrub: takes secrets out of a frame before anybody sees it.
    """

    def __init__(
        self,
        url: str,
        connect_timeout_s: float,
        entry: TradeEntry,
        failed: Callable[[BaseException], None],
        scrub: Callable[[bytes], bytes],
    ) -> None:
        self._url = url
        self._scrub = scrub
        self._connect_timeout_s = connect_timeout_s
        self._entry = entry
        self._failed = failed

    def open(self, generation: int, mailbox: Told) -> Socket:
        """Begin to connect; replies go to their calls, the rest is told to `mailbox` with `generation`."""
        carrier = Carrier()

        def opened(number: int) -> None:
            carrier.settle()
            mailbox.tell(Opened(generation=number))

        socket = Socket(
            door=Door.TRADE,
            url=self._url,
            connection_id=generation,
            on_open=opened,
            on_pause=lambda _: carrier.deliver(),
            on_frame=lambda number, raw: told(self._entry, mailbox, number, parse_reply(self._scrub(raw))),
            on_closed=lambda number, why: mailbox.tell(Closed(generation=number, why=why)),
            on_error=lambda _, error: self._failed(error),
            connect_timeout_s=self._connect_timeout_s,
        )
        socket.start()
        return socket
