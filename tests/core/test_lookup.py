"""Looking one order up: what is asked, in which order, and what the answers prove."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from hean.core.calls import Page, Quarantine, QueryExecutions, QueryOrders, Reply, Verdict, VerdictKind
from hean.core.facts import Executed, LookedUp, Shown
from hean.core.lookup import MAX_PAGES, Ended, Lookup, begin, feed
from hean.core.record import DAY_MS, Order
from hean.core.types import ExecId, Ms, OrderId, OrderLinkId, OrderStatus, Source
from tests.core.orders import ORDER_ID, REQUEST, START_MS, fill, row

OURS = Order.of(REQUEST)
NOW_MS = Ms(START_MS + 5_000)
ODD = Quarantine(why="qty: expected a number", raw="{}")


def reply(lookup: Lookup, page: Page | None = None, kind: VerdictKind = VerdictKind.ACCEPTED) -> Reply:
    verdict = Verdict(kind=kind, ret_code=0 if kind is VerdictKind.ACCEPTED else 10016, ret_msg="as told")
    return Reply(call=lookup.question(), verdict=verdict, result=page if kind is VerdictKind.ACCEPTED else None)


def answers(*pages: Page, order: Order = OURS, now_ms: Ms = NOW_MS) -> tuple[Lookup | Ended, list[Any]]:
    """The look-up after these answers, and every question up to then."""
    at: Lookup | Ended = begin(order, now_ms)
    asked: list[Any] = []
    for page in pages:
        assert isinstance(at, Lookup), "answered more often than asked"
        asked.append(at.question())
        at = feed(at, reply(at, page))
    return at, asked


def ended(*pages: Page, **changes: Any) -> Ended:
    at, _ = answers(*pages, **changes)
    assert isinstance(at, Ended)
    return at


def orders(*rows: Any, **changes: Any) -> Page:
    return Page(orders=rows, **changes)


def executions(*rows: Any, **changes: Any) -> Page:
    return Page(executions=rows, **changes)


def test_three_sources_are_asked_by_link_id_before_nothing_is_found():
    found, asked = answers(orders(), orders(), executions())
    assert [
        QueryOrders(category=REQUEST.category, symbol=REQUEST.symbol, order_link_id=REQUEST.order_link_id),
        QueryOrders(
            category=REQUEST.category, symbol=REQUEST.symbol, order_link_id=REQUEST.order_link_id, history=True
        ),
        QueryExecutions(category=REQUEST.category, symbol=REQUEST.symbol, order_link_id=REQUEST.order_link_id),
    ] == asked
    assert Ended(facts=(LookedUp(complete=True, found=False, started_ms=NOW_MS),)) == found


def test_row_that_needs_no_executions_ends_the_look_up():
    shown = row(OrderStatus.NEW)
    assert Ended(
        facts=(
            Shown(row=shown, source=Source.QUERY, asked_ms=NOW_MS),
            LookedUp(complete=True, found=True, started_ms=NOW_MS),
        )
    ) == ended(orders(shown))


def test_row_of_history_ends_the_look_up_too():
    assert [Shown, LookedUp] == [type(fact) for fact in ended(orders(), orders(row(OrderStatus.CANCELLED))).facts]


def test_executions_are_asked_for_where_the_row_shows_more_than_we_have():
    shown = row(OrderStatus.FILLED, "1")
    late, early = fill("b", "0.6", at=30), fill("a", "0.4", at=20)
    at, asked = answers(orders(shown), executions(late, early))
    assert isinstance(at, Ended)
    assert isinstance(asked[-1], QueryExecutions)
    # Executions first, in the exchange's order: they are the quantity.
    assert [early, late, shown] == [
        fact.execution if isinstance(fact, Executed) else fact.row for fact in at.facts[:-1]
    ]
    assert LookedUp(complete=True, found=True, started_ms=NOW_MS) == at.facts[-1]


def test_executions_alone_are_a_find():
    assert ended(orders(), orders(), executions(fill("a", "0.4"))).facts[-1].found


def test_execution_without_a_link_id_is_taken_and_one_of_another_order_is_not():
    nameless = fill("a", "0.4", order_link_id=OrderLinkId(""))
    other = fill("b", "0.4", order_link_id=OrderLinkId("h1-other"))
    facts = ended(orders(), orders(), executions(nameless, other)).facts
    assert [nameless] == [fact.execution for fact in facts[:-1]]


def test_newest_row_of_ours_is_the_order():
    old, new = row(OrderStatus.NEW, at=10), row(OrderStatus.CANCELLED, at=20)
    other = row(OrderStatus.NEW, at=30, order_link_id=OrderLinkId("h1-other"))
    for page in (orders(new, old, other), orders(old, new, other)):
        assert new == ended(page).facts[0].row


@pytest.mark.parametrize("kind", [kind for kind in VerdictKind if kind is not VerdictKind.ACCEPTED])
def test_query_that_fails_proves_nothing(kind):
    at = begin(OURS, NOW_MS)
    (fact,) = feed(at, reply(at, kind=kind)).facts
    assert (False, False, "realtime: 10016 as told") == (fact.complete, fact.found, fact.why)


def test_what_was_found_before_a_failure_is_kept():
    shown = row(OrderStatus.FILLED, "1")
    at, _ = answers(orders(shown))
    facts = feed(at, reply(at, kind=VerdictKind.UNKNOWN)).facts
    assert (shown, False, True) == (facts[0].row, facts[1].complete, facts[1].found)


def test_answer_without_a_page_proves_nothing():
    at = begin(OURS, NOW_MS)
    assert not feed(at, reply(at)).facts[-1].complete


def test_page_with_a_row_that_does_not_read_proves_nothing():
    shown = row(OrderStatus.NEW)
    facts = ended(orders(shown, quarantined=(ODD,))).facts
    assert (shown, False, "realtime: qty: expected a number") == (facts[0].row, facts[1].complete, facts[1].why)


def test_every_page_is_asked_for():
    at, asked = answers(
        orders(row(OrderStatus.NEW, order_link_id=OrderLinkId("h1-other")), next_cursor="c1"),
        orders(row(OrderStatus.FILLED, "1"), next_cursor="c1"),
        executions(fill("a", "0.4"), next_cursor="e1"),
        executions(fill("b", "0.6"), next_cursor=""),
    )
    assert isinstance(at, Ended)
    # A cursor that repeats, or that comes with an empty page, leads nowhere.
    assert ["", "c1", "", "e1"] == [question.cursor for question in asked]
    assert ["a", "b"] == [fact.execution.exec_id for fact in at.facts if isinstance(fact, Executed)]


def test_cursor_of_an_empty_page_leads_nowhere():
    _, asked = answers(orders(next_cursor="c1"), orders(), executions(next_cursor="e1"))
    assert ["", "", ""] == [question.cursor for question in asked]


def test_more_pages_than_an_order_can_have_prove_nothing():
    pages = [orders(row(OrderStatus.NEW), next_cursor=f"c{number}") for number in range(MAX_PAGES)]
    facts = ended(*pages).facts
    assert (False, f"realtime: more than {MAX_PAGES} pages") == (facts[-1].complete, facts[-1].why)


@pytest.mark.parametrize(
    "days, windows",
    [
        (0, [(None, None)]),
        (5.9, [(None, None)]),
        (6, [(-1, 6)]),
        (6.5, [(-1, 6), (6, 7.5)]),
        (20.5, [(-1, 6), (6, 13), (13, 20), (20, 21.5)]),
    ],
)
def test_history_of_an_old_order_is_asked_for_in_windows(days, windows):
    now_ms = Ms(START_MS + int(days * DAY_MS))
    _, asked = answers(orders(), *[orders() for _ in windows], executions(), now_ms=now_ms)
    expected = [tuple(None if day is None else START_MS + day * DAY_MS for day in window) for window in windows]
    assert expected == [
        (question.start_ms, question.end_ms) for question in asked if getattr(question, "history", False)
    ]


def test_windows_end_with_the_first_that_shows_the_order():
    found, asked = answers(orders(), orders(row(OrderStatus.CANCELLED)), now_ms=Ms(START_MS + 20 * DAY_MS))
    assert isinstance(found, Ended)
    assert 2 == len(asked)


# What may be split is asked for by its own ID, once that is known.
CLOSING = Order.of(evolve(REQUEST, reduce_only=True))


def test_order_that_may_be_split_is_asked_for_by_its_own_id():
    known = evolve(CLOSING, order_id=ORDER_ID)
    _, asked = answers(orders(), orders(), executions(), order=known)
    assert [ORDER_ID] * 3 == [question.order_id for question in asked]
    _, asked = answers(orders(), orders(), executions(), order=CLOSING)
    assert [""] * 3 == [question.order_id for question in asked]


def test_row_of_another_part_of_it_is_not_the_order():
    known = evolve(CLOSING, order_id=ORDER_ID)
    ours, part = row(OrderStatus.NEW, at=10), row(OrderStatus.FILLED, "1", at=20, order_id=OrderId("o-2"))
    assert ours == ended(orders(part, ours), order=known).facts[0].row


def test_ledger_that_has_it_all_needs_no_executions():
    order = evolve(OURS, ledger=OURS.ledger.add(fill(ExecId("a"), "1")))
    assert Decimal(1) == order.ledger.cum_exec_qty
    assert [Shown, LookedUp] == [type(fact) for fact in ended(orders(row(OrderStatus.FILLED, "1")), order=order).facts]
