"""An order as it is remembered: what follows from its three parts, and that it survives the journal."""

from __future__ import annotations

from decimal import Decimal

import pytest
from attrs import evolve
from attrs.exceptions import FrozenInstanceError

from hean.core.facts import Command
from hean.core.ledger import Ledger
from hean.core.plain import from_plain, to_plain
from hean.core.record import Concession, Order, PendingRequest, View
from hean.core.types import ZERO, Amend, ExecId, Ms, OrderState, OrderStatus
from tests.core.orders import ORDER_ID, REQUEST, WAYS, fill, in_state

ORDER = Order.of(REQUEST)
PART = Ledger().add(fill("e1", "0.4"))
VIEW = View(status=OrderStatus.NEW, price=Decimal(99), cum_exec_qty=ZERO, updated_ms=Ms(10))
CANCEL = PendingRequest(command=Command.CANCEL, sent_ms=Ms(1))
ENDED = {OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.DENIED, OrderState.CLOSED}


def conceded(qty: str, *without_fee: str, cum: str = "0") -> Concession:
    """A person's word of a gap of `qty` when `cum` was executed."""
    return Concession(
        qty=Decimal(qty), without_fee=frozenset(ExecId(name) for name in without_fee), cum_exec_qty=Decimal(cum)
    )


def order(state: OrderState, **changes: object) -> Order:
    return evolve(ORDER, state=state, **changes)


def test_new_order_is_its_request_and_nothing_else():
    assert (OrderState.PENDING, Decimal(1), ZERO) == (ORDER.state, ORDER.qty, ORDER.ledger.cum_exec_qty)
    assert (REQUEST.submitted_ms, REQUEST.category) == (ORDER.updated_ms, ORDER.ledger.category)
    assert ORDER.cleared


def test_fee_that_names_no_coin_is_in_the_coin_that_the_request_settles_in():
    ledger = Order.of(evolve(REQUEST, settle_coin="USDC")).ledger
    assert (("USDC", Decimal("0.1")),) == ledger.add(fill("e1", "0.4", fee_currency="")).fees


def test_quantity_is_the_exchanges_once_it_showed_one():
    assert Decimal(2) == evolve(ORDER, known_qty=Decimal(2)).qty


@pytest.mark.parametrize("state", list(OrderState))
def test_order_is_ended_alive_or_open(state):
    assert (state in ENDED, state in {OrderState.ACKNOWLEDGED, OrderState.PARTIAL_FILL}) == (
        order(state).ended,
        order(state).alive,
    )


@pytest.mark.parametrize("state", list(OrderState))
def test_outcome_is_the_end_and_survives_settling(state):
    outcome = state if state in ENDED - {OrderState.CLOSED} else None
    assert outcome is order(state).outcome
    assert OrderState.CANCELLED is order(OrderState.CLOSED, settled_from=OrderState.CANCELLED).outcome


@pytest.mark.parametrize("watermark,gap", [("0.3", "0"), ("0.4", "0"), ("0.5", "0.1")])
def test_gap_is_what_a_person_has_not_accepted(watermark, gap):
    short = evolve(ORDER, ledger=Ledger(watermark=Decimal(watermark)))
    assert (Decimal(watermark), Decimal(gap)) == (short.gap, evolve(short, conceded=conceded("0.4")).gap)


@pytest.mark.parametrize("word", [None, conceded("0"), conceded("0.1"), conceded("0.2")])
@pytest.mark.parametrize("watermark", ["0", "0.4", "0.5", "0.6"])
def test_gap_is_had_where_it_is_above_zero(watermark, word):
    seen = evolve(ORDER, ledger=PART.seen(Decimal(watermark)), conceded=word)
    assert (seen.gap > 0) is seen.has_gap


@pytest.mark.parametrize(
    "changes,incomplete",
    [
        ({}, False),
        ({"ledger": PART}, False),
        ({"ledger": PART.seen(Decimal("0.5"))}, True),
        ({"ledger": PART.seen(Decimal("0.5")), "conceded": conceded("0.1")}, False),
        ({"ledger": Ledger().add(fill("e1", "0.4", exec_fee=None))}, True),
        ({"ledger": Ledger().add(fill("e1", "0.4", exec_fee=None)), "conceded": conceded("0", "e1")}, False),
        ({"ledger": Ledger().add(fill("e1", "0.4", exec_fee=None)), "conceded": conceded("0", "e2")}, True),
    ],
)
def test_order_is_incomplete_while_an_execution_or_a_fee_is_still_to_be_told(changes, incomplete):
    assert incomplete is evolve(ORDER, **changes).incomplete


