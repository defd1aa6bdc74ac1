"""How long a verb waits: for the router to obey, and for an exchange that does not answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

# The router looks four times a second; the rest is patience with a busy machine.
_ANSWER_S: Final = 5.0
_EXCHANGE_S: Final = 15.0

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _timeout(default_s: float, meaning: str) -> Callable[[_Function], _Function]:
    span = click.FloatRange(0.1, 3600)
    return click.option(
        "--timeout", "timeout_s", type=span, default=default_s, show_default=True, metavar="S", help=meaning
    )


patient = _timeout(_ANSWER_S, "how long to wait for the router's answer")
"""The option of those who wait for the router."""

insistent = _timeout(_EXCHANGE_S, "how long to ask an exchange that does not answer")
"""The option of those who ask the exchange until it answers."""
