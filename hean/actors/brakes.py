"""What a difference or a foreign trade does to trading, as far as its policy says."""

from __future__ import annotations

from hean.actors.context import Context
from hean.core.breaker_facts import HaltAsked
from hean.core.types import Category, Reaction


def brake(context: Context, reaction: Reaction, category: Category, symbol: str, *, who: str, why: str) -> None:
    """
    Halt the symbol or everything, where that is the reaction.

    Args:
        context: the router's shared things.
        reaction: of the policy.
        category: of the symbol.
        symbol: what it is about.
        who: for the journal.
        why: for the journal and for whoever is denied.
    """
    if reaction is Reaction.HALT_SYMBOL:
        context.gate.freeze(category, symbol, why)
    elif reaction is Reaction.HALT_ALL:
        # At once for the next submit; the gateway's halt machine journals it and tells the orders.
        context.gate.halted_why = context.gate.halted_why or f"{why} ({who})"
        context.to.gateway.tell(HaltAsked(who=who, why=why))
