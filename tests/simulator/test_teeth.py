"""The deliberate bugs fit the code that they are put into."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulator.teeth import TEETH, Tooth

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("tooth", TEETH, ids=lambda tooth: tooth.name)
def test_place_of_a_deliberate_bug_is_there_once_and_the_bug_compiles(tooth: Tooth) -> None:
    text = (ROOT / tooth.path).read_text(encoding="utf-8")
    assert 1 == text.count(tooth.old)
    assert text != text.replace(tooth.old, tooth.new)
    compile(text.replace(tooth.old, tooth.new), tooth.path, "exec")


def test_deliberate_bugs_are_many_and_each_has_a_name_of_its_own() -> None:
    assert 25 <= len(TEETH)
    assert len(TEETH) == len({tooth.name for tooth in TEETH})
