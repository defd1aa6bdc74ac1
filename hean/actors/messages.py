"""What the actors tell each other: frozen values, so that any of them can be recorded and told again."""

from __future__ import annotations

from attrs import frozen

from hean.actors.ports import Mailbox
from hean.core.calls import Call, Quarantine, Reply
from hean.core.facts import CancelAsked
from hean.core.position import Agreement
from hean.core.record import Order
from hean.core.types import (
    Execution,
    Ms,
    OrderId,
    OrderLinkId,
    OrderRow,
    PositionRow,
    PositionSnapshot,
    Source,
)


@frozen(kw_only=True)
class Send:
    """
    To the gateway: perform this call and tell the `Answered` to `answer_to`.

    Attributes:
        tag: the sender's own name for it; comes back with the answer.
        expires_ms: our clock after which it is answered as not sent instead of being sent late; None for never.
    """

    tag: str
    call: Call
    answer_to: Mailbox
    expires_ms: Ms | None = None


@frozen(kw_only=True)
class Withdraw:
    """To the gateway: if the call of that tag and sender still waits, answer it as not sent."""

    tag: str
    answer_to: Mailbox


@frozen(kw_only=True)
class Answered:
    """From the gateway: the one reply to a `Send`."""

    tag: str
    reply: Reply


@frozen(kw_only=True)
class Recheck:
    """To an order: a complete list of open orders, asked for at `asked_ms`, does not show you. Look yourself up."""

    asked_ms: Ms


@frozen(kw_only=True)
class Adopt:
    """To the supervisor: an order whose intent is in the journal needs its actor. `resumed` after a restart."""

    order: Order
    resumed: bool


@frozen(kw_only=True)
class Crashed:
    """
    To the supervisor: an actor of that order stopped while it handled `message`.

    Attributes:
        actor_urn: which actor; by now another one may be in charge of the order.
        crashes: of the order's actors before it. The order may have retired in between, and its slot with it.
    """

    order_link_id: OrderLinkId
    actor_urn: str
    crashes: int
    message: object
    error: str
    journal: bool


@frozen(kw_only=True)
class Retire:
    """To the supervisor: that order is settled and has lingered; its actor is not needed."""

    order_link_id: OrderLinkId


@frozen(kw_only=True)
class Bound:
    """To the supervisor: that order's order_id became known; parked executions may be its."""

    order_link_id: OrderLinkId
    order_id: OrderId


@frozen(kw_only=True)
class Unowned:
    """To the supervisor: a row of the exchange that no tracked order owns."""

    row: OrderRow | Execution
    source: Source


@frozen(kw_only=True)
class Undelivered:
    """To the supervisor: that order retired while this was on its way."""

    order_link_id: OrderLinkId
    message: object


@frozen(kw_only=True)
class Fold:
    """
    To the portfolio: an execution that the journal has.

    Attributes:
        parked: it is so until what it did to its position is told.
    """

    execution: Execution
    position_idx: int
    correlation_id: str
    signal_id: str
    reduce_only: bool
    parked: bool = False


@frozen(kw_only=True)
class Confirm:
    """To the portfolio: tell `order_link_id` when the position agrees with the exchange's at or past `seq`."""

    order_link_id: OrderLinkId
    symbol_key: tuple[str, str, int]
    seq: int


@frozen(kw_only=True)
class PositionsSeen:
    """
    To the portfolio: the exchange's word on positions.

    Attributes:
        asked_ms: our clock when they were asked for; None for rows of the stream.
        answer_to: who is to be told the `Compared`; None for nobody.
    """

    rows: tuple[PositionRow, ...]
    source: Source
    asked_ms: Ms | None = None
    answer_to: Mailbox | None = None


@frozen(kw_only=True)
class Compared:
    """
    From the portfolio: its books against the rows of one `PositionsSeen`.

    Attributes:
        unlisted: our open positions of which there was no row.
    """

    asked_ms: Ms | None
    agreements: tuple[Agreement, ...]
    unlisted: tuple[PositionSnapshot, ...]


@frozen(kw_only=True)
class AdoptPosition:
    """To the portfolio: take the exchange's row as the balance up to its seq."""

    row: PositionRow
    why: str


@frozen(kw_only=True)
class Forget:
    """To the external actor: these foreign orders are not open any more."""

    order_ids: tuple[str, ...]


@frozen(kw_only=True)
class StreamChanged:
    """To the reconciler: the private stream became LIVE, or is not any more."""

    live: bool


@frozen(kw_only=True)
class CancelChild:
    """To the external actor: cancel an order that the exchange made of one of ours. Answered with a `Decision`."""

    order_id: str
    asked: CancelAsked


@frozen(kw_only=True)
class LookAgain:
    """To the reconciler: something did not read, or did not add up; compare soon."""

    why: str


@frozen(kw_only=True)
class ReconcileAsked:
    """To the reconciler: compare everything now, and tell the `Report` to `answer_to`."""

    answer_to: Mailbox


@frozen(kw_only=True)
class Spoiled:
    """
    To the supervisor: something that does not parse, to be kept raw, counted and told.

    Attributes:
        queried: it came with a query's answer, and may come again with the next.
    """

    quarantine: Quarantine
    where: str
    queried: bool = False


@frozen(kw_only=True)
class SpreadHalt:
    """To the supervisor: every order must know that creates may not be sent, or may again."""

    halted: bool
    why: str


@frozen(kw_only=True)
class FoldNoted:
    """To the supervisor: the journal's tables may take over what was noted."""


@frozen(kw_only=True)
class PayOwed:
    """To the supervisor: journal what was announced while the journal failed."""


@frozen(kw_only=True)
class Ping:
    """To any actor: answer True; proves that everything told before was handled."""
