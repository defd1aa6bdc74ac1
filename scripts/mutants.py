"""
Change the machines one small thing at a time, and see that a test of theirs notices.

`python scripts/mutants.py hean/core/step.py` makes every mutant of that module (cosmic-ray's operators, and two of
ours: a statement dropped, a keyword argument dropped), runs the module's own tests on each in a copy of the tree, and
lists those that survive. A survivor that `scripts/mutants.md` explains is known; one that it does not explain is a hole
in the tests, and the exit code is 1.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from attrs import frozen
from cosmic_ray.ast import get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator
from parso.python.tree import Keyword

ROOT = Path(__file__).parent.parent
KNOWN = Path(__file__).parent / "mutants.md"

# A module's own tests, the fast ones first: most mutants die there.
STEPS = tuple(f"tests/core/test_{name}.py" for name in ("step", "doubt", "evidence", "commands", "draft"))
TESTS = {
    "hean/core/order.py": (*STEPS, "tests/core/test_order.py"),
    **{
        f"hean/core/{name}.py": (
            f"tests/core/test_{name}.py",
            *STEPS,
            "tests/core/test_order_properties.py",
            "tests/core/test_order.py",
        )
        for name in ("step", "doubt", "evidence", "commands", "draft")
    },
    "hean/core/position.py": ("tests/core/test_position.py",),
}
COPIED = ("hean", "tests", "pyproject.toml", "setup.cfg")
# Killed by hanging. The slowest of the test files above takes a fraction of it on an idle machine.
TIMEOUT_S = 240

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


def mutants_of(path: str) -> list[Mutant]:
    """Every mutant of a module that is still Python, each once."""
    source = (ROOT / path).read_text()
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


def survives(mutant: Mutant, copy: Path, tests: Sequence[str]) -> bool:
    """Run the tests on a mutant, in a process of its own: forked, so that what is not ours is imported once."""
    (copy / mutant.path).write_text(mutant.source)
    child = os.fork()
    if child == 0:
        os.setsid()
        os.chdir(copy)
        sys.path.insert(0, str(copy))
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        import pytest  # noqa: PLC0415 - its plugins must see the copy, not us

        options = ["-x", "-q", "--noconftest", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist"]
        # The judge of the flat engine is slow, and it shares every mutant with it.
        os._exit(int(pytest.main([*options, "--deselect", "tests/core/test_order.py::test_both_engines", *tests])))
    return _code_of(child) == 0


def _code_of(child: int) -> int:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1


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
def main(paths: tuple[str, ...], sample: int | None, seed: int, lines: str) -> None:
    """Mutate PATHS (all machines unless told) and list the mutants that no test kills."""
    explained = known()
    holes = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
        sys.dont_write_bytecode = True
        copy = Path(directory)
        _copy_tree(copy)
        for path in paths or sorted(TESTS):
            mutants = mutants_of(path)
            if lines:
                first, _, last = lines.partition("-")
                mutants = [mutant for mutant in mutants if int(first) <= mutant.number <= int(last)]
            if sample is not None and sample < len(mutants):
                mutants = random.Random(seed).sample(mutants, sample)
            started, survivors = time.monotonic(), []
            for mutant in mutants:
                if survives(mutant, copy, TESTS[path]):
                    survivors.append(mutant)
                    print(f"{_row(mutant)} line {mutant.number}", flush=True)
            (copy / path).write_text((ROOT / path).read_text())
            unexplained = [mutant for mutant in survivors if mutant.key not in explained]
            holes += len(unexplained)
            print(
                f"{path}: {len(mutants)} mutants, {len(mutants) - len(survivors)} killed, {len(survivors)} survived, "
                f"{len(unexplained)} unexplained, {time.monotonic() - started:.0f} s",
                flush=True,
            )
    sys.exit(1 if holes else 0)


def _copy_tree(copy: Path) -> None:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
        elif source.exists():
            shutil.copy(source, copy / name)


if __name__ == "__main__":
    main()
