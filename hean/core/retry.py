"""
When a failed request is tried again, and when it is looked up instead.

Three rules. A write whose outcome is unknown is never sent again before proof: it is looked up, and looking up knows no
maximum, for giving up would be to assume an outcome. A re-send has a maximum of tries and one deadline for the whole
effort, so that a command is dropped rather than sent late. Delays grow exponentially and are jittered over their full
range, so that many orders failing together do not return together.
"""

from __future__ import annotations

from typing import TypeAlias, assert_never

from attrs import frozen

from hean.core.calls import Budget, Group, Phase, Verdict, VerdictKind
from hean.core.types import Ms


@frozen(kw_only=True)
class RetryPolicy:
    """
    Figures of one kind of effort.

    Attributes:
        base_ms: upper end of the first delay; it doubles with each try.
        cap_ms: upper end of every delay.
        max_tries: sends in all, the first included; look-ups are not counted.
        effort_ms: from the first send, no re-send is planned at or after this age.
        throttle_min_ms: least wait after a refusal for frequency.
        throttle_max_ms: most wait for a window to open again, before jitter.
        throttle_jitter_ms: upper end of the jitter on top of that wait.
    """

    base_ms: int = 500
    cap_ms: int = 30_000
    max_tries: int = 4
    effort_ms: int = 60_000
    throttle_min_ms: int = 50
    throttle_max_ms: int = 2_000
    throttle_jitter_ms: int = 100


@frozen(kw_only=True)
class RetryAt:
    """Send the same request again, freshly signed, at this time of our clock."""

    at_ms: Ms


@frozen(kw_only=True)
class LookUpFirst:
    """Ask the exchange what became of it at this time of our clock; only a proven absence allows a re-send."""

    at_ms: Ms
    why: str


@frozen(kw_only=True)
class GiveUp:
    """No further try: the verdict stands, for this reason."""

    why: str


Decision: TypeAlias = RetryAt | LookUpFirst | GiveUp

# Doubling beyond this exceeds any cap; it keeps the power small however often an effort failed.
_MAX_DOUBLINGS = 30

_IDEMPOTENT = frozenset({Group.QUERY, Group.PUBLIC, Group.SETTING})


def next_delay_ms(policy: RetryPolicy, tries: int, unit: float) -> int:
    """
    Exponential back-off with full jitter.

    Args:
        policy: base and cap.
        tries: how many were made, at least 1.
        unit: a random number, 0 <= unit < 1.

    Returns:
        A delay in milliseconds, 0 <= delay <= min(cap, base * 2 ** (tries - 1)).
    """
    ceiling = min(policy.cap_ms, policy.base_ms * 2 ** min(max(tries - 1, 0), _MAX_DOUBLINGS))
    return int(unit * ceiling)


def throttled_delay_ms(policy: RetryPolicy, budget: Budget, server_ms: Ms | None, unit: float) -> int:
    """
    Wait after a refusal for frequency: until the window opens again, clamped, plus jitter.

    Both times are the exchange's, so that our clock has no part in their difference. Where the reply named none, the
    longest wait is taken. Source: Bybit V5 docs, rate-limit: X-Bapi-Limit-Reset-Timestamp.

    Args:
        policy: clamp and jitter.
        budget: the reply's rate headers.
        server_ms: the exchange's clock when it answered.
        unit: a random number, 0 <= unit < 1.
    """
    if budget.reset_ms is None or server_ms is None:
        wait = policy.throttle_max_ms
    else:
        wait = min(max(budget.reset_ms - server_ms, policy.throttle_min_ms), policy.throttle_max_ms)
    return wait + int(unit * policy.throttle_jitter_ms)


def decide(
    policy: RetryPolicy,
    verdict: Verdict,
    group: Group,
    *,
    tries: int,
    first_ms: Ms,
    now_ms: Ms,
    unit: float,
    budget: Budget | None = None,
    server_ms: Ms | None = None,
) -> Decision:
    """
    Decide what follows a reply.

    Args:
        policy: figures of this effort.
        verdict: what the last reply proves.
        group: what was asked; a query or a setting may simply be repeated, the other writes may not.
        tries: sends so far, at least 1.
        first_ms: our clock at the first send.
        now_ms: our clock now.
        unit: a random number, 0 <= unit < 1.
        budget: rate headers of the reply, for THROTTLED.
        server_ms: the exchange's clock when it answered, for THROTTLED.
    """
    backed_off = Ms(now_ms + next_delay_ms(policy, tries, unit))
    match verdict.kind:
        case VerdictKind.ACCEPTED | VerdictKind.UNCHANGED:
            return GiveUp(why=f"{verdict.kind}: nothing is left to do")
        case VerdictKind.REFUSED | VerdictKind.AUTH | VerdictKind.LOCAL_BUG:
            return GiveUp(why=f"{verdict.kind}: the same request will be refused again")
        case VerdictKind.DUPLICATE | VerdictKind.GONE:
            # Neither tells in which state the order is; the query does.
            return LookUpFirst(at_ms=now_ms, why=str(verdict.kind))
        case VerdictKind.UNKNOWN:
            if verdict.phase is Phase.BEFORE_SEND or group in _IDEMPOTENT:
                return _again(policy, backed_off, tries=tries, first_ms=first_ms)
            return LookUpFirst(at_ms=backed_off, why="unknown outcome: nothing is sent twice before proof")
        case VerdictKind.NOT_EXECUTED:
            at_ms = backed_off
        case VerdictKind.THROTTLED:
            at_ms = Ms(now_ms + throttled_delay_ms(policy, budget or Budget(), server_ms, unit))
        case _:
            assert_never(verdict.kind)
    again = _again(policy, at_ms, tries=tries, first_ms=first_ms)
    if isinstance(again, RetryAt) and group is Group.CREATE and verdict.phase is not Phase.BEFORE_SEND:
        # The refusal speaks of this attempt only; one look-up covers every earlier one, and a create cannot be undone.
        return LookUpFirst(at_ms=again.at_ms, why=f"{verdict.kind}: look up before the re-send")
    return again


def _again(policy: RetryPolicy, at_ms: Ms, *, tries: int, first_ms: Ms) -> RetryAt | GiveUp:
    if tries >= policy.max_tries:
        return GiveUp(why=f"{tries} tries of {policy.max_tries} made")
    if at_ms - first_ms >= policy.effort_ms:
        return GiveUp(why=f"the next try would come {at_ms - first_ms} ms after the first, limit {policy.effort_ms}")
    return RetryAt(at_ms=at_ms)
