"""What was committed is there after anything; what was not is not; nobody else writes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from hean.errors import JournalBusy, JournalCorrupt, JournalError, JournalFull, JournalLocked
from hean.journal import (
    Batch,
    Brake,
    CommandAnswer,
    Committed,
    ExecutionEntry,
    ExecutionKey,
    Journal,
    OrderEntry,
    ParkedEntry,
    PositionEntry,
    Record,
    StoredRecord,
    brake_path,
    holder_of,
    post_command,
    pull_brake,
    pulled_brake,
    release_brake,
    sql,
)
from hean.journal.seen import Seen
from hean.journal.view import GENESIS, link
from hean.journal.writer import _Waiting

ORDER = OrderEntry(
    order_link_id="link-1",
    digest="d1",
    state="SUBMITTED",
    settled=False,
    order_id=None,
    correlation_id="c-1",
    signal_id="s-1",
    strategy_id="trend",
    symbol="BTCUSDT",
    category="linear",
    submitted_ms=1,
    updated_ms=2,
    body='{"qty":"1"}',
)
EXECUTION = ExecutionEntry(
    category="linear",
    symbol="BTCUSDT",
    exec_id="e-1",
    order_link_id="link-1",
    order_id="o-1",
    position_idx=0,
    seq=7,
    exec_ms=100,
    body="{}",
)
PARKED = ParkedEntry(category="linear", symbol="BTCUSDT", exec_id="e-9", order_id="o-9", at_ms=5, body="{}")
POSITION = PositionEntry(category="linear", symbol="BTCUSDT", position_idx=0, body='{"size":"1"}')
INTENT = Record(kind="ORDER_REQUEST", body="{}", order_link_id="link-1", correlation_id="c-1")


def key_of(entry: ExecutionEntry | ParkedEntry) -> ExecutionKey:
    return ExecutionKey(category=entry.category, symbol=entry.symbol, exec_id=entry.exec_id)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


@pytest.fixture
def journal(path: Path) -> Any:
    with Journal.open(path, 1000) as opened:
        yield opened


def everything(view: Any) -> tuple[object, ...]:
    return (
        tuple(view.records()),
        tuple(view.orders()),
        tuple(view.executions()),
        view.parked(),
        view.positions(),
        view.mark("a"),
    )


def alter(path: Path, statement: str) -> None:
    """Change the file behind the journal's back."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement)
    connection.close()


# One door


def test_a_batch_is_remembered_whole(journal: Journal) -> None:
    committed = journal.commit(
        Batch(
            at_ms=10,
            records=(INTENT, evolve(INTENT, kind="SENT")),
            order=ORDER,
            executions=(EXECUTION,),
            parked=(PARKED,),
            positions=(POSITION,),
            marks={"a": "1"},
        )
    )
    assert Committed(rows=(1, 2), new_executions=(key_of(EXECUTION),)) == committed
    records, *rest = everything(journal)
    assert ((ORDER,), (EXECUTION,), (PARKED,), (POSITION,), "1") == tuple(rest)
    assert [(1, 10, 1, "ORDER_REQUEST", "link-1", "c-1", "{}"), (2, 10, 1, "SENT", "link-1", "c-1", "{}")] == [
        (row.n, row.at_ms, row.epoch, row.kind, row.order_link_id, row.correlation_id, row.body) for row in records
    ]


def test_an_order_is_written_over(journal: Journal) -> None:
    filled = evolve(ORDER, state="CLOSED", settled=True, order_id="o-1", updated_ms=9, body="{}")
    journal.commit(Batch(at_ms=1, order=ORDER))
    journal.commit(Batch(at_ms=2, order=filled))
    assert (filled, filled) == (journal.order("link-1"), journal.order_by_order_id("o-1"))
    assert () == journal.unsettled_orders()


def test_orders_are_found_by_the_first_characters_of_their_link_id(journal: Journal) -> None:
    for link_id in ("h1-ab_c", "h1-abxc", "h1-b"):
        journal.commit(Batch(at_ms=10, order=evolve(ORDER, order_link_id=link_id)))
    assert ["h1-ab_c", "h1-abxc"] == [order.order_link_id for order in journal.orders(link_prefix="h1-ab")]
    assert ["h1-ab_c"] == [order.order_link_id for order in journal.orders(link_prefix="h1-ab_")]
    assert [] == list(journal.orders(link_prefix="1-a"))


def test_the_newest_record_has_a_number(journal: Journal) -> None:
    assert 0 == journal.last_n
    journal.commit(Batch(at_ms=10, records=(INTENT, INTENT)))
    assert 2 == journal.last_n


