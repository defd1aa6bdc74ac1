"""A run's ratios as the README's table, between two comments, and its picture beside the script."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.figures import MEASURES, paired
from tests.bench.plot import plot

BEGIN, END = "<!-- bench: written by scripts/bench.py -->", "<!-- end of bench -->"
PICTURE = "scripts/bench.svg"
COLUMNS = (
    ("floor", "hean ws"),
    ("hean one core", "hean ws"),
    ("pybit ws", "hean ws"),
    ("ccxt ws", "hean ws"),
    ("nautilus", "hean ws"),
    ("pybit http", "hean rest"),
    ("ccxt http", "hean rest"),
)
"""With whom, and which of ours."""


def write(found: Mapping[str, Any], root: Path) -> None:
    """
    Put what was found into the README, and draw it.

    Raises:
        ValueError: the README has no place for it.
    """
    path = root / "README.md"
    text = path.read_text(encoding="utf-8")
    place = re.compile(f"{re.escape(BEGIN)}\n.*?{re.escape(END)}", re.DOTALL)
    if not place.search(text):
        raise ValueError(f"{path}: expected a place between {BEGIN!r} and {END!r}")
    block = f"{BEGIN}\n{as_markdown(found)}\n{END}"
    path.write_text(place.sub(lambda _: block, text), encoding="utf-8")
    (root / PICTURE).write_text(plot(found["trips"]), encoding="utf-8")


def as_markdown(found: Mapping[str, Any]) -> str:
    """The ratios, and what was to be reached."""
    trips = found["trips"]
    present = [(theirs, ours) for theirs, ours in COLUMNS if theirs in trips["spans_us"] and ours in trips["spans_us"]]
    lines = [
        f"Commit {found['commit']}, {found['machine']}, {found['rounds']} rounds of {found['orders']} orders:",
        "",
        "| hean as a multiple of | " + " | ".join(theirs for theirs, _ in present) + " |",
        "| --- " * (len(present) + 1) + "|",
    ]
    for measure in MEASURES:
        rounds = {
            client: by_measure[measure]["rounds"]
            for client, by_measure in trips["spans_us"].items()
            if measure in by_measure
        }
        lines.append(_row(measure, rounds, present))
    for most in ("1", "50", "500"):
        rates = {client: by_most[most] for client, by_most in trips["per_s"].items() if most in by_most}
        lines.append(_row(f"round trips per second, {most} in flight (more is better)", rates, present))
    cpu = {client: by_most["1"] for client, by_most in trips["cpu_us"].items() if "1" in by_most}
    lines.append(_row("processor time per order", cpu, present))
    lines += ["", "| to be reached | found | reach | and beyond | |", "| --- | --- | --- | --- | --- |"]
    for rows in found["targets"].values():
        for row in rows:
            sign = "≥" if row["more"] else "≤"
            bounds = [f"{sign} {bound:g}" if bound is not None else "" for bound in (row["reach"], row["beyond"])]
            value = "" if row["found"] is None else f"{row['found']:.2f}"
            lines.append(f"| {row['says']} | {value} | {bounds[0]} | {bounds[1]} | {row['verdict'].lower()} |")
    for case in found.get("busy", [])[1:]:
        told = ", ".join(f"{name} {ratio:.1f} times" for name, ratio in case["ratios"].items())
        lines += [
            "",
            f"90th percentile beside a strategy that computes all the time ({case['says']}): {told} the quiet.",
        ]
    return "\n".join(lines)


def _row(says: str, rounds: Mapping[str, list[float]], columns: list[tuple[str, str]]) -> str:
    cells = [
        f"{paired(rounds[ours], rounds[theirs]):.2f}" if theirs in rounds and ours in rounds else ""
        for theirs, ours in columns
    ]
    return f"| {says} | " + " | ".join(cells) + " |"
