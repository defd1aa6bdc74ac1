"""The smoke run as a user starts it, in a process of its own; it must also tell when something is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.exchange import LoopbackExchange

ROOT = Path(__file__).resolve().parent.parent
RUN_S = 60


def smoke(tmp_path: Path, env: dict[str, str], *arguments: str) -> tuple[int, list[str]]:
    """Exit code and lines of one run; `env` over a clean one."""
    names = ("PATH", "LANG", "LD_LIBRARY_PATH")
    clean = {name: os.environ[name] for name in names if name in os.environ}
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "smoke.py", *arguments],
        cwd=tmp_path,
        env=clean | {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)} | env,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).splitlines()


def keys_of(router_env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in router_env.items() if name != "HEAN_JOURNAL__PATH"}


def test_without_keys_it_passes_on_an_exchange_of_its_own(tmp_path: Path) -> None:
    code, lines = smoke(tmp_path, {})
    assert 0 == code, lines
    assert re.match(r"smoke on the loopback exchange http://127\.0\.0\.1:\d+;", lines[0])
    assert re.fullmatch(r"smoke on the loopback exchange http://127\.0\.0\.1:\d+: passed, 29 steps", lines[-1])
    assert [f"{number:>2} ok" for number in range(1, 30)] == [line[:5] for line in lines if line[3:5] in {"ok", "MI"}]
    assert [] == list(tmp_path.glob("hean-smoke-*"))


def test_with_keys_it_trades_where_the_settings_say(
    tmp_path: Path, router_env: dict[str, str], exchange: LoopbackExchange
) -> None:
    code, lines = smoke(tmp_path, keys_of(router_env))
    assert 0 == code, lines
    assert f"smoke on the loopback exchange {exchange.urls['rest']}: passed, 29 steps" == lines[-1]
    assert 3 == len(exchange.books()["orders"])


def test_a_miss_says_what_was_expected_and_seen_and_leaves_nothing_behind(
    tmp_path: Path, router_env: dict[str, str], exchange: LoopbackExchange
) -> None:
    exchange.fault("drop_push", match={"topic": "execution"}, count=None)
    exchange.fault("drop_push", match={"topic": "order"}, count=None)
    exchange.fault("realtime_cleared", count=None)
    exchange.fault("history_lag", count=None, args={"ms": 600_000})
    code, lines = smoke(tmp_path, keys_of(router_env), "--wait", "1")
    assert 3 == code, lines
    (at,) = [index for index, line in enumerate(lines) if " MISS " in line]
    assert "expected ORDER_PLACED within 1.0 s" == lines[at + 1].strip()
    assert re.search("seen .*SIGNAL, ORDER_REQUEST", lines[at + 2])
    assert lines[-1].startswith(f"smoke on the loopback exchange {exchange.urls['rest']}: FAILED: missed step")
    assert {"0"} >= {row["size"] for row in exchange.books()["positions"]}
    assert 1 == len(list(tmp_path.glob("hean-smoke-*")))


def test_a_wrong_secret_is_refused_by_the_exchange(tmp_path: Path, router_env: dict[str, str]) -> None:
    code, lines = smoke(tmp_path, keys_of(router_env) | {"BYBIT_API_SECRET": "wrong"})
    assert 5 == code, lines
    assert "10004" in lines[-1]


def test_a_wrong_setting_is_a_usage_error(tmp_path: Path, router_env: dict[str, str]) -> None:
    code, lines = smoke(tmp_path, keys_of(router_env) | {"HEAN_BYBIT__REST_URL": "https://api.bybit.com"})
    assert 2 == code, lines
    assert "mainnet" in lines[-1]