def test_absent_things_are_none(journal: Journal) -> None:
    assert (None, None, None, None) == (
        journal.order("x"),
        journal.order_by_order_id("x"),
        journal.mark("x"),
        journal.command(1),
    )


def test_an_order_without_the_exchanges_id_is_not_found_by_it(journal: Journal) -> None:
    journal.commit(Batch(at_ms=1, order=ORDER))
    assert None is journal.order_by_order_id("")


def test_a_known_execution_is_left_as_it_is(journal: Journal) -> None:
    other = evolve(EXECUTION, exec_id="e-2")
    journal.commit(Batch(at_ms=1, executions=(EXECUTION,)))
    again = journal.commit(Batch(at_ms=2, executions=(evolve(EXECUTION, body="forged"), other, other)))
    assert (key_of(other),) == again.new_executions
    assert [EXECUTION, other] == list(journal.executions())


def test_a_foreign_execution_is_claimed_once_by_its_order(journal: Journal) -> None:
    foreign = evolve(EXECUTION, order_link_id="", position_idx=0)
    journal.commit(Batch(at_ms=1, executions=(foreign,)))
    journal.commit(Batch(at_ms=2, executions=(evolve(foreign, order_link_id="mine", position_idx=1, body="other"),)))
    journal.commit(Batch(at_ms=3, executions=(evolve(foreign, order_link_id="yours"), foreign)))
    assert [evolve(foreign, order_link_id="mine", position_idx=1)] == list(journal.executions())


def test_executions_of_a_position_are_read_from_a_seq_on(journal: Journal) -> None:
    made = [evolve(EXECUTION, exec_id=f"e-{seq}", seq=seq) for seq in (1, 3, 2)]
    other = evolve(EXECUTION, exec_id="e-9", position_idx=2, seq=9)
    journal.commit(Batch(at_ms=1, executions=(*made, other)))
    key = (EXECUTION.category, EXECUTION.symbol, EXECUTION.position_idx)
    assert {key, (*key[:2], 2)} == set(journal.accounted())
    assert tuple(made[1:]) == journal.executions_after(*key, 1)


def test_an_execution_is_known_by_category_symbol_and_id(journal: Journal) -> None:
    journal.commit(Batch(at_ms=1, executions=(EXECUTION,)))
    asked = [
        ("linear", "BTCUSDT", "e-1"),
        ("spot", "BTCUSDT", "e-1"),
        ("linear", "X", "e-1"),
        ("linear", "BTCUSDT", ""),
    ]
    assert [True, False, False, False] == [journal.knows_execution(*key) for key in asked]


def test_a_parked_execution_leaves_with_the_batch_that_finds_its_order(journal: Journal) -> None:
    journal.commit(Batch(at_ms=1, parked=(PARKED, evolve(PARKED, exec_id="e-10"), evolve(PARKED, body="again"))))
    journal.commit(Batch(at_ms=2, executions=(EXECUTION,), unparked=(key_of(PARKED), key_of(EXECUTION))))
    assert (evolve(PARKED, exec_id="e-10"),) == journal.parked()


def test_what_one_batch_unparks_another_of_the_same_transaction_may_park_again(journal: Journal) -> None:
    journal.commit(Batch(at_ms=1, parked=(PARKED,)))
    waiting = [
        _Waiting(batch, journal.epoch)
        for batch in (Batch(at_ms=2, unparked=(key_of(PARKED),)), Batch(at_ms=2, parked=(PARKED,)))
    ]
    journal._queue.extend(waiting)
    journal._commit_queued(waiting[0])
    assert (PARKED,) == journal.parked()
    journal.commit(Batch(at_ms=3, unparked=(key_of(PARKED),)))
    assert () == journal.parked()


def test_what_was_parked_before_a_restart_still_leaves(tmp_path: Path) -> None:
    with closing(Journal.open(tmp_path / "journal.db", 1)) as journal:
        journal.commit(Batch(at_ms=1, parked=(PARKED,)))
    with closing(Journal.open(tmp_path / "journal.db", 2)) as journal:
        assert (PARKED,) == journal.parked()
        journal.commit(Batch(at_ms=2, unparked=(key_of(PARKED),)))
        assert () == journal.parked()
        assert [] == journal._connection.execute("SELECT * FROM parked").fetchall()


