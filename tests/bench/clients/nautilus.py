"""nautilus_trader: a live node with its own Bybit client over the trade WebSocket, and a strategy on its event loop."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from nautilus_trader.adapters.bybit.common.enums import BybitProductType
from nautilus_trader.adapters.bybit.config import BybitExecClientConfig
from nautilus_trader.adapters.bybit.factories import BybitLiveExecClientFactory
from nautilus_trader.adapters.bybit.providers import BybitInstrumentProvider
from nautilus_trader.config import (
    InstrumentProviderConfig,
    LiveExecEngineConfig,
    LiveRiskEngineConfig,
    LoggingConfig,
    TradingNodeConfig,
)
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.model.objects import Currency
from nautilus_trader.trading.strategy import Strategy

from tests.bench.trip import SYMBOLS, Looped, Trip, qty_of, side_of, symbol_of

_SIDES = {"Buy": OrderSide.BUY, "Sell": OrderSide.SELL}
_IDS = {symbol: InstrumentId.from_str(f"{symbol}-LINEAR.BYBIT") for symbol in SYMBOLS}


class _Bench(Strategy):  # type: ignore[misc]
    """Tells each fill."""

    def __init__(self, filled: Any) -> None:
        super().__init__()
        self._filled = filled

    def on_order_filled(self, event: Any) -> None:
        self._filled(event.client_order_id.value)


class Nautilus(Looped):
    """nautilus_trader."""

    async def connect(self, urls: dict[str, str], scratch: Path) -> None:
        BybitInstrumentProvider._load_coins = lambda provider: self._load_coins(provider)
        provider = InstrumentProviderConfig(load_ids=frozenset(_IDS.values()))
        settings = BybitExecClientConfig(
            api_key=urls["api_key"],
            api_secret=urls["api_secret"],
            product_types=[BybitProductType.LINEAR],
            base_url_http=urls["rest"],
            base_url_ws_private=urls["private"],
            base_url_ws_trade=urls["trade"],
            use_ws_trade_api=True,
            instrument_provider=provider,
        )
        self._node = TradingNode(
            TradingNodeConfig(
                exec_clients={"BYBIT": settings},
                exec_engine=LiveExecEngineConfig(reconciliation=False),
                # Its checks stay on; its rate limit is as far away as everybody's here.
                risk_engine=LiveRiskEngineConfig(max_order_submit_rate="1000000/00:00:01"),
                logging=LoggingConfig(log_level="ERROR", log_level_file="INFO", log_directory=str(scratch)),
            ),
            loop=self.loop,
        )
        self._node.add_exec_client_factory("BYBIT", BybitLiveExecClientFactory)
        self._node.build()
        self._strategy = _Bench(self.filled)
        self._node.trader.add_strategy(self._strategy)
        self._running = asyncio.create_task(self._node.run_async())
        deadline = time.monotonic() + 20
        while not self._strategy.is_running:
            if time.monotonic() > deadline:
                raise RuntimeError("nautilus is not up within 20 s")
            await asyncio.sleep(0.05)  # waits because it does not say when it runs
        self._instruments = {symbol: self._provider.find(each) for symbol, each in _IDS.items()}
        # Without a data client nobody else brings them into the cache.
        for instrument in self._instruments.values():
            self._node.cache.add_instrument(instrument)

    async def trade(self, trip: Trip, number: int) -> None:
        symbol, side = symbol_of(number), _SIDES[side_of(number)]
        instrument = self._instruments[symbol]
        trip.spoke_ns = time.monotonic_ns()
        order = self._strategy.order_factory.market(
            instrument.id, side, instrument.make_qty(qty_of(number)), client_order_id=ClientOrderId(trip.link)
        )
        self._strategy.submit_order(order)
        trip.returned_ns = time.monotonic_ns()

    def _load_coins(self, provider: Any) -> Any:
        """Instead of its question for the coins' chains: they matter for deposits alone, and the loopback has none."""
        self._provider = provider
        for code in ("BTC", "ETH", "USDT"):
            provider.add_currency(Currency.from_str(code))
        # Awaited by its caller, and over at once.
        return asyncio.sleep(0)

    async def disconnect(self) -> None:
        await self._node.stop_async()
