"""
What can happen to an order (facts) and what its machine wants done about it (effects).

A fact is past tense and comes from outside: a reply, a row, an execution, a timer, a person. An effect is an imperative
that the actor performs; its result comes back as the next fact. Both are plain frozen values, so they can be
journalled, replayed and compared.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from attrs import frozen

from hean.core.types import (
    Amend,
    Command,
    DenyReason,
    Execution,
    Ms,
    OrderId,
    OrderRequest,
    OrderRow,
    Source,
)


class Timer(StrEnum):
    """Alarms an order sets for itself; setting one replaces its predecessor of that name."""

    RETRY = "retry"
    QUERY = "query"


@frozen(kw_only=True)
class Denied:
    """Refused here. Trigger: checks, halt, a passed deadline, a stop. Valid only before any attempt is out."""

    reason: DenyReason
    detail: str = ""


@frozen(kw_only=True)
class Sent:
    """The gate is open: the create is handed to the gateway. Trigger: the supervisor, once the intent is kept."""


@frozen(kw_only=True)
class NotSent:
    """The create did not leave: withdrawn from the queue, or connecting failed before a byte. Proof by construction."""

    attempt: int
    why: str


@frozen(kw_only=True)
class RetryDue:
    """The retry timer fired."""


@frozen(kw_only=True)
class QueryDue:
    """The query timer fired: ask again if something is still open."""


@frozen(kw_only=True)
class Restarted:
    """The journal gave this order back after a restart or a crash of its actor."""


@frozen(kw_only=True)
class Accepted:
    """Reply to create: taken for processing. Not evidence that the order rests; it binds the order_id."""

    attempt: int
    order_id: OrderId | None = None


@frozen(kw_only=True)
class Refused:
    """Reply to create: a permanent no. Nothing of that attempt was executed."""

    attempt: int
    ret_code: int | None
    ret_msg: str
    hint: str = ""


@frozen(kw_only=True)
class NotExecuted:
    """Reply to create: refused before matching (throttled, busy). `reset_ms`: when the exchange opens again."""

    attempt: int
    why: str
    reset_ms: Ms | None = None


@frozen(kw_only=True)
class OutcomeUnknown:
    """Reply to create: lost, late, ambiguous or unlisted. It may or may not have happened."""

    attempt: int
    why: str


@frozen(kw_only=True)
class Duplicate:
    """Reply to create: the exchange knows this order_link_id. Proof that the order exists."""

    attempt: int
    ret_code: int | None


@frozen(kw_only=True)
class Shown:
    """
    The exchange shows the order: a row of the stream or of a successful query.

    Attributes:
        asked_ms: our clock when the query left; None for a row of the stream. A row asked for before a command was
            answered says nothing about that command.
    """

    row: OrderRow
    source: Source
    asked_ms: Ms | None = None


@frozen(kw_only=True)
class Executed:
    """One execution of this order, from any door."""

    execution: Execution
    source: Source


@frozen(kw_only=True)
class LookedUp:
    """
    A look-up by link ID ended.

    Attributes:
        complete: every source and page answered; False proves nothing.
        found: at least one source showed the order or an execution of it.
        started_ms: our clock when it began.
        why: what failed, where it is not complete.
    """

    complete: bool
    found: bool
    started_ms: Ms
    why: str = ""


@frozen(kw_only=True)
class CancelAsked:
    """A person, the strategy or the supervisor wants the order gone."""

    who: str = "strategy"
    why: str = ""


@frozen(kw_only=True)
class AmendAsked:
    """The strategy wants the order changed; checked already."""

    amend: Amend


@frozen(kw_only=True)
class CommandAccepted:
    """Reply to cancel or amend: taken for processing. Says nothing about what will come of it."""

    command: Command


@frozen(kw_only=True)
class CommandFailed:
    """
    Reply to cancel or amend: refused, unknown, throttled, or its deadline passed. Proves neither life nor death.

    Attributes:
        retry_ms: how long to wait before the order may be asked again, for a throttled one.
    """

    command: Command
    why: str
    ret_code: int | None = None
    retry_ms: int = 0


@frozen(kw_only=True)
class Resolved:
    """The operator decided what no evidence can settle; `verdict` is cancelled, rejected or settled."""

    verdict: str
    who: str
    why: str


@frozen(kw_only=True)
class Broken:
    """An invariant broke or a handler crashed: the order is quarantined, and goes on consuming fills."""

    why: str


@frozen(kw_only=True)
class Settled:
    """Position agreed at or past `seq`, the order's last, and the journal flushed."""

    seq: int


@frozen(kw_only=True)
class Halted:
    """Creates of this order may not be sent any more (True), or may again (False)."""

    halted: bool
    why: str = ""


Fact: TypeAlias = (
    Denied
    | Sent
    | NotSent
    | RetryDue
    | QueryDue
    | Restarted
    | Accepted
    | Refused
    | NotExecuted
    | OutcomeUnknown
    | Duplicate
    | Shown
    | Executed
    | LookedUp
    | CancelAsked
    | AmendAsked
    | CommandAccepted
    | CommandFailed
    | Resolved
    | Broken
    | Settled
    | Halted
)


@frozen(kw_only=True)
class SendCreate:
    """Hand the create to the gateway; deny it once `expires_ms` (our clock) has passed."""

    request: OrderRequest
    attempt: int
    expires_ms: Ms


@frozen(kw_only=True)
class WithdrawCreate:
    """Take the create back if it still waits in the gateway's queue."""

    attempt: int


@frozen(kw_only=True)
class SendCancel:
    """Cancel at the exchange."""


@frozen(kw_only=True)
class SendAmend:
    """Amend at the exchange."""

    amend: Amend


@frozen(kw_only=True)
class QueryOrder:
    """Look the order up: realtime, history and executions, every page."""

    why: str


@frozen(kw_only=True)
class StartTimer:
    """Tell me in `delay_ms`."""

    timer: Timer
    delay_ms: int


@frozen(kw_only=True)
class Account:
    """One new execution: the portfolio folds it."""

    execution: Execution
    position_idx: int
    reduce_only: bool


@frozen(kw_only=True)
class ConfirmPosition:
    """Tell me when the position agrees with the exchange's at or past `seq`."""

    seq: int


@frozen(kw_only=True)
class FreezeSymbol:
    """Only reduce-only orders on this symbol until a person looked (overfill)."""

    why: str


@frozen(kw_only=True)
class Decide:
    """
    What became of a command: the caller is told.

    Attributes:
        earlier: it is about a command before the one that is being taken.
    """

    command: Command
    taken: bool
    why: str
    earlier: bool = False


Effect: TypeAlias = (
    SendCreate
    | WithdrawCreate
    | SendCancel
    | SendAmend
    | QueryOrder
    | StartTimer
    | Account
    | ConfirmPosition
    | FreezeSymbol
    | Decide
)
