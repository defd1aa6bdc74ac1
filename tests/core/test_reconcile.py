"""Two books side by side: what counts as a difference, when it counts, and what follows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from hean.core.calls import Quarantine
from hean.core.catchup import Picture
from hean.core.position import Agreement, PositionBook, Verdict
from hean.core.reconcile import LISTING_LAG_MS, OF_POSITIONS, compare, differences, key_of, lags
from hean.core.reconcile_record import Comparison, Holdings, Policies, Suspects
from hean.core.types import (
    Category,
    ExecId,
    ExecType,
    Execution,
    Finding,
    FindingKind,
    Ms,
    OrderId,
    OrderLinkId,
    OrderRow,
    OrderSnapshot,
    OrderState,
    OrderStatus,
    OrderType,
    PositionRow,
    PositionSnapshot,
    Reaction,
    Side,
)

ASKED_MS = Ms(1_000)
NOW_THERE_MS = Ms(500_000)
QUERY = Policies(**{str(kind): Reaction.QUERY for kind in FindingKind})


def order(**changes: Any) -> OrderSnapshot:
    values: dict[str, Any] = {
        "order_link_id": OrderLinkId("ours"),
        "correlation_id": "c",
        "strategy_id": "s",
        "signal_id": "1",
        "category": Category.LINEAR,
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "state": OrderState.ACKNOWLEDGED,
        "outcome": None,
        "qty": Decimal(2),
        "price": Decimal(100),
        "cum_exec_qty": Decimal(0),
        "leaves_qty": Decimal(2),
        "avg_price": None,
        "order_id": OrderId("o-1"),
        "status": "New",
        "updated_ms": Ms(900),
        "shown_ms": Ms(50),
    }
    return OrderSnapshot(**values | changes)


def row(**changes: Any) -> OrderRow:
    values: dict[str, Any] = {
        "category": Category.LINEAR,
        "symbol": "BTCUSDT",
        "order_id": OrderId("o-1"),
        "order_link_id": OrderLinkId("ours"),
        "side": Side.BUY,
        "status": OrderStatus.NEW,
        "qty": Decimal(2),
        "cum_exec_qty": Decimal(0),
        "price": Decimal(100),
        "updated_ms": Ms(50),
    }
    return OrderRow(**values | changes)


def execution(name: str = "e-1", seq: int = 1, side: Side = Side.BUY, qty: str = "1", **changes: Any) -> Execution:
    values: dict[str, Any] = {
        "category": Category.LINEAR,
        "symbol": "BTCUSDT",
        "exec_id": ExecId(name),
        "order_id": OrderId("o-1"),
        "order_link_id": OrderLinkId("ours"),
        "side": side,
        "exec_type": ExecType.TRADE,
        "exec_qty": Decimal(qty),
        "exec_price": Decimal(100),
        "seq": seq,
        "exec_ms": Ms(400_000),
    }
    return Execution(**values | changes)


def position_row(size: str, seq: int, side: Side | None = Side.BUY, **changes: Any) -> PositionRow:
    values: dict[str, Any] = {
        "category": Category.LINEAR,
        "symbol": "BTCUSDT",
        "position_idx": 0,
        "side": side,
        "size": Decimal(size),
        "avg_price": Decimal(100),
        "seq": seq,
    }
    return PositionRow(**values | changes)


def agreement(row: PositionRow, *executions: Execution) -> Agreement:
    book = PositionBook(Category.LINEAR, "BTCUSDT")
    for one in executions:
        book.fold(one)
    return book.agree(row)


def picture(**changes: Any) -> Picture:
    values: dict[str, Any] = {
        "asked_ms": ASKED_MS,
        "until_ms": NOW_THERE_MS,
        "since_ms": Ms(0),
        "orders": (),
        "executions": (),
        "positions": (),
    }
    return Picture(**values | changes)


def look(holdings: Holdings, seen: Picture, suspects: Suspects | None = None, policies: Policies = QUERY) -> Comparison:
    return compare(holdings, seen, suspects or {}, policies)


def twice(holdings: Holdings, seen: Picture, policies: Policies = QUERY) -> Comparison:
    return look(holdings, seen, look(holdings, seen, policies=policies).suspects, policies)


def test_part_of_a_split_under_our_link_id_is_no_row_of_ours() -> None:
    ours = order(reduce_only=True)
    part = row(order_id=OrderId("o-2"), qty=Decimal(1))
    assert {} == look(Holdings(orders=(ours,), foreign={"o-2": Ms(900)}), picture(orders=(part, row()))).suspects
    assert {} == look(Holdings(orders=(ours,), foreign={"o-2": Ms(900)}), picture(orders=(row(), part))).suspects
    gone = look(Holdings(orders=(ours,), foreign={"o-2": Ms(900)}), picture(orders=(part,)))
    assert [FindingKind.ORDER_ONLY_HERE] == [suspect.finding.kind for suspect in gone.suspects.values()]


def only(comparison: Comparison) -> Finding:
    (finding,) = comparison.told
    return finding


# Orders.


def test_equal_books_differ_in_nothing() -> None:
    holdings = Holdings(
        orders=(order(),),
        accounted={key_of("linear", "BTCUSDT", "e-1"): Ms(100)},
        agreements=(agreement(position_row("1", 1), execution()),),
    )
    seen = picture(orders=(row(),), executions=(execution(),), positions=(position_row("1", 1),))
    assert Comparison() == look(holdings, seen)


def test_difference_counts_when_two_pictures_in_a_row_show_it() -> None:
    holdings = Holdings(orders=(order(),))
    first = look(holdings, picture())
    assert ((), (), True) == (first.told, first.rechecks, first.fresh)
    second = look(holdings, picture(), first.suspects)
    assert (FindingKind.ORDER_ONLY_HERE, "ours", "o-1") == (
        only(second).kind,
        only(second).order_link_id,
        only(second).order_id,
    )
    assert (("ours",), False) == (second.rechecks, second.fresh)


def test_person_is_told_once_and_evidence_is_asked_for_again() -> None:
    holdings = Holdings(orders=(order(),))
    second = twice(holdings, picture())
    third = look(holdings, picture(), second.suspects)
    assert ((), ("ours",)) == (third.told, third.rechecks)


def test_difference_that_goes_is_told_as_gone_and_then_nothing_is() -> None:
    second = twice(Holdings(orders=(order(),)), picture())
    third = look(Holdings(orders=(order(),)), picture(orders=(row(),)), second.suspects)
    assert (second.told, {}) == (third.gone, third.suspects)
    assert Comparison() == look(Holdings(orders=(order(),)), picture(orders=(row(),)), third.suspects)


def test_suspicion_that_goes_is_not_told_at_all() -> None:
    first = look(Holdings(orders=(order(),)), picture())
    assert Comparison() == look(Holdings(orders=(order(),)), picture(orders=(row(),)), first.suspects)


def test_difference_that_changes_is_another_suspicion() -> None:
    first = look(Holdings(orders=(order(),)), picture(orders=(row(qty=Decimal(3)),)))
    second = look(Holdings(orders=(order(),)), picture(orders=(row(price=Decimal(101)),)), first.suspects)
    assert ((), True) == (second.told, second.fresh)


@pytest.mark.parametrize("state", [state for state in OrderState if state not in {"ACKNOWLEDGED", "PARTIAL_FILL"}])
def test_only_an_order_that_was_seen_alive_is_missed(state: OrderState) -> None:
    assert {} == look(Holdings(orders=(order(state=state),)), picture()).suspects


@pytest.mark.parametrize("state", [OrderState.PENDING, OrderState.SUBMITTED, OrderState.TIMEOUT])
def test_row_of_an_order_whose_outcome_is_unknown_is_taken_in_and_no_difference(state: OrderState) -> None:
    waiting = order(state=state, status="")
    comparison = look(Holdings(orders=(waiting,)), picture(orders=(row(),)))
    assert ((row(),), {}, False) == (comparison.rows, comparison.suspects, comparison.fresh)


def test_picture_older_than_the_order_is_discarded() -> None:
    for seen in (picture(), picture(orders=(row(qty=Decimal(3)),))):
        compared = look(Holdings(orders=(order(updated_ms=ASKED_MS),)), seen)
        assert ({}, 1) == (compared.suspects, compared.discarded)


def test_busy_order_that_agrees_is_not_discarded() -> None:
    assert Comparison() == look(Holdings(orders=(order(updated_ms=ASKED_MS),)), picture(orders=(row(),)))


def test_order_of_a_category_that_is_not_asked_for_is_not_missed() -> None:
    assert Comparison() == look(Holdings(orders=(order(category=Category.SPOT),)), picture())


def test_row_without_a_link_id_is_found_by_its_order_id() -> None:
    assert Comparison() == look(Holdings(orders=(order(),)), picture(orders=(row(order_link_id=OrderLinkId("")),)))


@pytest.mark.parametrize(
    "name, changes",
    [
        ("status", {"status": OrderStatus.TRIGGERED}),
        ("qty", {"qty": Decimal(3)}),
        ("cum_exec_qty", {"cum_exec_qty": Decimal(1)}),
        ("price", {"price": Decimal(101)}),
        ("trigger_price", {"trigger_price": Decimal(90)}),
        ("take_profit", {"take_profit": Decimal(110)}),
        ("stop_loss", {"stop_loss": Decimal(90)}),
    ],
)
def test_each_part_of_an_order_is_compared(name: str, changes: dict[str, Any]) -> None:
    assert (name,) == differences(order(), row(**changes))
    second = twice(Holdings(orders=(order(),)), picture(orders=(row(**changes),)))
    assert (FindingKind.ORDER_DIFFERS, (row(**changes),)) == (only(second).kind, second.rows)


def test_price_of_a_market_order_is_not_compared() -> None:
    assert () == differences(order(order_type=OrderType.MARKET, price=None), row())


@pytest.mark.parametrize(
    "ours, theirs",
    [
        ({"shown_ms": Ms(51)}, {"price": Decimal(101)}),
        ({"cum_exec_qty": Decimal(1)}, {}),
        ({"status": "PartiallyFilled", "watermark": Decimal(1)}, {"cum_exec_qty": Decimal(1)}),
        ({"status": "Filled"}, {}),
    ],
)
def test_row_behind_what_was_shown_already_is_lag(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert lags(order(**ours), row(**theirs))
    assert Comparison() == look(Holdings(orders=(order(**ours),)), picture(orders=(row(**theirs),)))


@pytest.mark.parametrize(
    "ours, theirs",
    [
        ({}, {"status": OrderStatus.PARTIALLY_FILLED}),
        ({"status": ""}, {}),
        ({"status": "Filled"}, {"status": OrderStatus.CANCELLED}),
    ],
)
def test_row_that_is_news_is_no_lag(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert not lags(order(**ours), row(**theirs))


def test_open_order_that_nobody_knows_is_taken_in() -> None:
    second = twice(Holdings(), picture(orders=(row(),)))
    assert (FindingKind.ORDER_ONLY_THERE, (row(),)) == (only(second).kind, second.rows)


def test_foreign_order_that_is_known_is_no_difference() -> None:
    assert Comparison() == look(Holdings(foreign={"o-1": Ms(0)}), picture(orders=(row(),)))


def test_foreign_order_that_is_not_listed_is_forgotten_unless_it_is_newer_than_the_picture() -> None:
    holdings = Holdings(foreign={"old": Ms(999), "new": ASKED_MS})
    assert ("old",) == look(holdings, picture()).forgotten
    assert () == look(holdings, picture(orders=None)).forgotten


def test_order_that_settled_here_and_is_open_there_differs() -> None:
    second = twice(Holdings(retired={"o-1": Ms(900)}), picture(orders=(row(),)))
    assert (FindingKind.ORDER_DIFFERS, "settled") == (only(second).kind, only(second).expected)


def test_order_that_settled_after_the_picture_was_asked_for_is_discarded() -> None:
    compared = look(Holdings(retired={"o-1": ASKED_MS}), picture(orders=(row(),)))
    assert ({}, 1) == (compared.suspects, compared.discarded)


def test_picture_with_rows_that_do_not_read_proves_no_absence() -> None:
    holdings = Holdings(
        orders=(order(),),
        foreign={"old": Ms(0)},
        accounted={key_of("linear", "BTCUSDT", "e-1"): Ms(100)},
        unlisted=(PositionSnapshot(category=Category.LINEAR, symbol="BTCUSDT", position_idx=0, size=Decimal(1)),),
    )
    assert Comparison() == look(holdings, picture(quarantined=(Quarantine(why="no", raw="{"),)))


# Executions.


def test_missing_executions_are_named_by_symbol_and_taken_in() -> None:
    missing = tuple(execution(f"e-{number}", number) for number in range(30))
    second = twice(Holdings(unknown=missing), picture(executions=missing))
    assert FindingKind.EXECUTION_ONLY_THERE is only(second).kind
    assert tuple(f"e-{number}" for number in range(30)) == only(second).exec_ids
    assert missing == second.executions
    assert "e-19 and 10 more" in only(second).text


def test_one_missing_execution_says_what_it_is() -> None:
    second = twice(Holdings(unknown=(execution(),)), picture(executions=(execution(),)))
    assert (("e-1",), "ours", "Trade Buy 1 at 100") == (
        only(second).exec_ids,
        only(second).order_link_id,
        only(second).seen,
    )


@pytest.mark.parametrize(
    "exec_ms, known", [(100, True), (NOW_THERE_MS - LISTING_LAG_MS, True), (NOW_THERE_MS - LISTING_LAG_MS + 1, False)]
)
def test_execution_that_the_exchange_does_not_list_is_told_once_it_is_old_enough(exec_ms: int, *, known: bool) -> None:
    second = twice(Holdings(accounted={key_of("linear", "BTCUSDT", "e-9"): Ms(exec_ms)}), picture())
    assert [(FindingKind.EXECUTION_ONLY_HERE, ("e-9",))] * known == [
        (found.kind, found.exec_ids) for found in second.told
    ]


def test_execution_outside_of_what_was_asked_for_is_not_missed() -> None:
    spot, early = key_of("spot", "BTCUSDT", "e-1"), key_of("linear", "BTCUSDT", "e-2")
    assert Comparison() == look(Holdings(accounted={spot: Ms(100), early: Ms(99)}), picture(since_ms=Ms(100)))


def test_several_executions_that_only_we_have_are_one_finding() -> None:
    accounted = {key_of("linear", "BTCUSDT", f"e-{number}"): Ms(100) for number in range(2)}
    assert (("e-0", "e-1"), "2 executions", "") == (
        only(twice(Holdings(accounted=accounted), picture())).exec_ids,
        only(twice(Holdings(accounted=accounted), picture())).expected,
        only(twice(Holdings(accounted=accounted), picture())).seen,
    )


# Positions.


@pytest.mark.parametrize(
    "kind, seen, executions",
    [
        (FindingKind.POSITION_DIFFERS, position_row("3", 1), (execution(),)),
        (FindingKind.POSITION_DIFFERS, position_row("1", 1, Side.SELL), (execution(),)),
        (FindingKind.POSITION_ONLY_HERE, position_row("0", 1, None), (execution(),)),
        (FindingKind.POSITION_ONLY_THERE, position_row("1", 1), ()),
    ],
)
def test_positions_differ_by_side_and_size(
    kind: FindingKind, seen: PositionRow, executions: tuple[Execution, ...]
) -> None:
    second = twice(Holdings(agreements=(agreement(seen, *executions),)), picture(positions=(seen,)))
    assert kind is only(second).kind
    assert kind in OF_POSITIONS


def test_same_drift_is_the_same_difference_while_trading_goes_on() -> None:
    first = look(Holdings(agreements=(agreement(position_row("2", 2), execution("e-2", 2)),)), picture())
    later = agreement(position_row("5", 3), execution("e-2", 2), execution("e-3", 3, qty="3"))
    assert 1 == len(look(Holdings(agreements=(later,)), picture(), first.suspects).told)


def test_missing_execution_explains_its_position() -> None:
    holdings = Holdings(unknown=(execution(),), agreements=(agreement(position_row("1", 1)),))
    assert [FindingKind.EXECUTION_ONLY_THERE] == [found.kind for found in twice(holdings, picture()).told]


def test_position_row_older_than_our_balance_is_discarded() -> None:
    behind = Agreement(verdict=Verdict.BEHIND, expected=None, seen=position_row("1", 1))
    compared = look(Holdings(agreements=(behind,)), picture())
    assert ({}, 1) == (compared.suspects, compared.discarded)


def test_position_that_no_row_shows_is_a_phantom() -> None:
    held = PositionSnapshot(category=Category.LINEAR, symbol="BTCUSDT", position_idx=0, side=Side.BUY, size=Decimal(1))
    assert FindingKind.POSITION_ONLY_HERE is only(twice(Holdings(unlisted=(held,)), picture())).kind
    assert Comparison() == evolve(look(Holdings(unlisted=(held,), unknown=(execution(),)), picture()), suspects={})


def test_position_is_taken_over_where_the_policy_says_so() -> None:
    seen = position_row("3", 1)
    holdings = Holdings(agreements=(agreement(seen, execution()),))
    assert (seen,) == twice(holdings, picture(), Policies(position_differs=Reaction.ADOPT)).adopt
    assert () == twice(holdings, picture()).adopt


# Pictures that show a part.


def test_part_that_a_picture_does_not_show_keeps_its_suspicions() -> None:
    seen = position_row("3", 1)
    everything = Holdings(
        orders=(order(),), unknown=(execution("e-9", symbol="X"),), agreements=(agreement(seen, execution()),)
    )
    first = look(everything, picture())
    kept = look(Holdings(orders=(order(),)), picture(orders=None, positions=None, since_ms=None), first.suspects)
    assert first.suspects == kept.suspects
    assert not kept.gone
    assert 3 == len(look(everything, picture(), kept.suspects).told)


# Reports, and words.


def test_finding_says_what_where_expected_and_seen() -> None:
    finding = Finding(
        kind=FindingKind.POSITION_DIFFERS,
        category=Category.LINEAR,
        symbol="BTCUSDT",
        position_idx=1,
        expected="Buy 1 up to seq 1",
        seen="Buy 3 at seq 1",
    )
    assert (
        "position_differs linear BTCUSDT: position_idx 1: here Buy 1 up to seq 1, there Buy 3 at seq 1" == finding.text
    )


# Properties.

sizes = st.sampled_from([Decimal(1), Decimal(2), Decimal(3)])
links = st.sampled_from(["a", "b", "c"])
named = st.tuples(links, sizes)
ours = named.map(lambda one: order(order_link_id=OrderLinkId(one[0]), order_id=OrderId(one[0]), qty=one[1]))
theirs = named.map(lambda one: row(order_link_id=OrderLinkId(one[0]), order_id=OrderId(one[0]), qty=one[1]))
books = st.tuples(
    st.lists(ours, unique_by=lambda one: one.order_link_id), st.lists(theirs, unique_by=lambda one: one.order_link_id)
)


@given(books)
def test_unchanged_truth_is_told_once(sides: tuple[list[OrderSnapshot], list[OrderRow]]) -> None:
    holdings, seen = Holdings(orders=tuple(sides[0])), picture(orders=tuple(sides[1]))
    second = twice(holdings, seen)
    third = look(holdings, seen, second.suspects)
    assert ((), (), second.suspects.keys()) == (third.told, third.gone, third.suspects.keys())


@given(books)
def test_every_difference_of_the_union_is_told_and_nothing_else(
    sides: tuple[list[OrderSnapshot], list[OrderRow]],
) -> None:
    here = {one.order_link_id: one.qty for one in sides[0]}
    there = {one.order_link_id: one.qty for one in sides[1]}
    expected = {link for link in here.keys() | there.keys() if here.get(link) != there.get(link)}
    second = twice(Holdings(orders=tuple(sides[0])), picture(orders=tuple(sides[1])))
    assert expected == {finding.order_link_id for finding in second.told}
