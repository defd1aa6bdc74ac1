"""
Worlds that broke a law once, cut down to the fewest actions that did; each is named for what it taught.

The seed still chooses the order of things, so a test keeps its seed.
"""

from __future__ import annotations

from typing import Any

from tests.simulator.ambush import link_id_of
from tests.simulator.plan import CALM, Action, Plan
from tests.simulator.runner import play


def world(seed: int, *actions: Action, length_ms: int = 20_000, **config: Any) -> Plan:
    """A calm world with these differences."""
    return Plan(seed=seed, config=CALM | config, actions=actions, length_ms=length_ms)


def submit(at_ms: int, n: int = 0, **signal: Any) -> Action:
    """A market order that fills at once, with these differences."""
    plain = {"symbol": "BTCUSDT", "category": "linear", "side": "Buy", "qty": "0.003", "order_type": "Market"}
    return Action(at_ms, "submit", {"n": n, "signal": plain | signal})


def test_amend_ends_though_the_exchanges_clock_went_back() -> None:
    plan = world(
        135,
        submit(1_000, qty="0.030", order_type="Limit", price="90000"),
        Action(1_200, "fault", {"fault": "clock_skew", "count": None, "args": {"ms": -900}}),
        Action(1_300, "amend", {"n": 0, "changes": {"qty": "0.024"}}),
        length_ms=4_000,
    )
    assert None is play(plan).broken


def test_order_whose_actor_crashes_while_it_retires_has_one_actor_afterwards() -> None:
    plan = world(
        2322,
        submit(12_858, n=2, qty="0.006", side="Sell", trigger_price="94910.0"),
        Action(13_713, "fault", {"fault": "cut_trade", "count": 2, "probability": 0.5, "args": {"refuse_s": 0}}),
        Action(13_790, "cancel", {"n": 2}),
        Action(13_933, "stall", {"ms": 9_000}),
        Action(14_793, "break", {"n": 2}),
        length_ms=24_000,
        entry="rest",
        recv_window_ms=5000,
        visibility_s=9.0,
        max_age_s=3.0,
        max_tries=1,
        max_drift_ms=500,
        position_policy="adopt",
        spread_ms=0,
        behaviour={
            "execution_push_delay_ms": [0, 20],
            "order_before_execution": True,
            "reduce_only_excess": "cap",
            "amend_unchanged": "34040",
        },
        finale="restart",
    )
    assert None is play(plan).broken


def fault(at_ms: int, name: str, match: dict[str, str] | None = None, count: int | None = 1, **args: Any) -> Action:
    """A fault of the exchange."""
    return Action(at_ms, "fault", {"fault": name, "match": match or {}, "count": count, "args": args})


def test_child_order_that_a_lagging_list_left_out_is_known_again_when_it_is_shown() -> None:
    plan = world(
        10212,
        fault(3_604, "realtime_lag", count=2, ms=2_366),
        fault(8_196, "poison_frame", {"topic": "position"}, kind="broken_row"),
        submit(8_560, n=8, qty="0.006", take_profit="96000.0", stop_loss="94000.0"),
        length_ms=9_000,
    )
    assert None is play(plan).broken


def test_halt_that_the_journal_could_not_take_is_there_after_a_restart() -> None:
    plan = world(
        10809,
        Action(17_103, "journal_fails", {"ms": 2_500}),
        submit(17_293, order_type="Limit", time_in_force="FOK", price="95195.0"),
        length_ms=21_000,
        finale="restart",
    )
    assert None is play(plan).broken


def test_symbol_whose_holding_was_told_is_not_asked_for_again() -> None:
    plan = world(
        584,
        Action(1_008, "weather", {"set": {"half_sent": 0.8}, "for_ms": 6000}),
        Action(1_177, "weather", {"set": {"least_ms": 300, "spread_ms": 900}, "for_ms": 6000}),
        fault(2_215, "foreign_order", symbol="BTCUSDT", category="linear", side="Buy", qty="0.003"),
        submit(3_656, n=2, qty="0.006", order_type="Limit", price="94955.0"),
        Action(3_660, "cancel", {"n": 2}),
        Action(5_369, "cut", {"channel": "private"}),
        length_ms=7_000,
        reply_timeout_s=1.0,
        max_age_s=20.0,
        max_tries=3,
        ban_silence_s=6.0,
        overlap_s=5.0,
        max_drift_ms=500,
        position_policy="alert",
        offset_ms=-2500,
        behaviour={"position_push_unchanged": False, "close_after_failed_auth": True},
    )
    assert None is play(plan).broken


