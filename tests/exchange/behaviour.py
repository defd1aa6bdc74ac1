"""
The points Bybit's documentation leaves open, as switches.

Nothing in this list is a fact about Bybit. A client has to survive every value of every switch.
"""

import random

import attrs

Value = bool | int | str | list[int]


@attrs.frozen
class Switch:
    """
    One open point: its default, and the values it may take (empty: any of the default's type).
    """

    default: Value
    choices: tuple[Value, ...] = ()
    note: str = ""


SWITCHES: dict[str, Switch] = {
    "ack_delay_ms": Switch(0, note="before a reply to create, amend, cancel or a batch: ms, or [least, most]"),
    "session_ack_delay_ms": Switch(0, note="before the ack of auth, subscribe, unsubscribe"),
    "order_push_delay_ms": Switch(0, note="before a frame of the order topic: ms, or [least, most]"),
    "execution_push_delay_ms": Switch(0, note="before a frame of the execution topics"),
    "position_push_delay_ms": Switch(0, note="before a frame of the position topic"),
    "wallet_push_delay_ms": Switch(0, note="before a frame of the wallet topic"),
    "order_before_execution": Switch(False, note="which of the two frames of one match goes first"),
    "fills_per_frame": Switch("all", ("all", "one"), "several fills of one match: one frame, or one frame each"),
    "position_push_unchanged": Switch(True, note="push the position on every create, amend, cancel"),
    "wallet_push_on_order": Switch(False, note="push the wallet when only order margin changed"),
    "post_only_inverse": Switch("Cancelled", ("Cancelled", "Rejected"), "a PostOnly inverse order that would take"),
    "post_only_spot": Switch(
        "Rejected", ("Rejected", "Cancelled", "170218"), "the same on spot; 170218 is synchronous"
    ),
    "fok_refusal": Switch("Cancelled", ("Cancelled", "Rejected"), "FOK that cannot be filled whole"),
    "market_no_liquidity": Switch("Cancelled", ("Cancelled", "110118", "10001"), "market order and an empty book"),
    "reduce_only_excess": Switch(
        "truncate", ("truncate", "cap"), "create larger than the position: qty rewritten, or capped by the fills"
    ),
    "reduce_only_resting": Switch(
        "keep", ("keep", "rewrite", "cancel"), "resting reduce-only larger than a position that shrank"
    ),
    "reduce_only_reason": Switch("EC_PerCancelRequest", note="rejectReason beside CancelByReduceOnly"),
    "split_link_id": Switch("empty", ("empty", "same"), "orderLinkId of the extra orders of a split reduce-only order"),
    "linear_price_band": Switch(
        "move", ("move", "reject"), "linear and inverse price outside the band; reject is 110003"
    ),
    "spot_price_band": Switch("reject", ("move", "reject"), "spot price outside the band"),
    "untriggered_cancel": Switch(
        "Deactivated", ("Deactivated", "Cancelled"), "conditional order cancelled before it fired"
    ),
    "triggered_push": Switch(True, note="push the momentary Triggered"),
    "trigger_new_order_id": Switch(False, note="a conditional order gets a new orderId when it fires"),
    "trigger_create_type": Switch(
        "CreateByStopOrder", ("CreateByStopOrder", "CreateByUser"), "createType after firing"
    ),
    "child_link_id": Switch("empty", ("empty", "derived"), "orderLinkId of attached TP/SL orders"),
    "amend_unchanged": Switch("10001", ("10001", "34040", "0"), "amend that changes nothing"),
    "gone_code": Switch(110001, (110001, 110008, 110010), "cancel of a finished linear or inverse order"),
    "spot_gone_code": Switch(170213, (170213, 170139, 170142), "cancel of a finished spot order"),
    "link_id_max": Switch(36, note="longest orderLinkId"),
    "link_id_reuse": Switch(False, note="an orderLinkId is free again when its order is closed"),
    "link_id_case_sensitive": Switch(True, note="ids that differ only by case are two ids"),
    "final_leaves": Switch("0", ("0", ""), "leavesQty of a finished order"),
    "padded_numbers": Switch(False, note="REST order rows spell price and qty with the instrument's decimals"),
    "req_id_scope": Switch("connection", ("connection", "account"), "where a reqId must be unique"),
    "close_after_failed_auth": Switch(False, note="close a stream whose auth failed"),
    "share_budget": Switch(True, note="REST and trade WebSocket single orders share one rate budget"),
    "batch_over_budget_code": Switch(10006, note="item code of a batch that ran over the budget"),
    "min_notional_reduce_only": Switch(False, note="the minimum notional applies to reduce-only orders"),
    "off_grid_code": Switch(10001, note="linear and inverse price off tick, qty off step, above the maximum"),
    "funding_side": Switch("position", ("position", "opposite"), "side of a funding execution"),
    "bad_key_status": Switch(200, (200, 401), "HTTP status beside 10003"),
    "ip_ban_ms": Switch(600_000, note="silence it takes to lift an IP ban"),
    "retention_age_ms": Switch(0, note="judge what order/history and execution/list still keep as if this much later"),
}


class Behaviour:
    """
    The switches as they are set now.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._values: dict[str, Value] = {name: switch.default for name, switch in SWITCHES.items()}

    def set(self, name: str, value: object) -> None:
        """
        Set one switch.

        Raises:
            ValueError: No such switch, or not a value of it. Nothing has changed.
        """
        switch = SWITCHES.get(name)
        if switch is None:
            raise ValueError(f"no behaviour named {name!r}")
        if name.endswith("_delay_ms") and isinstance(value, list):
            if len(value) != 2 or not all(type(edge) is int and edge >= 0 for edge in value) or value[0] > value[1]:
                raise ValueError(f"{name}: expected [least, most] in ms, was {value!r}")
            self._values[name] = value
            return
        if type(value) is not type(switch.default):
            raise ValueError(f"{name}: expected {type(switch.default).__name__}, was {value!r}")
        if switch.choices and value not in switch.choices:
            raise ValueError(f"{name}: expected one of {switch.choices}, was {value!r}")
        self._values[name] = value

    def values(self) -> dict[str, Value]:
        """
        Every switch and its value.
        """
        return dict(self._values)

    def on(self, name: str) -> bool:
        """
        The value of a yes-or-no switch.
        """
        return self._values[name] is True

    def word(self, name: str) -> str:
        """
        The value of a switch of words.
        """
        return str(self._values[name])

    def count(self, name: str) -> int:
        """
        The value of a switch of numbers.
        """
        value = self._values[name]
        assert isinstance(value, int)
        return value

    def delay_ms(self, name: str) -> int:
        """
        A delay, drawn where the switch is a range.
        """
        value = self._values[name]
        if isinstance(value, list):
            return value[0] + int(self._rng.random() * (value[1] - value[0] + 1))
        assert isinstance(value, int)
        return value
