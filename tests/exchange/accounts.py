"""
One account: its key, coins, positions, orders, executions, subscriptions and counters.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

import attrs

from tests.exchange.executions import Execution
from tests.exchange.instruments import Instrument
from tests.exchange.orders import Order
from tests.exchange.positions import Position
from tests.exchange.wire import ZERO

DEFAULT_LEVERAGE = Decimal(10)
CLOSED_SHOWN = 500
COUNTERS = (
    "creates_received",
    "creates_accepted",
    "duplicates_refused",
    "amends_received",
    "cancels_received",
    "queries_received",
    "frames_pushed",
    "private_connections_ever",
    "trade_connections_ever",
)


@attrs.define(eq=False)
class Coin:
    """
    One coin of the wallet.

    Attributes:
        locked: Held by open spot orders.
        order_margin: Bound by open derivative orders that settle in this coin.
    """

    balance: Decimal = ZERO
    locked: Decimal = ZERO
    order_margin: Decimal = ZERO
    realised_ever: Decimal = ZERO


@attrs.define(eq=False)
class Connection:
    """
    One WebSocket.

    Attributes:
        account: None until it is authenticated.
        topics: As subscribed, in that order.
        silent: The peer hears nothing any more.
    """

    connection_id: int
    channel: str
    conn_id: str
    opened_ms: int
    max_active_ms: int
    seen_ms: int
    account: "Account | None" = None
    topics: dict[str, None] = attrs.Factory(dict)
    req_ids: set[str] = attrs.Factory(set)
    silent: bool = False


@attrs.define(kw_only=True, eq=False)
class Account:
    """
    What the exchange knows of one API key.

    Attributes:
        orders: Every order ever accepted, by orderId, oldest first; nothing is ever removed.
        open_orders: Those that are not final.
        closed: By category, what order/realtime can still show of the closed ones.
        reducing: Those of them that only reduce.
        open_counts: (category, symbol, conditional) -> how many are open.
        listeners: Topic as subscribed -> connections.
        hedged: (category, symbol) in hedge mode.
        read_only: Orders are refused with 10005.
    """

    api_key: str
    api_secret: bytes
    uid: str
    read_only: bool = False
    coins: dict[str, Coin] = attrs.Factory(dict)
    positions: dict[tuple[str, str, int], Position] = attrs.Factory(dict)
    leverages: dict[tuple[str, str], Decimal] = attrs.Factory(dict)
    hedged: set[tuple[str, str]] = attrs.Factory(set)
    hedge_by_default: bool = False
    orders: dict[str, Order] = attrs.Factory(dict)
    by_link: dict[str, Order] = attrs.Factory(dict)
    open_orders: dict[str, Order] = attrs.Factory(dict)
    open_counts: dict[tuple[str, str, bool], int] = attrs.Factory(dict)
    closed: dict[str, dict[str, Order]] = attrs.Factory(dict)
    executions: list[Execution] = attrs.Factory(list)
    reducing: dict[str, Order] = attrs.Factory(dict)
    connections: dict[int, Connection] = attrs.Factory(dict)
    listeners: dict[str, list[Connection]] = attrs.Factory(dict)
    counters: dict[str, int] = attrs.Factory(lambda: dict.fromkeys(COUNTERS, 0))
    dcp_windows: dict[str, int] = attrs.Factory(dict)
    req_ids: set[str] = attrs.Factory(set)

    def coin(self, name: str) -> Coin:
        """
        One coin, created at zero when it is new.
        """
        coin = self.coins.get(name)
        if coin is None:
            coin = self.coins[name] = Coin()
        return coin

    def leverage(self, category: str, symbol: str) -> Decimal:
        """
        The leverage set for a symbol.
        """
        return self.leverages.get((category, symbol), DEFAULT_LEVERAGE)

    def is_hedged(self, instrument: Instrument) -> bool:
        """
        Whether a symbol is in hedge mode; only USDT perpetuals can be.
        """
        if instrument.category != "linear":
            return False
        return (instrument.category, instrument.symbol) in self.hedged

    def position(self, instrument: Instrument, position_idx: int) -> Position:
        """
        One position, created flat when it is new.
        """
        key = (instrument.category, instrument.symbol, position_idx)
        position = self.positions.get(key)
        if position is None:
            position = self.positions[key] = Position(instrument=instrument, position_idx=position_idx)
        return position

    def positions_of(self, instrument: Instrument) -> list[Position]:
        """
        The positions a symbol has in its present mode.
        """
        indexes = (1, 2) if self.is_hedged(instrument) else (0,)
        return [self.position(instrument, index) for index in indexes]

    def held(self) -> Iterator[Position]:
        """
        The positions that are not flat.
        """
        return (position for position in self.positions.values() if position.signed)

    def find(self, order_id: str, order_link_id: str) -> Order | None:
        """
        An order by either ID; orderId wins.
        """
        return self.orders.get(order_id) if order_id else self.by_link.get(order_link_id)

    def is_taken(self, order_link_id: str) -> bool:
        """
        Whether an open order has this ID.
        """
        order = self.by_link.get(order_link_id)
        return order is not None and not order.is_final

    def enter(self, order: Order) -> None:
        """
        Take a new order into the books.
        """
        self.orders[order.order_id] = order
        if order.order_link_id and not self.is_taken(order.order_link_id):
            self.by_link[order.order_link_id] = order
        self.open_orders[order.order_id] = order
        if order.reduce_only:
            self.reducing[order.order_id] = order
        self._count(order, conditional=order.is_conditional, step=1)

    def leave(self, order: Order, clock_ms: int, *, was_conditional: bool) -> None:
        """
        An order became final.
        """
        if self.open_orders.pop(order.order_id, None) is None:
            return
        self.reducing.pop(order.order_id, None)
        order.closed_ms = clock_ms
        self._count(order, conditional=was_conditional, step=-1)
        shown = self.closed.setdefault(order.category, {})
        shown[order.order_id] = order
        if len(shown) > CLOSED_SHOWN:
            del shown[next(iter(shown))]

    def fired(self, order: Order) -> None:
        """
        A conditional order became an active one.
        """
        self._count(order, conditional=True, step=-1)
        self._count(order, conditional=False, step=1)

    def _count(self, order: Order, *, conditional: bool, step: int) -> None:
        key = (order.category, order.symbol, conditional)
        self.open_counts[key] = self.open_counts.get(key, 0) + step

    def reserve(self, order: Order, amount: Decimal, coin: str) -> None:
        """
        Bind this much for an order instead of what it bound before.
        """
        if amount == order.reserved:
            return
        held = self.coin(coin)
        if order.category == "spot":
            held.locked += amount - order.reserved
        else:
            held.order_margin += amount - order.reserved
        order.reserved, order.reserved_coin = amount, coin

    def listen(self, connection: Connection, topic: str) -> None:
        """
        Subscribe.
        """
        if topic not in connection.topics:
            connection.topics[topic] = None
            self.listeners.setdefault(topic, []).append(connection)

    def unlisten(self, connection: Connection, topic: str) -> None:
        """
        Unsubscribe.
        """
        if topic in connection.topics:
            del connection.topics[topic]
            self.listeners[topic].remove(connection)
            if not self.listeners[topic]:
                del self.listeners[topic]

    def fund(self, wallet: Mapping[str, str]) -> None:
        """
        Set balances.
        """
        for name, amount in wallet.items():
            self.coin(name).balance = Decimal(amount)
