"""
The memory: one sqlite file in WAL mode per account, and the only place with SQL.

Rules:

1. `commit` is the single door: a batch is remembered as a whole or not at all, and the chain's head moves only with it.
2. Each audit record's hash covers its predecessor's, so a change of any row shows (`verify_chain`).
3. One router per journal: the kernel holds its lock and gives it back when the process dies. Each opening is an epoch.
4. Bodies are opaque JSON text; what they mean is the business of those who write them.

`synchronous=NORMAL`: a killed process loses nothing that was committed. A power cut may lose the last commits, never
the order of them; the order_link_id, a pure function of the signal, and the exchange's own books give them back.
"""

from hean.journal.brake import Brake, brake_path, pull_brake, pulled_brake, release_brake
from hean.journal.entries import (
    Batch,
    Command,
    CommandAnswer,
    Committed,
    ExecutionEntry,
    ExecutionKey,
    OrderEntry,
    ParkedEntry,
    PositionEntry,
    Record,
    StoredRecord,
)
from hean.journal.file import holder_of
from hean.journal.view import JournalView
from hean.journal.writer import Journal, post_command

__all__ = [
    "Batch",
    "Brake",
    "Command",
    "CommandAnswer",
    "Committed",
    "ExecutionEntry",
    "ExecutionKey",
    "Journal",
    "JournalView",
    "OrderEntry",
    "ParkedEntry",
    "PositionEntry",
    "Record",
    "StoredRecord",
    "brake_path",
    "holder_of",
    "post_command",
    "pull_brake",
    "pulled_brake",
    "release_brake",
]
