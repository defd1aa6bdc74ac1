"""
Every value and event type, canonical.

Bybit's V5 words in snake_case, right through to the database and the metrics. FIX equivalents, once: order_link_id is
ClOrdID (11), order_id OrderID (37), exec_id ExecID (17), exec_qty LastQty (32), exec_price LastPx (31), cum_exec_qty
CumQty (14), leaves_qty LeavesQty (151), avg_price AvgPx (6).

Quantities and prices are `Decimal` built from `str`; times are integer milliseconds of the exchange's clock where the
name says `event_ms`, `exec_ms`, `updated_ms`, and of ours where it says `at_ms`. A value never changes.

To add an event: one line in `EventType`, and its meaning beside it.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Final, NewType

from attrs import field, frozen

OrderLinkId = NewType("OrderLinkId", str)
OrderId = NewType("OrderId", str)
ExecId = NewType("ExecId", str)
Ms = NewType("Ms", int)

ZERO: Final = Decimal(0)


class Category(StrEnum):
    """Product group. Source: Bybit V5 docs, enum: category."""

    LINEAR = "linear"
    INVERSE = "inverse"
    SPOT = "spot"
    OPTION = "option"


class Side(StrEnum):
    """Side of an order, an execution or a position."""

    BUY = "Buy"
    SELL = "Sell"

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """+1 for BUY, -1 for SELL."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    """Source: Bybit V5 docs, enum: orderType."""

    MARKET = "Market"
    LIMIT = "Limit"


class TimeInForce(StrEnum):
    """Source: Bybit V5 docs, enum: timeInForce. A market order is always IOC."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    POST_ONLY = "PostOnly"


class OrderState(StrEnum):
    """Where an order is in its life; the machine of `core/order.py` explains each."""

    PENDING = "PENDING"
    SUBMITTED = "SUBMITTED"
    TIMEOUT = "TIMEOUT"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    PARTIAL_FILL = "PARTIAL_FILL"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    DENIED = "DENIED"
    ERROR = "ERROR"
    CLOSED = "CLOSED"


class OrderStatus(StrEnum):
    """
    The exchange's own word for an order, on rows of the order stream and of queries.

    Source: Bybit V5 docs, enum: orderStatus. `Created` and `PendingCancel` are not in the current docs but are known to
    adapters; both are treated as open. `Triggered` is listed there as closed, yet `New` follows: not final here.
    """

    CREATED = "Created"
    NEW = "New"
    UNTRIGGERED = "Untriggered"
    TRIGGERED = "Triggered"
    PENDING_CANCEL = "PendingCancel"
    PARTIALLY_FILLED = "PartiallyFilled"
    FILLED = "Filled"
    CANCELLED = "Cancelled"
    PARTIALLY_FILLED_CANCELED = "PartiallyFilledCanceled"
    DEACTIVATED = "Deactivated"
    REJECTED = "Rejected"

    @property
    def final(self) -> bool:
        return self in _FINAL_STATUSES


_FINAL_STATUSES = frozenset(
    {
        OrderStatus.FILLED,
        OrderStatus.CANCELLED,
        OrderStatus.PARTIALLY_FILLED_CANCELED,
        OrderStatus.DEACTIVATED,
        OrderStatus.REJECTED,
    }
)


class ExecType(StrEnum):
    """
    Why an execution happened; a whitelist, anything else is quarantined.

    Source: Bybit V5 docs, enum: execType. Only FUNDING moves no quantity.
    """

    TRADE = "Trade"
    ADL_TRADE = "AdlTrade"
    BUST_TRADE = "BustTrade"
    DELIVERY = "Delivery"
    SETTLE = "Settle"
    FUNDING = "Funding"

    @property
    def moves_qty(self) -> bool:
        """It changes an order's or a position's quantity, not only cash."""
        return self is not ExecType.FUNDING


class Command(StrEnum):
    """What is asked of an open order."""

    CANCEL = "cancel"
    AMEND = "amend"


class Source(StrEnum):
    """Which door a row of the exchange came through."""

    STREAM = "stream"
    QUERY = "query"
    RECONCILE = "reconcile"
    REPLAY = "replay"


