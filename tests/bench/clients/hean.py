"""The router, whole: checks, journal, events, logs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from loguru import logger

from hean import EventType, OrderState, OrderType, Router, Side, Signal
from tests.bench.trip import WAIT_S, Threaded, Trip, qty_of, side_of, symbol_of

_SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}


class Hean(Threaded):
    """
    hean.

    Args:
        entry: "ws" or "rest".
        submit: "caller" or "handed_over".
    """

    # A settled order's actor stays for two seconds.
    rest_s = 2.3

    def __init__(self, entry: str, submit: str) -> None:
        super().__init__()
        self._entry = entry
        self._submit = submit

    def start(self, urls: dict[str, str], scratch: Path) -> None:
        logger.remove()
        logger.add(scratch / "hean.log", level="INFO")
        self.router = Router.from_env(
            {
                "BYBIT_API_KEY": urls["api_key"],
                "BYBIT_API_SECRET": urls["api_secret"],
                "HEAN_BYBIT__REST_URL": urls["rest"],
                "HEAN_BYBIT__PRIVATE_URL": urls["private"],
                "HEAN_BYBIT__TRADE_URL": urls["trade"],
                "HEAN_BYBIT__ENTRY": self._entry,
                "HEAN_ORDERS__SUBMIT": self._submit,
                "HEAN_JOURNAL__PATH": str(scratch / "journal.db"),
                "HEAN_ORDERS__MAX_OPEN": "100000",
                "HEAN_GATEWAY__PACE": "1",
                # A start that is slow is to be measured, not to fail.
                "HEAN_START__TIMEOUT_S": "120",
            }
        )
        self.router.start()
        self.router.subscribe(EventType.ORDER_FILLED, self._on_fill)

    def trade(self, number: int) -> Trip:
        trip = self.new_trip(number)
        signal = Signal(
            strategy_id="bench",
            signal_id=trip.link,
            symbol=symbol_of(number),
            side=_SIDES[side_of(number)],
            qty=qty_of(number),
        )
        trip.spoke_ns = time.monotonic_ns()
        ticket = self.router.submit(signal)
        trip.returned_ns = time.monotonic_ns()
        link = ticket.order_link_id
        # Fills tell the signal's ID, the exchange the order's.
        trip.link = link
        if ticket.state is OrderState.DENIED:
            raise RuntimeError(f"{signal.signal_id} denied: {ticket.snapshot().reason}")
        return trip

    def live(self, symbols: list[str], first: int, count: int, each: int) -> None:
        """
        Put limit orders far from the market, and see them acknowledged.

        Args:
            symbols: taken in turn.
            first: number of the first.
            count: how many.
            each: sent before their acknowledgements are waited for.
        """
        waiting = []
        for number in range(first, first + count):
            signal = Signal(
                strategy_id="bench",
                signal_id=f"{self.run}-live-{number}",
                symbol=symbols[number % len(symbols)],
                side=Side.BUY,
                order_type=OrderType.LIMIT,
                qty="0.001",
                price="60000",
            )
            waiting.append(self.router.submit(signal))
            if len(waiting) >= each or number == first + count - 1:
                for ticket in waiting:
                    order = ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
                    if order.state is not OrderState.ACKNOWLEDGED:
                        raise RuntimeError(f"{order.order_link_id} is {order.state}: {order.reason}")
                waiting = []

    def open_orders(self) -> int:
        """Orders that the exchange has in its book."""
        return sum(order.state is OrderState.ACKNOWLEDGED for order in self.router.orders.values())

    def stop(self) -> None:
        self.router.stop()

    def _on_fill(self, event: Any) -> None:
        self.filled(event.signal_id)
