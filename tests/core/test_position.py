"""Executions make the position, in the exchange's order, whatever the order of arrival."""

from __future__ import annotations

from decimal import Decimal

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from hean.core import plain
from hean.core.position import Agreement, Base, Change, PositionBook, Verdict
from hean.core.types import (
    Category,
    EventType,
    ExecId,
    ExecType,
    Execution,
    Ms,
    OrderId,
    OrderLinkId,
    PositionRow,
    PositionSnapshot,
    Side,
)
from hean.errors import LocalError

D = Decimal
OPENED, UPDATE, CLOSED = EventType.POSITION_OPENED, EventType.POSITION_UPDATE, EventType.POSITION_CLOSED
FLAT = PositionSnapshot(category=Category.LINEAR, symbol="BTCUSDT", position_idx=0)


def fill(seq: int, signed: str, price: str = "100", exec_id: str = "", **changes) -> Execution:
    qty = D(signed)
    execution = Execution(
        category=Category.LINEAR,
        symbol="BTCUSDT",
        exec_id=ExecId(exec_id or f"e{seq}"),
        order_id=OrderId("o1"),
        order_link_id=OrderLinkId(""),
        side=Side.BUY if qty > 0 else Side.SELL,
        exec_type=ExecType.TRADE,
        exec_qty=abs(qty),
        exec_price=D(price),
        exec_fee=D("0.01"),
        fee_currency="USDT",
        seq=seq,
        exec_ms=Ms(1000 + seq),
    )
    return evolve(execution, **changes)


def funding(seq: int, fee: str = "0.5", **changes) -> Execution:
    return fill(seq, "1", exec_type=ExecType.FUNDING, exec_fee=D(fee), **changes)


def row(seq: int, signed: str, price: str | None = "100", **changes) -> PositionRow:
    qty = D(signed)
    side = None if not qty else Side.BUY if qty > 0 else Side.SELL
    position = PositionRow(
        category=Category.LINEAR,
        symbol="BTCUSDT",
        position_idx=0,
        side=side,
        size=abs(qty),
        avg_price=None if price is None else D(price),
        seq=seq,
        updated_ms=Ms(1000 + seq),
    )
    return evolve(position, **changes)


def book(*fills: Execution, position_idx: int = 0) -> PositionBook:
    made = PositionBook(Category.LINEAR, "BTCUSDT", position_idx, settle_coin="USDT")
    for each in fills:
        made.fold(each)
    return made


def kinds(changes: tuple[Change, ...]) -> list[tuple[EventType, Decimal]]:
    return [
        (change.kind, change.position.size * (change.position.side.sign if change.position.side else 1))
        for change in changes
    ]


def test_book_is_of_one_way_mode_unless_told():
    assert 0 == PositionBook(Category.LINEAR, "BTCUSDT").position_idx


def test_new_book_is_flat():
    assert FLAT == book().snapshot
    assert (-1, 0, ()) == (book().base_seq, book().count, book().crossings)


def test_life_of_a_position_is_told_in_changes():
    made = book()
    assert [(OPENED, D(1))] == kinds(made.fold(fill(1, "1", "100")))
    assert [(UPDATE, D(3))] == kinds(made.fold(fill(2, "2", "106")))
    assert [(UPDATE, D(1))] == kinds(made.fold(fill(3, "-2", "110")))
    assert [(CLOSED, D(0)), (OPENED, D(-1))] == kinds(made.fold(fill(4, "-2", "114")))
    assert [(CLOSED, D(0))] == kinds(made.fold(fill(5, "1", "110")))
    assert evolve(FLAT, realised_pnl=D(26), fees=(("USDT", D("0.05")),), seq=5, updated_ms=Ms(1005)) == made.snapshot


def test_flip_closes_flat_with_its_profit_before_it_opens():
    made = book(fill(1, "1", "100"))
    closed, opened = made.fold(fill(2, "-3", "110"))
    sums = {"realised_pnl": D(10), "fees": (("USDT", D("0.02")),), "seq": 2, "updated_ms": Ms(1002)}
    assert Change(kind=CLOSED, position=evolve(FLAT, **sums)) == closed
    assert Change(kind=OPENED, position=evolve(FLAT, side=Side.SELL, size=D(2), avg_price=D(110), **sums)) == opened


