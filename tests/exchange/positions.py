"""
One position: entry, realised PnL, the flip through zero, and its row.

Source: Bybit V5 docs, position/position, websocket/private/position.
"""

from decimal import Decimal

import attrs

from tests.exchange.instruments import Instrument
from tests.exchange.wire import ZERO, Json, money, plain, rounded, trimmed

MAINTENANCE_RATE = Decimal("0.005")
OPENED_MS = 1_694_402_496_913


@attrs.frozen
class Change:
    """
    What one fill did: size closed, gross PnL of that part, fees of that part's opening and closing.
    """

    closed: Decimal
    pnl: Decimal
    open_fee: Decimal
    close_fee: Decimal
    entry_value: Decimal = ZERO


@attrs.define(kw_only=True, eq=False)
class Position:
    """
    A position of one account.

    Attributes:
        signed: Size, negative when short.
        entry_value: Value at entry of what is held, in the settle coin.
        open_fee: Fees paid for opening what is held.
        realised: Fees and PnL of the current holding.
        realised_ever: The same, of all time.
    """

    instrument: Instrument
    position_idx: int
    signed: Decimal = ZERO
    entry_value: Decimal = ZERO
    open_fee: Decimal = ZERO
    realised: Decimal = ZERO
    realised_ever: Decimal = ZERO
    status: str = "Normal"
    take_profit: str = ""
    stop_loss: str = ""
    trailing_stop: str = ""
    created_ms: int = OPENED_MS
    updated_ms: int = 0
    opened_ms: int = 0
    seq: int = -1

    @property
    def size(self) -> Decimal:
        """
        Without its sign.
        """
        return abs(self.signed)

    @property
    def side(self) -> str:
        """
        Buy when long, Sell when short, "" when flat.
        """
        return "Buy" if self.signed > 0 else "Sell" if self.signed < 0 else ""

    @property
    def avg_price(self) -> Decimal:
        """
        Average entry; zero when flat.
        """
        return self.instrument.price_of(self.entry_value, self.size)

    def reducible(self, side: str) -> Decimal:
        """
        How much an order of this side could close.
        """
        return self.size if self.signed and self.side != side else ZERO

    def apply(self, side: str, qty: Decimal, value: Decimal, fee: Decimal, *, clock_ms: int, seq: int) -> Change:
        """
        Account for one fill.
        """
        closed = min(qty, self.reducible(side))
        pnl = open_fee = close_fee = entry_part = ZERO
        if closed:
            whole = closed == self.size
            entry_part = self.entry_value if whole else self.entry_value * closed / self.size
            open_fee = self.open_fee if whole else trimmed(self.open_fee * closed / self.size)
            exit_part = value if closed == qty else value * closed / qty
            close_fee = fee if closed == qty else trimmed(fee * closed / qty)
            pnl = trimmed(self.instrument.gain(entry_part, exit_part, long=self.signed > 0))
            self.entry_value -= entry_part
            self.open_fee -= open_fee
            self.signed += closed if side == "Buy" else -closed
            self.realised += pnl - close_fee
            self.realised_ever += pnl - close_fee
        opened = qty - closed
        if opened:
            if not self.signed:
                self.realised = ZERO
                self.opened_ms = clock_ms
            fee_part = fee - close_fee
            self.entry_value += value * opened / qty if closed else value
            self.open_fee += fee_part
            self.signed += opened if side == "Buy" else -opened
            self.realised -= fee_part
            self.realised_ever -= fee_part
        if not self.signed:
            self.entry_value = self.open_fee = ZERO
            self.opened_ms = 0
            self.status = "Normal"
            self.take_profit = self.stop_loss = self.trailing_stop = ""
        self.updated_ms = clock_ms
        self.seq = seq
        return Change(closed, pnl, open_fee, close_fee, entry_part)

    def unrealised(self, mark_price: Decimal) -> Decimal:
        """
        Gross PnL if it were left at the mark price.
        """
        if not self.signed:
            return ZERO
        return self.instrument.gain(self.entry_value, self.instrument.value(self.size, mark_price), self.signed > 0)

    def margin(self, leverage: Decimal) -> Decimal:
        """
        Initial margin in the settle coin.
        """
        return self.entry_value / leverage

    def _break_even(self) -> Decimal:
        if not self.signed:
            return ZERO
        rate = self.instrument.taker_fee
        if self.instrument.category == "inverse":
            return self.avg_price * (1 + rate if self.signed > 0 else 1 - rate)
        if self.signed > 0:
            return (self.entry_value - self.realised) / self.size / (1 - rate)
        return (self.entry_value + self.realised) / self.size / (1 + rate)

    def row(self, mark_price: Decimal, leverage: Decimal, *, stream: bool) -> Json:
        """
        As position/list shows it; the stream says entryPrice and names the category.
        """
        margin = rounded(self.margin(leverage))
        maintenance = rounded(self.entry_value * MAINTENANCE_RATE)
        row: Json = {
            "positionIdx": self.position_idx,
            "tradeMode": 0,
            "riskId": 1,
            "riskLimitValue": "2000000",
            "symbol": self.instrument.symbol,
            "side": self.side,
            "size": plain(self.size),
            "entryPrice" if stream else "avgPrice": rounded(self.avg_price),
            "leverage": plain(leverage),
            "breakEvenPrice": rounded(self._break_even()),
            "positionValue": money(self.entry_value),
            "positionBalance": "0",
            "markPrice": plain(mark_price),
            "positionIM": margin,
            "positionIMByMp": margin,
            "positionMM": maintenance,
            "positionMMByMp": maintenance,
            "takeProfit": self.take_profit or "0",
            "stopLoss": self.stop_loss or "0",
            "trailingStop": self.trailing_stop or "0",
            "unrealisedPnl": rounded(self.unrealised(mark_price)),
            "curRealisedPnl": money(self.realised),
            "cumRealisedPnl": money(self.realised_ever),
            "sessionAvgPrice": "0",
            "createdTime": str(self.created_ms),
            "updatedTime": str(self.updated_ms),
            "openTime": self.opened_ms,
            "tpslMode": "Full",
            "liqPrice": "",
            "bustPrice": "",
            "positionStatus": self.status,
            "adlRankIndicator": 2 if self.signed else 0,
            "autoAddMargin": 0,
            "leverageSysUpdatedTime": "",
            "mmrSysUpdatedTime": "",
            "seq": self.seq,
            "isReduceOnly": False,
        }
        if stream:
            row["category"] = self.instrument.category
        return row
