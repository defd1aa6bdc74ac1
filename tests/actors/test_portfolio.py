"""The books' owner: what it folds once, what it sums up, and what it says of a row of the exchange."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hean.actors.books import restore_books
from hean.actors.messages import AdoptPosition, Compared, Fold, PositionsSeen
from hean.actors.portfolio import KEEP_EXECUTIONS, PortfolioActor
from hean.actors.scribe import execution_entry
from hean.core.position import Verdict
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
    Side,
    Source,
)
from hean.journal import Batch
from tests.actors.stage import Box, Stage

KEY = (Category.LINEAR, "BTCUSDT", 0)


class World(Stage):
    """A portfolio alone."""

    def __init__(self) -> None:
        super().__init__()
        self.actor = PortfolioActor(Box(), self.context, {})

    def fold(self, seq: int, side: Side = Side.BUY, position_idx: int = 0, name: str = "", **changes: Any) -> None:
        made = execution(seq, side, name, **changes)
        self.context.journal.commit(Batch(at_ms=0, executions=(execution_entry(made, None, position_idx),)))
        self.actor.handle(
            Fold(execution=made, position_idx=position_idx, correlation_id="c", signal_id="s", reduce_only=False)
        )

    def compare(self, *rows: PositionRow) -> Compared:
        box = Box()
        self.actor.handle(PositionsSeen(rows=rows, source=Source.RECONCILE, asked_ms=Ms(7), answer_to=box))
        (compared,) = box.take(Compared)
        assert isinstance(compared, Compared)
        return compared


def execution(seq: int, side: Side, name: str = "", **changes: Any) -> Execution:
    values: dict[str, Any] = {
        "category": Category.LINEAR,
        "symbol": "BTCUSDT",
        "exec_id": ExecId(name or f"e-{seq}"),
        "order_id": OrderId("o"),
        "order_link_id": OrderLinkId(""),
        "side": side,
        "exec_type": ExecType.TRADE,
        "exec_qty": Decimal(1),
        "exec_price": Decimal(100),
        "exec_fee": Decimal("0.1"),
        "fee_currency": "USDT",
        "seq": seq,
    }
    return Execution(**values | changes)


def row(
    size: str, seq: int, side: Side | None = Side.BUY, position_idx: int = 0, symbol: str = "BTCUSDT"
) -> PositionRow:
    return PositionRow(
        category=Category.LINEAR,
        symbol=symbol,
        position_idx=position_idx,
        side=side,
        size=Decimal(size),
        avg_price=Decimal(100),
        seq=seq,
    )


@pytest.fixture
def world() -> World:
    return World()


def test_row_is_compared_with_what_was_folded_up_to_its_seq(world: World) -> None:
    world.fold(1)
    world.fold(5)
    assert [Verdict.CONFIRMED, Verdict.DIFFERENT, Verdict.CONFIRMED, Verdict.MISSING] == [
        world.compare(seen).agreements[0].verdict for seen in (row("1", 1), row("2", 1), row("2", 5), row("3", 6))
    ]


def test_position_without_a_row_is_told(world: World) -> None:
    world.fold(1)
    compared = world.compare(row("0", -1, None, symbol="ETHUSDT"))
    assert [("BTCUSDT", Decimal(1))] == [(held.symbol, held.size) for held in compared.unlisted]


def test_position_that_only_the_exchange_has_is_told(world: World) -> None:
    (agreement,) = world.compare(row("1", 3)).agreements
    assert Verdict.MISSING is agreement.verdict


def test_confirmed_executions_are_summed_up(world: World) -> None:
    for seq in range(2 * KEEP_EXECUTIONS + 1):
        world.fold(seq, Side.BUY if seq % 2 else Side.SELL)
    book = world.actor._books[KEY]
    assert 2 * KEEP_EXECUTIONS + 1 == book.count
    world.compare(row("1", 2 * KEEP_EXECUTIONS, Side.SELL))
    assert KEEP_EXECUTIONS == book.count
    assert (Decimal(1), Side.SELL) == (book.snapshot.size, book.snapshot.side)


def test_what_is_summed_up_is_not_folded_again_after_a_restart(world: World) -> None:
    for seq in range(2 * KEEP_EXECUTIONS + 1):
        world.fold(seq, Side.BUY if seq % 2 else Side.SELL, exec_price=Decimal(100 + seq % 7))
    world.compare(row("1", 2 * KEEP_EXECUTIONS, Side.SELL))
    world.fold(2 * KEEP_EXECUTIONS + 1)
    read: list[str] = []
    again = restore_books(world.context.journal, {}, lambda entry: read.append(entry.exec_id) or True)  # type: ignore[func-returns-value]
    assert world.actor._books[KEY].snapshot == again[KEY].snapshot
    assert [f"e-{seq}" for seq in range(KEEP_EXECUTIONS + 1, 2 * KEEP_EXECUTIONS + 2)] == read


def test_what_is_summed_up_can_be_folded_whole_and_comes_out_the_same(world: World) -> None:
    for seq in range(2 * KEEP_EXECUTIONS + 1):
        world.fold(seq, Side.BUY if seq % 2 else Side.SELL, exec_price=Decimal(100 + seq % 7))
    world.compare(row("1", 2 * KEEP_EXECUTIONS, Side.SELL))
    book, whole = world.actor._books[KEY], restore_books(world.context.journal, {}, whole=True)[KEY]
    assert (book.snapshot, 2 * KEEP_EXECUTIONS + 1) == (whole.snapshot, whole.count)


def test_a_balance_that_is_taken_over_stands_for_what_was_summed_up_before(world: World) -> None:
    for seq in range(2 * KEEP_EXECUTIONS + 1):
        world.fold(seq, Side.BUY if seq % 2 else Side.SELL)
    world.compare(row("1", 2 * KEEP_EXECUTIONS, Side.SELL))
    world.actor.handle(AdoptPosition(row=row("7", 3 * KEEP_EXECUTIONS), why="drift"))
    assert Decimal(7) == restore_books(world.context.journal, {})[KEY].snapshot.size


def test_executions_that_no_row_confirms_are_held_singly(world: World) -> None:
    for seq in range(2 * KEEP_EXECUTIONS + 1):
        world.fold(seq)
    world.compare(row("1", 2 * KEEP_EXECUTIONS))
    assert 2 * KEEP_EXECUTIONS + 1 == world.actor._books[KEY].count


def test_position_is_taken_over_and_journalled(world: World) -> None:
    world.fold(1)
    world.actor.handle(AdoptPosition(row=row("7", 4), why="drift"))
    assert Decimal(7) == world.context.positions[KEY].size
    (event,) = [event for event in world.events() if event.type is EventType.POSITION_ADOPTED]
    assert ("difference", "drift: was Buy 1 at 100") == (event.reason, event.detail)
    world.fold(4, name="late")
    assert Decimal(7) == world.context.positions[KEY].size
    world.fold(5)
    assert Decimal(8) == world.context.positions[KEY].size
    assert Decimal(8) == restore_books(world.context.journal, {})[KEY].snapshot.size


def test_execution_that_another_position_has_already_counts_once(world: World) -> None:
    world.fold(1, name="e")
    world.fold(1, position_idx=1, name="e")
    assert [Decimal(1)] == [held.size for held in world.context.positions.values() if held.size]
    assert ["claimed_elsewhere"] == [reason for reason in world.reasons() if reason.startswith("claimed")]


def test_hedged_symbol_is_known_by_its_rows(world: World) -> None:
    world.actor.handle(PositionsSeen(rows=(row("0", -1, None, 1), row("0", -1, None, 2)), source=Source.STREAM))
    assert {(Category.LINEAR, "BTCUSDT", 1), (Category.LINEAR, "BTCUSDT", 2)} == set(world.context.positions)


def test_spot_has_no_position(world: World) -> None:
    made = execution(1, Side.BUY, category=Category.SPOT)
    world.context.journal.commit(Batch(at_ms=0, executions=(execution_entry(made, None, 0),)))
    assert {} == restore_books(world.context.journal, {})
