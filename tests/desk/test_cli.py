"""The command line as a whole: help, forms, exit codes, and what is imported."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hean as package
from hean.desk.cli import VERBS, run
from hean.desk.cli import hean as group
from hean.desk.desk import Desk, shaped
from hean.desk.exits import Exit, exit_of
from hean.desk.schemas import SCHEMAS
from hean.errors import (
    AuthRefused,
    ConfigError,
    HeanError,
    JournalLocked,
    LocalError,
    OrderRejected,
    OutcomeUnknown,
    RemoteError,
)
from tests.desk.conftest import Hean

NAMES = [name for verbs in VERBS.values() for name in verbs]
ROOT = Path(__file__).resolve().parents[2]
# What only talking to an exchange, running a router or drawing on a terminal needs.
HEAVY = {"requests", "websocket", "pykka", "statemachine", "loguru", "rich", "prometheus_client"}


def python(program: str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program in an interpreter of its own, on this tree."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=dict(os.environ) | {"PYTHONPATH": str(ROOT)} | (env or {}),
    )


def test_help_names_every_verb_without_importing_one():
    done = python("import sys; from hean.desk.cli import run; run(['--help'])\nprint(*sys.modules, file=sys.stderr)")
    for name in NAMES:
        assert f"\n  {name} " in done.stdout
        assert f"hean.desk.{name}" not in done.stderr.split()


@pytest.mark.parametrize("name", [name if name != "config" else "config show" for name in NAMES])
def test_every_verb_has_help_with_an_example(name: str, hean: Hean, capsys: pytest.CaptureFixture[str]):
    assert 0 == hean(*name.split(), "--help").code
    text = capsys.readouterr().out
    assert "Example" in text
    assert f"hean {name}" in text.partition("Example")[2]


def test_viewers_import_nothing_that_they_do_not_need(journal: Path):
    program = (
        "import io, sys\nfrom hean.desk.cli import run\nfrom hean.desk.desk import Desk\n"
        "for line in sys.argv[1:]:\n"
        "    code = run(line.split(), Desk(out=io.StringIO()))\n"
        "    print(code, line, *sys.modules, sep='|', file=sys.stderr)"
    )
    # In one process: what one of them imports shows with those behind it.
    viewers = ["--help", "status", "signals", "orders", "trace filled", "version", "schema", "config show"]
    helps = [f"{name} --help" for name in NAMES if name != "diagram"]
    lines = [*viewers, *helps]
    done = python(program, *lines, env={"HEAN_JOURNAL__PATH": str(journal)})
    told = [line.split("|") for line in done.stderr.splitlines()]
    assert lines == [line for _, line, *_ in told]
    for code, line, *modules in told:
        assert ("0", line, set()) == (code, line, HEAVY & {module.partition(".")[0] for module in modules})
        assert (line, False) == (line, "hean.router" in modules)
    for _, line, *modules in told[: lines.index("trace filled") + 1]:
        # Whole families of values, of which no viewer needs one.
        assert (line, set()) == (line, {"hean.settings", "hean.core.facts", "hean.core.calls"} & set(modules))


def test_an_unknown_verb_is_a_usage_error(hean: Hean):
    ran = hean("orderz")
    assert (Exit.USAGE, "") == (ran.code, ran.out)
    assert "No such command 'orderz'" in ran.err


def test_an_unknown_option_is_a_usage_error_with_where_to_look(hean: Hean):
    ran = hean("orders", "--opem")
    assert Exit.USAGE == ran.code
    assert "--opem" in ran.err
    assert "hean orders --help" in ran.err


def test_a_wrong_setting_is_a_usage_error_that_names_its_source(tmp_path: Path):
    err = io.StringIO()
    assert Exit.USAGE == run(["kill"], Desk({"HEAN_ORDERS__MAX_OPEN": "many"}, io.StringIO(), err))
    assert "HEAN_ORDERS__MAX_OPEN" in err.getvalue()


def test_a_wrong_setting_hides_no_order_from_whoever_looks_at_night(journal: Path):
    env = {"HEAN_JOURNAL__PATH": str(journal), "HEAN_ORDERS__MAX_OPEN": "many"}
    for verb in ("status", "orders", "signals"):
        out = io.StringIO()
        assert Exit.DONE == run([verb, "-o", "json"], Desk(env, out, io.StringIO()))
        assert json.loads(out.getvalue())["journal"] == str(journal)


def test_a_journal_s_path_that_is_none_is_a_usage_error(tmp_path: Path):
    err = io.StringIO()
    assert Exit.USAGE == run(["orders"], Desk({"HEAN_JOURNAL__PATH": " "}, io.StringIO(), err))
    assert "journal.path from environment HEAN_JOURNAL__PATH: expected a path to a file" in err.getvalue()


def test_a_missing_journal_is_a_failed_check_and_data_stays_empty(hean: Hean, tmp_path: Path):
    ran = hean("orders", "--journal", tmp_path / "none.db")
    assert (Exit.CHECK_FAILED, "") == (ran.code, ran.out)
    assert "none.db" in ran.err


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_an_error_is_an_object_on_stderr_where_objects_are_asked_for(form: str, hean: Hean, tmp_path: Path):
    ran = hean("-o", form, "orders", "--journal", tmp_path / "none.db")
    assert "" == ran.out
    error = json.loads(ran.err)
    assert ("hean.error/1", 3) == (error["schema"], error["exit_code"])


def test_the_form_may_stand_before_or_behind_the_verb(hean: Hean):
    before, behind = hean("-o", "json", "orders").data, hean("orders", "-o", "json").data
    assert before["rows"] == behind["rows"]


def test_a_reader_that_has_seen_enough_is_no_error(journal: Path):
    program = "from hean.desk import main; main()"
    done = subprocess.run(
        f"{sys.executable} -c '{program}' schema | head -1",
        shell=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=dict(os.environ) | {"PYTHONPATH": str(ROOT)},
    )
    assert "" == done.stderr
    assert 1 == len(done.stdout.splitlines())


def test_a_bug_says_so_with_its_traceback(hean: Hean, monkeypatch: pytest.MonkeyPatch):
    def broken(self: Desk) -> None:
        raise ZeroDivisionError("as asked")

    monkeypatch.setattr(Desk, "view", broken)
    ran = hean("orders")
    assert Exit.BUG == ran.code
    assert "Traceback" in ran.err
    assert "ZeroDivisionError: as asked" in ran.err


def test_an_interrupt_is_130(hean: Hean, monkeypatch: pytest.MonkeyPatch):
    def interrupted(self: Desk) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Desk, "view", interrupted)
    assert 130 == hean("orders").code


@pytest.mark.parametrize(
    "error,code",
    [
        (ConfigError("x"), 2),
        (LocalError("x"), 3),
        (JournalLocked("x"), 3),
        (RemoteError("unreachable"), 3),
        (RemoteError("said no", ret_code=10001), 5),
        (OrderRejected("said no", ret_code=110007), 5),
        (AuthRefused("said no", ret_code=10003), 5),
        (OutcomeUnknown("x"), 6),
        (HeanError("x"), 3),
        (KeyboardInterrupt(), 130),
        (ValueError("x"), 1),
    ],
)
def test_every_error_has_its_exit_code(error: BaseException, code: int):
    assert code == exit_of(error)


def test_an_object_that_is_not_what_its_schema_says_is_refused():
    good = dict.fromkeys(SCHEMAS["hean.error/1"].fields, "")
    assert {"schema": "hean.error/1", **good} == shaped("hean.error/1", good)
    with pytest.raises(AssertionError, match="exit_code"):
        shaped("hean.error/1", {"error": "", "hint": ""})


def test_every_public_name_is_there_and_nothing_else_is():
    assert sorted(package.__all__) == package.__all__
    for name in package.__all__:
        assert name == getattr(package, name).__name__
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="no attribute 'Rooter'"):
        package.Rooter


def test_importing_hean_imports_no_library_at_all():
    done = python("import sys, hean; print(*sys.modules)")
    assert set() == (HEAVY | {"hean.router", "attrs", "attr", "orjson", "cattrs"}) & set(done.stdout.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_each_shell(shell: str, hean: Hean):
    ran = hean("completion", shell)
    assert 0 == ran.code
    assert "_HEAN_COMPLETE" in ran.out


def test_completion_completes_a_verb():
    program = "from hean.desk import main; main()"
    env = {"_HEAN_COMPLETE": "bash_complete", "COMP_WORDS": "hean or", "COMP_CWORD": "1"}
    assert "plain,orders\n" == python(program, env=env).stdout


def test_the_group_lists_the_verbs_in_the_order_of_its_help():
    assert NAMES == group.list_commands(None)  # type: ignore[arg-type]
