"""What a run found, as text."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from tests.bench.figures import MEASURES, Figures, Target, p99, paired

OURS = "hean ws"


def show(figures: Figures) -> str:
    """Each client's figures, and ours as ratios of the others'."""
    lines = [f"{'µs, median / p99':12}" + "".join(f"{name:>20}" for name in MEASURES) + f"{'CPU per order':>16}"]
    for client in figures.spans:
        cells = []
        for measure in MEASURES:
            spans = figures.every(client, measure)
            cells.append(f"{statistics.median(spans):.0f} / {p99(spans):.0f}" if spans else "-")
        cpu = figures.cpu_us[client].get(1, [])
        cells_text = "".join(f"{cell:>20}" for cell in cells)
        lines.append(f"{client:16}{cells_text}{(f'{statistics.median(cpu):.0f}' if cpu else '-'):>16}")
    if any(figures.rates.values()):
        lines += ["", "round trips per second, orders in flight"]
        for client, rates in figures.rates.items():
            told = "  ".join(f"{most:>4}: {statistics.median(found):6.0f}" for most, found in rates.items())
            lines.append(f"{client:16}{told}")
    lines += ["", f"medians of paired ratios, {OURS} (over REST: hean rest) to the other"]
    for client in figures.spans:
        if client not in {OURS, "hean rest"}:
            lines.append(f"{client:16}" + "  ".join(_ratios(figures, client)))
    return "\n".join(lines)


def _ratios(figures: Figures, client: str) -> list[str]:
    told = []
    ours = "hean rest" if client.endswith("http") else OURS
    for measure in MEASURES:
        mine, theirs = figures.medians(ours, measure), figures.medians(client, measure)
        if mine and theirs:
            told.append(f"{measure} {paired(mine, theirs):.2f}")
    for most, mine in figures.rates.get(ours, {}).items():
        if most in figures.rates.get(client, {}):
            told.append(f"{most} in flight {paired(mine, figures.rates[client][most]):.2f}")
    mine, theirs = figures.cpu_us.get(ours, {}).get(1, []), figures.cpu_us.get(client, {}).get(1, [])
    if mine and theirs:
        told.append(f"CPU {paired(mine, theirs):.2f}")
    return told


def show_targets(targets: Iterable[Target]) -> str:
    """What was to be reached, and how far it got."""
    lines = [f"{'':58}{'found':>10}{'reach':>10}{'beyond':>10}"]
    for target in targets:
        sign = ">=" if target.more else "<="
        bounds = [f"{sign} {bound:g}" if bound is not None else "" for bound in (target.reach, target.beyond)]
        found = f"{target.found:.2f}" if target.found is not None else ""
        lines.append(f"{target.says:58}{found:>10}{bounds[0]:>10}{bounds[1]:>10}  {target.verdict()}")
    return "\n".join(lines)
