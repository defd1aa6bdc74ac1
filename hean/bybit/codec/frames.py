"""
Frames of the private stream, as values.

Source: Bybit V5 docs, websocket/wss-authentication (acks, heartbeat) and websocket/private/*.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from attrs import frozen

from hean.bybit.codec.fields import CodecError, Row, load, show
from hean.bybit.codec.rows import each, execution, order_row, position_row
from hean.core.calls import Quarantine
from hean.core.types import Execution, Ms, OrderRow, PositionRow

FRAME_MAX_BYTES: Final = 4 * 1024 * 1024
"""A private frame is a few kilobytes; anything near this is not meant for us."""


@frozen(kw_only=True)
class AuthAck:
    """The answer to a login; `success` alone decides."""

    success: bool
    msg: str = ""


@frozen(kw_only=True)
class SubscribeAck:
    """The answer to a subscription, as a whole; `req_id` is ours, echoed."""

    success: bool
    req_id: str = ""
    msg: str = ""


@frozen(kw_only=True)
class Pong:
    """The answer to our ping, in any of its three shapes."""


@frozen(kw_only=True)
class Orders:
    """A push of the order topic; `created_ms` is the exchange's clock, 0 where it did not say."""

    topic: str
    rows: tuple[OrderRow, ...]
    quarantined: tuple[Quarantine, ...]
    created_ms: Ms


@frozen(kw_only=True)
class Executions:
    """A push of the execution topic, or of execution.fast."""

    topic: str
    rows: tuple[Execution, ...]
    quarantined: tuple[Quarantine, ...]
    created_ms: Ms


@frozen(kw_only=True)
class Positions:
    """A push of the position topic."""

    topic: str
    rows: tuple[PositionRow, ...]
    quarantined: tuple[Quarantine, ...]
    created_ms: Ms


@frozen(kw_only=True)
class Other:
    """A good frame that moves no order: the wallet, another topic, the answer to an unsubscription."""

    topic: str = ""
    op: str = ""


@frozen(kw_only=True)
class Poison:
    """A frame that does not read at all."""

    quarantine: Quarantine


Frame: TypeAlias = AuthAck | SubscribeAck | Pong | Orders | Executions | Positions | Other | Poison


def parse_frame(raw: bytes | str) -> Frame:
    """What a frame of the private stream says; never raises."""
    if len(raw) > FRAME_MAX_BYTES:
        why = f"frame of {len(raw)} characters; expected at most {FRAME_MAX_BYTES}"
        return Poison(quarantine=Quarantine(why=why, raw=show(raw)))
    try:
        frame = Row(load(raw), "frame")
        return _push(frame) if frame.has("topic") else _answer(frame)
    except CodecError as error:
        return Poison(quarantine=Quarantine(why=str(error), raw=show(raw)))


def _push(frame: Row) -> Frame:
    topic = frame.name("topic")
    kind, _, rest = topic.partition(".")
    if kind not in {"order", "execution", "position"}:
        return Other(topic=topic)
    raws = frame.rows("data")
    try:
        created_ms = Ms(frame.integer("creationTime"))
    except CodecError:
        # The rows carry their own times; an odd envelope is no reason to lose them.
        created_ms = Ms(0)
    if kind == "order":
        orders, bad = each(raws, order_row)
        return Orders(topic=topic, rows=orders, quarantined=bad, created_ms=created_ms)
    if kind == "position":
        positions, bad = each(raws, position_row)
        return Positions(topic=topic, rows=positions, quarantined=bad, created_ms=created_ms)
    fast = rest.split(".")[0] == "fast"
    executions, bad = each(raws, lambda raw: execution(raw, fast=fast))
    return Executions(topic=topic, rows=executions, quarantined=bad, created_ms=created_ms)


def _answer(frame: Row) -> Frame:
    op, msg = frame.text("op"), frame.text("ret_msg")
    # Third parties have seen other shapes of a refusal: only a plain true is a success.
    success = frame.raw("success") is True
    match op:
        case "auth":
            return AuthAck(success=success, msg=msg)
        case "subscribe":
            return SubscribeAck(success=success, req_id=frame.text("req_id"), msg=msg)
        case "ping" | "pong":
            return Pong()
        case "":
            raise CodecError("frame: expected a topic or an op, was neither")
        case _:
            return Other(op=op)
