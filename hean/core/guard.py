"""
What may be sent now: rate budgets and circuit breakers in one place, so that the gateway decides nothing.

One breaker for each group of calls opens by its failures; one for everything, named "all", is halted by people, refused
keys, a drifting clock and a failing journal, and falls silent under an IP ban. What they want done comes back as
wishes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, assert_never

from attrs import frozen

from hean.core import breaker
from hean.core.breaker_facts import (
    Announce,
    AuthFailed,
    Banned,
    Breaker,
    BreakerEffect,
    BreakerFact,
    BreakerPolicy,
    BreakerState,
    CloseConnections,
    ProbeFailed,
    ProbeSucceeded,
    SendProbe,
    StartProbeTimer,
)
from hean.core.calls import Group, Reply, VerdictKind, group_of
from hean.core.limits import Budgets
from hean.core.types import Category, Ms

ALL = "all"


@frozen(kw_only=True)
class WakeBreaker:
    """Tell that breaker `ProbeDue` in `delay_ms`."""

    name: str
    delay_ms: int


@frozen(kw_only=True)
class Probe:
    """Ask the exchange for its time, past every breaker, and give the reply to `probed`."""

    name: str


@frozen(kw_only=True)
class GoSilent:
    """Close every connection; nothing is sent until `Speak`."""

    why: str


@frozen(kw_only=True)
class Speak:
    """The ban is over: connect again."""


@frozen(kw_only=True)
class Tell:
    """Journal, log and publish what became of a breaker. `halted` when everything is halted, or was until now."""

    name: str
    what: Announce
    halted: bool


Wish: TypeAlias = WakeBreaker | Probe | GoSilent | Speak | Tell


class Guard:
    """
    Budgets and breakers of one account; not thread-safe: whoever shares it locks it.

    Args:
        budgets: rate budgets.
        policy: the breakers' figures.
        unit: draws a number of [0, 1) for jitter.
    """

    def __init__(self, budgets: Budgets, policy: BreakerPolicy, unit: Callable[[], float]) -> None:
        self._budgets = budgets
        self._unit = unit
        self._breakers = {name: Breaker(name=name, policy=policy) for name in (ALL, *Group)}

    @property
    def banned(self) -> bool:
        """Nothing may be sent at all."""
        return self._breakers[ALL].banned_until_ms is not None

    @property
    def states(self) -> dict[str, BreakerState]:
        """The state of each breaker by name."""
        return {name: each.state for name, each in self._breakers.items()}

    def left(self, now_ms: Ms) -> dict[str, int]:
        """How many calls of each group may leave now, of linear and inverse together."""
        return {str(group): self._budgets.left(group, Category.LINEAR, now_ms) for group in Group}

    def refuses(self, group: Group) -> str:
        """Why a call of that group may not be sent at all now; empty when it may."""
        return breaker.refuses(self._breakers[ALL], group) or breaker.refuses(self._breakers[group], group)

    def acquire(self, group: Group, category: Category, now_ms: Ms, *, over_http: bool) -> int:
        """Take one call from its budgets: 0 when taken, else how many milliseconds to wait."""
        return self._budgets.acquire(group, category, now_ms, over_http=over_http)

    def observe(self, reply: Reply, now_ms: Ms) -> tuple[Wish, ...]:
        """Learn from a reply."""
        self._budgets.learn(reply, now_ms)
        fact = breaker.fact_of(reply)
        if fact is None:
            return ()
        # A ban and a refused key concern everything; anything else concerns the endpoint that answered.
        name = ALL if isinstance(fact, Banned | AuthFailed) else group_of(reply.call)
        return self.take(name, fact, now_ms)

    def probed(self, name: str, reply: Reply, now_ms: Ms) -> tuple[Wish, ...]:
        """Learn from the reply to a probe."""
        fact: BreakerFact | None = breaker.fact_of(reply)
        if not isinstance(fact, Banned):
            answered = reply.verdict.kind is VerdictKind.ACCEPTED
            fact = ProbeSucceeded() if answered else ProbeFailed(why=reply.verdict.ret_msg)
        return self.take(name, fact, now_ms)

    def take(self, name: str, fact: BreakerFact, now_ms: Ms) -> tuple[Wish, ...]:
        """Give one breaker a fact."""
        before = self._breakers[name]
        after, effects = breaker.apply(before, fact, now_ms, unit=self._unit())
        self._breakers[name] = after
        wishes = [self._wish(name, before, effect) for effect in effects]
        if before.banned_until_ms is not None and after.banned_until_ms is None:
            wishes.append(Speak())
        return tuple(wishes)

    def _wish(self, name: str, before: Breaker, effect: BreakerEffect) -> Wish:
        match effect:
            case StartProbeTimer():
                return WakeBreaker(name=name, delay_ms=effect.delay_ms)
            case SendProbe():
                return Probe(name=name)
            case CloseConnections():
                return GoSilent(why=effect.why)
            case Announce():
                halted = BreakerState.HALTED in {before.state, effect.state} and name == ALL
                return Tell(name=name, what=effect, halted=halted)
            case _:
                assert_never(effect)
