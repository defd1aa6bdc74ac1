"""`hean resume`: signals are taken again."""

from __future__ import annotations

from hean.desk.asking import ask, asker
from hean.desk.cli import verb
from hean.desk.desk import Desk
from hean.desk.patience import patient


@verb("resume", examples=['hean resume --why "looked at it with the desk"'])
@patient
@asker(why_needed=False)
def resume(desk: Desk, who: str, why: str, timeout_s: float) -> int:
    """Take signals again, after a halt; says so where something else still stands against it."""
    return ask(desk, "resume", who=who, why=why, timeout_s=timeout_s)
