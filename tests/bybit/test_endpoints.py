"""Testnet or loopback, nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hean.bybit.endpoints import (
    LOOPBACK_HOSTS,
    TESTNET_PRIVATE,
    TESTNET_REST,
    TESTNET_TRADE,
    Door,
    Endpoints,
    checked,
    checked_url,
    is_loopback,
    path_of,
)
from hean.core.calls import (
    AmendOrder,
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
from hean.core.types import Amend, Category
from hean.errors import ConfigError
from tests.bybit.samples import a_request


def test_default_is_testnet():
    endpoints = checked()
    assert Endpoints() == endpoints
    assert (TESTNET_REST, TESTNET_PRIVATE, TESTNET_TRADE) == (
        endpoints.rest_url,
        endpoints.private_url,
        endpoints.trade_url,
    )
    assert endpoints.loopback is False


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_three_loopback_addresses_are_taken(host):
    endpoints = checked(
        rest_url=f"http://{host}:9",
        private_url=f"ws://{host}:9/v5/private",
        trade_url=f"ws://{host}:9/v5/trade",
    )
    assert f"http://{host}:9" == endpoints.rest_url
    assert f"ws://{host}:9/v5/private" == endpoints.private_url
    assert endpoints.loopback is True


@pytest.mark.parametrize(
    "url, taken_as",
    [
        ("https://api-testnet.bybit.com/", TESTNET_REST),
        ("https://API-TESTNET.bybit.com", TESTNET_REST),
        ("https://api-testnet.bybit.com:443", "https://api-testnet.bybit.com:443"),
    ],
)
def test_harmless_spellings_are_normalised(url, taken_as):
    assert taken_as == checked_url(Door.REST, url)


@pytest.mark.parametrize(
    "url, why",
    [
        ("https://api.bybit.com", "mainnet"),
        ("https://api.bytick.com", "mainnet"),
        ("https://api.bybit.eu", "mainnet"),
        ("https://api2.bybit.com", "mainnet"),
        ("https://api-demo.bybit.com", "demo"),
        ("https://api-demo-testnet.bybit.com", "demo"),
        ("https://api-testnet.manepa.jp", "another entity"),
        ("https://x.bybit-aws.com", "market makers"),
        ("https://api-testnet.bybit.com.evil.com", "looks like"),
        ("https://evil-api-testnet.bybit.com", "looks like"),
        ("https://stream-testnet.bybit.com", "looks like"),
        ("https://api-testnet.bybit.com.", "trailing dot"),
        ("https://user@api-testnet.bybit.com", "user-info"),
        ("https://api-testnet.bybit.com:secret@evil.com", "user-info"),
        ("https://api-testnet.bybit.com@evil.com", "user-info"),
        ("https://@api-testnet.bybit.com", "user-info"),
        ("https://api-testnet.bybit.com\\@evil.com", "no plain URL"),
        ("https://api-test\nnet.bybit.com", "no plain URL"),
        (" https://api-testnet.bybit.com", "no plain URL"),
        ("https://аpi-testnet.bybit.com", "no plain URL"),  # noqa: RUF001 a Cyrillic a
        ("", "no plain URL"),
        ("https://api-testnet%2ebybit.com", "looks like"),
        ("https://[::1", "no URL"),
        ("https://api-testnet.bybit.com:99999", "no URL"),
        ("https://api-testnet.bybit.com:8443", "port 443"),
        ("http://api-testnet.bybit.com", "scheme https"),
        ("wss://api-testnet.bybit.com", "scheme https"),
        ("https://127.0.0.1:9", "scheme http"),
        ("http://127.0.0.2:9", "neither testnet nor loopback"),
        ("http://127.0.0.1.evil.com:9", "neither testnet nor loopback"),
        ("http://example.org", "neither testnet nor loopback"),
        ("api-testnet.bybit.com", "neither testnet nor loopback"),
        ("https://api-testnet.bybit.com/v5", "path /"),
        ("https://api-testnet.bybit.com/?next=evil", "query or fragment"),
        ("https://api-testnet.bybit.com#evil", "query or fragment"),
    ],
)
def test_refused_rest_address_says_why_and_which_setting(url, why):
    with pytest.raises(ConfigError) as caught:
        checked(rest_url=url, sources={"HEAN_BYBIT__REST_URL": "hean.toml"})
    assert "HEAN_BYBIT__REST_URL (from hean.toml)" in str(caught.value)
    assert why in str(caught.value)
    with pytest.raises(ConfigError):
        Endpoints(rest_url=url)


@pytest.mark.parametrize(
    "setting, url, why",
    [
        ("private_url", "wss://stream.bybit.com/v5/private", "mainnet"),
        ("private_url", "wss://stream-demo.bybit.com/v5/private", "demo"),
        ("private_url", "wss://stream-testnet.bybit.com/v5/trade", "path /v5/private"),
        ("private_url", "ws://stream-testnet.bybit.com/v5/private", "scheme wss"),
        ("trade_url", "wss://stream.bytick.com/v5/trade", "mainnet"),
        ("trade_url", "wss://stream-testnet.bybits.org/v5/trade", "another entity"),
        ("trade_url", "wss://stream-testnet.bybit.com/v5/private", "path /v5/trade"),
    ],
)
def test_refused_stream_address_says_why_and_which_setting(setting, url, why):
    with pytest.raises(ConfigError, match=why) as caught:
        checked(**{setting: url})
    assert f"HEAN_BYBIT__{setting.upper()}" in str(caught.value)


@pytest.mark.parametrize(
    "mixed",
    [
        {"rest_url": "http://127.0.0.1:9"},
        {"private_url": "ws://127.0.0.1:9/v5/private"},
        {"rest_url": "http://localhost:9", "trade_url": "ws://localhost:9/v5/trade"},
    ],
)
def test_testnet_and_loopback_are_never_mixed(mixed):
    with pytest.raises(ConfigError, match="never mixed"):
        checked(**mixed)


@given(url=st.text() | st.from_regex(r"https?://[a-z0-9.@:\\\[\]-]{1,40}", fullmatch=True))
def test_whatever_passes_is_testnet_or_loopback(url):
    for door in Door:
        try:
            good = checked_url(door, url)
        except ConfigError:
            continue
        assert is_loopback(good) or good in {door.testnet, door.testnet.replace(".com", ".com:443")}
        assert good == checked_url(door, good)


def test_loopback_hosts_are_the_three_named():
    assert {"127.0.0.1", "::1", "localhost"} == LOOPBACK_HOSTS


LINEAR = Category.LINEAR


@pytest.mark.parametrize(
    "call, method, path",
    [
        (CreateOrder(request=a_request()), "POST", "/v5/order/create"),
        (
            AmendOrder(category=LINEAR, symbol="S", order_link_id="l", amend=Amend()),
            "POST",
            "/v5/order/amend",
        ),
        (CancelOrder(category=LINEAR, symbol="S", order_link_id="l"), "POST", "/v5/order/cancel"),
        (CancelAll(category=LINEAR), "POST", "/v5/order/cancel-all"),
        (PreCheck(request=a_request()), "POST", "/v5/order/pre-check"),
        (SetLeverage(category=LINEAR, symbol="S", leverage="1"), "POST", "/v5/position/set-leverage"),
        (SwitchMode(category=LINEAR, symbol="S", mode=0), "POST", "/v5/position/switch-mode"),
        (QueryOrders(category=LINEAR), "GET", "/v5/order/realtime"),
        (QueryOrders(category=LINEAR, history=True), "GET", "/v5/order/history"),
        (QueryExecutions(category=LINEAR), "GET", "/v5/execution/list"),
        (QueryPositions(category=LINEAR), "GET", "/v5/position/list"),
        (QueryInstruments(category=LINEAR), "GET", "/v5/market/instruments-info"),
        (QueryTime(), "GET", "/v5/market/time"),
        (QueryKey(), "GET", "/v5/user/query-api"),
        (QueryAccount(), "GET", "/v5/account/info"),
    ],
)
def test_every_call_has_its_path(call, method, path):
    assert (method, path) == path_of(call)
