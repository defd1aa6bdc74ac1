"""Signatures are the documented ones, and no secret is ever printed."""

from __future__ import annotations

import pytest

from hean.bybit.auth import REDACTED, Credentials, redact, request_headers, sign_request, sign_socket
from hean.errors import ConfigError
from tests.bybit.samples import load

KEY, SECRET = "EXAMPLEKEY1234567", "EXAMPLESECRETabcdefghijklmnopqrstuv"
CREDENTIALS = Credentials(api_key=KEY, api_secret=SECRET)
T0 = 1_720_000_000_000


@pytest.mark.parametrize(
    "payload, signature",
    [
        (
            "category=linear&symbol=BTCUSDT&openOnly=0&limit=50",
            "a59bedc67fabe741f78b4fc6f84f578881bfc2355da74b5c1a4fe5e1f01e1d0f",
        ),
        ("", "ed6aa098fb97b8dc049fc982c7cec3fc4a967d014b1ff15632cb9c93de1689b3"),
        (
            "category=linear&cursor=page_token%3D39380%26&limit=50",
            "28e7d9bda1b4b8dec97f1d365af602ff4ef88a66cd463905bab6c044ffbe01eb",
        ),
        (
            (
                '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.010",'
                '"price":"60000.00","timeInForce":"PostOnly","positionIdx":0,"orderLinkId":"demo-0001"}'
            ),
            "f035f229299cc2d25b18f76122119bb108e256c9b1517adce874ef8a791dd0bd",
        ),
    ],
)
def test_request_is_signed_as_documented(payload, signature):
    assert signature == sign_request(CREDENTIALS, timestamp_ms=T0, recv_window_ms=5000, payload=payload)
    assert {
        "X-BAPI-API-KEY": KEY,
        "X-BAPI-TIMESTAMP": "1720000000000",
        "X-BAPI-RECV-WINDOW": "5000",
        "X-BAPI-SIGN": signature,
    } == request_headers(CREDENTIALS, timestamp_ms=T0, recv_window_ms=5000, payload=payload)


def test_socket_login_is_signed_as_documented():
    documented = load("ws_auth_request")["args"][2]
    assert documented == sign_socket(CREDENTIALS, T0 + 10_000)


def test_credentials_print_neither_part():
    assert KEY not in repr(CREDENTIALS)
    assert SECRET not in repr(CREDENTIALS)
    assert REDACTED in repr(CREDENTIALS)


@pytest.mark.parametrize("bad", ["", "has space", "new\nline", "ünicode"])
def test_bad_credentials_are_refused_by_name(bad):
    with pytest.raises(ConfigError, match="BYBIT_API_KEY"):
        Credentials(api_key=bad, api_secret="x")
    with pytest.raises(ConfigError, match="BYBIT_API_SECRET"):
        Credentials(api_key="x", api_secret=bad)


@pytest.mark.parametrize(
    "text",
    [
        '{"req_id":"1","op":"auth","args":["EXAMPLEKEY1234567",1720000010000,"9bafa146f8"]}',
        "X-BAPI-API-KEY: EXAMPLEKEY1234567",
        "X-BAPI-SIGN: a59bedc67f",
        'headers={"X-BAPI-SIGN": "a59bedc67f"}',
        "api_secret=EXAMPLESECRETabcdefghijklmnopqrstuv",
        '{"apiKey":"EXAMPLEKEY1234567","secret":"EXAMPLESECRETabcdefghijklmnopqrstuv"}',
        "error sign! origin_string[1720000000000EXAMPLEKEY12345675000]",
        "a59bedc67fabe741f78b4fc6f84f578881bfc2355da74b5c1a4fe5e1f01e1d0f",
    ],
)
def test_redact_takes_out_every_secret(text):
    clean = redact(text)
    assert REDACTED in clean
    for secret in (KEY, SECRET, "9bafa146f8", "a59bedc67f"):
        assert secret not in clean


def test_credentials_redact_themselves_anywhere():
    assert f"key {REDACTED} in odd {REDACTED} text" == CREDENTIALS.redact(f"key {KEY} in odd {SECRET} text")


def test_redact_leaves_an_order_alone():
    text = '{"orderLinkId":"demo-0001","qty":"0.010","symbol":"BTCUSDT"}'
    assert text == CREDENTIALS.redact(text)


def test_a_frame_is_scrubbed_of_key_and_secret_alone():
    assert f"{{{REDACTED} {REDACTED}".encode() == CREDENTIALS.scrub(f"{{{KEY} {SECRET}".encode())
    assert b'{"topic":"order"}' == CREDENTIALS.scrub(b'{"topic":"order"}')
