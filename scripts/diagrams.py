"""
Render the machines, and keep the README's copies of them fresh.

    scripts/diagrams.py order --format svg --out build    one file a machine, or to stdout without --out
    scripts/diagrams.py order --order ID --journal PATH   the path that one order took
    scripts/diagrams.py --write                           refresh the generated blocks of README.md
    scripts/diagrams.py --check                           exit 1 where one is stale

A block stands between two comments, `<!-- generated: order diagram -->` and `<!-- end -->`; it names a machine and
one of diagram, states, facts, table. Formats mermaid, md and svg need nothing but hean; png needs the extra `diagrams`.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from hean.core.machines import MACHINES
from hean.core.picture import facts_table, fold, mermaid, states_table, total_table
from hean.desk.diagram import Format, path_in, render
from hean.errors import HeanError

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- generated: (?P<about>[^\n]*?) -->\n).*?(<!-- end -->)", re.DOTALL)
SUFFIXES = {Format.MERMAID: "mmd", Format.MD: "md", Format.SVG: "svg", Format.PNG: "png"}


class StaleError(Exception):
    """A block cannot be made: it names no machine, or no part of one."""


def block(about: str) -> str:
    """What belongs into the block that is called `about`: "order diagram", "session table", "order facts"."""
    name, _, part = about.partition(" ")
    if name not in MACHINES:
        raise StaleError(f"generated: {about}: expected one of {', '.join(MACHINES)}, was {name!r}")
    machine = MACHINES[name]
    match part:
        case "diagram":
            return f"```mermaid\n{mermaid(fold(machine))}```\n"
        case "states":
            return f"\n{states_table(machine)}\n"
        case "facts" if machine.checks:
            return f"\n{facts_table(machine)}\n"
        case "table":
            return f"\n{total_table(machine)}\n"
        case _:
            raise StaleError(f"generated: {about}: expected diagram, states, facts or table, was {part!r}")


def refreshed(text: str) -> str:
    """`text` with each generated block made anew; all else as it is."""
    if text.count("<!-- generated: ") != len(BLOCK.findall(text)):
        raise StaleError("a generated block has no <!-- end -->")
    return BLOCK.sub(lambda found: f"{found[1]}{block(found['about'])}{found[3]}", text)


def stale(text: str) -> list[str]:
    """Names of the blocks of `text` that are not what the machines say now."""
    fresh = BLOCK.finditer(refreshed(text))
    return [old["about"] for old, new in zip(BLOCK.finditer(text), fresh, strict=True) if old[0] != new[0]]


def check(readme: Path) -> int:
    text = readme.read_text(encoding="utf-8")
    old = stale(text)
    for about in old:
        print(f"{readme}: stale: {about}; run scripts/diagrams.py --write", file=sys.stderr)
    count = len(BLOCK.findall(text))
    if not count:
        print(
            f"{readme}: no generated block; put <!-- generated: order diagram --> and <!-- end --> in", file=sys.stderr
        )
    elif not old:
        print(f"{readme}: {count} generated blocks are fresh")
    return 1 if old or not count else 0


def write(readme: Path) -> int:
    text = readme.read_text(encoding="utf-8")
    fresh = refreshed(text)
    if fresh != text:
        readme.write_text(fresh, encoding="utf-8")
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Render hean's machines")
    parser.add_argument("machines", nargs="*", metavar="MACHINE", help=f"of {', '.join(MACHINES)}; all without one")
    parser.add_argument("--format", type=Format, choices=list(Format), default=Format.MERMAID)
    parser.add_argument("--out", type=Path, help="directory to write to; stdout without it")
    parser.add_argument("--order", help="order_link_id or order_id whose path to highlight; with --journal")
    parser.add_argument("--journal", type=Path)
    parser.add_argument("--check", action="store_true", help="fail where the README's copies are stale")
    parser.add_argument("--write", action="store_true", help="refresh the README's copies")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    options = parser.parse_args(argv)
    if (options.order is None) != (options.journal is None):
        parser.error("--order and --journal go together")
    if options.order and options.machines not in ([], ["order"]):
        parser.error("--order highlights the order machine")
    if options.format is Format.PNG and options.out is None:
        parser.error("--format png needs --out")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    try:
        if options.write:
            write(options.readme)
        if options.check:
            return check(options.readme)
        if options.write:
            return 0
        path = path_in(options.journal, options.order) if options.order else ()
        for name in ["order"] if options.order else options.machines or MACHINES:
            content = render(name, options.format, path)
            if options.out is None:
                sys.stdout.write(content.decode())
            else:
                options.out.mkdir(parents=True, exist_ok=True)
                target = options.out / f"{name}.{SUFFIXES[options.format]}"
                target.write_bytes(content)
                print(target)
    except (HeanError, StaleError, OSError) as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
