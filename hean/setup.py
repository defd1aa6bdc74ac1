"""
What is asked of the exchange before anything is started: its clock, our key, the instruments, the opening balance.

Blocking and in the caller's thread; each question is asked until it is answered, refused for good, or the deadline
passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from attrs import frozen

from hean.actors.books import opening_balance
from hean.actors.clock import ExchangeClock
from hean.core.calls import (
    Call,
    KeyInfo,
    Page,
    QueryInstruments,
    QueryKey,
    QueryPositions,
    QueryTime,
    Reply,
    VerdictKind,
)
from hean.core.catchup import SCOPES
from hean.core.replies import said
from hean.core.types import Category, Instrument, Ms, PositionRow
from hean.errors import AuthRefused, RemoteError
from hean.journal import Batch, Journal
from hean.journal.marks import FIRST_MARK

"""Exchange time of a journal's first start; nothing older is ours."""
_PAUSE_S = 0.2

Row = TypeVar("Row")


class Client(Protocol):
    """Performs one call at a time, blocking. Never raises: every outcome is a reply."""

    def perform(self, call: Call, *, timeout_s: float) -> Reply: ...


@frozen(kw_only=True)
class Setup:
    """
    What was learnt.

    Attributes:
        uid: the account.
        instruments: what orders must fit.
        first_ms: exchange time of this journal's first start.
        adopted: positions taken as opening balance just now; none but at the first start.
    """

    uid: str
    instruments: dict[tuple[Category, str], Instrument]
    first_ms: Ms
    adopted: tuple[PositionRow, ...]


def prepare(
    client: Client,
    *,
    journal: Journal,
    exchange_clock: ExchangeClock,
    now_ms: Callable[[], Ms],
    where: str,
    timeout_s: float,
    deadline_ms: int,
    pause: Callable[[float], object],
) -> Setup:
    """
    Ask all that must be known before the start.

    Args:
        client: performs the questions.
        journal: is bound to the account, and gets the opening balance at its first start.
        exchange_clock: learns the offset.
        now_ms: our clock.
        where: the address, for errors.
        timeout_s: for one question.
        deadline_ms: on our clock, for all of them.
        pause: lets so many seconds pass, on the caller's thread.

    Raises:
        AuthRefused: the exchange does not take the key, or it is read-only.
        RemoteError: the exchange cannot be reached by the deadline, or refused a question.
        JournalError: the journal belongs to another account.
    """
    asker = Asker(client, exchange_clock, where, timeout_s, now_ms=now_ms, deadline_ms=deadline_ms, pause=pause)
    exchange_clock.observe(asker.insist(QueryTime()))
    key = asker.insist(QueryKey()).result
    assert isinstance(key, KeyInfo)
    if key.read_only:
        raise AuthRefused(f"{where}: the API key is read-only; make a testnet key that may trade")
    journal.bind_uid(key.uid)
    instruments = [
        row
        for category in dict.fromkeys(scope.category for scope in SCOPES)
        for row in asker.pages(
            lambda cursor, category=category: QueryInstruments(category=category, cursor=cursor),  # type: ignore[misc]
            lambda page: page.instruments,
        )
    ]
    mark = journal.mark(FIRST_MARK)
    adopted: tuple[PositionRow, ...] = ()
    if mark is None:
        first_ms = Ms(exchange_clock.now_ms())
        adopted = tuple(row for row in _positions(asker) if row.size > 0)
        journal.commit(
            Batch(
                at_ms=now_ms(),
                positions=tuple(opening_balance(row) for row in adopted),
                marks={FIRST_MARK: str(first_ms)},
            )
        )
    else:
        first_ms = Ms(int(mark))
    return Setup(
        uid=key.uid,
        instruments={(row.category, row.symbol): row for row in instruments},
        first_ms=first_ms,
        adopted=adopted,
    )


def _positions(asker: Asker) -> list[PositionRow]:
    return [
        row
        for scope in SCOPES
        for row in asker.pages(
            lambda cursor, scope=scope: QueryPositions(  # type: ignore[misc]
                category=scope.category, settle_coin=scope.settle_coin, cursor=cursor
            ),
            lambda page: page.positions,
        )
    ]


class Asker:
    """
    Asks on the caller's thread until it is answered.

    Args:
        client: performs the questions.
        exchange_clock: learns the offset where the exchange refuses our time.
        where: the address, for errors.
        timeout_s: for one question.
        now_ms: our clock.
        deadline_ms: on our clock, for all questions.
        pause: lets so many seconds pass.
    """

    def __init__(
        self,
        client: Client,
        exchange_clock: ExchangeClock,
        where: str,
        timeout_s: float,
        *,
        now_ms: Callable[[], Ms],
        deadline_ms: int,
        pause: Callable[[float], object],
    ) -> None:
        self._client = client
        self._exchange_clock = exchange_clock
        self._where = where
        self._timeout_s = timeout_s
        self._now_ms = now_ms
        self._deadline_ms = deadline_ms
        self._pause = pause

    def insist(self, call: Call) -> Reply:
        """
        Ask until it is answered, refused for good, or the deadline passes.

        Raises:
            AuthRefused: the exchange does not take the key.
            RemoteError: it refused the question, or was not reached by the deadline.
        """
        while True:
            left_s = (self._deadline_ms - self._now_ms()) / 1000
            reply = self._client.perform(call, timeout_s=max(min(left_s, self._timeout_s), 0.05))
            verdict = reply.verdict
            if verdict.kind is VerdictKind.ACCEPTED:
                return reply
            what = f"{self._where}: {type(call).__name__}: {said(verdict)}. {verdict.hint}"
            if verdict.kind is VerdictKind.AUTH:
                raise AuthRefused(what, ret_code=verdict.ret_code, ret_msg=verdict.ret_msg, hint=verdict.hint)
            late = self._now_ms() + _PAUSE_S * 1000 >= self._deadline_ms
            if verdict.kind is VerdictKind.REFUSED or late:
                raise RemoteError(what, ret_code=verdict.ret_code, ret_msg=verdict.ret_msg, hint=verdict.hint)
            self._pause(_PAUSE_S)
            if not isinstance(call, QueryTime):
                # 10002, our clock is off: the exchange's own time mends it.
                self._exchange_clock.observe(self._client.perform(QueryTime(), timeout_s=self._timeout_s))

    def pages(self, ask: Callable[[str], Call], rows: Callable[[Page], tuple[Row, ...]]) -> list[Row]:
        """
        All rows of all pages.

        Raises:
            AuthRefused: the exchange does not take the key.
            RemoteError: it refused a question, or was not reached by the deadline.
        """
        found: list[Row] = []
        cursor = ""
        while True:
            page = self.insist(ask(cursor)).result
            assert isinstance(page, Page)
            found += rows(page)
            if not page.next_cursor or not rows(page) or page.next_cursor == cursor:
                return found
            cursor = page.next_cursor
