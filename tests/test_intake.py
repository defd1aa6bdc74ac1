"""The journal's intake: one statement for a batch, and nobody who reads, dies or fails sees a difference."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

import attrs
import pytest
from attrs import evolve
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hean.errors import JournalBusy, JournalError, JournalFull, JournalLocked
from hean.journal import Batch, ExecutionEntry, Journal, JournalView, OrderEntry, Record, intake, sql
from tests.test_journal import CHILD, EXECUTION, INTENT, ORDER, PARKED, alter, everything, key_of

FACT = Record(kind="fact", body='{"fact":"sent"}', order_link_id="link-1", correlation_id="c-1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


@pytest.fixture
def journal(path: Path) -> Any:
    with Journal.open(path, 1000) as opened:
        yield opened


def unfolded(path: Path) -> int:
    """How many batches the file holds outside the tables."""
    connection = sqlite3.connect(path)
    (count,) = connection.execute("SELECT count(*) FROM intake").fetchone()
    connection.close()
    return int(count)


# No text of a record holds a NUL: IDs are printable, and bodies are JSON, which escapes it.
texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=12)
integers = st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
orders = st.builds(
    OrderEntry,
    order_link_id=texts,
    digest=texts,
    state=texts,
    settled=st.booleans(),
    order_id=st.none() | texts,
    correlation_id=texts,
    signal_id=texts,
    strategy_id=texts,
    symbol=texts,
    category=texts,
    submitted_ms=integers,
    updated_ms=integers,
    body=texts,
)
executions = st.builds(
    ExecutionEntry,
    category=texts,
    symbol=texts,
    exec_id=texts,
    order_link_id=texts,
    order_id=texts,
    position_idx=integers,
    seq=integers,
    exec_ms=integers,
    body=texts,
)
records = st.builds(Record, kind=texts, body=texts, order_link_id=texts, correlation_id=texts)
batches = st.builds(
    Batch,
    at_ms=integers,
    records=st.lists(records, max_size=3).map(tuple),
    order=st.none() | orders,
    executions=st.lists(executions, max_size=2).map(tuple),
    unparked=st.lists(executions.map(key_of), max_size=2).map(tuple),
)


@given(batch=batches, epoch=integers)
def test_what_is_written_down_reads_back_equal(batch: Batch, epoch: int) -> None:
    text = intake.text_of(batch, epoch)
    assert text is not None
    assert (batch, epoch) == intake.batch_of(text)


@given(several=st.lists(batches, max_size=6), mixed=st.lists(st.booleans(), min_size=6, max_size=6))
def test_noted_or_committed_the_tables_come_out_the_same(several: list[Batch], mixed: list[bool]) -> None:
    noting, committing = Journal.memory(), Journal.memory()
    rows = [(noting.note if note else noting.commit)(each).rows for each, note in zip(several, mixed, strict=False)]
    assert [committing.commit(each).rows for each in several] == rows
    assert everything(committing) == everything(noting)
    assert None is noting.verify_chain()


def test_one_statement_notes_and_one_transaction_takes_all_over(journal: Journal, path: Path) -> None:
    statements: list[str] = []
    journal._connection.set_trace_callback(statements.append)
    for number in range(5):
        journal.note(Batch(at_ms=number, records=(INTENT, FACT), order=evolve(ORDER, updated_ms=number)))
    assert (5, 5) == (len(statements), unfolded(path))
    journal.fold()
    assert 1 == sum(statement.startswith("BEGIN") for statement in statements)
    # Of one order the newest row alone is written.
    assert 1 == sum(statement.startswith("INSERT INTO orders") for statement in statements)
    assert (0, 10, 4) == (unfolded(path), len(list(journal.records())), journal.order("link-1").updated_ms)  # type: ignore[union-attr]


def test_whoever_reads_sees_what_was_noted(journal: Journal) -> None:
    journal.note(Batch(at_ms=1, records=(INTENT,), order=ORDER, executions=(EXECUTION,)))
    assert ORDER == journal.order("link-1")
    journal.note(Batch(at_ms=2, records=(FACT,)))
    assert ["ORDER_REQUEST", "fact"] == [record.kind for record in journal.records(order_link_id="link-1")]
    assert journal.knows_execution("linear", "BTCUSDT", "e-1")


def test_what_is_committed_comes_after_what_was_noted_before_it(journal: Journal) -> None:
    assert (1,) == journal.note(Batch(at_ms=1, records=(INTENT,), order=ORDER)).rows
    assert (2,) == journal.commit(Batch(at_ms=2, records=(FACT,), order=evolve(ORDER, state="FILLED"))).rows
    assert (3,) == journal.note(Batch(at_ms=3, records=(FACT,))).rows
    assert ("FILLED", [1, 2, 3]) == (journal.order("link-1").state, [record.at_ms for record in journal.records()])  # type: ignore[union-attr]
    assert None is journal.verify_chain()


def test_a_batch_that_holds_more_is_committed_at_once(journal: Journal, path: Path) -> None:
    journal.note(Batch(at_ms=1, records=(INTENT,)))
    journal.note(Batch(at_ms=2, marks={"halted": "why"}))
    assert (0, "why") == (unfolded(path), journal.mark("halted"))


def test_a_parked_execution_leaves_when_a_noted_batch_finds_its_order(journal: Journal) -> None:
    journal.commit(Batch(at_ms=1, parked=(PARKED,)))
    journal.note(Batch(at_ms=2, records=(INTENT,), unparked=(key_of(PARKED),)))
    assert () == journal.parked()


def test_it_is_told_when_something_begins_to_wait(journal: Journal) -> None:
    told: list[int] = []
    journal.when_noted = lambda: told.append(1)
    for _ in range(3):
        journal.note(Batch(at_ms=1, records=(INTENT,)))
    assert [1] == told
    journal.fold()
    journal.note(Batch(at_ms=2, records=(INTENT,)))
    assert [1, 1] == told


def test_too_much_on_its_way_is_taken_over_first(journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hean.journal.writer.NOTED_MAX", 2)
    counts = []
    for number in range(4):
        journal.note(Batch(at_ms=number, records=(INTENT,)))
        counts.append(unfolded(path))
    assert [1, 2, 0, 1] == counts


# What goes wrong


def test_a_note_that_cannot_be_made_leaves_nothing_and_the_numbers_go_on(journal: Journal, path: Path) -> None:
    journal._connection.execute("PRAGMA busy_timeout = 1")
    journal.note(Batch(at_ms=1, records=(INTENT,)))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalBusy):
        journal.note(Batch(at_ms=2, records=(FACT,)))
    with pytest.raises(JournalBusy):
        journal.fold()
    other.close()
    assert (2,) == journal.note(Batch(at_ms=3, records=(FACT,))).rows
    assert [1, 3] == [record.at_ms for record in journal.records()]


def test_a_full_disk_is_told(journal: Journal) -> None:
    (pages,) = journal._connection.execute("PRAGMA page_count").fetchone()
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(JournalFull, match="no space is left"):
        journal.note(Batch(at_ms=1, records=(evolve(INTENT, body="x" * 100_000),)))
    journal._connection.execute(f"PRAGMA max_page_count = {pages + 100}")
    assert ([], (1,)) == (list(journal.records()), journal.note(Batch(at_ms=2, records=(INTENT,))).rows)


@pytest.mark.parametrize(
    "broken",
    [
        {"order": evolve(ORDER, submitted_ms=2**64)},
        {"order": evolve(ORDER, body=object())},  # type: ignore[arg-type]
        {"records": (evolve(INTENT, body="\ud800"),)},
    ],
    ids=["huge", "object", "surrogate"],
)
def test_what_no_table_could_take_is_refused_at_once(journal: Journal, broken: dict[str, Any]) -> None:
    with pytest.raises(JournalError):
        journal.note(Batch(**({"at_ms": 1, "records": (INTENT,)} | broken)))
    assert ([], (1,)) == (list(journal.records()), journal.note(Batch(at_ms=2, records=(INTENT,))).rows)


def test_a_forked_process_may_not_note(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getpid", lambda: -1)
    with pytest.raises(JournalError, match="a forked process opens its own router"):
        journal.note(Batch(at_ms=1, records=(INTENT,)))


class Interrupted:
    """A connection whose user loses patience just after that statement was done."""

    def __init__(self, connection: sqlite3.Connection, statement: str) -> None:
        self.connection = connection
        self.statement = statement

    def execute(self, statement: str, values: Any = ()) -> Any:
        cursor = self.connection.execute(statement, values)
        if statement == self.statement:
            raise KeyboardInterrupt
        return cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


@pytest.mark.parametrize("statement", [sql.PUT_INTAKE, sql.DROP_INTAKE, sql.COMMIT])
def test_an_interrupt_loses_nothing_and_doubles_nothing(journal: Journal, statement: str) -> None:
    journal.note(Batch(at_ms=1, records=(INTENT,)))
    connection = journal._connection
    journal._connection = Interrupted(connection, statement)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - whichever of the two it is
        journal.note(Batch(at_ms=2, records=(FACT,)))
        journal.fold()
    journal._connection = connection
    journal.note(Batch(at_ms=3, records=(FACT,)))
    assert [1, 2, 3] == [record.at_ms for record in journal.records()]
    assert None is journal.verify_chain()


def test_threads_note_commit_and_read_and_every_batch_is_there_once(journal: Journal) -> None:
    def work(number: int) -> None:
        for count in range(40):
            batch = Batch(at_ms=number, records=(evolve(INTENT, body=f"{number} {count}"), FACT))
            (journal.commit if count % 7 == number else journal.note)(batch)
            if count % 9 == number:
                list(journal.records(after_n=10_000))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bodies = [record.body for record in journal.records(kind="ORDER_REQUEST")]
    assert sorted(f"{number} {count}" for number in range(4) for count in range(40)) == sorted(bodies)
    assert None is journal.verify_chain()


# Who looks, who comes after


@given(
    several=st.lists(batches, max_size=6),
    folded=st.integers(min_value=0, max_value=6),
    foreign=st.lists(st.booleans(), min_size=12, max_size=12),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_a_viewer_reads_what_is_noted_as_if_the_tables_had_it(
    tmp_path: Path, several: list[Batch], folded: int, foreign: list[bool]
) -> None:
    keys = [key_of(execution) for batch in several for execution in batch.executions]
    assume(len({key_of(EXECUTION), *keys}) == 1 + len(keys))
    path = tmp_path / uuid.uuid4().hex / "journal.db"
    with Journal.open(path, 1) as journal:
        unparked = [key for batch in several for key in batch.unparked]
        parked = tuple(evolve(PARKED, **attrs.asdict(key)) for key in unparked)
        # Accounted as another hand's before, and claimed by a note.
        noted = (execution for batch in several for execution in batch.executions)
        known = [
            evolve(execution, order_link_id="", position_idx=0)
            for execution, was in zip(noted, foreign, strict=False)
            if was
        ]
        first = Batch(at_ms=0, records=(FACT,), order=ORDER, parked=(PARKED, *parked))
        journal.commit(evolve(first, executions=(EXECUTION, *known)))
        for number, batch in enumerate(several):
            journal.note(batch)
            if number == folded:
                journal.fold()
        with JournalView.read(path) as view:
            before = everything(view)
            assert view.verify_chain() is None
            journal.fold()
            # The same viewer, after the tables have taken it over.
            assert unhashed(everything(journal)) == unhashed(everything(view)) == unhashed(before)


def unhashed(rows: tuple[Any, ...]) -> tuple[Any, ...]:
    records, *others = rows
    return (tuple(evolve(record, hash=b"") for record in records), *others)


def test_a_viewer_of_a_router_that_hangs_sees_what_it_noted(journal: Journal, path: Path) -> None:
    journal.note(Batch(at_ms=1, records=(INTENT, FACT), order=ORDER, executions=(EXECUTION,)))
    with JournalView.read(path) as view:
        assert (ORDER, 2, (EXECUTION,)) == (view.order("link-1"), view.last_n, tuple(view.executions()))
        assert ["ORDER_REQUEST", "fact"] == [record.kind for record in view.records(order_link_id="link-1")]
        assert (ORDER,) == view.newest_orders(3)


def killed(path: Path, notes: int = 5) -> int:
    """What a router that was killed had noted; how many batches it had told of."""
    noting = CHILD.replace("journal.commit(", "journal.note(").replace('            marks={"count": str(n)},\n', "")
    noting = noting.replace('int(journal.mark("count") or 0)', "len(list(journal.orders()))")
    child = subprocess.Popen([sys.executable, "-c", noting, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    told = 0
    with child.stdout:
        for line in child.stdout:
            told = int(line)
            if told % notes == 0:
                break
        with pytest.raises(JournalLocked, match=f"process {child.pid}"):
            Journal.open(path, 2)
        child.send_signal(signal.SIGKILL)
        told = max([told, *map(int, child.stdout.read().split("\n")[:-1])])
    assert -signal.SIGKILL == child.wait()
    return told


@pytest.mark.parametrize("notes", [1, 7, 40, 250])
@pytest.mark.parametrize("looked", [False, True], ids=["opened", "looked at first"])
def test_a_killed_router_leaves_every_batch_that_it_told_of(path: Path, notes: int, *, looked: bool) -> None:
    told = 0
    for _ in range(2):
        told = killed(path, notes)
        if looked:
            with JournalView.read(path) as view:
                assert view.last_n in {2 * told, 2 * told + 2}
    with Journal.open(path, 2) as journal:
        count = len(journal.unsettled_orders())
        assert count in {told, told + 1}
        assert (2 * count, count) == (len(list(journal.records())), len(list(journal.executions())))
        assert None is journal.verify_chain()
        assert journal.order("link-1") is not None


def test_what_a_killed_router_unparked_is_unparked(path: Path) -> None:
    with Journal.open(path, 1) as journal:
        journal.commit(Batch(at_ms=1, parked=(PARKED,)))
        text = intake.text_of(Batch(at_ms=2, records=(INTENT,), unparked=(key_of(PARKED),)), journal.epoch)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(sql.PUT_INTAKE, (text,))
    connection.close()
    with Journal.open(path, 2) as journal:
        assert ((), 1) == (journal.parked(), journal.last_n)


def test_closing_takes_over_what_was_noted(path: Path) -> None:
    with Journal.open(path, 1) as journal:
        journal.note(Batch(at_ms=1, records=(INTENT,)))
    assert 0 == unfolded(path)
    with JournalView.read(path) as view:
        assert 1 == view.last_n


def test_a_journal_of_the_schema_before_is_taken_up(path: Path) -> None:
    with Journal.open(path, 1) as journal:
        journal.commit(Batch(at_ms=1, records=(INTENT,), order=ORDER))
    alter(path, "DROP TABLE intake")
    alter(path, "PRAGMA user_version = 1")
    with JournalView.read(path) as view:
        assert ORDER == view.order("link-1")
    with Journal.open(path, 2) as journal:
        journal.note(Batch(at_ms=2, records=(FACT,)))
        assert (2, None) == (journal.last_n, journal.verify_chain())
