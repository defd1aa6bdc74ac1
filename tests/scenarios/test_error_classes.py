"""
What the router does next about every documented code and status, over real sockets: one test per class, one order or
command per code.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hean import EventType, OrderState, Router, Ticket
from hean.actors.trade import DRAINING
from hean.bybit.retcodes import HOPELESS, TRADE_CODES
from hean.core.types import Category
from tests.exchange import LoopbackExchange
from tests.scenarios.audit import sent_before_proof
from tests.scenarios.world import VISIBLE_MS, WAIT_S, World, await_event, resting, signal, types_of, until

ROWS = [line.split("\t") for line in (Path(__file__).parents[1] / "data" / "error_codes.tsv").read_text().splitlines()]
# The trade channel's meaning differs from its class: the earlier request with this ID may have been executed.
MOVED = {("ws-trade", 20006): "unknown-outcome"}


def codes_of(class_: str, entry: str) -> list[int]:
    """Codes of a class that this way of entry can bring; those of HTTP itself are tried apart."""
    codes = []
    for text, scope, _, judged in ROWS:
        code = int(text)
        if scope == "http" or (scope == "ws-trade") != (entry == "ws" and code in TRADE_CODES):
            continue
        if MOVED.get((scope, code), judged) == class_:
            codes.append(code)
    return codes


def entry_of(world: World) -> str:
    return str(world.settings["bybit__entry"])


@pytest.fixture
def exchange() -> Iterator[LoopbackExchange]:
    """Without limits: hundreds of codes are tried."""
    with LoopbackExchange(limits="none") as exchange:
        yield exchange


def struck(world: World, router: Router, code: int, *, executed: bool = False) -> Ticket:
    """An order whose create is answered with that code."""
    world.exchange.fault("error", world.create, args={"ret_code": code, "executed": executed})
    return router.submit(signal(f"{code}"))


def test_permanent_refusals_reject_and_are_never_sent_again(world: World) -> None:
    codes = [code for class_ in ("request-invalid", "insufficient-funds") for code in codes_of(class_, entry_of(world))]
    with world.router() as router:
        for code in codes:
            ticket = struck(world, router, code)
            order = ticket.wait(WAIT_S)
            assert (OrderState.CLOSED, OrderState.REJECTED) == (order.state, order.outcome), code
            assert order.reason.startswith(f"{code} ")
            rejected = await_event(router, EventType.ORDER_REJECTED, ticket)
            # The reason is the code, and the detail says what it means.
            assert str(code) == rejected.reason
            assert [code] == [create["verdict"] for create in world.creates(ticket.order_link_id)]
        assert router.live
        assert OrderState.FILLED == router.submit(signal("others go on")).wait(WAIT_S).outcome
    assert len(codes) > 200


def test_refusals_before_matching_are_looked_up_and_sent_again(world: World) -> None:
    codes = [code for class_ in ("transient-retryable", "rate-limit") for code in codes_of(class_, entry_of(world))]
    if DRAINING in codes:
        # After it the connection is another one; it has a test of its own.
        codes.remove(DRAINING)
    with world.router(orders__query_base_s=0.01, stream__backoff_base_s=0.01) as router:
        for code in codes:
            ticket = struck(world, router, code)
            order = ticket.wait(WAIT_S)
            assert (OrderState.CLOSED, OrderState.FILLED) == (order.state, order.outcome), code
            assert EventType.ORDER_REJECTED not in types_of(router, ticket)
            assert [code, 0] == [create["verdict"] for create in world.creates(ticket.order_link_id)], code
        world.assert_books_equal(router)
    assert [] == sent_before_proof(world.exchange.requests(), VISIBLE_MS)
    assert len(codes) > 15


def test_unknown_outcomes_are_looked_up_and_never_sent_again(world: World) -> None:
    # One that nobody documented is as unknown as those that are documented so.
    codes = [*codes_of("unknown-outcome", entry_of(world)), 987_654, -99]
    with world.router(orders__query_base_s=0.01) as router:
        for code in codes:
            world.exchange.fault("drop_push", {"topic": "order"})
            world.exchange.fault("drop_push", {"topic": "execution"})
            ticket = struck(world, router, code, executed=True)
            assert OrderState.FILLED == ticket.wait(WAIT_S).outcome, code
            assert EventType.ORDER_UNKNOWN in types_of(router, ticket)
            assert [code] == [create["verdict"] for create in world.creates(ticket.order_link_id)]
        world.assert_books_equal(router)
    assert len(codes) > 15


def test_duplicates_adopt_the_order(world: World) -> None:
    codes = codes_of("duplicate-orderlinkid", entry_of(world))
    with world.router() as router:
        for code in codes:
            ticket = struck(world, router, code, executed=True)
            assert OrderState.FILLED == ticket.wait(WAIT_S).outcome, code
            assert 1 == len(world.creates(ticket.order_link_id))
        world.assert_books_equal(router)
    assert [110030, 110072, 170141] == sorted(codes)


def test_refused_key_or_account_halts_and_a_denied_product_does_not(world: World) -> None:
    codes = codes_of("auth-permission-fatal", entry_of(world))
    with world.router() as router:
        for code in codes:
            halts = code in HOPELESS
            before = sum(event.type is EventType.KILLSWITCH_TRIGGERED for event in router.events(0))
            ticket = struck(world, router, code)
            assert OrderState.REJECTED == ticket.wait(WAIT_S).outcome, code
            if halts:
                until(
                    lambda before=before: (
                        before < sum(event.type is EventType.KILLSWITCH_TRIGGERED for event in router.events(0))
                    )
                )
                assert OrderState.DENIED == router.submit(signal(f"{code} after")).state
                router.resume(who="ann")
            after = router.submit(signal(f"{code} resumed"))
            assert OrderState.FILLED == after.wait(WAIT_S).outcome, code
            assert 1 == len(world.creates(ticket.order_link_id))
        halted = sum(event.type is EventType.KILLSWITCH_TRIGGERED for event in router.events(0))
    assert halted == len([code for code in codes if code in HOPELESS]) > 10


def test_gone_is_neither_life_nor_death_of_a_cancelled_order(world: World) -> None:
    codes = codes_of("order-not-found-or-final", entry_of(world))
    with world.router() as router:
        for code in codes:
            ticket = router.submit(resting(f"{code}"))
            ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
            world.exchange.fault("error", world.cancel, args={"ret_code": code, "executed": False})
            assert ticket.cancel().taken
            # It lives, says the look-up: it is cancelled once more.
            assert OrderState.CANCELLED == ticket.wait(WAIT_S).outcome, code
            assert [code, 0] == [cancel["verdict"] for cancel in world.commands("cancel", ticket)]
    assert 8 == len(codes)


def test_unchanged_setting_is_as_good_as_set(world: World) -> None:
    codes = codes_of("no-change", entry_of(world))
    with world.router() as router:
        for code in codes:
            world.exchange.fault("error", {"endpoint": "position/set-leverage"}, args={"ret_code": code})
            router.set_leverage("BTCUSDT", "5", Category.LINEAR)
        assert len(codes) == world.fired("error")
        ticket = router.submit(resting("amended"))
        ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        world.exchange.fault("error", world.amend, args={"ret_code": 34040})
        assert ticket.amend(price="49999").taken
        until(lambda: world.commands("amend", ticket))
        assert "sent" == ticket.cancel().decided
        assert OrderState.CANCELLED == ticket.wait(WAIT_S).outcome
        assert EventType.ORDER_AMENDED not in types_of(router, ticket)
    assert 6 == len(codes)


@pytest.mark.parametrize("world", ["rest"], indirect=True)
@pytest.mark.parametrize(
    "status, executed, outcome, creates",
    [
        (400, False, OrderState.REJECTED, 1),
        (404, False, OrderState.REJECTED, 1),
        (401, False, OrderState.REJECTED, 1),
        (429, False, OrderState.FILLED, 2),
        (500, True, OrderState.FILLED, 1),
        (502, True, OrderState.FILLED, 1),
        (503, False, OrderState.FILLED, 2),
        (504, True, OrderState.FILLED, 1),
        (302, True, OrderState.FILLED, 1),
    ],
)
def test_http_status_says_what_is_next(
    status: int, executed: bool, outcome: OrderState, creates: int, world: World
) -> None:
    with world.router() as router:
        world.exchange.fault("error", world.create, args={"http_status": status, "executed": executed})
        ticket = router.submit(signal("struck"))
        assert outcome == ticket.wait(WAIT_S).outcome
        assert creates == len(world.creates(ticket.order_link_id))
        events = router.events(0 if status != 401 else WAIT_S)
        assert (status == 401) == any(event.type is EventType.KILLSWITCH_TRIGGERED for event in events)
        world.assert_books_equal(router)
    assert [] == sent_before_proof(world.exchange.requests(), VISIBLE_MS)


@pytest.mark.parametrize("world", ["ws"], indirect=True)
def test_draining_node_gets_a_new_connection_and_the_order_its_turn(world: World) -> None:
    with world.router() as router:
        world.exchange.fault("error", world.create, args={"ret_code": DRAINING})
        ticket = router.submit(signal("drained"))
        assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
        until(lambda: world.exchange.books()["counters"]["trade_connections_ever"] == 2)
        world.assert_books_equal(router)


def test_every_error_is_an_event_and_in_the_journal(world: World) -> None:
    with world.router() as router:
        ticket = struck(world, router, 110007)
        ticket.wait(WAIT_S)
        rejected = await_event(router, EventType.ORDER_REJECTED, ticket)
        assert "balance" in rejected.detail
        (reply,) = world.records(ticket.order_link_id, "reply")
        assert ("refused", 110007) == (reply["kind"], reply["ret_code"])
        assert reply["hint"]
        assert ticket.order_link_id in reply["request"]