def test_inverse_book_gains_base_coin():
    made = PositionBook(Category.INVERSE, "BTCUSD", settle_coin="BTC")
    for each in (fill(1, "100", "50"), fill(2, "-100", "100")):
        made.fold(evolve(each, category=Category.INVERSE, symbol="BTCUSD"))
    assert D(1) == made.snapshot.realised_pnl


def test_funding_is_cash_and_no_quantity():
    made = book(fill(1, "1"))
    (change,) = made.fold(funding(2, "0.5", fee_currency=""))
    assert EventType.FUNDING == change.kind
    assert (D(1), (("USDT", D("0.5")),), 1) == (made.snapshot.size, made.snapshot.funding, made.snapshot.seq)


def test_duplicate_changes_nothing():
    made = book(fill(1, "1"))
    before = made.snapshot
    assert () == made.fold(fill(1, "5"))
    assert before == made.snapshot
    assert (True, False) == (made.knows(ExecId("e1")), made.knows(ExecId("e2")))


def test_execution_of_another_book_is_refused():
    made = book()
    with pytest.raises(LocalError, match="expected one of linear BTCUSDT, was of spot BTCUSDT"):
        made.fold(fill(1, "1", category=Category.SPOT))
    assert FLAT == made.snapshot


def test_late_execution_takes_its_place():
    made = book(fill(1, "1", "100"), fill(3, "-1", "120"))
    assert D(20) == made.snapshot.realised_pnl
    changes = made.fold(fill(2, "1", "110"))
    assert [(OPENED, D(1))] == kinds(changes)
    assert [True] == [change.refolded for change in changes]
    assert (D(105), D(15)) == (made.snapshot.avg_price, made.snapshot.realised_pnl)


def test_late_execution_within_a_position_is_an_update():
    made = book(fill(1, "2", "100"), fill(3, "-1", "120"))
    assert [(UPDATE, D(2))] == kinds(made.fold(fill(2, "1", "110")))


def test_late_execution_that_leaves_it_flat_is_an_update():
    made = book(fill(1, "2", "100"), fill(4, "-2", "120"))
    made.fold(fill(2, "1", "100"))
    assert [(CLOSED, D(0))] == kinds(made.fold(fill(3, "-1", "110")))
    assert [(UPDATE, D(0))] == kinds(made.fold(funding(0, "0")) and made.fold(fill(3, "0", exec_id="nil")))


def test_late_opening_closes_what_looked_open():
    made = book()
    assert [(OPENED, D(-1))] == kinds(made.fold(fill(2, "-1", "110")))
    assert [(CLOSED, D(0))] == kinds(made.fold(fill(1, "1", "100")))
    assert D(10) == made.snapshot.realised_pnl


def test_fills_of_one_match_count_by_what_the_order_had_left():
    first = fill(2, "-0.6", "101", "z", exec_ms=Ms(5), leaves_qty=D("0.4"))
    second = fill(2, "-0.4", "99", "a", exec_ms=Ms(5), leaves_qty=D(0))
    made = book(fill(1, "0.6", "100"), second, first)
    assert (D("0.6"), D(99), D("0.4")) == (made.snapshot.realised_pnl, made.snapshot.avg_price, made.snapshot.size)


def test_same_seq_counts_by_time_then_by_id():
    early = fill(2, "-1", "101", "z", exec_ms=Ms(5))
    later, last = (fill(2, "-1", "90", exec_id, exec_ms=Ms(6)) for exec_id in "ab")
    made = book(last, later, early, fill(1, "1", "100"))
    assert (D(1), D(90)) == (made.snapshot.realised_pnl, made.snapshot.avg_price)


def test_fee_told_late_is_counted_once():
    made = book(fill(1, "1", exec_fee=None), fill(2, "1"))
    assert () == made.fold(fill(1, "1", exec_fee=None))
    (change,) = made.fold(fill(1, "9", exec_fee=D("0.25"), fee_currency=""))
    assert (UPDATE, True) == (change.kind, change.refolded)
    assert (("USDT", D("0.26")),) == change.position.fees
    assert () == made.fold(fill(1, "1", exec_fee=D("0.25")))
    assert D(2) == made.snapshot.size


def test_fee_told_late_is_in_the_coin_that_it_names_and_moves_no_neighbour():
    made = book(fill(1, "1"), fill(2, "1", exec_fee=None), fill(3, "1"))
    made.fold(fill(2, "1", exec_fee=D("0.5"), fee_currency="MNT"))
    assert ((("MNT", D("0.5")), ("USDT", D("0.02"))), D(3), 3) == (made.snapshot.fees, made.snapshot.size, made.count)