def test_draft_is_a_copy_at_another_time():
    order = in_state(OrderState.PARTIAL_FILL).order
    draft = order.draft(Ms(7))
    assert (evolve(order, updated_ms=Ms(7)), Ms(7)) == (draft, draft.updated_ms)
    vars(draft).update(state=OrderState.FILLED)
    assert OrderState.PARTIAL_FILL is order.state


def test_order_does_not_change():
    with pytest.raises(FrozenInstanceError):
        ORDER.state = OrderState.FILLED


@pytest.mark.parametrize(
    "changes,alone",
    [
        ({}, True),
        ({"ledger": PART}, False),
        ({"ledger": PART, "conceded": conceded("0.1")}, True),
        ({"ledger": PART, "conceded": conceded("0.1", cum="0.1")}, True),
        ({"ledger": PART, "conceded": conceded("0", cum="0.4")}, True),
        ({"ledger": PART, "conceded": conceded("0", cum="0.1")}, False),
    ],
)
def test_order_needs_a_position_where_it_executed_and_no_word_stands_for_what_is_missing(changes, alone):
    assert alone is evolve(ORDER, **changes).settles_alone


@pytest.mark.parametrize("changes,claimed", [({}, False), ({"order_id": ORDER_ID}, True), ({"doubted": True}, True)])
def test_order_is_claimed_by_an_acceptance_or_a_duplicate(changes, claimed):
    assert claimed is evolve(ORDER, **changes).claimed


FAILED = evolve(CANCEL, failed_ms=Ms(2))
BARE = Ledger().add(fill("e1", "0.4", exec_fee=None))


@pytest.mark.parametrize(
    "state,changes,unresolved",
    [
        (OrderState.PENDING, {}, False),
        (OrderState.PENDING, {"cleared": False}, True),
        (OrderState.SUBMITTED, {"in_flight": True}, False),
        (OrderState.SUBMITTED, {"in_flight": False}, True),
        (OrderState.TIMEOUT, {}, True),
        (OrderState.ERROR, {}, True),
        (OrderState.ACKNOWLEDGED, {}, False),
        (OrderState.ACKNOWLEDGED, {"misses": 1}, True),
        (OrderState.ACKNOWLEDGED, {"pending": CANCEL}, False),
        (OrderState.ACKNOWLEDGED, {"pending": FAILED}, True),
        (OrderState.PARTIAL_FILL, {"ledger": PART}, False),
        (OrderState.PARTIAL_FILL, {"ledger": Ledger().add(fill("e1", "1"))}, True),
        (OrderState.PARTIAL_FILL, {"ledger": BARE}, True),
        (OrderState.FILLED, {}, False),
        (OrderState.FILLED, {"misses": 1, "pending": FAILED}, False),
        (OrderState.FILLED, {"ledger": Ledger(watermark=Decimal(1))}, True),
        (OrderState.FILLED, {"ledger": Ledger(watermark=Decimal(1)), "conceded": conceded("1")}, False),
        (OrderState.FILLED, {"ledger": Ledger(watermark=Decimal(2)), "conceded": conceded("1")}, True),
        (OrderState.FILLED, {"ledger": BARE}, True),
        (OrderState.FILLED, {"ledger": BARE, "conceded": conceded("0", "e1")}, False),
        (OrderState.FILLED, {"ledger": BARE, "conceded": conceded("0", "e2")}, True),
        (OrderState.CLOSED, {"ledger": Ledger(watermark=Decimal(1))}, True),
        (OrderState.REJECTED, {}, False),
        (OrderState.REJECTED, {"view": VIEW}, True),
        (OrderState.REJECTED, {"view": evolve(VIEW, status=OrderStatus.REJECTED)}, False),
        (OrderState.REJECTED, {"ledger": PART}, True),
        (OrderState.REJECTED, {"ledger": PART, "conceded": conceded("0", cum="0.4")}, False),
        (OrderState.REJECTED, {"ledger": PART, "conceded": conceded("0", cum="0.1")}, True),
        (OrderState.REJECTED, {"view": VIEW, "conceded": conceded("0")}, False),
        (OrderState.CANCELLED, {"view": VIEW}, False),
        (OrderState.DENIED, {}, False),
    ],
)
def test_order_is_unresolved_where_only_asking_can_tell(state, changes, unresolved):
    assert unresolved is order(state, **changes).unresolved