class DenyReason(StrEnum):
    """Why a signal was refused here, before anything was sent."""

    BAD_SYMBOL = "bad_symbol"
    BAD_SIDE = "bad_side"
    BAD_QTY = "bad_qty"
    BAD_PRICE = "bad_price"
    BAD_TYPE = "bad_type"
    BAD_IDENTITY = "bad_identity"
    OFF_TICK = "off_tick"
    OFF_STEP = "off_step"
    BELOW_MINIMUM = "below_minimum"
    ABOVE_MAXIMUM = "above_maximum"
    BELOW_NOTIONAL = "below_notional"
    MISSING_PRICE = "missing_price"
    NOT_SUPPORTED = "not_supported"
    DUPLICATE_ID = "duplicate_id"
    HALTED = "halted"
    SYMBOL_HALTED = "symbol_halted"
    BREAKER_OPEN = "breaker_open"
    NOT_LIVE = "not_live"
    TOO_OLD = "too_old"
    TOO_MANY_ORDERS = "too_many_orders"
    JOURNAL_FAILED = "journal_failed"
    CANCELLED_UNSENT = "cancelled_unsent"
    UNREACHABLE = "unreachable"
    STOPPED = "stopped"


class EventType(StrEnum):
    """What can be published. Each event is also a journal record and a log line."""

    SIGNAL = "SIGNAL"  # a signal was received
    RISK_BLOCKED = "RISK_BLOCKED"  # a signal was denied; reason says why
    ORDER_REQUEST = "ORDER_REQUEST"  # a create is about to leave; its intent is in the journal
    ORDER_PLACED = "ORDER_PLACED"  # first evidence that the order exists; once per order
    ORDER_FILLED = "ORDER_FILLED"  # one execution; `complete` when it fills the order
    ORDER_CANCELLED = "ORDER_CANCELLED"  # ended at the exchange, perhaps with fills; reason kept
    ORDER_REJECTED = "ORDER_REJECTED"  # refused by the exchange, or proven never placed
    ORDER_CANCEL_REQUESTED = "ORDER_CANCEL_REQUESTED"
    ORDER_AMEND_REQUESTED = "ORDER_AMEND_REQUESTED"
    ORDER_AMENDED = "ORDER_AMENDED"  # the exchange shows another qty, price or trigger
    ORDER_UNKNOWN = "ORDER_UNKNOWN"  # an outcome is unknown; it is being queried
    ORDER_SETTLED = "ORDER_SETTLED"  # CLOSED: nothing about it is open any more
    POSITION_OPENED = "POSITION_OPENED"
    POSITION_UPDATE = "POSITION_UPDATE"
    POSITION_CLOSED = "POSITION_CLOSED"
    POSITION_ADOPTED = "POSITION_ADOPTED"  # opening balance taken from the exchange
    FUNDING = "FUNDING"
    RECONCILIATION_ALERT = "RECONCILIATION_ALERT"
    QUARANTINED = "QUARANTINED"  # a row that does not parse or that nothing explains; kept raw
    KILLSWITCH_TRIGGERED = "KILLSWITCH_TRIGGERED"
    KILLSWITCH_RESET = "KILLSWITCH_RESET"
    ERROR = "ERROR"
    STATUS = "STATUS"  # the router or a stream changed state


class FindingKind(StrEnum):
    """How our books and the exchange's differ."""

    ORDER_ONLY_HERE = "order_only_here"  # open here, not among its open orders
    ORDER_ONLY_THERE = "order_only_there"  # among its open orders, unknown here
    ORDER_DIFFERS = "order_differs"  # open on both sides, with another status, quantity or price
    EXECUTION_ONLY_HERE = "execution_only_here"  # accounted here, not in its list
    EXECUTION_ONLY_THERE = "execution_only_there"  # in its list, not accounted here
    POSITION_ONLY_HERE = "position_only_here"  # a phantom: flat at the exchange
    POSITION_ONLY_THERE = "position_only_there"  # flat here
    POSITION_DIFFERS = "position_differs"  # another side or size


class Reaction(StrEnum):
    """
    What a confirmed difference leads to, besides its RECONCILIATION_ALERT.

    Evidence (rows, executions, a look-up) is taken in under every one of them: it is the exchange's word, not a choice.
    """

    ADOPT = "adopt"  # a position: take the exchange's as the new balance; anything else as QUERY
    QUERY = "query"  # nothing more than taking the evidence in
    ALERT = "alert"  # the same; says that a person is meant to look
    HALT_SYMBOL = "halt_symbol"  # only reduce-only orders on that symbol
    HALT_ALL = "halt_all"  # no more creates at all, until resumed