def test_funding_fee_told_late_is_funding():
    made = book(evolve(funding(1), exec_fee=None))
    assert [EventType.FUNDING] == [change.kind for change in made.fold(funding(1))]


@pytest.mark.parametrize(
    "position,signed,crossed",
    [
        ("1", "-1", False),
        ("1", "-0.5", False),
        ("1", "-1.5", True),
        ("1", "1", True),
        ("0", "-1", True),
        ("-1", "1", False),
    ],
)
def test_s16_reduce_only_that_does_more_than_shrink_raises_the_alarm(position, signed, crossed):
    made = book(*([fill(1, position)] if D(position) else []))
    changes = made.fold(fill(2, signed), reduce_only=True)
    assert {crossed} == {change.crossed_zero for change in changes}
    assert (("e2",) if crossed else ()) == made.crossings


def test_crossing_that_a_late_execution_explains_is_cleared():
    made = book()
    made.fold(fill(2, "-1"), reduce_only=True)
    assert ("e2",) == made.crossings
    assert [False] == [change.crossed_zero for change in made.fold(fill(1, "1"))]
    assert () == made.crossings


def test_late_execution_that_makes_another_cross_raises_the_alarm():
    made = book(fill(1, "1"))
    made.fold(fill(3, "-1"), reduce_only=True)
    assert () == made.crossings
    assert {True} == {change.crossed_zero for change in made.fold(fill(2, "-1"))}
    assert ("e3",) == made.crossings


@pytest.mark.parametrize(
    "position_idx,signed,crossed", [(1, "1", False), (1, "-1", True), (2, "-1", False), (2, "1", True)]
)
def test_hedge_position_on_the_wrong_side_raises_the_alarm(position_idx, signed, crossed):
    (change,) = book(position_idx=position_idx).fold(fill(1, signed))
    assert (crossed, position_idx) == (change.crossed_zero, change.position.position_idx)


@pytest.mark.parametrize("position_idx,signed", [(1, "1"), (2, "-1")])
def test_hedge_position_that_closes_raises_no_alarm(position_idx, signed):
    made = book(position_idx=position_idx)
    made.fold(fill(1, signed))
    (change,) = made.fold(fill(2, str(-D(signed))), reduce_only=True)
    assert (EventType.POSITION_CLOSED, False) == (change.kind, change.crossed_zero)


def test_late_execution_does_not_raise_an_old_alarm_again():
    made = book(fill(1, "1"))
    made.fold(fill(3, "-5"), reduce_only=True)
    assert {False} == {change.crossed_zero for change in made.fold(fill(2, "1"))}
    assert ("e3",) == made.crossings


def test_funding_raises_no_alarm():
    made = book(fill(1, "-1"), position_idx=1)
    assert [False] == [change.crossed_zero for change in made.fold(funding(2), reduce_only=True)]
    assert ("e1",) == made.crossings


def test_position_at_a_seq():
    made = book(fill(2, "1"), fill(4, "-3"))
    assert [D(0), D(1), D(1), D(-2), D(-2)] == [made.size_at(seq) for seq in (1, 2, 3, 4, 9)]
    assert evolve(
        FLAT, side=Side.BUY, size=D(1), avg_price=D(100), fees=(("USDT", D("0.01")),), seq=2, updated_ms=Ms(1002)
    ) == made.at(3)


@pytest.mark.parametrize(
    "seen,verdict",
    [
        (row(4, "-2"), Verdict.CONFIRMED),
        (row(2, "1"), Verdict.CONFIRMED),
        (row(-1, "0", None), Verdict.CONFIRMED),
        (row(4, "-2", "55"), Verdict.CONFIRMED),
        (row(4, "2"), Verdict.DIFFERENT),
        (row(4, "-1"), Verdict.DIFFERENT),
        (row(2, "0"), Verdict.DIFFERENT),
        (row(5, "0"), Verdict.MISSING),
        (row(3, "2"), Verdict.MISSING),
    ],
)
def test_row_is_compared_at_its_own_seq(seen, verdict):
    made = book(fill(2, "1"), fill(4, "-3"))
    assert Agreement(verdict=verdict, expected=made.at(seen.seq), seen=seen) == made.agree(seen)


