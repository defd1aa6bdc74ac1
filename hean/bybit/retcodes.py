"""
What an answer, or the lack of one, proves.

A verdict never claims more than the wire did. An unlisted code on a write is an unknown outcome: never "rejected",
never "retry". Before the first byte nothing can have happened; after it, only an answer proves anything.

Source: Bybit V5 docs, guide (HTTP codes), error, websocket/trade/guideline, read 2026-07-24. What the docs leave open
about execution is judged here, against the caller: when in doubt, UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from attrs import evolve

from hean.bybit.retcode_table import (
    AUTH,
    CODES,
    DUPLICATE,
    GONE,
    NOT_EXECUTED,
    REFUSED,
    THROTTLED,
    UNCHANGED,
    UNKNOWN,
)
from hean.core.calls import Group, Phase, Verdict, VerdictKind


class Channel(StrEnum):
    """Which way a call went: some codes mean different things on each."""

    REST = "rest"
    TRADE = "trade"


# Source: Bybit V5 docs, error: 10002, the timestamp is outside the window; the request was not executed.
TIMESTAMP_REFUSED: Final = 10002

# Trade WebSocket only; any other code means what it means over REST.
TRADE_CODES: Final[Mapping[int, tuple[VerdictKind, str]]] = MappingProxyType(
    {
        10001: (REFUSED, "parameter error"),
        10003: (THROTTLED, "too many WebSocket logins of one account (over REST it would be a bad key)"),
        10004: (AUTH, "login refused: bad signature"),
        10016: (UNKNOWN, "internal error or restart: the request may or may not have been executed"),
        10019: (NOT_EXECUTED, "node draining: this request was refused, earlier ones still complete"),
        10403: (THROTTLED, "more than 3000 requests per second from this address"),
        10404: (REFUSED, "unknown operation, or category not supported"),
        10429: (NOT_EXECUTED, "platform-wide protection"),
        20001: (REFUSED, "login repeated on a connection that is logged in"),
        20003: (THROTTLED, "too many requests on this connection"),
        # The new frame is refused, but the earlier one with this ID may have been executed, and the reply that names
        # the ID speaks for both.
        20006: (UNKNOWN, "request ID used twice: the earlier request may have been executed"),
    }
)

HTTP_STATUS: Final[Mapping[int, tuple[VerdictKind, str]]] = MappingProxyType(
    {
        400: (REFUSED, "malformed HTTP request"),
        401: (AUTH, "wrong key, or authentication headers missing"),
        403: (THROTTLED, "address banned for frequency, or caller in a blocked region, or a GET with a body"),
        404: (REFUSED, "no such path, or category not possible for this account"),
        429: (NOT_EXECUTED, "platform-wide protection"),
    }
)

_NEXT: Final[Mapping[VerdictKind, str]] = MappingProxyType(
    {
        VerdictKind.ACCEPTED: "wait for the order stream",
        VerdictKind.REFUSED: "tell the caller; sending it again is pointless",
        VerdictKind.DUPLICATE: "query by order_link_id and adopt the order",
        VerdictKind.GONE: "query by order_link_id; do not assume an end",
        VerdictKind.UNCHANGED: "go on: it has this value already",
        VerdictKind.NOT_EXECUTED: "look up, then send again with the same order_link_id",
        VerdictKind.THROTTLED: "wait for the window, then send again with the same order_link_id",
        VerdictKind.UNKNOWN: "query by order_link_id; never send again before proof",
        VerdictKind.AUTH: "stop trading and call a person; orders may remain open",
        VerdictKind.LOCAL_BUG: "report it; nothing was sent",
    }
)
_NEXT_OF_QUERY: Final[Mapping[VerdictKind, str]] = MappingProxyType(
    {
        VerdictKind.ACCEPTED: "use it",
        VerdictKind.NOT_EXECUTED: "ask again; a failed query proves no absence",
        VerdictKind.THROTTLED: "wait for the window, then ask again",
        VerdictKind.UNKNOWN: "ask again; a failed query proves no absence",
    }
)
# What differs from the rule of its kind.
_NEXT_BY_CODE: Final[Mapping[int, str]] = MappingProxyType(
    {
        10002: "measure the clock offset, then send again with a fresh timestamp",
        10019: "open a new connection, then send again with the same order_link_id",
        403: "close every HTTP connection and stay silent for ten minutes, then probe once",
    }
)

HOPELESS: Final[frozenset[int]] = frozenset(
    {
        # The key, its rights and its addresses.
        -2015, 10003, 10004, 10005, 10007, 10010, 33004,
        # The account as a whole: banned, cooling off, in another mode, not unified, not allowed to trade at all.
        10008, 10027, 10028, 100028, 110018, 110067, 110069, 110088, 110124, 500011, 3100197,
        # Where the caller sits, and what the law there says.
        10009, 10024, 170348,
    }
)  # fmt: skip
"""AUTH codes after which no call will do better; the others deny one product, and concern its orders alone."""
_DENIED_PRODUCT: Final = "tell the caller: this account may not trade this product; others are not concerned"

# A kind that makes no sense as an answer to a group proves nothing about the call.
_FITS: Final[Mapping[VerdictKind, frozenset[Group]]] = MappingProxyType(
    {
        DUPLICATE: frozenset({Group.CREATE, Group.QUERY}),
        GONE: frozenset({Group.AMEND, Group.CANCEL, Group.QUERY}),
        UNCHANGED: frozenset({Group.AMEND, Group.SETTING}),
    }
)


def classify(
    *,
    channel: Channel,
    group: Group,
    phase: Phase = Phase.ANSWERED,
    ret_code: int | None = None,
    http_status: int | None = None,
    ret_msg: str = "",
) -> Verdict:
    """
    The verdict on one call.

    Args:
        channel: which way the call went.
        group: what kind of call it was.
        phase: how far it got; anything but ANSWERED decides alone.
        ret_code: Bybit's code; None where no readable answer held one.
        http_status: REST only; anything but 200 outweighs a code that claims success.
        ret_msg: the text on the wire, or what the socket said.
    """
    kind, hint, listed = _judge(channel, group, phase, ret_code, http_status)
    if group not in _FITS.get(kind, (group,)):
        kind, hint = UNKNOWN, f"{hint}; no answer to a {group.value}"
    odd_status = http_status if http_status not in {None, 200} else None
    code = ret_code if odd_status is None else odd_status
    steps = {**_NEXT, **_NEXT_OF_QUERY} if group in {Group.QUERY, Group.PUBLIC} else _NEXT
    special = _NEXT_BY_CODE.get(code, "") if code is not None and kind in {NOT_EXECUTED, THROTTLED} else ""
    hopeless = kind is AUTH and (odd_status is not None or ret_code in HOPELESS)
    if kind is AUTH and not hopeless:
        special = _DENIED_PRODUCT
    return Verdict(
        kind=kind,
        phase=phase,
        ret_code=ret_code,
        http_status=http_status,
        ret_msg=ret_msg,
        hint=hint,
        next_step=special or steps[kind],
        listed=listed,
        hopeless=hopeless,
    )


def unreadable(verdict: Verdict, group: Group, why: str) -> Verdict:
    """The verdict on an answer that claims success with a result that does not read: it proves nothing."""
    unknown = classify(channel=Channel.REST, group=group, phase=Phase.AFTER_SEND)
    return evolve(verdict, kind=unknown.kind, ret_msg=why, hint="the result does not read", next_step=unknown.next_step)


def local_bug(ret_msg: str) -> Verdict:
    """The verdict on a call that could not even be written down: nothing was sent."""
    return Verdict(
        kind=VerdictKind.LOCAL_BUG,
        phase=Phase.BEFORE_SEND,
        ret_msg=ret_msg,
        hint="the request could not be built",
        next_step=_NEXT[VerdictKind.LOCAL_BUG],
    )


def _judge(
    channel: Channel, group: Group, phase: Phase, ret_code: int | None, http_status: int | None
) -> tuple[VerdictKind, str, bool]:
    match phase:
        case Phase.BEFORE_SEND:
            return NOT_EXECUTED, "no byte left this machine", True
        case Phase.SENDING:
            return UNKNOWN, "the connection failed while the request was leaving", True
        case Phase.AFTER_SEND:
            return UNKNOWN, "the request left and no whole answer came", True
        case Phase.ANSWERED:
            pass
    listed = _listed(channel, ret_code) if ret_code is not None else None
    if http_status not in {None, 200}:
        known = HTTP_STATUS.get(http_status or 0)
        if known is None:
            return UNKNOWN, f"HTTP {http_status} says nothing about execution", (http_status or 0) >= 500
        if listed is not None and listed[0] is UNKNOWN:
            return UNKNOWN, listed[1], True
        return *known, True
    if ret_code is None:
        return UNKNOWN, "the answer holds no return code", True
    if listed is None:
        # A setting changes nothing that could be lost, and can be read or set again by hand.
        kind = REFUSED if group is Group.SETTING else UNKNOWN
        return kind, f"return code {ret_code} is not in the table", False
    return *listed, True


def _listed(channel: Channel, ret_code: int) -> tuple[VerdictKind, str] | None:
    if channel is Channel.TRADE and ret_code in TRADE_CODES:
        return TRADE_CODES[ret_code]
    return CODES.get(ret_code)
