"""Who may import whom holds, and each contract fails when it is broken on purpose."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# All that the core may know of the world. What is not listed here needs a reason to be.
PURE = frozenset(
    {
        "__future__", "attrs", "base64", "bisect", "cattrs", "collections", "decimal", "enum", "fractions", "functools",
        "hashlib", "hean.core", "hean.errors", "itertools", "json", "math", "operator", "orjson", "re", "statemachine",
        "textwrap", "types", "typing", "xml.sax.saxutils",
    }
)  # fmt: skip
IMPURE_CALLS = frozenset({"open", "print", "input", "exec", "eval", "__import__", "breakpoint"})


def lint_imports(where: Path) -> tuple[int, str]:
    """Exit code and words of the linter, on the tree of that directory."""
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool, "--no-cache"], cwd=where, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, " ".join(done.stdout.split())


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and of what is tested with it, to break."""
    for name in ("hean", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "data"))
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    return tmp_path


def test_the_contracts_hold() -> None:
    code, said = lint_imports(ROOT)
    assert 0 == code, said
    assert "0 broken" in said


@pytest.mark.parametrize(
    "module,line,broken",
    [
        ("hean/core/ids.py", "import hean.settings", "hean.core is not allowed to import hean.settings"),
        ("hean/actors/bus.py", "import hean.router", "hean.actors is not allowed to import hean.router"),
        ("hean/journal/sql.py", "import hean.bybit.auth", "hean.journal is not allowed to import hean.bybit"),
        ("hean/bybit/auth.py", "import hean.telemetry", "hean.bybit is not allowed to import hean.telemetry"),
        ("hean/newcomer.py", "import attrs", "hean.newcomer"),
        ("hean/core/order.py", "import threading", "hean.core is not allowed to import threading"),
        ("hean/core/step.py", "from time import monotonic", "hean.core is not allowed to import time"),
        ("hean/core/retry.py", "import random", "hean.core is not allowed to import random"),
        ("hean/core/calls.py", "from loguru import logger", "hean.core is not allowed to import loguru"),
        ("hean/bybit/rest.py", "import pykka", "hean.bybit is not allowed to import pykka"),
        ("hean/actors/order.py", "import requests", "hean.actors is not allowed to import requests"),
        ("hean/router.py", "import sqlite3", "hean.router is not allowed to import sqlite3"),
        ("hean/router.py", "import logging", "hean.router is not allowed to import logging"),
        ("tests/exchange/engine.py", "import hean.core.types", "tests.exchange is not allowed to import hean"),
    ],
)
def test_a_broken_contract_is_told(module: str, line: str, broken: str, copy: Path) -> None:
    with (copy / module).open("a") as file:
        file.write(f"\n{line}\n")
    code, said = lint_imports(copy)
    assert 1 == code, said
    assert broken in said


def test_the_core_imports_nothing_impure() -> None:
    files = [*(ROOT / "hean" / "core").rglob("*.py"), ROOT / "hean" / "errors.py"]
    assert [] == [f"{file.name}: {what}" for file in files for what in impure(file.read_text())]


@pytest.mark.parametrize(
    "code,seen",
    [
        ("import socket", ["socket"]),
        ("import os.path", ["os.path"]),
        ("from datetime import datetime", ["datetime"]),
        ("def f():\n    import time", ["time"]),
        ("from hean import settings", ["hean"]),
        ("open('x')", ["open()"]),
        ("from hean.core import ids\nimport math", []),
    ],
)
def test_impurity_is_seen(code: str, seen: list[str]) -> None:
    assert seen == impure(code)


def impure(code: str) -> list[str]:
    """Imports and calls of a module that the core may not make."""
    found = []
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Import():
                found += [name.name for name in node.names if not is_pure(name.name)]
            case ast.ImportFrom(module=str(module)) if not is_pure(module):
                found.append(module)
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_CALLS:
                found.append(f"{name}()")
    return found


def is_pure(module: str) -> bool:
    return any(module == pure or module.startswith(f"{pure}.") for pure in PURE)
