"""
Every SQL string of hean: the tables, and one statement for each thing that is asked of them.

Column names are the field names of `entries.py`. Whoever changes a table, or the default of a field that a body leaves
out, raises SCHEMA_VERSION.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from operator import attrgetter
from typing import Final

import attrs

from hean.journal.entries import (
    Command,
    ExecutionEntry,
    ExecutionKey,
    OrderEntry,
    ParkedEntry,
    PositionEntry,
    StoredRecord,
)

SCHEMA_VERSION: Final = 2
# "hean" in ASCII: tells our file from any other program's database.
APPLICATION_ID: Final = 0x6865616E
# Rows read under one hold of the lock: a long trace must not keep a commit waiting.
PAGE_ROWS: Final = 500

# Beside the tables: what is on its way into them, as `intake.py` writes it.
INTAKE: Final = "CREATE TABLE IF NOT EXISTS intake(seq INTEGER PRIMARY KEY, batch TEXT NOT NULL)"
SET_VERSION: Final = f"PRAGMA user_version = {SCHEMA_VERSION}"

SCHEMA: Final = (
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    """CREATE TABLE records(n INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, epoch INTEGER NOT NULL, kind TEXT NOT NULL,
    order_link_id TEXT NOT NULL, correlation_id TEXT NOT NULL, body TEXT NOT NULL, hash BLOB NOT NULL)""",
    "CREATE INDEX records_of_order ON records(order_link_id) WHERE order_link_id != ''",
    """CREATE TABLE orders(order_link_id TEXT PRIMARY KEY, digest TEXT NOT NULL, state TEXT NOT NULL,
    settled INTEGER NOT NULL, order_id TEXT, correlation_id TEXT NOT NULL, signal_id TEXT NOT NULL,
    strategy_id TEXT NOT NULL, symbol TEXT NOT NULL, category TEXT NOT NULL, submitted_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL, body TEXT NOT NULL)""",
    "CREATE INDEX orders_unsettled ON orders(order_link_id) WHERE settled = 0",
    "CREATE INDEX orders_by_order_id ON orders(order_id) WHERE order_id IS NOT NULL",
    """CREATE TABLE executions(category TEXT NOT NULL, symbol TEXT NOT NULL, exec_id TEXT NOT NULL,
    order_link_id TEXT NOT NULL, order_id TEXT NOT NULL, position_idx INTEGER NOT NULL, seq INTEGER NOT NULL,
    exec_ms INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY(category, symbol, exec_id))""",
    "CREATE INDEX executions_of_order ON executions(order_link_id)",
    "CREATE INDEX executions_by_time ON executions(exec_ms)",
    """CREATE TABLE parked(category TEXT NOT NULL, symbol TEXT NOT NULL, exec_id TEXT NOT NULL, order_id TEXT NOT NULL,
    at_ms INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY(category, symbol, exec_id))""",
    """CREATE TABLE positions(category TEXT NOT NULL, symbol TEXT NOT NULL, position_idx INTEGER NOT NULL,
    body TEXT NOT NULL, PRIMARY KEY(category, symbol, position_idx))""",
    "CREATE TABLE marks(name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE commands(id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, who TEXT NOT NULL,
    verb TEXT NOT NULL, args TEXT NOT NULL, state TEXT NOT NULL, answer TEXT NOT NULL)""",
    "CREATE INDEX commands_waiting ON commands(id) WHERE state = 'waiting'",
    "INSERT INTO meta VALUES('epoch', 0)",
    INTAKE,
    f"PRAGMA application_id = {APPLICATION_ID}",
    SET_VERSION,
)


@cache
def names_of(entry: type[attrs.AttrsInstance]) -> tuple[str, ...]:
    """List an entry's fields, which are its table's columns."""
    return tuple(part.name for part in attrs.fields(entry))


