"""Every verb in every form: text for people, objects for programs, and an exit code for both."""

from __future__ import annotations

import io
import json
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from hean import OrderState, Router
from hean.desk.cli import VERBS, run
from hean.desk.desk import Desk
from hean.desk.schemas import SCHEMAS
from hean.desk.version import version_of
from tests.conftest import env_of
from tests.desk.conftest import WAIT_S, Hean, Ran, Terminal, hean_in, resting, signal
from tests.exchange import LoopbackExchange

# What a kill waits for at its end is that nobody's request can be taken any more: this and a second.
QUICK = {"HEAN_BYBIT__RECV_WINDOW_MS": "500"}


@frozen
class Case:
    """A command line, how it ends, words of its text, and the schemas of its head and of its rows."""

    line: str
    code: int
    words: tuple[str, ...]
    head: str
    rows: str = ""


# On an exchange with one position and one resting order, by a router that runs; in this order.
RUNNING = [
    Case("status", 0, ("running", "live", "1 open"), "hean.status/1"),
    Case("signals", 0, ("received", "denied", "off_step"), "hean.signals/1", "hean.signal/1"),
    Case("orders", 0, ("ACKNOWLEDGED", "BTCUSDT"), "hean.orders/1", "hean.order/1"),
    Case("trace filled", 0, ("SUBMITTED -> FILLED",), "hean.trace/1", "hean.trace.line/1"),
    Case("positions", 0, ("Buy 0.003",), "hean.positions/1", "hean.position/1"),
    Case("reconcile", 0, ("both sides agree",), "hean.reconcile/1"),
    Case("check signal.json", 0, ("it would be sent",), "hean.check/1", "hean.check.step/1"),
    Case("doctor", 0, ("14 pass, 0 warn, 0 fail",), "hean.doctor/1", "hean.doctor.check/1"),
    Case("halt", 0, ("obeyed",), "hean.command/1"),
    Case("status", 7, ("HALTED",), "hean.status/1"),
    Case("resume", 0, ("obeyed",), "hean.command/1"),
    Case("resolve open --as settled --why x", 3, ("denied",), "hean.command/1"),
    Case("cancel filled", 3, ("denied",), "hean.command/1"),
    Case("replay", 0, ("no difference",), "hean.replay/1"),
    Case("diagram order --order filled", 0, ("flowchart TB",), "hean.diagram/1"),
    Case("config show", 0, ("orders.max_open", "500", "default"), "hean.config/1", "hean.setting/1"),
    Case("schema", 0, ("hean.order/1: ", "order_link_id"), "hean.schema/1"),
    Case("completion zsh", 0, ("_HEAN_COMPLETE",), "hean.completion/1"),
    Case("version", 0, (f"hean {version_of('hean')}", f"python {platform.python_version()}"), "hean.version/1"),
    Case("kill", 0, ("nothing",), "hean.kill/1"),
]


@frozen
class Running:
    """A router that runs, and a command line there."""

    env: dict[str, str]

    def env_of(self, case: Case) -> dict[str, str]:
        return self.env | (QUICK if case.line == "kill" else {})

    def hean(self, form: str, case: Case) -> Ran:
        return hean_in(self.env_of(case))("-o", form, *case.line.split())


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.chdir(tmp_path)
    asked = {"strategy_id": "trend", "signal_id": "new", "symbol": "BTCUSDT", "side": "Buy", "qty": "0.001"}
    (tmp_path / "signal.json").write_text(json.dumps(asked))
    with LoopbackExchange() as exchange:
        env = env_of(exchange, tmp_path / "journal.db")
        with Router.from_env(env) as router:
            router.submit(signal("filled", qty="0.003")).wait(WAIT_S)
            router.submit(resting("open")).wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
            router.submit(signal("denied", qty="0.0015"))
            yield Running(env)


def shaped(data: Any, name: str, *, whole: bool) -> None:
    """It is an object of that schema and holds what the schema says, and nothing else."""
    fields = set(SCHEMAS[name].fields) | {"schema"}
    assert (name, fields) == (data["schema"], set(data) - ({"rows"} if whole else set()))


@pytest.mark.parametrize("form", ["text", "json", "jsonl"])
def test_every_verb_in_every_form(form: str, running: Running):
    for case in RUNNING:
        ran = running.hean(form, case)
        assert (case.line, case.code) == (case.line, ran.code), ran.err
        # stdout is data, plain in a pipe.
        assert "\x1b" not in ran.out
        if form == "text":
            assert (case.line, []) == (case.line, [word for word in case.words if word not in ran.out])
        elif form == "json":
            [line] = ran.out.splitlines()
            shaped(json.loads(line), case.head, whole=True)
            for row in json.loads(line).get("rows", []):
                shaped(row, case.rows or row["schema"], whole=False)
        else:
            head, *rows = ran.rows
            shaped(head, case.head, whole=False)
            for row in rows:
                shaped(row, case.rows or row["schema"], whole=False)
        if case.rows and form != "text":
            assert (case.line, True) == (case.line, bool(ran.data["rows"] if form == "json" else ran.rows[1:]))


# Text of another kind: a machine's source, a shell's script, addresses and paths that no width bounds.
UNBOUNDED = {"diagram", "completion"}


