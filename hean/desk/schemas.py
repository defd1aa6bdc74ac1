"""
What every JSON object of the desk holds: one table for programs to rely on, and for `hean schema` to print.

An object always has every field of its schema; what is not known is null, "" or empty. Times end in `_ms` (milliseconds
since 1970, UTC) or `_s`; quantities and prices are strings in plain notation. A field may be added to a schema; a field
that goes or changes its meaning raises the number in its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen


@frozen
class Schema:
    """
    One kind of object.

    Attributes:
        meaning: in one sentence.
        fields: name -> meaning. The head of a verb has `rows` besides, where all is one object.
    """

    meaning: str
    fields: Mapping[str, str]


_ORDER: Final = {
    "order_link_id": "ours, and the exchange's orderLinkId",
    "order_id": "the exchange's; null before it told",
    "correlation_id": "follows the signal through every record",
    "strategy_id": "of the signal",
    "signal_id": "of the signal",
    "category": "linear, inverse",
    "symbol": "e.g. BTCUSDT",
    "side": "Buy, Sell",
    "order_type": "Market, Limit",
    "state": "of the order's machine",
    "outcome": "FILLED, CANCELLED, REJECTED, DENIED; null while open",
    "open": "whether it may still trade, or nobody knows",
    "unresolved": "whether only asking the exchange can tell how it stands",
    "qty": "total, base coin",
    "cum_exec_qty": "executed, the sum of the executions that we have",
    "leaves_qty": "left",
    "gap": "how much of the exchange's count no execution explains yet",
    "price": "limit price; null for a market order",
    "avg_price": "of the executions; null before one",
    "pending": "cancel or amend while one is out",
    "status": "the exchange's last word",
    "deny_reason": "why it was denied, in one word; null where it was not",
    "reason": "why it was denied, rejected or cancelled",
    "attempts": "creates handed to the gateway and not proven unsent",
    "submitted_ms": "our clock at the submit",
    "updated_ms": "our clock at its last change",
}
_SIDES: Final = {
    "category": "linear, inverse",
    "symbol": "e.g. BTCUSDT",
    "position_idx": "0 one-way, 1 hedge long, 2 hedge short",
    "ours_side": "Buy, Sell; null when flat",
    "ours_size": "what our executions make",
    "theirs_side": "Buy, Sell; null when flat",
    "theirs_size": "what the exchange says",
    "difference": "ours less theirs, signed: long is positive",
    "ours_avg_price": "null when flat",
    "theirs_avg_price": "null when flat",
    "we_lack": "exec_ids that the exchange lists and we do not have",
    "they_lack": "exec_ids that we have and the exchange does not list",
    "drift": "whether the two sides differ",
}

SCHEMAS: Final[Mapping[str, Schema]] = {
    "hean.error/1": Schema(
        "Why a verb failed; on stderr.",
        {"error": "what, which, what was expected", "hint": "what to do", "exit_code": "of the process"},
    ),
    "hean.version/1": Schema(
        "What is installed.", {"version": "of hean", "python": "of the interpreter", "packages": "name -> version"}
    ),
    "hean.orders/1": Schema(
        "Head of `orders`.", {"journal": "file", "at_ms": "our clock when it was read", "orders": "how many are listed"}
    ),
    "hean.order/1": Schema("One order as hean holds it.", _ORDER),
    "hean.signals/1": Schema(
        "Head of `signals`: the funnel.",
        {
            "journal": "file",
            "at_ms": "our clock when it was read",
            "since_ms": "submitted at or after; null for all",
            "received": "signals in the journal",
            "denied": "refused here, nothing was sent",
            "denied_by_reason": "reason -> how many",
            "sent": "handed to the exchange at least once",
            "acknowledged": "the exchange showed the order",
            "filled": "fully",
            "part_filled": "some, and open or ended",
            "rejected": "by the exchange, or proven never placed",
            "cancelled": "ended before they were full",
            "open": "may still trade",
            "unknown": "outcome unknown, or parked in ERROR",
        },
    ),
    "hean.signal/1": Schema(
        "One signal and what became of it.",
        {
            "at_ms": "our clock at the submit",
            "strategy_id": "of the signal",
            "signal_id": "of the signal",
            "order_link_id": "of its order, or of its denial",
            "correlation_id": "follows the signal through every record",
            "symbol": "e.g. BTCUSDT",
            "state": "of its order",
            "outcome": "null while open",
            "reason": "of a denial, in one word; null where it was not denied",
            "detail": "what was expected, what was seen, what to do",
        },
    ),
    "hean.status/1": Schema(
        "How the router is.",
        {
            "journal": "file",
            "at_ms": "our clock when it was read",
            "router": "running, silent (alive, and its pulse stopped) or gone",
            "pid": "of the router's process; null when it is gone",
            "pulse_ms": "our clock at its last pulse; null when it never had one",
            "live": "whether signals are taken, as of the last pulse; null when it is gone",
            "live_why": "why not",
            "halted": "whether creates are halted",
            "halted_why": "who and why",
            "halt_asked": "why a halt was asked for that no router has obeyed yet; null when none was",
            "streams": "name -> state, why, seen_ms (our clock at its last frame)",
            "breakers": "name -> state",
            "budgets": "group of calls -> how many may leave now",
            "mailboxes": "actor -> messages waiting",
            "orders": "state -> how many are not settled",
            "open_orders": "may still trade",
            "unresolved": "only the exchange can tell how they stand",
            "oldest_unresolved_s": "age of the oldest of them; null when there is none",
            "drift": "differences of positions as of the last comparison: symbol -> ours less theirs",
            "frozen": "symbol -> why only reduce-only orders pass",
            "commands": "operator commands that wait for an answer",
        },
    ),
    "hean.trace/1": Schema(
        "Head of `trace`: whose story it is.",
        {
            "journal": "file",
            "asked": "the ID that was given",
            "found_by": "which kind of ID it was",
            "orders": "objects of hean.order/1; none for a story without an order of ours",
            "records": "lines of the story",
            "duplicates": "how many of them delivered something that was known",
        },
    ),
    "hean.trace.line/1": Schema(
        "One line of a story.",
        {
            "n": "number of its record in the journal; a request and its reply share one",
            "at_ms": "our clock",
            "since_ms": "milliseconds of our clock after the line before; null for the first",
            "event_ms": "the exchange's clock; null where it had no part",
            "epoch": "which start of the router wrote it",
            "kind": "signal, fact, request, reply, event, duplicate, command, quarantine, poison",
            "name": "of the fact, the event or the call",
            "source": "strategy, router, reply, stream, query, reconcile, replay, rest, trade, or who asked",
            "order_link_id": "of the order; empty for none",
            "before": "state before; null where it is no fact",
            "after": "state after; null where it is no fact",
            "duplicate_of": "number of the record that told the same before: nothing changed; null where it is news",
            "detail": "for people",
            "effects": "what the machine wanted done",
            "events": "what was published: type, reason, detail, exec_id",
            "raw": "what the record holds, whole",
        },
    ),
    "hean.positions/1": Schema(
        "Head of `positions`.",
        {
            "journal": "file",
            "at_ms": "our clock when both sides were read",
            "since_ms": "exchange time from which executions were compared",
            "drift": "whether any position differs",
        },
    ),
    "hean.position/1": Schema("One position on both sides.", _SIDES),
    "hean.reconcile/1": Schema(
        "Head of `reconcile`.",
        {
            "journal": "file",
            "at_ms": "our clock when the exchange was asked",
            "since_ms": "exchange time from which executions were compared",
            "looks": "how often the exchange was asked: a difference counts when it is seen twice",
            "orders": "open orders compared",
            "executions": "executions compared",
            "positions": "positions compared",
            "drift": "whether there is a difference",
            "unread": "rows of the exchange that could not be read",
        },
    ),
    "hean.finding/1": Schema(
        "One difference between our books and the exchange's.",
        {
            "kind": "what differs",
            "category": "linear, inverse",
            "symbol": "e.g. BTCUSDT",
            "position_idx": "0 one-way, 1 hedge long, 2 hedge short",
            "order_link_id": "empty where it is not about an order of ours",
            "order_id": "empty where it is not about an order",
            "exec_ids": "executions that one side lacks",
            "ours": "what we hold, in words",
            "theirs": "what the exchange says, in words",
        },
    ),
    "hean.check/1": Schema(
        "Head of `check`: whether the signal would pass.",
        {
            "order_link_id": "that it would have; empty where it has no identity",
            "would": "be sent, be known, be denied, be refused",
            "reason": "of the no, in one word; empty where there is none",
            "detail": "what was expected, what was seen, what to do",
        },
    ),
    "hean.check.step/1": Schema(
        "One check.", {"check": "its name", "verdict": "pass, fail, skipped", "detail": "what was seen"}
    ),
    "hean.doctor/1": Schema(
        "Head of `doctor`.",
        {
            "exchange": "which one was asked: testnet, loopback",
            "passed": "checks",
            "warned": "checks",
            "failed": "checks",
        },
    ),
    "hean.doctor.check/1": Schema(
        "One check of the doctor's.",
        {"check": "its name", "verdict": "pass, warn, fail", "detail": "what was seen", "fix": "what to do about it"},
    ),
    "hean.command/1": Schema(
        "What became of an operator's command.",
        {
            "id": "of the command; null where it left none",
            "verb": "halt, resume, cancel, resolve",
            "who": "asked",
            "why": "as given",
            "order_link_id": "of the order; empty where it is about all",
            "state": "obeyed, denied, waiting",
            "answer": "the router's",
        },
    ),
    "hean.kill/1": Schema(
        "What `kill` did, and what the exchange showed afterwards.",
        {
            "exchange": "which one: testnet, loopback",
            "complete": "nothing is open, and every position is flat where that was asked for",
            "halt": "left, failed: whether the router will find the order to halt",
            "cancelled": "order_ids that the exchange took for cancelling",
            "open_orders": "order_ids that are still open; null where not every list came",
            "flattened": "order_link_ids of the reduce-only orders that were sent",
            "positions": "what is still held: symbol -> side and size",
            "problems": "what could not be done or seen; with one of these nothing is certain",
            "notes": "what need not worry anybody",
            "took_s": "seconds",
        },
    ),
    "hean.replay/1": Schema(
        "What a replay of the journal came to.",
        {
            "journal": "file",
            "records": "read",
            "facts": "given to the core again",
            "orders": "that came out the same",
            "positions": "that came out the same",
            "chain": "sound, broken",
            "first_bad_record": "number of the first record that is changed or missing; null when the chain is sound",
            "differences": "how many",
        },
    ),
    "hean.difference/1": Schema(
        "Where a replay came out otherwise.",
        {
            "n": "number of the record; null for an end state",
            "about": "order_link_id or position",
            "what": "which part differs",
            "journal": "what the journal says",
            "replay": "what the core says",
        },
    ),
    "hean.config/1": Schema("Head of `config show`.", {"file": "the settings file that was read; null for none"}),
    "hean.setting/1": Schema(
        "One setting.",
        {
            "name": "section.name",
            "variable": "of the environment",
            "value": "*** for a secret that is set",
            "source": "where it came from",
            "default": "without one",
            "unit": "of the value",
            "meaning": "what it does",
        },
    ),
    "hean.diagram/1": Schema(
        "A machine.",
        {"machine": "its name", "format": "of the picture", "picture": "its text", "path": "steps of the order's path"},
    ),
    "hean.schema/1": Schema(
        "What the objects hold: this list.",
        {"schemas": "name -> its meaning, and its fields with theirs"},
    ),
    "hean.completion/1": Schema(
        "What makes a shell complete verbs and options.",
        {"shell": "bash, zsh, fish", "script": "to be evaluated by it"},
    ),
}
"""Every object, by its `schema`."""
