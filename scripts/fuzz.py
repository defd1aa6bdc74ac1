"""
Throw bytes at the codec and at the stream: nothing but the codec's own error, and no state changed by what is no row.

The properties are those of `tests/fuzz`; a failure prints the smallest input that shows it. Exit codes: 0 all hold;
1 one does not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loguru import logger

from tests.fuzz import properties
from tests.fuzz.world import Told


def main() -> int:
    """Run; the exit code."""
    parser = argparse.ArgumentParser(description="fuzz the codec and the stream")
    parser.add_argument("--examples", type=int, default=20_000, help="of each property (default 20000)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logger.remove()
    # The router's own threads draw from `random` while examples are drawn here.
    warnings.filterwarnings("ignore", message="Do not use the `random` module")
    with tempfile.TemporaryDirectory() as directory, Told(Path(directory)) as told:
        for name, run in (
            ("frames", properties.documented_frames(options.examples, options.seed)),
            ("replies", properties.replies(options.examples, options.seed)),
            ("pages", properties.pages(told, options.examples, options.seed)),
            ("stream", properties.stream(told, options.examples, options.seed)),
        ):
            began = time.monotonic()
            run()
            print(f"{name}: {options.examples} examples hold, {time.monotonic() - began:.0f} s", flush=True)
        print(f"stream: {told.fed} frames were told to a running router, and none changed it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
