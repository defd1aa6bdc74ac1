"""The audit finds each kind of difference: a reckoning that cannot fail proves nothing."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from tests.scenarios.audit import Ours, Told, differences, sent_before_proof

FILLED = Told("h1", "CLOSED", "FILLED", "")
KEY = ("linear", "BTCUSDT", 0)
BOOKS: dict[str, Any] = {
    "orders": [{"orderLinkId": "h1"}],
    "executions": [{"symbol": "BTCUSDT", "execId": "e1"}],
    "positions": [
        {"category": "linear", "symbol": "BTCUSDT", "positionIdx": 0, "side": "Buy", "size": "1"},
        {"category": "linear", "symbol": "ETHUSDT", "positionIdx": 0, "side": "", "size": "0"},
    ],
}
OURS = Ours({"1": FILLED}, Counter({("BTCUSDT", "e1"): 1}), {KEY: ("Buy", Decimal(1))})


def test_equal_books_have_no_difference() -> None:
    assert [] == differences(OURS, BOOKS, denials=False)


@pytest.mark.parametrize("denials", [False, True])
@pytest.mark.parametrize(
    "ours, books, word",
    [
        (Ours({"1": FILLED}, Counter(), OURS.positions), BOOKS, "lost"),
        (Ours({"1": FILLED}, Counter({("BTCUSDT", "e1"): 2}), OURS.positions), BOOKS, "doubled"),
        (Ours({"1": FILLED}, OURS.executions, {}), BOOKS, "positions"),
        (Ours({"1": FILLED}, OURS.executions, {KEY: ("Sell", Decimal(1))}), BOOKS, "positions"),
        (Ours({}, OURS.executions, OURS.positions), BOOKS, "of no signal"),
        (OURS, BOOKS | {"orders": []}, "0 orders"),
        (OURS, BOOKS | {"orders": BOOKS["orders"] * 2}, "2 orders"),
        (Ours({"1": Told("h1", "TIMEOUT", None, "")}, OURS.executions, OURS.positions), BOOKS, "not settled"),
        (Ours({"1": Told("h1", "DENIED", "DENIED", "too_old")}, OURS.executions, OURS.positions), BOOKS, "told DENIED"),
    ],
)
def test_each_difference_is_found(ours: Ours, books: dict[str, Any], word: str, denials: bool) -> None:
    assert any(word in found for found in differences(ours, books, denials=denials))


@pytest.mark.parametrize(
    "told", [Told("h1", "DENIED", "DENIED", "too_old"), Told("h1", "CLOSED", "REJECTED", "not_placed")]
)
def test_stated_denial_is_one_answer_where_denials_may_be(told: Told) -> None:
    nothing: dict[str, Any] = {"orders": [], "executions": [], "positions": []}
    ours = Ours({"1": told}, Counter(), {})
    assert [] == differences(ours, nothing, denials=True)
    assert 1 == len(differences(ours, nothing, denials=False))


def test_denial_without_a_reason_is_no_answer() -> None:
    nothing: dict[str, Any] = {"orders": [], "executions": [], "positions": []}
    ours = Ours({"1": Told("h1", "DENIED", "DENIED", "")}, Counter(), {})
    assert 1 == len(differences(ours, nothing, denials=True))


def create(at: int, verdict: object, executed: bool = False, replied: bool = True) -> dict[str, Any]:
    return {
        "time": at,
        "op": "order.create",
        "orderLinkId": "h1",
        "verdict": verdict,
        "executed": executed,
        "replied": replied,
    }


def looks(at: int, link_id: str = "h1") -> list[dict[str, Any]]:
    return [
        {"time": at, "endpoint": name, "orderLinkId": link_id, "verdict": 0, "executed": True, "replied": True}
        for name in ("order/realtime", "order/history", "execution/list")
    ]


@pytest.mark.parametrize(
    "requests, problems",
    [
        ([create(0, 0, executed=True)], 0),
        ([create(0, "lost", replied=False), *looks(1_500), create(1_600, 0, executed=True)], 0),
        ([create(0, 10006), *looks(20), create(30, 0, executed=True)], 0),
        ([create(0, "lost", replied=False), *looks(900), create(1_000, 0)], 1),
        ([create(0, 10016), *looks(900), create(1_000, 0)], 1),
        ([create(0, 0, executed=True, replied=False), *looks(1_500), create(1_600, 110072)], 1),
        ([create(0, 10006), create(30, 0)], 1),
        ([create(0, 10006), *looks(10)[:2], create(30, 0)], 1),
        ([create(0, 10006), *looks(10, "h2"), create(30, 0)], 1),
        ([create(0, "lost", replied=False), *looks(1_500), create(1_600, 10006), create(1_700, 0)], 1),
    ],
)
def test_create_before_proof_is_found(requests: list[dict[str, Any]], problems: int) -> None:
    assert problems == len(sent_before_proof(requests, 1_400))
