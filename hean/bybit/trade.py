"""
Order entry over the trade WebSocket: frames out, replies in; no socket and no waiting.

The channel carries requests and acknowledgements only, and a reply proves what the same reply over REST would. Replies
are matched by request ID, so who sends must have written the ID down before the frame leaves.

Source: Bybit V5 docs, websocket/trade/guideline.
"""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen

from hean.bybit.auth import Credentials, redact
from hean.bybit.codec import (
    CodecError,
    Envelope,
    read_budget,
    read_result,
    socket_login,
    trade_envelope,
    trade_request,
)
from hean.bybit.codec.fields import show
from hean.bybit.codec.frames import FRAME_MAX_BYTES
from hean.bybit.retcodes import Channel, classify, unreadable
from hean.core.calls import (
    AmendOrder,
    Budget,
    Call,
    CancelOrder,
    CreateOrder,
    Group,
    Phase,
    Quarantine,
    Reply,
    Result,
    Verdict,
    VerdictKind,
    group_of,
)
from hean.core.types import Ms

Operation: TypeAlias = CreateOrder | AmendOrder | CancelOrder


@frozen(kw_only=True)
class TradeAuth:
    """The answer to a login; THROTTLED means too many logins of this account, AUTH a bad key or signature."""

    verdict: Verdict

    @property
    def success(self) -> bool:
        return self.verdict.kind is VerdictKind.ACCEPTED


@frozen(kw_only=True)
class TradePong:
    """The answer to a ping."""


@frozen(kw_only=True)
class TradeReply:
    """
    The answer to an operation, still without its call.

    Attributes:
        req_id: ours, echoed; "" where the exchange did not: it can be matched to nothing, and every request in flight
            is then still unanswered.
        op: the operation as the exchange names it.
        budget: what the rate headers inside the frame said.
        server_ms: the exchange's clock, None where it did not say.
        text: the frame, cut at a bound, for the trace.
    """

    req_id: str
    op: str
    envelope: Envelope
    budget: Budget
    server_ms: Ms | None
    text: str


@frozen(kw_only=True)
class TradePoison:
    """A frame that does not read."""

    quarantine: Quarantine


TradeFrame: TypeAlias = TradeAuth | TradePong | TradeReply | TradePoison


def auth_frame(credentials: Credentials, *, expires_ms: int, req_id: str) -> str:
    """The login frame, good until expires_ms on the exchange's clock; once per connection."""
    return socket_login(credentials, expires_ms=expires_ms, req_id=req_id, trade=True)


def operation_of(call: Call) -> str:
    """The channel's name for a call; empty for what only REST can do."""
    match call:
        case CreateOrder():
            return "order.create"
        case AmendOrder():
            return "order.amend"
        case CancelOrder():
            return "order.cancel"
        case _:
            return ""


def request_frame(call: Operation, *, req_id: str, timestamp_ms: int, recv_window_ms: int) -> str:
    """
    One order operation.

    Args:
        call: create, amend or cancel.
        req_id: at most 36 characters, never used before: the exchange refuses a second frame with the same.
        timestamp_ms: the exchange's clock; the channel's only check of freshness.
        recv_window_ms: how old the frame may be when it arrives.
    """
    return trade_request(
        call, op=operation_of(call), req_id=req_id, timestamp_ms=timestamp_ms, recv_window_ms=recv_window_ms
    )


def parse_reply(raw: bytes | str) -> TradeFrame:
    """What a frame of the trade WebSocket says; never raises."""
    if len(raw) > FRAME_MAX_BYTES:
        why = f"frame of {len(raw)} characters; expected at most {FRAME_MAX_BYTES}"
        return TradePoison(quarantine=Quarantine(why=why, raw=show(raw)))
    try:
        envelope = trade_envelope(raw)
    except CodecError as error:
        return TradePoison(quarantine=Quarantine(why=str(error), raw=show(raw)))
    match envelope.op:
        case "auth":
            return TradeAuth(verdict=_verdict(Group.SETTING, envelope))
        case "ping" | "pong":
            return TradePong()
        case _:
            return TradeReply(
                req_id=envelope.req_id,
                op=envelope.op,
                envelope=envelope,
                budget=read_budget(envelope.headers),
                server_ms=envelope.server_ms,
                text=show(raw),
            )


def reply_to(
    call: Operation, answer: TradeReply, *, sent_ms: Ms | None, received_ms: Ms, request_text: str = ""
) -> Reply:
    """
    The one reply to a call, from the frame that answers it.

    Args:
        call: what was asked under the answer's request ID.
        answer: the frame.
        sent_ms: our clock just before the bytes.
        received_ms: our clock when the frame was read.
        request_text: what was sent, for the trace.
    """
    group = group_of(call)
    verdict = _verdict(group, answer.envelope)
    result: Result = None
    if answer.op != operation_of(call):
        verdict = unreadable(verdict, group, f"expected an answer to {operation_of(call)}, was {answer.op!r}")
    elif verdict.kind is VerdictKind.ACCEPTED:
        try:
            result = read_result(call, answer.envelope)
        except CodecError as error:
            verdict = unreadable(verdict, group, str(error))
    return Reply(
        call=call,
        verdict=verdict,
        result=result,
        budget=answer.budget,
        sent_ms=sent_ms,
        received_ms=received_ms,
        server_ms=answer.server_ms,
        channel=Channel.TRADE.value,
        request_text=request_text,
        reply_text=answer.text,
    )


def unanswered(
    call: Operation, *, phase: Phase, why: str, sent_ms: Ms | None, received_ms: Ms, request_text: str = ""
) -> Reply:
    """
    The one reply to a call whose answer will not come: the connection died, the deadline passed, or it was never sent.

    Args:
        call: what was asked.
        phase: how far it got; only BEFORE_SEND proves that nothing happened.
        why: what the socket or the clock said.
        sent_ms: our clock just before the bytes; None when none left.
        received_ms: our clock when this was known.
        request_text: what was sent, for the trace.
    """
    return Reply(
        call=call,
        verdict=classify(channel=Channel.TRADE, group=group_of(call), phase=phase, ret_msg=why),
        sent_ms=sent_ms,
        received_ms=received_ms,
        channel=Channel.TRADE.value,
        request_text=request_text,
    )


def _verdict(group: Group, envelope: Envelope) -> Verdict:
    return classify(channel=Channel.TRADE, group=group, ret_code=envelope.ret_code, ret_msg=redact(envelope.ret_msg))