def test_positions_and_marks_are_written_over(journal: Journal) -> None:
    other = evolve(POSITION, position_idx=1)
    journal.commit(Batch(at_ms=1, positions=(other, POSITION), marks={"a": "1", "b": "1"}))
    journal.commit(Batch(at_ms=2, positions=(evolve(POSITION, body="{}"),), marks={"a": "2"}))
    assert (evolve(POSITION, body="{}"), other) == journal.positions()
    assert ("2", "1") == (journal.mark("a"), journal.mark("b"))


@pytest.mark.parametrize(
    "broken",
    [
        {"marks": {"a": None}},
        {"marks": {"\ud800": "1"}},
        {"order": evolve(ORDER, submitted_ms=2**64)},
        {"order": evolve(ORDER, body=object())},
        {"records": (INTENT, evolve(INTENT, body="\ud800"))},
    ],
    ids=["null", "surrogate", "huge", "object", "body"],
)
def test_a_batch_that_fails_leaves_nothing_and_the_chain_goes_on(journal: Journal, broken: dict[str, Any]) -> None:
    journal.commit(Batch(at_ms=1, records=(INTENT,)))
    before = everything(journal)
    whole: dict[str, Any] = {
        "at_ms": 2,
        "records": (INTENT,),
        "order": ORDER,
        "executions": (EXECUTION,),
        "positions": (POSITION,),
    }
    with pytest.raises(JournalError):
        journal.commit(Batch(**(whole | broken)))
    assert before == everything(journal)
    assert (2,) == journal.commit(Batch(at_ms=3, records=(INTENT,))).rows
    assert None is journal.verify_chain()


def test_a_bug_in_the_batch_leaves_nothing_either(journal: Journal) -> None:
    with pytest.raises(AttributeError):
        journal.commit(Batch(at_ms=1, records=(INTENT,), order="no entry"))
    assert (1,) == journal.commit(Batch(at_ms=1, records=(INTENT,))).rows


def test_a_full_disk_is_told_and_nothing_is_remembered(journal: Journal) -> None:
    (pages,) = journal._connection.execute("PRAGMA page_count").fetchone()
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(JournalFull, match="no space is left"):
        journal.commit(Batch(at_ms=1, records=(evolve(INTENT, body="x" * 100_000),), marks={"a": "1"}))
    journal._connection.execute(f"PRAGMA max_page_count = {pages + 100}")
    assert ((), None) == (tuple(journal.records()), journal.mark("a"))
    assert (1,) == journal.commit(Batch(at_ms=2, records=(INTENT,))).rows


def test_another_writer_in_the_way_is_told(journal: Journal, path: Path) -> None:
    journal._connection.execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalBusy):
        journal.commit(Batch(at_ms=1, records=(INTENT,)))
    with pytest.raises(JournalBusy):
        journal.begin_epoch()
    other.close()
    assert (1,) == journal.commit(Batch(at_ms=2, records=(INTENT,))).rows


