"""A small run of scripts/crash.py: a strategy killed again and again has nothing twice and has lost nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "crash.py"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kills", [["--kills", "12", "--kills-aged", "0"], ["--kills", "0", "--kills-aged", "8"]])
def test_killed_strategy_has_one_order_per_signal_and_equal_books(kills: list[str]) -> None:
    command = [sys.executable, str(SCRIPT), *kills, "--campaign", "6"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert 0 == run.returncode, run.stdout + run.stderr
    killed, live = re.search(r"^(\d+) kills, (\d+) after LIVE", run.stdout, re.MULTILINE).groups()  # type: ignore[union-attr]
    assert int(killed) == int(kills[1]) + int(kills[3])
    assert int(live) > int(killed) // 2
    assert re.search(r" 0 differences$", run.stdout, re.MULTILINE)