def test_row_that_lags_no_more_and_knows_nothing_of_an_execution_differs():
    made = book(fill(2, "1"), fill(4, "-3"))
    stale, newest_ms = row(2, "1"), made.snapshot.updated_ms
    assert Verdict.CONFIRMED == made.agree(stale, settled_ms=newest_ms - 1).verdict
    told = made.agree(stale, settled_ms=newest_ms)
    assert Agreement(verdict=Verdict.DIFFERENT, expected=made.snapshot, seen=evolve(stale, seq=4)) == told
    made.adopt(told.seen)
    assert Verdict.CONFIRMED == made.agree(told.seen, settled_ms=newest_ms).verdict
    assert D(1) == made.snapshot.size


def test_row_that_went_on_and_came_back_to_the_same_size_agrees():
    made = book(fill(2, "1"), fill(4, "-3"), fill(5, "3"))
    assert Verdict.CONFIRMED == made.agree(row(2, "1"), settled_ms=made.snapshot.updated_ms).verdict


def test_row_older_than_the_base_says_nothing():
    made = book(fill(2, "1"), fill(4, "-3"))
    made.checkpoint(4)
    assert Agreement(verdict=Verdict.BEHIND, expected=None, seen=row(3, "1")) == made.agree(row(3, "1"))
    assert (None, None) == (made.size_at(3), made.at(3))
    assert [D(-2), made.snapshot] == [made.size_at(4), made.at(4)]
    assert Verdict.CONFIRMED == made.agree(row(4, "-2")).verdict


@pytest.mark.parametrize("changes", [{"category": Category.INVERSE}, {"symbol": "ETHUSDT"}, {"position_idx": 1}])
def test_row_of_another_position_is_refused(changes):
    with pytest.raises(LocalError, match="position row"):
        book().agree(row(1, "1", **changes))
    with pytest.raises(LocalError, match="position row"):
        book().adopt(row(1, "1", **changes))


def test_adopted_row_contains_what_is_at_or_below_its_seq():
    made = book()
    (change,) = made.adopt(row(5, "-2", "90"))
    assert EventType.POSITION_ADOPTED == change.kind
    opening = evolve(FLAT, side=Side.SELL, size=D(2), avg_price=D(90), seq=5, updated_ms=Ms(1005))
    assert opening == change.position == made.snapshot
    old = [fill(5, "1"), fill(4, "1"), funding(5)]
    assert [True, True, True, False] == [made.contains(each) for each in [*old, fill(6, "1")]]
    assert [(), (), ()] == [made.fold(each) for each in old]
    assert opening == made.snapshot
    made.fold(fill(6, "2", "80"))
    assert D(20) == made.snapshot.realised_pnl


def test_adopting_folds_later_executions_on_top_and_keeps_the_sums():
    made = book(fill(1, "1", "100"), fill(2, "-1", "110"), fill(9, "1", "95"))
    made.adopt(row(5, "3", "90"))
    assert (D(4), D("91.25"), D(10)) == (made.snapshot.size, made.snapshot.avg_price, made.snapshot.realised_pnl)
    assert (("USDT", D("0.03")),) == made.snapshot.fees
    assert (1, False, True) == (made.count, made.knows(ExecId("e1")), made.knows(ExecId("e9")))


def test_book_that_resumes_a_balance_goes_on_from_its_sums():
    later = fill(9, "1", "95")
    made = book(fill(1, "1", "100"), funding(2), fill(3, "-1", "110"), later)
    made.adopt(row(5, "3", "90"))
    balance = made.balance(row(5, "3", "90"))
    assert (D(10), True, True) == (balance.realised_pnl, bool(balance.fees), bool(balance.funding))
    again = book()
    again.resume(balance)
    assert () == again.fold(fill(1, "1", "100"))
    again.fold(later)
    assert made.snapshot == again.snapshot


def test_book_that_rests_on_a_base_goes_on_from_its_sums():
    whole = [fill(1, "3", "100"), fill(2, "-1", "110"), funding(3), fill(4, "1", "95"), fill(5, "-1", "97")]
    made = book(*whole)
    made.checkpoint(3)
    again = book()
    again.rest_on(plain.loads(Base, plain.dumps(made.base)))
    assert made.base == again.base
    assert [()] * 3 == [again.fold(each) for each in whole[:3]]
    again.fold(whole[3])
    again.fold(whole[4])
    assert book(*whole).snapshot == made.snapshot == again.snapshot


def test_adopting_flat_starts_from_nothing():
    made = book()
    made.adopt(row(-1, "0", "0"))
    assert [(OPENED, D(1))] == kinds(made.fold(fill(0, "1")))


