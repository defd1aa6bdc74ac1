"""
The state every part of the engine works on, and the two clocks.

`now_ms` drives windows and delays; `clock_ms` is what the exchange's clock shows, which a fault can set wrong.
"""

import random
from collections.abc import Iterable
from decimal import Decimal

import attrs

from tests.exchange.accounts import Account
from tests.exchange.behaviour import Behaviour
from tests.exchange.faults import Switchboard
from tests.exchange.ids import Ids
from tests.exchange.instruments import Instrument
from tests.exchange.limits import Limits
from tests.exchange.market import Market
from tests.exchange.orders import Order
from tests.exchange.schedule import Schedule
from tests.exchange.wire import ZERO, Json

FIRST_UID = 100_200_300


@attrs.define(kw_only=True, eq=False)
class LogEntry:
    """
    One request, as /control/requests lists it.

    Attributes:
        verdict: The retCode, or why there was none: ``lost``, ``http 403`` ...
        executed: The engine acted on it.
        replied: An answer was sent.
    """

    time_ms: int
    channel: str
    name: str
    method: str
    api_key: str
    order_link_id: str
    order_id: str
    symbol: str
    verdict: int | str = "none"
    executed: bool = False
    replied: bool = False
    items: list[Json] | None = None

    def row(self) -> Json:
        """
        As JSON.
        """
        row: Json = {
            "time": self.time_ms,
            "channel": self.channel,
            "endpoint" if self.channel == "http" else "op": self.name,
            "method": self.method,
            "api_key": self.api_key,
            "orderLinkId": self.order_link_id,
            "orderId": self.order_id,
            "symbol": self.symbol,
            "verdict": self.verdict,
            "executed": self.executed,
            "replied": self.replied,
        }
        if self.items is not None:
            row["items"] = self.items
        return row


class Venue:
    """
    All state of one exchange.

    Attributes:
        moved: Markets whose price moved in this call: their triggers have to be looked at.
        parents: Filled orders with attached TP/SL: their children have to be placed.
    """

    def __init__(self, instruments: Iterable[Instrument], *, seed: int, lifted: bool) -> None:
        # Faults and behaviours draw from streams of their own: arming one must not change the IDs that follow.
        self.ids = Ids(seed)
        self.faults = Switchboard(random.Random(seed + 1))
        self.behaviour = Behaviour(random.Random(seed + 2))
        self.limits = Limits(lifted=lifted)
        self.schedule = Schedule()
        self.instruments: dict[tuple[str, str], Instrument] = {(i.category, i.symbol): i for i in instruments}
        self.markets: dict[tuple[str, str], Market] = {key: Market(i) for key, i in self.instruments.items()}
        self.accounts: dict[str, Account] = {}
        self.requests: list[LogEntry] = []
        self.moved: list[Market] = []
        self.parents: list[Order] = []
        self.now_ms = 0
        self.clock_ms = 0

    def add_account(self, api_key: str, api_secret: str, wallet: dict[str, str]) -> Account:
        """
        Serve one more key; a known key gets the new secret and balances.
        """
        account = self.accounts.get(api_key)
        if account is None:
            account = Account(api_key=api_key, api_secret=api_secret.encode(), uid=str(FIRST_UID + len(self.accounts)))
            self.accounts[api_key] = account
        account.api_secret = api_secret.encode()
        account.fund(wallet)
        return account

    def market(self, instrument: Instrument) -> Market:
        """
        The market of an instrument.
        """
        return self.markets[(instrument.category, instrument.symbol)]

    def usd(self, coin: str) -> Decimal:
        """
        What one coin is worth; stable coins are worth one.
        """
        for key in (("linear", f"{coin}USDT"), ("spot", f"{coin}USDT"), ("inverse", f"{coin}USD")):
            market = self.markets.get(key)
            if market is not None:
                return market.mark
        return Decimal(1) if coin in ("USDT", "USDC", "USD") else ZERO

    def available_usd(self, account: Account) -> Decimal:
        """
        What an account can still put up as margin, in USD.
        """
        total = ZERO
        for name, coin in account.coins.items():
            free = coin.balance - coin.locked - coin.order_margin
            if free:
                total += free * self.usd(name)
        for position in account.held():
            instrument = position.instrument
            leverage = account.leverage(instrument.category, instrument.symbol)
            gain = position.unrealised(self.market(instrument).mark)
            total += (gain - position.margin(leverage)) * self.usd(instrument.settle_coin)
        return total

    def traded_at(self, market: Market, price: Decimal) -> None:
        """
        The last price of a market is now this.
        """
        market.last = price
        self.price_moved(market)

    def price_moved(self, market: Market) -> None:
        """
        Some price of a market changed: its triggers have to be looked at before the call is over.
        """
        if market.conditional and market not in self.moved:
            self.moved.append(market)

    def order_facts(self, order: Order) -> dict[str, str | tuple[str, ...]]:
        """
        What a fault's match can name about an order.
        """
        return {
            "api_key": order.account.api_key,
            "category": order.category,
            "symbol": order.symbol,
            "orderLinkId": order.order_link_id,
        }
