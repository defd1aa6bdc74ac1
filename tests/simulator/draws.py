"""Plans drawn from seeds: configurations, orders, faults, weather, and whatever else happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hean.actors.ports import Point
from tests.exchange.faults import NAMES
from tests.simulator.designs import design, doubt, late_no
from tests.simulator.plan import MARKETS, SECOND, Action, Args, Draw, Plan, plus, times

DESIGNED = 0.5
"""How often something is designed beside what chance brings."""


def plan_of(seed: int) -> Plan:
    """The plan of a seed."""
    draw = Draw(f"plan {seed}")
    config = _config(draw)
    # Most worlds are small: a law that breaks does so with a few orders, and more worlds are seen in the same time.
    length_ms = draw.weighted({draw.whole(3, 9): 3, draw.whole(9, 25): 1}) * SECOND
    actions: list[Action] = []
    orders = draw.weighted({1: 3, 2: 4, 3: 3, 5: 2, 9: 1})
    for n in range(orders):
        _order(draw, n, length_ms, config, actions)
    for _ in range(draw.weighted({0: 2, 1: 3, 2: 3, 3: 2, 5: 2, 8: 1})):
        actions.append(Action(draw.whole(0, length_ms), "fault", _fault(draw, config)))
    if draw.chance(0.1):
        doubt(draw, config, actions)
    if draw.chance(0.04):
        late_no(draw, actions)
    for _ in range(draw.weighted({0: 4, 1: 3, 2: 2})):
        _weather(draw, length_ms, actions)
    for _ in range(draw.weighted({0: 3, 1: 2, 2: 1})):
        actions.append(Action(draw.whole(0, length_ms), "market", _market_move(draw, config)))
    for kind, chance in (
        ("crash", 0.45),
        ("crash", 0.15),
        ("cut", 0.3),
        ("pause", 0.2),
        ("stall", 0.1),
        ("journal_fails", 0.06),
        ("halt", 0.08),
        ("cancel_all", 0.06),
        ("kill", 0.05),
        ("reconcile", 0.08),
        ("resolve", 0.04),
        ("break", 0.05),
    ):
        if draw.chance(chance):
            at_ms = draw.whole(0, length_ms)
            actions.append(Action(at_ms, kind, _other(draw, kind, orders)))
            if kind == "cut":
                # Others trade while we are away, and while we catch up.
                for _ in range(draw.one((0, 1, 3))):
                    after_ms = draw.one((draw.whole(0, 200), draw.whole(0, 4_000)))
                    actions.append(Action(at_ms + after_ms, "fault", _fault(draw, config, "foreign_order")))
            if kind == "halt" and draw.chance(0.8):
                actions.append(Action(at_ms + draw.whole(10, 5 * SECOND), "resume"))
    if draw.chance(DESIGNED):
        length_ms = design(draw, config, actions, orders, length_ms)
    actions.sort(key=lambda action: action.at_ms)
    return Plan(seed=seed, config=config, actions=tuple(actions), length_ms=length_ms)


def _config(draw: Draw) -> Args:
    spread_ms = draw.one((0, 5, 40, 400))
    # Over a slow network a short window refuses requests in calm weather too.
    recv_window_ms = draw.one((500, 2_000, 5_000)) if spread_ms < 400 else draw.one((2_000, 5_000))
    return {
        "entry": draw.one(("ws", "ws", "rest")),
        "recv_window_ms": recv_window_ms,
        "reply_timeout_s": draw.one((1.0, 2.0, 5.0)),
        "visibility_s": recv_window_ms / 1000 + draw.one((1.1, 2.0, 4.0)),
        "max_age_s": draw.one((3.0, 20.0, 300.0, 300.0)),
        "max_tries": draw.one((1, 3, 5, 5)),
        "breaker_failures": draw.one((3, 5, 5, 1000)),
        "ban_silence_s": draw.one((2.0, 6.0)),
        # A comparison over a slow network takes seconds, and there must be time between two.
        "reconcile_s": draw.one((4.0, 10.0, 10.0)) if spread_ms < 400 else 20.0,
        "confirm_s": draw.one((0.3, 1.0)),
        "overlap_s": draw.one((5.0, 60.0)),
        "max_drift_ms": draw.one((500, 500, 60_000)),
        "position_policy": draw.one(("halt_symbol", "halt_symbol", "adopt", "alert")),
        "hedged": draw.chance(0.12),
        "opening": draw.chance(0.2),
        "offset_ms": draw.one((0, 0, 0, -2_500, 40_000)),
        "lag": draw.one((0.0, 0.0, 0.02, 0.2)),
        "spread_ms": spread_ms,
        "behaviour": _behaviour(draw),
        "limits": draw.one(("bybit", "bybit", "none")),
        "finale": draw.weighted({"": 7, "close": 2, "restart": 1}),
    }


def _behaviour(draw: Draw) -> Args:
    switches: list[tuple[str, Callable[[], Any]]] = [
        ("ack_delay_ms", lambda: [0, draw.one((20, 300))]),
        ("order_push_delay_ms", lambda: [0, draw.one((20, 300, 2_000))]),
        ("execution_push_delay_ms", lambda: [0, draw.one((20, 300, 2_000))]),
        ("position_push_delay_ms", lambda: [0, draw.one((20, 300))]),
        ("order_before_execution", lambda: True),
        ("fills_per_frame", lambda: "one"),
        ("position_push_unchanged", lambda: False),
        ("fok_refusal", lambda: "Rejected"),
        ("post_only_inverse", lambda: "Rejected"),
        ("market_no_liquidity", lambda: draw.one(("110118", "10001"))),
        ("reduce_only_excess", lambda: "cap"),
        ("reduce_only_resting", lambda: draw.one(("rewrite", "cancel"))),
        ("split_link_id", lambda: "same"),
        ("linear_price_band", lambda: "reject"),
        ("untriggered_cancel", lambda: "Cancelled"),
        ("triggered_push", lambda: False),
        ("trigger_create_type", lambda: "CreateByUser"),
        ("child_link_id", lambda: "derived"),
        ("amend_unchanged", lambda: draw.one(("34040", "0"))),
        ("gone_code", lambda: draw.one((110008, 110010))),
        ("final_leaves", lambda: ""),
        ("padded_numbers", lambda: True),
        ("close_after_failed_auth", lambda: True),
        ("share_budget", lambda: False),
        ("funding_side", lambda: "opposite"),
        ("bad_key_status", lambda: 401),
    ]
    return {name: value() for name, value in switches if draw.chance(0.12)}


def _order(draw: Draw, n: int, length_ms: int, config: Args, actions: list[Action]) -> None:
    symbol, category, start, tick, least, step = draw.weighted({MARKETS[0]: 5, MARKETS[1]: 2, MARKETS[2]: 1})
    at_ms = draw.whole(0, length_ms)
    side = draw.one(("Buy", "Sell"))
    kind = draw.weighted(
        {
            "market": 5,
            "marketable": 3,
            "resting": 6,
            "ioc": 1,
            "fok": 1,
            "post_only": 2,
            "trigger": 2,
            "thin": 4,
            "bad": 0.5,
        }
    )
    lots = draw.one((1, 1, 2, 3, 10))
    signal: Args = {
        "symbol": symbol,
        "category": category,
        "side": side,
        "qty": times(least, lots * (3 if category != "inverse" else 30)),
        "order_type": "Limit",
        "time_in_force": None,
        "reduce_only": draw.chance(0.12),
    }
    away = draw.whole(1, 40) * step // 10
    if kind == "market":
        signal["order_type"] = "Market"
    elif kind == "bad":
        signal[draw.one(("qty", "symbol"))] = draw.one(("0", "nonsense"))
        signal["price"] = start
    else:
        toward = kind in {"marketable", "ioc", "fok", "thin"} or (kind == "post_only" and draw.chance(0.3))
        sign = (1 if side == "Buy" else -1) * (1 if toward else -1)
        signal["price"] = plus(start, tick, sign * away)
        signal["time_in_force"] = {"ioc": "IOC", "fok": "FOK", "post_only": "PostOnly"}.get(kind)
        if kind == "trigger":
            signal["trigger_price"] = plus(start, tick, (1 if side == "Buy" else -1) * draw.whole(1, 20) * step // 5)
            if draw.chance(0.5):
                signal["order_type"], signal["price"] = "Market", None
    if not signal["reduce_only"] and kind in {"market", "marketable", "resting"} and draw.chance(0.1):
        base = signal.get("price") or start
        up = 1 if side == "Buy" else -1
        signal["take_profit"] = plus(base, tick, up * step * 20)
        signal["stop_loss"] = plus(base, tick, -up * step * 20)
    if config["hedged"] and symbol == "BTCUSDT":
        opens = "Sell" if signal["reduce_only"] else "Buy"
        signal["position_idx"] = 1 if side == opens else 2
    if kind == "thin" or draw.chance(0.15):
        # Not enough on offer: a part is filled, the rest by and by.
        market: Args = {"symbol": symbol, "category": category}
        market["ask_qty" if side == "Buy" else "bid_qty"] = times(least, draw.whole(1, 6))
        actions.append(Action(max(at_ms - draw.whole(0, 300), 0), "market", market))
    actions.append(Action(at_ms, "submit", {"n": n, "signal": signal}))
    rest = kind in {"resting", "post_only", "trigger", "thin"}
    if draw.chance(0.45 if rest else 0.15):
        cancel_ms = at_ms + draw.one((0, 1, draw.whole(0, 60), draw.whole(0, 6 * SECOND)))
        actions.append(Action(cancel_ms, "cancel", {"n": n}))
    if draw.chance(0.3 if rest else 0.05):
        change: Args = {}
        if draw.chance(0.6):
            change["price"] = plus(start, tick, (-1 if side == "Buy" else 1) * draw.whole(0, 40) * step // 10)
        if not change or draw.chance(0.4):
            change["qty"] = times(least, draw.whole(1, 12) * (3 if category != "inverse" else 30))
        amend_ms = at_ms + draw.one((1, draw.whole(0, 80), draw.whole(0, 5 * SECOND)))
        actions.append(Action(amend_ms, "amend", {"n": n, "changes": change}))
    if draw.chance(0.15):
        actions.append(Action(at_ms + draw.whole(0, 4 * SECOND), "replay", {"n": n}))
    if draw.chance(0.06):
        actions.append(Action(at_ms + draw.whole(0, 4 * SECOND), "clash", {"n": n}))
    if rest and draw.chance(0.5):
        price = signal.get("price") or start
        fills: Args = {"symbol": symbol, "category": category}
        fills["trade"] = {
            "price": plus(price, tick, (-1 if side == "Buy" else 1) * draw.whole(0, 3)),
            "qty": times(least, draw.whole(1, 40) * (1 if category != "inverse" else 10)),
            "side": "Sell" if side == "Buy" else "Buy",
        }
        after_ms = draw.one((draw.whole(5, 250), draw.whole(5, 6 * SECOND)))
        actions.append(Action(at_ms + after_ms, "market", fills))


def _market_move(draw: Draw, config: Args) -> Args:
    symbol, category, start, tick, least, step = draw.one(MARKETS)
    middle = draw.whole(-30, 30) * step // 5
    return {
        "symbol": symbol,
        "category": category,
        "bid": plus(start, tick, middle),
        "ask": plus(start, tick, middle + draw.whole(1, 20)),
        "bid_qty": times(least, draw.one((2, 10, 1000))),
        "ask_qty": times(least, draw.one((2, 10, 1000))),
        "refill": draw.chance(0.7),
    }


def _target(draw: Draw) -> Args:
    """Which requests a fault of requests strikes."""
    return draw.one(
        (
            {"op": "order.create"},
            {"endpoint": "order/create"},
            {"op": "order.cancel"},
            {"endpoint": "order/cancel"},
            {"op": "order.amend"},
            {"endpoint": "order/amend"},
            {"endpoint": "order/realtime"},
            {"endpoint": "order/history"},
            {"endpoint": "execution/list"},
            {"endpoint": "position/list"},
            {"endpoint": "market/time"},
            {},
        )
    )


ERROR_CODES = (
    10000, 10001, 10002, 10006, 10016, 10019, 10429, 429, 20003, 20006, 110001, 110003, 110007, 110072, 110079,
    170007, 3100198, 987654,
)  # fmt: skip
AUTH_CODES = (10003, 10004, 10005, 10010)
TOPICS = ("order", "execution", "position")


def _fault(draw: Draw, config: Args, name: str = "") -> Args:
    name = name or draw.one(sorted(NAMES))
    count: int | None = draw.one((1, 1, 2, 4))
    made: Args = {"fault": name, "match": {}, "count": count, "probability": draw.one((1.0, 1.0, 0.5)), "args": {}}
    args, match = made["args"], made["match"]
    symbol, category, start, tick, least, step = draw.one((MARKETS[0], MARKETS[0], *MARKETS))
    match_of = {"topic": draw.one(TOPICS)}
    if name in {"lose_request", "lose_reply", "delay_reply", "rate_limit", "error", "push_before_ack"}:
        match |= draw.one((_target(draw), {"endpoint": "order/create"}, {"op": "order.create"}))
        if name == "delay_reply":
            args["ms"] = draw.one((50, 500, 3_000, 8_000))
        if name == "rate_limit":
            args |= {"ms": draw.one((100, 1_000, 4_000)), "reset_header": draw.chance(0.5)}
        if name == "error":
            args["executed"] = draw.chance(0.4)
            if draw.chance(0.25):
                args["http_status"] = draw.one((429, 500, 502, 504))
                if draw.chance(0.4):
                    args["body"] = draw.one(("", "<html>", '{"retCode": 0, "retMsg": "OK", "result": {}'))
            else:
                args["ret_code"] = draw.one(AUTH_CODES) if draw.chance(0.04) else draw.one(ERROR_CODES)
                # What these say cannot be said of a request that was executed.
                if args["ret_code"] not in {10000, 10016, 429, 170007, 987654, 20006}:
                    args["executed"] = False
                if args["ret_code"] in {10001, 110003, 110007, 3100198, 110072, 110079, 110001}:
                    _fit_code(args["ret_code"], match, draw)
    elif name == "ban":
        match |= _target(draw)
        args["s"] = draw.one((1, 3))
    elif name == "clock_skew":
        made |= {"count": None, "probability": 1.0}
        args["ms"] = draw.one((-900, -300, 300, 900, 2_000, -4_000))
    elif name in {"drop_push", "duplicate_push", "reorder_push", "delay_push", "fill_before_order_push"}:
        if name != "fill_before_order_push":
            match |= match_of
        if name == "drop_push" and draw.chance(0.2):
            made["count"] = None
        args["ms"] = draw.one((30, 300, 3_000))
    elif name in {"poison_frame", "unknown_enum", "missing_key", "empty_numbers"}:
        if draw.chance(0.25) and name != "poison_frame":
            match["endpoint"] = draw.one(("order/realtime", "order/history", "execution/list"))
        else:
            match |= match_of
        if name == "poison_frame":
            args["kind"] = draw.one(("extra_row", "broken_row", "not_json"))
    elif name in {"realtime_lag", "history_lag"}:
        # Shorter than what the router waits for before an absence counts.
        args["ms"] = draw.whole(100, int(config["visibility_s"] * 1000) - 100)
    elif name == "partial_page":
        match["endpoint"] = draw.one(("order/realtime", "order/history", "execution/list"))
        args["rows"] = draw.one((0, 1))
    elif name in {"refuse_auth", "refuse_topic", "silent"}:
        made["count"] = 1
        if name != "refuse_topic" and draw.chance(0.5):
            match["channel"] = draw.one(("private", "trade"))
    elif name in {"cut_private", "cut_trade"}:
        args["refuse_s"] = draw.one((0, 0, 1, 4))
    elif name == "reject_after_ack":
        args |= {"reject_reason": draw.one(("EC_Others", "EC_NoEnoughQtyToFill"))}
        if draw.chance(0.3):
            args["executed_qty"] = least
            match["symbol"] = symbol
    elif name == "late_fill":
        args |= {"ms": draw.one((10, 500, 4_000)), "order_push": draw.chance(0.3)}
    elif name == "shrink_reduce_only":
        pass
    elif name == "foreign_order":
        made["count"] = 1
        args |= {"symbol": symbol, "category": category, "side": draw.one(("Buy", "Sell"))}
        args["qty"] = times(least, draw.whole(1, 9) * (1 if category != "inverse" else 30))
        if config["hedged"] and symbol == "BTCUSDT":
            # Another hand opens, too: the long side by buying, the short side by selling.
            args["position_idx"] = 1 if args["side"] == "Buy" else 2
        if draw.chance(0.4):
            args["price"] = plus(start, tick, draw.whole(-20, 20) * step)
    elif name in {"manual_close", "funding", "adl", "liquidation", "settle"}:
        made["count"] = 1
        args |= {"symbol": symbol, "category": category}
        if name == "settle":
            args["exec_type"] = draw.one(("Settle", "Delivery"))
        if name == "funding":
            args["rate"] = draw.one(("0.0001", "-0.0003"))
        if name == "liquidation":
            args["take_over"] = draw.chance(0.5)
        if draw.chance(0.3) and name != "funding":
            args["qty"] = times(least, draw.whole(1, 3))
    return made


def _fit_code(code: int, match: Args, draw: Draw) -> None:
    """A permanent refusal is only said of the request that it can be true of."""
    match.clear()
    if code in {110001, 110079}:
        match |= draw.one(({"op": "order.cancel"}, {"endpoint": "order/cancel"}, {"op": "order.amend"}))
    else:
        match |= draw.one(({"op": "order.create"}, {"endpoint": "order/create"}))


def _weather(draw: Draw, length_ms: int, actions: list[Action]) -> None:
    start_ms = draw.whole(0, length_ms)
    name = draw.one(("spike", "unreachable", "lost_there", "lost_back", "stuck", "refused", "half_sent", "slow"))
    chance = draw.one((0.1, 0.3, 0.8))
    change: Args = {"least_ms": 300, "spread_ms": 900} if name == "slow" else {name: chance}
    if name == "spike":
        change["spike_ms"] = draw.one((300, 2_000, 7_000))
    actions.append(Action(start_ms, "weather", {"set": change, "for_ms": draw.one((300, 2_000, 6_000))}))


CRASH_POINTS = ("turn", "commit:before", "commit:after", *map(str, Point))
RARE_KINDS = ("quarantine", "poison", "duplicate", "parked")
RARE_POINTS = tuple(f"commit:{side}:{kind}" for side in ("before", "after") for kind in (*RARE_KINDS, "marks"))


def _other(draw: Draw, kind: str, orders: int) -> Args:
    match kind:
        case "crash":
            return {
                "point": draw.one(RARE_POINTS) if draw.chance(0.1) else draw.one(CRASH_POINTS),
                "nth": draw.one((1, 2, 3, draw.whole(1, 40))),
                "down_ms": draw.one((50, 500, 3_000, 12_000)),
                "lost_commits": draw.one((0, 0, 0, 0, 1, 2)),
                "offset_ms": draw.one((0, 0, 0, 0, -1_500, 700, 60_000)),
            }
        case "cut":
            return {"channel": draw.one(("private", "trade"))}
        case "pause":
            names = ("supervisor", "gateway", "stream", "trade", "portfolio", "external", "reconciler", "order")
            return {"actor": draw.one(names), "ms": draw.one((20, 400, 3_000))}
        case "stall":
            return {"ms": draw.one((200, 2_000, 9_000))}
        case "journal_fails":
            return {"ms": draw.one((1, 300, 2_500))}
        case "resolve":
            return {"n": draw.whole(0, orders - 1), "verdict": draw.one(("cancelled", "rejected", "settled"))}
        case "break":
            return {"n": draw.whole(0, orders - 1)}
        case _:
            return {}