def test_bad_row_is_not_adopted():
    made = book()
    made.adopt(row(5, "1", "90"))
    before = made.snapshot
    with pytest.raises(LocalError, match="expected an avg_price"):
        made.adopt(row(6, "1", None))
    with pytest.raises(LocalError, match="expected a row of seq 5 or later"):
        made.adopt(row(4, "1"))
    assert before == made.snapshot


def test_checkpoint_forgets_ids_and_keeps_the_position():
    made = book(fill(1, "1", "100"), fill(2, "1", "110"), fill(3, "-1", "120"))
    before = made.snapshot
    assert 2 == made.checkpoint(2)
    assert before == made.snapshot
    assert (1, 2, False) == (made.count, made.base_seq, made.knows(ExecId("e1")))
    assert () == made.fold(fill(2, "1", "110"))
    assert 0 == made.checkpoint(1)
    made.fold(fill(4, "-1", "130"))
    assert D(40) == made.snapshot.realised_pnl


def test_checkpoint_claims_no_more_than_was_folded():
    made = book(fill(1, "1"), funding(3))
    made.checkpoint(9)
    assert 1 == made.base_seq
    # Between the last trade and the checkpoint: still taken; the funding beside it was counted.
    assert () == made.fold(funding(3))
    assert [(UPDATE, D(2))] == kinds(made.fold(fill(2, "1")))
    assert (("USDT", D("0.5")),) == made.snapshot.funding


def test_empty_checkpoint_changes_nothing():
    made = book()
    assert 0 == made.checkpoint(100)
    assert [(OPENED, D(1))] == kinds(made.fold(fill(1, "1")))


def test_broken_sum_is_an_assertion():
    made = book(fill(1, "1"))
    made._sum = D(7)
    with pytest.raises(AssertionError, match="position 2, executions 8 on 0"):
        made.fold(fill(2, "1"))


FILLS = st.lists(
    st.builds(
        fill,
        st.integers(0, 12),
        st.decimals(min_value=-5, max_value=5, places=2).filter(bool).map(str),
        st.decimals(min_value=1, max_value=99, places=1).map(str),
        st.text("abcdef", min_size=4, max_size=4),
        exec_ms=st.integers(0, 3).map(Ms),
        exec_type=st.sampled_from([*ExecType, ExecType.TRADE, ExecType.TRADE]),
        exec_fee=st.none() | st.decimals(min_value=-1, max_value=1, places=3),
        leaves_qty=st.none() | st.integers(0, 3).map(D),
    ),
    unique_by=lambda each: each.exec_id,
    max_size=20,
)


@given(FILLS, st.randoms(use_true_random=False))
def test_any_order_with_any_duplicates_gives_the_same_position(fills, random):
    shuffled = fills + random.sample(fills, len(fills) // 2)
    random.shuffle(shuffled)
    one, other = book(*fills), book(*shuffled)
    assert one.snapshot == other.snapshot
    assert [one.at(seq) for seq in range(13)] == [other.at(seq) for seq in range(13)]


@given(FILLS)
def test_sum_of_signed_executions_is_the_position(fills):
    snapshot = book(*fills).snapshot
    total = sum((each.side.sign * each.exec_qty for each in fills if each.exec_type is not ExecType.FUNDING), D(0))
    assert total == snapshot.size * (snapshot.side.sign if snapshot.side else 0)


@given(FILLS, st.integers(0, 12))
def test_compacted_history_gives_the_same_position(fills, seq):
    whole = book(*fills)
    early = book(*(each for each in fills if each.seq <= seq))
    early.checkpoint(seq)
    for each in fills:
        if each.seq > seq:
            early.fold(each)
    assert whole.snapshot == early.snapshot


@given(FILLS, st.integers(0, 12), st.randoms(use_true_random=False))
def test_adopting_before_or_after_the_executions_gives_the_same_position(fills, seq, random):
    shuffled = list(fills)
    random.shuffle(shuffled)
    before, after = book(), book(*(each for each in fills if each.seq > seq))
    before.adopt(row(seq, "2.5", "50"))
    for each in shuffled:
        before.fold(each)
    after.adopt(row(seq, "2.5", "50"))
    assert after.snapshot == before.snapshot


def test_seq_behind_leaves_so_many_executions():
    made = book(fill(1, "1"), fill(5, "1"), fill(9, "1"))
    assert [9, 5, 1, -1] == [made.seq_behind(count) for count in range(4)]
    assert 1 == made.checkpoint(made.seq_behind(2))
    assert 2 == made.count
