"""A world for each scenario, by both ways of order entry."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.exchange import LoopbackExchange
from tests.scenarios.world import World


@pytest.fixture(params=["ws", "rest"])
def world(request: pytest.FixtureRequest, exchange: LoopbackExchange, tmp_path: Path) -> World:
    return World(exchange, tmp_path / "journal.db", bybit__entry=request.param)


@pytest.fixture
def plain_world(exchange: LoopbackExchange, tmp_path: Path) -> World:
    """A world for what does not depend on the way of order entry."""
    return World(exchange, tmp_path / "journal.db")
