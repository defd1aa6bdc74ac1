"""
The actor at the desk's end of the journal: obeys what operators ask from other processes, and keeps the pulse.

A command is a row of the journal's command table; it is performed through the same doors as the router's own methods,
and answered in one transaction with its line in the audit chain. A brake is a file beside the journal, for when the
journal cannot be written; it halts, and leaves once the halt is remembered.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from hean.actors.boundary import Boundary
from hean.actors.commands import Commands
from hean.actors.context import Context
from hean.actors.messages import Ping
from hean.actors.registry import Slot
from hean.core import plain
from hean.core.breaker_facts import HaltAsked, ResumeAsked
from hean.core.facts import CancelAsked, Resolved
from hean.core.types import ZERO, Category, Decision, Ms, OrderState, PositionRow, PositionSnapshot, Side
from hean.errors import JournalError
from hean.journal import Batch, Brake, Command, CommandAnswer, Record, pulled_brake, release_brake
from hean.journal.marks import HALT_MARK, PULSE_MARK

"""How the router is, written over at each pulse; beside the audit chain."""

POLL_MS: Final = 250
PULSE_MS: Final = 1_000
# Whoever asked has been told long before that nobody answered; a command that is found later is not obeyed late.
COMMAND_MAX_AGE_MS: Final = 60_000
_ASK_S: Final = 1.0
_UNRESOLVED: Final = frozenset({OrderState.TIMEOUT, OrderState.ERROR})

Key = tuple[Category, str, int]


@frozen(kw_only=True)
class Look:
    """A timer: see what is asked, and whether the pulse is due."""


class OperatorActor(Boundary):
    """
    Obeys operators, and writes the pulse.

    Args:
        mailbox: its own.
        context: the router's shared things.
        commands: the router's own door for commands.
        guarded: state of each breaker, and calls left in each budget.
        brake: the journal's file, beside which a brake may lie; None where the journal is in memory.
    """

    def __init__(
        self,
        mailbox: Any,
        context: Context,
        *,
        commands: Commands,
        guarded: Callable[[], tuple[dict[str, str], dict[str, int]]],
        brake: Path | None,
    ) -> None:
        super().__init__(mailbox)
        self._context = context
        self._commands = commands
        self._guarded = guarded
        self._brake = brake
        self._pulsed_ms = 0

    def on_start(self) -> None:
        self.on_receive(Look())

    def handle(self, message: Any) -> Any:
        match message:
            case Look():
                self._context.ports.timers.after(POLL_MS, self.mailbox, Look(), ("operator", "look"))
                self._look()
            case Ping():
                return True
            case _:
                raise TypeError(f"unexpected message {message!r}")
        return None

    def crashed(self, message: Any, error: BaseException) -> None:
        self._context.observe(
            "actor.crash", {"actor": "operator", "what": type(message).__name__, "error": repr(error)}
        )

    def on_stop(self) -> None:
        self._context.ports.timers.cancel(("operator", "look"))

    def _look(self) -> None:
        obeyed = False
        try:
            obeyed = self._heed_brake()
            for command in self._context.journal.pending_commands():
                self._obey(command)
                obeyed = True
            if obeyed or self._context.now_ms() - self._pulsed_ms >= PULSE_MS:
                self._pulse()
        except JournalError as error:
            # What could not be answered still waits, and is looked at again.
            self._context.observe("journal.failed", {"error": str(error), "actor": "operator"})

    # Commands.

    def _heed_brake(self) -> bool:
        brake = pulled_brake(self._brake) if self._brake is not None else None
        if brake is None or self._brake is None:
            return False
        if not self._halt(brake.who, brake.why):
            # Not journalled yet: the file stays, and is found again.
            return False
        self._context.journal.commit(Batch(at_ms=self._context.now_ms(), records=(_brake_record(brake),)))
        release_brake(self._brake)
        return True

    def _obey(self, command: Command) -> None:
        now_ms = self._context.now_ms()
        args = _args(command)
        link_id = str(args.get("order_link_id", ""))
        if command.verb != "halt" and now_ms - command.at_ms > COMMAND_MAX_AGE_MS:
            decision = Decision(decided="denied", why=f"older than {COMMAND_MAX_AGE_MS // 1000} s; ask again")
        else:
            decision = self._perform(command, args, link_id)
        state = "obeyed" if decision.taken else "denied"
        body = {
            "id": command.id,
            "asked_ms": command.at_ms,
            "verb": command.verb,
            "who": command.who,
            "why": args.get("why", ""),
            "args": args,
            "state": state,
            "answer": _said(decision),
        }
        slot = self._context.registry.slot(link_id) if link_id else None
        record = Record(
            kind="command",
            body=plain.dumps(body),
            order_link_id=link_id,
            correlation_id=_correlation_of(slot),
        )
        answer = CommandAnswer(id=command.id, state=state, answer=_said(decision))
        self._context.journal.commit(Batch(at_ms=now_ms, records=(record,), answers=(answer,)))
        self._context.observe("command", {name: body[name] for name in ("verb", "who", "why", "state", "answer")})

    def _perform(self, command: Command, args: dict[str, object], link_id: str) -> Decision:
        who, why = command.who, str(args.get("why", ""))
        match command.verb:
            case "halt":
                if self._halt(who, why):
                    return Decision(decided="done", why="halted: no creates until resumed")
                return Decision(decided="waiting", why="the gateway is busy; creates are denied already")
            case "resume":
                return self._resume(who)
            case "cancel":
                return self._commands.cancel(link_id, CancelAsked(who=who, why=why), _ASK_S)
            case "resolve":
                verdict = str(args.get("verdict", ""))
                return self._commands.resolve(link_id, Resolved(verdict=verdict, who=who, why=why), _ASK_S)
            case _:
                return Decision(decided="denied", why=f"expected halt, resume, cancel or resolve, was {command.verb!r}")

    def _halt(self, who: str, why: str) -> bool:
        """Halt; whether the journal has it."""
        gate = self._context.gate
        # At once for the next submit; the gateway's halt machine journals it and tells the orders.
        gate.halted_why = gate.halted_why or f"{who}: {why}"
        self._context.to.gateway.ask(HaltAsked(who=who, why=why), _ASK_S)
        return bool(self._context.journal.mark(HALT_MARK))

    def _resume(self, who: str) -> Decision:
        self._context.to.gateway.ask(ResumeAsked(who=who), _ASK_S)
        why = self._context.gate.halted_why
        if why:
            return Decision(decided="denied", why=f"still halted: {why}")
        return Decision(decided="done", why="signals are taken again")

    # The pulse.

    def _pulse(self) -> None:
        context, now_ms = self._context, self._context.now_ms()
        self._pulsed_ms = now_ms
        pulse = pulse_of(context, now_ms, *self._guarded())
        context.journal.commit(Batch(at_ms=now_ms, marks={PULSE_MARK: json.dumps(pulse)}))
        context.observe("pulse", pulse)


def pulse_of(context: Context, now_ms: Ms, breakers: dict[str, str], budgets: dict[str, int]) -> dict[str, Any]:
    """How the router is, as plain data: what `hean status` shows and what the gauges are made of."""
    snapshots = [slot.cell.snapshot for slot in context.registry.slots()]
    unresolved = [each for each in snapshots if each.state in _UNRESOLVED or each.gap > ZERO]
    gate, to = context.gate, context.to
    mailboxes = {
        "supervisor": to.supervisor.depth(),
        "gateway": to.gateway.depth(),
        "stream": to.stream.depth(),
        "trade": to.trade.depth(),
        "portfolio": to.portfolio.depth(),
        "external": to.external.depth(),
        "reconciler": to.reconciler.depth(),
        "orders": sum(slot.mailbox.depth() for slot in context.registry.slots()),
    }
    return {
        "at_ms": now_ms,
        "pid": os.getpid(),
        "epoch": context.journal.epoch,
        "live": gate.live,
        "live_why": gate.live_why,
        "halted_why": gate.halted_why,
        "breaker_why": gate.breaker_why,
        "frozen": {symbol: why for (_, symbol), why in gate.symbols.items()},
        "streams": {
            name: {"state": str(session.state), "why": session.why, "seen_ms": session.seen_ms or None}
            for name, session in dict(context.sessions).items()
        },
        "breakers": breakers,
        "budgets": budgets,
        "mailboxes": mailboxes,
        "orders": dict(Counter(str(each.state) for each in snapshots)),
        "open": sum(each.outcome is None for each in snapshots),
        "unresolved": len(unresolved),
        "unresolved_since_ms": min((each.updated_ms for each in unresolved), default=None),
        "drift": {f"{key[0]} {key[1]} {key[2]}": f"{drift:f}" for key, drift in drifts(context).items()},
    }


def drifts(context: Context) -> dict[Key, Decimal]:
    """Ours less theirs, signed, of each position of which the exchange's newest row is not older than our fold."""
    positions = context.positions
    found: dict[Key, Decimal] = {}
    for key, row in dict(context.shown).items():
        ours = positions.get(key)
        if ours is None or row.seq >= ours.seq:
            found[key] = _signed(ours) - _signed(row)
    return found


def _signed(position: PositionSnapshot | PositionRow | None) -> Decimal:
    if position is None:
        return ZERO
    return -position.size if position.side is Side.SELL else position.size


def _args(command: Command) -> dict[str, object]:
    try:
        args = json.loads(command.args or "{}")
    except ValueError:
        return {}
    return args if isinstance(args, dict) else {}


def _said(decision: Decision) -> str:
    return f"{decision.decided}: {decision.why}" if decision.why else decision.decided


def _correlation_of(slot: Slot | None) -> str:
    return "" if slot is None else slot.cell.snapshot.correlation_id


def _brake_record(brake: Brake) -> Record:
    body: dict[str, object] = {
        "id": None,
        "asked_ms": brake.at_ms,
        "verb": "halt",
        "who": brake.who,
        "why": brake.why,
        "args": {},
        "state": "obeyed",
        "answer": "halted by the brake beside the journal",
    }
    return Record(kind="command", body=plain.dumps(body))