def test_amended_quantity_that_an_execution_tells_before_the_row_is_told() -> None:
    plan = world(
        104182,
        submit(5_396, n=6, side="Sell", order_type="Limit", price="95100.0"),
        Action(5_410, "amend", {"n": 6, "changes": {"qty": "0.033"}}),
        Action(6_801, "market", {"symbol": "BTCUSDT", "category": "linear", "ask_qty": "0.003"}),
        submit(6_955, n=8, qty="0.006", order_type="Limit", price="95195.0"),
        length_ms=9_000,
        visibility_s=3.1,
        max_age_s=20.0,
        max_tries=3,
        ban_silence_s=6.0,
        reconcile_s=4.0,
        overlap_s=5.0,
        offset_ms=-2500,
        lag=0.2,
        behaviour={"order_push_delay_ms": [0, 2000], "fok_refusal": "Rejected", "linear_price_band": "reject"},
        limits="none",
        finale="close",
    )
    assert None is play(plan).broken


def test_order_that_is_given_up_in_the_middle_of_a_look_up_is_looked_up_again() -> None:
    lost = {"fault": "lose_reply", "match": {"op": "order.create"}, "args": {}}
    unseen = {"fault": "drop_push", "count": None, "args": {}}
    plan = world(
        1,
        Action(900, "fault", lost),
        Action(900, "fault", unseen),
        submit(1_000, order_type="Limit", price="90000"),
        Action(1_100, "break", {"n": 0}),
        length_ms=3_000,
    )
    assert None is play(plan).broken


def test_create_that_waits_for_its_budget_does_not_leave_once_its_absence_counts() -> None:
    throttled = {"fault": "rate_limit", "match": {"orderLinkId": link_id_of(1)}, "args": {"ms": 4_000}}
    plan = world(
        111,
        Action(1_727, "fault", throttled | {"count": 1}),
        submit(1_728, n=1, qty="0.006", order_type="Limit", price="94766.2"),
        Action(1_782, "ambush", {"n": 0, "on": "SUBMITTED", "do": [{"do": "slip", "after_ms": 5}]}),
        submit(1_783, qty="0.006"),
        recv_window_ms=500,
        reply_timeout_s=1.0,
        visibility_s=1.6,
        max_tries=1,
    )
    assert None is play(plan).broken


def test_order_that_a_late_fill_reopens_while_it_is_let_go_has_an_actor() -> None:
    plan = world(
        6215,
        Action(247, "fault", {"fault": "overfill", "match": {}, "count": 1, "args": {"apart_ms": 700}}),
        Action(247, "ambush", {"n": 0, "on": "CLOSED", "do": [{"do": "hold", "actor": "order", "ms": 3_000}]}),
        submit(248, qty="0.006"),
        length_ms=8_000,
    )
    assert None is play(plan).broken


def test_order_that_was_refused_is_rejected_though_another_hand_has_used_its_id() -> None:
    taken = {"symbol": "BTCUSDT", "category": "linear", "side": "Buy", "qty": "0.02", "order_link_id": link_id_of(0)}
    plan = world(
        50452,
        fault(3_000, "foreign_order", **taken),
        fault(4_000, "error", {"op": "order.create"}, ret_code=110007),
        submit(4_100, qty="0.006", order_type="Limit", price="94864.5"),
        length_ms=7_000,
    )
    assert None is play(plan).broken


