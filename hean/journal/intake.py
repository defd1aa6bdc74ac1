"""
Batches on their way into the journal's tables: each is one row first, written with one statement.

A statement gives the interpreter's lock away several times, and each index costs a page. So what an order's actor waits
for is a single row; the tables take over what came in, many batches in one transaction, a moment later or as soon as
somebody reads. The row is in the same file, so it survives whatever a commit survives.
"""

from __future__ import annotations

from typing import Final

import orjson

from hean.journal import sql
from hean.journal.entries import Batch, ExecutionEntry, ExecutionKey, OrderEntry, Record

# Beyond these sqlite has no number; within them JSON has it exactly.
_OPTIONS: Final = orjson.OPT_STRICT_INTEGER
_RECORD: Final = ("kind", "body", "order_link_id", "correlation_id")


def text_of(batch: Batch, epoch: int) -> str | None:
    """
    Write a batch down as one row.

    Args:
        batch: of records, an order, executions and what they unpark, and nothing else.
        epoch: of the records.

    Returns:
        None where it holds what JSON cannot: the tables must take it at once.
    """
    try:
        return orjson.dumps(
            (
                batch.at_ms,
                epoch,
                [(each.kind, each.body, each.order_link_id, each.correlation_id) for each in batch.records],
                None if batch.order is None else sql.ORDER_VALUES(batch.order),
                [sql.EXECUTION_VALUES(each) for each in batch.executions],
                [sql.KEY_VALUES(each) for each in batch.unparked],
            ),
            option=_OPTIONS,
        ).decode()
    except TypeError:
        return None


def batch_of(text: str) -> tuple[Batch, int]:
    """Read what `text_of` wrote: the batch, and the epoch of its records."""
    at_ms, epoch, records, order, executions, unparked = orjson.loads(text)
    batch = Batch(
        at_ms=at_ms,
        records=tuple(Record(**dict(zip(_RECORD, each, strict=True))) for each in records),
        order=None if order is None else OrderEntry(**dict(zip(sql.names_of(OrderEntry), order, strict=True))),
        executions=tuple(
            ExecutionEntry(**dict(zip(sql.names_of(ExecutionEntry), each, strict=True))) for each in executions
        ),
        unparked=tuple(ExecutionKey(**dict(zip(sql.names_of(ExecutionKey), each, strict=True))) for each in unparked),
    )
    return batch, epoch
