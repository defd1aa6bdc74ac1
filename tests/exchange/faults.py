"""
The fault switchboard: what is armed, when it fires, how often it did.

It decides only *whether* a fault fires; what then happens is written where it happens.
"""

import random
from collections.abc import Mapping

import attrs

from tests.exchange.wire import Json

ON_REQUEST = (
    "lose_request",
    "lose_reply",
    "delay_reply",
    "error",
    "clock_skew",
    "rate_limit",
    "ban",
    "push_before_ack",
)
ON_PUSH = (
    "drop_push",
    "duplicate_push",
    "reorder_push",
    "delay_push",
    "fill_before_order_push",
    "poison_frame",
    "unknown_enum",
    "missing_key",
    "empty_numbers",
)
ON_QUERY = ("realtime_lag", "history_lag", "realtime_cleared", "partial_page")
ON_SESSION = ("refuse_auth", "refuse_topic", "silent")
ON_ORDER = (
    "reject_after_ack",
    "late_fill",
    "overfill",
    "double_filled",
    "shrink_reduce_only",
    "split_reduce_only",
    "move_price_to_band",
)
AT_ONCE = ("cut_private", "cut_trade", "foreign_order", "manual_close", "funding", "adl", "liquidation", "settle")
NAMES = frozenset(ON_REQUEST + ON_PUSH + ON_QUERY + ON_SESSION + ON_ORDER + AT_ONCE)
MATCHABLE = frozenset(("endpoint", "op", "topic", "symbol", "orderLinkId", "api_key", "category", "channel"))

Facts = Mapping[str, str | tuple[str, ...]]


@attrs.define(kw_only=True)
class Fault:
    """
    One armed fault.

    Attributes:
        match: Narrows; every key has to fit.
        count: How often it may still be asked to fire; None means until cleared.
        probability: Of firing when asked and fitting, drawn from the exchange's seed.
        fired: How often it did.
    """

    fault_id: int
    name: str
    match: dict[str, str]
    count: int | None
    probability: float
    args: Json
    fired: int = 0

    def fits(self, facts: Facts) -> bool:
        """
        Whether every key of `match` names one of the facts' values.
        """
        for key, wanted in self.match.items():
            value = facts.get(key, "")
            if isinstance(value, tuple):
                if wanted not in value:
                    return False
            elif wanted != value:
                return False
        return True

    def row(self) -> Json:
        """
        As the control API lists it.
        """
        return {
            "id": self.fault_id,
            "fault": self.name,
            "match": self.match,
            "count": self.count,
            "probability": self.probability,
            "args": self.args,
            "fired": self.fired,
        }


def endpoint_name(path: str) -> str:
    """
    ``order/create`` for ``/v5/order/create``: both spellings are accepted in a match.
    """
    return path.removeprefix("/").removeprefix("v5/")


class Switchboard:
    """
    All faults of one exchange.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._faults: list[Fault] = []
        self._by_name: dict[str, list[Fault]] = {}

    def arm(
        self,
        name: str,
        match: Mapping[str, object] | None = None,
        count: int | None = 1,
        probability: float = 1.0,
        args: Json | None = None,
    ) -> Fault:
        """
        Arm one fault.

        Raises:
            ValueError: Unknown name, match key, or a figure out of range. Nothing has changed.
        """
        if name not in NAMES:
            raise ValueError(f"no fault named {name!r}; there are {', '.join(sorted(NAMES))}")
        narrowed = {key: str(value) for key, value in (match or {}).items()}
        unknown = narrowed.keys() - MATCHABLE
        if unknown:
            raise ValueError(f"cannot match on {sorted(unknown)}; there are {sorted(MATCHABLE)}")
        if count is not None and (type(count) is not int or count < 1):
            raise ValueError(f"count: expected a positive integer or null, was {count!r}")
        if not 0 <= probability <= 1:
            raise ValueError(f"probability: expected 0 to 1, was {probability!r}")
        if "endpoint" in narrowed:
            narrowed["endpoint"] = endpoint_name(narrowed["endpoint"])
        fault = Fault(
            fault_id=len(self._faults) + 1,
            name=name,
            match=narrowed,
            count=count,
            probability=float(probability),
            args=dict(args or {}),
        )
        self._faults.append(fault)
        self._by_name.setdefault(name, []).append(fault)
        return fault

    def fire(self, name: str, facts: Facts, needs: str = "") -> Fault | None:
        """
        The first armed fault of this name that fits and draws to fire; it is counted.

        Args:
            needs: A key its match has to name, where the same fault means something else without it.
        """
        armed = self._by_name.get(name)
        if not armed:
            return None
        for fault in armed:
            if fault.count == 0 or (needs and needs not in fault.match) or not fault.fits(facts):
                continue
            if fault.probability < 1 and self._rng.random() >= fault.probability:
                continue
            if fault.count is not None:
                fault.count -= 1
            fault.fired += 1
            return fault
        return None

    def standing(self, name: str) -> Fault | None:
        """
        One that holds for everything until it is cleared; looking at it does not count as firing.
        """
        for fault in self._by_name.get(name, ()):
            if fault.count is None and not fault.match and fault.probability == 1:
                return fault
        return None

    def armed(self, name: str) -> bool:
        """
        Whether a fault of this name is listed at all, spent or not.
        """
        return name in self._by_name

    def any_armed(self) -> bool:
        """
        Whether anything is listed: lets hot paths skip the rest.
        """
        return bool(self._faults)

    def rows(self) -> list[Json]:
        """
        Every fault since the last clear, spent ones too.
        """
        return [fault.row() for fault in self._faults]

    def clear(self) -> None:
        """
        Forget all of them.
        """
        self._faults.clear()
        self._by_name.clear()
