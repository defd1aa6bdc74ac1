"""What the README says is so: its defaults are the settings', its paths exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from hean.settings import Settings, variable_of

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def test_every_setting_of_the_table_has_that_default() -> None:
    rows = dict(re.findall(r"^\| `(HEAN_\w+)` \| `(.+?)` \|", section("Settings"), re.MULTILINE))
    known = {variable_of(row.name): row.default for row in Settings.load({}).describe()}
    assert rows
    assert {name: known.get(name) for name in rows} == rows


def test_every_path_that_it_names_exists() -> None:
    paths = re.findall(r"`((?:hean|scripts|tests)/[\w/.]*)`", README)
    assert paths
    assert [] == [path for path in paths if not (ROOT / path).exists()]


def test_everything_that_is_installed_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "scripts" / "constraints.txt").read_text(), re.MULTILINE)
    names = {re.split(r"[<>=~!\[; ]", wish)[0] for wish in needed}
    assert set() == {_plain(name) for name in names} - {_plain(name) for name in pinned}


def _plain(name: str) -> str:
    """One spelling of a distribution's name. Source: PyPA, name normalization."""
    return re.sub(r"[-_.]+", "-", name).lower()
