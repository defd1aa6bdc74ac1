"""Asking for everything: which questions, to which page, and what is never taken for a whole."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from hean.core import catchup
from hean.core.calls import (
    Page,
    Quarantine,
    Query,
    QueryExecutions,
    QueryOrders,
    QueryPositions,
    Reply,
    Result,
    Verdict,
    VerdictKind,
)
from hean.core.catchup import CatchUp, Picture, Scope, Unfinished, begin, feed
from hean.core.lookup import WINDOW_MS
from hean.core.types import (
    Category,
    ExecId,
    ExecType,
    Execution,
    Ms,
    OrderId,
    OrderLinkId,
    OrderRow,
    OrderStatus,
    PositionRow,
    Side,
)

LINEAR = (Scope(category=Category.LINEAR, settle_coin="USDT"),)
BTC = (Category.LINEAR, "BTCUSDT")


def start(**changes: Any) -> CatchUp:
    values: dict[str, Any] = {"until_ms": Ms(5_000), "since_ms": Ms(1_000), "scopes": LINEAR}
    return begin(Ms(10), **values | changes)


def reply(query: Query, result: Result = None, kind: VerdictKind = VerdictKind.ACCEPTED) -> Reply:
    return Reply(call=query, verdict=Verdict(kind=kind, ret_code=10016, ret_msg="busy"), result=result)


def answered(picture: CatchUp, *pages: Page) -> CatchUp | Picture | Unfinished:
    """What comes of these pages, one after the other."""
    after: CatchUp | Picture | Unfinished = picture
    for page in pages:
        assert isinstance(after, CatchUp)
        after = feed(after, reply(after.question(), page))
    return after


def order(name: str, updated_ms: int = 1) -> OrderRow:
    return OrderRow(
        category=Category.LINEAR,
        symbol="BTCUSDT",
        order_id=OrderId(name),
        order_link_id=OrderLinkId(name),
        side=Side.BUY,
        status=OrderStatus.NEW,
        qty=Decimal(1),
        cum_exec_qty=Decimal(0),
        updated_ms=Ms(updated_ms),
    )


def execution(name: str, seq: int) -> Execution:
    return Execution(
        category=Category.LINEAR,
        symbol="BTCUSDT",
        exec_id=ExecId(name),
        order_id=OrderId("o"),
        order_link_id=OrderLinkId("o"),
        side=Side.BUY,
        exec_type=ExecType.TRADE,
        exec_qty=Decimal(1),
        exec_price=Decimal(1),
        seq=seq,
    )


def position(seq: int, size: str = "1") -> PositionRow:
    return PositionRow(
        category=Category.LINEAR, symbol="BTCUSDT", position_idx=0, side=Side.BUY, size=Decimal(size), seq=seq
    )


def test_executions_are_asked_for_last_so_that_they_explain_the_rest() -> None:
    kinds = [type(question) for question in start(symbols=(BTC,), deep=(BTC,)).questions]
    assert [QueryOrders, QueryPositions, QueryPositions, QueryExecutions, QueryExecutions] == kinds


def test_every_scope_is_asked_and_executions_once_for_each_category() -> None:
    questions = start(scopes=catchup.SCOPES).questions
    assert [
        (QueryOrders, Category.LINEAR, "USDT"),
        (QueryOrders, Category.LINEAR, "USDC"),
        (QueryOrders, Category.INVERSE, ""),
        (QueryPositions, Category.LINEAR, "USDT"),
        (QueryPositions, Category.LINEAR, "USDC"),
        (QueryPositions, Category.INVERSE, ""),
        (QueryExecutions, Category.LINEAR, ""),
        (QueryExecutions, Category.INVERSE, ""),
    ] == [(type(question), question.category, getattr(question, "settle_coin", "")) for question in questions]


def test_part_that_is_not_wanted_is_not_asked_for_and_not_shown_as_empty() -> None:
    some = answered(start(orders=False, positions=False), Page())
    assert isinstance(some, Picture)
    assert (None, None, ()) == (some.orders, some.positions, some.executions)
    others = answered(start(since_ms=None), Page(), Page())
    assert isinstance(others, Picture)
    assert ((), (), None) == (others.orders, others.positions, others.since_ms)


def test_executions_of_weeks_are_asked_for_in_windows_of_seven_days() -> None:
    questions = start(since_ms=Ms(0), until_ms=Ms(2 * WINDOW_MS + 1), orders=False, positions=False).questions
    windows = [(q.start_ms, q.end_ms) for q in questions if isinstance(q, QueryExecutions)]
    assert [(0, WINDOW_MS), (WINDOW_MS, 2 * WINDOW_MS), (2 * WINDOW_MS, 3 * WINDOW_MS)] == windows


@pytest.mark.parametrize("since_ms, start_ms", [(0, WINDOW_MS - catchup.DEEP_MS), (WINDOW_MS - 5, WINDOW_MS - 5)])
def test_deep_question_reaches_back_as_far_as_one_window_allows(since_ms: int, start_ms: int) -> None:
    *_, deep = start(until_ms=Ms(WINDOW_MS), deep=(BTC,), deep_since_ms=Ms(since_ms)).questions
    assert isinstance(deep, QueryExecutions)
    assert ("BTCUSDT", start_ms) == (deep.symbol, deep.start_ms)


def test_every_page_is_asked_for_by_its_cursor() -> None:
    after = answered(start(), Page(orders=(order("a"),), next_cursor="1"))
    assert isinstance(after, CatchUp)
    assert isinstance(after.question(), QueryOrders)
    assert "1" == getattr(after.question(), "cursor", "")
    whole = answered(after, Page(orders=(order("b"),)), Page(), Page())
    assert isinstance(whole, Picture)
    assert whole.orders is not None
    assert ["a", "b"] == [row.order_id for row in whole.orders]


@pytest.mark.parametrize("rows", [(), (order("a"),)])
def test_cursor_that_leads_nowhere_new_ends_the_question(rows: tuple[OrderRow, ...]) -> None:
    first = answered(start(), Page(orders=(order("a"),), next_cursor="1"))
    assert isinstance(first, CatchUp)
    after = answered(first, Page(orders=rows, next_cursor="1"))
    assert isinstance(after, CatchUp)
    assert isinstance(after.question(), QueryPositions)


def test_row_shown_twice_while_paging_counts_as_its_newest() -> None:
    pages = (Page(orders=(order("a", 2), order("a", 1))), Page(positions=(position(2, "5"), position(1))), Page())
    whole = answered(start(), *pages)
    assert isinstance(whole, Picture)
    assert ((order("a", 2),), (position(2, "5"),)) == (whole.orders, whole.positions)


def test_executions_come_in_the_exchanges_order_and_once() -> None:
    pages = (Page(), Page(), Page(executions=(execution("b", 2), execution("a", 1), execution("b", 2))))
    whole = answered(start(), *pages)
    assert isinstance(whole, Picture)
    assert (execution("a", 1), execution("b", 2)) == whole.executions


@pytest.mark.parametrize("kind", [kind for kind in VerdictKind if kind is not VerdictKind.ACCEPTED])
def test_one_failed_page_fails_the_whole(kind: VerdictKind) -> None:
    after = answered(start(), Page(orders=(order("a"),)))
    assert isinstance(after, CatchUp)
    failed = feed(after, reply(after.question(), kind=kind))
    assert Unfinished(why="QueryPositions: 10016 busy") == failed


def test_answer_of_another_kind_fails_the_whole() -> None:
    assert isinstance(feed(start(), reply(start().question())), Unfinished)


def test_row_that_does_not_read_is_set_aside_and_its_neighbours_are_kept() -> None:
    spoiled = Quarantine(why="no", raw="{")
    whole = answered(start(), Page(orders=(order("a"),), quarantined=(spoiled,)), Page(), Page(quarantined=(spoiled,)))
    assert isinstance(whole, Picture)
    assert ((order("a"),), (spoiled,)) == (whole.orders, whole.quarantined)


def test_page_of_nothing_but_bad_rows_is_followed_by_the_next() -> None:
    after = answered(start(), Page(quarantined=(Quarantine(why="no", raw="{"),), next_cursor="1"))
    assert isinstance(after, CatchUp)
    assert isinstance(after.question(), QueryOrders)


def test_pages_are_bounded() -> None:
    last = evolve(start(), pages=catchup.MAX_PAGES - 1)
    assert isinstance(answered(last, Page()), Unfinished)
