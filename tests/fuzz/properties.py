"""What holds whatever comes over the wire; run by the tests for some examples and by `scripts/fuzz.py` for many."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from hean.bybit.codec import CodecError, parse_frame, read_result, rest_envelope, trade_envelope
from hean.core.calls import (
    AmendOrder,
    Call,
    CancelAll,
    CancelOrder,
    QueryAccount,
    QueryExecutions,
    QueryInstruments,
    QueryKey,
    QueryOrders,
    QueryPositions,
    QueryTime,
    SetLeverage,
    SwitchMode,
)
from hean.core.types import Amend, Category, OrderLinkId
from tests.bybit.samples import private_frames
from tests.fuzz.frames import NOISE, VALUES, changed, cut, encoded, hurt
from tests.fuzz.world import Told, assert_sane, rows_of

LINEAR = Category.LINEAR
CALLS: list[Call] = [
    CancelOrder(category=LINEAR, symbol="BTCUSDT", order_link_id=OrderLinkId("a")),
    AmendOrder(category=LINEAR, symbol="BTCUSDT", order_link_id=OrderLinkId("a"), amend=Amend()),
    CancelAll(category=LINEAR),
    QueryOrders(category=LINEAR),
    QueryExecutions(category=LINEAR),
    QueryPositions(category=LINEAR),
    QueryInstruments(category=LINEAR),
    QueryTime(),
    QueryKey(),
    QueryAccount(),
    SetLeverage(category=LINEAR, symbol="BTCUSDT", leverage="1"),
    SwitchMode(category=LINEAR, symbol="BTCUSDT", mode=0),
]
Run = Callable[[], None]


def documented_frames(examples: int, number: int) -> Run:
    """Any bytes made of a documented frame parse to a frame whose rows are sane."""
    samples = [raw.encode() for _, raw in private_frames()]

    @_many(examples, number)
    @given(raw=NOISE | st.sampled_from(samples).flatmap(cut))
    def run(raw: bytes) -> None:
        for row in rows_of(parse_frame(raw)):
            assert_sane(row)

    return run


def replies(examples: int, number: int) -> Run:
    """Any bytes as a reply read, or raise the codec's own error."""
    good = encoded({"retCode": 0, "retMsg": "OK", "result": {"list": [{}], "nextPageCursor": ""}, "time": 1})
    wire = NOISE | cut(good) | VALUES.map(lambda value: encoded({"retCode": 0, "result": value}))

    @_many(examples, number)
    @given(call=st.sampled_from(CALLS), raw=wire)
    def run(call: Call, raw: bytes) -> None:
        with contextlib.suppress(CodecError):
            trade_envelope(raw)
        with contextlib.suppress(CodecError):
            read_result(call, rest_envelope(raw))

    return run


def pages(told: Told, examples: int, number: int) -> Run:
    """Any change of a page's rows reads, sets rows aside, or raises the codec's own error."""
    rows = {type(call): told.frames[index]["data"][0] for index, call in enumerate(CALLS[3:6])}

    @_many(examples, number)
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(CALLS[3:6]))
        row = data.draw(changed(rows[type(call)]))
        envelope: Any = {"retCode": 0, "result": {"category": "linear", "list": [row], "nextPageCursor": "c"}}
        with contextlib.suppress(CodecError):
            read_result(call, rest_envelope(encoded(envelope)))

    return run


def stream(told: Told, examples: int, number: int) -> Run:
    """No frame changes anything where none of its rows is valid and new."""

    @_many(examples, number)
    @given(raw=hurt(told.frames))
    def run(raw: bytes) -> None:
        told.tell(raw)

    return run


def _many(examples: int, number: int) -> Callable[[Callable[..., None]], Run]:
    def decorate(run: Callable[..., None]) -> Run:
        slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
        many = settings(max_examples=examples, deadline=None, database=None, suppress_health_check=slow)
        return many(seed(number)(run))

    return decorate
