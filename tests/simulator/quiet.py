"""
The laws of quiet points: what must hold when nothing moves any more, and at the end of a world.

Each is a function with a name; `QUIET_LAWS` and `END_LAWS` are what is asked.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson
import pykka

from hean.actors.books import restore_books
from hean.core import plain
from hean.core.facts import Fact
from hean.core.ids import order_link_id
from hean.core.order import apply
from hean.core.reconcile_record import Report
from hean.core.record import Order
from hean.core.types import ZERO, Execution, OrderSnapshot, OrderState
from tests.exchange.orders import Order as TheirOrder
from tests.simulator.violation import require

if TYPE_CHECKING:
    from tests.simulator.laws import Laws

SPARED = 0.8
"""How often a look is not repeated that found nothing itself, and after which nothing was told."""
FINAL = frozenset({"Filled", "Cancelled", "PartiallyFilledCanceled", "Deactivated", "Rejected"})


def actor_of(life: Any, name: str) -> Any:
    """A shared actor of a process."""
    for box in life.process.mailboxes:
        if box.name == name:
            return box.actor
    raise KeyError(name)


def one_order_or_one_denial(laws: Laws) -> None:
    """Each signal is exactly one order, or one stated denial."""
    world = laws.world
    there = Counter(order.order_link_id for order in world.account.orders.values() if order.order_link_id)
    splits = {"same"} & {world.config["behaviour"].get("split_link_id", "")}
    for n, signal in world.signals.items():
        link_id = order_link_id(signal.strategy_id, signal.signal_id, signal.leg)
        entry = world.journal.order(link_id)
        if entry is None:
            require(world.journal_failed, "one_order_or_one_denial", f"signal {n}: neither an order nor a denial")
            continue
        count = there.get(link_id, 0)
        ours_there = count - len(world.twins.get(link_id, ()))
        require(ours_there <= 1 or splits, "one_order_or_one_denial", f"signal {n}: {count} orders at the exchange")
        if entry.state == "DENIED":
            body = orjson.loads(entry.body)
            require(body.get("deny_reason"), "one_order_or_one_denial", f"signal {n}: denied without a reason")
            fine = count == 0 or world.power_cut or link_id in world.twins
            require(fine, "one_order_or_one_denial", f"signal {n}: denied here, {count} orders there")
    ours = {entry.order_link_id for entry in world.journal.orders()}
    for link_id in there:
        if not link_id.startswith("child-"):
            require(link_id in ours or "-" in link_id, "one_order_or_one_denial", f"{link_id} is only at the exchange")


def orders_are_equal(laws: Laws) -> None:
    """Every order has the status, the quantity and the executed quantity that the exchange shows."""
    world = laws.world
    for entry in world.journal.orders():
        order = plain.loads(Order | OrderSnapshot, entry.body)
        snapshot = order.snapshot() if isinstance(order, Order) else order
        theirs = laws.their_order(entry.order_link_id)
        for part in laws._orders_of(entry.order_link_id) if laws._is_split(entry.order_link_id) else ():
            # Several orders under one ID: ours is one of them.
            theirs = part if part.status in FINAL and snapshot.outcome in outcomes_of(part) else theirs
        if snapshot.state is OrderState.DENIED:
            continue
        if snapshot.outcome is OrderState.REJECTED and laws.none_is_ours(entry.order_link_id):
            # Ours was never placed, whatever another hand has placed under its ID.
            theirs = None
        what = f"{entry.order_link_id} {snapshot.state} {snapshot.outcome} {snapshot.cum_exec_qty}/{snapshot.qty}"
        resolved = isinstance(order, Order) and order.conceded is not None
        if theirs is None:
            if resolved:
                continue
            require(snapshot.outcome is OrderState.REJECTED, "orders_are_equal", f"{what}: the exchange never had it")
            continue
        seen = f"{theirs.status} {theirs.cum_qty}/{theirs.qty}"
        if theirs.status in FINAL and not resolved:
            require(snapshot.outcome in outcomes_of(theirs), "orders_are_equal", f"{what}, there {seen}")
        elif not resolved:
            alive = {OrderState.ACKNOWLEDGED, OrderState.PARTIAL_FILL}
            if world.bugs or world.denied:
                alive.add(OrderState.ERROR)
            require(snapshot.state in alive, "orders_are_equal", f"{what}, there {seen}")
            require(snapshot.qty == theirs.qty, "orders_are_equal", f"{what}, there {seen}")
            if theirs.order_type == "Limit":
                same = snapshot.price == theirs.price
                require(same, "orders_are_equal", f"{what} at {snapshot.price}, there at {theirs.price}")
        require(
            snapshot.cum_exec_qty == laws.their_sum(entry.order_link_id) or laws._is_split(entry.order_link_id),
            "orders_are_equal",
            f"{what}, there {seen}",
        )


def amendments_are_told(laws: Laws) -> None:
    """Whoever listens has heard that an order is not what was asked for any more."""
    world = laws.world
    if world.power_cut:
        return
    for entry in world.journal.orders():
        order = plain.loads(Order | OrderSnapshot, entry.body)
        if not isinstance(order, Order):
            continue
        # Its own ID first: the parts of one that was split may all carry its link ID, and the others may live on.
        theirs = world.account.orders.get(order.order_id or "") or laws.their_order(entry.order_link_id)
        if theirs is None or theirs.status in FINAL:
            continue
        told = entry.order_link_id in laws.amended or order.request.qty == theirs.qty
        require(told, "amendments_are_told", f"{entry.order_link_id}: {order.request.qty} asked, {theirs.qty} there")


def outcomes_of(theirs: TheirOrder) -> set[OrderState]:
    """What an ended order of the exchange may be here."""
    if theirs.status == "Filled":
        return {OrderState.FILLED}
    if theirs.cum_qty >= theirs.qty:
        return {OrderState.CANCELLED, OrderState.FILLED}
    if theirs.status == "Rejected" and not theirs.cum_qty:
        return {OrderState.REJECTED, OrderState.CANCELLED}
    return {OrderState.CANCELLED}


def executions_are_equal(laws: Laws) -> None:
    """
    The exchange's executions are ours, each once.

    But for those of another hand that two lists have kept back and nothing has told of: where they leave the position
    as it was, for another law compares it, nobody can know of them.
    """
    world = laws.world
    first_ms = int(world.journal.mark("first_start_ms") or 0)
    theirs = {(e.instrument.category, e.symbol, e.exec_id) for e in world.account.executions if e.exec_ms >= first_ms}
    ours = [(e.category, e.symbol, e.exec_id) for e in world.journal.executions()]
    require(len(ours) == len(set(ours)), "executions_are_equal", "an execution is there twice")
    early = {(e.instrument.category, e.symbol, e.exec_id) for e in world.account.executions if e.exec_ms < first_ms}
    missing, extra = theirs - set(ours), set(ours) - theirs - early
    if world.plan_has("partial_page"):
        missing = {
            key for key in missing if laws.their_exec(key[2]).order_link_id or not laws.lists.never_shown(key[2])
        }
    require(not missing and not extra, "executions_are_equal", lambda: f"only there {missing}, only here {extra}")


def positions_are_equal(laws: Laws) -> None:
    """Every position has the exchange's side and size."""
    world = laws.world
    life = world.life
    assert life is not None
    theirs = {
        (p.instrument.category, p.instrument.symbol, p.position_idx): p.signed
        for p in world.account.positions.values()
        if p.signed
    }
    ours = {
        (str(key[0]), key[1], key[2]): position.size * (position.side.sign if position.side else 0)
        for key, position in life.plant.context.positions.items()
        if position.size
    }
    require(theirs == ours, "positions_are_equal", lambda: f"there {theirs}, here {ours}")


