"""`hean orders`: the blotter, of a router that runs and of one that is gone."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest

from hean import OrderState
from hean.desk import orders
from hean.desk.cli import run
from hean.desk.desk import Desk
from hean.journal import JournalView
from tests.conftest import Routers
from tests.desk.conftest import WAIT_S, Hean, Terminal, hean_in, resting, signal


def test_the_text_shows_every_order_and_why_it_ended(hean: Hean):
    ran = hean("orders")
    assert 0 == ran.code
    head, filled, cancelled, denied = ran.out.splitlines()
    assert ["updated", "state", "symbol", "side", "qty", "filled", "price", "order", "note"] == head.split()
    assert " FILLED " in filled
    assert "CancelByUser" in cancelled
    assert "off_step" in denied


def test_the_objects_hold_what_the_router_said(hean: Hean):
    data = hean("orders", "-o", "json").data
    assert ("hean.orders/1", 3) == (data["schema"], data["orders"])
    filled, cancelled, denied = data["rows"]
    assert ["FILLED", "CANCELLED", "DENIED"] == [row["outcome"] for row in data["rows"]]
    assert ("0.001", "0", False) == (filled["cum_exec_qty"], filled["gap"], filled["open"])
    assert ("50000", "0", "0.001") == (cancelled["price"], cancelled["cum_exec_qty"], cancelled["qty"])
    assert ("off_step", 0) == (denied["deny_reason"], denied["attempts"])
    head, *rows = hean("orders", "-o", "jsonl").rows
    assert (data["rows"], "hean.orders/1") == (rows, head["schema"])


def test_orders_are_narrowed(hean: Hean):
    assert "no orders\n" == hean("orders", "--open").out
    assert 0 == hean("orders", "--unsettled", "-o", "json").data["orders"]
    assert 0 == hean("orders", "--symbol", "ETHUSDT", "-o", "json").data["orders"]
    assert 3 == hean("orders", "--since", "1d", "-o", "json").data["orders"]
    [newest] = hean("orders", "--limit", 1, "-o", "json").data["rows"]
    assert "denied" == newest["signal_id"]


@pytest.mark.parametrize("age", ["1", "h", "1.5h", "-1h", "1y"])
def test_an_age_that_is_none_is_a_usage_error(age: str, hean: Hean):
    ran = hean("orders", f"--since={age}")
    assert 2 == ran.code
    assert "such as 30m" in ran.err


def test_an_open_order_of_a_running_router_is_there_at_once(router: Routers, router_env: dict[str, str]):
    made = router()
    ticket = made.submit(resting("open"))
    ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    made.submit(signal("done")).wait(WAIT_S)
    [row] = hean_in(router_env)("orders", "--open", "-o", "json").data["rows"]
    assert (ticket.order_link_id, "ACKNOWLEDGED", "New", True) == (
        row["order_link_id"],
        row["state"],
        row["status"],
        row["open"],
    )
    assert row["order_link_id"] in hean_in(router_env)("orders", "--open").out


def test_watch_shows_each_change_once(router: Routers, router_env: dict[str, str]):
    made = router()
    cancelled = threading.Event()
    seen: list[str] = []

    class Reader(io.StringIO):
        def write(self, text: str) -> int:
            seen.append(text)
            if "CANCELLED" in text:
                cancelled.set()
                raise KeyboardInterrupt
            return len(text)

    watching = threading.Thread(target=run, args=(["orders", "--watch"], Desk(router_env, Reader(), io.StringIO())))
    watching.start()
    ticket = made.submit(resting("watched"))
    ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    ticket.cancel()
    assert cancelled.wait(WAIT_S)
    watching.join(WAIT_S)
    assert not watching.is_alive()
    assert len(seen) == len(set(seen))


def test_watch_cannot_be_one_object(hean: Hean):
    ran = hean("orders", "--watch", "-o", "json")
    assert 2 == ran.code
    assert "-o jsonl" in ran.err


def test_on_a_terminal_the_blotter_fits_80_columns(journal: Path):
    out = Terminal()
    assert 0 == run(["orders"], Desk({"HEAN_JOURNAL__PATH": str(journal), "COLUMNS": "80"}, out, io.StringIO()))
    assert all(len(line) <= 80 for line in out.text.splitlines())
    assert "h1-" in out.getvalue()


def test_no_colour_where_it_is_not_wanted(journal: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    plain, coloured = Terminal(), Terminal()
    env = {"HEAN_JOURNAL__PATH": str(journal), "COLUMNS": "80"}
    run(["orders"], Desk(env | {"NO_COLOR": "1"}, plain, io.StringIO()))
    run(["orders"], Desk(env, coloured, io.StringIO()))
    assert "\x1b[33m" in coloured.getvalue()
    assert "\x1b[33m" not in plain.getvalue()


def test_watch_on_a_terminal_redraws_only_on_a_change(journal: Path, monkeypatch: pytest.MonkeyPatch):
    out, looks = Terminal(), iter([1, 1])

    def changes(view: JournalView):
        yield from looks
        raise KeyboardInterrupt

    monkeypatch.setattr(orders, "_changes", changes)
    env = {"HEAN_JOURNAL__PATH": str(journal), "COLUMNS": "80"}
    assert 130 == run(["orders", "--watch"], Desk(env, out, io.StringIO()))
    assert "FILLED" in out.getvalue()
    assert "Ctrl-C" in out.getvalue()
