"""
The private topics: who gets which frame, and what faults do to frames on the way.

A row is built only when somebody listens. Frames of one topic to one connection keep their order whatever delay a
behaviour draws; the faults `delay_push` and `reorder_push` are there to break that.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal

from tests.exchange.accounts import Account, Connection
from tests.exchange.executions import Execution
from tests.exchange.orders import Order
from tests.exchange.positions import Position
from tests.exchange.surprises import not_json, surprise
from tests.exchange.venue import Venue
from tests.exchange.wallets import wallet_row
from tests.exchange.wire import Delivery, Json, Send, dumps

DEFAULT_DELAY_MS = 100
Held = tuple[tuple[str, str], list[Send]]


class Outbox:
    """
    Collects the deliveries of one call of the engine.
    """

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._out: list[Delivery] = []
        self._last_due_ms: dict[tuple[int, str], int] = {}
        self._held: list[Held] = []

    def put(self, delivery: Delivery) -> None:
        """
        Add one delivery.
        """
        self._out.append(delivery)

    def drain(self) -> list[Delivery]:
        """
        Everything since the last drain, in order.
        """
        out, self._out = self._out, []
        return out

    def answer(self, connection: Connection, frame: Json, delay_ms: int = 0) -> None:
        """
        An ack or pong on one WebSocket.
        """
        if not connection.silent:
            self._out.append(Send(connection.connection_id, dumps(frame), delay_ms))

    def orders(self, account: Account, orders: Sequence[Order], seq: int) -> None:
        """
        A frame on the order topic.
        """
        first = orders[0]
        if not self._wanted(account, "order", first.category):
            return
        leaves = self._venue.behaviour.word("final_leaves")
        rows = [order.stream_row(leaves) for order in orders]
        self._frame(account, "order", first.category, rows, f"{account.uid}_{first.symbol}_{seq}")

    def order_row(self, account: Account, order: Order, seq: int, changes: Json) -> None:
        """
        A frame on the order topic with fields the books do not keep.
        """
        if self._wanted(account, "order", order.category):
            row = order.stream_row(self._venue.behaviour.word("final_leaves")) | changes
            self._frame(account, "order", order.category, [row], f"{account.uid}_{order.symbol}_{seq}")

    def executions(self, account: Account, executions: Sequence[Execution]) -> None:
        """
        The executions of one match.
        """
        first = executions[0]
        category = first.instrument.category
        groups = [executions] if self._venue.behaviour.word("fills_per_frame") == "all" else [[e] for e in executions]
        for group in groups:
            if self._wanted(account, "execution", category):
                rows = [execution.stream_row() for execution in group]
                self._frame(account, "execution", category, rows, f"{account.uid}_{first.symbol}_{first.seq}")
            trades = [execution for execution in group if execution.exec_type == "Trade"]
            if trades and self._wanted(account, "execution.fast", category):
                rows = [execution.fast_row() for execution in trades]
                self._frame(account, "execution.fast", category, rows, None)

    def positions(self, account: Account, positions: Sequence[Position]) -> None:
        """
        A frame on the position topic.
        """
        instrument = positions[0].instrument
        if not self._wanted(account, "position", instrument.category):
            return
        mark: Decimal = self._venue.market(instrument).mark
        leverage = account.leverage(instrument.category, instrument.symbol)
        rows = [position.row(mark, leverage, stream=True) for position in positions]
        for row in rows:
            if row["updatedTime"] == "0":
                row["updatedTime"] = str(self._venue.clock_ms)
        self._frame(account, "position", instrument.category, rows, f"{account.uid}_position_{self._venue.clock_ms}")

    def wallet(self, account: Account, coins: Sequence[str]) -> None:
        """
        A frame on the wallet topic, with the coins that changed.
        """
        if "wallet" in account.listeners:
            row = wallet_row(self._venue, account, coins)
            self._frame(account, "wallet", "", [row], f"{account.uid}_wallet_{self._venue.clock_ms}")

    @staticmethod
    def _wanted(account: Account, topic: str, category: str) -> bool:
        return topic in account.listeners or f"{topic}.{category}" in account.listeners

    def _frame(self, account: Account, topic: str, category: str, rows: list[Json], frame_id: str | None) -> None:
        venue = self._venue
        behaviour_name = f"{topic.partition('.')[0]}_push_delay_ms"
        delay_ms = venue.behaviour.delay_ms(behaviour_name)
        ordered = True
        copies = 1
        hold = False
        poison: str | None = None
        binary = False
        if venue.faults.any_armed():
            facts: dict[str, str | tuple[str, ...]] = {
                "api_key": account.api_key,
                "topic": (topic, f"{topic}.{category}"),
                "category": category,
                "symbol": tuple(str(row.get("symbol", "")) for row in rows),
                "orderLinkId": tuple(str(row.get("orderLinkId", "")) for row in rows),
                "channel": "private",
            }
            if venue.faults.fire("drop_push", facts):
                return
            poisoned = venue.faults.fire("poison_frame", facts)
            poison = not_json(poisoned, topic, rows)
            binary = poisoned is not None and poisoned.args.get("kind") == "binary"
            for name in ("unknown_enum", "missing_key", "empty_numbers"):
                surprise(venue.faults.fire(name, facts), topic, rows)
            if venue.faults.fire("duplicate_push", facts):
                copies = 2
            late = venue.faults.fire("delay_push", facts)
            if late is None and topic == "order":
                late = venue.faults.fire("fill_before_order_push", facts)
            if late is not None:
                delay_ms += int(late.args.get("ms", DEFAULT_DELAY_MS))
                ordered = False
            hold = venue.faults.fire("reorder_push", facts) is not None

        sends: list[Send] = []
        for form in (topic, f"{topic}.{category}") if category else (topic,):
            listeners = account.listeners.get(form)
            if not listeners:
                continue
            frame: Json = {"topic": form, "creationTime": venue.clock_ms, "data": rows}
            if frame_id is not None:
                frame["id"] = frame_id
            text = dumps(frame)
            for connection in listeners:
                if connection.silent:
                    continue
                account.counters["frames_pushed"] += 1
                due = (
                    self._in_order(connection, form, delay_ms)
                    if ordered and (delay_ms or self._last_due_ms)
                    else delay_ms
                )
                if poison is not None:
                    sends.append(Send(connection.connection_id, poison, due, form, binary))
                sends.extend([Send(connection.connection_id, text, due, form)] * copies)
        self._post(sends, (account.api_key, topic), hold=hold)

    def _in_order(self, connection: Connection, form: str, delay_ms: int) -> int:
        key = (connection.connection_id, form)
        due_ms = max(self._venue.now_ms + delay_ms, self._last_due_ms.get(key, 0))
        self._last_due_ms[key] = due_ms
        return due_ms - self._venue.now_ms

    def _post(self, sends: list[Send], stream: tuple[str, str], *, hold: bool) -> None:
        if hold:
            held = (stream, sends)
            self._held.append(held)
            # Nothing may follow it: then it goes out alone rather than never.
            self._venue.schedule.plan(self._venue.now_ms + DEFAULT_DELAY_MS, self._releaser(held))
            return
        self._out.extend(sends)
        for held in [held for held in self._held if held[0] == stream]:
            self._held.remove(held)
            self._out.extend(held[1])

    def _releaser(self, held: Held) -> Callable[[], None]:
        def release() -> None:
            if held in self._held:
                self._held.remove(held)
                self._out.extend(held[1])

        return release

    def forget(self, connection: Connection) -> None:
        """
        A connection is gone.
        """
        for key in [key for key in self._last_due_ms if key[0] == connection.connection_id]:
            del self._last_due_ms[key]
