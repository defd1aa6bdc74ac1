"""
The order machine in words: what its states mean, how they fail and recover; what its facts are, and when taken.

The README's tables are made from this. A state or a fact of `OrderChart` without its words here fails a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

STATES: Final[Mapping[str, str]] = {
    "PENDING": "Intent journalled, nothing of this attempt sent. Left by sending, a denial or a restart. A process "
    "that dies here is found by the journal, and the order is looked up before anything is sent.",
    "SUBMITTED": "Handed to the gateway; bytes may have left, no evidence yet. Left by evidence, a withdrawal or "
    "an unknown outcome. A late reply cannot hold it: every call has a deadline.",
    "TIMEOUT": "Outcome unknown: reply lost, deadline passed, ambiguous error. Never terminal; fills are applied "
    "here; only evidence or a proven absence leaves it. Look-ups are spaced ever wider and never end; a person is "
    "told.",
    "ACKNOWLEDGED": "The exchange shows the order; New, Untriggered or Triggered is its sub-state. Left by a fill, a "
    "cancel or a late rejection. An order that vanishes from every list is asked for, then quarantined.",
    "PARTIAL_FILL": "Some quantity executed, some left. Left by the rest or a cancel. An execution that the stream "
    "lost shows as a gap to the exchange's count, and is fetched.",
    "FILLED": "Fully executed according to the exchange. A gap to our executions is queried until it is zero; what "
    "history has lost, a person accepts.",
    "CANCELLED": "Ended at the exchange, perhaps with fills; the reason is kept. A late fill moves quantity only. A "
    "row that says Filled contradicts it: alarm and query.",
    "REJECTED": "Refused by the exchange, or proven never placed. A fill here contradicts it: alarm and query, until "
    "its end is shown or a person decides.",
    "DENIED": "Refused here; no attempt was ever made. Final for its signal. Evidence of such an order is somebody "
    "else's under our ID: alarm.",
    "ERROR": "An invariant broke: quarantined and alarmed, still consuming fills. Left by evidence or the operator.",
    "CLOSED": "Settled: no gap, fees known, position agreed, journal flushed. A late fill wakes it.",
}
"""What each state means, how it fails and how it recovers; the README's table is made from it."""

FACTS: Final[Mapping[str, str]] = {
    "denied": "refused here: checks, halt, deadline",
    "sent": "handed to the gateway",
    "not_sent": "did not leave: withdrawn, or connecting failed before a byte",
    "retry_due": "retry timer",
    "restarted": "given back by the journal",
    "accepted": "reply: accepted",
    "refused": "reply: permanent refusal",
    "not_executed": "reply: refused before matching (throttled, busy)",
    "unknown": "reply: unknown, or deadline passed",
    "duplicate": "reply: duplicate order_link_id",
    "answered_before": "reply to an earlier attempt",
    "query_due": "query timer",
    "query_failed": "look-up failed or partial",
    "looked_up": "look-up complete, order shown",
    "nothing_found": "look-up complete and empty, not proof yet",
    "absence_proven": "absence proven",
    "shows_open": "shows New, Created, Untriggered, Triggered, PendingCancel",
    "shows_partly": "shows PartiallyFilled",
    "shows_filled": "shows Filled",
    "shows_cancelled": "shows Cancelled, PartiallyFilledCanceled, Deactivated",
    "shows_rejected": "shows Rejected, nothing executed",
    "shows_rejected_part": "shows Rejected, something executed",
    "shows_stale": "shows less than was known",
    "executed_part": "execution, sum < qty",
    "executed_full": "execution, sum = qty",
    "executed_over": "execution, sum > qty",
    "executed_known": "execution with known exec_id",
    "cancel_asked": "cancel asked",
    "amend_asked": "amend asked",
    "command_accepted": "cancel or amend reply: accepted",
    "command_failed": "cancel or amend reply: refused, unknown, throttled, late",
    "halted": "halted or resumed",
    "resolved": "operator decides",
    "broken": "invariant broken, handler crashed",
    "settled_stale": "position agreed at a seq that is no longer the order's last",
    "settled": "position agreed, journal flushed",
}
"""What each fact of the chart stands for, in the order of its table."""

_NEWEST = "It answers the newest attempt, else `answered_before`."
_OURS = "Category, symbol and side are the intent's, else `broken`; it is past the monotonic guard, else `shows_stale`."
_FILL = (
    "Of a type that moves quantity, its exec_id new, else `executed_known`. Category, symbol and side are the "
    "intent's, else `broken`, and counted all the same."
)
_COMMAND = "It answers the command that is out; an answer to another is no news."

CHECKS: Final[Mapping[str, str]] = {
    "denied": "The reason is typed. After an attempt it ends nothing until its absence is proven.",
    "sent": "Not halted, no cancel wished, younger than the maximum age, else `denied`.",
    "not_sent": f"No byte left. {_NEWEST}",
    "retry_due": "As `sent`, and tries are left, else `denied`; outside PENDING it asks nothing.",
    "restarted": "The journal's record; what was in flight is forgotten, and no absence counts before the exchange had "
    "time to show it.",
    "accepted": "Of any attempt; binds the order_id once. An ID that differs later is taken of a conditional order's "
    "row alone.",
    "refused": f"Its code is listed as a permanent no. {_NEWEST}",
    "not_executed": f"Its code is listed as refused before matching. {_NEWEST}",
    "unknown": f"Everything that is listed as nothing else. {_NEWEST}",
    "duplicate": "What was first shown under the ID has the intent's quantity, else `broken`.",
    "answered_before": "The attempt is not the newest.",
    "query_due": "Something is unresolved, else nothing is asked.",
    "query_failed": "A source or a page failed, or was read in part, or the look-up began too early: proves nothing.",
    "looked_up": "Every source and page answered, and one showed the order.",
    "nothing_found": "Every source and page answered; no proof while a reply may come, before the visibility delay, or "
    "at the first miss.",
    "absence_proven": "Two complete, empty look-ups, both begun after the visibility delay, no reply outstanding, "
    "within a day of the last send.",
    "shows_open": _OURS,
    "shows_partly": _OURS,
    "shows_filled": _OURS,
    "shows_cancelled": f"{_OURS} Also a rejection whose reason is matching's: post-only, IOC, FOK.",
    "shows_rejected": f"{_OURS} Neither our sum nor the watermark is above zero.",
    "shows_rejected_part": f"{_OURS} Our sum or the watermark is above zero.",
    "shows_stale": "Goes back in executed quantity, status or time, and the exchange's clock has not been set back.",
    "executed_part": f"{_FILL} Also where nobody can say what the whole is: no orderQty here or of a newer "
    "execution, an amend is out, a spot market buy.",
    "executed_full": f"{_FILL} The sum is the row's own orderQty.",
    "executed_over": f"{_FILL} The sum exceeds the row's own orderQty.",
    "executed_known": "Its exec_id is counted; a fee that its earlier row left out is still taken.",
    "cancel_asked": "The order lives, else the command is denied.",
    "amend_asked": "It fits the instrument, and no cancel is wished, else the command is denied.",
    "command_accepted": _COMMAND,
    "command_failed": _COMMAND,
    "halted": "None.",
    "resolved": "`rejected` only where nothing executed, else it is taken as `cancelled`; covers what is missing now.",
    "broken": "None; taken in every state.",
    "settled_stale": "The seq is not the one that was asked about, or a gap or contradiction has come between.",
    "settled": "At the order's last seq, no gap, every fee told, nothing contradicted.",
}
"""What must hold for each fact to be taken under its name, and what it is else."""
