"""
Signatures, and keeping secrets out of every text.

REST signs `timestamp + key + recv window + (query string | body)`, exactly the characters on the wire; both WebSockets
sign `"GET/realtime" + expires`. HMAC-SHA256, lower-case hex.

Source: Bybit V5 docs, guide (authentication) and websocket/wss-authentication.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

from attrs import field, frozen

from hean.core.types import Ms
from hean.errors import ConfigError

REDACTED: Final = "[redacted]"

# Anything that looks like a signature, and the value of anything that is called a key, a secret or a sign, whether it
# comes as a header, in JSON or in the origin_string that Bybit quotes back with 10004.
_SECRETS: Final = (
    (re.compile(r"\b[0-9a-fA-F]{64}\b"), REDACTED),
    (re.compile(r"(?i)(origin_string\[)[^\]]*"), rf"\1{REDACTED}"),
    (
        re.compile(r"""(?ix)( x-bapi-(?:api-key|sign) | api_?-?key | api_?-?secret | secret | signature )
            (["']?\s*[:=]\s*["']?) [^\s"',;}]+"""),
        rf"\1\2{REDACTED}",
    ),
    (re.compile(r"""("op"\s*:\s*"auth"\s*,\s*"args"\s*:\s*\[)[^\]]*"""), rf"\1{REDACTED}"),
)


@frozen(kw_only=True)
class Credentials:
    """
    An API key of testnet; neither part is ever printed.

    Attributes:
        api_key: names the key.
        api_secret: signs; empty is refused.

    Raises:
        ConfigError: one part is missing or holds white space or non-ASCII characters. Nothing has changed.
    """

    api_key: str = field(repr=lambda _: REDACTED)
    api_secret: str = field(repr=lambda _: REDACTED)

    def __attrs_post_init__(self) -> None:
        for name, value in (("BYBIT_API_KEY", self.api_key), ("BYBIT_API_SECRET", self.api_secret)):
            if not value:
                raise ConfigError(f"{name}: expected a testnet key made at testnet.bybit.com, was nothing")
            if any(not 0x21 <= ord(char) <= 0x7E for char in value):
                raise ConfigError(f"{name}: expected printable ASCII without white space; copy it again")

    def redact(self, text: str) -> str:
        """A text without this key, this secret or anything that `redact` takes out."""
        return redact(text.replace(self.api_secret, REDACTED).replace(self.api_key, REDACTED))

    def scrub(self, raw: bytes) -> bytes:
        """A frame without this key and this secret, at the door: what is kept of it later holds neither."""
        for word in (self.api_secret.encode(), self.api_key.encode()):
            if word in raw:
                raw = raw.replace(word, REDACTED.encode())
        return raw


_LONG_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")


def redact(text: str) -> str:
    """A text without signatures and named secrets."""
    lower = text.lower()
    # One of these is in whatever a pattern takes out; most texts hold none, and four patterns cost more. Each is named
    # here, as a loop over them costs more than they do.
    if (
        "secret" not in lower
        and "api" not in lower
        and "signature" not in lower
        and "origin_string" not in lower
        and '"auth"' not in lower
        and _LONG_HEX.search(text) is None
    ):
        return text
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def sign_request(credentials: Credentials, *, timestamp_ms: int, recv_window_ms: int, payload: str) -> str:
    """
    Signature of a REST request.

    Args:
        credentials: whose key.
        timestamp_ms: the exchange's clock; valid from recv_window_ms before to 1000 ms after it.
        recv_window_ms: sent in its own header.
        payload: GET the query string without "?", POST the body; exactly as sent.
    """
    return _hmac(credentials, f"{timestamp_ms}{credentials.api_key}{recv_window_ms}{payload}")


def sign_socket(credentials: Credentials, expires_ms: int) -> str:
    """Signature of a WebSocket login that is good until expires_ms on the exchange's clock."""
    return _hmac(credentials, f"GET/realtime{expires_ms}")


def request_headers(
    credentials: Credentials, *, timestamp_ms: Ms | int, recv_window_ms: int, payload: str
) -> dict[str, str]:
    """Headers of a signed REST request. The window is always sent: what is signed without it is not documented."""
    return {
        "X-BAPI-API-KEY": credentials.api_key,
        "X-BAPI-TIMESTAMP": str(timestamp_ms),
        "X-BAPI-RECV-WINDOW": str(recv_window_ms),
        "X-BAPI-SIGN": sign_request(
            credentials, timestamp_ms=timestamp_ms, recv_window_ms=recv_window_ms, payload=payload
        ),
    }


def _hmac(credentials: Credentials, text: str) -> str:
    return hmac.digest(credentials.api_secret.encode(), text.encode(), "sha256").hex()