def page(table: str, entry: type[attrs.AttrsInstance], terms: Iterable[str]) -> str:
    """Select the next rows of a table after a rowid, the rowid first; `terms` are constants of this package."""
    where = " AND ".join(("rowid > ?", *terms))
    return f"SELECT rowid, {', '.join(names_of(entry))} FROM {table} WHERE {where} ORDER BY rowid LIMIT {PAGE_ROWS}"  # noqa: S608 - no value is in it


def _select(table: str, entry: type[attrs.AttrsInstance]) -> str:
    return f"SELECT {', '.join(names_of(entry))} FROM {table}"  # noqa: S608 - names of our own classes


def _insert(table: str, entry: type[attrs.AttrsInstance]) -> str:
    names = names_of(entry)
    return f"INSERT INTO {table}({', '.join(names)}) VALUES({', '.join('?' * len(names))})"


_ORDERS: Final = _select("orders", OrderEntry)
_COMMANDS: Final = _select("commands", Command)

ORDER: Final = f"{_ORDERS} WHERE order_link_id = ?"
BEGIN_READING: Final = "BEGIN"
END_READING: Final = "COMMIT"
NEWEST_ORDERS: Final = f"""{_ORDERS} WHERE (?1 IS NULL OR symbol = ?1) AND (?2 IS NULL OR updated_ms >= ?2)
    ORDER BY rowid DESC LIMIT ?3"""
ORDER_LINK_IDS: Final = "SELECT order_link_id FROM orders"
ORDER_BY_ORDER_ID: Final = f"{_ORDERS} WHERE order_id = ? AND order_id IS NOT NULL"
UNSETTLED: Final = f"{_ORDERS} WHERE settled = 0 ORDER BY order_link_id"
EXECUTIONS_SINCE: Final = f"{_select('executions', ExecutionEntry)} WHERE exec_ms >= ? ORDER BY exec_ms, rowid"
TRADED: Final = "SELECT category, symbol FROM positions UNION SELECT DISTINCT category, symbol FROM executions"
ACCOUNTED: Final = "SELECT DISTINCT category, symbol, position_idx FROM executions"
EXECUTIONS_AFTER: Final = (
    f"{_select('executions', ExecutionEntry)} WHERE category = ? AND symbol = ? AND position_idx = ? AND seq > ?"
    " ORDER BY rowid"
)
KNOWS_EXECUTION: Final = "SELECT 1 FROM executions WHERE category = ? AND symbol = ? AND exec_id = ?"
PARKED: Final = f"{_select('parked', ParkedEntry)} ORDER BY rowid"
POSITIONS: Final = f"{_select('positions', PositionEntry)} ORDER BY category, symbol, position_idx"
MARK: Final = "SELECT value FROM marks WHERE name = ?"
COMMAND: Final = f"{_COMMANDS} WHERE id = ?"
PENDING: Final = f"{_COMMANDS} WHERE state = 'waiting' ORDER BY id"
EPOCH: Final = "SELECT value FROM meta WHERE name = 'epoch'"
HEAD: Final = "SELECT n, hash FROM records ORDER BY n DESC LIMIT 1"

# The second half lets sqlite see that its partial index holds every such row.
OF_ORDER: Final = "order_link_id = ? AND order_link_id != ''"
# Not LIKE, in which the underscores of an ID would stand for anything.
LINK_STARTS: Final = "instr(order_link_id, ?) = 1"

BEGIN: Final = "BEGIN IMMEDIATE"
COMMIT: Final = "COMMIT"
ROLLBACK: Final = "ROLLBACK"
NEXT_EPOCH: Final = "UPDATE meta SET value = value + 1 WHERE name = 'epoch'"
CREATED: Final = "INSERT INTO meta VALUES('created_ms', ?)"
POST_COMMAND: Final = "INSERT INTO commands(at_ms, who, verb, args, state, answer) VALUES(?, ?, ?, ?, 'waiting', '')"

