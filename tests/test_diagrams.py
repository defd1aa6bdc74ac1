"""`scripts/diagrams.py`: one command renders every machine, and tells when the README's copies are stale."""

from __future__ import annotations

from pathlib import Path

import pytest

from hean.core.machines import MACHINES
from hean.core.picture import fold, mermaid, states_table, total_table
from scripts import diagrams

TEXT = """# hean

<!-- generated: position diagram -->
old
<!-- end -->
kept
<!-- generated: breaker states -->
<!-- end -->
<!-- generated: session table -->
| old |
<!-- end -->
"""


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    path = tmp_path / "README.md"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_each_block_is_made_anew_and_all_else_is_kept():
    fresh = diagrams.refreshed(TEXT)
    assert f"position diagram -->\n```mermaid\n{mermaid(fold(MACHINES['position']))}```\n<!-- end -->\nkept\n" in fresh
    assert f"breaker states -->\n\n{states_table(MACHINES['breaker'])}\n<!-- end -->\n" in fresh
    assert f"session table -->\n\n{total_table(MACHINES['session'])}\n<!-- end -->\n" in fresh
    assert fresh.startswith("# hean\n\n<!-- generated: position diagram -->\n")


def test_a_fresh_text_is_not_changed_again():
    fresh = diagrams.refreshed(TEXT)
    assert fresh == diagrams.refreshed(fresh)
    assert [] == diagrams.stale(fresh)


def test_check_names_every_stale_block(readme: Path, capsys: pytest.CaptureFixture[str]):
    assert 1 == diagrams.main(["--check", "--readme", str(readme)])
    told = capsys.readouterr().err
    assert all(about in told for about in ("position diagram", "breaker states", "session table"))
    assert TEXT == readme.read_text(encoding="utf-8")


def test_check_passes_after_write(readme: Path):
    assert 0 == diagrams.main(["--write", "--readme", str(readme)])
    assert 0 == diagrams.main(["--check", "--readme", str(readme)])
    assert 0 == diagrams.main(["--write", "--check", "--readme", str(readme)])


def test_check_fails_when_one_edge_of_a_copy_differs(readme: Path):
    diagrams.main(["--write", "--readme", str(readme)])
    text = readme.read_text(encoding="utf-8")
    readme.write_text(text.replace('FLAT ==>|"bought', 'FLAT ==>|"sold'), encoding="utf-8")
    assert ["position diagram"] == diagrams.stale(readme.read_text(encoding="utf-8"))
    assert 1 == diagrams.main(["--check", "--readme", str(readme)])


def test_check_fails_without_any_block(readme: Path):
    readme.write_text("# hean\n", encoding="utf-8")
    assert 1 == diagrams.main(["--check", "--readme", str(readme)])


@pytest.mark.parametrize(
    "text, problem",
    [
        ("<!-- generated: orders diagram -->\n<!-- end -->\n", "was 'orders'"),
        ("<!-- generated: order picture -->\n<!-- end -->\n", "was 'picture'"),
        ("<!-- generated: position facts -->\n<!-- end -->\n", "was 'facts'"),
        ("<!-- generated: order diagram -->\n", "no <!-- end -->"),
        ("<!-- generated: order diagram -->\n<!-- generated: order table -->\n<!-- end -->\n", "no <!-- end -->"),
    ],
)
def test_a_block_that_cannot_be_made_is_named(
    text: str, problem: str, readme: Path, capsys: pytest.CaptureFixture[str]
):
    readme.write_text(text, encoding="utf-8")
    assert 2 == diagrams.main(["--check", "--readme", str(readme)])
    assert problem in capsys.readouterr().err


def test_a_missing_readme_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert 2 == diagrams.main(["--check", "--readme", str(tmp_path / "none.md")])
    assert "none.md" in capsys.readouterr().err


def test_without_a_name_every_machine_is_written(tmp_path: Path):
    assert 0 == diagrams.main(["--format", "md", "--out", str(tmp_path / "build")])
    assert sorted(f"{name}.md" for name in MACHINES) == sorted(path.name for path in (tmp_path / "build").iterdir())


def test_a_picture_goes_to_its_file(tmp_path: Path):
    assert 0 == diagrams.main(["position", "--format", "png", "--out", str(tmp_path)])
    assert b"\x89PNG" == (tmp_path / "position.png").read_bytes()[:4]


def test_text_goes_to_stdout_without_a_directory(capsys: pytest.CaptureFixture[str]):
    assert 0 == diagrams.main(["position"])
    assert mermaid(fold(MACHINES["position"])) == capsys.readouterr().out


def test_an_unknown_machine_is_told(capsys: pytest.CaptureFixture[str]):
    assert 2 == diagrams.main(["orders"])
    assert "expected one of order" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        ["--order", "h1-x"],
        ["--journal", "journal.db"],
        ["session", "--order", "h1-x", "--journal", "journal.db"],
        ["order", "--format", "png"],
        ["order", "--format", "gif"],
    ],
)
def test_options_that_do_not_go_together_are_a_usage_error(argv: list[str]):
    with pytest.raises(SystemExit, match="2"):
        diagrams.main(argv)


def test_a_journal_that_cannot_be_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert 2 == diagrams.main(["--order", "h1-x", "--journal", str(tmp_path / "none.db")])
    assert "none.db" in capsys.readouterr().err
