"""
Change the machines one small thing at a time, and see that a test of theirs notices.

`python scripts/mutants.py hean/core/step.py` makes every mutant of that module (cosmic-ray's operators, and two of
ours: a statement dropped, a keyword argument dropped), runs the module's own tests on each in a copy of the tree, and
lists those that survive. A survivor that `scripts/mutants.md` explains is known; one that it does not explain is a hole
in the tests, and the exit code is 1. What became of each mutant is kept, so a run that was cut goes on where it was.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import json
import os
import random
import re
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import click
import hypothesis
import pytest
from attrs import frozen
from cosmic_ray.ast import get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator
from parso.python.tree import Keyword

ROOT = Path(__file__).parent.parent
KNOWN = Path(__file__).parent / "mutants.md"

# A module's own tests, the cheap and telling ones first: most mutants die there.
STEPS = tuple(f"tests/core/test_{name}.py" for name in ("step", "commands", "doubt", "evidence", "draft"))
WHOLE = ("tests/core/test_order.py", "tests/core/test_order_races.py", "tests/core/test_order_properties.py")
TESTS = {
    "hean/core/order.py": (*STEPS, *WHOLE),
    "hean/core/position.py": ("tests/core/test_position.py", "tests/core/test_position_chart.py"),
    **{
        f"hean/core/{name}.py": (f"tests/core/test_{name}.py", *STEPS, *WHOLE)
        for name in ("step", "doubt", "evidence", "commands", "draft")
    },
    "hean/core/record.py": ("tests/core/test_record.py", *STEPS, *WHOLE),
    "hean/core/ledger.py": ("tests/core/test_ledger.py", *STEPS, *WHOLE),
    "hean/core/holding.py": ("tests/core/test_holding.py", "tests/core/test_position.py"),
}
# The judge of the flat engine is slow and shares nearly every mutant with it: it sits over those that live so far.
JUDGED = "tests/core/test_order.py"
DESELECTED = f"{JUDGED}::test_both_engines"
COPIED = ("hean", "tests", "pyproject.toml", "setup.cfg")
# Killed by hanging: processor seconds, several times what all of a module's tests take.
LIMIT_S = 90
# What hean and the tests are built on; imported once, before the first fork.
UNHURRIED = tuple(hypothesis.HealthCheck)
PRELOADED = ("attrs", "cattrs", "hypothesis.stateful", "orjson", "pytest", "statemachine")

OPERATORS = (
    "AddNot",
    "NumberReplacer",
    "ReplaceAndWithOr",
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Mul_Add",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBreakWithContinue",
    "ReplaceComparisonOperator_Eq_NotEq",
    "ReplaceComparisonOperator_GtE_Gt",
    "ReplaceComparisonOperator_GtE_Lt",
    "ReplaceComparisonOperator_Gt_GtE",
    "ReplaceComparisonOperator_Gt_LtE",
    "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_LtE_Lt",
    "ReplaceComparisonOperator_LtE_Gt",
    "ReplaceComparisonOperator_Lt_GtE",
    "ReplaceComparisonOperator_Lt_LtE",
    "ReplaceContinueWithBreak",
    "ReplaceFalseWithTrue",
    "ReplaceOrWithAnd",
    "ReplaceTrueWithFalse",
    "ReplaceUnaryOperator_Delete_Not",
    "ZeroIterationForLoop",
)


class DropStatement(Operator):  # type: ignore[misc]
    """A statement of a function does not happen."""

    def mutation_positions(self, node: Any) -> Iterator[Any]:
        if node.type == "simple_stmt" and node.children[0].type in {"expr_stmt", "atom_expr", "power", "return_stmt"}:
            ancestor = node.parent
            while ancestor is not None and ancestor.type != "funcdef":
                ancestor = ancestor.parent
            if ancestor is not None:
                yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:  # noqa: ARG002 - there is one position a node
        old = node.children[0]
        node.children[0] = Keyword("pass", old.start_pos, old.get_first_leaf().prefix)
        return node

    @classmethod
    def examples(cls) -> Iterable[Any]:
        return ()


class DropKeyword(Operator):  # type: ignore[misc]
    """A call leaves one of its keyword arguments out."""

    def mutation_positions(self, node: Any) -> Iterator[Any]:
        for child in self._keywords(node):
            yield child.start_pos, child.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        at = node.children.index(self._keywords(node)[index])
        # Its comma goes with it, the one behind where there is one.
        followed = node.type == "arglist" and at + 1 < len(node.children)
        first = at if followed or node.type == "trailer" or at == 0 else at - 1
        del node.children[first : at + 1 + followed]
        return node

    @classmethod
    def examples(cls) -> Iterable[Any]:
        return ()

    @staticmethod
    def _keywords(node: Any) -> list[Any]:
        if node.type not in {"arglist", "trailer"}:
            return []
        return [child for child in node.children if child.type == "argument" and child.children[1] == "="]


@frozen(kw_only=True)
class Mutant:
    """One changed module: where, and what became of the line."""

    path: str
    number: int
    before: str
    after: str
    source: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.path, self.before, self.after

    @property
    def text(self) -> str:
        """The function or statement that holds the change, as changed: what another one of the module cannot touch."""
        return f"{self.path}\n{_block_at(self.source, self.number)}"


def _block_at(source: str, line: int) -> str:
    names: list[str] = []
    nodes = ast.parse(source).body
    while True:
        inner = [node for node in nodes if _first_line(node) <= line <= (node.end_lineno or 0)]
        if not inner:
            return " ".join(names)
        node = inner[0]
        names.append(getattr(node, "name", ""))
        if not isinstance(node, ast.ClassDef) or line <= node.lineno:
            return " ".join([*names, ast.unparse(node)])
        nodes = node.body


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in decorators)])


def mutants_of(path: str, source: str) -> list[Mutant]:
    """Every mutant of a module that is still Python, each once."""
    operators: list[Any] = [get_operator(f"core/{name}")() for name in OPERATORS]
    mutants: dict[str, Mutant] = {}
    for operator in (*operators, DropStatement(), DropKeyword()):
        for occurrence in range(_count(source, operator)):
            changed = mutate_code(source, operator, occurrence)
            if changed is None or changed == source or changed in mutants or not _compiles(changed):
                continue
            mutants[changed] = _described(path, source, changed)
    return sorted(mutants.values(), key=lambda mutant: (mutant.number, mutant.after))


def _count(source: str, operator: Any) -> int:
    nodes, count = [get_ast(source)], 0
    while nodes:
        node = nodes.pop()
        count += sum(1 for _ in operator.mutation_positions(node))
        nodes += getattr(node, "children", ())
    return count


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _described(path: str, source: str, changed: str) -> Mutant:
    old, new = source.splitlines(), changed.splitlines()
    number = next(at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b)
    # A dropped argument may take a line with it: what stood there is told, and what stands there now.
    return Mutant(path=path, number=number + 1, before=old[number].strip(), after=new[number].strip(), source=changed)


def killer_of(mutant: Mutant, copy: Path, tests: Sequence[str]) -> str:
    """
    Run the tests on a mutant, in a process of its own: forked, so that what is not ours is imported once.

    Returns:
        The test that failed first; "" where all pass.
    """
    (copy / mutant.path).write_text(mutant.source)
    quick = [path for path in dict.fromkeys(tests) if path not in WHOLE]
    killer = _run(copy, [quick, *([path] for path in tests if path in WHOLE)], judged=False)
    return killer or (_run(copy, [[JUDGED]], judged=True) if JUDGED in tests else "")


def _run(copy: Path, groups: Sequence[Sequence[str]], *, judged: bool) -> str:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        _be_child(copy, groups, write, judged=judged)
    os.close(write)
    with os.fdopen(read) as pipe:
        words = pipe.read().splitlines()
    _, status = os.waitpid(child, 0)
    return words[0] if words else "" if status == 0 else f"signal or exit {os.waitstatus_to_exitcode(status)}"


def _be_child(copy: Path, groups: Sequence[Sequence[str]], told: int, *, judged: bool) -> NoReturn:
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S))
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    # Without plugins and settings: loading them would cost as much as the tests.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    options = ["-x", "-q", "--noconftest", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(copy)]
    options += ["--deselect", DESELECTED]
    for paths in groups:
        if not judged and paths == [JUDGED]:
            options += ["-k", "not interpreted"]
            _dismiss_judge()
        if code := pytest.main([*options, *paths], plugins=[_Teller(told)]):
            os.write(told, f"{' '.join(paths)}\n".encode())
            os._exit(int(code))
    os._exit(0)


def _dismiss_judge() -> None:
    chart, step = importlib.import_module("hean.core.chart"), importlib.import_module("hean.core.step")
    chart.Interpreted = lambda machine: chart.compile_chart(machine, step.Step)  # type: ignore[attr-defined]


class _Teller:
    """A plugin of pytest that tells which test failed."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            os.write(self._pipe, f"{report.nodeid}\n".encode())


