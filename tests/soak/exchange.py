"""The loopback exchange in a process of its own, and the hand that hurts it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections import Counter
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from attrs import frozen

from tests.exchange.loopback import LoopbackExchange

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "exchange.py"
PUSHES = ("order", "execution", "position")
# Fault, match, probability, arguments; armed until the next quiet point.
ARMED: tuple[tuple[str, dict[str, str], float, dict[str, Any]], ...] = (
    *(("drop_push", {"topic": topic}, 0.03, {}) for topic in PUSHES),
    *(("duplicate_push", {"topic": topic}, 0.05, {}) for topic in PUSHES),
    *(("reorder_push", {"topic": topic}, 0.05, {}) for topic in PUSHES),
    *(("delay_push", {"topic": topic}, 0.03, {"ms": 700}) for topic in PUSHES),
    ("poison_frame", {"topic": "execution"}, 0.002, {"kind": "broken_row"}),
    ("poison_frame", {"topic": "order"}, 0.002, {"kind": "not_json"}),
    ("realtime_lag", {"endpoint": "order/realtime"}, 0.1, {"ms": 2_000}),
    ("history_lag", {"endpoint": "order/history"}, 0.1, {"ms": 2_000}),
    ("history_lag", {"endpoint": "execution/list"}, 0.1, {"ms": 2_000}),
    ("realtime_cleared", {"endpoint": "order/realtime"}, 0.05, {}),
    ("partial_page", {"endpoint": "order/realtime"}, 0.02, {}),
    ("partial_page", {"endpoint": "execution/list"}, 0.02, {}),
    ("error", {"endpoint": "order/realtime"}, 0.03, {"ret_code": 10016}),
    ("error", {"endpoint": "execution/list"}, 0.03, {"ret_code": 10000}),
    ("error", {"endpoint": "position/list"}, 0.03, {"http_status": 502, "body": "<html>"}),
    ("delay_reply", {"endpoint": "order/realtime"}, 0.05, {"ms": 400}),
    ("lose_request", {"op": "order.create"}, 0.002, {}),
    ("lose_reply", {"op": "order.create"}, 0.002, {}),
    ("lose_reply", {"op": "order.cancel"}, 0.002, {}),
    ("error", {"op": "order.create"}, 0.005, {"ret_code": 10016, "executed": True}),
    ("error", {"op": "order.create"}, 0.005, {"ret_code": 10016, "executed": False}),
    ("reject_after_ack", {}, 0.003, {}),
    ("double_filled", {}, 0.05, {}),
)
# Name -> mean seconds between two.
STRIKES = {"cut_private": 9.0, "cut_trade": 23.0, "foreign_order": 1.5, "funding": 4.0, "manual_close": 12.0}
FAULTS = tuple(dict.fromkeys((*(name for name, *_ in ARMED), *STRIKES)))
TICK_S = 0.25


@frozen(kw_only=True)
class Traded:
    """What is traded of a symbol; qty is the smallest step of an order here."""

    price: Decimal
    tick: Decimal
    qty: Decimal


SYMBOLS = {
    "BTCUSDT": Traded(price=Decimal(95000), tick=Decimal("0.1"), qty=Decimal("0.001")),
    "ETHUSDT": Traded(price=Decimal(3300), tick=Decimal("0.01"), qty=Decimal("0.01")),
    "SOLUSDT": Traded(price=Decimal(190), tick=Decimal("0.01"), qty=Decimal("0.1")),
    "XRPUSDT": Traded(price=Decimal("2.5"), tick=Decimal("0.0001"), qty=Decimal(10)),
}


class ExchangeProcess(LoopbackExchange):
    """The same control API, of an exchange whose memory is not ours."""

    def __init__(self, *, seed: int) -> None:
        super().__init__(seed=seed)
        self._asked = ["--limits", "none", "--seed", str(seed)]

    def start(self) -> Self:
        """Start it; returns when a first request can be answered."""
        self._process = subprocess.Popen([sys.executable, str(SCRIPT), *self._asked], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.urls = json.loads(self._process.stdout.readline())
        self._server.port = urlsplit(self.urls["rest"]).port or 0
        return self

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)

    def env(self, journal: Path) -> dict[str, str]:
        """The environment of a router on it."""
        return {
            "HEAN_BYBIT__REST_URL": self.urls["rest"],
            "HEAN_BYBIT__PRIVATE_URL": self.urls["private"],
            "HEAN_BYBIT__TRADE_URL": self.urls["trade"],
            "BYBIT_API_KEY": self.urls["api_key"],
            "BYBIT_API_SECRET": self.urls["api_secret"],
            "HEAN_JOURNAL__PATH": str(journal),
        }


class Chaos:
    """
    Hurts the exchange, from entering to leaving; the market moves meanwhile.

    Attributes:
        fired: faults that did, by name, in all stretches so far.
    """

    def __init__(self, exchange: ExchangeProcess, seed: int) -> None:
        self.fired: Counter[str] = Counter()
        self._exchange = exchange
        self._rng = random.Random(seed)
        self._prices = {symbol: traded.price for symbol, traded in SYMBOLS.items()}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def price(self, symbol: str) -> Decimal:
        """Where the market is, about."""
        return self._prices[symbol]

    def __enter__(self) -> Self:
        for name, match, probability, args in ARMED:
            self._exchange.fault(name, match, None, probability, args)
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="chaos", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        assert self._thread is not None
        self._thread.join()
        for row in self._exchange.faults():
            self.fired[row["fault"]] += row["fired"]
        self._exchange.clear_faults()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._stopping.wait(TICK_S):
                self._move()
                for name, mean_s in STRIKES.items():
                    if self._rng.random() < TICK_S / mean_s:
                        self._strike(name)
        except Exception as error:  # noqa: BLE001 - whoever leaves the stretch raises it
            self._failure = error

    def _move(self) -> None:
        symbol = self._rng.choice(list(SYMBOLS))
        traded = SYMBOLS[symbol]
        steps = self._rng.randint(-12, 12)
        # Back towards the start: what hean may order stays within its limits.
        pull = (traded.price - self._prices[symbol]) / 50
        price = ((self._prices[symbol] + pull) / traded.tick).to_integral_value() * traded.tick + steps * traded.tick
        self._prices[symbol] = price
        self._exchange.market(symbol, bid=str(price), ask=str(price + traded.tick), refill=True)
        if self._rng.random() < 0.3:
            self._exchange.market(symbol, trade={"price": str(price), "qty": str(traded.qty)})

    def _strike(self, name: str) -> None:
        rng = self._rng
        symbol = rng.choice(list(SYMBOLS))
        qty = SYMBOLS[symbol].qty
        args: dict[str, Any] = {"symbol": symbol}
        if name == "foreign_order":
            args |= {"side": rng.choice(["Buy", "Sell"]), "qty": str(qty)}
        elif name == "manual_close":
            args |= {"qty": str(qty)}
        elif name.startswith("cut"):
            args = {"refuse_s": rng.choice([0, 0, 0.5, 2, 5])}
        self._exchange.fault(name, args=args)
