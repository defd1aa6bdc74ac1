"""
Which orders are tracked, and where to tell them something.

Read by every thread, written by the submitter and the supervisor. The lock is held for dictionary work alone.
"""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from collections.abc import Callable

from hean.actors.ports import Mailbox
from hean.core.types import OrderId, OrderLinkId, OrderSnapshot, OrderState, OrderStatus


class Cell:
    """
    The newest snapshot of one order, and those who wait for a better one. What a ticket looks at.

    Replacing it and waking who waits are two steps, with the order's events published between: whoever is told of an
    event finds the snapshot, and whoever has waited for the snapshot finds the events.
    """

    __slots__ = ("__weakref__", "_changed", "_released", "_snapshot", "_told", "_waiting", "digest")

    def __init__(self, snapshot: OrderSnapshot, digest: str) -> None:
        self.digest = digest
        self._snapshot = snapshot
        self._told = snapshot
        self._released = False
        self._waiting = 0
        self._changed = threading.Condition()

    @property
    def snapshot(self) -> OrderSnapshot:
        return self._snapshot

    def publish(self, snapshot: OrderSnapshot) -> None:
        """Replace the snapshot; `wake` must follow."""
        self._snapshot = snapshot

    def wake(self) -> None:
        """Let go who waits for what the snapshot now is."""
        self._told = self._snapshot
        # Who comes to wait after this look finds what was told.
        if self._waiting:
            with self._changed:
                self._changed.notify_all()

    def wait(self, enough: Callable[[OrderSnapshot], bool], timeout_s: float | None) -> OrderSnapshot:
        """The first snapshot that is enough, or the newest at the time-out or at the release."""
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: self._released or self._is_told(enough), timeout_s)
            finally:
                self._waiting -= 1
            return self._snapshot

    def _is_told(self, enough: Callable[[OrderSnapshot], bool]) -> bool:
        return self._told is self._snapshot and enough(self._snapshot)

    def release(self) -> None:
        """Nothing will change any more: let go who waits."""
        with self._changed:
            self._released = True
            self._changed.notify_all()


class Slot:
    """
    The place of one tracked order: its mailbox, which outlives its actors, and its cell.

    Attributes:
        crashes: of its actors, since one was parked.
        lookups: begun by its actors: an answer to a predecessor's question answers none of the successor's.
    """

    __slots__ = ("_lock", "_open", "cell", "crashes", "lookups", "mailbox", "order_link_id")

    def __init__(self, order_link_id: OrderLinkId, mailbox: Mailbox, cell: Cell) -> None:
        self.order_link_id = order_link_id
        self.mailbox = mailbox
        self.cell = cell
        self.crashes = 0
        self.lookups = 0
        self._open = True
        self._lock = threading.Lock()

    def tell(self, message: object) -> bool:
        """Queue a message; False when the order has retired and the supervisor must be told instead."""
        with self._lock:
            if self._open:
                self.mailbox.tell(message)
            return self._open

    @property
    def retired(self) -> bool:
        """Nothing more gets into the mailbox; whoever has something to tell finds another slot, or none."""
        return not self._open

    def retire(self) -> None:
        """From here on nothing more gets into the mailbox."""
        with self._lock:
            self._open = False


class Registry:
    """Tracked orders by both of their IDs, and the cells of all orders that somebody still holds a ticket of."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[OrderLinkId, Slot] = {}
        self._links: dict[OrderId, OrderLinkId] = {}
        self._active: Counter[tuple[str, str]] = Counter()
        self._conditional: Counter[tuple[str, str]] = Counter()
        self._cells: weakref.WeakValueDictionary[OrderLinkId, Cell] = weakref.WeakValueDictionary()

    def slot(self, order_link_id: str) -> Slot | None:
        return self._slots.get(OrderLinkId(order_link_id))

    def owner(self, order_link_id: str, order_id: str) -> Slot | None:
        """The tracked order of that link ID, else of that order ID."""
        slot = self._slots.get(OrderLinkId(order_link_id))
        if slot is None and order_id:
            link = self._links.get(OrderId(order_id))
            slot = None if link is None else self._slots.get(link)
        return slot

    def cell(self, order_link_id: str) -> Cell | None:
        """The cell of an order that is tracked or that somebody holds a ticket of."""
        with self._lock:
            return self._cells.get(OrderLinkId(order_link_id))

    def keep(self, order_link_id: OrderLinkId, cell: Cell) -> Cell:
        """Remember a cell as long as somebody holds it; the one that is known already wins."""
        with self._lock:
            return self._cells.setdefault(order_link_id, cell)

    def track(self, slot: Slot) -> None:
        with self._lock:
            self._slots[slot.order_link_id] = slot
            self._cells[slot.order_link_id] = slot.cell
            self._count(slot.cell.snapshot, 1)

    def publish(self, slot: Slot, snapshot: OrderSnapshot) -> None:
        """Replace a tracked order's snapshot, and count it where it now belongs; its cell's `wake` must follow."""
        before = slot.cell.snapshot
        if (before.outcome, before.status) != (snapshot.outcome, snapshot.status):
            with self._lock:
                self._count(before, -1)
                self._count(snapshot, 1)
        slot.cell.publish(snapshot)

    def active(self, category: str, symbol: str) -> tuple[int, int]:
        """How many tracked orders of that symbol have no outcome yet, and how many of them wait for a trigger."""
        return self._active[category, symbol], self._conditional[category, symbol]

    def _count(self, snapshot: OrderSnapshot, by: int) -> None:
        if snapshot.outcome is None:
            self._active[snapshot.category, snapshot.symbol] += by
            if snapshot.status == OrderStatus.UNTRIGGERED:
                self._conditional[snapshot.category, snapshot.symbol] += by

    def bind(self, order_link_id: OrderLinkId, order_id: OrderId) -> bool:
        """Remember the exchange's ID of a tracked order; True the first time."""
        if self._links.get(order_id) == order_link_id:
            return False
        with self._lock:
            self._links[order_id] = order_link_id
        return True

    def forget(self, slot: Slot) -> None:
        """The order retired: neither ID finds it here any more, only the journal does."""
        with self._lock:
            if self._slots.pop(slot.order_link_id, None) is not None:
                self._count(slot.cell.snapshot, -1)
            order_id = slot.cell.snapshot.order_id
            if order_id is not None:
                self._links.pop(order_id, None)

    def slots(self) -> tuple[Slot, ...]:
        with self._lock:
            return tuple(self._slots.values())

    def count(self) -> int:
        return len(self._slots)

    def release(self) -> None:
        """The router has stopped: let go everybody who waits for an order."""
        with self._lock:
            cells = list(self._cells.values())
        for cell in cells:
            cell.release()

    def unbound(self, category: str, symbol: str) -> bool:
        """Whether a tracked order of that symbol was sent and does not know its order_id yet."""
        return any(
            snapshot.order_id is None
            and snapshot.attempts > 0
            and snapshot.state not in _OVER
            and (snapshot.category, snapshot.symbol) == (category, symbol)
            for snapshot in (slot.cell.snapshot for slot in self.slots())
        )


_OVER = frozenset({OrderState.DENIED, OrderState.REJECTED, OrderState.CLOSED})
