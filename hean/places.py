"""
Where files are: the settings file and the journal.

Apart from the settings, so that whoever only looks at a journal need not load, check and be refused for all of them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hean import fits
from hean.errors import ConfigError

PREFIX: Final = "HEAN_"
CONFIG_VARIABLE: Final = "HEAN_CONFIG"
CONFIG_FILE: Final = "hean.toml"
_JOURNAL_VARIABLE: Final = f"{PREFIX}JOURNAL__PATH"


def state_directory(env: Mapping[str, str], platform: str) -> Path:
    """
    Name the directory where this user's programs keep their state.

    Args:
        env: XDG_STATE_HOME (absolute, else ignored) and HOME are read.
        platform: as `sys.platform` has it.

    Source: XDG Base Directory Specification 0.8; Apple's File System Programming Guide.
    """
    home = Path(env.get("HOME") or Path.home())
    if platform == "darwin":
        return home / "Library" / "Application Support"
    named = Path(env.get("XDG_STATE_HOME", ""))
    return named if named.is_absolute() else home / ".local" / "state"


def default_journal(env: Mapping[str, str]) -> Path:
    """Name the journal's file where no source of settings does."""
    return state_directory(env, sys.platform) / "hean" / "journal.db"


def settings_file(env: Mapping[str, str], toml_path: Path | None = None) -> Path | None:
    """Name the file that settings are read from: the one given or named, else `hean.toml` if there is one."""
    named = toml_path or (Path(env[CONFIG_VARIABLE]) if env.get(CONFIG_VARIABLE) else None)
    if named is None and not Path(CONFIG_FILE).is_file():
        return None
    return named or Path(CONFIG_FILE)


def tables_of(path: Path) -> dict[str, Any]:
    """
    Read a settings file.

    Raises:
        ConfigError: it cannot be read, or is no TOML; its text is not quoted, for secrets may stand in it.
    """
    import tomllib  # noqa: PLC0415 - most have no such file

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"expected a settings file at {path}: {error.strerror}") from error
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise ConfigError(f"expected TOML in {path}: {error}") from error


def journal_path(env: Mapping[str, str]) -> Path | None:
    """
    Name the journal's file by the same sources as the settings; None where one of them holds what is no path.

    Args:
        env: usually `os.environ`.

    Raises:
        ConfigError: the settings file cannot be read.
    """
    file = settings_file(env)
    section = tables_of(file).get("journal", {}) if file is not None else {}
    chosen = env.get(_JOURNAL_VARIABLE, section.get("path") if isinstance(section, dict) else None)
    try:
        read = default_journal(env) if chosen is None else fits.path().read(chosen)
    except ValueError:
        return None
    return read if isinstance(read, Path) else None
