"""
What tests of several packages need: an exchange on loopback, routers that trade on it, the charts in the shadow of
their tables, and the proof that no thread of ours outlives its test.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from loguru import logger

from hean import Router
from tests.exchange import LoopbackExchange
from tests.shadow import Shadow

Routers = Callable[..., Router]

# A line for each transition of each order drowns what a failed test has to say; warnings do not.
logger.remove()
logger.add(lambda line: sys.stderr.write(line), level="WARNING")

# The same examples every time, so that a red build is red for its change; scripts/properties.py tries many others.
# No deadline: how long an example takes says how busy the machine is, and so does how long it takes to draw one.
unhurried = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("ci", unhurried, derandomize=True, max_examples=100)
hypothesis.settings.register_profile("many", unhurried, max_examples=10_000, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def our_threads() -> list[threading.Thread]:
    """Threads that hean started in this process, alive now."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("hean-")]


@pytest.fixture(scope="session", autouse=True)
def shadow() -> Iterator[Shadow]:
    """Every decision of a table in this process, made by its chart as well."""
    shadow = Shadow()
    with shadow.cast():
        yield shadow
    assert [] == shadow.disagreements()


@pytest.fixture(autouse=True)
def _table_and_chart_agree(shadow: Shadow) -> Iterator[None]:
    yield
    # Whichever thread decided: an actor's handler would only crash and be tried again.
    assert [] == shadow.disagreements()


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = our_threads()
    yield
    left = [thread for thread in our_threads() if thread not in before]
    for thread in left:
        # One that was told to end may need a moment for its last instructions; one that was not told never ends.
        thread.join(2)
    assert [] == [thread.name for thread in left if thread.is_alive()]


@pytest.fixture
def exchange() -> Iterator[LoopbackExchange]:
    """An exchange under Bybit's own limits."""
    with LoopbackExchange() as exchange:
        yield exchange


def env_of(exchange: LoopbackExchange, journal: Path, **settings: object) -> dict[str, str]:
    """The environment of a router on that exchange; settings as `section__key=value`."""
    urls = exchange.urls
    env = {
        "HEAN_BYBIT__REST_URL": urls["rest"],
        "HEAN_BYBIT__PRIVATE_URL": urls["private"],
        "HEAN_BYBIT__TRADE_URL": urls["trade"],
        "BYBIT_API_KEY": urls["api_key"],
        "BYBIT_API_SECRET": urls["api_secret"],
        "HEAN_JOURNAL__PATH": str(journal),
    }
    return env | {f"HEAN_{name.upper()}": str(value) for name, value in settings.items()}


@pytest.fixture
def router_env(exchange: LoopbackExchange, tmp_path: Path) -> dict[str, str]:
    """The environment of a router on `exchange`."""
    return env_of(exchange, tmp_path / "journal.db")


@pytest.fixture
def router(router_env: dict[str, str]) -> Iterator[Routers]:
    """Makes started routers on `exchange` and stops them; takes settings as `section__key=value`."""
    made: list[Router] = []

    def make(**settings: Any) -> Router:
        router = Router.from_env(router_env, **settings)
        made.append(router)
        router.start()
        return router

    yield make
    for one in made:
        one.stop()
