"""The same signal is the same order, another is another, and junk still has a name."""

from __future__ import annotations

import re
from base64 import b32encode
from decimal import Decimal
from hashlib import blake2b

import pytest
from attrs import evolve, fields
from hypothesis import given
from hypothesis import strategies as st

from hean.core import ids
from hean.core.types import Category, DenyReason, OrderType, Side, Signal, TimeInForce

SIGNAL = Signal(strategy_id="trend", signal_id="2026-11-22T10:00/BTCUSDT", symbol="BTCUSDT", side=Side.BUY, qty="0.1")
LIMIT = evolve(SIGNAL, order_type=OrderType.LIMIT, price="95000")

NAMES = st.text(min_size=1, max_size=64)
IDENTITIES = st.tuples(NAMES, NAMES, st.integers(0, 999))
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.text(),
    st.binary(),
    st.just(10**4000),
    st.just(Decimal("1e999999999")),
    st.lists(st.integers(), max_size=2),
    st.sampled_from(list(Side)),
)


class Hostile:
    def __repr__(self):
        raise RuntimeError

    __str__ = __repr__


def test_link_id_is_this_one_for_ever():
    assert "h1-wok66jyil76he4nzgi5n5c2kxtkw7idk" == ids.order_link_id("trend", "2026-11-22T10:00/BTCUSDT", 0)


@given(IDENTITIES)
def test_link_id_fits_the_exchange_and_has_one_case(identity):
    assert re.fullmatch(r"h1-[a-z2-7]{32}", ids.order_link_id(*identity))


@given(IDENTITIES, IDENTITIES)
def test_link_ids_differ_exactly_when_identities_do(one, other):
    assert (one == other) == (ids.order_link_id(*one) == ids.order_link_id(*other))


@pytest.mark.parametrize(
    "one,other",
    [(("a", "bc", 0), ("ab", "c", 0)), (("a", "b1", 1), ("a", "b", 11)), (("a", "b\0", 0), ("a\0", "b", 0))],
)
def test_field_boundaries_are_part_of_the_identity(one, other):
    assert ids.order_link_id(*one) != ids.order_link_id(*other)


def test_correlation_id_is_derived_unless_given():
    assert re.fullmatch(r"c1-[a-z2-7]{32}", ids.correlation_id(SIGNAL))
    assert ids.correlation_id(evolve(SIGNAL, qty="7")) == ids.correlation_id(SIGNAL)
    assert ids.correlation_id(evolve(SIGNAL, leg=1)) != ids.correlation_id(SIGNAL)
    assert "mine" == ids.correlation_id(evolve(SIGNAL, correlation_id="mine"))


@pytest.mark.parametrize(
    "changes",
    [
        {"strategy_id": "s" * 64},
        {"signal_id": "é 漢字 " * 20},
        {"leg": 999},
        {"correlation_id": "c" * 128},
    ],
)
def test_good_identity_has_no_problem(changes):
    assert ids.identity_problem(evolve(SIGNAL, **changes)) is None


@pytest.mark.parametrize(
    "changes,field",
    [
        ({"strategy_id": ""}, "strategy_id"),
        ({"strategy_id": None}, "strategy_id"),
        ({"strategy_id": b"trend"}, "strategy_id"),
        ({"strategy_id": "s" * 65}, "strategy_id"),
        ({"strategy_id": "a\nb"}, "strategy_id"),
        ({"signal_id": ""}, "signal_id"),
        ({"signal_id": 17}, "signal_id"),
        ({"signal_id": "x" * 257}, "signal_id"),
        ({"signal_id": "\ud800"}, "signal_id"),
        ({"correlation_id": ""}, "correlation_id"),
        ({"correlation_id": 5}, "correlation_id"),
        ({"correlation_id": "c" * 129}, "correlation_id"),
        ({"leg": -1}, "leg"),
        ({"leg": 1000}, "leg"),
        ({"leg": True}, "leg"),
        ({"leg": "0"}, "leg"),
        ({"leg": 0.0}, "leg"),
    ],
)
def test_bad_identity_is_denied_and_named(changes, field):
    denial = ids.identity_problem(evolve(SIGNAL, **changes))
    assert denial is not None
    assert DenyReason.BAD_IDENTITY == denial.reason
    assert denial.detail.startswith(f"{field}: expected ")


