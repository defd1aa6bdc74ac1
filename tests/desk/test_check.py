"""`hean check`: every local check, then the exchange's; nothing is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Routers
from tests.desk.conftest import WAIT_S, Hean, Ran, hean_in, resting
from tests.exchange import LoopbackExchange

GOOD = {"strategy_id": "trend", "signal_id": "1", "symbol": "BTCUSDT", "side": "Buy", "qty": "0.001"}


@pytest.fixture
def desk(router_env: dict[str, str]) -> Hean:
    return hean_in(router_env)


@pytest.fixture
def checked(desk: Hean, tmp_path: Path):
    def check(*options: str, **parts: Any) -> Ran:
        path = tmp_path / "signal.json"
        path.write_text(json.dumps(GOOD | parts))
        return desk("check", path, *options)

    return check


def verdicts(ran: Ran) -> dict[str, str]:
    return {row["check"]: row["verdict"] for row in ran.data["rows"]}


def test_a_good_signal_would_be_sent_and_is_not(checked: Any, exchange: LoopbackExchange):
    ran = checked("-o", "json")
    assert (0, "hean.check/1", "be sent") == (ran.code, ran.data["schema"], ran.data["would"])
    assert ran.data["order_link_id"].startswith("h1-")
    assert {
        "identity": "pass",
        "journal": "skipped",
        "halt": "skipped",
        "instrument": "pass",
        "pre-check": "pass",
    } == verdicts(ran)
    assert 0 == exchange.books()["counters"]["creates_received"]
    text = checked()
    assert 0 == text.code
    assert "it would be sent" in text.out


@pytest.mark.parametrize(
    "wrong,reason",
    [
        ({"symbol": "BTCUSD T"}, "bad_symbol"),
        ({"symbol": "NOSUCH"}, "bad_symbol"),
        ({"category": "spot"}, "not_supported"),
        ({"category": "futures"}, "bad_type"),
        ({"side": "buy"}, "bad_side"),
        ({"qty": 0.001}, "bad_qty"),
        ({"qty": "0.0015"}, "off_step"),
        ({"qty": "0"}, "bad_qty"),
        ({"order_type": "Limit"}, "missing_price"),
        ({"order_type": "Limit", "price": "50000.05"}, "off_tick"),
        ({"signal_id": ""}, "bad_identity"),
    ],
)
def test_what_would_be_denied_says_why_and_what_to_do(wrong: dict[str, Any], reason: str, checked: Any):
    ran = checked("-o", "json", **wrong)
    assert (3, "be denied", reason) == (ran.code, ran.data["would"], ran.data["reason"])
    assert "fail" in verdicts(ran).values()
    assert "skipped" == verdicts(ran)["pre-check"]
    assert reason in checked(**wrong).out


def test_the_exchanges_no_is_another_exit_code(checked: Any, exchange: LoopbackExchange):
    exchange.fault("error", match={"endpoint": "order/pre-check"}, count=2, args={"ret_code": 110007})
    ran = checked("-o", "json")
    assert (5, "be refused", "110007") == (ran.code, ran.data["would"], ran.data["reason"])
    assert "110007" in checked().out


def test_a_halt_has_its_own_exit_code(router: Routers, checked: Any, desk: Hean):
    router()
    desk("halt", "--why", "lunch")
    ran = checked("-o", "json")
    assert (7, "halted") == (ran.code, ran.data["reason"])
    assert "lunch" in ran.data["detail"]


def test_a_known_signal_would_come_back_and_a_changed_one_would_be_denied(router: Routers, checked: Any):
    made = router()
    made.submit(resting("1")).wait(0.1)
    same = {"order_type": "Limit", "price": "50000"}
    ran = checked("-o", "json", **same)
    assert (0, "be known") == (ran.code, ran.data["would"])
    changed = checked("-o", "json", **same, qty="0.002")
    assert (3, "duplicate_id") == (changed.code, changed.data["reason"])
    made.cancel_all()
    made.ticket(ran.data["order_link_id"]).wait(WAIT_S)


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"strategy_id": "trend"}', '{"qtty": "1"}'])
def test_a_file_that_is_no_signal_is_a_usage_error(text: str, desk: Hean, tmp_path: Path):
    path = tmp_path / "signal.json"
    path.write_text(text)
    ran = desk("check", path)
    assert (2, "") == (ran.code, ran.out)
    assert "signal.json" in ran.err


def test_a_missing_file_is_a_usage_error(desk: Hean):
    assert 2 == desk("check", "none.json").code


def test_an_exchange_that_is_down_is_a_failed_check(checked: Any, exchange: LoopbackExchange):
    exchange.stop()
    ran = checked()
    assert 3 == ran.code
    assert "127.0.0.1" in ran.err
