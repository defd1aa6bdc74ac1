"""The benchmark runs, and joins what the clients stamp with what the exchange stamps."""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from attrs import asdict

from tests.bench.clients import PACKAGES
from tests.bench.exchange import TimedExchange
from tests.bench.figures import MEASURES, Figures, Target, p99, paired, spans_of, targets
from tests.bench.plot import plot
from tests.bench.readme import BEGIN, END, write
from tests.bench.stages import Span, Tracer, report
from tests.bench.table import show, show_targets
from tests.bench.trip import Threaded
from tests.bench.turns import Turns, installed

STAMPS = {"came": {"a": 3_000, "b": 12_000}, "left": {"a": 5_000}}


def test_times_are_joined_by_link() -> None:
    spans = spans_of([("a", 1_000, 2_000, 9_000), ("b", 10_000, 11_000, 19_000)], STAMPS)
    assert {
        "signal -> wire": [2.0, 2.0],
        "submit returns": [1.0, 1.0],
        "fill -> strategy": [4.0],
        "signal -> fill": [8.0, 9.0],
    } == spans


@pytest.mark.parametrize("trip", [("c", 1, 2, 3), ("a", 1, 2, 0)])
def test_an_order_without_its_trip_is_an_error(trip: tuple[str, int, int, int]) -> None:
    with pytest.raises(ValueError, match="did not make its trip"):
        spans_of([trip], STAMPS)


def test_a_ratio_is_of_the_same_round() -> None:
    assert 2.0 == paired([2.0, 20.0, 6.0], [1.0, 10.0, 30.0])


def test_one_in_a_hundred_is_beyond_the_99th_percentile() -> None:
    assert 99.0 == p99(float(number) for number in range(100))
    assert 7.0 == p99([7.0])


@pytest.mark.parametrize(
    "found, more, verdict",
    [
        (None, False, "not measured"),
        (0.9, False, "beyond"),
        (1.5, False, "reached"),
        (2.1, False, "SHORT"),
        (2.1, True, "beyond"),
        (0.5, True, "SHORT"),
    ],
)
def test_a_verdict_looks_the_right_way(found: float | None, more: bool, verdict: str) -> None:
    reach, beyond = (1.0, 2.0) if more else (2.0, 1.0)
    assert verdict == Target("x", found, reach, beyond, more=more).verdict()


def test_what_is_stamped_is_put_in_order_and_given_back() -> None:
    class Subject:
        def outer(self) -> str:
            return self.inner()

        def inner(self) -> str:
            return "said"

    plain = Subject.outer
    tracer = Tracer()
    tracer.wrap(Subject, "outer", "submit")
    tracer.wrap(Subject, "inner", lambda subject: f"of {type(subject).__name__}")
    tracer.wrap(Subject, "gone", "gone")
    assert "said" == Subject().outer()
    tracer.close()
    assert plain is Subject.outer
    assert ["Subject.gone"] == tracer.missing
    assert [("submit", "of Subject"), ("submit",)] == [span.path for span in tracer.spans]
    inner, outer = tracer.spans
    assert outer.began_ns <= inner.began_ns <= inner.ended_ns <= outer.ended_ns


def test_a_stage_is_told_by_what_came_before_it() -> None:
    tracer = Tracer()
    trip = Threaded().new_trip(1)
    trip.link, trip.spoke_ns, trip.filled_ns = "a", 1_000, 90_000
    tracer.spans += [Span(("submit", "known"), 4_000, 9_000, 1), Span(("submit",), 2_000, 20_000, 1)]
    lines = report(tracer, [trip], {"came": {"a": 16_000}, "left": {"a": 30_000}}).splitlines()
    assert "      1.0      1.0       1.0  call of submit" in lines
    assert "      5.0      5.0       8.0  look-up: known already? (registry, journal)" in lines


def test_the_readme_gets_the_ratios_and_the_picture(tmp_path: Path) -> None:
    figures = Figures()
    for client, span in (("hean ws", 3.0), ("floor", 1.5)):
        for measure in MEASURES:
            figures.spans[client][measure].append([span])
    told = [asdict(target) | {"verdict": target.verdict()} for target in targets(figures)]
    found = {"trips": figures.as_json(), "targets": {"trips": told}, "rounds": 1, "orders": 1}
    (tmp_path / "scripts").mkdir()
    (tmp_path / "README.md").write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(found | {"commit": "c", "machine": "m"}, tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "| signal -> wire | 2.00 |" in text
    assert ("before", "after", False) == (text[:6], text[-6:-1], "old" in text)
    assert (tmp_path / "scripts" / "bench.svg").read_text().startswith("<svg")
    (tmp_path / "README.md").write_text("nothing")
    with pytest.raises(ValueError, match="expected a place"):
        write(found, tmp_path)


def test_a_peer_that_is_not_installed_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGES, "nobody", "no_such_package")
    assert not installed("nobody", sys.executable)
    assert installed("floor", "nowhere")


def test_a_run_measures_everybody(tmp_path: Path) -> None:
    figures = Figures()
    clients = ("floor", "hean ws", "hean handed over")
    with TimedExchange(accounts=3) as exchange, Turns(exchange, clients, tmp_path, {}, warm_up=2) as turns:
        turns.round(figures, 0, orders=4, in_flight=(1, 2), pause_s=0)
    for client in clients:
        for measure in MEASURES:
            (spans,) = figures.spans[client][measure]
            assert 4 == len(spans)
            assert all(span > 0 for span in spans)
        whole, wire, fill = (figures.spans[client][name][0] for name in ("signal -> fill", *MEASURES[0::2]))
        assert all(a > b + c for a, b, c in zip(whole, wire, fill, strict=True))
        assert [1, 2] == list(figures.rates[client])
    assert "hean ws" in show(figures)
    reached = show_targets(targets(figures)).splitlines()
    assert any("of the floor's" in line for line in reached)
    (handed,) = (line for line in reached if "submit returns, handed over" in line)
    assert "not measured" not in handed
    drawn = ET.fromstring(plot(json.loads(json.dumps(figures.as_json()))))
    assert 9 == sum("rect" in part.tag for part in drawn)
