"""
What can be traded: the rows of market/instruments-info and the arithmetic of each contract.
"""

import json
from collections.abc import Iterable
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_UP, Decimal
from typing import Any

import attrs

from tests.exchange.wire import ZERO, Json

TAKER_FEE = {"linear": Decimal("0.00055"), "inverse": Decimal("0.00055"), "spot": Decimal("0.001")}
MAKER_FEE = {"linear": Decimal("0.0002"), "inverse": Decimal("0.0002"), "spot": Decimal("0.001")}


@attrs.frozen(kw_only=True, eq=False)
class Instrument:
    """
    One tradable symbol of one category, figures as Decimal.

    Attributes:
        row: As market/instruments-info shows it.
        qty_step: Grid of `qty`; for spot the base precision.
        quote_step: Grid of amounts in quote coin; spot only.
        min_notional: Least price times qty; zero when there is none.
        start_price: Where the first book stands.
    """

    category: str
    symbol: str
    row: Json
    base_coin: str
    quote_coin: str
    settle_coin: str
    tick: Decimal
    min_price: Decimal
    max_price: Decimal
    qty_step: Decimal
    quote_step: Decimal
    min_qty: Decimal
    max_limit_qty: Decimal
    max_market_qty: Decimal
    max_post_only_qty: Decimal
    min_notional: Decimal
    max_leverage: Decimal
    price_limit_ratio: Decimal
    taker_fee: Decimal
    maker_fee: Decimal
    start_price: Decimal

    @property
    def is_spot(self) -> bool:
        """
        Spot has balances instead of positions.
        """
        return self.category == "spot"

    def value(self, qty: Decimal, price: Decimal) -> Decimal:
        """
        Value in the settle coin (spot: quote coin).
        """
        if self.category == "inverse":
            return qty / price if price else ZERO
        return qty * price

    def price_of(self, value: Decimal, qty: Decimal) -> Decimal:
        """
        The average price that gives `qty` its `value`.
        """
        if not qty or not value:
            return ZERO
        return qty / value if self.category == "inverse" else value / qty

    def gain(self, entry_value: Decimal, exit_value: Decimal, long: bool) -> Decimal:
        """
        Gross PnL in the settle coin of leaving a position whose entry was worth `entry_value`.
        """
        rise = exit_value - entry_value
        return rise if long is (self.category != "inverse") else -rise

    def on_tick(self, price: Decimal, up: bool | None = None) -> Decimal:
        """
        The price on the grid; `up` None rounds to the nearest.
        """
        rounding = ROUND_HALF_EVEN if up is None else ROUND_UP if up else ROUND_DOWN
        return (price / self.tick).quantize(Decimal(1), rounding) * self.tick

    def on_step(self, qty: Decimal) -> Decimal:
        """
        The quantity on the grid, rounded down.
        """
        return (qty / self.qty_step).quantize(Decimal(1), ROUND_DOWN) * self.qty_step


def _linear_row(symbol: str, symbol_id: int, *, tick: str, step: str, most: str, most_market: str) -> Json:
    base = symbol.removesuffix("USDT")
    return {
        "symbol": symbol,
        "symbolId": symbol_id,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": base,
        "quoteCoin": "USDT",
        "launchTime": "1585526400000",
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": str(len(tick.partition(".")[2])),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": tick, "maxPrice": "1999999.80", "tickSize": tick},
        "lotSizeFilter": {
            "maxOrderQty": most,
            "minOrderQty": step,
            "qtyStep": step,
            "postOnlyMaxOrderQty": most,
            "maxMktOrderQty": most_market,
            "minNotionalValue": "5",
        },
        "unifiedMarginTrade": True,
        "fundingInterval": 480,
        "settleCoin": "USDT",
        "copyTrading": "both",
        "upperFundingRate": "0.00375",
        "lowerFundingRate": "-0.00375",
        "isPreListing": False,
        "preListingInfo": None,
        "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"},
        "symbolType": "",
    }


