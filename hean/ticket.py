"""What a strategy holds in its hands: a ticket of one order, and a look at the positions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from hean.actors.handover import Handed
from hean.actors.registry import Cell
from hean.core.foreign import ForeignOrder
from hean.core.types import Category, Decision, OrderLinkId, OrderSnapshot, OrderState, PositionSnapshot

_RANK: Mapping[OrderState, int] = {
    OrderState.PENDING: 0,
    OrderState.SUBMITTED: 1,
    OrderState.TIMEOUT: 1,
    OrderState.ERROR: 1,
    OrderState.ACKNOWLEDGED: 2,
    OrderState.PARTIAL_FILL: 3,
    OrderState.FILLED: 4,
    OrderState.CANCELLED: 4,
    OrderState.REJECTED: 4,
    OrderState.DENIED: 4,
    OrderState.CLOSED: 5,
}


class Orders(Protocol):
    """What a ticket asks of its router."""

    def cancel(self, order: str, *, who: str = "strategy", why: str = "") -> Decision: ...

    def amend(self, order: str, **changes: object) -> Decision: ...

    def children(self, order_link_id: str) -> tuple[ForeignOrder, ...]: ...

    def trace(self, order: str) -> list[str]: ...


class Ticket:
    """
    A strategy's hold on one order.

    Two tickets of one signal look at the same order. Cheap to keep, safe to drop: the order goes on without it.
    """

    def __init__(self, router: Orders, cell: Cell | Handed) -> None:
        self._router = router
        self._cell = cell

    def __repr__(self) -> str:
        return f"<Ticket {self.order_link_id} {self.state}>"

    @property
    def order_link_id(self) -> OrderLinkId:
        """The order's ID, ours and the exchange's orderLinkId."""
        return self._cell.snapshot.order_link_id

    @property
    def correlation_id(self) -> str:
        """What follows the signal through every record."""
        return self._cell.snapshot.correlation_id

    @property
    def state(self) -> OrderState:
        """The order's state now."""
        return self._cell.snapshot.state

    @property
    def outcome(self) -> OrderState | None:
        """FILLED, CANCELLED, REJECTED or DENIED once known, None while open."""
        return self._cell.snapshot.outcome

    def snapshot(self) -> OrderSnapshot:
        """The order now, immutable."""
        return self._cell.snapshot

    def wait(self, timeout_s: float | None = None) -> OrderSnapshot:
        """
        Wait until the order is settled: CLOSED or DENIED.

        Args:
            timeout_s: in seconds; None waits as long as the router runs.

        Returns:
            the snapshot then, or the newest at the time-out; look at `settled`. Never raises for either.
        """
        return self._cell.wait(lambda snapshot: snapshot.settled, timeout_s)

    def wait_for(self, state: OrderState, timeout_s: float | None = None) -> OrderSnapshot:
        """
        Wait until a state is reached or passed, as FILLED passes ACKNOWLEDGED.

        Args:
            state: to be reached.
            timeout_s: in seconds; None waits as long as the router runs.

        Returns:
            the snapshot then, or the newest at the time-out. Never raises for either.
        """
        return self._cell.wait(lambda snapshot: _RANK[snapshot.state] >= _RANK[state], timeout_s)

    def cancel(self, why: str = "") -> Decision:
        """
        Ask for the order's end; returns at once with what was decided.

        Args:
            why: for the journal.

        Raises:
            RouterStopped: nothing was sent.
        """
        return self._router.cancel(self.order_link_id, why=why)

    def amend(
        self,
        *,
        qty: object = None,
        price: object = None,
        trigger_price: object = None,
        take_profit: object = None,
        stop_loss: object = None,
    ) -> Decision:
        """
        Ask for a change; returns at once with what was decided. None leaves a part as it is.

        Args:
            qty: the new total, base coin; must exceed what is executed.
            price: limit price.
            trigger_price: of a conditional order.
            take_profit: "0" removes it.
            stop_loss: "0" removes it.

        Raises:
            RouterStopped: nothing was sent.
        """
        return self._router.amend(
            self.order_link_id,
            qty=qty,
            price=price,
            trigger_price=trigger_price,
            take_profit=take_profit,
            stop_loss=stop_loss,
        )

    @property
    def children(self) -> tuple[ForeignOrder, ...]:
        """Orders that the exchange made of this one: attached take profits and stop losses, parts of a split."""
        return self._router.children(self.order_link_id)

    def trace(self) -> list[str]:
        """The order's records in the journal, oldest first, one line each."""
        return self._router.trace(self.order_link_id)


class Positions(Mapping[Any, PositionSnapshot]):
    """Positions by (category, symbol, position_idx); a bare symbol means ("linear", symbol, 0)."""

    def __init__(self, positions: Mapping[tuple[Category, str, int], PositionSnapshot]) -> None:
        self._positions = positions

    def __getitem__(self, key: Any) -> PositionSnapshot:
        if isinstance(key, str):
            key = (Category.LINEAR, key, 0)
        return self._positions[key]

    def __iter__(self) -> Iterator[tuple[Category, str, int]]:
        return iter(self._positions)

    def __len__(self) -> int:
        return len(self._positions)