@pytest.mark.parametrize(
    "one,other",
    [
        ({"qty": "0.1"}, {"qty": "0.10"}),
        ({"qty": "0.1"}, {"qty": Decimal("1E-1")}),
        ({"price": "95000"}, {"price": Decimal("95000.00")}),
        ({"side": Side.BUY}, {"side": "Buy"}),
        ({"category": Category.LINEAR}, {"category": "linear"}),
        ({"time_in_force": None}, {"time_in_force": TimeInForce.GTC}),
        ({"trigger_price": "1"}, {"trigger_price": "1.0", "trigger_direction": 1}),
        ({"side": Side.SELL, "trigger_price": "1"}, {"side": Side.SELL, "trigger_price": "1", "trigger_direction": 2}),
        ({}, {"metadata": (("note", "retry"),)}),
        ({}, {"correlation_id": "another"}),
        ({}, {"signal_id": "another", "strategy_id": "another", "leg": 4}),
    ],
)
def test_payload_is_the_same_where_the_order_is(one, other):
    assert ids.payload_digest(evolve(LIMIT, **one)) == ids.payload_digest(evolve(LIMIT, **other))


CHANGES = {
    "symbol": "ETHUSDT",
    "side": Side.SELL,
    "qty": "0.2",
    "category": Category.SPOT,
    "order_type": OrderType.MARKET,
    "price": "95001",
    "time_in_force": TimeInForce.POST_ONLY,
    "reduce_only": True,
    "close_on_trigger": True,
    "trigger_price": "1",
    "trigger_direction": 1,
    "stop_loss": "1",
    "take_profit": "1",
    "slippage_ticks": 1,
    "position_idx": 1,
}
EXCLUDED = {"strategy_id", "signal_id", "leg", "correlation_id", "metadata"}


def test_every_field_of_a_signal_is_in_the_payload_or_excluded_on_purpose():
    assert {field.name for field in fields(Signal)} == CHANGES.keys() | EXCLUDED


@pytest.mark.parametrize("field", sorted(CHANGES))
def test_payload_differs_where_the_order_does(field):
    assert ids.payload_digest(LIMIT) != ids.payload_digest(evolve(LIMIT, **{field: CHANGES[field]}))


def test_one_price_is_not_taken_for_another():
    stop, target = evolve(LIMIT, stop_loss="1"), evolve(LIMIT, take_profit="1")
    assert ids.payload_digest(stop) != ids.payload_digest(target)


def test_market_order_is_ioc_whether_told_or_not():
    assert ids.payload_digest(SIGNAL) == ids.payload_digest(evolve(SIGNAL, time_in_force=TimeInForce.IOC))


@pytest.mark.parametrize("junk,other", [(0.1, "0.1"), (True, 1), (1, "1"), (None, "None"), (Hostile(), object())])
def test_junk_is_not_taken_for_something_else(junk, other):
    assert ids.payload_digest(evolve(SIGNAL, qty=junk)) != ids.payload_digest(evolve(SIGNAL, qty=other))


@given(st.fixed_dictionaries({field.name: JUNK for field in fields(Signal)}))
def test_junk_has_a_digest_and_a_denied_id(values):
    signal = Signal(**values)
    assert ids.payload_digest(signal) == ids.payload_digest(evolve(signal))
    assert re.fullmatch(r"hd-[a-z2-7]{32}", ids.denied_link_id(signal))


def test_denied_id_names_identity_and_payload():
    other_payload, other_identity = evolve(SIGNAL, qty="0.2"), evolve(SIGNAL, leg=1)
    link_ids = {ids.denied_link_id(signal) for signal in (SIGNAL, other_payload, other_identity)}
    assert 3 == len(link_ids)
    assert ids.denied_link_id(SIGNAL) == ids.denied_link_id(evolve(SIGNAL, qty="0.100"))


@pytest.mark.parametrize(
    "value,text",
    [
        ("abc", "'abc'"),
        (Side.BUY, "'Buy'"),
        ("x" * 50, f"'{'x' * 40}... (50 characters)"),
        (None, "None (NoneType)"),
        (0.5, "0.5 (float)"),
        (True, "True (bool)"),
        (7, "7 (int)"),
        (10**30, "a int"),
        (Decimal("NaN"), "Decimal('NaN')"),
        (Decimal("1" * 41), "a Decimal"),
        (Hostile(), "a Hostile"),
    ],
)
def test_values_are_shown_short(value, text):
    assert text == ids.shown(value)


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20), st.integers(0, 999))
def test_an_id_is_a_digest_of_its_parts_in_base_32(strategy_id: str, signal_id: str, leg: int):
    parts = [part.encode("utf-8", "surrogatepass") for part in ("order", strategy_id, signal_id, str(leg))]
    whole = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    expected = b32encode(blake2b(whole, digest_size=20).digest()).decode().lower()
    assert f"h1-{expected}" == ids.order_link_id(strategy_id, signal_id, leg)
