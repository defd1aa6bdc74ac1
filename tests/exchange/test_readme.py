"""
The README names every fault, every behaviour with its default, and every file.
"""

from pathlib import Path

import pytest

from tests.exchange.behaviour import SWITCHES
from tests.exchange.faults import NAMES

HERE = Path(__file__).parent
README = (HERE / "README.md").read_text()


@pytest.mark.parametrize("name", sorted(NAMES | SWITCHES.keys()))
def test_readme_explains(name: str) -> None:
    assert f"`{name}`" in README


@pytest.mark.parametrize("name", sorted(p.name for p in HERE.glob("*.py") if not p.name.startswith(("test_", "__"))))
def test_readme_places(name: str) -> None:
    assert name in README


def test_readme_shows_the_defaults() -> None:
    rows = [line.split("|") for line in README.splitlines() if line.startswith("| `")]
    shown = {cells[1].strip(" `"): cells[2].strip() for cells in rows if cells[1].strip(" `") in SWITCHES}
    assert len(shown) > 20
    for name, default in shown.items():
        assert str(SWITCHES[name].default).lower() == default.lower()
