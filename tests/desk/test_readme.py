"""A strategy author who follows the README sees a fill, finds its trace and stops it; its verbs are those there are."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

from hean.desk.cli import VERBS
from hean.desk.exits import Exit
from tests.desk.conftest import hean_in
from tests.exchange import LoopbackExchange

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def environment_file(exchange: LoopbackExchange) -> dict[str, str]:
    """What scripts/exchange.py writes for a shell to read."""
    path = ROOT / "scripts" / "exchange.py"
    spec = importlib.util.spec_from_file_location("exchange_by_hand", path)
    assert spec is not None
    assert spec.loader is not None
    by_hand = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(by_hand)
    lines = [shlex.split(line) for line in by_hand.environment(exchange.urls).splitlines()]
    assert {"export"} == {line[0] for line in lines}
    return dict(line[1].split("=", 1) for line in lines)


def test_the_first_steps_show_a_fill_find_its_trace_and_stop_it(exchange: LoopbackExchange, tmp_path: Path):
    _, started, steps = re.findall(r"```sh\n(.*?)```", section("First steps"), re.DOTALL)
    assert "scripts/exchange.py --env loopback.env" in started
    [example] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(example.splitlines()) <= 12
    env = environment_file(exchange) | {"HOME": str(tmp_path)}
    # What a kill waits for at its end is that nobody's request can be taken any more: this and a second.
    quick = {"HEAN_BYBIT__RECV_WINDOW_MS": "500"}
    told: dict[str, str] = {}
    commands = [line.partition("#")[0].strip() for line in steps.splitlines()]
    assert ". ./loopback.env" == commands.pop(0)
    for command in commands:
        program, *arguments = command.split()
        if program == "hean":
            ran = hean_in(env | (quick if arguments[0] == "kill" else {}))(*arguments)
            assert (command, 0) == (command, ran.code), ran.err
            told[command] = ran.out
        else:
            assert "python first.py 2> first.log" == command
            python = [sys.executable, "-c", example]
            env_of_it = env | {"PYTHONPATH": str(ROOT)}
            done = subprocess.run(python, cwd=tmp_path, env=env_of_it, capture_output=True, text=True, timeout=60)
            assert 0 == done.returncode, done.stderr
            told[command] = done.stdout
            assert "event.ORDER_FILLED" in done.stderr
    first, *events = told["python first.py 2> first.log"].splitlines()
    assert "CLOSED FILLED 95000.1 0.001" == first
    assert {"SIGNAL", "ORDER_FILLED", "POSITION_OPENED"} <= {line.split()[0] for line in events}
    assert "filled          1" in told["hean signals"]
    assert "SUBMITTED -> FILLED" in told["hean trace 2026-11-22T10:00"]
    assert 2 == told["hean positions"].count("Buy 0.001")
    assert "flattened  by 1 reduce-only market orders" in told["hean kill --flatten"]
    assert [] == [order for order in exchange.books()["positions"] if order["size"] not in {"", "0"}]


def test_every_verb_is_told_and_no_other_is():
    told = set(re.findall(r"`(?:hean )?([a-z]+)(?:[ `])", section("On the command line")))
    verbs = {name for verbs in VERBS.values() for name in verbs}
    assert verbs <= told
    assert set(re.findall(r"`hean ([a-z]+)", TEXT)) <= verbs


def test_the_exit_codes_are_told_as_they_are():
    words = " ".join(section("On the command line").split())
    assert sorted(int(code) for code in Exit) == sorted(
        int(code) for code in re.findall(r"(\d+) [a-z]", words.partition("Exit codes: ")[2].partition(".")[0])
    )