JOURNAL_MODE: Final = "PRAGMA journal_mode = WAL"
SYNCHRONOUS: Final = "PRAGMA synchronous = NORMAL"
# 16 MB of log instead of the usual 4: a page that many commits touch is folded into the file once, not four times.
CHECKPOINT_PAGES: Final = "PRAGMA wal_autocheckpoint = 4000"
CHECKPOINT: Final = "PRAGMA wal_checkpoint(TRUNCATE)"
APPLICATION: Final = "PRAGMA application_id"
VERSION: Final = "PRAGMA user_version"
TABLES: Final = "SELECT count(*) FROM sqlite_master"
QUICK_CHECK: Final = "PRAGMA quick_check(1)"

RECORD_NAMES: Final = names_of(StoredRecord)
_RECORD_ROW: Final = f"({', '.join('?' * len(RECORD_NAMES))})"
# Each statement gives the interpreter's lock away: one for many rows, and few enough texts to stay prepared.
PUT_RECORDS: Final = tuple(_insert("records", StoredRecord) + f", {_RECORD_ROW}" * more for more in range(16))
PUT_ORDER: Final = (
    _insert("orders", OrderEntry)
    + " ON CONFLICT(order_link_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in names_of(OrderEntry)[1:])
)
# An execution that was accounted as foreign may be claimed by its order later; it stays one execution.
PUT_EXECUTION: Final = (
    _insert("executions", ExecutionEntry)
    + " ON CONFLICT(category, symbol, exec_id) DO UPDATE SET order_link_id = excluded.order_link_id,"
    " position_idx = excluded.position_idx WHERE order_link_id = '' AND excluded.order_link_id != ''"
)
PUT_PARKED: Final = _insert("parked", ParkedEntry) + " ON CONFLICT DO NOTHING"
DROP_PARKED: Final = "DELETE FROM parked WHERE category = ? AND symbol = ? AND exec_id = ?"
PUT_POSITION: Final = (
    _insert("positions", PositionEntry)
    + " ON CONFLICT(category, symbol, position_idx) DO UPDATE SET body = excluded.body"
)
PUT_MARK: Final = "INSERT INTO marks VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value"
PUT_INTAKE: Final = "INSERT INTO intake(batch) VALUES(?)"
TAKE_INTAKE: Final = "SELECT batch FROM intake ORDER BY seq"
DROP_INTAKE: Final = "DELETE FROM intake"
ANY_INTAKE: Final = "SELECT EXISTS (SELECT 1 FROM intake)"
ANSWER: Final = "UPDATE commands SET state = ?, answer = ? WHERE id = ?"

ORDER_VALUES: Final = attrgetter(*names_of(OrderEntry))
EXECUTION_VALUES: Final = attrgetter(*names_of(ExecutionEntry))
PARKED_VALUES: Final = attrgetter(*names_of(ParkedEntry))
KEY_VALUES: Final = attrgetter(*names_of(ExecutionKey))
POSITION_VALUES: Final = attrgetter(*names_of(PositionEntry))

BESIDE: Final = frozenset({MARK, COMMAND, PENDING, EPOCH, POSITIONS})
"""Reading of these need not wait for what is noted: that never touches them."""


_CLAIM: Final = ("order_link_id", "position_idx")
_SAME_EXECUTION: Final = (
    "known.category = noted.category AND known.symbol = noted.symbol AND known.exec_id = noted.exec_id"
)


def _noted(entry: type[attrs.AttrsInstance], path: str) -> str:
    """The parts of an entry that stands at that path of a noted batch, as its columns."""
    return ", ".join(f"json_extract({path}[{place}]') AS {name}" for place, name in enumerate(names_of(entry)))


def _claimed() -> str:
    """The columns of an execution that was accounted as foreign, and that an order's note claims: see PUT_EXECUTION."""
    names = names_of(ExecutionEntry)
    return ", ".join(f"{'noted' if name in _CLAIM else 'known'}.{name} AS {name}" for name in names)


