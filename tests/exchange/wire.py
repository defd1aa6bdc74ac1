"""
What crosses the engine's border: requests in, deliveries out, and how Bybit spells numbers.

The engine never sends anything. It returns deliveries, each with the delay after which a shell (the socket server,
or a simulator with virtual time) has to hand it over. Deliveries with equal delay keep their order.
"""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import attrs
import orjson

Json = dict[str, Any]
Channel = Literal["http", "control", "private", "trade", "public"]

ZERO = Decimal(0)
EIGHT_PLACES = Decimal("0.00000001")
TWELVE_PLACES = Decimal("0.000000000001")
MOST_PLACES = 12
NUMBER = re.compile(r"-?\d+(\.\d+)?")


@attrs.frozen(kw_only=True)
class Request:
    """
    One HTTP request or one WebSocket text frame, as the bytes came in.

    Attributes:
        channel: ``http`` for /v5, ``control`` for /control, otherwise the WebSocket it came on.
        query: Raw query string, undecoded: the signature is over these characters.
        headers: Keys in lower case.
        body: Raw body, or the text of the frame.
        connection_id: Which WebSocket; 0 for HTTP.
    """

    channel: Channel
    method: str = "GET"
    path: str = ""
    query: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""
    connection_id: int = 0


@attrs.frozen
class Reply:
    """
    The answer to an HTTP request.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    delay_ms: int = 0


@attrs.frozen
class Hangup:
    """
    Close the HTTP connection of this request without an answer.
    """

    delay_ms: int = 0


@attrs.frozen
class Send:
    """
    A text frame for a WebSocket; ``topic`` is empty for acks and pongs.

    Attributes:
        binary: Sent as a binary frame, of which each character is one byte.
    """

    connection_id: int
    text: str
    delay_ms: int = 0
    topic: str = ""
    binary: bool = False


@attrs.frozen
class Pong:
    """
    An RFC 6455 pong.
    """

    connection_id: int
    payload: bytes


@attrs.frozen
class Close:
    """
    Close a WebSocket after what was sent to it before.
    """

    connection_id: int
    delay_ms: int = 0


@attrs.frozen
class Refuse:
    """
    Answer a WebSocket handshake with this HTTP status instead of upgrading.
    """

    status: int


Delivery = Reply | Hangup | Send | Pong | Close | Refuse


class Refusal(Exception):
    """
    The exchange says no: ``retCode`` and ``retMsg`` of the reply. Nothing was changed when it is raised.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


def plain(value: Decimal) -> str:
    """
    A decimal string without exponent and without trailing zeros, as the streams spell numbers.
    """
    if not value:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def rounded(value: Decimal) -> str:
    """
    As `plain`, at most eight decimals: for averages and ratios.
    """
    return plain(value.quantize(EIGHT_PLACES)) if value else "0"


def money(value: Decimal) -> str:
    """
    As `plain`, at most twelve decimals: for values and fees, which are exact but for inverse contracts.
    """
    if not value:
        return "0"
    text = format(value, "f")
    point = text.find(".")
    if point < 0:
        return text
    if len(text) - point > MOST_PLACES + 1:
        text = format(value.quantize(TWELVE_PLACES), "f")
    return text.rstrip("0").rstrip(".")


def trimmed(value: Decimal) -> Decimal:
    """
    An amount as it is booked: to twelve places, so that what is shown adds up to what is held.
    """
    return value.quantize(TWELVE_PLACES)


def number(value: object, name: str) -> Decimal:
    """
    A finite decimal from a JSON string.

    Raises:
        Refusal: 10001 when it is no string or no number.
    """
    if not isinstance(value, str) or not NUMBER.fullmatch(value):
        raise Refusal(10001, f"params error: {name} invalid")
    try:
        return Decimal(value)
    except InvalidOperation:
        raise Refusal(10001, f"params error: {name} invalid") from None


def dumps(value: object) -> str:
    """
    Compact JSON, as Bybit sends it.
    """
    return orjson.dumps(value).decode()


def envelope(result: object, clock_ms: int, code: int = 0, message: str = "OK", ext: object = None) -> Json:
    """
    The REST envelope. Source: Bybit V5 docs, guide.
    """
    return {
        "retCode": code,
        "retMsg": message,
        "result": result,
        "retExtInfo": {} if ext is None else ext,
        "time": clock_ms,
    }
