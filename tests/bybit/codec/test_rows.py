"""Rows: every documented one reads, a bad one falls alone and says why."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hean.bybit.codec import CodecError, execution, instrument, order_row, position_row
from hean.core.types import Category, ExecType, OrderStatus, Side
from tests.bybit.samples import load


def first(name: str) -> dict[str, object]:
    """The first row of a documented frame."""
    return load(name)["data"][0]


def listed(name: str) -> dict[str, object]:
    """The first row of a documented query."""
    return load(name)["result"]["list"][0]


def test_order_row_reads_every_part():
    row = order_row(first("ws_order_partially_filled"))
    assert (Category.LINEAR, "BTCUSDT", Side.BUY) == (row.category, row.symbol, row.side)
    assert OrderStatus.PARTIALLY_FILLED is row.status
    assert (Decimal("0.01"), Decimal("0.003")) == (row.qty, row.cum_exec_qty)
    assert "r1-000001" == row.order_link_id
    assert (("USDT", Decimal("0.036")),) == row.cum_fees
    assert Decimal(60000) == row.price
    assert Decimal(60000) == row.avg_price
    assert ("UNKNOWN", "EC_NoError") == (row.cancel_type, row.reject_reason)
    assert (row.trigger_price, row.take_profit, row.stop_loss) == (None, None, None)
    assert 1_720_000_000_100 == row.created_ms
    assert 1_720_000_005_002 == row.updated_ms


def test_order_row_of_a_query_takes_its_category_from_beside_the_list():
    raw = listed("rest_order_realtime_open")
    row = order_row(raw, Category.LINEAR)
    assert Category.LINEAR is row.category
    assert 1 == row.position_idx
    assert (Decimal(2500), Decimal(1500)) == (row.take_profit, row.stop_loss)
    assert row.trigger_price is None
    assert row.avg_price is None
    with pytest.raises(CodecError, match="category"):
        order_row(raw)


@pytest.mark.parametrize("status", list(OrderStatus))
def test_every_known_status_reads(status):
    assert status is order_row({**first("ws_order_new"), "orderStatus": status.value}).status


@pytest.mark.parametrize(
    "name",
    ["cancelType", "rejectReason", "createType", "stopOrderType", "timeInForce", "orderType", "smpType"],
)
def test_unheard_of_word_in_a_telling_field_is_kept(name):
    row = order_row({**first("ws_order_new"), name: "UnheardOf"})
    assert OrderStatus.NEW is row.status


@pytest.mark.parametrize(
    "change",
    [
        {"orderStatus": "UnheardOf"},
        {"orderStatus": None},
        {"orderStatus": ["New"]},
        {"side": ""},
        {"category": "swap"},
        {"symbol": ""},
        {"orderId": None},
        {"qty": ""},
        {"qty": "one"},
        {"qty": "-1"},
        {"qty": True},
        {"qty": {"value": "1"}},
        {"qty": "NaN"},
        {"qty": "Infinity"},
        {"qty": "1e999"},
        {"qty": "1_000"},
        {"qty": "\u0661"},
        {"qty": " 1"},
        {"cumExecQty": "-0.1"},
        {"cumExecQty": []},
        {"updatedTime": "soon"},
        {"updatedTime": 2**63},
        {"updatedTime": True},
        {"positionIdx": 0.5},
        {"reduceOnly": "yes"},
        {"cumFeeDetail": ["USDT"]},
        {"orderLinkId": {}},
        {"orderLinkId": False},
    ],
)
def test_order_row_with_a_broken_field_is_refused_by_its_name(change):
    with pytest.raises(CodecError, match=next(iter(change))):
        order_row({**first("ws_order_new"), **change})


@pytest.mark.parametrize("name", ["orderStatus", "side", "category", "symbol", "orderId", "qty"])
def test_order_row_without_a_deciding_field_is_refused_by_its_name(name):
    raw = first("ws_order_new")
    del raw[name]
    with pytest.raises(CodecError, match=f"expected {name} to be .*, was missing"):
        order_row(raw)


def test_order_row_lives_without_every_optional_field():
    deciding = {"category", "symbol", "orderId", "side", "orderStatus", "qty"}
    raw = {key: value for key, value in first("ws_order_new").items() if key in deciding}
    row = order_row(raw)
    assert Decimal(0) == row.cum_exec_qty
    assert (row.price, row.avg_price, row.cum_exec_value) == (None, None, None)
    assert () == row.cum_fees


def test_empty_numbers_are_unset():
    row = order_row(
        {
            **first("ws_order_new"),
            "avgPrice": "",
            "cumExecQty": "",
            "cumExecValue": "",
            "price": "0",
            "cumFeeDetail": "",
        }
    )
    assert (row.avg_price, row.cum_exec_value, row.price) == (None, None, None)
    assert (Decimal(0), ()) == (row.cum_exec_qty, row.cum_fees)


@pytest.mark.parametrize(
    "number, read",
    [(1, "1"), (0.1, "0.1"), (1e-7, "1E-7"), ("0.10", "0.10"), (-0.0, "-0.0"), ("1.", "1"), (1e22, "1E+22")],
)
def test_number_comes_as_text_or_as_json_number_and_never_becomes_a_float(number, read):
    row = order_row({**first("ws_order_new"), "qty": number})
    assert Decimal(read) == row.qty
    assert isinstance(row.qty, Decimal)


def test_execution_reads_every_part():
    fill = execution(first("ws_execution_maker"))
    assert ExecType.TRADE is fill.exec_type
    assert (Decimal("0.003"), Decimal(60000), Decimal("0.036")) == (fill.exec_qty, fill.exec_price, fill.exec_fee)
    assert ("USDT", Decimal("0.01"), Decimal("0.007")) == (fill.fee_currency, fill.order_qty, fill.leaves_qty)
    assert fill.is_maker is True
    assert 9_140_612_000_011 == fill.seq
    assert 1_720_000_005_000 == fill.exec_ms


def test_fast_execution_is_a_trade_without_fees_or_order_quantity():
    raw = first("ws_execution_fast")
    fill = execution(raw, fast=True)
    assert ExecType.TRADE is fill.exec_type
    assert (fill.exec_fee, fill.order_qty, fill.leaves_qty) == (None, None, None)
    with pytest.raises(CodecError, match="execType"):
        execution(raw)


def test_fast_execution_that_names_its_type_is_believed():
    raw = {**first("ws_execution_fast"), "execType": "Funding"}
    assert ExecType.FUNDING is execution(raw, fast=True).exec_type


@pytest.mark.parametrize(
    "name, exec_type",
    [
        ("ws_execution_funding", ExecType.FUNDING),
        ("ws_execution_bust_trade", ExecType.BUST_TRADE),
        ("ws_execution_adl_trade", ExecType.ADL_TRADE),
        ("ws_execution_delivery", ExecType.DELIVERY),
    ],
)
def test_execution_no_order_explains_keeps_its_type(name, exec_type):
    assert exec_type is execution(first(name)).exec_type


@pytest.mark.parametrize("unlisted", ["BlockTrade", "MovePosition", "FutureSpread", "UNKNOWN", "", None])
def test_execution_type_outside_the_whitelist_is_refused(unlisted):
    with pytest.raises(CodecError, match="execType"):
        execution({**first("ws_execution_maker"), "execType": unlisted})


@pytest.mark.parametrize("qty", ["0", "-1", "", None])
def test_fill_of_nothing_is_refused(qty):
    with pytest.raises(CodecError, match="execQty"):
        execution({**first("ws_execution_maker"), "execQty": qty})


def test_settlement_needs_no_order_and_a_trade_does():
    bare = {"orderId": "", "orderLinkId": ""}
    assert "" == execution({**first("ws_execution_delivery"), **bare}).order_id
    with pytest.raises(CodecError, match="orderId"):
        execution({**first("ws_execution_maker"), **bare})


def test_fee_may_be_a_rebate():
    assert Decimal("-0.01") == execution({**first("ws_execution_maker"), "execFee": "-0.01"}).exec_fee


def test_position_says_entry_price_on_the_stream_and_avg_price_in_a_query():
    streamed = position_row(first("ws_position_open_linear"))
    queried = position_row(listed("rest_position_list_linear"), Category.LINEAR)
    assert (Side.BUY, Decimal(60000)) == (streamed.side, streamed.avg_price)
    assert (Side.BUY, Decimal(60000)) == (queried.side, queried.avg_price)


def test_flat_position_has_no_side_and_no_price():
    row = position_row(listed("rest_position_list_empty_symbol"), Category.LINEAR)
    assert (None, Decimal(0), None, -1) == (row.side, row.size, row.avg_price, row.seq)


@pytest.mark.parametrize(
    "raw, seq", [({"seq": "-1"}, -1), ({"seq": -1}, -1), ({}, -1), ({"seq": "7"}, 7), ({"seq": 7.0}, 7)]
)
def test_seq_comes_as_number_or_text(raw, seq):
    row = {key: value for key, value in first("ws_position_flat_linear").items() if "seq" != key}
    assert seq == position_row({**row, **raw}).seq


def test_position_with_size_and_no_side_contradicts_itself():
    with pytest.raises(CodecError, match="side"):
        position_row({**first("ws_position_open_linear"), "side": ""})


def test_unheard_of_position_status_is_kept():
    assert (
        "UnheardOf" == position_row({**first("ws_position_open_linear"), "positionStatus": "UnheardOf"}).position_status
    )


def test_hedge_position_keeps_its_index():
    rows = [position_row(raw) for raw in load("ws_position_hedge")["data"]]
    assert {1, 2} == {row.position_idx for row in rows}


def test_linear_instrument_reads_its_grids_and_limits():
    it = instrument(listed("rest_instruments_linear"), Category.LINEAR)
    assert ("BTC", "USDT", "USDT") == (it.base_coin, it.quote_coin, it.settle_coin)
    assert (Decimal("0.10"), Decimal("0.001"), Decimal("0.001")) == (it.tick_size, it.qty_step, it.min_order_qty)
    assert (Decimal(1190), Decimal(500), Decimal(5)) == (it.max_order_qty, it.max_market_qty, it.min_notional)
    assert (Decimal("0.10"), Decimal("1999999.80"), Decimal(100)) == (it.min_price, it.max_price, it.max_leverage)
    assert it.trading is True


def test_inverse_instrument_without_notional_has_none():
    assert Decimal(0) == instrument(listed("rest_instruments_inverse"), Category.INVERSE).min_notional


def test_spot_instrument_names_its_grid_differently():
    it = instrument(listed("rest_instruments_spot"), Category.SPOT)
    assert (Decimal("0.1"), Decimal("0.000001")) == (it.tick_size, it.qty_step)
    assert (Decimal(83), Decimal("41.5"), Decimal(5)) == (it.max_order_qty, it.max_market_qty, it.min_notional)
    assert "USDT" == it.settle_coin
    assert (it.min_price, it.max_price, it.max_leverage) == (None, None, None)


def test_option_market_order_is_capped_like_a_limit_order():
    it = instrument(listed("rest_instruments_option"), Category.OPTION)
    assert it.max_order_qty == it.max_market_qty == Decimal(500)


def test_instrument_before_its_launch_does_not_trade():
    assert instrument(listed("rest_instruments_linear_prelaunch"), Category.LINEAR).trading is False


@pytest.mark.parametrize("tick", ["0", "", None, "-1"])
def test_instrument_without_a_grid_is_refused(tick):
    raw = listed("rest_instruments_linear")
    raw["priceFilter"]["tickSize"] = tick
    with pytest.raises(CodecError, match="tickSize"):
        instrument(raw, Category.LINEAR)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(data=st.data())
def test_any_change_of_a_good_row_reads_or_raises_codec_error(data):
    read, name = data.draw(
        st.sampled_from(
            [
                (order_row, "ws_order_new"),
                (execution, "ws_execution_maker"),
                (position_row, "ws_position_open_linear"),
            ]
        )
    )
    row = json.loads(json.dumps(first(name)))
    changes = data.draw(st.dictionaries(st.sampled_from(sorted(row)), JSON, max_size=3))
    with contextlib.suppress(CodecError):
        read({**row, **changes})


@given(raw=JSON)
def test_any_json_as_a_row_reads_or_raises_codec_error(raw):
    for read in (order_row, execution, position_row, instrument):
        with pytest.raises(CodecError):
            read(raw, Category.LINEAR)
