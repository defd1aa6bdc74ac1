"""A router with an order, a position and a neighbour's order, that is told anything at all."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from attrs import evolve

from hean import OrderState, OrderType, Router, Side, Signal
from hean.actors.messages import Ping
from hean.actors.stream import Received
from hean.bybit.codec import (
    AuthAck,
    Executions,
    Frame,
    Orders,
    Other,
    Poison,
    Pong,
    Positions,
    SubscribeAck,
    parse_frame,
)
from hean.core.types import Execution, Ms, OrderRow, PositionRow
from tests.conftest import env_of
from tests.exchange import LoopbackExchange
from tests.fuzz.frames import encoded

WAIT_S = 20.0
# Nothing of its own accord may change the state that is watched.
STILL: dict[str, object] = {
    "reconcile__orders_s": 3600,
    "reconcile__positions_s": 3600,
    "reconcile__confirm_s": 600,
    "clock__sync_s": 3600,
    "stream__ping_s": 500,
    "stream__silence_s": 3600,
}


class Told:
    """
    A running router, and its state as one value.

    Attributes:
        frames: good frames of what there is, known to the router already: none of them changes anything.
        fed: frames that were told to it.
    """

    def __init__(self, directory: Path) -> None:
        self._exchange = LoopbackExchange()
        self._directory = directory
        self.frames: list[dict[str, Any]] = []
        self.fed = 0

    def __enter__(self) -> Self:
        self._exchange.start()
        self._exchange.market("BTCUSDT", bid="95000", ask="95001")
        self._router = Router.from_env(env_of(self._exchange, self._directory / "journal.db", **STILL))
        self._router.start()
        self._populate()
        self._good = {row for frame in self.frames for row in rows_of(parse_frame(encoded(frame)))}
        self._calm = self.state()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._router.stop()
        self._exchange.stop()

    def _populate(self) -> None:
        router = self._router
        common: dict[str, Any] = {"strategy_id": "fuzz", "symbol": "BTCUSDT", "side": Side.BUY, "qty": "0.003"}
        limit: dict[str, Any] = {"order_type": OrderType.LIMIT, "price": "94900"}
        assert router.submit(Signal(signal_id="held", **common)).wait(WAIT_S).settled
        open_one = router.submit(Signal(signal_id="open", **common, **limit))
        assert OrderState.ACKNOWLEDGED == open_one.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state
        self._exchange.market("BTCUSDT", trade={"price": "94900", "qty": "0.001"})
        assert OrderState.PARTIAL_FILL == open_one.wait_for(OrderState.PARTIAL_FILL, WAIT_S).state
        self._exchange.fault("foreign_order", args={"symbol": "BTCUSDT", "price": "94000", "qty": "0.001"})
        assert router.reconcile().equal
        # Until the settled one has retired, its leaving would look like a change.
        router.ticket(open_one.order_link_id).wait(3)
        books = self._exchange.books()
        for topic, name in (("order", "orders"), ("execution", "executions"), ("position", "positions")):
            rows = [row for row in books[name] if topic != "order" or row["orderLinkId"] == open_one.order_link_id]
            self.frames.append({"topic": topic, "id": "1", "creationTime": 1_700_000_000_000, "data": rows})

    def state(self) -> tuple[object, ...]:
        """Everything that a row may change, without the time at which it was looked at last."""
        context = self._router._context
        orders = {link: evolve(snapshot, updated_ms=Ms(0)) for link, snapshot in sorted(self._router.orders.items())}
        executions = tuple(entry.exec_id for entry in context.journal.executions_since(0))
        foreign = {order_id: evolve(order, heard_ms=Ms(0)) for order_id, order in context.foreign.items()}
        parked = context.journal.parked()
        return orders, dict(self._router.positions), executions, foreign, parked, context.gate.live, context.gate.frozen

    def tell(self, raw: bytes) -> None:
        """
        Tell it a frame, where every row of it that reads is one that it has already; then nothing may have changed.

        Frames with other rows that read are told to nobody: those may change what they like.
        """
        frame = parse_frame(raw)
        for row in rows_of(frame):
            assert_sane(row)
        if isinstance(frame, AuthAck | SubscribeAck) or not set(rows_of(frame)) <= self._good:
            return
        self.fed += 1
        self._say(Received(generation=1, frame=frame))
        assert self._calm == self.state()

    def _say(self, message: Received) -> None:
        context = self._router._context
        context.to.stream.tell(message)
        boxes = [context.to.stream, context.to.supervisor, context.to.external, context.to.portfolio]
        for box in (*boxes, *(slot.mailbox for slot in context.registry.slots())):
            assert box.ask(Ping(), WAIT_S) is True, "an actor did not answer"


def rows_of(frame: Frame) -> tuple[OrderRow | Execution | PositionRow, ...]:
    """The rows of a frame that read."""
    match frame:
        case Orders() | Executions() | Positions():
            return frame.rows
        case AuthAck() | SubscribeAck() | Pong() | Other() | Poison():
            return ()


def assert_sane(row: OrderRow | Execution | PositionRow) -> None:
    """A row that reads has an identity, and quantities that can be added up."""
    assert row.symbol
    quantities: tuple[Decimal, ...]
    match row:
        case OrderRow():
            assert row.order_id
            quantities = (row.qty, row.cum_exec_qty)
        case Execution():
            assert row.exec_id
            quantities = (row.exec_qty, row.exec_price)
        case PositionRow():
            assert row.size == 0 or row.side is not None
            quantities = (row.size,)
    assert all(number.is_finite() and number >= 0 for number in quantities)
