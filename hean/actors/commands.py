"""
The door for commands: which order is meant, does the change fit it, and what did its actor decide.

Runs on the caller's thread, which waits for an actor's word and never for the network.
"""

from __future__ import annotations

from hean.actors.context import Context
from hean.actors.handover import Door
from hean.actors.messages import CancelChild
from hean.core import checks
from hean.core.facts import AmendAsked, CancelAsked, Resolved
from hean.core.types import Decision, Denial, OrderLinkId

# How long a caller waits for the word on a command; the request itself goes on regardless.
DECISION_S = 5.0


class Commands:
    """
    Takes commands in. An order is named by its order_link_id or by the exchange's order_id.

    Args:
        context: the router's shared things.
        admission: knows every order.
    """

    def __init__(self, context: Context, admission: Door) -> None:
        self._context = context
        self._admission = admission

    def cancel(self, name: str, asked: CancelAsked, timeout_s: float = DECISION_S) -> Decision:
        """Ask for the end of one order, ours or made of ours; what was decided."""
        link_id = self._admission.link_id_of(name)
        if link_id is None and name in {child.order_id for made in self._context.children.values() for child in made}:
            answer = self._context.to.external.ask(CancelChild(order_id=name, asked=asked), timeout_s)
            return answer if isinstance(answer, Decision) else _queued()
        return self._ask(name, link_id, asked, timeout_s)

    def amend(self, name: str, **changes: object) -> Decision:
        """Ask for a change of one order; what was decided."""
        link_id = self._admission.link_id_of(name)
        cell = None if link_id is None else self._admission.known(link_id)
        if cell is None:
            return Decision(decided="denied", why=f"no order {name} is known here")
        instrument = self._context.instruments.get((cell.snapshot.category, cell.snapshot.symbol))
        if instrument is None:
            return Decision(decided="denied", why=f"no instrument {cell.snapshot.symbol} is known")
        amend = checks.read_amend(**changes)
        denial = amend if isinstance(amend, Denial) else checks.check_amend(amend, cell.snapshot, instrument)
        if denial is not None or isinstance(amend, Denial):
            return Decision(decided="denied", why=f"{denial.reason}: {denial.detail}" if denial is not None else "")
        return self._ask(name, link_id, AmendAsked(amend=amend), DECISION_S)

    def cancel_all(self, symbol: str | None, asked: CancelAsked) -> dict[str, Decision]:
        """Ask for the end of every open order of ours, of one symbol or of all; what was decided, by order_link_id."""
        until_ms = self._context.now_ms() + int(DECISION_S * 1000)
        self._admission.settle()
        return {
            slot.order_link_id: self.cancel(slot.order_link_id, asked, max(until_ms - self._context.now_ms(), 0) / 1000)
            for slot in self._context.registry.slots()
            if slot.cell.snapshot.outcome is None and symbol in {None, slot.cell.snapshot.symbol}
        }

    def resolve(self, name: str, resolved: Resolved, timeout_s: float = DECISION_S) -> Decision:
        """Decide what no evidence can settle; what was decided."""
        return self._ask(name, self._admission.link_id_of(name), resolved, timeout_s)

    def _ask(
        self, name: str, link_id: OrderLinkId | None, message: CancelAsked | AmendAsked | Resolved, timeout_s: float
    ) -> Decision:
        if link_id is None:
            return Decision(decided="denied", why=f"no order {name} is known here; nothing was sent")
        slot = self._context.registry.slot(link_id)
        if slot is None:
            known = self._admission.known(link_id)
            state = "not known here" if known is None else str(known.snapshot.state)
            return Decision(decided="denied", why=f"the order is {state}; nothing was sent")
        answer = slot.mailbox.ask(message, timeout_s)
        return answer if isinstance(answer, Decision) else _queued()


def _queued() -> Decision:
    return Decision(decided="waiting", why="its actor is busy; the request is queued")
