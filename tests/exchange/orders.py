"""
One order at the exchange and the three spellings of its row: stream, order/realtime, order/history.

Source: Bybit V5 docs, order/open-order, order/order-list, websocket/private/order.
"""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import TYPE_CHECKING

import attrs

from tests.exchange.wire import ZERO, Json, money, plain, rounded

if TYPE_CHECKING:
    from tests.exchange.accounts import Account
    from tests.exchange.executions import Execution
    from tests.exchange.instruments import Instrument

FINAL = frozenset(("Filled", "Cancelled", "PartiallyFilledCanceled", "Rejected", "Deactivated"))
UNFILLED_RETENTION_MS = 24 * 3600 * 1000
CLOSED_RETENTION_MS = 7 * 24 * 3600 * 1000
FILLED_RETENTION_MS = 2 * 365 * 24 * 3600 * 1000
VERSIONED = (
    "status",
    "price",
    "qty",
    "cum_qty",
    "cum_value",
    "cancel_type",
    "reject_reason",
    "updated_ms",
    "trigger_price",
)


@attrs.define(kw_only=True, eq=False)
class Order:
    """
    One order, in whatever state.

    Attributes:
        serial: Order of arrival, unique in the exchange.
        priority: Time priority in the book; renewed when an amend loses the queue.
        price: As shown: the limit; for a derivative market order the protected price it was converted to.
        protected: The limit a market order was converted to; zero for a limit order.
        qty: Base coin, contracts for inverse, quote coin when `by_quote`.
        by_quote: A spot market order whose qty is an amount of quote coin.
        reserved: What it binds: order margin in the settle coin, or on spot the locked amount of `reserved_coin`.
        versions: (updated_ms, the fields of `VERSIONED`) after every change: what a lagging query still shows.
    """

    serial: int
    priority: int
    order_id: str
    order_link_id: str
    account: Account = attrs.field(repr=False)
    instrument: Instrument = attrs.field(repr=False)
    side: str
    order_type: str
    price: Decimal
    qty: Decimal
    time_in_force: str
    created_ms: int
    updated_ms: int
    protected: Decimal = ZERO
    position_idx: int = 0
    reduce_only: bool = False
    close_on_trigger: bool = False
    by_quote: bool = False
    market_unit: str = ""
    is_leverage: str = ""
    smp_type: str = "None"
    smp_order_id: str = ""
    slippage_type: str = "UNKNOWN"
    slippage: str = "0"
    trigger_price: Decimal = ZERO
    trigger_direction: int = 0
    trigger_by: str = ""
    stop_order_type: str = ""
    take_profit: str = ""
    stop_loss: str = ""
    tp_trigger_by: str = ""
    sl_trigger_by: str = ""
    tp_limit_price: str = ""
    sl_limit_price: str = ""
    tp_order_type: str = "Market"
    sl_order_type: str = "Market"
    tpsl_mode: str = ""
    parent_link_id: str = ""
    sibling: Order | None = attrs.field(default=None, repr=False)
    create_type: str = "CreateByUser"
    last_price_on_created: Decimal = ZERO
    status: str = "New"
    cancel_type: str = "UNKNOWN"
    reject_reason: str = "EC_NoError"
    cum_qty: Decimal = ZERO
    cum_value: Decimal = ZERO
    fees: dict[str, Decimal] = attrs.Factory(dict)
    closed_pnl: Decimal = ZERO
    closed_qty: Decimal = ZERO
    closed_entry_value: Decimal = ZERO
    closed_exit_value: Decimal = ZERO
    closed_open_fee: Decimal = ZERO
    closed_close_fee: Decimal = ZERO
    reserved: Decimal = ZERO
    reserved_coin: str = ""
    closed_ms: int = 0
    booked: bool = False
    executions: list[Execution] = attrs.field(factory=list, repr=False)
    versions: list[tuple[int, tuple[object, ...]]] = attrs.field(factory=list, repr=False)

    @property
    def category(self) -> str:
        """
        The instrument's category.
        """
        return self.instrument.category

    @property
    def symbol(self) -> str:
        """
        The instrument's symbol.
        """
        return self.instrument.symbol

    @property
    def limit(self) -> Decimal:
        """
        The worst price it may trade at.
        """
        return self.protected or self.price

    @property
    def is_final(self) -> bool:
        """
        Whether the exchange is done with it.
        """
        return self.status in FINAL

    @property
    def is_conditional(self) -> bool:
        """
        Waiting for its trigger.
        """
        return self.status == "Untriggered"

    @property
    def leaves(self) -> Decimal:
        """
        What could still be executed.
        """
        if self.status in FINAL:
            return ZERO
        return max(ZERO, self.qty - (self.cum_value if self.by_quote else self.cum_qty))

    @property
    def position_key(self) -> tuple[str, str, int]:
        """
        Which position it moves.
        """
        return (self.instrument.category, self.instrument.symbol, self.position_idx)

    def touch(self, clock_ms: int) -> None:
        """
        Stamp a change and remember this version.
        """
        self.updated_ms = clock_ms
        self.versions.append(
            (
                clock_ms,
                (
                    self.status,
                    self.price,
                    self.qty,
                    self.cum_qty,
                    self.cum_value,
                    self.cancel_type,
                    self.reject_reason,
                    clock_ms,
                    self.trigger_price,
                ),
            )
        )

    def as_of(self, clock_ms: int) -> Order | None:
        """
        The order as it was then; None before its first version.
        """
        if self.versions and self.versions[-1][0] <= clock_ms:
            return self
        for stamped_ms, values in reversed(self.versions):
            if stamped_ms <= clock_ms:
                past = copy.copy(self)
                for name, value in zip(VERSIONED, values, strict=True):
                    setattr(past, name, value)
                return past
        return None

    def kept_at(self, clock_ms: int) -> bool:
        """
        Whether order/history still has it. Source: Bybit V5 docs, order/order-list.
        """
        age_ms = clock_ms - self.updated_ms
        if self.cum_qty:
            return age_ms <= FILLED_RETENTION_MS
        if self.status in ("Cancelled", "Rejected", "Deactivated"):
            return age_ms <= UNFILLED_RETENTION_MS
        return age_ms <= CLOSED_RETENTION_MS

    def _leaves_texts(self, final_leaves: str) -> tuple[str, str]:
        if self.status in FINAL:
            if self.by_quote and self.cum_qty:
                return "0.000000", plain(max(ZERO, self.qty - self.cum_value))
            return final_leaves, final_leaves
        leaves = self.leaves
        if self.by_quote:
            return plain(leaves), plain(leaves)
        if self.order_type == "Market" and not self.price:
            return plain(leaves), "0"
        return plain(leaves), money(self.instrument.value(leaves, self.price)) if self.price else "0"

    def _average(self) -> str:
        return rounded(self.instrument.price_of(self.cum_value, self.cum_qty)) if self.cum_qty else ""

    def fee_total(self) -> str:
        """
        Fees summed over coins (there is one).
        """
        return money(sum(self.fees.values(), ZERO)) if self.fees else "0"

    def stream_row(self, final_leaves: str = "0") -> Json:
        """
        As the order topic shows it.
        """
        spot = self.instrument.category == "spot"
        leaves, leaves_value = self._leaves_texts(final_leaves)
        row: Json = {
            "category": self.instrument.category,
            "symbol": self.instrument.symbol,
            "orderId": self.order_id,
            "orderLinkId": self.order_link_id,
            "parentOrderLinkId": self.parent_link_id,
            "blockTradeId": "",
            "side": self.side,
            "positionIdx": self.position_idx,
            "orderStatus": self.status,
            "cancelType": self.cancel_type,
            "rejectReason": self.reject_reason,
            "timeInForce": self.time_in_force,
            "isLeverage": self.is_leverage,
            "price": plain(self.price),
            "qty": plain(self.qty),
            "avgPrice": self._average(),
            "leavesQty": leaves,
            "leavesValue": leaves_value,
            "cumExecQty": plain(self.cum_qty),
            "cumExecValue": money(self.cum_value),
            "cumExecFee": self.fee_total(),
            "orderType": self.order_type,
            "stopOrderType": self.stop_order_type,
            "orderIv": "",
            "triggerPrice": plain(self.trigger_price) if self.trigger_price else "",
            "takeProfit": self.take_profit,
            "stopLoss": self.stop_loss,
            "triggerBy": self.trigger_by,
            "tpTriggerBy": self.tp_trigger_by,
            "slTriggerBy": self.sl_trigger_by,
            "triggerDirection": self.trigger_direction,
            "placeType": "",
            "lastPriceOnCreated": "" if spot else plain(self.last_price_on_created),
            "closeOnTrigger": self.close_on_trigger,
            "reduceOnly": self.reduce_only,
            "smpGroup": 0,
            "smpType": self.smp_type,
            "smpOrderId": self.smp_order_id,
            "slLimitPrice": self.sl_limit_price or ("" if spot else "0"),
            "tpLimitPrice": self.tp_limit_price or ("" if spot else "0"),
            "tpslMode": self.tpsl_mode or "UNKNOWN",
            "createType": self.create_type,
            "marketUnit": self.market_unit,
            "createdTime": str(self.created_ms),
            "updatedTime": str(self.updated_ms),
            "feeCurrency": next(iter(self.fees), "") if spot else "",
            "closedPnl": money(self.closed_pnl),
            "slippageTolerance": self.slippage,
            "slippageToleranceType": self.slippage_type,
            "cumFeeDetail": {coin: money(fee) for coin, fee in self.fees.items()},
            "rpiTakerAccess": False,
            "rpiMatchedQty": "0",
        }
        if spot:
            del row["parentOrderLinkId"], row["tpslMode"], row["createType"]
        return row

    def rest_row(self, final_leaves: str = "0", *, history: bool = False, padded: bool = False) -> Json:
        """
        As order/realtime and order/history show it.
        """
        row = self.stream_row(final_leaves)
        spot = self.instrument.category == "spot"
        for name in ("category", "feeCurrency", "closedPnl"):
            del row[name]
        if not history:
            del row["rpiTakerAccess"], row["rpiMatchedQty"]
        else:
            row["extraFees"] = ""
        row["avgPrice"] = row["avgPrice"] or "0"
        row["stopOrderType"] = self.stop_order_type or "UNKNOWN"
        row["triggerPrice"] = row["triggerPrice"] or "0.00"
        row["takeProfit"] = self.take_profit or "0.00"
        row["stopLoss"] = self.stop_loss or "0.00"
        for name in ("triggerBy", "tpTriggerBy", "slTriggerBy"):
            row[name] = row[name] or "UNKNOWN"
        if spot:
            del row["lastPriceOnCreated"]
            row["basePrice"] = plain(self.last_price_on_created)
        if padded:
            row["price"] = str(self.price.quantize(self.instrument.tick))
            row["qty"] = str(self.qty.quantize(self.instrument.qty_step))
            row["cumExecQty"] = str(self.cum_qty.quantize(self.instrument.qty_step))
        return row
