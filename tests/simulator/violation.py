"""What a broken law is."""

from __future__ import annotations

from collections.abc import Callable


class Violation(AssertionError):
    """A law was broken."""

    def __init__(self, law: str, why: str) -> None:
        super().__init__(f"{law}: {why}")
        self.law = law
        self.why = why


class Unknowable(Exception):
    """A world in which nobody could do better: it ends here, and no law is broken."""


def require(truth: object, law: str, why: str | Callable[[], str]) -> None:
    """Break the law where it does not hold."""
    if not truth:
        raise Violation(law, why if isinstance(why, str) else why())
