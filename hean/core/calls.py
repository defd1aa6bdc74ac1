"""
What is asked of the exchange, and what comes back.

Protocol-free, so that REST, the trade WebSocket and a simulated network are one port.

A call goes in, exactly one `Reply` comes out. A reply never claims more than the wire did: `verdict.kind` is UNKNOWN
whenever nobody can say whether the exchange acted.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from attrs import frozen

from hean.core.types import (
    Amend,
    Category,
    Execution,
    Instrument,
    Ms,
    OrderId,
    OrderLinkId,
    OrderRequest,
    OrderRow,
    PositionRow,
)


class VerdictKind(StrEnum):
    """What a reply proves. Anything that is not in the table of codes is UNKNOWN for a write."""

    ACCEPTED = "accepted"  # taken for processing; for a query: complete and good
    REFUSED = "refused"  # permanent for this request; not executed
    DUPLICATE = "duplicate"  # the order_link_id is known to the exchange: proof that the order exists
    GONE = "gone"  # no such order, or too late: proves neither life nor death
    UNCHANGED = "unchanged"  # the setting had this value already
    NOT_EXECUTED = "not_executed"  # refused before matching; may pass later
    THROTTLED = "throttled"  # refused for frequency; not executed
    UNKNOWN = "unknown"  # may or may not have happened
    AUTH = "auth"  # key, permission, account or region; not executed
    LOCAL_BUG = "local_bug"  # we sent something malformed; not executed


class Phase(StrEnum):
    """How far a request got. Only BEFORE_SEND proves that the exchange never saw it."""

    BEFORE_SEND = "before_send"  # connecting failed, or it never left the queue
    SENDING = "sending"  # some bytes may have left
    AFTER_SEND = "after_send"  # all bytes left, no complete answer
    ANSWERED = "answered"


class Group(StrEnum):
    """Budget and breaker group of a call."""

    CREATE = "create"
    AMEND = "amend"
    CANCEL = "cancel"
    QUERY = "query"
    SETTING = "setting"
    PUBLIC = "public"


@frozen(kw_only=True)
class CreateOrder:
    """Place this order. The only call whose repetition could place twice: never sent again before proof."""

    request: OrderRequest


@frozen(kw_only=True)
class AmendOrder:
    """Change an open order."""

    category: Category
    symbol: str
    order_link_id: OrderLinkId
    amend: Amend
    order_id: OrderId | None = None


@frozen(kw_only=True)
class CancelOrder:
    """Cancel one order, by order_id where we know it, else by link ID. `order_filter` is spot's."""

    category: Category
    symbol: str
    order_link_id: OrderLinkId
    order_id: OrderId | None = None
    order_filter: str = ""


@frozen(kw_only=True)
class CancelAll:
    """
    Cancel everything of one symbol or of one settle coin.

    `order_filter` is spot's, which without one leaves conditional and TP/SL orders alive: one call per filter.
    """

    category: Category
    symbol: str = ""
    settle_coin: str = ""
    order_filter: str = ""


@frozen(kw_only=True)
class QueryOrders:
    """
    One page of orders: `history=False` is order/realtime, True order/history.

    Attributes:
        open_only: realtime: True open orders, False the recently closed ones (ignored when asking by ID).
    """

    category: Category
    history: bool = False
    symbol: str = ""
    settle_coin: str = ""
    order_link_id: str = ""
    order_id: str = ""
    open_only: bool = True
    start_ms: Ms | None = None
    end_ms: Ms | None = None
    cursor: str = ""
    limit: int = 50


@frozen(kw_only=True)
class QueryExecutions:
    """One page of executions, newest first; windows of at most seven days."""

    category: Category
    symbol: str = ""
    order_link_id: str = ""
    order_id: str = ""
    start_ms: Ms | None = None
    end_ms: Ms | None = None
    cursor: str = ""
    limit: int = 100


@frozen(kw_only=True)
class QueryPositions:
    """One page of positions. By settle coin only open ones come back; by symbol a flat one does too."""

    category: Category
    symbol: str = ""
    settle_coin: str = ""
    cursor: str = ""
    limit: int = 200


@frozen(kw_only=True)
class QueryInstruments:
    """One page of instruments (public)."""

    category: Category
    symbol: str = ""
    cursor: str = ""
    limit: int = 1000


@frozen(kw_only=True)
class QueryTime:
    """The exchange's clock (public)."""


@frozen(kw_only=True)
class QueryKey:
    """What our API key is and may do."""


@frozen(kw_only=True)
class QueryAccount:
    """The account's margin mode and unified status."""


@frozen(kw_only=True)
class SetLeverage:
    """Leverage of one symbol, both sides."""

    category: Category
    symbol: str
    leverage: str