def test_snapshot_of_an_open_order_shows_the_exchanges_word_where_there_is_one():
    view = evolve(VIEW, trigger_price=Decimal(98), take_profit=Decimal(110), stop_loss=Decimal(90))
    snapshot = order(
        OrderState.PARTIAL_FILL,
        view=view,
        ledger=PART.seen(Decimal("0.5")),
        known_qty=Decimal(2),
        pending=CANCEL,
        order_id=ORDER_ID,
    ).snapshot()
    assert (Decimal(2), Decimal("0.4"), Decimal("1.6"), Decimal("0.5"), Decimal("0.1")) == (
        snapshot.qty,
        snapshot.cum_exec_qty,
        snapshot.leaves_qty,
        snapshot.watermark,
        snapshot.gap,
    )
    assert (Decimal(99), Decimal(98), Decimal(110), Decimal(90)) == (
        snapshot.price,
        snapshot.trigger_price,
        snapshot.take_profit,
        snapshot.stop_loss,
    )
    assert ("cancel", "New", ORDER_ID, Decimal(100)) == (
        snapshot.pending,
        snapshot.status,
        snapshot.order_id,
        snapshot.avg_price,
    )


def test_snapshot_before_any_row_is_the_intent():
    request = evolve(REQUEST, trigger_price=Decimal(98), take_profit=Decimal(110), stop_loss=Decimal(90))
    snapshot = Order.of(request).snapshot()
    assert (Decimal(100), Decimal(98), Decimal(110), Decimal(90)) == (
        snapshot.price,
        snapshot.trigger_price,
        snapshot.take_profit,
        snapshot.stop_loss,
    )
    assert ("", "", None, Decimal(1), None) == (
        snapshot.pending,
        snapshot.status,
        snapshot.order_id,
        snapshot.leaves_qty,
        snapshot.avg_price,
    )


@pytest.mark.parametrize("price", [None, ZERO])
def test_row_without_price_leaves_the_intended_one(price):
    assert Decimal(100) == evolve(ORDER, view=evolve(VIEW, price=price)).snapshot().price


def test_ended_order_leaves_nothing_and_an_overfilled_one_shows_by_how_much():
    snapshot = order(OrderState.CANCELLED, ledger=PART).snapshot()
    assert (ZERO, ZERO) == (snapshot.leaves_qty, snapshot.overfill_qty)
    over = order(OrderState.PARTIAL_FILL, ledger=Ledger().add(fill("e1", "1.5"))).snapshot()
    assert (ZERO, Decimal("0.5")) == (over.leaves_qty, over.overfill_qty)


@pytest.mark.parametrize("state", list(WAYS))
def test_order_of_every_state_survives_the_journal(state):
    pending = evolve(CANCEL, amend=Amend(qty=Decimal(2)), accepted_ms=Ms(3))
    remembered = in_state(state, pending=pending, wish_amend=Amend(price=Decimal(3))).order
    assert remembered == from_plain(Order, to_plain(remembered))


@pytest.mark.parametrize(
    "state, changes, in_doubt",
    [
        (OrderState.PENDING, {}, False),
        (OrderState.PENDING, {"cleared": False}, True),
        (OrderState.SUBMITTED, {}, True),
        (OrderState.TIMEOUT, {}, True),
        (OrderState.ACKNOWLEDGED, {}, False),
        (OrderState.FILLED, {}, False),
        (OrderState.REJECTED, {}, False),
        (OrderState.ERROR, {}, False),
        (OrderState.CLOSED, {}, False),
    ],
)
def test_order_is_in_doubt_where_its_create_may_be_at_the_exchange(state, changes, in_doubt):
    assert in_doubt is order(state, **changes).in_doubt