class Session:
    """
    What became of each mutant, in a file: a run that was cut goes on where it was.

    A killed mutant counts as killed while the function that it changes and the test that killed it are there; a
    survivor is tried again once a test of its module, or anything that one imports, has changed. Without the file
    everything is tried.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self._rows = {row["mutant"]: row for row in map(json.loads, lines)}

    def killer_of(self, mutant: Mutant, tests: Sequence[str]) -> str | None:
        """Which test killed it, or "" where it survived them all; None where it is to be tried."""
        row = self._rows.get(_sha(mutant.text), {"killer": None, "digest": ""})
        killer: str | None = row["killer"]
        if killer:
            path, _, name = killer.partition("::")
            there = (ROOT / path).exists() and f"def {name.partition('[')[0]}(" in (ROOT / path).read_text()
            return killer if there or not name else None
        return killer if row["digest"] == digest_of(mutant.path, tests) else None

    def remember(self, mutant: Mutant, tests: Sequence[str], killer: str) -> None:
        """Write down what became of it."""
        row = {"mutant": _sha(mutant.text), "digest": digest_of(mutant.path, tests), "killer": killer}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps({**row, "path": mutant.path, "line": mutant.number}) + "\n")


@cache
def digest_of(path: str, tests: Sequence[str]) -> str:
    """Of the tests of a module and everything of ours that they import, but for the module itself."""
    found: set[str] = set()
    left = list(tests)
    while left:
        name = left.pop()
        if name in found or not (ROOT / name).exists():
            continue
        found.add(name)
        for module, names in _IMPORT.findall((ROOT / name).read_text()):
            base = module.replace(".", "/")
            left += [f"{base}.py", *(f"{base}/{part}.py" for part in _WORD.findall(names))]
    return _sha("".join((ROOT / name).read_text() for name in sorted(found - {path})))


_IMPORT = re.compile(r"^from ((?:hean|tests)[\w.]*) import (\([^)]*\)|.*)$", re.MULTILINE)
_WORD = re.compile(r"\w+")


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def known() -> set[tuple[str, str, str]]:
    """Survivors that are explained: rows of the table in mutants.md."""
    rows = [line.split(" | ") for line in KNOWN.read_text().splitlines() if line.startswith("| `hean/")]
    return {(row[0].strip("| `"), _code(row[1]), _code(row[2])) for row in rows}


def _code(cell: str) -> str:
    return cell.strip().removeprefix("`").removesuffix("`").strip().replace("\\|", "|")


def _row(mutant: Mutant) -> str:
    before, after = (text.replace("|", "\\|") for text in (mutant.before, mutant.after))
    return f"| `{mutant.path}` | `{before}` | `{after}` | ? |"


@click.command()
@click.argument("paths", nargs=-1, type=click.Choice(sorted(TESTS)))
@click.option("--sample", type=click.IntRange(min=1), help="Try only so many of each module, chosen by --seed.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--lines", default="", help="Only mutants of these lines of the module: FIRST-LAST.")
@click.option("--session", type=click.Path(path_type=Path), default=ROOT / "build" / "mutants.jsonl", show_default=True)
def main(paths: tuple[str, ...], sample: int | None, seed: int, lines: str, session: Path) -> None:
    """Mutate PATHS (all machines unless told) and list the mutants that no test kills."""
    kept, holes = Session(session), 0
    for name in PRELOADED:
        importlib.import_module(name)
    # A slow machine must not kill a mutant, nor luck.
    settings = hypothesis.settings(deadline=None, derandomize=True, database=None, suppress_health_check=UNHURRIED)
    hypothesis.settings.register_profile("mutants", settings)
    hypothesis.settings.load_profile("mutants")
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
        copy = Path(directory)
        _copy_tree(copy)
        for path in paths or sorted(TESTS):
            holes += _try_module(path, copy, kept, lambda mutants: _chosen(mutants, sample, seed, lines))
    sys.exit(1 if holes else 0)


def _chosen(mutants: list[Mutant], sample: int | None, seed: int, lines: str) -> list[Mutant]:
    if lines:
        first, _, last = lines.partition("-")
        mutants = [mutant for mutant in mutants if int(first) <= mutant.number <= int(last)]
    if sample is not None and sample < len(mutants):
        mutants = random.Random(seed).sample(mutants, sample)
    return mutants


def _try_module(path: str, copy: Path, kept: Session, choose: Callable[[list[Mutant]], list[Mutant]]) -> int:
    """Try a module's mutants, tell what came of them, and return how many survivors nobody explains."""
    tests, source = TESTS[path], (ROOT / path).read_text()
    unharmed = Mutant(path=path, number=0, before="", after="", source=source)
    # This run also leaves the compiled files that the others use; the module's own would be taken for a mutant's.
    sys.dont_write_bytecode = False
    if failed := killer_of(unharmed, copy, tests):
        raise click.ClickException(f"{path}: {failed} fails without any mutant; mend it first")
    sys.dont_write_bytecode = True
    for compiled in (copy / path).parent.glob(f"__pycache__/{Path(path).stem}.*.pyc"):
        compiled.unlink()
    started, explained, survivors = time.monotonic(), known(), []
    mutants = choose(mutants_of(path, source))
    for mutant in mutants:
        if mutant.key in explained:
            # It was seen to live, and why is written down: not tried again.
            survivors.append(mutant)
            continue
        killer = kept.killer_of(mutant, tests)
        if killer is None:
            killer = killer_of(mutant, copy, tests)
            kept.remember(mutant, tests, killer)
        if not killer:
            survivors.append(mutant)
            print(f"{_row(mutant)} line {mutant.number}", flush=True)
    (copy / path).write_text(source)
    unexplained = [mutant for mutant in survivors if mutant.key not in explained]
    print(
        f"{path}: {len(mutants)} mutants, {len(mutants) - len(survivors)} killed, {len(survivors)} survived, "
        f"{len(unexplained)} unexplained, {time.monotonic() - started:.0f} s",
        flush=True,
    )
    return len(unexplained)


def _copy_tree(copy: Path) -> None:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
        elif source.exists():
            shutil.copy(source, copy / name)


if __name__ == "__main__":
    main()