def default_rows() -> list[tuple[str, Json, str]]:
    """
    The built-in instruments: category, row, starting price.
    """
    inverse = _linear_row("BTCUSD", 1, tick="0.10", step="1", most="25000000", most_market="5000000")
    inverse |= {"contractType": "InversePerpetual", "baseCoin": "BTC", "quoteCoin": "USD", "settleCoin": "BTC"}
    inverse["lotSizeFilter"]["minNotionalValue"] = ""
    inverse["copyTrading"] = "none"
    spot = {
        "symbolId": 9,
        "symbol": "BTCUSDT",
        "baseCoin": "BTC",
        "quoteCoin": "USDT",
        "innovation": "0",
        "status": "Trading",
        "marginTrading": "utaOnly",
        "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": "0.000001",
            "quotePrecision": "0.0000001",
            "minOrderQty": "0.000011",
            "maxOrderQty": "83",
            "minOrderAmt": "5",
            "maxOrderAmt": "8000000",
            "maxLimitOrderQty": "83",
            "maxMarketOrderQty": "41.5",
            "postOnlyMaxLimitOrderSize": "60000",
        },
        "priceFilter": {"tickSize": "0.1"},
        "riskParameters": {"priceLimitRatioX": "0.005", "priceLimitRatioY": "0.01"},
        "symbolType": "",
    }
    return [
        (
            "linear",
            _linear_row("BTCUSDT", 5, tick="0.10", step="0.001", most="1190.000", most_market="500.000"),
            "95000",
        ),
        ("linear", _linear_row("ETHUSDT", 6, tick="0.01", step="0.01", most="7240.00", most_market="724.00"), "3300"),
        ("linear", _linear_row("SOLUSDT", 7, tick="0.010", step="0.1", most="79770.0", most_market="10880.0"), "190"),
        (
            "linear",
            _linear_row("XRPUSDT", 8, tick="0.0001", step="0.1", most="2999340.0", most_market="400000.0"),
            "2.5",
        ),
        ("spot", spot, "95000"),
        ("inverse", inverse, "95000"),
    ]


def parse_row(category: str, row: Json, start_price: str) -> Instrument:
    """
    An instrument from its instruments-info row.
    """
    lot: dict[str, Any] = row["lotSizeFilter"]
    price: dict[str, Any] = row["priceFilter"]
    spot = category == "spot"
    step = Decimal(lot["basePrecision"] if spot else lot["qtyStep"])
    most = Decimal(lot["maxLimitOrderQty"] if spot else lot["maxOrderQty"])
    return Instrument(
        category=category,
        symbol=row["symbol"],
        row=row,
        base_coin=row["baseCoin"],
        quote_coin=row["quoteCoin"],
        settle_coin=row["quoteCoin"] if spot else row["settleCoin"],
        tick=Decimal(price["tickSize"]),
        min_price=Decimal(price.get("minPrice") or price["tickSize"]),
        max_price=Decimal(price.get("maxPrice") or "9999999999"),
        qty_step=step,
        quote_step=Decimal(lot["quotePrecision"]) if spot else Decimal(1),
        min_qty=step if spot else Decimal(lot["minOrderQty"]),
        max_limit_qty=most,
        max_market_qty=Decimal(lot["maxMarketOrderQty"] if spot else lot["maxMktOrderQty"]),
        max_post_only_qty=Decimal(lot.get("postOnlyMaxLimitOrderSize" if spot else "postOnlyMaxOrderQty") or most),
        min_notional=Decimal((lot.get("minOrderAmt") if spot else lot.get("minNotionalValue")) or "0"),
        max_leverage=Decimal("1" if spot else row["leverageFilter"]["maxLeverage"]),
        price_limit_ratio=Decimal(row.get("riskParameters", {}).get("priceLimitRatioX") or "0.05"),
        taker_fee=TAKER_FEE[category],
        maker_fee=MAKER_FEE[category],
        start_price=Decimal(start_price),
    )


def load(text: str | None = None) -> list[Instrument]:
    """
    The instruments of one exchange.

    Args:
        text: JSON: a list of instruments-info rows, each with the extra keys ``category`` and ``lastPrice``.
            None means the built-in ones.
    """
    rows: Iterable[tuple[str, Json, str]] = default_rows()
    if text is not None:
        rows = [
            (row["category"], {k: v for k, v in row.items() if k not in ("category", "lastPrice")}, row["lastPrice"])
            for row in json.loads(text)
        ]
    return [parse_row(category, row, price) for category, row, price in rows]
