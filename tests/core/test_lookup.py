"""Looking an order up: which sources are asked, in which order, and what their answers prove."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
from attrs import evolve

from hean.core import lookup
from hean.core.calls import Ack, Page, Quarantine, QueryExecutions, QueryOrders, Reply, Verdict, VerdictKind
from hean.core.facts import Executed, LookedUp, Shown
from hean.core.ledger import Ledger
from hean.core.lookup import DAY_MS, MAX_PAGES, Ended, Lookup, Stage
from hean.core.record import Order
from hean.core.types import Ms, OrderLinkId, OrderStatus, Source
from tests.core.orders import REQUEST, START_MS, fill, row

ORDER = Order.of(REQUEST)
NOW_MS = Ms(START_MS + 1000)
NEW = row(OrderStatus.NEW)
PART = fill("e1", "0.4")


def answer(asked: Lookup, *, kind: VerdictKind = VerdictKind.ACCEPTED, **page: object) -> Reply:
    verdict = Verdict(kind=kind, ret_code=None if kind is VerdictKind.ACCEPTED else 10016, ret_msg="busy")
    return Reply(call=asked.question(), verdict=verdict, result=Page(**page) if kind is VerdictKind.ACCEPTED else None)


def stages(order: Order, *pages: dict[str, object], now_ms: Ms = NOW_MS) -> tuple[list[Stage], Ended | Lookup]:
    """The stages that were asked, and what came of the last answer."""
    state: Lookup | Ended = lookup.begin(order, now_ms)
    asked = []
    for page in pages:
        assert isinstance(state, Lookup)
        asked.append(state.stage)
        state = lookup.feed(state, answer(state, **page))
    return asked, state


def end(order: Order, *pages: dict[str, object]) -> Ended:
    _, state = stages(order, *pages)
    assert isinstance(state, Ended)
    return state


def looked_up(ended: Ended) -> LookedUp:
    last = ended.facts[-1]
    assert isinstance(last, LookedUp)
    return last


def test_first_source_that_shows_the_order_ends_the_search():
    asked, ended = stages(ORDER, {"orders": (NEW,)})
    assert [Stage.REALTIME] == asked
    assert (
        Shown(row=NEW, source=Source.QUERY, asked_ms=NOW_MS),
        LookedUp(complete=True, found=True, started_ms=NOW_MS),
    ) == ended.facts


def test_absence_is_three_empty_sources():
    asked, ended = stages(ORDER, {}, {}, {})
    assert [Stage.REALTIME, Stage.HISTORY, Stage.EXECUTIONS] == asked
    assert (LookedUp(complete=True, found=False, started_ms=NOW_MS),) == ended.facts


def test_row_that_knows_of_more_executions_has_them_asked_for():
    part = row(OrderStatus.PARTIALLY_FILLED, "0.4")
    asked, ended = stages(ORDER, {}, {"orders": (part,)}, {"executions": (PART,)})
    assert [Stage.REALTIME, Stage.HISTORY, Stage.EXECUTIONS] == asked
    assert [Executed, Shown, LookedUp] == [type(fact) for fact in ended.facts]


def test_executions_that_are_known_are_not_asked_for():
    order = evolve(ORDER, ledger=Ledger().add(PART))
    assert [Stage.REALTIME] == stages(order, {"orders": (row(OrderStatus.PARTIALLY_FILLED, "0.4"),)})[0]


def test_fee_that_was_never_told_is_asked_for_among_the_executions():
    order = evolve(ORDER, ledger=Ledger().add(evolve(PART, exec_fee=None)))
    part = row(OrderStatus.PARTIALLY_FILLED, "0.4")
    ended = end(order, {"orders": (part,)}, {"executions": (PART,)})
    assert Executed(execution=PART, source=Source.QUERY) == ended.facts[0]


def test_executions_without_a_row_are_found_in_the_order_of_the_match():
    late, early = fill("e2", "0.1", at=30), fill("e1", "0.1", at=20)
    ended = end(ORDER, {}, {}, {"executions": (late, early)})
    assert [early, late] == [fact.execution for fact in ended.facts[:-1]]
    assert looked_up(ended).found


@pytest.mark.parametrize("before", [0, 1, 2])
def test_query_that_fails_proves_nothing_and_says_which(before):
    state: Lookup | Ended = lookup.begin(ORDER, NOW_MS)
    for _ in range(before):
        state = lookup.feed(state, answer(state))
    ended = lookup.feed(state, answer(state, kind=VerdictKind.UNKNOWN))
    name = list(Stage)[before]
    assert (LookedUp(complete=False, found=False, started_ms=NOW_MS, why=f"{name}: 10016 busy"),) == ended.facts


def test_answer_that_is_no_page_proves_nothing():
    asked = lookup.begin(ORDER, NOW_MS)
    reply = evolve(answer(asked), result=Ack(order_id=None, order_link_id=None))
    assert not looked_up(lookup.feed(asked, reply)).complete


def test_what_was_found_before_a_failure_is_true_all_the_same():
    state = lookup.begin(ORDER, NOW_MS)
    state = lookup.feed(state, answer(state, orders=(row(OrderStatus.PARTIALLY_FILLED, "0.4"),)))
    ended = lookup.feed(state, answer(state, kind=VerdictKind.UNKNOWN))
    assert [Shown, LookedUp] == [type(fact) for fact in ended.facts]
    assert (False, True) == (looked_up(ended).complete, looked_up(ended).found)


def test_page_with_an_unreadable_row_proves_nothing():
    poison = Quarantine(why="orderStatus: no such status", raw="{}")
    ended = end(ORDER, {"quarantined": (poison,)})
    assert (False, "realtime: orderStatus: no such status") == (looked_up(ended).complete, looked_up(ended).why)


def test_every_page_is_read_by_its_cursor():
    state = lookup.begin(ORDER, NOW_MS)
    other = evolve(NEW, order_link_id=OrderLinkId("h1-other"))
    state = lookup.feed(state, answer(state, orders=(other,), next_cursor="p2"))
    assert isinstance(state, Lookup)
    assert (Stage.REALTIME, "p2") == (state.stage, state.question().cursor)
    assert isinstance(lookup.feed(state, answer(state, orders=(NEW,))), Ended)


@pytest.mark.parametrize("page", [{"next_cursor": "p2"}, {"orders": (evolve(NEW, order_link_id="x"),)}])
def test_cursor_of_a_page_without_rows_and_a_page_without_cursor_are_the_last(page):
    state = lookup.begin(ORDER, NOW_MS)
    state = lookup.feed(state, answer(state, **page))
    assert (Stage.HISTORY, "") == (state.stage, state.cursor)


def test_cursor_that_comes_again_is_the_last():
    state = lookup.begin(ORDER, NOW_MS)
    other = evolve(NEW, order_link_id=OrderLinkId("h1-other"))
    for _ in range(2):
        state = lookup.feed(state, answer(state, orders=(other,), next_cursor="p2"))
    assert Stage.HISTORY is state.stage


def test_pages_without_end_prove_nothing():
    state: Lookup | Ended = lookup.begin(ORDER, NOW_MS)
    other = evolve(NEW, order_link_id=OrderLinkId("h1-other"))
    for number in range(MAX_PAGES):
        assert isinstance(state, Lookup)
        state = lookup.feed(state, answer(state, orders=(other,), next_cursor=f"p{number}"))
    assert isinstance(state, Ended)
    assert (False, f"realtime: more than {MAX_PAGES} pages") == (looked_up(state).complete, looked_up(state).why)


def test_newest_of_several_rows_is_the_order():
    old, new = row(OrderStatus.NEW, at=10), row(OrderStatus.CANCELLED, at=20)
    for orders in ((old, new), (new, old)):
        assert new is end(ORDER, {"orders": orders}).facts[0].row


def test_executions_of_another_order_are_left_out():
    foreign, unnamed = evolve(PART, order_link_id=OrderLinkId("h1-other")), evolve(PART, order_link_id=OrderLinkId(""))
    ended = end(ORDER, {}, {}, {"executions": (foreign, unnamed)})
    assert [unnamed] == [fact.execution for fact in ended.facts[:-1]]


def test_questions_name_the_order_and_the_source():
    state = lookup.begin(ORDER, NOW_MS)
    common = {"category": REQUEST.category, "symbol": REQUEST.symbol, "order_link_id": REQUEST.order_link_id}
    assert QueryOrders(history=False, **common) == state.question()
    state = lookup.feed(state, answer(state))
    assert QueryOrders(history=True, **common) == state.question()
    state = lookup.feed(state, answer(state))
    assert QueryExecutions(**common) == state.question()


def test_history_of_an_older_order_is_asked_for_window_by_window_up_to_now():
    now_ms = Ms(START_MS + 16 * DAY_MS)
    state = lookup.begin(ORDER, now_ms)
    assert (None, None) == (state.question().start_ms, state.question().end_ms)
    state = lookup.feed(state, answer(state))
    windows = []
    while state.stage is Stage.HISTORY:
        windows.append((state.question().start_ms, state.question().end_ms))
        state = lookup.feed(state, answer(state))
    assert START_MS - DAY_MS == windows[0][0]
    assert windows[-1][1] >= now_ms
    assert all(end_ms - start_ms <= 7 * DAY_MS for start_ms, end_ms in windows)
    assert all(before[1] >= after[0] for before, after in itertools.pairwise(windows))
    assert Stage.EXECUTIONS is state.stage


def test_known_quantity_decides_by_more_not_by_as_much():
    order = evolve(ORDER, ledger=Ledger().add(PART))
    more = row(OrderStatus.PARTIALLY_FILLED, str(Decimal("0.5")))
    assert [Stage.REALTIME, Stage.EXECUTIONS] == stages(order, {"orders": (more,)}, {})[0]
