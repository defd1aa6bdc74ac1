"""`hean halt`: no more creates."""

from __future__ import annotations

from hean.desk.asking import ask_halt, asker
from hean.desk.cli import verb
from hean.desk.desk import Desk
from hean.desk.patience import patient


@verb("halt", examples=['hean halt --why "fills look wrong"'])
@patient
@asker(why_needed=False)
def halt(desk: Desk, who: str, why: str, timeout_s: float) -> int:
    """
    No more creates, until resumed: the weakest of three stops. Open orders stay, cancels pass.

    A restart does not lift it. Where no router runs, the next one starts halted.
    """
    return ask_halt(desk, who=who, why=why or "halted by hand", timeout_s=timeout_s)
