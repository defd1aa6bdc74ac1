"""
How long to wait before something that failed is tried again.

Delays grow exponentially and are jittered over their full range, so that many orders failing together do not return
together. Whether it is tried again at all, and what is looked up before, is the business of the machine that failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from hean.core.types import Ms

if TYPE_CHECKING:
    from hean.core.calls import Budget


@frozen(kw_only=True)
class RetryPolicy:
    """
    Figures of one kind of effort.

    Attributes:
        base_ms: upper end of the first delay; it doubles with each try.
        cap_ms: upper end of every delay.
        max_tries: sends in all, the first included; look-ups are not counted.
        throttle_min_ms: least wait after a refusal for frequency.
        throttle_max_ms: most wait for a window to open again, before jitter.
        throttle_jitter_ms: upper end of the jitter on top of that wait.
    """

    base_ms: int = 500
    cap_ms: int = 30_000
    max_tries: int = 4
    throttle_min_ms: int = 50
    throttle_max_ms: int = 2_000
    throttle_jitter_ms: int = 100


# Doubling beyond this exceeds any cap; it keeps the power small however often an effort failed.
_MAX_DOUBLINGS = 30


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
