"""
What happens at the worst moment: deeds that wait until an order is just so, and do their harm before anybody moves on.

Chance alone rarely lets a late reply, a second delivery or an operator's word fall between two messages; threads do it
every day. An ambush only chooses the time: whatever it does can happen at any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from hean.actors.messages import Recheck, ReconcileAsked
from hean.core import checks
from hean.core.breaker_facts import HaltAsked
from hean.core.facts import AmendAsked, CancelAsked, Resolved
from hean.core.ids import order_link_id
from hean.core.types import Denial, OrderLinkId
from tests.simulator.plan import Action, Args

if TYPE_CHECKING:
    from tests.simulator.world import World


class Bug:
    """A message that no actor knows: a handler of its own would raise as well."""

    def __repr__(self) -> str:
        return "an injected bug"


class Slip(Recheck):
    """A message whose handler raises the first time and never again, and then finds nothing to do."""

    def __init__(self) -> None:
        # The message is frozen.
        object.__setattr__(self, "slipped", False)

    def __repr__(self) -> str:
        return "an injected bug that is gone when it is looked at"

    def __getattribute__(self, name: str) -> Any:
        if name != "asked_ms":
            return object.__getattribute__(self, name)
        if not self.slipped:
            object.__setattr__(self, "slipped", True)
            raise RuntimeError("an injected bug")
        return 0


def link_id_of(n: int) -> OrderLinkId:
    """The ID of the order of a plan's nth signal."""
    return order_link_id("sim", f"s{n}", 0)


@attrs.define
class Ambush:
    """
    Deeds that wait.

    Attributes:
        link_id: of the order that is watched.
        on: the state that it must come to; or that state, and the fact that leads or stays there, with a blank.
        nth: how often that must happen.
        deeds: what is done then, in order.
    """

    link_id: str
    on: str
    nth: int
    deeds: list[Args]


class Ambushes:
    """All that wait in one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._waiting: list[Ambush] = []

    def lay(self, args: Args) -> None:
        """Let one wait."""
        self._waiting.append(Ambush(link_id_of(args["n"]), args["on"], args.get("nth", 1), args["do"]))

    def lift(self) -> None:
        """None waits any more."""
        self._waiting.clear()

    def met(self, link_id: str, state: str, fact: str, *, moved: bool) -> None:
        """An order took a fact: whoever waited for that strikes now."""
        if not self._waiting:
            return
        for ambush in [each for each in self._waiting if each.link_id == link_id]:
            if not (ambush.on == f"{state} {fact}" or (moved and ambush.on == state)):
                continue
            ambush.nth -= 1
            if ambush.nth <= 0:
                self._waiting.remove(ambush)
                for deed in ambush.deeds:
                    self._later(ambush.link_id, deed)

    def _later(self, link_id: str, deed: Args) -> None:
        after_ms = deed.get("after_ms", 0)
        if not after_ms:
            self._do(link_id, deed)
            return
        kernel = self._world.kernel
        kernel.at(kernel.now_ms + after_ms, lambda: None if self._world.calm else self._do(link_id, deed))

    def _do(self, link_id: str, deed: Args) -> None:
        """One deed, as another thread does it: nobody waits for what comes of it."""
        world, life = self._world, self._world.life
        if life is None or not life.process.alive:
            return
        context = life.plant.context
        slot = context.registry.slot(OrderLinkId(link_id))
        world.tell(f"! {deed['do']}", **deed)
        match deed["do"]:
            case "bug" | "slip" if slot is not None:
                world.bugs += 1
                world.coverage.struck("handler_bug")
                for _ in range(deed.get("times", 1)):
                    slot.tell(Bug() if deed["do"] == "bug" else Slip())
            case "cancel" if slot is not None:
                slot.tell(CancelAsked(who="strategy"))
            case "amend" if slot is not None:
                amend = checks.read_amend(**deed["changes"])
                if not isinstance(amend, Denial):
                    slot.tell(AmendAsked(amend=amend))
            case "resolve" if slot is not None and world.may_resolve(slot):
                slot.tell(Resolved(verdict=deed["verdict"], who="operator", why="looked"))
            case "halt":
                context.gate.halted_why = "drill (operator)"
                context.to.gateway.tell(HaltAsked(who="operator", why="drill"))
            case "reconcile":
                context.to.reconciler.tell(ReconcileAsked(answer_to=life.process.mailbox("nobody")))
            case "hold":
                world.hold(f"order {link_id}" if deed["actor"] == "order" else deed["actor"], deed["ms"])
            case "release":
                world.net.release(link_id)
            case "deny":
                world.denied = True
            case "fault":
                world.arm(deed["fault"])
            case "by_hand":
                world.cancel_by_hand()
            case "market":
                world.net.control("POST", "market", deed["market"])
            case "crash":
                world.kernel.at(world.kernel.now_ms, lambda: world.die(Action(0, "crash", deed["crash"]), "turn"))
