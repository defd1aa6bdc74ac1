"""A slice of the fuzzing, for every run of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import properties
from tests.fuzz.world import Told

# The router's own threads draw from `random` while examples are drawn here.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")
EXAMPLES = 150
SEED = 5


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    with Told(tmp_path) as told:
        yield told


def test_no_bytes_make_the_codec_raise_or_give_an_insane_row() -> None:
    properties.documented_frames(EXAMPLES, SEED)()


def test_no_reply_raises_anything_but_the_codecs_own_error() -> None:
    properties.replies(EXAMPLES, SEED)()


def test_no_page_raises_anything_but_the_codecs_own_error(told: Told) -> None:
    properties.pages(told, EXAMPLES, SEED)()


def test_no_frame_without_a_valid_row_changes_anything(told: Told) -> None:
    properties.stream(told, EXAMPLES, SEED)()
    assert EXAMPLES // 3 < told.fed
