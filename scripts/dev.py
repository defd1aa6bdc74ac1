"""
Everything a developer runs, on a machine with nothing but git and Python 3.11 to 3.13.

    python3 scripts/dev.py smoke    the round trip, on the loopback exchange or, with keys, on the real testnet
    python3 scripts/dev.py test     lint, types, import contracts, generated docs and all tests
    python3 scripts/dev.py run ...  any command in the same environment, e.g. run pytest -k lost

What is needed is installed once, pinned by scripts/constraints.txt, into a virtual environment in the user's cache
directory; a change of the pins, of the dependencies or of Python makes a new one. Further arguments of smoke and test
go to scripts/smoke.py and to pytest.
"""

from __future__ import annotations

# Imported by whatever python3 is, so nothing up here is newer than the message that it is too old.
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "scripts" / "constraints.txt"
PROJECT = ROOT / "pyproject.toml"
PYTHONS = ((3, 11), (3, 12), (3, 13))
READY = "ready"
USAGE = 2

CHECKS = (
    ("lint", ("ruff", "check", "hean", "tests", "scripts")),
    ("types", ("mypy",)),
    ("types of the scripts", ("mypy", "--explicit-package-bases", "--follow-imports=silent", "scripts")),
    ("types as a user sees them", ("mypy", "tests/typing")),
    ("import contracts", ("lint-imports",)),
    ("generated docs", ("python", "scripts/diagrams.py", "--check")),
    ("tests", ("pytest", "-q", "-n", "4")),
)


def dependencies() -> list[str]:
    """What the package and its tests need, by pyproject.toml."""
    import tomllib  # noqa: PLC0415 - not there before 3.11, whose absence is to be told

    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["dev"]]


def environment(needed: list[str]) -> Path:
    """The directory of the virtual environment that these pins belong to."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    told = "\n".join([*needed, PINS.read_text(encoding="utf-8"), sys.version, sys.executable])
    name = "venv-{}.{}-{}".format(*sys.version_info[:2], hashlib.sha256(told.encode()).hexdigest()[:16])
    return cache / "hean" / name


def prepared() -> Path:
    """The environment, made where it is not there yet; several may ask at once."""
    needed = dependencies()
    place = environment(needed)
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(str(place) + ".lock", "w") as lock:  # noqa: PTH123 - a name beside the directory
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / READY).exists():
            print(f"setting up {place} (once)", file=sys.stderr, flush=True)
            shutil.rmtree(place, ignore_errors=True)
            made = subprocess.run([sys.executable, "-m", "venv", place], check=False)
            if made.returncode:
                sys.exit("python -m venv failed: install your system's python3-venv, or another Python")
            install = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*install, "--constraint", str(PINS), *needed], check=True)
            (place / READY).touch()
    return place


def run(place: Path, command: Sequence[str]) -> int:
    """Exit code of a command in the environment, from the top of the tree."""
    env = {name: value for name, value in os.environ.items() if name not in {"PYTHONHOME", "PYTHONPATH"}}
    env |= {"PATH": f"{place / 'bin'}{os.pathsep}{env.get('PATH', os.defpath)}", "VIRTUAL_ENV": str(place)}
    env |= {"PYTHONPATH": str(ROOT)}
    tool = place / "bin" / command[0]
    words = [str(tool) if tool.exists() else command[0], *command[1:]]
    return subprocess.run(words, cwd=ROOT, env=env, check=False).returncode


def test(place: Path, arguments: Sequence[str]) -> int:
    """All checks, each whatever the others said; the exit code of the first that failed."""
    told = []
    for name, command in CHECKS:
        print(f"== {name}: {' '.join(command)}", flush=True)
        began_s = time.monotonic()
        code = run(place, [*command, *(arguments if name == "tests" else ())])
        told.append((name, code, time.monotonic() - began_s))
    print("== summary")
    for name, code, took_s in told:
        print(f"{'ok  ' if code == 0 else 'FAIL'} {name} ({took_s:.0f} s)")
    return next((code for _, code, _ in told if code), 0)


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    if sys.version_info[:2] not in PYTHONS:
        for major, minor in reversed(PYTHONS):
            other = shutil.which(f"python{major}.{minor}")
            if other:
                os.execv(other, [other, __file__, *arguments])
        sys.exit("expected Python 3.11 to 3.13, was {}.{} and no other was found".format(*sys.version_info[:2]))
    verb = arguments[0] if arguments else ""
    if verb == "smoke":
        return run(prepared(), ["python", "scripts/smoke.py", *arguments[1:]])
    if verb == "test":
        return test(prepared(), arguments[1:])
    if verb == "run" and len(arguments) > 1:
        return run(prepared(), arguments[1:])
    print(__doc__.strip(), file=sys.stderr)
    return USAGE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
