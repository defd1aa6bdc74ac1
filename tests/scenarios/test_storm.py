"""A small run of scripts/storm.py: one order or one stated denial per signal, and equal books, whatever the weather."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "storm.py"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("entry", ["ws", "rest"])
def test_storm_ends_in_one_answer_per_signal_and_equal_books(entry: str) -> None:
    command = [sys.executable, str(SCRIPT), "--signals", "150", "--entry", entry, "--ban", "3", "--silence", "1"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert 0 == run.returncode, run.stdout + run.stderr
    assert re.search(r"150 signals", run.stdout)
    for fault in ("lose_reply", "error", "rate_limit", "cut_private", "ban"):
        assert re.search(rf"'{fault}': [1-9]", run.stdout), run.stdout
    assert re.search(r" 0 differences$", run.stdout, re.MULTILINE)
