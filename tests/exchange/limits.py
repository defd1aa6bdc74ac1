"""
Rate limits per key, endpoint and product group, the IP budget, and the caps on open orders.

Source: Bybit V5 docs, rate-limit.
"""

from collections import deque

import attrs

WINDOW_MS = 1000
IP_WINDOW_MS = 5000
IP_REQUESTS = 600
UNLIMITED = 1_000_000
OPEN_ORDERS_PER_SYMBOL = 500
CONDITIONAL_PER_SYMBOL = 10

DERIVATIVES, SPOT, OPTION = "derivatives", "spot", "option"
PER_SECOND: dict[str, dict[str, int]] = {
    "order/create": {DERIVATIVES: 10, OPTION: 10, SPOT: 20},
    "order/amend": {DERIVATIVES: 10, OPTION: 10, SPOT: 10},
    "order/cancel": {DERIVATIVES: 10, OPTION: 10, SPOT: 20},
    "order/cancel-all": {DERIVATIVES: 10, OPTION: 1, SPOT: 20},
    "order/create-batch": {DERIVATIVES: 10, OPTION: 10, SPOT: 20},
    "order/amend-batch": {DERIVATIVES: 10, OPTION: 10, SPOT: 20},
    "order/cancel-batch": {DERIVATIVES: 10, OPTION: 10, SPOT: 20},
    "order/pre-check": {DERIVATIVES: 10, OPTION: 10, SPOT: 20},
    "order/disconnected-cancel-all": {DERIVATIVES: 5},
    "order/realtime": {DERIVATIVES: 50, OPTION: 50, SPOT: 50},
    "order/history": {DERIVATIVES: 50, OPTION: 50, SPOT: 50},
    "execution/list": {DERIVATIVES: 50, OPTION: 50, SPOT: 50},
    "position/list": {DERIVATIVES: 50, OPTION: 50},
    "position/closed-pnl": {DERIVATIVES: 50},
    "position/set-leverage": {DERIVATIVES: 10},
    "position/switch-mode": {DERIVATIVES: 10},
    "position/trading-stop": {DERIVATIVES: 10, OPTION: 10},
    "account/wallet-balance": {DERIVATIVES: 50},
    "account/info": {DERIVATIVES: 50},
    "account/fee-rate": {DERIVATIVES: 5},
    "account/query-dcp-info": {DERIVATIVES: 5},
    "account/smp-group": {DERIVATIVES: 5},
    "account/user-setting-config": {DERIVATIVES: 50},
    "account/transaction-log": {DERIVATIVES: 25},
    "user/query-api": {DERIVATIVES: 10},
}
ONE_BUCKET = frozenset(
    name for name, groups in PER_SECOND.items() if set(groups) == {DERIVATIVES} and not name.startswith("position/")
)


@attrs.frozen
class Budget:
    """
    What a request got, and what the reply's headers say.
    """

    granted: int
    limit: int
    left: int
    reset_ms: int


def group_of(category: str) -> str:
    """
    linear and inverse share their limits.
    """
    return category if category in (SPOT, OPTION) else DERIVATIVES


class Limits:
    """
    The counters of one exchange.

    Attributes:
        lifted: No limit of any kind applies.
        banned_until_ms: An IP ban, renewed by every request.
        closed_until_ms: A ban set from outside, for a fixed time.
    """

    def __init__(self, *, lifted: bool = False) -> None:
        self.lifted = lifted
        self.ip_requests = IP_REQUESTS
        self._per_s: dict[tuple[str, str], int] = {}
        self._open_orders: dict[str, int] = {}
        self._windows: dict[tuple[str, str, str], deque[int]] = {}
        self._ip_window: deque[int] = deque()
        self.banned_until_ms = 0
        self.closed_until_ms = 0

    def set_per_s(self, api_key: str, endpoint: str, per_s: int) -> None:
        """
        Give one key another limit for one endpoint, in every product group.
        """
        self._per_s[(api_key, endpoint)] = per_s

    def set_open_orders(self, api_key: str, most: int) -> None:
        """
        Give one key another cap on open orders per symbol.
        """
        self._open_orders[api_key] = most

    def open_orders(self, api_key: str) -> int:
        """
        How many active orders a symbol may have.
        """
        return self._open_orders.get(api_key, UNLIMITED if self.lifted else OPEN_ORDERS_PER_SYMBOL)

    def conditional_orders(self) -> int:
        """
        How many conditional orders a symbol may have.
        """
        return UNLIMITED if self.lifted else CONDITIONAL_PER_SYMBOL

    def take(self, api_key: str, endpoint: str, category: str, cost: int, now_ms: int) -> Budget:
        """
        Take `cost` from the rolling second; as many as fit are granted.
        """
        special = self._per_s.get((api_key, endpoint)) if self._per_s else None
        if special is None and self.lifted:
            return Budget(cost, UNLIMITED, UNLIMITED - cost, now_ms)
        group = DERIVATIVES if endpoint in ONE_BUCKET else group_of(category)
        groups = PER_SECOND.get(endpoint, {})
        limit = special if special is not None else groups.get(group, groups.get(DERIVATIVES, 10))
        window = self._windows.get((api_key, endpoint, group))
        if window is None:
            window = self._windows[(api_key, endpoint, group)] = deque()
        while window and window[0] <= now_ms - WINDOW_MS:
            window.popleft()
        granted = max(0, min(cost, limit - len(window)))
        window.extend([now_ms] * granted)
        left = limit - len(window)
        return Budget(granted, limit, left, window[0] + WINDOW_MS if granted < cost and window else now_ms)

    def ip_allows(self, now_ms: int, ban_ms: int) -> bool:
        """
        Whether the IP is within its budget; a breach bans it until it kept silent for `ban_ms`.
        """
        if now_ms < self.closed_until_ms:
            return False
        if now_ms < self.banned_until_ms:
            # Bybit asks for silence: a request inside the ban starts the wait again.
            self.banned_until_ms = now_ms + ban_ms
            return False
        if self.lifted:
            return True
        window = self._ip_window
        while window and window[0] <= now_ms - IP_WINDOW_MS:
            window.popleft()
        if len(window) >= self.ip_requests:
            self.banned_until_ms = now_ms + ban_ms
            window.clear()
            return False
        window.append(now_ms)
        return True