def the_journal_is_whole(laws: Laws) -> None:
    """Each order has exactly the executions that its ledger counts."""
    world = laws.world
    if world.power_cut:
        return
    with world.disk.look() as journal:
        for entry in journal.orders():
            order = plain.loads(Order | OrderSnapshot, entry.body)
            if isinstance(order, Order):
                rows = [
                    plain.loads(Execution, row.body) for row in journal.executions(order_link_id=entry.order_link_id)
                ]
                summed = sum((row.exec_qty for row in rows if row.exec_type.moves_qty), ZERO)
                whole = summed == order.ledger.cum_exec_qty and {row.exec_id for row in rows} == order.ledger.exec_ids
                require(
                    whole,
                    "the_journal_is_whole",
                    lambda e=entry, o=order, n=summed: f"{e.order_link_id}: {o.ledger}, rows {n}",
                )


def nothing_is_orphaned(laws: Laws) -> None:
    """Each order that is open has its actor, each actor its order; no row waits for an owner, no call for an answer."""
    life = laws.world.life
    assert life is not None
    context = life.plant.context
    slots = {slot.order_link_id for slot in context.registry.slots()}
    actors = set(actor_of(life, "supervisor")._actors)
    require(slots == actors, "nothing_is_orphaned", lambda: f"orders {slots}, actors of {actors}")
    open_here = {entry.order_link_id for entry in life.journal.unsettled_orders()}
    require(open_here <= slots, "nothing_is_orphaned", lambda: f"open {open_here}, tracked {slots}")
    alive = {ref.actor_urn for ref in life.process.refs if ref.is_alive()}
    expected = len(life.plant.actors) + len(slots)
    names = sorted(str(ref.actor_inbox) for ref in life.process.refs if ref.is_alive())
    require(len(alive) == expected, "nothing_is_orphaned", lambda: f"{len(alive)} actors live, not {expected}: {names}")
    registered = {ref.actor_urn for ref in pykka.ActorRegistry.get_all()}
    require(alive <= registered, "nothing_is_orphaned", "an actor is not in pykka's registry")
    for box in life.process.mailboxes:
        if box.actor is not None:
            require(box.empty(), "no_message_is_lost", lambda box=box: f"{box}: {box.peek()}")
    require(actor_of(life, "gateway")._waiting == 0, "nothing_is_orphaned", "calls wait in the gateway")


