"""The journal is where the settings say that it is, without loading them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hean.errors import ConfigError
from hean.places import default_journal, journal_path
from hean.settings import Settings


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "env,toml",
    [
        ({}, None),
        ({"HOME": "/home/quant"}, None),
        ({"XDG_STATE_HOME": "/var/state"}, "[orders]\nmax_open = 7\n"),
        ({}, "[journal]\npath = 'from the file.db'\n"),
        ({"HEAN_JOURNAL__PATH": "/from/the/environment.db"}, "[journal]\npath = 'from the file.db'\n"),
        ({"HEAN_JOURNAL__PATH": "~/journal.db"}, None),
    ],
)
def test_both_name_the_same_file(env: dict[str, str], toml: str | None):
    if toml is not None:
        Path("hean.toml").write_text(toml)
    assert Settings.load(env).journal.path == journal_path(env)


def test_another_file_is_read_where_it_is_named():
    Path("other.toml").write_text("[journal]\npath = 'other.db'\n")
    assert Path("other.db") == journal_path({"HEAN_CONFIG": "other.toml"})


@pytest.mark.parametrize("toml", ["journal = 7", "[journal]\npath = 7", "[journal]\npath = ' '"])
def test_what_is_no_path_is_left_to_the_settings_to_complain_of(toml: str):
    Path("hean.toml").write_text(toml)
    named = journal_path({})
    assert named is None or default_journal(os.environ) == named
    with pytest.raises(ConfigError):
        Settings.load({})


def test_a_file_that_is_no_toml_or_is_missing_is_a_clear_error():
    with pytest.raises(ConfigError, match=r"expected a settings file at gone\.toml"):
        journal_path({"HEAN_CONFIG": "gone.toml"})
    Path("hean.toml").write_text("[journal")
    with pytest.raises(ConfigError, match=r"expected TOML in hean\.toml"):
        journal_path({})
