"""`hean config show`: every setting and where it came from."""

from __future__ import annotations

import click

from hean.desk.cli import verb
from hean.desk.desk import Desk, Row
from hean.desk.exits import Exit
from hean.desk.paper import Column, Paper


@click.group("config")
def config() -> None:
    """Every setting and where it came from."""


@verb("show", examples=["hean config show", "HEAN_ORDERS__MAX_OPEN=10 hean config show -o jsonl"])
def show(desk: Desk) -> int:
    """
    Show every setting, its value and where that came from; secrets never.

    Arguments are asked before the environment, that before hean.toml (or the file HEAN_CONFIG names), that before the
    default. A wrong value names its source and what was expected; the exit code is 2.
    """
    from hean.places import CONFIG_VARIABLE, settings_file  # noqa: PLC0415 - not for --help
    from hean.settings import variable_of  # noqa: PLC0415

    settings = desk.settings
    file = settings_file(desk.env)
    rows: list[Row] = [
        {
            "name": row.name,
            "variable": variable_of(row.name),
            "value": row.value,
            "source": row.source,
            "default": row.default,
            "unit": row.unit,
            "meaning": row.meaning,
        }
        for row in settings.describe()
    ]

    def text(paper: Paper) -> None:
        paper.line(f"settings file: {file or f'none (hean.toml, or the one that {CONFIG_VARIABLE} names)'}")
        paper.line()
        columns = (Column("setting"), Column("value"), Column("from"), Column("meaning"))
        cells = [
            (row["name"], f"{row['value']} {row['unit']}".strip(), row["source"].partition(" ")[0], row["meaning"])
            for row in rows
        ]
        paper.table(columns, cells, ["" if row["source"] == "default" else "bold" for row in rows])
        paper.line()
        paper.line("Set one in the environment as HEAN_SECTION__NAME, or in hean.toml as [section] name = value.")

    head = {"file": str(file) if file else None}
    desk.show("hean.config/1", head, [("hean.setting/1", row) for row in rows], text)
    return Exit.DONE


config.add_command(show)
