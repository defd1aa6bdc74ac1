"""What a difference or a foreign trade does to trading, as far as its policy says."""

from __future__ import annotations

from hean.actors.context import Context
from hean.actors.messages import LookAgain
from hean.core import plain
from hean.core.breaker_facts import HaltAsked
from hean.core.types import Category, Event, EventType, Reaction
from hean.journal import Journal
from hean.journal.marks import FROZEN_MARK


def freeze(context: Context, category: Category, symbol: str, why: str) -> None:
    """Let only reduce-only orders of a symbol pass until a person resumes, and compare both sides soon."""
    frozen = context.gate.freeze_for_good(category, symbol, why)
    event = Event(
        type=EventType.STATUS,
        at_ms=context.now_ms(),
        category=category,
        symbol=symbol,
        reason="symbol_frozen",
        detail=f"{symbol} takes reduce-only orders alone until resumed: {why}",
    )
    context.announce(event, marks={FROZEN_MARK: plain.dumps(frozen)})
    context.to.reconciler.tell(LookAgain(why=why))


def frozen_before(journal: Journal) -> dict[tuple[str, str], str]:
    """What an earlier run left frozen."""
    kept = journal.mark(FROZEN_MARK)
    rows = plain.loads(tuple[tuple[str, str, str], ...], kept) if kept else ()
    return {(category, symbol): why for category, symbol, why in rows}


def brake(
    context: Context, reaction: Reaction, category: Category, symbol: str, *, who: str, why: str, lasting: bool
) -> None:
    """
    Halt the symbol or everything, where that is the reaction.

    Args:
        context: the router's shared things.
        reaction: of the policy.
        category: of the symbol.
        symbol: what it is about.
        who: for the journal.
        why: for the journal and for whoever is denied.
        lasting: a frozen symbol stays so until a person resumes; else until both sides agree again.
    """
    if reaction is Reaction.HALT_SYMBOL and lasting:
        freeze(context, category, symbol, why)
    elif reaction is Reaction.HALT_SYMBOL:
        context.gate.freeze(category, symbol, why)
    elif reaction is Reaction.HALT_ALL:
        # At once for the next submit; the gateway's halt machine journals it and tells the orders.
        context.gate.halted_why = context.gate.halted_why or f"{why} ({who})"
        context.to.gateway.tell(HaltAsked(who=who, why=why))
