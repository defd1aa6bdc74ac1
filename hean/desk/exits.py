"""How a verb ends: one number for each way, the same for every verb."""

from __future__ import annotations

from enum import IntEnum

from hean.errors import (
    ConfigError,
    HeanError,
    JournalError,
    LocalError,
    OutcomeUnknown,
    RemoteError,
)


class Exit(IntEnum):
    """What the exit code says."""

    DONE = 0
    BUG = 1
    USAGE = 2  # a wrong option, argument or setting
    CHECK_FAILED = 3  # a check said no, or what the verb needs is not there: journal, router, exchange
    DRIFT = 4  # the two sides, or the journal and its replay, differ
    REFUSED = 5  # the exchange said no
    UNKNOWN = 6  # what was asked for may or may not have happened; stderr says what to run
    HALTED = 7
    INTERRUPTED = 130


def exit_of(error: BaseException) -> Exit:
    """What an error means for the exit code."""
    match error:
        case KeyboardInterrupt():
            return Exit.INTERRUPTED
        case ConfigError():
            return Exit.USAGE
        case OutcomeUnknown():
            return Exit.UNKNOWN
        case RemoteError():
            # Without a code of the exchange nobody said no: it could not be asked.
            return Exit.REFUSED if error.ret_code is not None else Exit.CHECK_FAILED
        case JournalError() | LocalError():
            return Exit.CHECK_FAILED
        case HeanError():
            return Exit.CHECK_FAILED
        case _:
            return Exit.BUG
