"""
Whatever is asked of it, in whatever order, with whatever fault: the exchange's books add up.
"""

from collections import defaultdict
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exchange.trader import Trader

BTC = {"category": "linear", "symbol": "BTCUSDT"}
PRICES = [str(95000 + 50 * step) for step in range(-6, 7)]
QTYS = ["0.001", "0.002", "0.005", "0.010"]
FAULTS = ["reject_after_ack", "late_fill", "overfill", "double_filled", "shrink_reduce_only", "split_reduce_only"]
INCIDENTS = ["funding", "adl", "liquidation", "settle", "manual_close"]
NAMES = st.integers(0, 9).map(lambda n: f"o{n}")
SIDES = st.sampled_from(["Buy", "Sell"])

create = st.fixed_dictionaries(
    {
        "do": st.just("create"),
        "side": SIDES,
        "orderType": st.sampled_from(["Limit", "Limit", "Market"]),
        "qty": st.sampled_from(QTYS),
        "price": st.sampled_from(PRICES),
        "timeInForce": st.sampled_from(["GTC", "GTC", "IOC", "FOK", "PostOnly"]),
        "reduceOnly": st.booleans(),
        "smpType": st.sampled_from(["None", "CancelMaker", "CancelTaker", "CancelBoth"]),
        "orderLinkId": NAMES,
    }
)
stop = st.fixed_dictionaries(
    {
        "do": st.just("create"),
        "side": SIDES,
        "orderType": st.sampled_from(["Limit", "Market"]),
        "qty": st.sampled_from(QTYS),
        "price": st.sampled_from(PRICES),
        "triggerPrice": st.sampled_from(PRICES),
        "triggerDirection": st.sampled_from([1, 2]),
        "orderLinkId": NAMES,
    }
)
guarded = st.fixed_dictionaries(
    {
        "do": st.just("create"),
        "side": SIDES,
        "orderType": st.just("Market"),
        "qty": st.sampled_from(QTYS),
        "takeProfit": st.sampled_from(PRICES),
        "stopLoss": st.sampled_from(PRICES),
        "orderLinkId": NAMES,
    }
)
amend = st.fixed_dictionaries(
    {
        "do": st.just("amend"),
        "orderLinkId": NAMES,
        "qty": st.sampled_from(QTYS),
        "price": st.sampled_from(PRICES),
    }
)
cancel = st.fixed_dictionaries({"do": st.just("cancel"), "orderLinkId": NAMES})
quotes = st.fixed_dictionaries(
    {
        "do": st.just("quotes"),
        "at": st.integers(0, len(PRICES) - 2),
        "qty": st.sampled_from(["0.003", "1"]),
        "refill": st.booleans(),
    }
)
prints = st.fixed_dictionaries(
    {
        "do": st.just("trade"),
        "price": st.sampled_from(PRICES),
        "qty": st.sampled_from(QTYS),
    }
)
fault = st.fixed_dictionaries({"do": st.just("fault"), "name": st.sampled_from(FAULTS + INCIDENTS)})
STEPS = st.lists(st.one_of(create, create, stop, guarded, amend, cancel, quotes, prints, fault), max_size=40)


def perform(trader: Trader, step: dict[str, Any]) -> None:
    step = dict(step)
    what = step.pop("do")
    if what in ("create", "amend", "cancel"):
        reply = trader.post(f"order/{what}", **BTC, **step)
        assert reply["retCode"] in (0, 10001, 110001, 110017, 110064, 110072, 110092, 110093), reply
    elif what == "quotes":
        bid, ask = PRICES[step["at"]], PRICES[step["at"] + 1]
        trader.quotes(bid, ask, step["qty"], refill=step["refill"])
    elif what == "trade":
        trader.control("POST", "market", symbol="BTCUSDT", trade=step)
    else:
        trader.fault(step["name"])


def check(trader: Trader) -> None:
    books = trader.books()
    by_order: dict[str, Decimal] = defaultdict(Decimal)
    position = Decimal(0)
    for execution in books["executions"]:
        by_order[execution["orderId"]] += Decimal(execution["execQty"])
        if execution["execType"] != "Funding":
            position += Decimal(execution["execQty"]) * (1 if execution["side"] == "Buy" else -1)
    for order in books["orders"]:
        filled = Decimal(order["cumExecQty"])
        assert by_order[order["orderId"]] == filled
        if order["orderStatus"] in ("New", "Untriggered"):
            assert filled == 0
        if order["orderStatus"] == "PartiallyFilled":
            assert 0 < filled < Decimal(order["qty"])
        if order["orderStatus"] == "Filled":
            assert filled >= Decimal(order["qty"])
    held = sum((Decimal(row["size"]) * (1 if row["side"] == "Buy" else -1) for row in books["positions"]), Decimal(0))
    assert position == held
    account = next(iter(trader.engine.venue.accounts.values()))
    assert Decimal(1_000_000) + sum(e.change for e in account.executions) == account.coin("USDT").balance
    open_now = [o for o in account.orders.values() if not o.is_final]
    assert open_now == list(account.open_orders.values())
    assert sum((o.reserved for o in open_now), Decimal(0)) == account.coin("USDT").order_margin
    assert len(open_now) == sum(account.open_counts.values())
    for market in trader.engine.venue.markets.values():
        bid, ask = market.first_resting("Buy"), market.first_resting("Sell")
        assert bid is None or ask is None or bid.price < ask.price
        assert all(not o.is_final and o.booked for side in ("Buy", "Sell") for o in market.resting(side))
        assert all(o.is_conditional for o in market.conditional.values())


def heard(trader: Trader) -> None:
    """
    A listener who missed nothing knows what the books know.
    """
    books = trader.books()
    told = [row["execId"] for row in trader.rows("execution")]
    assert sorted(told) == sorted(row["execId"] for row in books["executions"])
    last = {row["orderId"]: row["orderStatus"] for row in trader.rows("order")}
    assert {o["orderId"]: o["orderStatus"] for o in books["orders"]} == last


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_books_add_up(steps: list[dict[str, Any]]) -> None:
    trader = Trader(limits="none")
    trader.listen()
    for step in steps:
        perform(trader, step)
    trader.advance(1000)
    check(trader)
    heard(trader)
