"""What `hean diagram` shows is the machine that runs, and the path that was really taken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hean.actors.scribe import Taken, batch_of
from hean.core.facts import Sent, Settled
from hean.core.machines import MACHINES
from hean.core.picture import Moved
from hean.core.types import Ms, OrderStatus
from hean.desk.diagram import Format, path_in, png, render
from hean.errors import ConfigError, JournalError, LocalError
from hean.journal import Journal, JournalView
from tests.core.orders import executed, life, shown
from tests.desk.conftest import Hean

SMALL = '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="40"><text x="5" y="25">{}</text></svg>'


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal with one order that was filled before it was acknowledged, and settled."""
    path = tmp_path / "journal.db"
    facts = (Sent(), executed("e1", "1"), shown(OrderStatus.FILLED, "1"), Settled(seq=20))
    lived = life()
    with Journal.open(path, 1) as writer:
        for at_ms, fact in enumerate(facts, 1):
            applied = lived.take(fact)
            writer.commit(batch_of(Taken(fact=fact, applied=applied, unit=0.5), at_ms=Ms(at_ms), digest="d"))
    return path


def test_the_path_of_an_order_is_read_from_its_journal(journal: Path):
    with Journal.open(journal, 2) as running:
        [entry] = running.orders()
    path = path_in(journal, entry.order_link_id)
    assert ["PENDING", "SUBMITTED", "FILLED"] == [move.before for move in path]
    assert ["sent", "executed_full", "settled"] == [move.fact for move in path]
    assert entry.order_id is not None
    assert path == path_in(journal, entry.order_id)


def test_an_order_that_the_journal_does_not_know_is_refused(journal: Path):
    with pytest.raises(LocalError, match="knows no order 'h1-none'"):
        path_in(journal, "h1-none")


def test_a_missing_journal_is_refused(tmp_path: Path):
    with pytest.raises(JournalError):
        path_in(tmp_path / "none.db", "h1-none")


@pytest.mark.parametrize("name", list(MACHINES))
def test_every_machine_renders_as_text(name: str):
    machine = MACHINES[name]
    assert render(name, Format.MERMAID).decode().startswith("%%{init")
    tables = render(name, Format.MD).decode()
    assert tables.startswith(f"# {machine.title}\n")
    assert all(f"`{fact}`" in tables for fact in machine.facts)


def test_a_picture_is_svg_or_png_with_the_path_highlighted():
    path = [Moved(before="FLAT", fact="bought", after="LONG")]
    assert "1. bought" in render("position", Format.SVG, path).decode()
    assert b"\x89PNG\r\n" == render("position", Format.PNG, path)[:6]


def test_a_png_is_twice_the_size_and_shows_its_text_in_the_bundled_face():
    blank, text = png(SMALL.format("")), png(SMALL.format("FLAT"))
    assert (180, 80) == tuple(int.from_bytes(blank[at : at + 4]) for at in (16, 20))
    assert len(text) > len(blank)


def test_an_unknown_machine_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="expected one of order, position, session, breaker, was 'orders'"):
        render("orders", Format.SVG)


def test_png_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(ConfigError, match=r"png needs resvg_py; pip install 'hean\[diagrams\]', or ask for svg"):
        png(SMALL.format("x"))


def test_text_and_svg_need_no_extra():
    program = (
        "import sys; sys.modules['resvg_py'] = sys.modules['font_roboto'] = None\n"
        "from hean.desk.diagram import Format, render\n"
        "print(*(len(render('position', form)) > 0 for form in (Format.MERMAID, Format.MD, Format.SVG)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "True True True\n" == done.stdout


def test_the_verb_prints_a_machine_and_an_order_s_path(hean: Hean, journal: Path):
    with JournalView.read(journal) as view:
        [entry] = view.orders()
    ran = hean("diagram", "position")
    assert (0, render("position", Format.MERMAID).decode()) == (ran.code, ran.out)
    ran = hean("diagram", "order", "--order", entry.signal_id, "--format", "svg")
    assert "1. sent" in ran.out
    assert "3. settled" in ran.out


def test_the_verb_s_object_names_the_steps(hean: Hean, journal: Path):
    with JournalView.read(journal) as view:
        [entry] = view.orders()
    data = hean("diagram", "order", "--order", entry.order_link_id, "-o", "json").data
    assert ("hean.diagram/1", "order", "mermaid") == (data["schema"], data["machine"], data["format"])
    assert ["PENDING sent SUBMITTED", "SUBMITTED executed_full FILLED", "FILLED settled CLOSED"] == data["path"]


def test_the_verb_writes_a_file(hean: Hean, tmp_path: Path):
    ran = hean("diagram", "breaker", "--format", "png", "--out", tmp_path / "breaker.png")
    assert (0, "") == (ran.code, ran.out)
    assert (tmp_path / "breaker.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_goes_down_a_pipe():
    program = "import sys; from hean.desk.cli import run; sys.exit(run(['diagram', 'position', '--format', 'png']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "arguments",
    [
        ["diagram", "orders"],
        ["diagram", "session", "--order", "filled"],
        ["diagram", "order", "--format", "gif"],
        ["diagram", "order", "--format", "png", "-o", "json"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_drawn_is_a_usage_error(arguments: list[str], hean: Hean):
    assert 2 == hean(*arguments).code


def test_an_order_that_nobody_knows_is_a_failed_check(hean: Hean):
    ran = hean("diagram", "order", "--order", "nobody")
    assert 3 == ran.code
    assert "knows no order 'nobody'" in ran.err
