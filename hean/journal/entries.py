"""
What the journal stores: its own frozen types, one per table, and the batch that is remembered as a whole.

`body` is JSON text that the journal does not read; the other fields are those it is asked by. Field names are column
names.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen


@frozen(kw_only=True)
class Record:
    """One line of the audit chain, as written."""

    kind: str
    body: str
    order_link_id: str = ""
    correlation_id: str = ""


@frozen(kw_only=True)
class StoredRecord:
    """
    One line of the audit chain, as read.

    Attributes:
        n: row number, from 1, without gaps.
        at_ms: our clock.
        epoch: which opening of the journal wrote it.
        hash: SHA-256 over the predecessor's hash and every other part.
    """

    n: int
    at_ms: int
    epoch: int
    kind: str
    order_link_id: str
    correlation_id: str
    body: str
    hash: bytes


@frozen(kw_only=True)
class OrderEntry:
    """
    The newest state of one order.

    Attributes:
        digest: of the signal's payload: the same ID with another digest is another order.
        settled: nothing about it is open; it is not read at start-up.
        body: the order's own plain form.
    """

    order_link_id: str
    digest: str
    state: str
    settled: bool = field(converter=bool)
    order_id: str | None
    correlation_id: str
    signal_id: str
    strategy_id: str
    symbol: str
    category: str
    submitted_ms: int
    updated_ms: int
    body: str


@frozen(kw_only=True)
class ExecutionEntry:
    """One execution that was applied; (category, symbol, exec_id) is its key for ever."""

    category: str
    symbol: str
    exec_id: str
    order_link_id: str
    order_id: str
    position_idx: int
    seq: int
    exec_ms: int
    body: str


@frozen(kw_only=True)
class ParkedEntry:
    """An execution that nobody owns yet; kept until its order is known."""

    category: str
    symbol: str
    exec_id: str
    order_id: str
    at_ms: int
    body: str


@frozen(kw_only=True)
class PositionEntry:
    """A position's opening balance or checkpoint."""

    category: str
    symbol: str
    position_idx: int
    body: str


@frozen(kw_only=True)
class Command:
    """
    What an operator asked for, from another process.

    Attributes:
        state: "waiting" until the router answers, then its word for it.
        answer: the router's, "" while waiting.
    """

    id: int
    at_ms: int
    who: str
    verb: str
    args: str
    state: str
    answer: str


@frozen(kw_only=True)
class CommandAnswer:
    """The router's answer to a command; `state` is its outcome in one word, anything but "waiting"."""

    id: int
    state: str
    answer: str


@frozen(kw_only=True)
class ExecutionKey:
    """What makes an execution unique. Source: Bybit V5 docs, order/execution; IDs are unique per symbol."""

    category: str
    symbol: str
    exec_id: str


@frozen(kw_only=True)
class Batch:
    """
    What is remembered together: all of it or nothing.

    Attributes:
        at_ms: our clock, for the records.
        order: written over an older entry of the same order_link_id.
        executions: those that are known already are left as they are, but a foreign one may be claimed by an order.
        parked: the same.
        unparked: found their order; the absent ones do not matter.
        positions: written over older ones.
        marks: name -> value, written over older ones.
        answers: to operator commands.
    """

    at_ms: int
    records: tuple[Record, ...] = ()
    order: OrderEntry | None = None
    executions: tuple[ExecutionEntry, ...] = ()
    parked: tuple[ParkedEntry, ...] = ()
    unparked: tuple[ExecutionKey, ...] = ()
    positions: tuple[PositionEntry, ...] = ()
    marks: Mapping[str, str] = field(factory=dict)
    answers: tuple[CommandAnswer, ...] = ()


@frozen(kw_only=True)
class Committed:
    """What a commit did: the numbers of its records, and which of its executions were new."""

    rows: tuple[int, ...]
    new_executions: tuple[ExecutionKey, ...] = ()
