"""
A comparison as it is remembered: what we hold, what was suspected, what came of it, and the report of a whole pass.

`core/reconcile.py` is the only file that makes a new comparison from an old one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from attrs import field, frozen

from hean.core.position import Agreement
from hean.core.types import (
    Category,
    ExecId,
    Execution,
    Finding,
    FindingKind,
    Ms,
    OrderLinkId,
    OrderRow,
    OrderSnapshot,
    PositionRow,
    PositionSnapshot,
    Reaction,
)

ExecutionKey: TypeAlias = tuple[Category, str, ExecId]
Suspects: TypeAlias = Mapping[str, "Suspect"]


@frozen(kw_only=True)
class Holdings:
    """
    What we hold, read after the picture was complete.

    Attributes:
        orders: every tracked order.
        retired: orders of the picture that only the journal knows: order_id -> our clock of their last change.
        foreign: open orders that are not ours and that we know of: order_id -> our clock when we last heard of them.
        unknown: executions of the picture that the journal does not have.
        accounted: executions since the picture's `since_ms` that we have: their key, and the exchange's clock.
        agreements: our positions against the picture's rows.
        unlisted: our open positions that the picture has no row of.
    """

    orders: tuple[OrderSnapshot, ...] = ()
    retired: Mapping[str, Ms] = field(factory=dict)
    foreign: Mapping[str, Ms] = field(factory=dict)
    unknown: tuple[Execution, ...] = ()
    accounted: Mapping[ExecutionKey, Ms] = field(factory=dict)
    agreements: tuple[Agreement, ...] = ()
    unlisted: tuple[PositionSnapshot, ...] = ()


@frozen(kw_only=True)
class Suspect:
    """
    A difference that one picture or more showed.

    Attributes:
        finding: as the newest picture shows it.
        sign: what must stay the same for it to be the same difference.
        looks: pictures in a row that showed it.
        told: a person was.
    """

    finding: Finding
    sign: str = ""
    looks: int = 1
    told: bool = False

    @property
    def confirmed(self) -> bool:
        """Two pictures in a row showed it."""
        return self.looks > 1


@frozen(kw_only=True)
class Policies:
    """What each kind of difference leads to."""

    order_only_here: Reaction = Reaction.QUERY
    order_only_there: Reaction = Reaction.ALERT
    order_differs: Reaction = Reaction.QUERY
    execution_only_here: Reaction = Reaction.ALERT
    execution_only_there: Reaction = Reaction.QUERY
    position_only_here: Reaction = Reaction.HALT_SYMBOL
    position_only_there: Reaction = Reaction.HALT_SYMBOL
    position_differs: Reaction = Reaction.HALT_SYMBOL

    def of(self, kind: FindingKind) -> Reaction:
        """The reaction to that kind."""
        reaction: Reaction = getattr(self, kind)
        return reaction


@frozen(kw_only=True)
class Comparison:
    """
    What one picture came to.

    Attributes:
        suspects: to be handed in again with the next picture.
        told: differences confirmed now, of which a person has not heard yet; executions of one symbol are one.
        gone: differences that a person was told of and that are no more.
        rechecks: orders that are to look themselves up.
        rows: rows to be taken in by their orders.
        executions: to be taken in by their orders.
        adopt: positions to be taken over.
        forgotten: order_ids of foreign orders that are not open any more.
        discarded: how often a difference was not judged because something here was newer than the picture.
    """

    suspects: Suspects = field(factory=dict)
    told: tuple[Finding, ...] = ()
    gone: tuple[Finding, ...] = ()
    rechecks: tuple[OrderLinkId, ...] = ()
    rows: tuple[OrderRow, ...] = ()
    executions: tuple[Execution, ...] = ()
    adopt: tuple[PositionRow, ...] = ()
    forgotten: tuple[str, ...] = ()
    discarded: int = 0

    @property
    def fresh(self) -> bool:
        """A difference is suspected that is not confirmed."""
        return any(not suspect.confirmed for suspect in self.suspects.values())


@frozen(kw_only=True)
class Report:
    """
    A whole pass of comparing: pictures until nothing is in doubt.

    Attributes:
        complete: at least one whole picture was made, and nothing is left in doubt.
        why: what was not complete.
        found: differences that were confirmed in this pass, each once.
        left: differences that the last picture still shows.
        looks: pictures that were made.
        orders: open orders that the exchange listed in the last of them.
        executions: executions listed.
        positions: positions compared.
    """

    complete: bool
    why: str = ""
    found: tuple[Finding, ...] = ()
    left: tuple[Finding, ...] = ()
    looks: int = 0
    orders: int = 0
    executions: int = 0
    positions: int = 0

    @property
    def equal(self) -> bool:
        """Both sides are the same now."""
        return self.complete and not self.left
