"""The names of the journal's marks: one value each, replaced in the transaction of what it speaks of."""

from typing import Final

FIRST_MARK: Final = "first_start_ms"
"""When the first router started on it: what happened before is none of ours."""
EXECUTIONS_MARK: Final = "executions_seen_ms"
"""
Exchange time up to which every execution is in the journal.

Moved by a complete list of which the journal has every row, never by what was only told to somebody.
"""
FOREIGN_MARK: Final = "foreign_orders"
"""Foreign orders that are open or ended a moment ago: an execution row does not name its parent."""
FROZEN_MARK: Final = "frozen_symbols"
"""Symbols that a person has to look at, and why, so that a restart does not lift it."""
HALT_MARK: Final = "halted"
"""Why everything is halted, "" when it is not, so that a restart does not lift it."""
PULSE_MARK: Final = "pulse"
"""How the running router is, written every second."""
SUMMED_MARK: Final = "summed_up"
"""Before category, symbol and position_idx: what the book of that position holds as one sum, once it is confirmed."""
