"""What designed misfortunes are made of: an order of their own, faults and deeds that are about it alone."""

from __future__ import annotations

from hean.core.ids import order_link_id
from tests.simulator.plan import Action, Args, Draw, plus

STATES = ("SUBMITTED", "PENDING", "TIMEOUT", "ACKNOWLEDGED", "PARTIAL_FILL")
ENDS = ("FILLED", "CANCELLED", "REJECTED", "CLOSED", "ERROR")
PRICE, TICK, QTY = "95000", "0.1", "0.006"
# Refused, not executed, refused for frequency, unknown, duplicate: what a create may be told that was not executed.
NOES = (110007, 110003, 10002, 10006, 10016, 110072)
# What may be said of one that was: unknown, and a duplicate where the exchange itself tried twice.
EXECUTED = (10000, 10016, 110072)

TROUBLES = ("", "lost", "unheard", "throttled", "rejected", "gap", "silent", "slow", "twice", "late", "over")
DEEDS = ("bug", "slip", "slip", "cancel", "amend", "resolve", "halt", "reconcile", "reconcile", "trade", "crash")


def fault(name: str, match: Args, args: Args | None = None, count: int | None = 1) -> Args:
    """A fault to be armed."""
    return {"fault": name, "match": match, "count": count, "probability": 1.0, "args": args or {}}