class Interrupted:
    """A connection whose user loses patience just after a commit reached the file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def execute(self, statement: str, values: Any = ()) -> Any:
        cursor = self.connection.execute(statement, values)
        if statement == "COMMIT":
            raise KeyboardInterrupt
        return cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


def test_an_interrupt_after_the_commit_does_not_break_the_chain(journal: Journal) -> None:
    connection = journal._connection
    journal._connection = Interrupted(connection)
    with pytest.raises(KeyboardInterrupt):
        journal.commit(Batch(at_ms=1, records=(INTENT,)))
    journal._connection = connection
    assert (2,) == journal.commit(Batch(at_ms=2, records=(INTENT,))).rows
    assert None is journal.verify_chain()


def test_threads_commit_one_after_the_other(journal: Journal) -> None:
    def work() -> None:
        for _ in range(50):
            journal.commit(Batch(at_ms=1, records=(INTENT, INTENT)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (400, None) == (len(list(journal.records())), journal.verify_chain())


# The chain


def test_each_hash_covers_its_predecessor(journal: Journal) -> None:
    journal.commit(Batch(at_ms=10, records=(INTENT, INTENT)))
    first, second = journal.records()
    texts = b"13:ORDER_REQUEST,6:link-1,3:c-1,{}"
    assert sha256(bytes(32) + b"1,10,1," + texts).digest() == first.hash
    assert sha256(first.hash + b"2,10,1," + texts).digest() == second.hash


TEXTS = st.text(st.characters(codec="utf-8"), max_size=6)


@given(*[st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(1, 9), TEXTS, TEXTS, TEXTS, TEXTS)] * 2)
def test_different_records_have_different_hashes(one: Any, two: Any) -> None:
    assert (one == two) == (link(GENESIS, one) == link(GENESIS, two))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE records SET body = '{ }' WHERE n = 3",
        "UPDATE records SET at_ms = 99 WHERE n = 3",
        "UPDATE records SET epoch = 9 WHERE n = 3",
        "UPDATE records SET kind = 'x' WHERE n = 3",
        "UPDATE records SET order_link_id = 'x' WHERE n = 3",
        "UPDATE records SET correlation_id = 'x' WHERE n = 3",
        "UPDATE records SET hash = x'00' WHERE n = 3",
        "DELETE FROM records WHERE n = 3",
        "UPDATE records SET n = 30 WHERE n = 3",
    ],
)
def test_a_changed_record_shows(journal: Journal, path: Path, change: str) -> None:
    journal.commit(Batch(at_ms=1, records=(INTENT,) * 5))
    assert None is journal.verify_chain()
    alter(path, change)
    assert 3 == journal.verify_chain()


def test_the_chain_goes_on_after_reopening(path: Path) -> None:
    with Journal.open(path, 1) as journal:
        journal.commit(Batch(at_ms=1, records=(INTENT,)))
    with Journal.open(path, 2) as journal:
        assert (2,) == journal.commit(Batch(at_ms=2, records=(INTENT,))).rows
        assert None is journal.verify_chain()
        assert [1, 2] == [row.epoch for row in journal.records()]


# Owners


def test_a_second_router_is_refused_in_the_same_process(journal: Journal, path: Path) -> None:
    with pytest.raises(JournalLocked, match=rf"belongs to the router of process {os.getpid()}"):
        Journal.open(path, 2)
    assert 1 == journal.epoch


def test_a_second_name_of_the_file_is_the_same_journal(journal: Journal, path: Path, tmp_path: Path) -> None:
    alias = tmp_path / "alias.db"
    alias.symlink_to(path)
    with pytest.raises(JournalLocked):
        Journal.open(alias, 2)


def test_closing_gives_the_journal_back(path: Path) -> None:
    first = Journal.open(path, 1)
    first.close()
    first.close()
    with Journal.open(path, 2) as second:
        assert 2 == second.epoch
    with pytest.raises(JournalError, match="closed"):
        first.commit(Batch(at_ms=1))
    with pytest.raises(JournalError, match="closed"):
        first.order("x")


def test_closing_leaves_one_file(path: Path) -> None:
    with Journal.open(path, 1) as journal:
        journal.commit(Batch(at_ms=1, records=(INTENT,)))
    assert ["journal.db", "journal.db.lock"] == sorted(file.name for file in path.parent.iterdir())


def test_a_failed_opening_gives_the_lock_back(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, though long enough to be looked at" * 100)
    for _ in range(2):
        with pytest.raises(JournalCorrupt):
            Journal.open(path, 1)


def test_a_forked_process_may_not_write(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: owner + 1)
    with pytest.raises(JournalError, match=f"opened by process {owner}"):
        journal.commit(Batch(at_ms=1, records=(INTENT,)))
    with pytest.raises(JournalError, match=f"opened by process {owner}"):
        journal.begin_epoch()


def test_the_first_uid_is_bound_for_ever(path: Path) -> None:
    with Journal.open(path, 1) as journal:
        journal.bind_uid("100")
        journal.bind_uid("100")
    with (
        Journal.open(path, 2) as journal,
        pytest.raises(JournalError, match="belongs to UID 100, was opened for UID 7"),
    ):
        journal.bind_uid("7")


def test_the_directory_is_this_users_alone(journal: Journal, path: Path) -> None:
    assert 0o700 == path.parent.stat().st_mode & 0o777


def test_a_memory_journal_is_a_journal() -> None:
    with Journal.memory() as journal:
        journal.commit(Batch(at_ms=1, records=(INTENT,), order=ORDER))
        assert 2 == journal.begin_epoch()
        journal.commit(Batch(at_ms=2, records=(INTENT,)))
        assert ([1, 2], (ORDER,)) == ([row.epoch for row in journal.records()], journal.unsettled_orders())
        assert None is journal.verify_chain()


# The file


def test_a_place_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match=r"cannot be written: .*check HEAN_JOURNAL__PATH"):
        Journal.open(tmp_path / "file" / "journal.db", 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(JournalError, match="cannot be written: Permission denied"):
        Journal.open(tmp_path / "journal.db", 1)
    tmp_path.chmod(0o700)


def test_a_directory_in_the_place_of_the_file_is_refused(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(JournalError, match="cannot be opened or written"):
        Journal.open(path, 1)


def test_a_lock_that_cannot_be_taken_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(JournalError, match="cannot be locked: Operation not supported"):
        Journal.open(path, 1)


def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    alter(path, "CREATE TABLE theirs(x)")
    before = path.read_bytes()
    with pytest.raises(JournalCorrupt, match="database of another program"):
        Journal.open(path, 1)
    assert before == path.read_bytes()


def test_a_newer_schema_is_refused(path: Path) -> None:
    Journal.open(path, 1).close()
    alter(path, "PRAGMA user_version = 3")
    for opening in (lambda: Journal.open(path, 2), lambda: Journal.read(path)):
        with pytest.raises(JournalError, match="written by a newer hean: schema 3, known is 2"):
            opening()


def test_a_damaged_page_is_found_at_opening(path: Path) -> None:
    with Journal.open(path, 1) as journal:
        journal.commit(Batch(at_ms=1, records=(evolve(INTENT, body="x" * 3000),) * 20))
    pages = path.stat().st_size // 4096
    with path.open("r+b") as file:
        file.seek(pages // 2 * 4096)
        file.write(bytes(4096))
    with pytest.raises(JournalCorrupt, match=r"is damaged: .*; keep it, and start with a new one"):
        Journal.open(path, 2)


def test_damage_in_a_large_file_shows_when_it_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal.open(path, 1) as journal:
        journal.commit(Batch(at_ms=1, records=(evolve(INTENT, body="x" * 3000),) * 50))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xa5" * (size // 4))
    monkeypatch.setattr("hean.journal.file._CHECKED_BYTES", 4096)
    with Journal.open(path, 2) as journal, pytest.raises(JournalCorrupt, match="damaged"):
        journal.verify_chain()


def test_a_cut_file_is_found_at_opening(path: Path) -> None:
    with Journal.open(path, 1) as journal:
        journal.commit(Batch(at_ms=1, records=(evolve(INTENT, body="x" * 3000),) * 20))
    os.truncate(path, path.stat().st_size // 4096 // 2 * 4096)
    with pytest.raises(JournalCorrupt):
        Journal.open(path, 2)


def test_an_interrupted_first_opening_is_taken_up(path: Path) -> None:
    path.parent.mkdir()
    alter(path, "PRAGMA journal_mode = WAL")
    with pytest.raises(JournalError, match="there is no journal"):
        Journal.read(path)
    with Journal.open(path, 1) as journal:
        assert 1 == journal.epoch


def test_a_failing_preparation_is_told_and_undone(path: Path) -> None:
    path.parent.mkdir()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("BEGIN IMMEDIATE")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hean.journal.file._BUSY_TIMEOUT_S", 0.001)
        with pytest.raises(JournalBusy):
            Journal.open(path, 1)
    other.close()
    Journal.open(path, 1).close()


# Viewers


def test_a_viewer_reads_while_the_router_writes(journal: Journal, path: Path) -> None:
    journal.commit(Batch(at_ms=1, records=(INTENT,), order=ORDER))
    with Journal.read(path) as view:
        assert everything(journal) == everything(view)
        journal.commit(Batch(at_ms=2, records=(INTENT,), marks={"a": "1"}))
        assert everything(journal) == everything(view)
        assert (1, None) == (view.epoch, view.verify_chain())


def test_a_viewer_cannot_write(journal: Journal, path: Path) -> None:
    with Journal.read(path) as view, pytest.raises(sqlite3.OperationalError, match="readonly"):
        view._connection.execute("DELETE FROM records")


def test_a_viewer_reads_what_a_closed_router_left(path: Path) -> None:
    with Journal.open(path, 1) as journal:
        journal.commit(Batch(at_ms=1, records=(INTENT,), order=ORDER))
        left = everything(journal)
    with Journal.read(path) as view:
        assert left == everything(view)


def test_a_viewer_needs_a_journal(path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal at"):
        Journal.read(path)


def test_the_newest_orders_are_listed_without_the_others(journal: Journal) -> None:
    for number in range(5):
        symbol = "ETHUSDT" if number % 2 else "BTCUSDT"
        order = evolve(ORDER, order_link_id=f"link-{number}", symbol=symbol, updated_ms=number)
        journal.commit(Batch(at_ms=1, order=order))
    journal.commit(Batch(at_ms=2, order=evolve(ORDER, order_link_id="link-0", updated_ms=9)))
    found = [
        [order.order_link_id[-1] for order in journal.newest_orders(count, **narrow)]
        for count, narrow in ((9, {}), (2, {}), (0, {}), (2, {"symbol": "BTCUSDT"}), (9, {"since_ms": 3}))
    ]
    assert [["0", "1", "2", "3", "4"], ["3", "4"], [], ["2", "4"], ["0", "3", "4"]] == found


def test_what_was_traded_is_what_has_a_balance_or_an_execution(journal: Journal) -> None:
    assert () == journal.traded()
    held = PositionEntry(category="linear", symbol="ETHUSDT", position_idx=0, body="{}")
    journal.commit(Batch(at_ms=1, executions=(EXECUTION,), positions=(held,)))
    assert {(EXECUTION.category, EXECUTION.symbol), ("linear", "ETHUSDT")} == set(journal.traded())


def test_what_is_read_at_once_is_of_one_moment(journal: Journal, path: Path) -> None:
    journal.commit(Batch(at_ms=1, order=ORDER))
    with Journal.read(path) as view:
        with view.at_once():
            before = view.orders()
            assert ["link-1"] == [order.order_link_id for order in before]
            journal.commit(Batch(at_ms=2, order=evolve(ORDER, order_link_id="link-2"), executions=(EXECUTION,)))
            assert ([], 1) == (list(view.executions()), len(list(view.orders())))
        assert (1, 2) == (len(list(view.executions())), len(list(view.orders())))


def test_orders_are_narrowed(journal: Journal) -> None:
    settled = evolve(ORDER, order_link_id="link-0", state="CLOSED", settled=True, symbol="ETHUSDT", updated_ms=50)
    other = evolve(settled, order_link_id="link-2", strategy_id="mean", signal_id="s-2", correlation_id="c-2")
    for order in (ORDER, settled, other):
        journal.commit(Batch(at_ms=1, order=order))
    found = [
        [order.order_link_id for order in journal.orders(**narrow)]
        for narrow in (
            {},
            {"settled": True},
            {"settled": False},
            {"state": "CLOSED", "signal_id": "s-2"},
            {"symbol": "BTCUSDT"},
            {"strategy_id": "mean"},
            {"correlation_id": "c-1"},
            {"since_ms": 50},
        )
    ]
    expected = "link-1 link-0 link-2|link-0 link-2|link-1|link-2|link-1|link-2|link-1 link-0|link-0 link-2"
    assert [names.split() for names in expected.split("|")] == found


def test_records_are_narrowed(journal: Journal) -> None:
    nobodys = Record(kind="STATUS", body="{}")
    journal.commit(Batch(at_ms=1, records=(INTENT, nobodys)))
    journal.commit(Batch(at_ms=2, records=(evolve(INTENT, order_link_id="link-2", correlation_id="c-2"),)))
    found = [
        [row.n for row in journal.records(**narrow)]
        for narrow in (
            {"kind": "STATUS"},
            {"order_link_id": "link-2"},
            {"correlation_id": "c-1"},
            {"since_ms": 2},
            {"after_n": 1},
            {"after_n": 1, "kind": "ORDER_REQUEST"},
        )
    ]
    assert [[2], [3], [1], [3], [2, 3], [3]] == found


def test_executions_are_narrowed(journal: Journal) -> None:
    early = evolve(EXECUTION, exec_id="e-2", order_link_id="", order_id="o-2", exec_ms=50, symbol="ETHUSDT")
    journal.commit(Batch(at_ms=1, executions=(EXECUTION, early)))
    found = [
        [row.exec_id for row in journal.executions(**narrow)]
        for narrow in (
            {"category": "linear"},
            {"symbol": "ETHUSDT"},
            {"order_link_id": "link-1"},
            {"order_id": "o-2"},
            {"exec_id": "e-1"},
        )
    ]
    assert [["e-1", "e-2"], ["e-2"], ["e-1"], ["e-2"], ["e-1"]] == found
    assert ((early, EXECUTION), (EXECUTION,)) == (journal.executions_since(50), journal.executions_since(51))


def test_long_readings_go_by_pages_and_see_everything(journal: Journal) -> None:
    journal.commit(Batch(at_ms=1, records=(INTENT,) * 1201))
    reading = journal.records()
    assert 1 == next(reading).n
    journal.commit(Batch(at_ms=2, records=(INTENT,)))
    assert list(range(2, 1203)) == [row.n for row in reading]


@pytest.mark.parametrize(
    "statement, index",
    [
        ("UNSETTLED", "orders_unsettled"),
        ("ORDER_BY_ORDER_ID", "orders_by_order_id"),
        ("PENDING", "commands_waiting"),
        ("EXECUTIONS_SINCE", "executions_by_time"),
        ("KNOWS_EXECUTION", "sqlite_autoindex_executions_1"),
        ("ORDER", "sqlite_autoindex_orders_1"),
        ("HEAD", "SCAN records"),
    ],
)
def test_what_is_asked_at_start_and_per_fact_uses_an_index(journal: Journal, statement: str, index: str) -> None:
    text = getattr(sql, statement)
    plan = journal._connection.execute(f"EXPLAIN QUERY PLAN {text}", ("x",) * text.count("?")).fetchall()
    assert index in plan[0][3]
    assert 1 == len(plan)


def test_the_records_of_an_order_are_read_by_its_index(journal: Journal) -> None:
    text = sql.page("records", StoredRecord, (sql.OF_ORDER,))
    plan = journal._connection.execute(f"EXPLAIN QUERY PLAN {text}", (0, "x")).fetchall()
    assert "records_of_order" in plan[0][3]


# Commands


def test_a_command_waits_for_its_answer(journal: Journal, path: Path) -> None:
    number = post_command(path, at_ms=5, who="ann", verb="halt", args='{"why":"test"}')
    (command,) = journal.pending_commands()
    assert (number, 5, "ann", "halt", '{"why":"test"}', "waiting", "") == (
        command.id,
        command.at_ms,
        command.who,
        command.verb,
        command.args,
        command.state,
        command.answer,
    )
    answer = CommandAnswer(id=number, state="done", answer="halted")
    journal.commit(Batch(at_ms=6, records=(Record(kind="COMMAND", body="{}"),), answers=(answer,)))
    assert () == journal.pending_commands()
    with Journal.read(path) as view:
        assert evolve(command, state="done", answer="halted") == view.command(number)


def test_a_command_stays_outside_the_chain(journal: Journal, path: Path) -> None:
    post_command(path, at_ms=5, who="ann", verb="halt")
    assert ([], (1,)) == (list(journal.records()), journal.commit(Batch(at_ms=6, records=(INTENT,))).rows)


def test_a_command_can_be_left_when_no_router_runs(path: Path) -> None:
    Journal.open(path, 1).close()
    post_command(path, at_ms=5, who="ann", verb="halt")
    with Journal.open(path, 6) as journal:
        assert ["halt"] == [command.verb for command in journal.pending_commands()]


def test_a_command_needs_a_journal(path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal"):
        post_command(path, at_ms=5, who="ann", verb="halt")
    assert not path.parent.exists()


def test_a_command_does_not_wait_for_a_router_that_hangs(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hean.journal.file._BUSY_TIMEOUT_S", 0.001)
    journal._connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalBusy):
        post_command(path, at_ms=5, who="ann", verb="halt")
    journal._connection.execute("ROLLBACK")


# Crashes

CHILD = """
import sys
from pathlib import Path
from hean.journal import Batch, ExecutionEntry, Journal, OrderEntry, Record

