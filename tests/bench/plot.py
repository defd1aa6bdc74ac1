"""A run's medians as a picture, for the README: bars of ratios, whiskers up to the 99th percentile. No dependency."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any
from xml.sax.saxutils import escape

from attrs import frozen

OURS = "hean ws"
PANELS = ("signal -> wire", "fill -> strategy", "signal -> fill")
IN_FLIGHT = ("50", "500")
WIDTH = 860
LABEL = 110
BAR = 14
ROW = 20
HEAD = 34
RIGHT = 70
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.note { fill: #57606a }
.ours { fill: #0969da }
.other { fill: #afb8c1 }
.whisker { stroke: #57606a; stroke-width: 1.5; fill: none }
.one { stroke: #0969da; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note { fill: #8d96a0 } .ours { fill: #4493f8 } .other { fill: #545d68 }
  .whisker { stroke: #8d96a0 } .one { stroke: #4493f8 }
}
"""


@frozen
class Bar:
    """
    One client in one panel.

    Attributes:
        ratio: of hean's.
        whisker: the 99th percentile as a ratio of hean's median; None for none.
    """

    client: str
    ratio: float
    whisker: float | None = None


def plot(trips: Mapping[str, Any]) -> str:
    """
    SVG of a run.

    Args:
        trips: as `Figures.as_json` gives it.
    """
    panels: list[tuple[str, list[Bar]]] = [
        (f"{measure}, as a multiple of hean's median; less is better", _latency_bars(trips["spans_us"], measure))
        for measure in PANELS
    ]
    panels += [
        (f"round trips per second, {most} in flight, as a multiple of hean's; more is better", _rate_bars(trips, most))
        for most in IN_FLIGHT
    ]
    parts: list[str] = []
    top = 0
    for title, bars in panels:
        if bars:
            parts += _panel(title, bars, top)
            top += HEAD + ROW * len(bars) + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}">'
        f"<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _latency_bars(spans: Mapping[str, Any], measure: str) -> list[Bar]:
    ours = spans.get(OURS, {}).get(measure)
    if ours is None:
        return []
    bars = []
    for client, by_measure in spans.items():
        seen = by_measure.get(measure)
        if seen is not None:
            ratio = statistics.median(a / b for a, b in zip(seen["rounds"], ours["rounds"], strict=True))
            bars.append(Bar(client, ratio, ratio * seen["p99"] / seen["median"]))
    return bars


def _rate_bars(trips: Mapping[str, Any], most: str) -> list[Bar]:
    rates = {client: {str(key): found for key, found in by.items()} for client, by in trips["per_s"].items()}
    ours = rates.get(OURS, {}).get(most)
    if ours is None:
        return []
    return [
        Bar(client, statistics.median(a / b for a, b in zip(by[most], ours, strict=True)))
        for client, by in rates.items()
        if most in by
    ]


def _panel(title: str, bars: Iterable[Bar], top: int) -> list[str]:
    bars = list(bars)
    room = WIDTH - LABEL - RIGHT
    # Whiskers may leave the picture; medians may not.
    scale = room / (max(bar.ratio for bar in bars) * 1.25)
    parts = [f'<text class="title" x="0" y="{top + 20}">{escape(title)}</text>']
    for index, bar in enumerate(bars):
        y = top + HEAD + index * ROW
        width = bar.ratio * scale
        kind = "ours" if bar.client.startswith("hean") else "other"
        parts.append(f'<text x="0" y="{y + 11}">{escape(bar.client)}</text>')
        parts.append(f'<rect class="{kind}" x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2"/>')
        end = LABEL + width
        if bar.whisker is not None and bar.whisker > bar.ratio:
            end = LABEL + min(bar.whisker * scale, room)
            cut = bar.whisker * scale > room
            tip = "l -5 -4 m 5 4 l -5 4" if cut else "m 0 -4 v 8"
            parts.append(f'<path class="whisker" d="M {LABEL + width:.1f} {y + BAR / 2} H {end:.1f} {tip}"/>')
        parts.append(f'<text class="note" x="{end + 6:.1f}" y="{y + 11}">{bar.ratio:.2f}</text>')
    at = LABEL + scale
    parts.append(f'<path class="one" d="M {at:.1f} {top + HEAD - 4} v {ROW * len(bars)}"/>')
    return parts
