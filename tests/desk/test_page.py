"""`hean trace --html`: one self-contained page, opened in a browser that may not reach anything."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hean import OrderState
from hean.desk.page import page, timeline
from hean.desk.story import Story, head_of, records_of
from hean.journal import JournalView
from tests.conftest import Routers
from tests.desk.conftest import WAIT_S, Hean, hean_in, resting, until
from tests.exchange import LoopbackExchange

CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
EVIL = "<script>document.title='broken'</script><img src=http://127.0.0.1:9/x onerror=alert(1)>"
LINE = {
    "kind": "fact",
    "source": "router",
    "order_link_id": "h1-a",
    "before": "PENDING",
    "after": "SUBMITTED",
    "duplicate_of": None,
    "name": "x",
}


class Tags(HTMLParser):
    """Names and attributes of every element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def page_of(journal: Path, asked: str) -> str:
    with JournalView.read(journal) as view:
        head, links, correlation_id = head_of(view, asked)
        lines = Story().lines(records_of(view, links, correlation_id))
    duplicates = sum(line["duplicate_of"] is not None for line in lines)
    return page(head | {"records": len(lines), "duplicates": duplicates}, lines)


@pytest.fixture(scope="module")
def filled(lived: Path) -> str:
    """The page of an order that was filled."""
    return page_of(lived, "filled")


def browser(path: Path, profile: Path, shot: Path) -> str:
    """What a headless browser makes of the page, as a document and as a picture."""
    assert CHROMIUM is not None
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}"]
    quiet = ["--disable-background-networking", "--no-first-run", "--disable-extensions", "--disable-sync"]
    asked = ["--dump-dom", "--window-size=1040,1600", f"--screenshot={shot}", path.as_uri()]
    done = subprocess.run([CHROMIUM, *flags, *quiet, *asked], capture_output=True, text=True, timeout=100, check=True)
    return done.stdout


def test_the_page_is_written_and_nothing_else_is(hean: Hean, tmp_path: Path):
    ran = hean("trace", "filled", "--html", tmp_path / "story.html")
    assert (0, "") == (ran.code, ran.out)
    assert "wrote" in ran.err
    assert (tmp_path / "story.html").read_text().startswith("<!doctype html>")


def test_the_page_needs_nothing_from_anywhere(filled: str):
    seen = Tags(filled).seen
    assert {"script", "link", "img", "iframe", "object", "video"}.isdisjoint(tag for tag, _ in seen)
    assert {"src", "href", "onload", "onerror"}.isdisjoint(name for _, attrs in seen for name in attrs)
    assert "default-src 'none'" in filled
    assert not re.search(r"@import|url\(", filled)


def test_it_has_the_timeline_the_path_and_the_raw_records_folded(filled: str):
    tags = [tag for tag, _ in Tags(filled).seen]
    assert 2 == tags.count("svg")
    assert "1. sent" in filled
    assert "settled" in filled
    assert tags.count("details") == tags.count("summary") >= 6
    assert not any("open" in attrs for tag, attrs in Tags(filled).seen if tag == "details")
    assert "retCode" in filled


def test_each_line_is_a_dot_inside_the_picture():
    line = LINE | {"source": "stream", "after": "PENDING"}
    times = [1_000, 1_001, 1_003, 3_600_000, 3_600_005]
    text = timeline([line | {"at_ms": at_ms} for at_ms in times])
    places = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', text)]
    assert len(times) == len(places)
    assert places == sorted(places)
    assert all(96 < x < 960 for x in places)
    assert "60.0 min" in text


def test_the_states_of_each_order_are_a_band_from_move_to_move():
    moves = [("h1-aaaaaaa", "SUBMITTED", 0), ("h1-bbbbbbb", "SUBMITTED", 40), ("h1-aaaaaaa", "FILLED", 100)]
    text = timeline([LINE | {"order_link_id": link, "after": after, "at_ms": at_ms} for link, after, at_ms in moves])
    bands: dict[str, list[tuple[float, float]]] = {}
    for x, y, width in re.findall(r'<rect x="([\d.]+)" y="(\d+)" width="([\d.]+)"', text):
        bands.setdefault(y, []).append((float(x), float(width)))
    (first, second), (other,) = bands.values()
    assert first[0] + first[1] == pytest.approx(second[0], abs=0.2)
    assert first[0] < other[0] < second[0]
    assert second[0] + second[1] == pytest.approx(other[0] + other[1], abs=0.2)
    assert ("…aaaaaa" in text, "…bbbbbb" in text) == (True, True)


def test_names_stand_only_where_there_is_room():
    close = [LINE | {"after": "PENDING", "name": f"fact_{number}", "at_ms": number} for number in range(100)]
    text = timeline(close)
    assert 100 == text.count("<circle")
    written = [float(x) for x in re.findall(r'<text x="([\d.]+)" y="\d+" font-size="10"', text)]
    assert 5 < len(written) < 30
    assert all(later - earlier > 40 for earlier, later in itertools.pairwise(written))


def test_a_story_of_one_moment_and_of_none_can_be_drawn():
    text = timeline([LINE | {"at_ms": 5, "source": "ann"}])
    assert 'class="move"' in text
    assert ">SUBMITTED</text>" in text
    assert "nothing happened" in timeline([])


@pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="chromium is not installed; CI installs it")
def test_a_browser_shows_it_and_what_a_strategy_wrote_stays_text(
    router: Routers, router_env: dict[str, str], exchange: LoopbackExchange, tmp_path: Path
):
    made, hean = router(), hean_in(router_env)
    ticket = made.submit(resting(EVIL, qty="0.01"))
    ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    exchange.market("BTCUSDT", trade={"price": "50000", "qty": "0.004", "side": "Sell"})
    ticket.wait_for(OrderState.PARTIAL_FILL, WAIT_S)
    exchange.fault("cut_private")
    assert until(lambda: hean("trace", ticket.order_link_id, "-o", "json").data["duplicates"] > 0)
    ticket.cancel()
    ticket.wait(WAIT_S)
    path = tmp_path / "story.html"
    assert 0 == hean("trace", ticket.order_link_id, "--html", path).code
    shot = tmp_path / "story.png"
    dom = browser(path, tmp_path / "profile", shot)
    assert f"<title>hean trace {ticket.order_link_id}</title>" in dom
    seen = Tags(dom).seen
    assert 2 == sum(tag == "svg" for tag, _ in seen)
    assert {"script", "img"}.isdisjoint(tag for tag, _ in seen)
    assert "&lt;script&gt;" in dom
    assert "DUPLICATE of #" in dom
    assert "executed_part" in dom
    assert shot.read_bytes().startswith(b"\x89PNG")
    assert shot.stat().st_size > 20_000
