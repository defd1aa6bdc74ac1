"""A gap with many executions in it, and how long it takes to be equal again."""

from __future__ import annotations

import threading
import time

from attrs import frozen

from hean import Event, EventType, OrderState, OrderType, Router, Side, Signal
from tests.exchange import LoopbackExchange

ORDERS = 10
STEP = "0.001"
WAIT_S = 60.0


@frozen(kw_only=True)
class Recovery:
    """
    What a gap came to; milliseconds.

    Attributes:
        executions: missed while the socket was down.
        outage_ms: from the loss of the socket to its return.
        caught_up_ms: from the socket's return to LIVE.
        equal_ms: from the socket's return until every execution was in the journal and in its position.
    """

    executions: int
    outage_ms: int
    caught_up_ms: int
    equal_ms: int


def recover(
    router: Router, exchange: LoopbackExchange, *, executions: int, outage_s: float, name: str = "gap"
) -> Recovery:
    """
    Let executions happen behind the router's back, and measure.

    One in ten is by another hand; the others fill resting orders of ours bit by bit. `name` tells several gaps of one
    router apart.
    """
    foreign = executions // 10
    fills = executions - foreign
    exchange.market("BTCUSDT", bid="95000", ask="95001")
    each = -(-fills // ORDERS) + 1
    for number in range(ORDERS):
        ticket = router.submit(
            Signal(
                strategy_id=name,
                signal_id=f"{number}",
                symbol="BTCUSDT",
                side=Side.BUY,
                qty=f"{each / 1000:.3f}",
                order_type=OrderType.LIMIT,
                price="94900",
            )
        )
        assert OrderState.ACKNOWLEDGED == ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state
    seen: list[Event] = []
    # A loss of the stream that goes on is an ERROR, no STATUS.
    for type_ in (EventType.STATUS, EventType.ERROR, EventType.ORDER_FILLED, *_POSITION):
        router.subscribe(type_, seen.append)

    before = {row["execId"] for row in exchange.books()["executions"]}
    began = time.monotonic()
    exchange.fault("cut_private", args={"refuse_s": outage_s + WAIT_S})
    for _ in range(fills):
        exchange.market("BTCUSDT", trade={"price": "94900", "qty": STEP})
    for _ in range(foreign):
        exchange.fault("foreign_order", args={"symbol": "ETHUSDT", "side": "Buy", "qty": "0.01"})
    threading.Event().wait(max(began + outage_s - time.monotonic(), 0))
    exchange.clear_faults()

    wanted = {row["execId"] for row in exchange.books()["executions"]} - before
    assert executions == len(wanted)
    deadline = time.monotonic() + WAIT_S
    while not (_times(seen, "stream_LIVE") and wanted <= {event.exec_id for event in seen if event.type in _POSITION}):
        assert time.monotonic() < deadline, "the gap was not closed"
        threading.Event().wait(0.02)
    lost_ms = _times(seen, "stream_BACKING_OFF")[0]
    # The last: while the door is shut, a try may get as far as the handshake.
    back_ms, live_ms = _times(seen, "stream_AUTHENTICATING")[-1], _times(seen, "stream_LIVE")[-1]
    last_ms = max(event.at_ms for event in seen if event.exec_id in wanted)
    return Recovery(
        executions=executions,
        outage_ms=back_ms - lost_ms,
        caught_up_ms=live_ms - back_ms,
        equal_ms=last_ms - back_ms,
    )


_POSITION = {EventType.POSITION_OPENED, EventType.POSITION_UPDATE}


def _times(seen: list[Event], reason: str) -> list[int]:
    return [event.at_ms for event in seen if event.reason == reason]
