"""`hean diagram`: each machine as it runs, as text or as a picture, and the path that one order took through it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

import click

from hean.core.drawing import svg
from hean.core.machines import MACHINES
from hean.core.picture import Moved, facts_table, fold, mermaid, path_of, states_table, total_table
from hean.desk.cli import verb
from hean.desk.desk import Desk, Form
from hean.desk.exits import Exit
from hean.desk.read import find
from hean.errors import ConfigError
from hean.journal import JournalView

# Pixels of a PNG for each of the SVG: sharp on a dense screen, small enough to send.
_ZOOM: Final = 2


class Format(StrEnum):
    """What a machine can be rendered as."""

    MERMAID = "mermaid"
    MD = "md"
    SVG = "svg"
    PNG = "png"


def render(name: str, form: Format, path: Sequence[Moved] = ()) -> bytes:
    """
    One machine in one format; text is UTF-8.

    Args:
        name: "order", "position", "session" or "breaker".
        form: MD is its tables, the others are its picture. PNG needs the extra `diagrams`.
        path: to be highlighted in the picture; see `path_in`.

    Raises:
        ConfigError: there is no such machine, or PNG is asked for without the extra.
    """
    machine = MACHINES.get(name)
    if machine is None:
        raise ConfigError(f"diagram: expected one of {', '.join(MACHINES)}, was {name!r}")
    if form is Format.MERMAID:
        return mermaid(fold(machine, path)).encode()
    if form is Format.MD:
        facts = f"{facts_table(machine)}\n" if machine.checks else ""
        return f"# {machine.title}\n\n{states_table(machine)}\n{facts}{total_table(machine)}".encode()
    document = svg(fold(machine, path))
    return document.encode() if form is Format.SVG else png(document)


def png(document: str) -> bytes:
    """
    An SVG document as PNG, with a bundled renderer and a bundled face: no system library, font or program counts.

    Raises:
        ConfigError: the extra `diagrams` is not installed.
    """
    try:
        import font_roboto  # noqa: PLC0415 - an extra
        import resvg_py  # noqa: PLC0415
    except ImportError as missing:
        raise ConfigError(
            f"diagram: png needs {missing.name}; pip install 'hean[diagrams]', or ask for svg"
        ) from missing
    assert font_roboto.__file__ is not None, "a package of files"
    faces = Path(font_roboto.__file__).parent / "files"
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=document,
            zoom=_ZOOM,
            skip_system_fonts=True,
            font_family="Roboto",
            font_files=[str(faces / "Roboto-Regular.ttf"), str(faces / "Roboto-Bold.ttf")],
        )
    )


@verb(
    "diagram",
    examples=[
        "hean diagram order",
        "hean diagram order --order h1-km6q2gvpeq4yhrphyewvp7t4x2pf3lg3 --format svg > order.svg",
        "hean diagram breaker --format png --out breaker.png",
    ],
)
@click.argument("machine", type=click.Choice(list(MACHINES)))
@click.option("--format", "form", type=click.Choice([form.value for form in Format]), default=Format.MERMAID.value)
@click.option("--order", help="highlight the path that this order took: any of its IDs")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="write to this file instead of stdout")
def diagram(desk: Desk, machine: str, form: str, order: str | None, out: Path | None) -> int:
    """
    Render a MACHINE as it runs: order, position, session or breaker.

    mermaid, md and svg need nothing but hean; png needs the extra "diagrams".
    """
    if order is not None and machine != "order":
        raise click.UsageError("--order highlights the order machine; expected hean diagram order --order ID")
    if form == Format.PNG and out is None and (desk.form is not Form.TEXT or desk.terminal):
        raise click.UsageError("a png is no text; use --out FILE, or a pipe")
    path = path_in(desk.path, order) if order is not None else ()
    picture = render(machine, Format(form), path)
    if out is not None:
        out.write_bytes(picture)
        desk.talk(f"wrote {out}")
    elif desk.form is not Form.TEXT:
        steps = [f"{move.before} {move.fact} {move.after}" for move in path]
        head = {"machine": machine, "format": form, "picture": picture.decode(), "path": steps}
        desk.put("hean.diagram/1", head)
    elif form != Format.PNG:
        desk.out.write(picture.decode())
    else:
        sys.stdout.buffer.write(picture)
    return Exit.DONE


def path_in(journal: Path, order: str) -> tuple[Moved, ...]:
    """
    The path that one order took, read from its journal.

    Args:
        journal: the file; it may be in use.
        order: any ID that means one order.

    Raises:
        JournalError: the journal cannot be read.
        LocalError: it knows no such order.
    """
    with JournalView.read(journal) as view:
        records = view.records(kind="fact", order_link_id=find(view, order).entry.order_link_id)
        return path_of(json.loads(record.body) for record in records)
