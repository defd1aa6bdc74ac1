"""A journal that fails in mid-flight, and messages that no actor can handle: everything halts, nothing is lost."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hean import DenyReason, EventType, JournalError, OrderState, Router, Ticket
from hean.errors import JournalCorrupt
from hean.journal import JournalView
from tests.conftest import our_threads
from tests.scenarios.world import WAIT_S, World, await_event, resting, signal, until


@contextmanager
def full(router: Router, journal: Path) -> Iterator[None]:
    """The file may not grow any more: sqlite says so as it does of a full disk."""
    connection = router._journal._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    yield
    connection.execute("PRAGMA max_page_count = 1000000")


@contextmanager
def locked(router: Router, journal: Path) -> Iterator[None]:
    """Another program is inside a write, and does not go on."""
    other = sqlite3.connect(journal, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


TROUBLES = [full, locked]


def fail_to_submit(router: Router) -> Ticket:
    """Submit until the journal is found out; a page may have room for some."""
    for number in range(200):
        ticket = router.submit(resting(f"try{number}", price="30000"))
        if ticket.state is OrderState.DENIED:
            return ticket
    raise AssertionError("the journal takes everything")


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
def test_journal_that_fails_halts_and_loses_no_fill(trouble: Any, world: World) -> None:
    with world.router(orders__max_open=1000) as router:
        tickets = [router.submit(resting(f"rests{number}")) for number in range(4)]
        for ticket in tickets:
            ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        with trouble(router, world.journal):
            denied = fail_to_submit(router).snapshot()
            assert denied.deny_reason in {DenyReason.JOURNAL_FAILED, DenyReason.HALTED}
            # The word of it is out although it cannot be written down.
            alarm = await_event(router, EventType.KILLSWITCH_TRIGGERED)
            assert "journal" in alarm.detail
            world.exchange.market("BTCUSDT", bid="45000", ask="49999.9")
            until(lambda: 4 == len(world.executions()))
            assert DenyReason.HALTED == router.submit(signal("while it lasts")).snapshot().deny_reason
        assert {OrderState.FILLED} == {ticket.wait(WAIT_S).outcome for ticket in tickets}
        until(lambda: router.positions["BTCUSDT"].size == Decimal("0.004"))
        world.assert_books_equal(router)
        # It holds again, and still a person must look.
        assert DenyReason.HALTED == router.submit(signal("not yet")).snapshot().deny_reason
        router.resume(who="ann")
        resumed = router.submit(resting("resumed", price="30000"))
        assert OrderState.ACKNOWLEDGED == resumed.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state
        world.assert_books_equal(router)
    with JournalView.read(world.journal) as view:
        assert view.verify_chain() is None
        told = [record.body for record in view.records(kind="event") if "KILLSWITCH_TRIGGERED" in record.body]
        assert [] != told
    sent = {row["orderLinkId"] for row in world.orders()}
    with world.router() as router:
        # What was told as refused for the journal's sake was never sent.
        assert denied.order_link_id not in sent
        world.assert_books_equal(router)


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
def test_trade_by_another_hand_is_kept_until_the_journal_holds_again(trouble: Any, world: World) -> None:
    # No comparison brings it a second time.
    with world.router(orders__max_open=1000, reconcile__orders_s=600, reconcile__positions_s=600) as router:
        with trouble(router, world.journal):
            fail_to_submit(router)
            await_event(router, EventType.KILLSWITCH_TRIGGERED)
            world.exchange.fault("foreign_order", args={"symbol": "ETHUSDT", "side": "Buy", "qty": "0.1"})
            until(lambda: world.executions(""))
            threading.Event().wait(1)
        until(lambda: (held := router.positions.get(("linear", "ETHUSDT", 0))) and held.size)
        world.assert_books_equal(router)


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
def test_order_in_flight_when_the_journal_fails_is_resolved(trouble: Any, world: World) -> None:
    with world.router(orders__max_open=1000) as router:
        world.exchange.fault("delay_reply", world.create, args={"ms": 700})
        for topic in ("order", "execution", "position"):
            world.exchange.fault("delay_push", {"topic": topic}, args={"ms": 500})
        ticket = router.submit(signal("in flight"))
        with trouble(router, world.journal):
            fail_to_submit(router)
            await_event(router, EventType.KILLSWITCH_TRIGGERED)
            threading.Event().wait(1.5)
        assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
        world.assert_books_equal(router)
    assert 1 == len(world.creates(ticket.order_link_id))


def test_damage_in_mid_flight_halts_and_is_refused_at_the_next_start(world: World) -> None:
    with world.router() as router:
        router.submit(signal("before")).wait(WAIT_S)
    with world.router() as router:
        with world.journal.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(world.journal.stat().st_size - 4096))
        router._journal._connection.execute("PRAGMA shrink_memory")
        denied = router.submit(signal("onto damage"))
        assert (OrderState.DENIED, DenyReason.JOURNAL_FAILED) == (denied.state, denied.snapshot().deny_reason)
        # Nobody can say what became of this one: a denial would be a guess.
        with pytest.raises(JournalCorrupt):
            router.submit(signal("before"))
        await_event(router, EventType.KILLSWITCH_TRIGGERED)
        assert "journal" in router._context.gate.halted_why
    assert 1 == len(world.orders())
    with pytest.raises(JournalCorrupt, match="damaged"), world.router():
        pass
    assert [] == our_threads()


def test_journal_of_a_newer_schema_is_refused_at_the_start(world: World) -> None:
    with world.router():
        pass
    connection = sqlite3.connect(world.journal)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(JournalError, match="newer hean: schema 99"), world.router():
        pass
    assert [] == our_threads()


@pytest.mark.parametrize("content", [b"no database at all" * 300, b"SQLite format 3\0" + b"\xff" * 5000])
def test_file_that_is_no_journal_is_refused_at_the_start(content: bytes, world: World) -> None:
    world.journal.write_bytes(content)
    with pytest.raises(JournalCorrupt), world.router():
        pass
    assert [content, []] == [world.journal.read_bytes(), our_threads()]


def test_place_that_cannot_be_written_is_refused_at_the_start(world: World) -> None:
    world.journal.parent.joinpath("file").write_text("")
    world.journal = world.journal.parent / "file" / "journal.db"
    with pytest.raises(JournalError, match="HEAN_JOURNAL__PATH"), world.router():
        pass


# Messages that no actor can handle.


def poison(router: Router, ticket: Ticket, times: int = 1) -> None:
    slot = router._context.registry.slot(ticket.order_link_id)
    assert slot is not None
    for number in range(times):
        assert slot.tell(f"nothing that an order understands {number}")


def test_poisoned_order_is_parked_and_goes_on_taking_fills(world: World) -> None:
    with world.router() as router:
        ticket = router.submit(resting("poisoned", qty="0.002"))
        ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        poison(router, ticket)
        alarm = await_event(router, EventType.ERROR, ticket, "broken")
        assert "crashed 4 times" in alarm.detail
        assert OrderState.ERROR == ticket.state
        assert ["'nothing that an order understands 0'"] == world.records(ticket.order_link_id, "poison")
        assert ticket.cancel().taken
        world.exchange.market("BTCUSDT", bid="45000", ask="49999.9", ask_qty="0.001")
        assert OrderState.CANCELLED == ticket.wait(WAIT_S).outcome
        world.assert_books_equal(router)


def test_what_queued_behind_the_poison_is_handled(world: World) -> None:
    with world.router() as router:
        ticket = router.submit(resting("followed"))
        ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        poison(router, ticket, times=2)
        world.exchange.market("BTCUSDT", bid="45000", ask="49999.9")
        order = ticket.wait(WAIT_S)
        assert (OrderState.FILLED, Decimal("0.001")) == (order.outcome, order.cum_exec_qty)
        assert 2 == len(until(lambda: (kept := world.records(ticket.order_link_id, "poison"))[1:] and kept))
        world.assert_books_equal(router)


def test_neighbours_of_a_poisoned_order_notice_nothing(world: World) -> None:
    with world.router() as router:
        poisoned, neighbour = router.submit(resting("poisoned")), router.submit(resting("neighbour"))
        for ticket in (poisoned, neighbour):
            ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        poison(router, poisoned)
        await_event(router, EventType.ERROR, poisoned, "broken")
        assert OrderState.FILLED == router.submit(signal("another")).wait(WAIT_S).outcome
        assert "sent" == neighbour.cancel().decided
        assert OrderState.CANCELLED == neighbour.wait(WAIT_S).outcome


@pytest.mark.parametrize("address", ["supervisor", "portfolio", "external"])
def test_shared_actor_puts_poison_aside_and_goes_on(address: str, world: World) -> None:
    with world.router() as router:
        getattr(router._context.to, address).tell("nothing that it understands")
        alarm = await_event(router, EventType.ERROR, reason="poison")
        assert f"{address}: str raised" in alarm.detail
        assert OrderState.FILLED == router.submit(signal("goes on")).wait(WAIT_S).outcome
        world.assert_books_equal(router)
    with JournalView.read(world.journal) as view:
        assert 1 == len(list(view.records(kind="poison")))
