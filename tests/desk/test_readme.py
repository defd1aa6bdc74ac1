"""A strategy author who follows the README sees a fill, finds its trace and stops it; its verbs are those there are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from hean.desk.cli import VERBS
from hean.desk.exits import Exit
from tests.desk.conftest import hean_in

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_example_shows_a_fill_whose_trace_is_found_and_which_is_stopped(router_env: dict[str, str]):
    [example] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", example],
        capture_output=True,
        text=True,
        env=dict(os.environ) | router_env | {"PYTHONPATH": str(ROOT)},
        timeout=60,
        check=True,
    )
    first, *events = done.stdout.splitlines()
    assert first.startswith("CLOSED FILLED ")
    assert first.endswith(" 0.001")
    assert any(line.startswith("ORDER_FILLED ") for line in events)
    # What a kill waits for at its end is that nobody's request can be taken any more: this and a second.
    hean = hean_in(router_env | {"HEAN_BYBIT__RECV_WINDOW_MS": "500"})
    assert "FILLED" in hean("trace", "2026-11-22T10:00").out
    assert 0 == hean("kill", "--flatten").code


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