@frozen(kw_only=True)
class Finding:
    """
    One difference between our books and the exchange's.

    Attributes:
        order_link_id: "" where it is not about an order of ours.
        order_id: "" where it is not about an order, or not known.
        exec_ids: executions that one side lacks; of a position, those that would explain it.
        expected: what we hold, in words.
        seen: what the exchange says, in words.
    """

    kind: FindingKind
    category: Category
    symbol: str
    position_idx: int = 0
    order_link_id: str = ""
    order_id: str = ""
    exec_ids: tuple[ExecId, ...] = ()
    expected: str = ""
    seen: str = ""

    @property
    def text(self) -> str:
        """What, where, expected and seen, in one line."""
        about = self.order_link_id or self.order_id
        named = ", ".join(self.exec_ids[:_NAMED_IDS])
        more = f" and {len(self.exec_ids) - _NAMED_IDS} more" if len(self.exec_ids) > _NAMED_IDS else ""
        parts = [f"{self.kind} {self.category} {self.symbol}"]
        parts += [f"position_idx {self.position_idx}"] if self.position_idx else []
        parts += [about] if about else []
        parts += [f"here {self.expected or 'nothing'}, there {self.seen or 'nothing'}"]
        parts += [f"exec_id {named}{more}"] if named else []
        return ": ".join(parts)


# A line stays readable; the finding itself has all of them.
_NAMED_IDS = 20


@frozen(kw_only=True)
class Signal:
    """
    A strategy's wish; building one never raises, `Router.submit` answers a bad one with a DENIED ticket.

    Attributes:
        strategy_id: names the strategy, 1-64 printable characters.
        signal_id: unique within the strategy for ever; the same signal sent again is the same order.
        leg: distinguishes orders of one signal, 0-999.
        symbol: e.g. "BTCUSDT".
        category: "linear" unless told.
        side: Side.BUY or Side.SELL.
        qty: base coin, as str or Decimal; a float is denied.
        order_type: MARKET unless told.
        price: limit price; required for LIMIT, refused for MARKET.
        time_in_force: GTC for a limit unless told; a market order is always IOC.
        reduce_only: may only shrink a position.
        close_on_trigger: a conditional that closes; it may cancel other orders to find margin.
        trigger_price: makes the order conditional.
        trigger_direction: 1 fires on a rise to trigger_price, 2 on a fall; derived from side where None
            (buy stops fire on a rise, sell stops on a fall).
        stop_loss: price of an attached stop loss.
        take_profit: price of an attached take profit.
        slippage_ticks: market orders: how many ticks beyond the best opposite price, 1-10000; None for the venue's cap.
        position_idx: 0 one-way, 1 hedge long, 2 hedge short.
        correlation_id: follows the signal through every record; derived from its identity when None.
        metadata: free text pairs, journalled with the signal, never sent.
    """

    strategy_id: str
    signal_id: str
    symbol: str
    side: Side
    qty: str | Decimal
    leg: int = 0
    category: Category = Category.LINEAR
    order_type: OrderType = OrderType.MARKET
    price: str | Decimal | None = None
    time_in_force: TimeInForce | None = None
    reduce_only: bool = False
    close_on_trigger: bool = False
    trigger_price: str | Decimal | None = None
    trigger_direction: int | None = None
    stop_loss: str | Decimal | None = None
    take_profit: str | Decimal | None = None
    slippage_ticks: int | None = None
    position_idx: int = 0
    correlation_id: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()


@frozen(kw_only=True)
class OrderRequest:
    """
    The intent: a checked signal, quantised to the instrument, with its identity. What is journalled before bytes.

    Attributes:
        settle_coin: the coin of a fee whose row does not name it.
    """

    order_link_id: OrderLinkId
    correlation_id: str
    strategy_id: str
    signal_id: str
    leg: int
    category: Category
    symbol: str
    side: Side
    order_type: OrderType
    qty: Decimal
    price: Decimal | None
    time_in_force: TimeInForce
    reduce_only: bool = False
    close_on_trigger: bool = False
    trigger_price: Decimal | None = None
    trigger_direction: int | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    slippage_ticks: int | None = None
    position_idx: int = 0
    settle_coin: str = ""
    submitted_ms: Ms


