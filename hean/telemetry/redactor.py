"""Secrets stay out of every text that leaves the router."""

from __future__ import annotations

import re
from typing import Final

from attrs import field, frozen

HIDDEN: Final = "***"


def _not_empty(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(filter(None, texts))


@frozen
class Redactor:
    """
    Takes secrets out of texts: those it was given, and everything that looks like a signature or a login.

    Attributes:
        secrets: literal texts; empty ones do not count.
    """

    secrets: tuple[str, ...] = field(converter=_not_empty, repr=False)

    def clean(self, text: str) -> str:
        """Return the text without secrets."""
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        for pattern, replacement in _SIGNATURES:
            text = pattern.sub(replacement, text)
        return text


# An HMAC-SHA256 in hex; a header or a field that holds a signature or a secret; the arguments of a stream's login.
# Source: Bybit V5 docs, guide (authentication) and websocket/wss-authentication.
_SIGNATURES: Final = (
    (re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{64}(?![0-9A-Za-z])"), HIDDEN),
    (re.compile(r"""(?i)((?:x-bapi-sign|api_?-?secret|signature)["']?\s*[:=]\s*["']?)[^\s"',;}&]+"""), rf"\1{HIDDEN}"),
    (re.compile(r"""("op"\s*:\s*"auth"\s*,\s*"args"\s*:\s*\[)[^\]]*"""), rf"\1{HIDDEN}"),
)
