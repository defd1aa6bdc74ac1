"""
The operator's verbs: what `hean` does on the command line.

Rules:

1. The journal is the interface: what only looks opens it for reading, while the router runs or after it died; what
   asks the router for something leaves a row in its table of commands.
2. stdout is data, stderr is talk. Every JSON object has `schema`, and `schemas.py` is what it holds.
3. A verb a file; a file is imported when its verb is asked for, and imports what that verb needs alone.
4. Nothing here decides what an order or a position is: the core does, and the exchange.

To add a verb: a file with one click command, a line in `cli.VERBS`, its schemas in `schemas.py`.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line and leave with its exit code."""
    from hean.desk.cli import run  # noqa: PLC0415 - whoever imports one verb does not want them all

    raise SystemExit(run())