def test_order_that_lives_though_its_create_was_refused_for_load_is_not_rejected() -> None:
    plan = world(
        65457,
        fault(900, "error", {"endpoint": "order/create"}, executed=True, http_status=429),
        submit(1_000),
        length_ms=3_000,
        entry="rest",
        max_tries=1,
    )
    assert None is play(plan).broken


def test_order_that_lives_though_its_create_was_refused_for_load_is_cancelled() -> None:
    plan = world(
        80418,
        fault(900, "error", {"endpoint": "order/create"}, executed=True, http_status=429),
        submit(1_000, order_type="Limit", price="90000"),
        Action(1_001, "cancel", {"n": 0}),
        length_ms=3_000,
        entry="rest",
    )
    assert None is play(plan).broken


def there_and_back(lists: int) -> Plan:
    """While the router is down, another hand buys and sells as much; so many lists of executions leave that out."""
    traded = {"symbol": "BTCUSDT", "category": "linear", "qty": "0.006"}
    return world(
        43738,
        Action(1_000, "crash", {"point": "turn", "nth": 1, "down_ms": 12_000, "lost_commits": 0, "offset_ms": 0}),
        fault(1_100, "partial_page", {"endpoint": "execution/list"}, count=lists, rows=0),
        fault(2_000, "foreign_order", side="Buy", **traded),
        fault(2_100, "foreign_order", side="Sell", **traded),
        length_ms=14_000,
        overlap_s=5.0,
    )


def test_what_two_lists_kept_back_and_nothing_betrays_cannot_be_known() -> None:
    # Of two categories each: what catches up, and the comparison after it.
    assert None is play(there_and_back(lists=4)).broken


def test_what_one_list_kept_back_is_found_by_the_next() -> None:
    assert None is play(there_and_back(lists=2)).broken


def test_amended_quantity_is_known_though_the_exchanges_clock_went_back_between() -> None:
    plan = world(
        55717,
        fault(900, "clock_skew", count=None, ms=300),
        Action(950, "market", {"symbol": "BTCUSDT", "category": "linear", "bid_qty": "0.001"}),
        submit(1_000, side="Sell", qty="0.009", order_type="Limit", price="94990.0"),
        fault(1_040, "delay_push", {"topic": "order"}, ms=60),
        Action(1_050, "amend", {"n": 0, "changes": {"qty": "0.027"}}),
        Action(
            1_080,
            "market",
            {"symbol": "BTCUSDT", "category": "linear", "trade": {"price": "94990.0", "qty": "0.010", "side": "Buy"}},
        ),
        length_ms=3_000,
        spread_ms=0,
    )
    assert None is play(plan).broken


def test_amended_quantity_is_known_though_the_last_execution_is_of_a_later_time() -> None:
    plan = world(
        601267,
        submit(1_000, side="Sell", qty="0.009", order_type="Limit", price="95100.0"),
        fault(2_900, "drop_push", {"topic": "order"}, count=None),
        Action(
            3_000,
            "market",
            {"symbol": "BTCUSDT", "category": "linear", "trade": {"price": "95100.0", "qty": "0.002", "side": "Buy"}},
        ),
        fault(3_200, "clock_skew", count=None, ms=-900),
        Action(3_400, "amend", {"n": 0, "changes": {"qty": "0.021"}}),
        length_ms=4_000,
        spread_ms=0,
    )
    assert None is play(plan).broken


def test_close_by_another_hand_without_its_closed_size_is_of_the_position_that_it_moved() -> None:
    plan = world(
        627700,
        submit(1_000, qty="0.006", order_type="Limit", price="95195.0", position_idx=1),
        fault(1_500, "empty_numbers", {"topic": "execution"}, count=2),
        fault(1_500, "delay_push", {"topic": "order"}, count=None, ms=1_000),
        fault(1_600, "manual_close", symbol="BTCUSDT", category="linear"),
        length_ms=3_000,
        hedged=True,
        position_policy="adopt",
    )
    assert None is play(plan).broken


