"""
One execution and its rows: execution/list, execution topic, execution.fast topic.

Source: Bybit V5 docs, order/execution, websocket/private/execution, websocket/private/fast-execution.
"""

from decimal import Decimal

import attrs

from tests.exchange.instruments import Instrument
from tests.exchange.wire import Json, money, plain

RETENTION_MS = 2 * 365 * 24 * 3600 * 1000


@attrs.frozen(kw_only=True, eq=False)
class Execution:
    """
    One fill, or one thing that looks like a fill (funding, ADL, settlement).

    Attributes:
        order_price, order_qty, leaves: The order after this fill.
        closed: Part of `qty` that reduced a position.
        pnl: Gross PnL of that part.
        change, balance: What it did to the wallet's fee coin (spot: quote coin), and the balance after it.
    """

    instrument: Instrument
    exec_id: str
    exec_type: str
    exec_ms: int
    seq: int
    order_id: str
    order_link_id: str
    order_type: str
    stop_order_type: str
    order_price: Decimal
    order_qty: Decimal
    leaves: Decimal
    side: str
    price: Decimal
    qty: Decimal
    value: Decimal
    fee: Decimal
    fee_rate: Decimal
    fee_coin: str
    is_maker: bool
    mark_price: Decimal
    create_type: str = "CreateByUser"
    market_unit: str = ""
    closed: Decimal = Decimal(0)
    pnl: Decimal = Decimal(0)
    change: Decimal = Decimal(0)
    balance: Decimal = Decimal(0)

    @property
    def symbol(self) -> str:
        """
        The instrument's symbol.
        """
        return self.instrument.symbol

    def stream_row(self) -> Json:
        """
        As the execution topic shows it.
        """
        spot = self.instrument.category == "spot"
        row: Json = {
            "category": self.instrument.category,
            "symbol": self.instrument.symbol,
            "closedSize": "" if spot else plain(self.closed),
            "execFee": money(self.fee),
            "execId": self.exec_id,
            "execPrice": plain(self.price),
            "execQty": plain(self.qty),
            "execType": self.exec_type,
            "execValue": money(self.value),
            "feeRate": plain(self.fee_rate),
            "tradeIv": "",
            "markIv": "",
            "blockTradeId": "",
            "markPrice": "" if spot else plain(self.mark_price),
            "indexPrice": "",
            "underlyingPrice": "",
            "leavesQty": plain(self.leaves),
            "orderId": self.order_id,
            "orderLinkId": self.order_link_id,
            "orderPrice": plain(self.order_price),
            "orderQty": plain(self.order_qty),
            "orderType": self.order_type,
            "stopOrderType": self.stop_order_type or ("" if spot else "UNKNOWN"),
            "side": self.side,
            "execTime": str(self.exec_ms),
            "isLeverage": "0",
            "isMaker": self.is_maker,
            "seq": self.seq,
            "marketUnit": self.market_unit,
            "execPnl": money(self.pnl),
            "createType": self.create_type,
            "extraFees": "",
            "feeCurrency": self.fee_coin,
        }
        if spot:
            del row["createType"]
        return row

    def rest_row(self) -> Json:
        """
        As execution/list shows it.
        """
        row = self.stream_row()
        for name in ("category", "isLeverage", "execPnl", "marketUnit"):
            del row[name]
        row["stopOrderType"] = row["stopOrderType"] or "UNKNOWN"
        return row

    def fast_row(self) -> Json:
        """
        As the execution.fast topic shows it: no orderLinkId for maker fills.
        """
        return {
            "category": self.instrument.category,
            "symbol": self.instrument.symbol,
            "execId": self.exec_id,
            "execPrice": plain(self.price),
            "execQty": plain(self.qty),
            "orderId": self.order_id,
            "isMaker": self.is_maker,
            "orderLinkId": "" if self.is_maker else self.order_link_id,
            "side": self.side,
            "execTime": str(self.exec_ms),
            "seq": self.seq,
        }
