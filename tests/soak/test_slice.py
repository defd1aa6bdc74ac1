"""A slice of the soak, for every run of the tests: the whole script, for a few seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "soak.py"


@pytest.mark.timeout(240)
def test_both_sides_are_equal_at_every_quiet_point_of_a_short_soak(tmp_path: Path) -> None:
    short = ["--orders", "200", "--minutes", "0.3", "--quiet-s", "10", "--journal", str(tmp_path / "journal.db")]
    done = subprocess.run([sys.executable, str(SCRIPT), *short], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout[-4000:] + done.stderr[-4000:]
    *points, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert [] == summary["differences"]
    assert 2 <= len(points) == summary["quiet_points"]
    assert 200 <= summary["orders"]
    assert 20 < points[-1]["executions"]
    assert 100 < sum(summary["faults_fired"].values())
