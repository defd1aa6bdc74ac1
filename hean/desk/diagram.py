"""`hean diagram`: each machine as it runs, as text or as a picture, and the path that one order took through it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

from hean.core.drawing import svg
from hean.core.machines import MACHINES
from hean.core.picture import Moved, fold, mermaid, path_of, states_table, total_table
from hean.errors import ConfigError, LocalError
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
        return f"# {machine.title}\n\n{states_table(machine)}\n{total_table(machine)}".encode()
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


def path_in(journal: Path, order: str) -> tuple[Moved, ...]:
    """
    The path that one order took, read from its journal.

    Args:
        journal: the file; it may be in use.
        order: an order_link_id, or the exchange's order_id.

    Raises:
        JournalError: the journal cannot be read.
        LocalError: it knows no such order.
    """
    with JournalView.read(journal) as view:
        entry = view.order(order) or view.order_by_order_id(order)
        if entry is None:
            raise LocalError(f"diagram: {view.path} knows no order {order!r}; expected an order_link_id or an order_id")
        records = view.records(kind="fact", order_link_id=entry.order_link_id)
        return path_of(json.loads(record.body) for record in records)
