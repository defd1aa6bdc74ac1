"""Values survive the way to text and back."""

from __future__ import annotations

import functools
import inspect
import types
from decimal import Decimal
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hean.core import calls, facts, ledger, plain, record
from hean.core import order as order_machine
from hean.core import types as core_types
from hean.core.calls import Call, CancelOrder, Page, QueryTime, Reply, Verdict, VerdictKind
from hean.core.types import Amend, Category, Denial, DenyReason, Ms, OrderId, OrderLinkId, OrderRow, Side, Signal
from hean.errors import LocalError
from tests.core.orders import POLICY, REQUEST, executed

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**12), max_value=10**12)
SIGNAL = Signal(strategy_id="trend", signal_id="s-1", symbol="BTCUSDT", side=Side.BUY, qty="0.001")


def classes_of(module: types.ModuleType) -> list[type]:
    return [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if attrs.has(member) and member.__module__ == module.__name__
    ]


VALUE_TYPES = [kind for module in (core_types, calls, facts, ledger, record) for kind in classes_of(module)]


@functools.cache
def any_of(kind: Any) -> st.SearchStrategy[Any]:
    """Draw a value of an annotation; unlike hypothesis' own, finite decimals only."""
    if hasattr(kind, "__supertype__"):
        return any_of(kind.__supertype__)
    if get_origin(kind) in {Union, types.UnionType}:
        return st.one_of([any_of(part) for part in get_args(kind)])
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        if parts[-1] is Ellipsis:
            return st.lists(any_of(parts[0]), max_size=2).map(tuple)
        return st.tuples(*map(any_of, parts))
    if get_origin(kind) is frozenset:
        return st.frozensets(any_of(get_args(kind)[0]), max_size=4)
    if attrs.has(kind):
        hints = get_type_hints(kind)
        return st.builds(kind, **{part.name: any_of(hints[part.name]) for part in attrs.fields(kind)})
    if issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    return {
        str: TEXT,
        bool: st.booleans(),
        int: st.integers(-(2**53), 2**53),
        float: st.floats(allow_nan=False, allow_infinity=False),
        Decimal: DECIMALS,
        types.NoneType: st.none(),
    }[kind]


def kinds_of(value: Any) -> list[type]:
    """List the field types: an enum's word equals the enum, yet is not it."""
    return [type(getattr(value, part.name)) for part in attrs.fields(type(value))]


@attrs.frozen(kw_only=True)
class Ledger:
    """Stands for a value of a machine: a set of IDs, a union of classes, an optional class, a float."""

    exec_ids: frozenset[str] = frozenset()
    amend: Amend | None = None
    call: Call | None
    spacing_s: float = 0.5


@pytest.mark.parametrize("kind", [*VALUE_TYPES, Ledger], ids=lambda kind: kind.__name__)
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_every_value_type_survives_the_round_trip(kind: type, data: st.DataObject) -> None:
    value = data.draw(any_of(kind))
    again = plain.loads(kind, plain.dumps(value))
    assert (value, kinds_of(value)) == (again, kinds_of(again))
    assert value == plain.from_plain(kind, plain.to_plain(value))


@given(data=st.data())
def test_a_call_is_known_again_by_its_tag(data: st.DataObject) -> None:
    call = data.draw(any_of(Call))
    again = plain.loads(Call, plain.dumps(call))
    assert (type(call), call) == (type(again), again)


@given(DECIMALS)
def test_a_decimal_keeps_its_trailing_zeros_and_has_no_exponent(number: Decimal) -> None:
    text = plain.to_plain(Amend(qty=number))["qty"]
    assert "E" not in text
    assert number.as_tuple() == Decimal(text).as_tuple()


@pytest.mark.parametrize(
    "number, expected",
    [("1E+4", "10000"), ("1E-8", "0.00000001"), ("0E-8", "0.00000000"), ("0.10", "0.10"), ("-1E+2", "-100")],
)
def test_scientific_notation_is_written_out(number: str, expected: str) -> None:
    assert {"_": "Amend", "qty": expected} == plain.to_plain(Amend(qty=Decimal(number)))


def test_an_absurd_exponent_is_not_written_out() -> None:
    assert {"_": "Amend", "qty": "1E+999999"} == plain.to_plain(Amend(qty=Decimal("1E+999999")))


def test_fields_equal_to_their_default_are_left_out() -> None:
    assert (
        '{"_":"Signal","strategy_id":"trend","signal_id":"s-1","symbol":"BTCUSDT","side":"Buy","qty":"0.001"}'
        == plain.dumps(SIGNAL)
    )


def test_everything_plain_is_of_a_json_type() -> None:
    row = OrderRow(
        category=Category.LINEAR,
        symbol="BTCUSDT",
        order_id=OrderId("o"),
        order_link_id=OrderLinkId("l"),
        side=Side.SELL,
        status=core_types.OrderStatus.NEW,
        qty=Decimal("1.0"),
        cum_exec_qty=Decimal(0),
        cum_fees=(("USDT", Decimal("0.1")),),
        updated_ms=Ms(5),
    )
    written = plain.to_plain(row)
    assert {str, int, list, tuple} >= {type(part) for part in written.values()}
    assert written | {"cum_fees": [["USDT", "0.1"]]} == orjson.loads(plain.dumps(row))


def test_unions_in_fields_carry_the_class_name() -> None:
    reply = Reply(call=QueryTime(), verdict=Verdict(kind=VerdictKind.ACCEPTED), result=Page())
    assert {
        "_": "Reply",
        "call": {"_": "QueryTime"},
        "verdict": {"kind": "accepted"},
        "result": {"_": "Page"},
    } == plain.to_plain(reply)


