"""
How long it takes to be equal again after an outage of the private stream with many executions in it.

Prints one JSON line. Exit codes: 0 both sides equal within the bound; 1 anything else.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from attrs import asdict
from loguru import logger

from hean import Router
from tests.conftest import env_of
from tests.exchange import LoopbackExchange
from tests.soak.gap import recover


def main() -> int:
    """Run; the exit code."""
    parser = argparse.ArgumentParser(description="close a gap, and measure")
    parser.add_argument("--outage-s", type=float, default=60.0, help="how long the socket is down (default 60)")
    parser.add_argument("--executions", type=int, default=500, help="how many are missed meanwhile (default 500)")
    parser.add_argument("--bound-ms", type=int, default=2_000, help="from the socket's return to equal (default 2000)")
    options = parser.parse_args()
    logger.remove()
    with tempfile.TemporaryDirectory() as directory, LoopbackExchange() as exchange:
        journal = Path(directory) / "journal.db"
        with Router.from_env(env_of(exchange, journal)) as router:
            recovery = recover(router, exchange, executions=options.executions, outage_s=options.outage_s)
            report = router.reconcile()
    print(json.dumps(asdict(recovery) | {"equal": report.equal, "found": [finding.text for finding in report.found]}))
    return 0 if report.equal and not report.found and recovery.equal_ms <= options.bound_ms else 1


if __name__ == "__main__":
    sys.exit(main())
