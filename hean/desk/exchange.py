"""The exchange, asked by a verb itself: no router, no journal, and the desk's own connection."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hean.actors.clock import ExchangeClock, SteadyClock
from hean.bybit.auth import Credentials
from hean.bybit.endpoints import Endpoints, checked
from hean.bybit.rest import RestClient
from hean.bybit.retcodes import TIMESTAMP_REFUSED
from hean.core.calls import Call, QueryTime, Reply, VerdictKind
from hean.errors import ConfigError
from hean.settings import Settings

if TYPE_CHECKING:
    from hean.setup import Asker


class Exchange:
    """
    One kept-alive connection to the exchange of the settings.

    Args:
        settings: whose addresses and key.

    Raises:
        ConfigError: there is no key, or an address is not allowed. Nothing was sent.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.refused = False
        """The exchange took neither key nor address; nothing will pass until a person acts."""
        self.endpoints = endpoints_of(settings)
        self.credentials = credentials_of(settings)
        self.local = SteadyClock()
        self.clock = ExchangeClock(self.local.now_ms, settings.clock.max_drift_ms)
        self._client = RestClient(
            endpoints=self.endpoints,
            credentials=self.credentials,
            recv_window_ms=settings.bybit.recv_window_ms,
            reply_timeout_s=settings.bybit.reply_timeout_s,
            clock=self.clock.now_ms,
            local_clock=self.local.now_ms,
        )

    @property
    def name(self) -> str:
        """Which one it is: testnet, or loopback."""
        return "loopback" if self.endpoints.loopback else "testnet"

    def perform(self, call: Call, timeout_s: float | None = None) -> Reply:
        """
        One call; where the exchange refuses our time, it is asked for its own and the call is made once more.

        Args:
            call: what to do.
            timeout_s: bound of each try in seconds; None for `bybit.reply_timeout_s`.
        """
        reply = self._client.perform(call, timeout_s=timeout_s)
        if reply.verdict.ret_code == TIMESTAMP_REFUSED:
            # Not executed, so nothing is done twice.
            self.sync()
            reply = self._client.perform(call, timeout_s=timeout_s)
        self.refused = self.refused or (reply.verdict.kind is VerdictKind.AUTH and reply.verdict.hopeless)
        return reply

    def sync(self) -> Reply:
        """Ask for the exchange's time."""
        reply = self._client.perform(QueryTime())
        self.clock.observe(reply)
        return reply

    def asker(self, timeout_s: float) -> Asker:
        """One who asks until he is answered, for so many seconds; see there for what is raised."""
        from hean.setup import Asker  # noqa: PLC0415 - the kill switch asks in its own way

        return Asker(
            self._client,
            self.clock,
            self.endpoints.rest_url,
            self.settings.bybit.reply_timeout_s,
            now_ms=self.local.now_ms,
            deadline_ms=self.local.now_ms() + int(timeout_s * 1000),
            pause=pause,
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


@contextmanager
def exchange_of(settings: Settings) -> Iterator[Exchange]:
    """
    The exchange of these settings, for as long as the block lasts.

    Raises:
        ConfigError: there is no key, or an address is not allowed. Nothing was sent.
    """
    exchange = Exchange(settings)
    try:
        yield exchange
    finally:
        exchange.close()


def endpoints_of(settings: Settings) -> Endpoints:
    """
    The three addresses, checked.

    Raises:
        ConfigError: one is neither testnet nor loopback, or they are mixed.
    """
    bybit = settings.bybit
    doors = ("rest_url", "private_url", "trade_url")
    return checked(
        rest_url=bybit.rest_url,
        private_url=bybit.private_url,
        trade_url=bybit.trade_url,
        sources={door: settings.source(f"bybit.{door}") for door in doors},
    )


def credentials_of(settings: Settings) -> Credentials:
    """
    The key and its secret.

    Raises:
        ConfigError: one is missing.
    """
    bybit = settings.bybit
    for name in ("api_key", "api_secret"):
        if not getattr(bybit, name):
            raise ConfigError(
                f"bybit.{name} from {settings.source(f'bybit.{name}')}: expected a testnet key and its secret "
                f"(BYBIT_{name.upper()}), was nothing"
            )
    return Credentials(api_key=bybit.api_key, api_secret=bybit.api_secret)


def pause(s: float) -> None:
    """Let so many seconds pass."""
    threading.Event().wait(s)
