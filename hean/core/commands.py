"""
Cancels and amends of one order: wished for, sent once the order can take them, decided by evidence.

A user's cancel is not forgotten while the order lives; the reply to a request says "taken for processing" and no more.
"""

from __future__ import annotations

from attrs import evolve

from hean.core.draft import Draft
from hean.core.facts import (
    AmendAsked,
    CancelAsked,
    CommandAccepted,
    CommandFailed,
    Decide,
    SendAmend,
    SendCancel,
    Shown,
    StartTimer,
    Timer,
)
from hean.core.record import PendingRequest
from hean.core.types import ZERO, Command, EventType, OrderRow, OrderState


class Commands(Draft):
    """What a step knows of cancels and amends: a wish, a request that is out, and the evidence that decides it."""

    __slots__ = ()

    # Actions.

    def wish_cancel(self) -> None:
        # A repeated wish gives the cancel its tries back.
        self._set(wish_cancel=True, cancels=0)

    def wish_amend(self) -> None:
        if isinstance(self.fact, AmendAsked):
            if self.order.wish_cancel:
                self.deny_command()
                return
            if self.order.wish_amend is not None:
                why = f"superseded by a newer amend; {_amend_text(self.order.wish_amend)} was not sent"
                self.effects.append(Decide(command=Command.AMEND, taken=False, why=why, earlier=True))
            self._set(wish_amend=self.fact.amend)

    def deny_command(self) -> None:
        command = Command.AMEND if isinstance(self.fact, AmendAsked) else Command.CANCEL
        state = self.order.state
        self.effects.append(Decide(command=command, taken=False, why=f"the order is {state}; nothing was sent"))

    def fail_command(self) -> None:
        pending = self.order.pending
        if isinstance(self.fact, CommandFailed):
            self.why = f"{self.fact.command} failed: {self.fact.why}"
            # A late reply to an amend that a cancel overtook says nothing about the cancel.
            if pending is not None and pending.command is self.fact.command:
                self._set(pending=evolve(pending, failed_ms=self.now_ms, why=self.fact.why))

    def take_command(self) -> None:
        pending = self.order.pending
        if isinstance(self.fact, CommandAccepted) and pending is not None and pending.command is self.fact.command:
            self._set(pending=evolve(pending, accepted_ms=self.now_ms))
            self.expect_row()

    def expect_row(self) -> None:
        self.effects.append(StartTimer(timer=Timer.QUERY, delay_ms=self.policy.shown_ms))

    # What follows from the new state, and from a row.

    def _pursue(self) -> None:
        order = self.order
        pending = order.pending
        # A create that was answered can be cancelled; an amend waits for the row that it changes.
        answered = order.state is OrderState.SUBMITTED and not order.in_flight
        if order.wish_cancel and (order.alive or answered or order.state is OrderState.ERROR):
            if pending is not None and pending.command is Command.CANCEL:
                return
            if order.cancels < self.policy.max_cancels:
                # It overtakes an amend that is out: nothing may hold up a cancel.
                overtaken = pending.amend if pending is not None else None
                pending = PendingRequest(command=Command.CANCEL, sent_ms=self.now_ms, amend=overtaken)
                self._set(pending=pending, cancels=order.cancels + 1)
                self.effects.append(SendCancel())
                self._note(EventType.ORDER_CANCEL_REQUESTED, "cancel", f"try {self.order.cancels}")
            elif order.cancels == self.policy.max_cancels:
                self._set(cancels=order.cancels + 1)
                self._note(
                    EventType.ERROR,
                    "cancel_failing",
                    f"{self.policy.max_cancels} cancels did not end the order; it lives. Ask again, or see `hean kill`",
                )
        elif order.wish_amend is not None and order.alive and pending is None:
            amend = order.wish_amend
            pending = PendingRequest(command=Command.AMEND, sent_ms=self.now_ms, amend=amend)
            self._set(pending=pending, wish_amend=None)
            self.effects.append(SendAmend(amend=amend))
            self._note(EventType.ORDER_AMEND_REQUESTED, "amend", _amend_text(amend))

    def _drop_requests(self, after: OrderState) -> None:
        order = self.order
        if order.wish_cancel and not isinstance(self.fact, CancelAsked):
            filled = after is OrderState.FILLED
            why = f"lost the race: the order is {after}" if filled else f"the order is {after}"
            self.effects.append(Decide(command=Command.CANCEL, taken=not filled, why=why))
        if order.wish_amend is not None or (order.pending is not None and order.pending.amend is not None):
            self.effects.append(Decide(command=Command.AMEND, taken=False, why=f"lost the race: the order is {after}"))
        self._set(pending=None, wish_cancel=False, wish_amend=None)

    def _weigh_pending(self, fact: Shown) -> None:
        pending, row = self.order.pending, fact.row
        if pending is not None and pending.amend is not None and _shows(row, pending.amend):
            self.effects.append(Decide(command=Command.AMEND, taken=True, why="the exchange shows it"))
            pending = evolve(pending, amend=None) if pending.command is Command.CANCEL else None
            self._set(pending=pending)
        if pending is None or row.status.final:
            return
        if pending.failed_ms is None or fact.asked_ms is None or fact.asked_ms < pending.failed_ms:
            return
        # The order lives, so the request that failed did nothing: a cancel is tried again, an amend is dropped.
        self._set(pending=None)
        if pending.amend is not None:
            self.effects.append(Decide(command=Command.AMEND, taken=False, why=pending.why))


def _shows(row: OrderRow, amend: object) -> bool:
    """The row carries every value that the amend asked for."""
    wanted = {name: getattr(amend, name) for name in ("qty", "price", "trigger_price", "take_profit", "stop_loss")}
    return all(value is None or (getattr(row, name) or ZERO) == value for name, value in wanted.items())


def _amend_text(amend: object) -> str:
    wanted = {name: getattr(amend, name) for name in ("qty", "price", "trigger_price", "take_profit", "stop_loss")}
    return ", ".join(f"{name} {value}" for name, value in wanted.items() if value is not None)
