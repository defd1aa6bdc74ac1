"""What may be sent now: rate budgets and circuit breakers in one place, so that the gateway decides nothing."""

from __future__ import annotations

from attrs import frozen

from hean.core.calls import Group, Reply
from hean.core.limits import Budgets
from hean.core.types import Category, Ms


@frozen(kw_only=True)
class Wake:
    """Look again in `delay_ms`."""

    delay_ms: int


class Guard:
    """Budgets and breakers of one account; not thread-safe, the gateway owns it."""

    def __init__(self, budgets: Budgets) -> None:
        self._budgets = budgets

    def refuses(self, group: Group, now_ms: Ms) -> str:
        """Why a call of that group may not be sent at all now; empty when it may."""
        return ""

    def acquire(self, group: Group, category: Category, now_ms: Ms, *, over_http: bool) -> int:
        """Take one call from its budgets: 0 when taken, else how many milliseconds to wait."""
        return self._budgets.acquire(group, category, now_ms, over_http=over_http)

    def observe(self, reply: Reply, now_ms: Ms) -> tuple[Wake, ...]:
        """Learn from a reply."""
        self._budgets.learn(reply, now_ms)
        return ()

    def tick(self, now_ms: Ms) -> tuple[Wake, ...]:
        """Time has passed."""
        return ()
