"""`hean status`: how the router is."""

from __future__ import annotations

import json
from typing import Any

from hean.desk.cli import verb
from hean.desk.desk import Desk, Row
from hean.desk.exits import Exit
from hean.desk.paper import Column, Paper
from hean.desk.read import alive, order_row, seconds
from hean.journal import JournalView, holder_of, pulled_brake
from hean.journal.marks import HALT_MARK, PULSE_MARK


@verb("status", examples=["hean status", "hean status -o json", "watch -n1 hean status"])
def status(desk: Desk) -> int:
    """
    How the router is, by its journal and its pulse.

    Whether it runs, its streams and the age of their last frame, open and unresolved orders, drift, breakers, halt,
    mailboxes. The exit code is 7 while everything is halted.
    """
    with desk.view() as view:
        head = _read(desk, view)
    desk.show("hean.status/1", head, (), lambda paper: _text(paper, head))
    return Exit.HALTED if head["halted"] or head["halt_asked"] else Exit.DONE


def _read(desk: Desk, view: JournalView) -> Row:
    now_ms = desk.now_ms()
    pid = holder_of(desk.path)
    told = view.mark(PULSE_MARK)
    pulse: dict[str, Any] = json.loads(told) if told else {}
    brake = pulled_brake(desk.path)
    halted_why = view.mark(HALT_MARK) or ""
    orders = [order_row(entry) for entry in view.unsettled_orders()]
    unresolved = [row for row in orders if row["unresolved"]]
    oldest_ms = min((row["updated_ms"] for row in unresolved), default=None)
    states: dict[str, int] = {}
    for row in orders:
        states[row["state"]] = states.get(row["state"], 0) + 1
    return {
        "journal": view.path,
        "at_ms": now_ms,
        "router": "gone" if pid is None else "running" if alive(view, now_ms) else "silent",
        "pid": pid,
        "pulse_ms": pulse.get("at_ms"),
        "live": pulse.get("live") if pid is not None else None,
        "live_why": pulse.get("live_why", "") if pid is not None else "",
        "halted": bool(halted_why),
        "halted_why": halted_why,
        "halt_asked": f"{brake.who}: {brake.why}" if brake is not None else None,
        "streams": pulse.get("streams", {}) if pid is not None else {},
        "breakers": pulse.get("breakers", {}) if pid is not None else {},
        "budgets": pulse.get("budgets", {}) if pid is not None else {},
        "mailboxes": pulse.get("mailboxes", {}) if pid is not None else {},
        "orders": states,
        "open_orders": sum(row["open"] for row in orders),
        "unresolved": len(unresolved),
        "oldest_unresolved_s": None if oldest_ms is None else (now_ms - oldest_ms) / 1000,
        "drift": {key: drift for key, drift in pulse.get("drift", {}).items() if drift.strip("-0.")},
        "frozen": pulse.get("frozen", {}) if pid is not None else {},
        "commands": len(view.pending_commands()),
    }


def _text(paper: Paper, head: Row) -> None:
    _router(paper, head)
    if head["halted"]:
        paper.line(f"HALTED    {head['halted_why']}; hean resume", "bold red")
    if head["halt_asked"]:
        paper.line(f"halt      asked for, not obeyed yet: {head['halt_asked']}", "bold red")
    rows = [(name, each["state"], _age(head, each["seen_ms"]), each["why"]) for name, each in head["streams"].items()]
    for name, state, age, why in rows:
        paper.line(f"stream    {name} {state}, last frame {age} ago; {why}", "" if state == "LIVE" else "yellow")
    open_breakers = {name: state for name, state in head["breakers"].items() if state != "CLOSED"}
    if head["breakers"]:
        told = ", ".join(f"{name} {state}" for name, state in open_breakers.items()) or "all closed"
        paper.line(f"breakers  {told}", "yellow" if open_breakers else "")
    states = ", ".join(f"{count} {state}" for state, count in sorted(head["orders"].items())) or "none"
    paper.line(f"orders    {head['open_orders']} open; not settled: {states}")
    if head["unresolved"]:
        age = seconds(head["oldest_unresolved_s"])
        paper.line(f"          {head['unresolved']} unresolved, the oldest for {age}; hean orders --open", "bold red")
    drift = ", ".join(f"{key} {value}" for key, value in head["drift"].items())
    paper.line(f"drift     {drift or 'none'}", "bold red" if drift else "")
    for symbol, why in head["frozen"].items():
        paper.line(f"frozen    {symbol}: {why}", "yellow")
    if head["commands"]:
        paper.line(f"commands  {head['commands']} wait for an answer", "yellow")
    if head["mailboxes"]:
        paper.line()
        names = ("mailbox", *head["mailboxes"])
        paper.table([Column(name, right=True) for name in names], [("waiting", *head["mailboxes"].values())])
        names = ("budget", *head["budgets"])
        paper.table([Column(name, right=True) for name in names], [("left", *head["budgets"].values())])


def _router(paper: Paper, head: Row) -> None:
    match head["router"]:
        case "running":
            live = "live" if head["live"] else f"not live: {head['live_why']}"
            paper.line(f"router    running, process {head['pid']}, {live}", "green" if head["live"] else "yellow")
        case "silent":
            pulse = _age(head, head["pulse_ms"])
            paper.line(
                f"router    SILENT: process {head['pid']} has the journal, its last pulse is {pulse} old", "bold red"
            )
            paper.line("          it hangs or is stopped; hean kill does not need it", "bold red")
        case _:
            paper.line("router    gone: no process has the journal")


def _age(head: Row, since_ms: int | None) -> str:
    return "never" if since_ms is None else seconds((head["at_ms"] - since_ms) / 1000)