def no_answer_is_awaited_in_vain(laws: Laws) -> None:
    """No order holds back its questions for an answer to one that nobody has out."""
    life = laws.world.life
    assert life is not None
    for entry in life.journal.unsettled_orders():
        order = plain.loads(Order | OrderSnapshot, entry.body)
        stuck = isinstance(order, Order) and order.looking
        require(
            not stuck, "no_answer_is_awaited_in_vain", lambda e=entry: f"{e.order_link_id} looks itself up for ever"
        )


def no_timer_is_left_over(laws: Laws) -> None:
    """Only orders that are open have timers."""
    life = laws.world.life
    assert life is not None
    slots = {slot.order_link_id for slot in life.plant.context.registry.slots()}
    shared = {"gateway", "stream", "trade", "reconciler", "portfolio", "supervisor", "breaker"}
    for key in life.process.armed:
        if key[0] in shared:
            continue
        fine = key[0] in slots or key[1] in {"query", "retry"}
        require(fine, "no_timer_is_left_over", lambda key=key: f"timer {key}")


def a_cancel_is_not_forgotten(laws: Laws) -> None:
    """What was promised to be cancelled has ended."""
    for link_id in sorted(laws.cancelled):
        entry = laws.world.journal.order(link_id)
        if entry is None or laws.world.power_cut or ((laws.world.bugs or laws.world.denied) and entry.state == "ERROR"):
            continue
        ended = entry.state in {"CLOSED", "DENIED", "CANCELLED", "FILLED", "REJECTED"}
        require(ended, "a_cancel_is_not_forgotten", lambda e=entry: f"{e.order_link_id} is {e.state}")


def tickets_show_the_journal(laws: Laws) -> None:
    """Whoever holds a ticket sees what the journal has."""
    life = laws.world.life
    assert life is not None
    for n, cell in life.cells.items():
        entry = life.journal.order(cell.snapshot.order_link_id)
        if entry is not None:
            require(
                cell.snapshot.state == entry.state,
                "tickets_show_the_journal",
                lambda n=n, cell=cell, entry=entry: f"signal {n}: ticket {cell.snapshot.state}, journal {entry.state}",
            )


def not_a_word(report: Report) -> bool:
    """Whether that comparison saw everything and found nothing."""
    return report.complete and not report.found and not report.left


def a_second_look_finds_nothing(laws: Laws) -> None:
    """To compare again changes nothing and says nothing."""
    world = laws.world
    if world.looked_in_vain == laws.told and world.draw() < SPARED:
        return
    events = laws.told
    again = world.reconcile()
    require(again is not None and not_a_word(again), "a_second_look_finds_nothing", lambda: f"{again}")
    require(events == laws.told, "a_second_look_finds_nothing", "it made events")


QUIET_LAWS = (
    one_order_or_one_denial,
    orders_are_equal,
    amendments_are_told,
    executions_are_equal,
    positions_are_equal,
    the_journal_is_whole,
    nothing_is_orphaned,
    no_answer_is_awaited_in_vain,
    no_timer_is_left_over,
    a_cancel_is_not_forgotten,
    tickets_show_the_journal,
    a_second_look_finds_nothing,
)


# The laws of the end.


def the_chain_holds(laws: Laws) -> None:
    """No record of the journal was changed or is missing."""
    broken = laws.world.journal.verify_chain()
    require(broken is None, "the_chain_holds", f"record {broken}")


def replay_gives_the_same(laws: Laws) -> None:
    """The facts of the journal, given to the machine again, make the same orders and the same positions."""
    world = laws.world
    life = world.life
    assert life is not None
    policy = life.plant.context.policy
    orders: dict[str, Order] = {}
    for entry in world.journal.orders():
        order = plain.loads(Order | OrderSnapshot, entry.body)
        if isinstance(order, Order):
            orders[entry.order_link_id] = Order.of(order.request)
    for record in world.journal.records(kind="fact"):
        body = orjson.loads(record.body)
        fact = plain.from_plain(Fact, body["what"])
        order = orders[record.order_link_id]
        applied = apply(order, fact, record.at_ms, policy, unit=body["unit"])  # type: ignore[arg-type]
        same = (applied.fact, applied.before, applied.order.state) == (body["fact"], body["before"], body["after"])
        require(same, "replay_gives_the_same", lambda body=body, applied=applied: f"{body}, again {applied}")
        orders[record.order_link_id] = applied.order
    for entry in world.journal.orders():
        if entry.order_link_id in orders:
            again = plain.dumps(orders[entry.order_link_id])
            require(again == entry.body, "replay_gives_the_same", lambda e=entry, a=again: f"{e.body}\nagain\n{a}")
    ours = {key: _sized(position) for key, position in life.plant.context.positions.items() if position.size}
    for whole in (False, True):
        books = restore_books(world.journal, life.plant.context.instruments, whole=whole)
        theirs = {key: _sized(book.snapshot) for key, book in books.items() if book.snapshot.size}
        require(ours == theirs, "replay_gives_the_same", lambda theirs=theirs: f"positions {ours}, again {theirs}")


def _sized(position: Any) -> tuple[Any, ...]:
    return position.side, position.size, position.avg_price, position.realised_pnl, position.fees, position.funding


END_LAWS = (the_chain_holds, replay_gives_the_same)