def _columns(entry: type[attrs.AttrsInstance]) -> str:
    return ", ".join(names_of(entry))


# For a viewer: the tables as they will be once what is noted is in them, under their own names. Whatever the router
# folds meanwhile leaves the intake in the same transaction, so every statement sees it once.
NOTED_VIEWS: Final = (
    f"""CREATE TEMP VIEW records AS
    SELECT n AS rowid, {_columns(StoredRecord)} FROM main.records
    UNION ALL
    SELECT n AS rowid, n, at_ms, epoch, kind, order_link_id, correlation_id, body, x'' AS hash FROM (
        SELECT (SELECT ifnull(max(n), 0) FROM main.records) + row_number() OVER (ORDER BY seq, key) AS n,
            json_extract(batch, '$[0]') AS at_ms, json_extract(batch, '$[1]') AS epoch,
            json_extract(value, '$[0]') AS kind, json_extract(value, '$[1]') AS body,
            json_extract(value, '$[2]') AS order_link_id, json_extract(value, '$[3]') AS correlation_id
        FROM main.intake, json_each(batch, '$[2]'))""",  # noqa: S608 - names of our own classes
    f"""CREATE TEMP VIEW noted_orders AS
    SELECT max(seq) AS seq, {_noted(OrderEntry, "batch, '$[3]")}
    FROM main.intake WHERE json_type(batch, '$[3]') = 'array' GROUP BY json_extract(batch, '$[3][0]')""",  # noqa: S608
    f"""CREATE TEMP VIEW orders AS
    SELECT rowid AS rowid, {_columns(OrderEntry)} FROM main.orders
    WHERE order_link_id NOT IN (SELECT order_link_id FROM noted_orders)
    UNION ALL
    SELECT ifnull((SELECT rowid FROM main.orders AS known WHERE known.order_link_id = noted.order_link_id),
        (SELECT ifnull(max(rowid), 0) FROM main.orders) + seq) AS rowid, {_columns(OrderEntry)}
    FROM noted_orders AS noted""",  # noqa: S608
    f"""CREATE TEMP VIEW noted_executions AS
    SELECT intake.seq AS seq_noted, key, {_noted(ExecutionEntry, "value, '$")}
    FROM main.intake, json_each(batch, '$[4]')""",  # noqa: S608 - names of our own classes
    # Those that no order had claimed, those that one has claimed by a note, and those that are new.
    f"""CREATE TEMP VIEW executions AS
    SELECT rowid AS rowid, {_columns(ExecutionEntry)} FROM main.executions AS known
    WHERE order_link_id != '' OR NOT EXISTS (SELECT 1 FROM noted_executions AS noted
        WHERE {_SAME_EXECUTION} AND noted.order_link_id != '')
    UNION ALL
    SELECT known.rowid AS rowid, {_claimed()}
    FROM noted_executions AS noted JOIN main.executions AS known ON {_SAME_EXECUTION}
    WHERE known.order_link_id = '' AND noted.order_link_id != ''
    UNION ALL
    SELECT (SELECT ifnull(max(rowid), 0) FROM main.executions) + row_number() OVER (ORDER BY seq_noted, key) AS rowid,
        {_columns(ExecutionEntry)} FROM noted_executions AS noted
    WHERE NOT EXISTS (SELECT 1 FROM main.executions AS known WHERE {_SAME_EXECUTION})""",  # noqa: S608
    f"""CREATE TEMP VIEW parked AS
    SELECT rowid AS rowid, {_columns(ParkedEntry)} FROM main.parked
    WHERE NOT EXISTS (SELECT 1 FROM main.intake, json_each(batch, '$[5]') WHERE json_extract(value, '$[0]') = category
        AND json_extract(value, '$[1]') = symbol AND json_extract(value, '$[2]') = exec_id)""",  # noqa: S608
)
