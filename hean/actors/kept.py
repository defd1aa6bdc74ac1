"""Actors that many depend on: what they are told is handled, however often it takes."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

from attrs import frozen

from hean.actors.boundary import Boundary
from hean.actors.context import JOURNAL_RETRY_MS, Context
from hean.actors.ports import Mailbox
from hean.core import plain
from hean.core.types import Event, EventType
from hean.errors import JournalError
from hean.journal import Record

# A message that raises this often is put aside, so that its neighbours go on.
MAX_TRIES = 3


@frozen
class Again:
    """A message whose handling raised, told to the same actor once more."""

    message: Any
    tries: int


class KeptActor(Boundary):
    """
    A shared actor that loses no message.

    One that raises is told again, behind what has queued meanwhile, and after a few tries it is put aside: kept in the
    journal, published as an alarm. One that met a journal that fails is told again until the journal holds. So what a
    handler does before it raises must be harmless to repeat.
    """

    name: ClassVar[str]

    def __init__(self, mailbox: Mailbox, context: Context) -> None:
        super().__init__(mailbox)
        self._context = context
        self._numbers = itertools.count(1)
        self._tries = 0

    def on_receive(self, message: Any) -> Any:
        self._tries = 0
        if isinstance(message, Again):
            self._tries, message = message.tries, message.message
        return super().on_receive(message)

    def crashed(self, message: Any, error: BaseException) -> None:
        context, what = self._context, type(message).__name__
        if isinstance(error, JournalError):
            context.journal_failed(error, actor=self.name, what=what)
            key = ("kept", self.name, str(next(self._numbers)))
            context.ports.timers.after(JOURNAL_RETRY_MS, self.mailbox, Again(message, self._tries), key)
            return
        tries = self._tries + 1
        told = {"actor": self.name, "what": what, "error": repr(error), "tries": tries}
        context.observe("actor.crash", told)
        if tries < MAX_TRIES:
            self.mailbox.tell(Again(message, tries))
            return
        context.announce(
            Event(
                type=EventType.ERROR,
                at_ms=context.now_ms(),
                reason="poison",
                detail=f"{self.name}: {what} raised {error!r} {tries} times; put aside, see the journal",
            ),
            records=(Record(kind="poison", body=plain.dumps({**told, "message": repr(message)})),),
        )