@frozen(kw_only=True)
class Denial:
    """A typed no: nothing was sent, and nothing will be for this signal."""

    reason: DenyReason
    detail: str


@frozen(kw_only=True)
class Amend:
    """What an amend changes; None leaves a part as it is. `qty` is the new total. Decimal(0) removes a TP or SL."""

    qty: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None


@frozen(kw_only=True)
class OrderRow:
    """
    One row of the order stream or of an order query.

    Source: Bybit V5 docs, websocket/private/order and order/open-order. `qty`, `price` are the exchange's; `status` is
    never None: a row with an unknown status does not parse and is quarantined.
    """

    category: Category
    symbol: str
    order_id: OrderId
    order_link_id: OrderLinkId
    side: Side
    status: OrderStatus
    qty: Decimal
    cum_exec_qty: Decimal
    order_type: str = ""
    time_in_force: str = ""
    price: Decimal | None = None
    avg_price: Decimal | None = None
    cum_exec_value: Decimal | None = None
    cum_fees: tuple[tuple[str, Decimal], ...] = ()
    trigger_price: Decimal | None = None
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    reduce_only: bool = False
    close_on_trigger: bool = False
    position_idx: int = 0
    parent_order_link_id: str = ""
    stop_order_type: str = ""
    create_type: str = ""
    cancel_type: str = ""
    reject_reason: str = ""
    market_unit: str = ""
    created_ms: Ms = Ms(0)
    updated_ms: Ms = Ms(0)


@frozen(kw_only=True)
class Execution:
    """
    One fill, or one thing that is not a fill but comes as one (funding).

    Source: Bybit V5 docs, websocket/private/execution and order/execution. The durable unique key is
    (category, symbol, exec_id). `order_qty` None where the row did not tell.
    """

    category: Category
    symbol: str
    exec_id: ExecId
    order_id: OrderId
    order_link_id: OrderLinkId
    side: Side
    exec_type: ExecType
    exec_qty: Decimal
    exec_price: Decimal
    exec_value: Decimal | None = None
    exec_fee: Decimal | None = None
    fee_currency: str = ""
    order_qty: Decimal | None = None
    leaves_qty: Decimal | None = None
    closed_size: Decimal | None = None
    is_maker: bool | None = None
    seq: int = 0
    exec_ms: Ms = Ms(0)
    create_type: str = ""
    stop_order_type: str = ""


@frozen(kw_only=True)
class PositionRow:
    """
    The exchange's word on one position; `side` None when flat.

    Source: Bybit V5 docs, position and websocket/private/position (which says entryPrice for avg_price). `seq` -1 when
    never traded; it equals the seq of the execution that moved the position last.
    """

    category: Category
    symbol: str
    position_idx: int
    side: Side | None
    size: Decimal
    avg_price: Decimal | None = None
    leverage: Decimal | None = None
    cum_realised_pnl: Decimal | None = None
    position_status: str = ""
    seq: int = -1
    updated_ms: Ms = Ms(0)


@frozen(kw_only=True)
class Instrument:
    """
    What an order must fit. Source: Bybit V5 docs, market/instrument.

    Attributes:
        tick_size: grid of prices.
        qty_step: grid of quantities (spot: base precision).
        min_order_qty: base coin.
        max_order_qty: base coin, limit orders.
        max_market_qty: base coin, market orders.
        min_notional: price x qty must reach it; zero where the exchange names none.
        trading: False while the instrument's status is anything but Trading.
    """

    category: Category
    symbol: str
    base_coin: str
    quote_coin: str
    settle_coin: str
    tick_size: Decimal
    qty_step: Decimal
    min_order_qty: Decimal
    max_order_qty: Decimal
    max_market_qty: Decimal
    min_notional: Decimal = ZERO
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    max_leverage: Decimal | None = None
    trading: bool = True


