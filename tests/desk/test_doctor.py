"""`hean doctor`: each check passes where all is well, and finds the fault that it is meant to find."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from hean import OrderState, Router
from hean.desk.desk import Desk
from hean.journal import Brake, pull_brake
from tests.conftest import Routers, env_of
from tests.desk.conftest import WAIT_S, Hean, Ran, Strategy, hean_in, signal
from tests.exchange import LoopbackExchange

Env = dict[str, str]
Prepare = Callable[[LoopbackExchange, Env], None]


@pytest.fixture
def desk(router_env: Env) -> Hean:
    return hean_in(router_env)


def found(ran: Ran) -> dict[str, dict[str, str]]:
    return {row["check"]: row for row in ran.data["rows"]}


def answer(endpoint: str, result: dict[str, Any]) -> Prepare:
    """The exchange answers that, whatever is so."""
    body = json.dumps({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": 1700000000000})

    def prepare(exchange: LoopbackExchange, env: Env) -> None:
        exchange.fault("error", match={"endpoint": endpoint}, count=None, args={"http_status": 200, "body": body})

    return prepare


def refuse(endpoint: str, ret_code: int) -> Prepare:
    def prepare(exchange: LoopbackExchange, env: Env) -> None:
        exchange.fault("error", match={"endpoint": endpoint}, count=None, args={"ret_code": ret_code})

    return prepare


def fault(name: str, **asked: Any) -> Prepare:
    def prepare(exchange: LoopbackExchange, env: Env) -> None:
        exchange.fault(name, **({"count": None} | asked))

    return prepare


def settings(**changes: str) -> Prepare:
    def prepare(exchange: LoopbackExchange, env: Env) -> None:
        env.update(changes)

    return prepare


def key(**parts: Any) -> Prepare:
    rights = {"ContractTrade": ["Order", "Position"]}
    plain = {"userID": 100200300, "readOnly": 0, "permissions": rights, "ips": ["*"], "expiredAt": ""}
    return answer("user/query-api", plain | parts)


def hedged(exchange: LoopbackExchange, env: Env) -> None:
    ran = Router.from_env(env | {"HEAN_JOURNAL__PATH": env["HEAN_JOURNAL__PATH"] + ".other"})
    with ran as router:
        router.switch_mode("BTCUSDT", 3)


def tampered(exchange: LoopbackExchange, env: Env) -> None:
    with Router.from_env(env) as router:
        assert OrderState.FILLED == router.submit(signal("one")).wait(WAIT_S).outcome
    with sqlite3.connect(env["HEAN_JOURNAL__PATH"]) as connection:
        connection.execute("UPDATE records SET body = replace(body, '0.001', '0.002') WHERE kind = 'fact'")
    connection.close()


def of_another(exchange: LoopbackExchange, env: Env) -> None:
    with Router.from_env(env):
        pass
    exchange.accounts("other", "secret")
    env.update({"BYBIT_API_KEY": "other", "BYBIT_API_SECRET": "secret"})


def no_journal(exchange: LoopbackExchange, env: Env) -> None:
    Path(env["HEAN_JOURNAL__PATH"]).write_text("something else entirely")


def no_place(exchange: LoopbackExchange, env: Env) -> None:
    beside = Path(env["HEAN_JOURNAL__PATH"]).parent / "a file"
    beside.write_text("")
    env["HEAN_JOURNAL__PATH"] = str(beside / "journal.db")


def braked(exchange: LoopbackExchange, env: Env) -> None:
    pull_brake(Path(env["HEAN_JOURNAL__PATH"]), Brake(who="ann", why="smoke", at_ms=1))


def halted(exchange: LoopbackExchange, env: Env) -> None:
    with Router.from_env(env):
        assert 0 == hean_in(env)("halt", "--why", "smoke").code


def slow(exchange: LoopbackExchange, env: Env) -> None:
    env["HEAN_BYBIT__RECV_WINDOW_MS"] = "50"
    exchange.fault("delay_reply", match={"endpoint": "market/time"}, count=None, args={"ms": 150})


def narrow(exchange: LoopbackExchange, env: Env) -> None:
    exchange.limits(endpoint="order/realtime", per_s=1)


SOON = "2000-01-01T00:00:00Z"

FAULTS: list[tuple[str, str, Prepare, str, str]] = [
    ("settings", "fail", settings(HEAN_ORDERS__MAX_OPEN="many"), "HEAN_ORDERS__MAX_OPEN", "hean config show"),
    ("settings", "fail", settings(HEAN_ORDERS__MAX_OPN="1"), "HEAN_ORDERS__MAX_OPEN", "hean config show"),
    ("addresses", "fail", settings(HEAN_BYBIT__REST_URL="https://api.bybit.com"), "mainnet", "testnet"),
    (
        "addresses",
        "fail",
        settings(HEAN_BYBIT__TRADE_URL="wss://stream-testnet.bybit.com/v5/trade"),
        "mixed",
        "testnet",
    ),
    ("credentials", "fail", settings(BYBIT_API_KEY=""), "BYBIT_API_KEY", "testnet.bybit.com"),
    ("clock", "warn", fault("clock_skew", args={"ms": 3000}), "less ours is", "NTP"),
    ("clock", "fail", fault("ban"), "403", "reach it"),
    ("clock", "fail", slow, "known to", "too slow for bybit.recv_window_ms"),
    ("rate budget", "warn", narrow, "QueryOrders 0 of 1 left", "another program"),
    ("environment", "fail", settings(BYBIT_API_KEY="nobodys"), "does not know the key", "mainnet"),
    ("key", "fail", settings(BYBIT_API_KEY="nobodys"), "10003", "testnet.bybit.com"),
    ("key", "fail", settings(BYBIT_API_SECRET="wrong"), "10004", "secret"),
    ("environment", "warn", settings(BYBIT_API_SECRET="wrong"), "not known", "key"),
    ("key", "fail", refuse("user/query-api", 10010), "IP", "testnet.bybit.com"),
    ("key", "fail", refuse("user/query-api", 33004), "expired", "testnet.bybit.com"),
    ("key", "fail", key(readOnly=1), "read-only", "read and write"),
    ("key", "fail", key(permissions={"ContractTrade": ["Position"]}), "may not ContractTrade.Order", "give it"),
    ("key", "warn", key(expiredAt=SOON), "expires in", "renew"),
    (
        "account",
        "fail",
        answer("account/info", {"unifiedMarginStatus": 1, "marginMode": "REGULAR_MARGIN"}),
        "classic",
        "upgrade",
    ),
    ("account", "fail", refuse("account/info", 10005), "10005", "testnet.bybit.com"),
    ("position mode BTCUSDT", "warn", hedged, "hedge", "position_idx"),
    ("symbol BTCUSDT", "fail", refuse("market/instruments-info", 10016), "10016", "check the spelling"),
    (
        "symbol BTCUSDT",
        "fail",
        answer("market/instruments-info", {"category": "linear", "list": [{"symbol": "BTCUSDT"}]}),
        "does not read",
        "check the spelling",
    ),
    ("position mode BTCUSDT", "fail", refuse("position/list", 10016), "10016", "testnet.bybit.com"),
    ("rate budget", "fail", fault("rate_limit", match={"endpoint": "order/realtime"}), "10006", "another program"),
    ("private stream", "fail", fault("refuse_auth", match={"channel": "private"}), "login was refused", "key"),
    (
        "private stream",
        "fail",
        fault("refuse_topic", match={"topic": "execution"}),
        "execution was refused",
        "WebSockets",
    ),
    ("private stream", "fail", fault("silent"), "did not come within", "WebSockets"),
    ("trade stream", "fail", fault("refuse_auth", match={"channel": "trade"}), "login was refused", "key"),
    ("journal", "fail", tampered, "was changed or is missing", "start with a new one"),
    ("journal", "fail", of_another, "belongs to UID", "for each account"),
    ("journal", "fail", no_journal, "no journal", "HEAN_JOURNAL__PATH"),
    ("journal", "fail", no_place, "cannot be made", "HEAN_JOURNAL__PATH"),
    ("halt", "warn", braked, "ann: smoke", "hean resume"),
    ("halt", "warn", halted, "smoke", "hean resume"),
]


def test_where_all_is_well_every_check_passes(desk: Hean):
    ran = desk("doctor", "-o", "json")
    assert (0, "hean.doctor/1", "loopback", 0, 0) == (
        ran.code,
        ran.data["schema"],
        ran.data["exchange"],
        ran.data["warned"],
        ran.data["failed"],
    )
    assert {
        *("settings", "addresses", "credentials", "clock", "environment", "key", "account"),
        *(
            "symbol BTCUSDT",
            "position mode BTCUSDT",
            "rate budget",
            "private stream",
            "trade stream",
            "journal",
            "halt",
        ),
    } == found(ran).keys()
    assert {"pass"} == {row["verdict"] for row in ran.data["rows"]}
    text = desk("doctor")
    assert 0 == text.code
    assert "14 pass, 0 warn, 0 fail, on loopback" in text.out


def test_the_settings_are_told_with_their_sources(desk: Hean):
    detail = found(desk("doctor", "-o", "json"))["settings"]["detail"]
    assert "bybit.rest_url from environment HEAN_BYBIT__REST_URL" in detail


@pytest.mark.parametrize("case", FAULTS, ids=[f"{case[0]}-{case[3]}" for case in FAULTS])
def test_each_check_finds_its_fault_and_says_how_to_mend_it(
    case: tuple[str, str, Prepare, str, str], router_env: Env, exchange: LoopbackExchange
):
    name, verdict, prepare, seen, fix = case
    env = router_env | {"HEAN_STREAM__ACK_TIMEOUT_S": "0.5", "HEAN_STREAM__CONNECT_TIMEOUT_S": "1"}
    prepare(exchange, env)
    ran = hean_in(env)("doctor", "-o", "json")
    row = found(ran)[name]
    assert verdict == row["verdict"]
    assert seen in row["detail"]
    assert fix in row["fix"]
    assert (3 if verdict == "fail" or ran.data["failed"] else 0) == ran.code


def test_a_fault_shows_in_the_text_with_how_to_mend_it(router_env: Env):
    ran = hean_in(router_env | {"BYBIT_API_SECRET": "wrong"})("doctor")
    assert 3 == ran.code
    [line] = [line for line in ran.out.splitlines() if line.startswith("fail  key")]
    assert "10004" in line
    assert "To mend: look at the key and the secret" in line


def test_an_exchange_that_is_down_is_one_failed_check_and_the_journal_is_still_looked_at(
    desk: Hean, exchange: LoopbackExchange
):
    exchange.stop()
    checks = found(desk("doctor", "-o", "json"))
    assert ("fail", "pass") == (checks["clock"]["verdict"], checks["journal"]["verdict"])
    assert "key" not in checks


def test_metrics_without_their_library_are_found(router_env: Env, monkeypatch: pytest.MonkeyPatch):
    desk = hean_in(router_env | {"HEAN_METRICS__PORT": "0"})
    assert "pass" == found(desk("doctor", "-o", "json"))["metrics"]["verdict"]
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    row = found(desk("doctor", "-o", "json"))["metrics"]
    assert ("fail", True) == (row["verdict"], "hean[metrics]" in row["fix"])


def test_a_symbol_that_does_not_trade_now_is_found(exchange: LoopbackExchange, tmp_path: Path):
    with urlopen(f"{exchange.urls['rest']}/v5/market/instruments-info?category=linear&symbol=BTCUSDT") as reply:
        [row] = json.load(reply)["result"]["list"]
    rows = json.dumps([row | {"status": "PreLaunch", "category": "linear", "lastPrice": "95000"}])
    with LoopbackExchange(instruments=rows) as other:
        row = found(hean_in(env_of(other, tmp_path / "other.db"))("doctor", "-o", "json"))["symbol BTCUSDT"]
    assert ("warn", True, True) == (row["verdict"], "does not trade" in row["detail"], "wait" in row["fix"])


def test_other_symbols_can_be_looked_at(desk: Hean):
    ran = desk("doctor", "--symbol", "ETHUSDT", "--symbol", "NOSUCH", "-o", "json")
    checks = found(ran)
    assert ("pass", "fail", 3) == (checks["symbol ETHUSDT"]["verdict"], checks["symbol NOSUCH"]["verdict"], ran.code)
    assert "symbol BTCUSDT" not in checks


def test_a_journal_in_use_is_told_with_its_process(router: Routers, desk: Hean):
    router()
    assert "records, chain sound, process" in found(desk("doctor", "-o", "json"))["journal"]["detail"]


def test_a_journal_whose_router_hangs_is_told(strategy: Strategy, router_env: Env, monkeypatch: pytest.MonkeyPatch):
    strategy.hang()
    monkeypatch.setattr(Desk, "now_ms", lambda _: time.time_ns() // 1_000_000 + 6_000)
    row = found(hean_in(router_env)("doctor", "-o", "json"))["journal"]
    assert ("warn", True, True) == (row["verdict"], "pulse has stopped" in row["detail"], "hean kill" in row["fix"])


def test_every_check_is_told_in_every_way_that_it_can_end():
    """The rest have tests of their own: a symbol that does not trade, a journal whose router hangs."""
    ways: dict[str, set[str]] = {}
    for name, verdict, *_ in FAULTS:
        ways.setdefault(name, set()).add(verdict)
    assert {
        "settings": {"fail"},
        "addresses": {"fail"},
        "credentials": {"fail"},
        "clock": {"warn", "fail"},
        "environment": {"warn", "fail"},
        "key": {"warn", "fail"},
        "account": {"fail"},
        "symbol BTCUSDT": {"fail"},
        "position mode BTCUSDT": {"warn", "fail"},
        "rate budget": {"warn", "fail"},
        "private stream": {"fail"},
        "trade stream": {"fail"},
        "journal": {"fail"},
        "halt": {"warn"},
    } == ways


def test_nothing_is_sent_and_nothing_is_made(desk: Hean, exchange: LoopbackExchange, router_env: Env):
    desk("doctor")
    assert not Path(router_env["HEAN_JOURNAL__PATH"]).exists()
    assert 0 == exchange.books()["counters"]["creates_received"]