def test_list_that_lags_after_a_restart_is_not_believed_for_a_jump_of_our_clock() -> None:
    plan = world(
        64751,
        fault(900, "realtime_lag", count=None, ms=1_500),
        submit(1_000, qty="0.030", order_type="Limit", price="90000"),
        Action(2_500, "amend", {"n": 0, "changes": {"qty": "0.036"}}),
        Action(2_600, "crash", {"point": "turn", "nth": 1, "down_ms": 500, "lost_commits": 0, "offset_ms": 60_000}),
        length_ms=5_000,
    )
    assert None is play(plan).broken


def test_part_that_lives_on_tells_no_amendment_of_an_order_that_was_rejected() -> None:
    plan = world(
        84659,
        fault(900, "reject_after_ack", reject_reason="EC_NoEnoughQtyToFill"),
        fault(900, "split_reduce_only", parts=2),
        submit(1_000, side="Sell", qty="0.012", order_type="Limit", price="95090.0", reduce_only=True),
        length_ms=3_000,
        opening=True,
        behaviour={"split_link_id": "same"},
    )
    assert None is play(plan).broken


def test_hand_that_is_refused_at_first_clears_what_another_hand_has_placed() -> None:
    taken = {"symbol": "BTCUSDT", "category": "linear", "side": "Sell", "qty": "0.02", "price": "99000"}
    plan = world(
        79553,
        Action(900, "ambush", {"n": 0, "on": "SUBMITTED", "do": [{"do": "deny"}]}),
        fault(950, "foreign_order", order_link_id=link_id_of(0), **taken),
        submit(1_000, qty="0.006", order_type="Limit", price="90000"),
        fault(1_500, "clock_skew", count=None, ms=2_000),
        length_ms=7_000,
        recv_window_ms=500,
    )
    assert None is play(plan).broken


def test_world_is_not_quiet_while_an_open_order_lacks_executions_that_its_row_tells() -> None:
    plan = world(
        77466,
        fault(900, "lose_request", {"op": "order.create"}),
        Action(950, "market", {"symbol": "BTCUSDT", "category": "linear", "ask_qty": "0.004"}),
        submit(1_000, qty="0.009", order_type="Limit", price="95020.0"),
        length_ms=2_180,
        behaviour={"execution_push_delay_ms": [0, 2_000]},
    )
    assert None is play(plan).broken


def test_settled_order_that_a_late_fill_wakes_after_a_crash_is_asked_for() -> None:
    plan = world(
        712614,
        Action(990, "ambush", {"n": 0, "on": "SUBMITTED", "do": [{"do": "bug"}]}),
        Action(990, "ambush", {"n": 0, "on": "ERROR", "do": [{"do": "resolve", "verdict": "rejected"}]}),
        submit(1_000),
        Action(1_001, "crash", {"point": "received", "nth": 1, "down_ms": 3_000, "lost_commits": 0, "offset_ms": 0}),
        length_ms=6_000,
    )
    assert None is play(plan).broken


def test_list_holds_what_was_executed_before_the_exchanges_clock_went_back() -> None:
    plan = world(
        98812,
        fault(1_219, "cut_private", refuse_s=1),
        fault(1_237, "foreign_order", symbol="BTCUSDT", category="linear", side="Buy", qty="0.007"),
        fault(1_448, "clock_skew", count=None, ms=-4_000),
        submit(4_000, side="Sell"),
        length_ms=5_000,
        position_policy="alert",
    )
    assert None is play(plan).broken


def test_absence_does_not_count_early_for_a_jump_of_our_clock_after_a_refusal_for_load() -> None:
    plan = world(
        736,
        fault(900, "error", {"endpoint": "order/create"}, http_status=429, executed=True),
        fault(900, "realtime_lag", count=None, ms=2_000),
        fault(900, "history_lag", count=None, ms=2_000),
        fault(900, "delay_push", count=None, ms=3_000),
        Action(950, "crash", {"point": "performed", "nth": 1, "down_ms": 50, "lost_commits": 0, "offset_ms": 60_000}),
        submit(1_000, qty="0.006", order_type="Limit", price="94935.0"),
        length_ms=6_000,
        entry="rest",
        max_age_s=3.0,
    )
    assert None is play(plan).broken