@frozen(kw_only=True)
class PositionSnapshot:
    """
    A position as hean holds it. `size` is never negative and goes with `side`, which is None when flat.

    Attributes:
        avg_price: average entry, None when flat.
        realised_pnl: gross of fees and funding, settle coin, exact.
        fees: paid per coin, positive is cost.
        funding: paid per coin, positive is cost.
        seq: of the last execution folded; -1 when none.
    """

    category: Category
    symbol: str
    position_idx: int
    side: Side | None = None
    size: Decimal = ZERO
    avg_price: Decimal | None = None
    realised_pnl: Decimal = ZERO
    fees: tuple[tuple[str, Decimal], ...] = ()
    funding: tuple[tuple[str, Decimal], ...] = ()
    seq: int = -1
    updated_ms: Ms = Ms(0)


@frozen(kw_only=True)
class OrderSnapshot:
    """
    An order as hean holds it, immutable; `Ticket.snapshot()` gives the newest.

    Attributes:
        state: the life-cycle's state.
        outcome: FILLED, CANCELLED, REJECTED or DENIED once known, None while open.
        qty: the exchange's total quantity once shown, else ours.
        leaves_qty: qty - cum_exec_qty, 0 once ended.
        avg_price: exact value over quantity, None before a fill.
        watermark: the exchange's cum_exec_qty; `gap` is how much of it our executions do not explain yet.
        fees: per coin, positive is cost.
        pending: "cancel" or "amend" while one is out, else "".
        reason: why it was denied, rejected or cancelled.
        status: the exchange's last word, "" before any.
        shown_ms: the exchange's clock on its newest row; 0 before any.
    """

    order_link_id: OrderLinkId
    correlation_id: str
    strategy_id: str
    signal_id: str
    category: Category
    symbol: str
    side: Side
    order_type: OrderType
    state: OrderState
    outcome: OrderState | None
    qty: Decimal
    price: Decimal | None
    cum_exec_qty: Decimal
    leaves_qty: Decimal
    avg_price: Decimal | None
    order_id: OrderId | None = None
    trigger_price: Decimal | None = None
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    reduce_only: bool = False
    position_idx: int = 0
    watermark: Decimal = ZERO
    gap: Decimal = ZERO
    overfill_qty: Decimal = ZERO
    fees: tuple[tuple[str, Decimal], ...] = ()
    pending: str = ""
    status: str = ""
    deny_reason: DenyReason | None = None
    reason: str = ""
    attempts: int = 0
    updated_ms: Ms = Ms(0)
    shown_ms: Ms = Ms(0)

    @property
    def settled(self) -> bool:
        """Nothing about this order is open any more."""
        return self.state in {OrderState.CLOSED, OrderState.DENIED}


@frozen(kw_only=True)
class Decision:
    """
    What was decided of a cancel, an amend or a resolve.

    Attributes:
        decided: "sent", "waiting" (for evidence, or for another request to be answered), "done" (nothing had to be
            sent), or "denied".
        why: for people.
    """

    decided: str
    why: str = ""

    @property
    def taken(self) -> bool:
        """It was not refused."""
        return self.decided != "denied"


@frozen(kw_only=True)
class Event:
    """
    One thing that happened, as published, journalled and logged.

    Attributes:
        type: what.
        at_ms: our clock.
        event_ms: the exchange's clock, None where it had no part.
        complete: ORDER_FILLED only: this execution filled the order.
        reason: short and stable, for machines: a DenyReason, a Bybit rejectReason, a finding's kind.
        detail: for people: what, which order, expected and seen, what to do.
        parent_order_link_id: events of an order that the exchange made of one of ours: that one.
        order: the order after the event.
        execution: ORDER_FILLED, FUNDING and position events that one execution caused.
        position: position events: the position after the event.
        finding: RECONCILIATION_ALERT of a comparison: the difference, whole.
    """

    type: EventType
    at_ms: Ms
    event_ms: Ms | None = None
    correlation_id: str = ""
    signal_id: str = ""
    order_link_id: str = ""
    order_id: str = ""
    exec_id: str = ""
    category: Category | None = None
    symbol: str = ""
    source: Source | None = None
    complete: bool | None = None
    reason: str = ""
    detail: str = ""
    parent_order_link_id: str = ""
    order: OrderSnapshot | None = field(default=None, repr=False)
    execution: Execution | None = field(default=None, repr=False)
    position: PositionSnapshot | None = field(default=None, repr=False)
    finding: Finding | None = field(default=None, repr=False)
