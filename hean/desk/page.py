"""
The story of an order as one page: the timeline as a picture, the machine with the path taken, the raw messages below.

Self-contained: no network, no script, no build step. Whatever the exchange or a strategy wrote is escaped, so that it
is text and never markup.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from html import escape
from typing import Final

from hean.core.drawing import FILLS, svg
from hean.core.machines import MACHINES
from hean.core.picture import fold, path_of, role_of
from hean.desk.desk import Row
from hean.desk.read import clock

_WIDTH: Final = 960
_LEFT: Final = 96
_RIGHT: Final = 24
_LANE: Final = 34
_HEAD: Final = 46
_DOT: Final = 5
_BAND: Final = 28
# Behind the last moment, so that the state which lasts is seen.
_TAIL: Final = 84
# Widths of letters of the two sizes that are written here, on the safe side.
_LETTER: Final = 5.4
_CAPITAL: Final = 8.0
_NAME_MAX: Final = 18
# Lanes of the timeline, from the strategy to the exchange, and which sources stand in each.
_LANES: Final = (
    ("strategy", frozenset({"strategy"})),
    ("operator", frozenset[str]()),
    ("router", frozenset({"router", "reply"})),
    ("request", frozenset[str]()),
    ("reply", frozenset[str]()),
    ("stream", frozenset({"stream"})),
    ("query", frozenset({"query", "reconcile", "replay"})),
)
_COLOURS: Final = {"news": "#1a7f37", "move": "#0969da", "duplicate": "#bc6c00", "wire": "#57606a"}
_STYLE: Final = """
body{font:14px/1.45 Roboto,'Segoe UI','Helvetica Neue',Arial,sans-serif;margin:24px auto;max-width:1000px;
padding:0 16px;color:#1f2328;background:#fff}
h1{font-size:20px;margin:0;overflow-wrap:anywhere}h1+p{margin:2px 0 12px}h2{font-size:16px;margin:28px 0 8px}
table{border-collapse:collapse;width:100%;font-size:13px}
th,td{text-align:left;padding:3px 8px;border-bottom:1px solid #d1d9e0;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}td.t{white-space:nowrap}
code,pre{font:12px/1.4 ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere;white-space:pre-wrap}
svg{max-width:100%;height:auto;display:block}.dup td{background:#fff8e6}.move td{background:#f0f6ff}
.warn{color:#9a5b00}.bad{color:#b42318;font-weight:600}.dim{color:#59636e}
details{margin:2px 0;border-bottom:1px solid #eaeef2}summary{cursor:pointer;padding:3px 0}
"""


def page(head: Row, lines: Sequence[Row]) -> str:
    """
    The page.

    Args:
        head: an object of hean.trace/1.
        lines: objects of hean.trace.line/1, in their order.
    """
    title = f"hean trace {head['asked']}"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        # Nothing is fetched, whatever the texts hold.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        *_heading(head),
        "<h2>Timeline</h2>",
        timeline(lines),
        *_machines(head, lines),
        "<h2>Story</h2>",
        *_story(lines),
        "<h2>Raw records</h2>",
        *_raw(lines),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _heading(head: Row) -> list[str]:
    parts = [f"<h1>{escape(head['asked'])}</h1>", f'<p class="dim">found by {escape(head["found_by"])}</p>']
    for order in head["orders"]:
        outcome = f" ({escape(order['outcome'])})" if order["outcome"] not in {None, order["state"]} else ""
        price = f" at {escape(order['price'])}" if order["order_type"] == "Limit" else ""
        average = f" at {escape(order['avg_price'])}" if order["avg_price"] else ""
        wish = f"{order['side']} {order['qty']} {order['symbol']} {order['order_type']}"
        gap = f'<span class="{"dim" if order["gap"] == "0" else "bad"}">gap {escape(order["gap"])}</span>'
        reason = f"{escape(order['reason'])}<br>" if order["reason"] else ""
        parts.append(
            f"<p><b>{escape(order['strategy_id'])} {escape(order['signal_id'])}</b>: {escape(wish)}{price}, "
            f"<b>{escape(order['state'])}{outcome}</b>, {escape(order['cum_exec_qty'])} executed{average}, {gap}<br>"
            f"{reason}<code>link {escape(order['order_link_id'])}</code><br>"
            f"<code>order {escape(order['order_id'] or '-')}</code><br>"
            f"<code>correlation {escape(order['correlation_id'])}</code></p>"
        )
    if head["duplicates"]:
        times = "1 delivery" if head["duplicates"] == 1 else f"{head['duplicates']} deliveries"
        told = f"{times} of something known: counted once, nothing changed by it"
        parts.append(f'<p class="warn">{told}</p>')
    return parts


def timeline(lines: Sequence[Row]) -> str:
    """
    Every line as a dot: lanes by source, our clock from left to right; above them, the states that the order was in.

    Long silences are shortened, so that milliseconds and hours fit one picture; where one is, the axis is broken.
    """
    if not lines:
        return '<p class="dim">nothing happened</p>'
    xs, breaks = _places([line["at_ms"] for line in lines])
    links = list(dict.fromkeys(line["order_link_id"] for line in lines if _kind_of(line) == "move"))
    top = _HEAD + _BAND * len(links)
    height = top + _LANE * len(_LANES) + 12
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    role = 'id="timeline" role="img" aria-label="timeline"'
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" {role} {size} font-size="12" font-family="inherit">']
    for number, (name, _) in enumerate(_LANES):
        y = _y(top, number)
        out.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}" stroke="#d1d9e0"/>')
        out.append(f'<text x="{_LEFT - 12}" y="{y + 4}" text-anchor="end" fill="#59636e">{name}</text>')
    for x, skipped_ms in breaks:
        ends = f'x1="{x:.1f}" x2="{x:.1f}" y1="{_HEAD - 8}" y2="{height - 8}"'
        out.append(
            f'<line {ends} stroke="#8b949e" stroke-dasharray="2 3"/>'
            f'<text x="{x:.1f}" y="{_HEAD - 14}" text-anchor="middle" fill="#59636e" font-size="10">'
            f"{escape(_span(skipped_ms))}</text>"
        )
    out.append(f'<text x="{_LEFT}" y="14" fill="#59636e">{clock(lines[0]["at_ms"], day=True)} UTC</text>')
    out.append(
        f'<text x="{_WIDTH - _RIGHT}" y="14" text-anchor="end" fill="#59636e">{clock(lines[-1]["at_ms"])}, '
        f"{_span(lines[-1]['at_ms'] - lines[0]['at_ms'])} in all</text>"
    )
    for number, link in enumerate(links):
        out += _band(link, lines, xs, _HEAD + _BAND * number, named=len(links) > 1)
    written: dict[int, float] = {}
    for line, x in zip(lines, xs, strict=True):
        kind, words = _kind_of(line), f"{clock(line['at_ms'])} {line['source']}: {line['name']} {_moved(line)}"
        lane = _lane_of(line)
        y = _y(top, lane)
        dot = f'cx="{x:.1f}" cy="{y}" r="{_DOT}" fill="{_COLOURS[kind]}" class="{kind}"'
        out.append(f"<circle {dot}><title>{escape(words.strip())}</title></circle>")
        name = str(line["name"]).partition(" over ")[0].partition(": ")[0][:_NAME_MAX]
        width = len(name) * _LETTER
        left = min(max(x - width / 2, _LEFT), _WIDTH - width)
        if left > written.get(lane, 0.0):
            # Where there is room; the rest says its name when it is pointed at.
            written[lane] = left + width + _LETTER
            place = f'x="{left:.1f}" y="{y - _DOT - 4}" font-size="10" fill="{_COLOURS[kind]}"'
            out.append(f"<text {place}>{escape(name)}</text>")
    out.append("</svg>")
    keys = {"move": "moved the order", "news": "recorded", "duplicate": "delivered again", "wire": "request, reply"}
    legend = " ".join(f'<span style="color:{_COLOURS[kind]}">&#9679;</span> {text}' for kind, text in keys.items())
    return "".join(out) + f'<p class="dim">{legend}</p>'


def _band(link: str, lines: Sequence[Row], xs: Sequence[float], y: int, *, named: bool) -> list[str]:
    """The states that one order was in, from left to right."""
    moves = [
        (x, line)
        for line, x in zip(lines, xs, strict=True)
        if line["order_link_id"] == link and _kind_of(line) == "move"
    ]
    ends = [*(x for x, _ in moves[1:]), float(_WIDTH - _RIGHT)]
    machine = MACHINES["order"]
    label = f"…{link[-6:]}" if named else "state"
    out = [f'<text x="{_LEFT - 12}" y="{y + 14}" text-anchor="end" fill="#59636e">{escape(label)}</text>']
    for (x, line), end in zip(moves, ends, strict=True):
        state = str(line["after"])
        fill, edge, ink = FILLS[role_of(machine, state)]
        size = f'x="{x:.1f}" y="{y}" width="{max(end - x, 1):.1f}" height="{_BAND - 8}" rx="3"'
        out.append(
            f'<rect {size} fill="{fill}" stroke="{edge}" class="state"><title>{escape(state)} from '
            f"{clock(line['at_ms'])}</title></rect>"
        )
        if (len(state) + 1) * _CAPITAL < end - x:
            place = f'x="{(x + end) / 2:.1f}" y="{y + 14}" text-anchor="middle" font-size="11" font-weight="600"'
            out.append(f'<text {place} fill="{ink}">{escape(state)}</text>')
    return out


def _places(times_ms: Sequence[int]) -> tuple[list[float], list[tuple[float, int]]]:
    """Where each moment stands, and where and by how much the axis is shortened."""
    gaps = [max(later - earlier, 0) for earlier, later in itertools.pairwise(times_ms)]
    short = sorted(gap for gap in gaps if gap)
    # Beyond this a silence is only noted: ten times what is usual here, and never less than a tenth of a second.
    most = max(10 * short[len(short) // 2], 100) if short else 1
    shown = [min(gap, most) for gap in gaps]
    scale = (_WIDTH - _LEFT - _RIGHT - 2 * _DOT - _TAIL) / max(sum(shown), 1)
    xs, breaks = [float(_LEFT + _DOT)], []
    for gap, kept in zip(gaps, shown, strict=True):
        if gap > kept:
            breaks.append((xs[-1] + kept * scale / 2, gap))
        xs.append(xs[-1] + kept * scale)
    return xs, breaks


def _y(top: int, lane: int) -> int:
    return top + _LANE * lane + _LANE // 2


def _lane_of(line: Row) -> int:
    names = [name for name, _ in _LANES]
    if line["kind"] in {"request", "reply"}:
        return names.index(line["kind"])
    for number, (_, sources) in enumerate(_LANES):
        if line["source"] in sources:
            return number
    # Who else can ask is a person.
    return names.index("operator")


def _kind_of(line: Row) -> str:
    if line["duplicate_of"] is not None:
        return "duplicate"
    if line["kind"] in {"request", "reply"}:
        return "wire"
    return "move" if line["before"] != line["after"] else "news"


def _span(ms: int) -> str:
    if ms < 1_000:
        return f"{ms} ms"
    return f"{ms / 1000:.1f} s" if ms < 120_000 else f"{ms / 60_000:.1f} min"


def _machines(head: Row, lines: Sequence[Row]) -> list[str]:
    parts = ["<h2>The path taken</h2>"] if head["orders"] else []
    for order in head["orders"]:
        bodies = [
            line["raw"] for line in lines if line["kind"] == "fact" and line["order_link_id"] == order["order_link_id"]
        ]
        parts.append(f'<div class="machine">{svg(fold(MACHINES["order"], path_of(bodies)))}</div>')
    return parts


def _moved(line: Row) -> str:
    return f"{line['before']} -> {line['after']}" if line["before"] != line["after"] else ""


def _story(lines: Sequence[Row]) -> list[str]:
    parts = ["<table><thead><tr><th>#</th><th>ours, UTC</th><th>+ms</th><th>theirs</th><th>source</th><th>what</th>"]
    parts.append("</tr></thead><tbody>")
    for line in lines:
        style = {"duplicate": "dup", "move": "move"}.get(_kind_of(line), "")
        since = "" if line["since_ms"] is None else f"{line['since_ms']:+d}"
        again = f' <span class="warn">DUPLICATE of #{line["duplicate_of"]}</span>' if line["duplicate_of"] else ""
        shown = line["detail"] and line["kind"] not in {"request", "reply"}
        detail = f"<br>{escape(str(line['detail']))}" if shown else ""
        events = "".join(f"<br><b>{escape(event['type'])}</b> {escape(_about(event))}" for event in line["events"])
        effects = f'<br><span class="dim">=> {escape(", ".join(line["effects"]))}</span>' if line["effects"] else ""
        parts.append(
            f'<tr class="{style}"><td class="n">{line["n"]}</td><td class="t">{clock(line["at_ms"])}</td>'
            f'<td class="n">{since}</td><td class="t">{clock(line["event_ms"])}</td><td>{escape(line["source"])}</td>'
            f"<td>{escape(line['name'])} {escape(_moved(line))}{again}{detail}{events}{effects}</td></tr>"
        )
    return [*parts, "</tbody></table>"]


def _about(event: Row) -> str:
    return " ".join(str(event[name]) for name in ("reason", "detail", "exec_id") if event.get(name))


def _raw(lines: Sequence[Row]) -> list[str]:
    parts = []
    sent = {line["n"] for line in lines if line["kind"] == "request"}
    for line in lines:
        if line["kind"] == "reply" and line["n"] in sent:
            # One record holds the request and its reply.
            continue
        about = f"#{line['n']} {clock(line['at_ms'])} {line['kind']} {line['name']}"
        text = json.dumps(line["raw"], ensure_ascii=False, indent=1, default=str)
        parts.append(f"<details><summary>{escape(about)}</summary><pre>{escape(text)}</pre></details>")
    return parts