def test_every_verb_fits_80_columns_on_a_terminal(running: Running):
    for case in RUNNING:
        if case.line.split()[0] in UNBOUNDED:
            continue
        out = Terminal()
        assert case.code == run(case.line.split(), Desk(running.env_of(case) | {"COLUMNS": "80"}, out, io.StringIO()))
        assert (case.line, []) == (case.line, [line for line in out.text.splitlines() if len(line) > 80])


def test_the_table_has_every_verb():
    assert {name for verbs in VERBS.values() for name in verbs} == {case.line.split()[0] for case in RUNNING}


def test_every_schema_is_met_or_is_that_of_an_error_or_a_difference():
    met = {name for case in RUNNING for name in (case.head, case.rows) if name}
    assert {"hean.error/1", "hean.difference/1", "hean.finding/1"} >= set(SCHEMAS) - met


# What goes wrong with each verb on a journal whose router is gone, and nobody at the exchange's address.
GONE = [
    ("status --journal none.db", 3, "there is no journal"),
    ("signals --since soon", 2, "such as 30m"),
    ("orders --limit none", 2, "none"),
    ("trace nobody", 3, "knows nothing of 'nobody'"),
    ("positions --timeout 0.1", 3, "127.0.0.1"),
    ("reconcile --timeout 0.1", 3, "127.0.0.1"),
    ("check none.json", 2, "none.json"),
    ("doctor --symbol", 2, "symbol"),
    ("halt --timeout soon", 2, "soon"),
    ("resume", 3, "no router has"),
    ("cancel filled", 3, "no router has"),
    ("kill --timeout 0", 2, "timeout"),
    ("resolve filled --as settled --why x", 3, "no router has"),
    ("replay --journal none.db", 3, "there is no journal"),
    ("diagram orders", 2, "orders"),
    ("config hide", 2, "hide"),
    ("schema hean.ordre/1", 2, "hean.ordre/1"),
    ("completion csh", 2, "csh"),
    ("version --all", 2, "--all"),
]


def test_every_verb_has_a_way_to_fail():
    assert {name for verbs in VERBS.values() for name in verbs} == {line.split()[0] for line, _, _ in GONE}


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("case", GONE, ids=[line for line, _, _ in GONE])
def test_what_goes_wrong_is_told_on_stderr_with_its_exit_code(
    case: tuple[str, int, str], form: str, journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    line, code, words = case
    monkeypatch.chdir(tmp_path)
    nobody = "127.0.0.1:9"
    env = {
        "HEAN_JOURNAL__PATH": str(journal),
        "HEAN_BYBIT__REST_URL": f"http://{nobody}",
        "HEAN_BYBIT__PRIVATE_URL": f"ws://{nobody}/v5/private",
        "HEAN_BYBIT__TRADE_URL": f"ws://{nobody}/v5/trade",
        "BYBIT_API_KEY": "key",
        "BYBIT_API_SECRET": "secret",
    }
    ran = hean_in(env)("-o", form, *line.split())
    assert (code, "") == (ran.code, ran.out)
    assert words in ran.err
    if form == "json":
        error = json.loads(ran.err)
        assert ("hean.error/1", code) == (error["schema"], error["exit_code"])
    else:
        assert ran.err.startswith("hean: ")


def test_config_show_names_value_and_source_of_every_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hean.toml").write_text("[orders]\nmax_open = 7\n")
    hean = hean_in({"HOME": str(tmp_path), "BYBIT_API_SECRET": "s3cr3t", "HEAN_GATEWAY__PACE": "0.5"})
    rows = {row["name"]: row for row in hean("config", "show", "-o", "json").data["rows"]}
    told = {name: (row["value"], row["default"], row["source"], row["unit"]) for name, row in rows.items()}
    assert ("7", "500", "hean.toml [orders] max_open", "orders") == told["orders.max_open"]
    assert ("0.5", "0.8", "environment HEAN_GATEWAY__PACE", "") == told["gateway.pace"]
    assert ("***", "", "environment BYBIT_API_SECRET", "") == told["bybit.api_secret"]
    assert ("10.0", "10.0", "default", "s") == told["reconcile.orders_s"]
    assert "HEAN_ORDERS__MAX_OPEN" == rows["orders.max_open"]["variable"]
    assert all(row["meaning"] for row in rows.values())
    text = hean("config", "show").out
    assert "s3cr3t" not in text
    for name in rows:
        assert f"\n{name} " in text
    (tmp_path / "hean.toml").write_text("[orders]\nmax_open = 'many'\n")
    ran = hean("config", "show")
    assert (2, "") == (ran.code, ran.out)
    assert "hean.toml [orders] max_open" in ran.err


def test_schema_tells_one_or_all(hean: Hean):
    every = hean("schema", "-o", "json").data["schemas"]
    assert {name: dict(SCHEMAS[name].fields) for name in SCHEMAS} == {
        name: each["fields"] for name, each in every.items()
    }
    assert ["hean.order/1"] == list(hean("schema", "hean.order/1", "-o", "json").data["schemas"])
    assert "hean.status/1" not in hean("schema", "hean.order/1").out
