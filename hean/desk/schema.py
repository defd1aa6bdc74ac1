"""`hean schema`: what the JSON objects hold."""

from __future__ import annotations

import click

from hean.desk.cli import verb
from hean.desk.desk import Desk, Form
from hean.desk.exits import Exit
from hean.desk.paper import Column
from hean.desk.schemas import SCHEMAS


@verb("schema", examples=["hean schema", "hean schema hean.order/1"], journal=False)
@click.argument("name", required=False, type=click.Choice(list(SCHEMAS)), metavar="[NAME]")
def schema(desk: Desk, name: str | None) -> int:
    """
    What the objects of -o json and -o jsonl hold.

    An object always has every field of its schema; what is not known is null, "" or empty. Times end in _ms
    (milliseconds since 1970, UTC) or _s; quantities and prices are strings. A field may be added; one that goes or
    changes its meaning raises the number in the name.
    """
    chosen = SCHEMAS if name is None else {name: SCHEMAS[name]}
    if desk.form is not Form.TEXT:
        described = {each: {"meaning": SCHEMAS[each].meaning, "fields": dict(SCHEMAS[each].fields)} for each in chosen}
        desk.put("hean.schema/1", {"schemas": described})
        return Exit.DONE
    paper = desk.paper
    for each, of in chosen.items():
        paper.line(f"{each}: {of.meaning}", "bold")
        paper.table((Column("field"), Column("meaning")), of.fields.items())
        paper.line()
    return Exit.DONE
