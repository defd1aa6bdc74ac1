"""
From a reply of the exchange to the fact that the order machine takes.

The verdict was decided by the table of codes; what is decided here is only which fact of the order each verdict of each
call is. A kind that makes no sense for a call is an unknown outcome: never "rejected", never "retry".
"""

from __future__ import annotations

from hean.core.calls import Ack, Phase, Reply, Verdict, VerdictKind
from hean.core.facts import (
    Accepted,
    CommandAccepted,
    CommandFailed,
    Duplicate,
    Fact,
    NotExecuted,
    NotSent,
    OutcomeUnknown,
    Refused,
)
from hean.core.types import Command, Ms


def of_create(reply: Reply, attempt: int, offset_ms: int = 0) -> Fact:
    """
    The fact that a reply to the create of `attempt` is.

    Args:
        reply: to a CreateOrder.
        attempt: the number of the create that it answers.
        offset_ms: the exchange's clock minus ours, to read the reset header in our time.
    """
    verdict = reply.verdict
    match verdict.kind:
        case VerdictKind.ACCEPTED:
            ack = reply.result
            return Accepted(attempt=attempt, order_id=ack.order_id if isinstance(ack, Ack) else None)
        case VerdictKind.DUPLICATE:
            return Duplicate(attempt=attempt, ret_code=verdict.ret_code)
        case VerdictKind.NOT_EXECUTED if verdict.phase is Phase.BEFORE_SEND:
            return NotSent(attempt=attempt, why=said(verdict))
        case VerdictKind.NOT_EXECUTED | VerdictKind.THROTTLED:
            reset_ms = reply.budget.reset_ms
            return NotExecuted(
                attempt=attempt,
                why=said(verdict),
                reset_ms=None if reset_ms is None else Ms(reset_ms - offset_ms),
            )
        case VerdictKind.REFUSED | VerdictKind.AUTH | VerdictKind.LOCAL_BUG:
            return Refused(attempt=attempt, ret_code=verdict.ret_code, ret_msg=verdict.ret_msg, hint=verdict.hint)
        case _:
            return OutcomeUnknown(attempt=attempt, why=said(verdict))


def of_command(reply: Reply, command: Command, wait_ms: int = 0) -> Fact:
    """
    The fact that a reply to a cancel or an amend is.

    Args:
        reply: to a CancelOrder or an AmendOrder.
        command: which of the two.
        wait_ms: until the exchange may be asked what became of it; 0 unless it refused for frequency.
    """
    verdict = reply.verdict
    if verdict.kind in {VerdictKind.ACCEPTED, VerdictKind.UNCHANGED}:
        return CommandAccepted(command=command)
    return CommandFailed(command=command, why=said(verdict), ret_code=verdict.ret_code, retry_ms=wait_ms)


def said(verdict: Verdict) -> str:
    """What came back, in a few words."""
    code = f"{verdict.ret_code} " if verdict.ret_code is not None else ""
    status = f"HTTP {verdict.http_status} " if verdict.http_status not in {None, 200} else ""
    where = "" if verdict.phase is Phase.ANSWERED else f" ({verdict.phase})"
    return f"{status}{code}{verdict.ret_msg}{where}".strip()
