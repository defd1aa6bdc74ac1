"""
The wallet row: account/wallet-balance and the wallet topic.

Source: Bybit V5 docs, account/wallet-balance, websocket/private/wallet.
"""

from collections.abc import Collection
from decimal import Decimal

from tests.exchange.accounts import Account
from tests.exchange.positions import MAINTENANCE_RATE
from tests.exchange.venue import Venue
from tests.exchange.wire import ZERO, Json, money, rounded


def wallet_row(venue: Venue, account: Account, only: Collection[str] | None = None) -> Json:
    """
    The whole account in USD, and its coins.

    Args:
        only: The coins to list; None means those that are not zero.
    """
    margins: dict[str, Decimal] = {}
    maintenance: dict[str, Decimal] = {}
    gains: dict[str, Decimal] = {}
    for position in account.held():
        instrument = position.instrument
        coin = instrument.settle_coin
        leverage = account.leverage(instrument.category, instrument.symbol)
        margins[coin] = margins.get(coin, ZERO) + position.margin(leverage)
        maintenance[coin] = maintenance.get(coin, ZERO) + position.entry_value * MAINTENANCE_RATE
        gains[coin] = gains.get(coin, ZERO) + position.unrealised(venue.market(instrument).mark)
    wallet = equity = initial = maintained = perp = ZERO
    rows: list[Json] = []
    for name, coin_state in account.coins.items():
        usd = venue.usd(name)
        gain = gains.get(name, ZERO)
        margin, maintain = margins.get(name, ZERO), maintenance.get(name, ZERO)
        wallet += coin_state.balance * usd
        equity += (coin_state.balance + gain) * usd
        initial += (margin + coin_state.order_margin) * usd
        maintained += maintain * usd
        perp += gain * usd
        if (name not in only) if only is not None else not (coin_state.balance or gain or margin):
            continue
        rows.append(
            {
                "coin": name,
                "equity": money(coin_state.balance + gain),
                "usdValue": money((coin_state.balance + gain) * usd),
                "walletBalance": money(coin_state.balance),
                "availableToWithdraw": "",
                "availableToBorrow": "",
                "borrowAmount": "0",
                "accruedInterest": "0",
                "totalOrderIM": money(coin_state.order_margin),
                "totalPositionIM": money(margin),
                "totalPositionMM": money(maintain),
                "unrealisedPnl": money(gain),
                "cumRealisedPnl": money(coin_state.realised_ever),
                "bonus": "0",
                "collateralSwitch": True,
                "marginCollateral": True,
                "locked": money(coin_state.locked),
                "spotHedgingQty": "0",
                "spotBorrow": "0",
            }
        )
    initial_rate = rounded(initial / equity) if equity else "0"
    maintenance_rate = rounded(maintained / equity) if equity else "0"
    return {
        "accountIMRate": initial_rate,
        "accountIMRateByMp": initial_rate,
        "accountMMRate": maintenance_rate,
        "accountMMRateByMp": maintenance_rate,
        "totalEquity": money(equity),
        "totalWalletBalance": money(wallet),
        "totalMarginBalance": money(equity),
        "totalAvailableBalance": money(venue.available_usd(account)),
        "totalPerpUPL": money(perp),
        "totalInitialMargin": money(initial),
        "totalInitialMarginByMp": money(initial),
        "totalMaintenanceMargin": money(maintained),
        "totalMaintenanceMarginByMp": money(maintained),
        "coin": rows,
        "accountLTV": "0",
        "accountType": "UNIFIED",
    }
