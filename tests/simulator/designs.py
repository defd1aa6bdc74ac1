"""
Designed misfortunes: what chance alone hardly ever puts together, drawn as one.

Each takes an order of its own through a few steps on purpose, waits for it in a state, and lets something late, doubled
or ill-timed strike there. Which is drawn: so every pair of a state and a fact that can meet does, sooner or later.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.simulator.design import ENDS, EXECUTED, NOES, PRICE, QTY, STATES, TICK, Design, fault
from tests.simulator.plan import SECOND, Action, Args, Draw, plus


def doubt(draw: Draw, config: Args, actions: list[Action]) -> None:
    """Several misfortunes at once: an order of which neither the reply, nor the stream, nor the lists tell in time."""
    at_ms = draw.one([action.at_ms for action in actions if action.kind == "submit"])
    create = draw.one(({"endpoint": "order/create"}, {"op": "order.create"}, {}))
    code = {"ret_code": draw.one((10000, 10016, 987654)), "executed": True}
    lost: list[tuple[str, Args]] = [("lose_reply", {}), ("lose_request", {}), ("error", code)]
    name, args = draw.one(lost)
    together: list[tuple[str, Args, Args]] = [
        (name, create, args),
        ("realtime_lag", {}, {"ms": draw.whole(100, int(config["visibility_s"] * 1000) - 100)}),
        (draw.one(("delay_push", "drop_push")), {"topic": "order"}, {"ms": draw.one((300, 3_000))}),
        (draw.one(("delay_push", "drop_push")), {"topic": "execution"}, {"ms": draw.one((300, 3_000))}),
    ]
    for name, match, args in together:
        if draw.chance(0.9):
            count = 1 if match is create else draw.one((2, 4, None))
            actions.append(Action(max(at_ms - draw.one((0, 1, 30)), 0), "fault", fault(name, match, args, count)))


def late_no(draw: Draw, actions: list[Action]) -> None:
    """A create that is refused, of which we hear when its absence was proven long ago, and it was sent again."""
    at_ms = max(draw.one([action.at_ms for action in actions if action.kind == "submit"]) - 1, 0)
    code = {"ret_code": draw.one((10002, 10006, 110003, 110007)), "executed": False}
    for name, args in (("error", code), ("delay_reply", {"ms": draw.whole(3_000, 12_000)})):
        actions.append(Action(at_ms, "fault", fault(name, {"op": "order.create"}, args)))


def design(draw: Draw, config: Args, actions: list[Action], n: int, length_ms: int) -> int:
    """One designed misfortune about signal `n`, which is of it alone; how long the world must be for it."""
    at_ms = draw.whole(0, max(length_ms - 3 * SECOND, 0))
    Designs(draw, config, actions, n, at_ms).draw()
    return max(length_ms, at_ms + draw.whole(3, 9) * SECOND)


class Designs(Design):
    """The designs."""

    def draw(self) -> None:
        """Draw one."""
        kinds: tuple[tuple[Callable[[], None], int], ...] = (
            (self.late_reply, 8),
            (self.ill_timed, 6),
            (self.late_command, 2),
            (self.blind_lists, 2),
            (self.unanswered, 1),
            (self.refused_while_asked, 2),
            (self.decided_too_soon, 2),
            (self.after_the_end, 2),
            (self.let_go_meanwhile, 1),
            (self.impatient, 2),
            (self.unsent, 2),
            (self.believed_refused, 2),
            (self.crowded, 2),
            (self.twin, 1),
            (self.rejected_late, 2),
            (self.fails_often, 1),
            (self.forgotten, 6),
            (self.pieces, 1),
            (self.dies_recording, 1),
        )
        self.one([kind for kind, weight in kinds for _ in range(weight)])()

    def late_reply(self) -> None:
        """The answer to a create comes when the order has long gone on, whatever it says."""
        on = self.one((*STATES, *ENDS))
        self.submit_for(on)
        executed, again = on not in {"PENDING", "REJECTED"} and self.chance(0.4), False
        if self.chance(0.7):
            self.hasten()
        if executed and self.chance(0.7):
            self.arm("error", {"op": "order.create"}, {"ret_code": self.one(EXECUTED), "executed": True})
        elif not executed:
            self.arm("error", {"op": "order.create"}, {"ret_code": self.one(NOES), "executed": False})
            self.config["max_tries"] = self.one((1, 2)) if on == "REJECTED" else 5
            if again := on in {"PENDING", "TIMEOUT", "REJECTED", "ERROR"} and self.chance(0.4):
                # Its second try comes to nothing as well, and then its first is answered.
                self.arm("error", {"op": "order.create"}, {"ret_code": 10016, "executed": False})
        self.keep_back("order.create")
        release: Args = {"do": "release"}
        if self.chance(0.3):
            release["after_ms"] = self.one((1, 20, 300))
        if on == "ERROR":
            self.wait(self.one(("SUBMITTED", "TIMEOUT", "ACKNOWLEDGED")), {"do": "bug"}, nth=1 + again)
        nth = 2 if on == "SUBMITTED" or (again and on in {"TIMEOUT", "PENDING"}) else 1
        self.wait(on, *self.stretch(on), release, nth=nth)
        if self.chance(0.4):
            self.moves()
        if self.chance(0.25):
            self.trouble()

    def ill_timed(self) -> None:
        """Something is asked, breaks, or is compared at the very moment an order comes to a state."""
        on = self.one((*STATES, *ENDS))
        self.submit_for(on)
        if self.chance(0.7):
            self.trouble()
        deeds = self.stretch(on)
        for _ in range(self.one((1, 2, 3))):
            deed = self.deed()
            if self.chance(0.25):
                deed["after_ms"] = self.one((1, 30, 700))
            deeds.append(deed)
        if on == "ERROR":
            self.wait(self.one((*STATES, "FILLED", "CANCELLED")), {"do": "bug"})
        if self.chance(0.3):
            self.config["max_tries"] = self.one((1, 3))
        self.wait(on, *deeds, nth=self.one((1, 1, 1, 2)))
        self.moves()

    def deed(self) -> Args:
        match self.one(
            ("bug", "slip", "slip", "cancel", "amend", "resolve", "halt", "reconcile", "reconcile", "trade", "crash")
        ):
            case "resolve":
                return {"do": "resolve", "verdict": self.one(("cancelled", "rejected", "settled"))}
            case "amend":
                return {"do": "amend", "changes": {"qty": self.one(("0.003", "0.009"))}}
            case "halt":
                self.at("resume", {}, self.whole(1_000, 8_000))
                return {"do": "halt"}
            case "trade":
                return {"do": "market", "market": self.trade()}
            case "crash":
                return {"do": "crash", "crash": {"down_ms": self.one((50, 3_000)), "lost_commits": 0, "offset_ms": 0}}
            case name:
                return {"do": name}

    def late_command(self) -> None:
        """The answer to a cancel comes when the order is in doubt again, or has ended in another way."""
        self.submit("resting")
        self.keep_back("order.cancel")
        if self.chance(0.5):
            # Nothing but the reply says that it is there; then its actor fails, and it is in doubt.
            self.arm("delay_push", {}, {"ms": self.whole(2_000, 6_000)}, 8)
            if self.chance(0.6):
                self.arm("error", {"op": "order.cancel"}, {"ret_code": self.one((10016, 110001)), "executed": False})
            cancel: list[Args] = [{"do": "cancel"}, {"do": "slip", "after_ms": self.whole(5, 60)}]
            self.wait("SUBMITTED accepted", *cancel)
            self.wait("TIMEOUT", {"do": "release", "after_ms": self.one((0, 1, 5))})
        else:
            # It never arrived; its actor fails for good, and is asked for a cancel all the same.
            self.hasten()
            self.arm("error", {"op": "order.create"}, {"ret_code": 10016, "executed": False})
            if self.chance(0.5):
                # Taken for processing, and it came to nothing.
                self.arm("error", {"op": "order.cancel"}, {"ret_code": 0, "executed": False})
            self.wait("TIMEOUT", {"do": "bug"})
            self.wait("ERROR", {"do": "cancel"})
            self.wait("REJECTED", {"do": "release"})

    def blind_lists(self) -> None:
        """What the stream has shown, or a reply has promised, the exchange's lists deny for long."""
        on = self.one(("SUBMITTED accepted", "ACKNOWLEDGED", "PARTIAL_FILL", "FILLED", "CANCELLED"))
        self.hasten()
        self.config["reconcile_s"] = 20.0
        self.submit({"CANCELLED": "part", "FILLED": "market", "PARTIAL_FILL": "part"}.get(on, "resting"))
        if on == "SUBMITTED accepted":
            self.arm("drop_push", {}, {}, None)
        else:
            self.arm("drop_push", {"topic": "execution"}, {}, None)
        deny = [fault(name, self.mine, {"ms": 60_000}, None) for name in ("realtime_lag", "history_lag")]
        self.wait(on, {"do": "deny"}, *({"do": "fault", "fault": each} for each in deny))
        if on == "ACKNOWLEDGED":
            for op in ("order.cancel", "order.amend"):
                self.arm("error", {"op": op}, {"ret_code": 10016, "executed": False})
        if on in {"ACKNOWLEDGED", "CANCELLED"}:
            self.at("cancel", {"n": self.n}, self.whole(100, 1_000))
        else:
            self.moves()

    def unanswered(self) -> None:
        """Nothing tells of an order that is there, and no question about it is answered until an absence counts."""
        self.hasten()
        self.config["reconcile_s"] = 20.0
        self.submit(self.one(("resting", "part", "market")))
        self.arm("lose_reply")
        self.arm("drop_push", {}, {}, None)
        for endpoint in ("order/realtime", "order/history", "execution/list"):
            self.arm("error", {"endpoint": endpoint}, {"ret_code": self.one((10000, 10006, 10016))}, self.whole(4, 12))
        self.moves()

    def refused_while_asked(self) -> None:
        """An order in doubt is looked up; before its actor comes to read the answer, the create's refusal is there."""
        self.submit()
        self.hasten()
        self.arm("error", {"op": "order.create"}, {"ret_code": self.one((110007, 110003)), "executed": False})
        self.keep_back("order.create")
        on = self.one(("TIMEOUT", "TIMEOUT nothing_found", "TIMEOUT query_due", "TIMEOUT query_due"))
        after_ms = self.one((0, self.whole(1, 60), self.whole(1, 1_000)))
        held_ms = self.one((60, 300, 4_000))
        if self.chance(0.5):
            # So slow that the answer to the last of its questions is what waits.
            self.config["spread_ms"], self.config["behaviour"] = 0, {}
            after_ms, held_ms = self.whole(0, 8), 20
        deeds: list[Args] = [
            {"do": "hold", "actor": "order", "ms": held_ms, "after_ms": after_ms},
            {"do": "release", "after_ms": after_ms + 1},
        ]
        self.wait(on, *deeds, nth=1 if on == "TIMEOUT" else self.whole(1, 6))
        if self.chance(0.3):
            self.arm("partial_page", {"endpoint": "order/realtime"}, {"rows": 0})
        if self.chance(0.3):
            self.arm("error", {"endpoint": "order/realtime"}, {"ret_code": 10016, "executed": False}, 2)

    def decided_too_soon(self) -> None:
        """A person decides of an order while the exchange's word about it is still on its way."""
        self.submit()
        if self.chance(0.7):
            self.trouble()
        self.arm("delay_push", {}, {"ms": self.whole(1, 900)}, 8)
        self.wait(self.one(("SUBMITTED", "SUBMITTED", "TIMEOUT")), {"do": "bug"})
        deeds: list[Args] = [{"do": "hold", "actor": "order", "ms": self.whole(50, 1_500)}] if self.chance(0.8) else []
        if self.chance(0.8):
            verdict = self.one(("cancelled", "cancelled", "rejected"))
            deeds.append({"do": "resolve", "verdict": verdict, "after_ms": self.one((0, 0, 20, 300))})
        self.wait("ERROR", *deeds)
        if self.chance(0.4):
            # What they said was wrong, and more comes of it while its position is slow.
            self.wait("REJECTED", {"do": "hold", "actor": "portfolio", "ms": 5_000}, nth=2)
            self.arm("late_fill", {}, {"ms": self.one((5, 300)), "qty": "0.002"})
        if self.chance(0.3):
            self.arm("overfill")
        if self.chance(0.3):
            self.wait("ERROR", {"do": "by_hand", "after_ms": self.whole(10, 900)})
        self.moves()

    def after_the_end(self) -> None:
        """Something is executed after the exchange called it the end, and before its position has the rest."""
        self.submit(self.one(("part", "part", "market")))
        self.wait(self.one(("CANCELLED", "FILLED")), {"do": "hold", "actor": "portfolio", "ms": self.whole(500, 5_000)})
        if self.kind == "part":
            late = {"ms": self.one((1, 30, 900, 3_000)), "order_push": self.chance(0.4)}
            self.arm("late_fill", {}, late | self.one(({}, {"qty": "0.002"})))
            self.at("cancel", {"n": self.n}, self.whole(50, 1_500))
        else:
            self.arm("overfill", {}, {"apart_ms": self.one((1, 30, 900, 4_000))})
        if self.chance(0.3):
            self.arm("duplicate_push", {"topic": "execution"}, {}, 3)

    def let_go_meanwhile(self) -> None:
        """Something is executed after the end, and waits for an actor that is slow when its settled order is let go."""
        self.submit("part")
        late = {"ms": self.whole(300, 2_500), "qty": "0.002", "order_push": self.chance(0.4)}
        self.arm("late_fill", {}, late)
        self.at("cancel", {"n": self.n}, self.whole(50, 1_500))
        self.wait("CLOSED", {"do": "hold", "actor": "order", "ms": self.whole(2_000, 5_000)})

    def impatient(self) -> None:
        """A create that was refused is to be tried again later, and something else happens before."""
        self.submit()
        self.config["max_age_s"], self.config["max_tries"] = 300.0, 5
        self.arm("rate_limit", {"op": "order.create"}, {"ms": 4_000, "reset_header": True})
        slow: list[Args] = [{"do": "hold", "actor": "order", "ms": 3_000}] if self.chance(0.5) else []
        self.wait("PENDING", *slow, {"do": self.one(("bug", "slip", "cancel", "cancel"))})
        if self.chance(0.3):
            self.moves()

    def unsent(self) -> None:
        """A create waits in the gateway until it is too old, while its order goes on without it."""
        self.submit()
        self.config |= {"entry": "rest", "max_age_s": 3.0}
        fails = self.one(("bug", "slip", "cancel"))
        self.wait(
            "SUBMITTED",
            {"do": "hold", "actor": "gateway", "ms": self.whole(2_500, 6_000)},
            {"do": fails, "after_ms": 5},
        )

    def believed_refused(self) -> None:
        """A create is refused for load, and was executed; its second try grows too old and never leaves."""
        on = self.one(("ACKNOWLEDGED", "PARTIAL_FILL", "FILLED", "CANCELLED", "CLOSED"))
        self.submit_for("FILLED" if on == "CLOSED" else on)
        self.config |= {"entry": "rest", "max_tries": 5, "recv_window_ms": 2_000, "visibility_s": 4.0, "max_age_s": 3.0}
        self.config["spread_ms"] = min(self.config["spread_ms"], 40)
        self.arm("error", {"endpoint": "order/create"}, {"http_status": 429, "executed": True})
        # Nothing tells of it before the second try waits; should that one leave, nobody could have known better.
        self.arm("delay_push", {}, {"ms": self.whole(600, 3_000)}, 8)
        for name in ("realtime_lag", "history_lag"):
            self.arm(name, {}, {"ms": 2_000}, 12)
        waits: Args = {"do": "hold", "actor": "gateway", "ms": self.whole(3_000, 6_000)}
        self.wait("SUBMITTED nothing_found", {"do": "deny"}, waits)
        self.wait(on, {"do": "hold", "actor": "portfolio", "ms": self.one((0, 8_000))})
        if on in {"PARTIAL_FILL", "CANCELLED"} and self.chance(0.5):
            self.moves()

    def rejected_late(self) -> None:
        """The exchange takes an order and rejects it later, perhaps after a part of it was executed."""
        self.submit(self.one(("trigger", "market", "resting")))
        executed = self.one(("0", "0.002", QTY))
        self.arm("reject_after_ack", {}, {"reject_reason": "EC_Others", "executed_qty": executed})
        if self.chance(0.7):
            self.arm("delay_push", {"topic": "execution"}, {"ms": self.whole(50, 3_000)}, 3)
        if self.kind == "trigger":
            last = {"symbol": "BTCUSDT", "category": "linear", "last": "95055.0"}
            self.at("market", last, self.whole(100, 2_000))
            if self.chance(0.4):
                self.wait("ACKNOWLEDGED", {"do": self.one(("bug", "slip"))})
            return
        if self.chance(0.5):
            self.arm("lose_reply")
            self.arm("error", {"endpoint": "order/realtime"}, {"ret_code": 10016, "executed": False}, 3)
        self.arm("delay_push", {"topic": "order"}, {"ms": self.whole(1, 700)})
        if self.chance(0.4):
            self.arm("duplicate_push", {"topic": "order"}, {}, 3)
        if self.chance(0.4):
            on = self.one(("SUBMITTED", "TIMEOUT"))
            deeds: list[Args] = [{"do": "hold", "actor": "order", "ms": self.whole(20, 1_500)}]
            self.wait(on, *deeds, *([{"do": "bug"}] if self.chance(0.4) else []))

    def crowded(self) -> None:
        """A create waits for its budget, and its actor fails: it is in doubt, and has not left."""
        self.submit()
        self.hasten()
        self.config |= {"max_tries": self.one((1, 5)), "spread_ms": self.one((0, 5)), "behaviour": {}}
        for number in range(self.one((1, 2, 3))):
            # Others are refused for frequency, and none of their kind may leave for a while.
            at_ms = self.at_ms - self.whole(8, 80)
            other = Designs(Draw(f"{self.link_id} {number}"), self.config, self.actions, self.n + 1 + number, at_ms)
            other.submit("resting")
            other.arm("rate_limit", {}, {"ms": 4_000, "reset_header": True})
        self.wait("SUBMITTED", {"do": "slip", "after_ms": self.one((0, 0, 5, 300))})
        if self.chance(0.3):
            self.moves()

    def twin(self) -> None:
        """Another hand uses the ID of a signal of ours, for an order that is not what the signal asks for."""
        if self.config["hedged"]:
            # Whose side a stranger's order is on, nobody can tell who booked it as his own.
            self.ill_timed()
            return
        self.submit("resting")
        # Whatever comes of it, a person has to look.
        self.at("ambush", {"n": self.n, "on": "SUBMITTED", "do": [{"do": "deny"}]}, -1)
        args: Args = {"symbol": "BTCUSDT", "category": "linear", "side": self.one(("Buy", "Sell")), "qty": "0.02"}
        args["order_link_id"] = self.link_id
        if self.chance(0.4):
            args["price"] = "90000" if args["side"] == "Buy" else "99000"
        taken = fault("foreign_order", {}, args)
        match self.one(("before", "at once", "throttled")):
            case "before":
                self.at("fault", taken, -self.one((2, 300)))
                self.arm("delay_push", {}, {"ms": self.whole(1, 400)}, 4)
            case "at once":
                self.wait("SUBMITTED", {"do": "fault", "fault": taken})
            case _:
                self.arm("rate_limit", {"op": "order.create"}, {"ms": 2_000, "reset_header": True})
                self.wait("PENDING", {"do": "fault", "fault": taken})

    def fails_often(self) -> None:
        """Its actor fails too often, at the last in a state that a failure does not leave alone."""
        self.submit()
        self.hasten()
        self.config["max_tries"] = 5
        self.arm("error", {}, {"ret_code": self.one((10016, 10006)), "executed": False})
        self.wait("SUBMITTED", {"do": "slip", "times": 3})
        self.wait("PENDING" if self.chance(0.5) else "SUBMITTED sent", {"do": "slip"}, nth=1)
        self.wait("SUBMITTED", {"do": "slip"}, nth=2)

    def forgotten(self) -> None:
        """
        A power cut takes the intent of an order that the exchange has; its signal comes again, and is another order.

        Only the exchange refuses it then, as a duplicate, or for any other reason.
        """
        self.submit(self.one(("resting", "resting", "part", "market", "trigger")))
        if self.chance(0.3):
            self.arm("overfill", {}, self.one(({}, {"apart_ms": 700})))
        elif self.chance(0.3):
            self.arm("reject_after_ack", {}, {"reject_reason": "EC_Others", "executed_qty": self.one(("0", "0.002"))})
        lost = self.one((2, 3, 4, 5))
        self.config["spread_ms"] = min(self.config["spread_ms"], 5)
        crash = {"lost_commits": lost, "down_ms": self.one((60, 500)), "offset_ms": 0}
        # Its bytes are there by then, and the exchange's word is not, or hardly.
        self.at("crash", crash | {"point": "turn", "nth": self.whole(7, 16)}, -1)
        if self.chance(0.5):
            self.arm("delay_push", {}, {"ms": self.whole(500, 9_000)}, 6)
        match self.one(("", "refused", "refused", "throttled", "throttled", "duplicate", "unsent")):
            case "refused":
                code = self.one(NOES)
                self.at("fault", fault("error", self.mine, {"ret_code": code, "executed": False}), self.whole(30, 60))
                if self.chance(0.7):
                    self.hold_second()
            case "throttled":
                # It is to be tried again later, and the first is filled, shown or ended meanwhile.
                args = {"ms": 4_000, "reset_header": True}
                self.at("fault", fault("rate_limit", self.mine, args), self.whole(30, 60))
                deed: Args = {"do": self.one(("market", "fault", "by_hand", "market")), "after_ms": self.whole(0, 900)}
                deed |= {"market": self.trade(self.one(("0.002", "0.05"))), "fault": fault("cut_private", {})}
                self.wait("PENDING", deed)
                self.wait(self.one(("FILLED", "CANCELLED")), {"do": "hold", "actor": "portfolio", "ms": 4_000})
                if self.chance(0.5):
                    # Shown by a list, and its executions not yet.
                    self.arm("history_lag", {}, {"ms": 9_000}, 8)
            case "duplicate":
                self.hold_second()
            case "unsent":
                # It waits in the gateway until it is too old, while the first lives.
                self.config |= {"max_age_s": 3.0, "entry": "rest"}
                waits: Args = {"do": "hold", "actor": "gateway", "ms": self.whole(3_000, 6_000)}
                last = {"symbol": "BTCUSDT", "category": "linear", "last": "95055.0"}
                deed = self.one(
                    (
                        {"do": "by_hand"},
                        {"do": "market", "market": last},
                        {"do": "market", "market": self.trade("0.05")},
                    )
                )
                self.wait("SUBMITTED", waits, deed | {"after_ms": self.whole(10, 2_500)}, nth=2)
                if self.chance(0.5):
                    self.wait(self.one(("FILLED", "CANCELLED")), {"do": "hold", "actor": "portfolio", "ms": 6_000})
        if self.chance(0.5):
            on = self.one(("PENDING", "REJECTED", "TIMEOUT"))
            self.wait(on, *self.stretch(on), self.deed(), {"do": "market", "market": self.trade()})
        for _ in range(3):
            self.at("market", self.trade("0.002"), self.whole(500, 9_000))
        self.moves()

    def hold_second(self) -> None:
        """Let the answer to the second create wait for a state."""
        self.keep_back("order.create", self.whole(30, 60))
        on = self.one((*STATES, *ENDS))
        self.wait(on, *self.stretch(on), {"do": "release"})
        # What was found again goes on.
        goes_on = {"PARTIAL_FILL": "0.002", "FILLED": "0.05", "CLOSED": "0.05"}
        deed: Args = (
            {"do": "by_hand"} if on == "CANCELLED" else {"do": "market", "market": self.trade(goes_on.get(on, ""))}
        )
        if on != "ACKNOWLEDGED":
            self.wait("ACKNOWLEDGED", deed | {"after_ms": self.whole(1, 300)})

    def pieces(self) -> None:
        """A reduce-only order becomes several under one ID, and its answer comes while it is looked up."""
        if self.config["hedged"]:
            self.ill_timed()
            return
        self.config |= {"entry": "ws", "opening": True}
        self.config["behaviour"] = self.config["behaviour"] | {"split_link_id": "same"}
        signal: Args = {
            "symbol": "BTCUSDT",
            "category": "linear",
            "side": "Sell",
            "qty": "0.012",
            "order_type": "Limit",
        }
        signal |= {"time_in_force": None, "reduce_only": True, "price": plus(PRICE, TICK, self.one((-300, 900)))}
        self.at("submit", {"n": self.n, "signal": signal})
        self.price = signal["price"]
        self.arm("split_reduce_only", {}, {"parts": self.one((2, 3))})
        self.arm("drop_push", {}, {}, None)
        self.keep_back("order.create")
        self.wait("TIMEOUT", {"do": "release", "after_ms": self.one((1, 2, 5, 10, 30, 100))})

    def dies_recording(self) -> None:
        """The process dies while it writes down what did not read, or whom it gave up."""
        self.submit()
        kind = self.one(("quarantine", "poison", "duplicate", "parked", "marks"))
        point = f"commit:{self.one(('before', 'after'))}:{kind}"
        crash = {"point": point, "nth": 1, "down_ms": self.one((50, 3_000)), "lost_commits": 0, "offset_ms": 0}
        self.at("crash", crash, -1)
        if kind == "quarantine":
            name, args = self.one((("poison_frame", {"kind": "broken_row"}), ("unknown_enum", {})))
            self.arm(name, {"topic": self.one(("order", "execution"))}, args)
        elif kind == "poison":
            self.wait(self.one(("SUBMITTED", "ACKNOWLEDGED", "FILLED")), {"do": "bug"})
        elif kind == "duplicate":
            self.arm("duplicate_push", {"topic": "execution"}, {}, 2)
        self.moves()
