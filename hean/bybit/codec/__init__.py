"""
Bybit's JSON to core values and back: the only package that knows a wire field's name.

A row stands or falls alone, and one that falls is kept as a `Quarantine` with the reason. A reply or frame that is odd
as a whole raises `CodecError` or comes back as `Poison`; nothing here raises anything else, whatever the bytes.
"""

from hean.bybit.codec.fields import CodecError
from hean.bybit.codec.frames import (
    AuthAck,
    Executions,
    Frame,
    Orders,
    Other,
    Poison,
    Pong,
    Positions,
    SubscribeAck,
    parse_frame,
)
from hean.bybit.codec.outgoing import body, dump_body, ping, query, socket_login, subscription, trade_request
from hean.bybit.codec.replies import Envelope, linked_to, read_budget, read_result, rest_envelope, trade_envelope
from hean.bybit.codec.rows import execution, instrument, order_row, position_row

__all__ = [
    "AuthAck",
    "CodecError",
    "Envelope",
    "Executions",
    "Frame",
    "Orders",
    "Other",
    "Poison",
    "Pong",
    "Positions",
    "SubscribeAck",
    "body",
    "dump_body",
    "execution",
    "instrument",
    "linked_to",
    "order_row",
    "parse_frame",
    "ping",
    "position_row",
    "query",
    "read_budget",
    "read_result",
    "rest_envelope",
    "socket_login",
    "subscription",
    "trade_envelope",
    "trade_request",
]