journal = Journal.open(Path(sys.argv[1]), 1)
n = int(journal.mark("count") or 0)
while True:
    n += 1
    name = f"link-{n}"
    journal.commit(
        Batch(
            at_ms=n,
            records=(Record(kind="A", body="x" * (n % 5000), order_link_id=name), Record(kind="B", body="{}")),
            order=OrderEntry(
                order_link_id=name, digest="", state="A", settled=False, order_id=None, correlation_id="",
                signal_id="", strategy_id="", symbol="", category="", submitted_ms=0, updated_ms=n, body="{}",
            ),
            executions=(
                ExecutionEntry(
                    category="linear", symbol="X", exec_id=name, order_link_id=name, order_id="", position_idx=0,
                    seq=n, exec_ms=n, body="{}",
                ),
            ),
            marks={"count": str(n)},
        )
    )
    print(n, flush=True)
"""


@pytest.mark.parametrize("commits", [1, 7, 40, 250, 1500])
def test_a_killed_router_leaves_whole_batches_and_every_told_one(path: Path, commits: int) -> None:
    told = 0
    for _ in range(2):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        with child.stdout:
            for line in child.stdout:
                told = int(line)
                if told % commits == 0:
                    break
            with pytest.raises(JournalLocked, match=f"process {child.pid}"):
                Journal.open(path, 2)
            child.send_signal(signal.SIGKILL)
            told = max([told, *map(int, child.stdout.read().split("\n")[:-1])])
        assert -signal.SIGKILL == child.wait()
        with Journal.read(path) as view:
            assert None is view.verify_chain()
    with Journal.open(path, 2) as journal:
        count = int(journal.mark("count") or 0)
        assert count in {told, told + 1}
        assert (3, None) == (journal.epoch, journal.verify_chain())
        assert (2 * count, count, count) == (
            len(list(journal.records())),
            len(journal.unsettled_orders()),
            len(list(journal.executions())),
        )


def crowd(journal: Journal, batches: list[Batch]) -> list[Committed | Exception]:
    """Commit from as many threads, all of them queued before the first may begin."""
    outcomes: list[Committed | Exception] = [RuntimeError("never ran")] * len(batches)

    def commit(index: int) -> None:
        try:
            outcomes[index] = journal.commit(batches[index])
        except Exception as error:  # noqa: BLE001 - looked at by the test
            outcomes[index] = error

    threads = [threading.Thread(target=commit, args=(index,)) for index in range(len(batches))]
    with journal._lock:
        for thread in threads:
            thread.start()
        while len(journal._queue) < len(batches):
            threading.Event().wait(0.001)
    for thread in threads:
        thread.join(10)
    return outcomes


def test_batches_that_queue_are_one_transaction(journal: Journal) -> None:
    statements: list[str] = []
    journal._connection.set_trace_callback(statements.append)
    outcomes = crowd(journal, [Batch(at_ms=n, records=(evolve(INTENT, body=str(n)),)) for n in range(8)])
    assert 1 == sum(statement.startswith("BEGIN") for statement in statements)
    assert list(range(1, 9)) == sorted(row for done in outcomes if isinstance(done, Committed) for row in done.rows)
    assert journal.verify_chain() is None


def test_a_batch_that_fails_in_a_crowd_fails_alone(journal: Journal) -> None:
    bad: Any = evolve(ORDER, body=object())
    batches = [Batch(at_ms=n, records=(evolve(INTENT, body=str(n)),)) for n in range(5)]
    outcomes = crowd(journal, [*batches, Batch(at_ms=9, records=(INTENT,), order=bad)])
    assert isinstance(outcomes.pop(), Exception)
    assert [Committed] * 5 == [type(done) for done in outcomes]
    assert {"0", "1", "2", "3", "4"} == {record.body for record in journal.records()}
    assert journal.verify_chain() is None


# What stands beside the file.


def test_a_brake_is_found_until_it_is_released(path: Path) -> None:
    assert pulled_brake(path) is None
    pull_brake(path, Brake(who="ann", why="smoke", at_ms=7))
    pull_brake(path, Brake(who="bob", why="fire", at_ms=8))
    assert Brake(who="bob", why="fire", at_ms=8) == pulled_brake(path)
    assert [brake_path(path).name] == [each.name for each in path.parent.iterdir()]
    release_brake(path)
    release_brake(path)
    assert pulled_brake(path) is None


@pytest.mark.parametrize("text", ["", "no json", "[]", "{}", '{"who": "ann"}', "\udcff"])
def test_a_brake_that_does_not_read_is_one_all_the_same(text: str, path: Path) -> None:
    path.parent.mkdir()
    brake_path(path).write_bytes(text.encode("utf-8", "surrogateescape"))
    pulled = pulled_brake(path)
    assert pulled is not None
    assert "unknown" == pulled.who


def test_a_brake_that_cannot_be_left_is_told(path: Path) -> None:
    path.parent.write_text("a file, no directory")
    with pytest.raises(JournalError, match="cannot be written"):
        pull_brake(path, Brake(who="ann", why="smoke", at_ms=7))
    assert pulled_brake(path) is None or "cannot be read" in str(pulled_brake(path))


def test_the_holder_is_told_while_it_lives(path: Path) -> None:
    assert holder_of(path) is None
    with Journal.open(path, 1):
        assert os.getpid() == holder_of(path)
    assert holder_of(path) is None
    program = f"""
import os, signal
from pathlib import Path
from hean.journal import Journal
Journal.open(Path({str(path)!r}), 1)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], check=False)
    assert holder_of(path) is None
    Journal.open(path, 1).close()


@given(st.sets(st.text(max_size=40), max_size=50), st.text(max_size=40))
def test_a_filter_says_no_only_of_what_never_came(names: set[str], other: str) -> None:
    seen = Seen()
    for name in names:
        seen.add(name)
    assert all(seen.may_hold(name) for name in names)
    assert other in names or not names or not seen.may_hold(other)


def test_who_asks_for_a_new_order_waits_for_nobody_who_writes(path: Path) -> None:
    with Journal.open(path, 1) as journal:
        journal.commit(Batch(at_ms=1, order=ORDER))
        with journal._lock:
            asked = threading.Thread(target=journal.order, args=("never seen",))
            asked.start()
            asked.join(10)
            assert not asked.is_alive()
    with Journal.open(path, 2) as journal:
        assert ORDER == journal.order(ORDER.order_link_id)
        assert journal.order("never seen") is None