@frozen(kw_only=True)
class SwitchMode:
    """Position mode of one symbol: 0 one-way, 3 hedge."""

    category: Category
    symbol: str
    mode: int


@frozen(kw_only=True)
class PreCheck:
    """Would the exchange take this order? Sends nothing to the book."""

    request: OrderRequest


Write: TypeAlias = CreateOrder | AmendOrder | CancelOrder | CancelAll | SetLeverage | SwitchMode
Query: TypeAlias = (
    QueryOrders | QueryExecutions | QueryPositions | QueryInstruments | QueryTime | QueryKey | QueryAccount | PreCheck
)
Call: TypeAlias = Write | Query


def group_of(call: Call) -> Group:
    """Budget and breaker group of a call."""
    match call:
        case CreateOrder():
            return Group.CREATE
        case AmendOrder():
            return Group.AMEND
        case CancelOrder() | CancelAll():
            return Group.CANCEL
        case SetLeverage() | SwitchMode():
            return Group.SETTING
        case QueryInstruments() | QueryTime():
            return Group.PUBLIC
        case _:
            return Group.QUERY


def category_of(call: Call) -> Category:
    """Whose budget a call draws on; linear where it does not say."""
    match call:
        case CreateOrder(request=request) | PreCheck(request=request):
            return request.category
        case QueryTime() | QueryKey() | QueryAccount():
            return Category.LINEAR
        case _:
            return call.category


@frozen(kw_only=True)
class Verdict:
    """
    What a reply proves, why, and what to do next.

    Attributes:
        ret_code: Bybit's code; None where none came.
        ret_msg: text on the wire, or what the socket said.
        hint: for people.
        next_step: what the router does about it.
        listed: False for a code that the table does not know.
        hopeless: AUTH only: the key, the address or the whole account is refused, and no other call will do better.
    """

    kind: VerdictKind
    phase: Phase = Phase.ANSWERED
    ret_code: int | None = None
    http_status: int | None = None
    ret_msg: str = ""
    hint: str = ""
    next_step: str = ""
    listed: bool = True
    hopeless: bool = False


@frozen(kw_only=True)
class Ack:
    """A write was taken for processing."""

    order_id: OrderId | None
    order_link_id: OrderLinkId | None


@frozen(kw_only=True)
class Quarantine:
    """A row or frame that does not parse: kept raw, counted, told; its neighbours go on."""

    why: str
    raw: str


@frozen(kw_only=True)
class Page:
    """Rows of one query page. `next_cursor` "" means that this was the last page."""

    orders: tuple[OrderRow, ...] = ()
    executions: tuple[Execution, ...] = ()
    positions: tuple[PositionRow, ...] = ()
    instruments: tuple[Instrument, ...] = ()
    next_cursor: str = ""
    quarantined: tuple[Quarantine, ...] = ()


@frozen(kw_only=True)
class KeyInfo:
    """What our API key is. `uid` names the account whose truth one journal holds."""

    uid: str
    read_only: bool
    permissions: tuple[str, ...]
    ips: tuple[str, ...] = ()
    expires_ms: Ms | None = None


@frozen(kw_only=True)
class AccountInfo:
    """unified_margin_status: 1 classic (refused), 3-6 unified."""

    unified_margin_status: int
    margin_mode: str = ""


@frozen(kw_only=True)
class ServerTime:
    """The exchange's clock when it answered."""

    server_ms: Ms


@frozen(kw_only=True)
class Cancelled:
    """IDs that a cancel-all took in hand."""

    order_ids: tuple[OrderId, ...]


@frozen(kw_only=True)
class PreChecked:
    """The exchange's pre-check passed; margin rates before and after, times 1e4."""

    detail: str


Result: TypeAlias = Ack | Page | KeyInfo | AccountInfo | ServerTime | Cancelled | PreChecked | None


@frozen(kw_only=True)
class Budget:
    """What the reply's rate headers said. Source: Bybit V5 docs, rate-limit."""

    limit: int | None = None
    remaining: int | None = None
    reset_ms: Ms | None = None


@frozen(kw_only=True)
class Reply:
    """
    The one answer to a call.

    Attributes:
        result: typed for the call when the verdict is ACCEPTED, else None.
        sent_ms: our clock just before the bytes; None when none left.
        received_ms: our clock when the answer, or its absence, was known.
        server_ms: the envelope's `time`, None where none came.
        channel: "rest" or "trade"; "" for a call that we did not even try to send.
        request_text: what was sent, secrets redacted, for the trace.
        reply_text: what came back, cut at a bound, for the trace.
    """

    call: Call
    verdict: Verdict
    result: Result = None
    budget: Budget = Budget()
    sent_ms: Ms | None = None
    received_ms: Ms = Ms(0)
    server_ms: Ms | None = None
    channel: str = "rest"
    request_text: str = ""
    reply_text: str = ""
