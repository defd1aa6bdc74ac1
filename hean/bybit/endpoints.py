"""
Where hean may connect: Bybit testnet, or a loopback exchange for tests, and nowhere else.

The guard is an allow-list of exact hosts, never a search for bad names: a host is testnet's own, letter by letter, or
a loopback address. What passes is rebuilt from its checked parts, so no character of the given text reaches a socket
unseen. The lists of known wrong hosts only make the refusal say why.

Source: Bybit V5 docs, guide (hosts), websocket/wss-authentication, demo; read 2026-07-24.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from attrs import field, frozen

from hean.core.calls import (
    AmendOrder,
    Call,
    CancelAll,
    CancelOrder,
    CreateOrder,
    PreCheck,
    QueryAccount,
    QueryExecutions,
    QueryInstruments,
    QueryKey,
    QueryOrders,
    QueryPositions,
    QueryTime,
    SetLeverage,
    SwitchMode,
)
from hean.errors import ConfigError

TESTNET_REST: Final = "https://api-testnet.bybit.com"
TESTNET_PRIVATE: Final = "wss://stream-testnet.bybit.com/v5/private"
TESTNET_TRADE: Final = "wss://stream-testnet.bybit.com/v5/trade"

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "::1", "localhost"})

_DEMO_HOSTS: Final = frozenset(
    {"api-demo.bybit.com", "stream-demo.bybit.com", "api-demo-testnet.bybit.com", "stream-demo-testnet.bybit.com"}
)
_OTHER_TESTNETS: Final = frozenset({"api-testnet.manepa.jp", "stream-testnet.bybits.org"})
# Regional entities are mainnets too; api.bybick.com is how the docs' rate-limit page spells bytick.
_MAINNET_HOSTS: Final = frozenset(
    f"{name}.{domain}"
    for name in ("api", "api2", "stream")
    for domain in (
        *("bybit.com", "bytick.com", "bybick.com", "bybit.nl", "bybit.tr", "bybit-tr.com", "bybit.kz"),
        *("bybitgeorgia.ge", "bybit.ae", "bybit.eu", "bybit.id", "manepa.jp", "byhkbit.com", "bybit.com.hk"),
    )
)


class Door(StrEnum):
    """
    One of the three addresses, named by its setting.

    Source: Bybit V5 docs, guide (REST), websocket/wss-authentication (private), websocket/trade/guideline (trade).
    """

    REST = "HEAN_BYBIT__REST_URL"
    PRIVATE = "HEAN_BYBIT__PRIVATE_URL"
    TRADE = "HEAN_BYBIT__TRADE_URL"

    @property
    def testnet(self) -> str:
        """The only address outside this machine that the door opens to."""
        match self:
            case Door.REST:
                return TESTNET_REST
            case Door.PRIVATE:
                return TESTNET_PRIVATE
            case Door.TRADE:
                return TESTNET_TRADE


def _checked_rest(url: str) -> str:
    return checked_url(Door.REST, url)


def _checked_private(url: str) -> str:
    return checked_url(Door.PRIVATE, url)


def _checked_trade(url: str) -> str:
    return checked_url(Door.TRADE, url)


@frozen(kw_only=True)
class Endpoints:
    """
    Three checked addresses; one that is not allowed cannot be built.

    Attributes:
        rest_url: scheme and host, without a path and without a trailing slash.
        private_url: the private stream.
        trade_url: order entry over WebSocket.

    Raises:
        ConfigError: an address is not allowed, or testnet and loopback are mixed. Nothing has changed.
    """

    rest_url: str = field(default=TESTNET_REST, converter=_checked_rest)
    private_url: str = field(default=TESTNET_PRIVATE, converter=_checked_private)
    trade_url: str = field(default=TESTNET_TRADE, converter=_checked_trade)

    def __attrs_post_init__(self) -> None:
        places = {door.value: "loopback" if is_loopback(url) else "testnet" for door, url in self._doors()}
        if len(set(places.values())) > 1:
            told = ", ".join(f"{name} is {place}" for name, place in places.items())
            msg = f"expected three testnet or three loopback addresses, never mixed; {told}"
            raise ConfigError(msg)

    def _doors(self) -> tuple[tuple[Door, str], ...]:
        return (Door.REST, self.rest_url), (Door.PRIVATE, self.private_url), (Door.TRADE, self.trade_url)

    @property
    def loopback(self) -> bool:
        """Whether these lead to an exchange on this machine."""
        return is_loopback(self.rest_url)


def checked(
    *,
    rest_url: str = TESTNET_REST,
    private_url: str = TESTNET_PRIVATE,
    trade_url: str = TESTNET_TRADE,
    sources: Mapping[str, str] | None = None,
) -> Endpoints:
    """
    Endpoints from settings.

    Args:
        rest_url: REST address.
        private_url: private stream.
        trade_url: order entry over WebSocket.
        sources: where each setting came from ("environment", "hean.toml"), by the setting's name; told in errors.

    Raises:
        ConfigError: which setting, where it came from, what is wrong and what was expected. Nothing has changed.
    """
    told = sources or {}
    return Endpoints(
        rest_url=checked_url(Door.REST, rest_url, source=told.get(Door.REST, "")),
        private_url=checked_url(Door.PRIVATE, private_url, source=told.get(Door.PRIVATE, "")),
        trade_url=checked_url(Door.TRADE, trade_url, source=told.get(Door.TRADE, "")),
    )


def checked_url(door: Door, url: str, *, source: str = "") -> str:
    """
    The address, rebuilt from its checked parts; call it again before every connect.

    Raises:
        ConfigError: the address is not the testnet's and not loopback's. Nothing has changed.
    """
    why = _objection(door, url)
    if why:
        came = f" (from {source})" if source else ""
        msg = f"{door.value}{came}: {why}; expected {door.testnet} or the same on 127.0.0.1, [::1] or localhost"
        raise ConfigError(msg)
    parts = urlsplit(url)
    host = parts.hostname or ""
    netloc = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port is not None else ""
    return f"{parts.scheme}://{netloc}{port}{urlsplit(door.testnet).path}"


def is_loopback(url: str) -> bool:
    """Whether a checked address stays on this machine."""
    return urlsplit(url).hostname in LOOPBACK_HOSTS


def _objection(door: Door, url: str) -> str:
    """Why an address is refused; empty when it is good."""
    # urlsplit drops tabs and newlines and reads a backslash as part of the host: such text is refused unparsed.
    if not url or any(not 0x21 <= ord(char) <= 0x7E or char == "\\" for char in url):
        return f"{url!r} is no plain URL"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        return f"{url!r} is no URL: {error}"
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        return "a user-info part can hide the real host, so it is refused"
    if "?" in url or "#" in url:
        return "a query or fragment is refused"
    good = urlsplit(door.testnet)
    loopback = host in LOOPBACK_HOSTS
    if not loopback and host != good.hostname:
        return _wrong_host(host, good.hostname or "")
    scheme = {"https": "http", "wss": "ws"}[good.scheme] if loopback else good.scheme
    if parts.scheme != scheme:
        return f"expected the scheme {scheme}:// for {host}, was {parts.scheme}://"
    if not loopback and port not in {None, 443}:
        return f"expected the port 443, was {port}"
    if parts.path.rstrip("/") != good.path:
        return f"expected the path {good.path or '/'}, was {parts.path or '/'}"
    return ""


def _wrong_host(host: str, expected: str) -> str:
    if host.endswith("."):
        return f"the host {host!r} has a trailing dot"
    if host in _MAINNET_HOSTS:
        return f"{host} is mainnet: hean trades on testnet only"
    if host in _DEMO_HOSTS:
        return f"{host} is demo trading, which is not testnet"
    if host in _OTHER_TESTNETS or host.endswith(".bybit-aws.com"):
        return f"{host} belongs to another entity or to market makers"
    if expected in host or "bybit" in host:
        return f"{host!r} looks like Bybit's testnet and is not"
    return f"{host!r} is neither testnet nor loopback"


def path_of(call: Call) -> tuple[str, str]:
    """
    HTTP method and path of a call.

    Source: Bybit V5 docs, the page of each endpoint.
    """
    match call:
        case CreateOrder():
            return "POST", "/v5/order/create"
        case AmendOrder():
            return "POST", "/v5/order/amend"
        case CancelOrder():
            return "POST", "/v5/order/cancel"
        case CancelAll():
            return "POST", "/v5/order/cancel-all"
        case PreCheck():
            return "POST", "/v5/order/pre-check"
        case SetLeverage():
            return "POST", "/v5/position/set-leverage"
        case SwitchMode():
            return "POST", "/v5/position/switch-mode"
        case QueryOrders(history=history):
            return "GET", "/v5/order/history" if history else "/v5/order/realtime"
        case QueryExecutions():
            return "GET", "/v5/execution/list"
        case QueryPositions():
            return "GET", "/v5/position/list"
        case QueryInstruments():
            return "GET", "/v5/market/instruments-info"
        case QueryTime():
            return "GET", "/v5/market/time"
        case QueryKey():
            return "GET", "/v5/user/query-api"
        case QueryAccount():
            return "GET", "/v5/account/info"