def test_a_set_is_written_in_order() -> None:
    assert {"_": "Ledger", "exec_ids": ["a", "b", "c"], "call": None} == plain.to_plain(
        Ledger(call=None, exec_ids=frozenset("cab"))
    )


def test_things_that_are_no_value_pass_through() -> None:
    assert {"a": ["0.10", 1, None]} == plain.to_plain({"a": [Decimal("0.10"), 1, None]})


def test_str_and_decimal_of_a_signal_stay_apart() -> None:
    signal = attrs.evolve(SIGNAL, qty=Decimal("0.0010"), price="5")
    again = plain.loads(Signal, plain.dumps(signal))
    assert (Decimal("0.0010"), "5") == (again.qty, again.price)
    assert isinstance(again.qty, Decimal)


@pytest.mark.parametrize(
    "broken",
    [
        {"qty": 0.1},
        {"side": "buy"},
        {"side": None},
        {"symbol": object()},
        {"signal_id": "lone \ud800"},
        {"leg": 10**40},
        {"metadata": {"k": 1}},
        {"metadata": 5},
        {"qty": Decimal("NaN")},
        {"qty": Decimal("1E+999999999")},
    ],
    ids=lambda broken: next(iter(broken)),
)
def test_a_signal_of_garbage_can_still_be_written(broken: dict[str, Any]) -> None:
    text = plain.dumps(attrs.evolve(SIGNAL, **broken))
    assert text.startswith('{"_":"Signal"')
    assert len(text) < 500


def test_a_float_quantity_reads_back_as_text() -> None:
    assert "0.1" == plain.loads(Signal, plain.dumps(attrs.evolve(SIGNAL, qty=0.1))).qty


def test_a_lone_surrogate_survives() -> None:
    signal = attrs.evolve(SIGNAL, signal_id="\ud800")
    assert signal == plain.loads(Signal, plain.dumps(signal))


DENIAL = {"_": "Denial", "reason": "halted", "detail": "by the operator"}


@pytest.mark.parametrize(
    "kind, data, said",
    [
        (Denial, DENIAL | {"_": "Amend"}, "expected Denial, was 'Amend'"),
        (Denial, DENIAL | {"extra": 1}, "extra"),
        (Denial, DENIAL | {"reason": "boredom"}, "boredom"),
        (Denial, DENIAL | {"detail": 5}, "expected str, was 5"),
        (Denial, {"reason": "halted"}, "detail"),
        (Denial, None, "Denial"),
        (Denial, [1], "Denial"),
        (Amend, {"qty": 0.5}, "expected a number as str, was 0.5"),
        (Amend, {"qty": "half"}, "expected a number, was 'half'"),
        (Signal, plain.to_plain(SIGNAL) | {"qty": {"_": "Float", "value": "1"}}, "tagged Decimal"),
        (Signal, plain.to_plain(SIGNAL) | {"qty": {"_": "Decimal"}}, "tagged Decimal"),
        (Signal, plain.to_plain(SIGNAL) | {"leg": True}, "expected int, was True"),
        (Call, {"_": "Amend"}, "expected a value tagged"),
        (Call, {"category": "linear"}, "expected a value tagged"),
        (Call, None, "expected a value tagged"),
        (Call, "CreateOrder", "expected a value tagged"),
    ],
)
def test_data_that_does_not_fit_is_refused(kind: Any, data: object, said: str) -> None:
    with pytest.raises(LocalError) as refused:
        plain.from_plain(kind, data)
    assert said in str(refused.value)


def test_the_refusal_names_the_type_and_what_was_seen() -> None:
    with pytest.raises(LocalError, match=r"expected the plain form of Denial, was \{'reason': 'halted'\}"):
        plain.from_plain(Denial, {"reason": "halted"})


def test_text_that_is_not_json_is_refused() -> None:
    with pytest.raises(LocalError, match="expected JSON, was 'nothing'"):
        plain.loads(Denial, "nothing")


def test_reading_leaves_the_data_as_it_was() -> None:
    data = dict(DENIAL)
    expected = Denial(reason=DenyReason.HALTED, detail="by the operator")
    assert expected == plain.from_plain(Denial, data)
    assert DENIAL == data


def test_a_value_without_its_tag_reads_where_its_class_is_told() -> None:
    data = {"category": "linear", "symbol": "BTCUSDT", "order_link_id": "l"}
    expected = CancelOrder(category=Category.LINEAR, symbol="BTCUSDT", order_link_id=OrderLinkId("l"))
    assert expected == plain.from_plain(CancelOrder, data)


def test_an_order_is_written_as_old_journals_have_it() -> None:
    sent = order_machine.apply(record.Order.of(REQUEST), facts.Sent(), REQUEST.submitted_ms, POLICY)
    filled = order_machine.apply(sent.order, executed("e1", "0.4"), Ms(REQUEST.submitted_ms + 5), POLICY)
    assert plain.dumps(filled.order) == (
        '{"_":"Order","request":{"order_link_id":"h1-order","correlation_id":"c1","strategy_id":"trend",'
        '"signal_id":"s1","leg":0,"category":"linear","symbol":"BTCUSDT","side":"Buy","order_type":"Limit","qty":"1",'
        '"price":"100","time_in_force":"GTC","submitted_ms":1000000},"state":"PARTIAL_FILL","order_id":"o-1",'
        '"ledger":{"cum_exec_qty":"0.4","cum_value":"40.0","fees":[["USDT","0.1"]],"last_seq":20,"last_exec_ms":20,'
        '"id_runs":[["e1"]]},"known_qty":"1","known_qty_ms":20,"first_qty":"1","attempts":1,"tries":1,'
        '"in_flight":true,"last_sent_ms":1000000,"blind_until_ms":1012000,"cleared":false,"placed":true,'
        '"updated_ms":1000005}'
    )