class Design:
    """
    One misfortune in the making.

    Args:
        draw: decides.
        config: of the world; some of it is made to fit.
        actions: of the plan; what is designed is added.
        n: of the signal.
        at_ms: when it is submitted.
    """

    def __init__(self, draw: Draw, config: Args, actions: list[Action], n: int, at_ms: int) -> None:
        self.one, self.chance, self.whole = draw.one, draw.chance, draw.whole
        self.config = config
        self.actions = actions
        self.n = n
        self.at_ms = at_ms
        self.link_id = str(order_link_id("sim", f"s{n}", 0))
        self.mine = {"orderLinkId": self.link_id}
        self.kind = "market"

    # What is put together.

    def at(self, kind: str, args: Args, after_ms: int = 0) -> None:
        self.actions.append(Action(max(self.at_ms + after_ms, 0), kind, args))

    def arm(self, name: str, match: Args | None = None, args: Args | None = None, count: int | None = 1) -> None:
        """A fault of this order alone, from before it is sent."""
        self.at("fault", fault(name, self.mine | (match or {}), args, count), -1)

    def wait(self, on: str, *deeds: Args, nth: int = 1) -> None:
        """Let these deeds wait for that moment."""
        self.at("ambush", {"n": self.n, "on": on, "nth": nth, "do": list(deeds)}, -1)

    def keep_back(self, op: str, after_ms: int = -1) -> None:
        """Let the answer to the next such request wait until somebody releases it."""
        self.config |= {"entry": "ws", "reply_timeout_s": 1.0}
        self.at(
            "hold_reply", {"n": self.n, "reply": {"op": op, "nth": 1, "most_ms": self.one((6_000, 15_000))}}, after_ms
        )

    def hasten(self) -> None:
        """Let an absence be proven as soon as it may, which is never before the lists have caught up."""
        faults = [action.args for action in self.actions if action.kind == "fault"]
        if any(each["fault"] in {"realtime_lag", "history_lag"} and each["args"]["ms"] >= 1_500 for each in faults):
            return
        self.config |= {"recv_window_ms": 500, "visibility_s": 1.6, "reply_timeout_s": 1.0, "max_age_s": 300.0}
        self.config["spread_ms"] = min(self.config["spread_ms"], 40)

    def submit_for(self, state: str) -> None:
        """An order that comes to that state by itself, where one can."""
        kinds = {"ACKNOWLEDGED": "resting", "PARTIAL_FILL": "part", "FILLED": "market", "CANCELLED": "fok"}
        self.submit(kinds.get(state, "") if self.chance(0.8) else "")
        if state == "CANCELLED" and self.kind in {"resting", "part"}:
            self.at("cancel", {"n": self.n}, self.whole(20, 3_000))

    def submit(self, kind: str = "") -> None:
        """The order: it fills at once, rests, fills in part, or cannot fill."""
        self.kind = kind or self.one(("market", "market", "resting", "resting", "part", "fok", "trigger"))
        signal: Args = {
            "symbol": "BTCUSDT",
            "category": "linear",
            "side": "Buy",
            "qty": QTY,
            "order_type": "Market" if self.kind == "market" else "Limit",
            "time_in_force": "FOK" if self.kind == "fok" else None,
            "reduce_only": False,
        }
        if self.kind != "market":
            signal["price"] = plus(PRICE, TICK, -self.whole(200, 3_000) if self.kind == "resting" else 400)
        if self.kind == "trigger":
            signal |= {"trigger_price": plus(PRICE, TICK, 500), "price": plus(PRICE, TICK, self.one((-2_000, 900)))}
        if self.config["hedged"]:
            signal["position_idx"] = 1
        market: Args = {"symbol": "BTCUSDT", "category": "linear", "bid": "94999.9", "ask": "95000.0", "refill": True}
        if self.kind in {"part", "fok"}:
            market |= {"ask_qty": "0.002", "refill": False}
        self.price = signal.get("price", PRICE)
        self.at("market", market, -2)
        self.at("submit", {"n": self.n, "signal": signal})

    def trade(self, qty: str = "") -> Args:
        """Others trade at our price."""
        qty = qty or self.one(("0.002", "0.005", "0.05"))
        trade = {"price": self.price, "qty": qty, "side": "Sell"}
        return {"symbol": "BTCUSDT", "category": "linear", "trade": trade}

    def moves(self) -> None:
        """What the order's life is made of, at any time after it was sent."""
        for _ in range(self.one((1, 1, 2, 3))):
            after_ms = self.one((self.whole(0, 200), self.whole(200, 2_000), self.whole(2_000, 9_000)))
            if self.kind == "trigger" and self.chance(0.6):
                self.at("market", {"symbol": "BTCUSDT", "category": "linear", "last": "95055.0"}, after_ms)
            elif self.kind in {"resting", "part"} and self.chance(0.6):
                self.at("market", self.trade(), after_ms)
            elif self.chance(0.7):
                self.at("cancel", {"n": self.n}, after_ms)
            else:
                self.at("amend", {"n": self.n, "changes": {"qty": self.one(("0.003", "0.009"))}}, after_ms)

    def stretch(self, on: str) -> list[Args]:
        """What makes a moment longer: those who would end it are slow."""
        deeds: list[Args] = []
        if on in {"FILLED", "CANCELLED", "REJECTED", "ERROR"} and self.chance(0.7):
            deeds.append({"do": "hold", "actor": "portfolio", "ms": self.whole(500, 6_000)})
        if self.chance(0.3):
            deeds.append({"do": "hold", "actor": "order", "ms": self.one((5, 300, 3_000))})
        return deeds

    def trouble(self) -> None:
        """What goes wrong on the way, so that every state is come to by more than one road."""
        match self.one(
            ("", "lost", "unheard", "throttled", "rejected", "gap", "silent", "slow", "twice", "late", "over")
        ):
            case "lost":
                self.arm(self.one(("lose_request", "lose_reply")))
            case "unheard":
                self.arm("lose_reply")
                self.arm("delay_push", {}, {"ms": self.whole(300, 6_000)}, 6)
            case "throttled":
                self.arm("rate_limit", {"op": "order.create"}, {"ms": self.whole(500, 4_000), "reset_header": True})
            case "rejected":
                executed = self.one(("0", "0.002", QTY))
                self.arm("reject_after_ack", {}, {"reject_reason": "EC_Others", "executed_qty": executed})
                if self.chance(0.6):
                    self.arm("delay_push", {"topic": "execution"}, {"ms": self.whole(50, 3_000)}, 3)
                if self.chance(0.5):
                    self.arm("duplicate_push", {"topic": "order"}, {}, 3)
                    self.wait("SUBMITTED", {"do": "hold", "actor": "order", "ms": self.whole(20, 400)})
                if self.chance(0.4):
                    # A list that lags shows it open meanwhile.
                    self.arm("lose_reply")
                    self.arm("realtime_lag", {}, {"ms": self.whole(1, 900)}, 3)
                    self.arm("delay_push", {"topic": "order"}, {"ms": self.whole(100, 2_500)})
            case "gap":
                self.arm("drop_push", {"topic": "execution"}, {}, None)
            case "silent":
                self.arm("drop_push", {}, {}, None)
            case "slow":
                self.arm("delay_push", {"topic": self.one(("order", "execution"))}, {"ms": self.whole(20, 5_000)}, 4)
            case "twice":
                self.arm("duplicate_push", {}, {}, 4)
                self.arm("reorder_push", {"topic": "order"}, {}, 2)
            case "late":
                qty = self.one(({}, {"qty": "0.002"}))
                late = {"ms": self.one((5, 300, 3_000)), "order_push": self.chance(0.4)} | qty
                self.arm("late_fill", {}, late)
                if self.chance(0.5):
                    self.arm("overfill")
            case "over":
                self.arm("overfill")
