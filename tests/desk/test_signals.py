"""`hean signals`: signals fire, where are the orders?"""

from __future__ import annotations

from tests.conftest import Routers
from tests.desk.conftest import WAIT_S, Hean, hean_in, signal


def test_the_funnel_counts_what_became_of_the_signals(hean: Hean):
    data = hean("signals", "-o", "json").data
    counted = {name: data[name] for name in ("received", "denied", "sent", "acknowledged", "filled", "cancelled")}
    assert {"received": 3, "denied": 1, "sent": 2, "acknowledged": 2, "filled": 1, "cancelled": 1} == counted
    assert {"off_step": 1} == data["denied_by_reason"]
    assert [0, 0, 0] == [data[name] for name in ("rejected", "open", "unknown")]
    assert ["FILLED", "CANCELLED", "DENIED"] == [row["outcome"] for row in data["rows"]]


def test_the_text_says_why_a_signal_was_denied_and_what_to_do(hean: Hean):
    ran = hean("signals", "--denied")
    assert 0 == ran.code
    assert "off_step" in ran.out
    assert "was 0.0015" in ran.out
    assert "trend denied BTCUSDT" in ran.out
    assert "trend filled" not in ran.out


def test_objects_a_line_begin_with_the_funnel(hean: Hean):
    head, *rows = hean("signals", "--denied", "-o", "jsonl").rows
    assert ("hean.signals/1", 3) == (head["schema"], head["received"])
    assert [("denied", "off_step")] == [(row["signal_id"], row["reason"]) for row in rows]


def test_signals_from_before_are_left_out(hean: Hean):
    assert 3 == hean("signals", "--since", "1d", "-o", "json").data["received"]
    assert 0 == hean("signals", "--since", "0s", "-o", "json").data["received"]


def test_where_are_the_orders_is_answered_by_one_command(router: Routers, router_env: dict[str, str]):
    made = router()
    made.halt("the operator wants silence")
    made.submit(signal("while halted"))
    ran = hean_in(router_env)("signals", "--denied")
    assert "while halted" in ran.out
    assert "halted" in ran.out
    assert "the operator wants silence" in ran.out
    assert "resume" in ran.out


def test_an_open_and_a_rejected_order_are_counted(router: Routers, router_env: dict[str, str], exchange):
    exchange.fault("error", match={"endpoint": "order/create"}, args={"ret_code": 110007})
    exchange.fault("error", match={"op": "order.create"}, args={"ret_code": 110007})
    made = router()
    made.submit(signal("refused")).wait(WAIT_S)
    data = hean_in(router_env)("signals", "-o", "json").data
    assert (1, 1, 0) == (data["sent"], data["rejected"], data["acknowledged"])
