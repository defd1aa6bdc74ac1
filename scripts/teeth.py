"""
Does the simulator bite? Puts each deliberate bug of tests/simulator/teeth.py into a copy, and plays until a law breaks.

    teeth.py                      every bug, at most 10,000 seeds each
    teeth.py --only NAME,NAME     these
    teeth.py --list               what they are

Exit code: 0 every bug was caught, 1 one was not.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.simulator.teeth import TEETH, Tooth

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("hean", "tests/exchange", "tests/simulator", "scripts")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many at most")
    parser.add_argument("--only", default="", help="names, with commas")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--parallel", type=int, default=2)
    args = parser.parse_args()
    wanted = [tooth for tooth in TEETH if not args.only or tooth.name in args.only.split(",")]
    if args.list:
        for tooth in wanted:
            print(f"{tooth.name:36} {tooth.what}")
        return 0
    for tooth in wanted:
        count = (ROOT / tooth.path).read_text().count(tooth.old)
        if count != 1:
            print(f"{tooth.name}: its place in {tooth.path} is there {count} times", file=sys.stderr)
            return 1
    with ThreadPoolExecutor(args.parallel) as pool:
        missed = sum(not caught for caught in pool.map(lambda tooth: bite(tooth, args.seeds), wanted))
    print(f"{len(wanted) - missed} of {len(wanted)} caught")
    return 1 if missed else 0


def bite(tooth: Tooth, seeds: int) -> bool:
    """Play with one bug; whether a law broke."""
    began_s = time.perf_counter()
    with tempfile.TemporaryDirectory() as made:
        copy = Path(made)
        for part in PARTS:
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / "tests" / "__init__.py").touch()
        target = copy / tooth.path
        target.write_text(target.read_text().replace(tooth.old, tooth.new))
        run = subprocess.run(
            [sys.executable, "scripts/simulate.py", "--seeds", str(seeds), "--processes", "1", "--stop"],
            cwd=copy,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(copy)},
        )
    found = re.search(r"seed (\d+) BROKEN (\w+): (.{0,100})", run.stdout)
    took_s = time.perf_counter() - began_s
    if found is None:
        tail = (run.stderr or run.stdout).strip().splitlines()[-1:] or [""]
        print(f"NOT CAUGHT {tooth.name:36} {took_s:6.1f} s  {tail[0][:120]}", flush=True)
        return False
    print(f"caught {tooth.name:36} seed {found[1]:>5}  {found[2]}: {found[3]}  ({took_s:.1f} s)", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
