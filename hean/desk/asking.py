"""Asking the router for something: a row in the journal's table of commands, and the wait for its answer."""

from __future__ import annotations

import getpass
import json
import platform
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from hean.desk.desk import Desk, Row
from hean.desk.exits import Exit
from hean.desk.paper import Paper
from hean.errors import JournalBusy, LocalError
from hean.journal import Brake, Command, JournalView, holder_of, post_command, pull_brake, pulled_brake

_LOOK_S: Final = 0.02

Function = TypeVar("Function", bound=Callable[..., Any])


def me() -> str:
    """Who sits at this desk: user and host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{platform.node()}"


def asker(why_needed: bool) -> Callable[[Function], Function]:
    """The options of everybody who stops something: who and why, both journalled."""

    def make(function: Function) -> Function:
        function = click.option("--who", default=me, show_default="you", help="who asks, for the journal")(function)
        why = {"required": True} if why_needed else {"default": ""}
        return click.option("--why", help="for the journal", **why)(function)

    return make


def ask(desk: Desk, verb: str, *, who: str, why: str, timeout_s: float, **args: str) -> int:
    """
    Leave a command, wait for its answer, and show it.

    Args:
        desk: where to read and write.
        verb: halt, resume, cancel or resolve.
        who: for the journal.
        why: for the journal.
        timeout_s: for the answer.
        args: what the verb needs besides; `order_link_id` where it is about one order.

    Returns:
        DONE when it was obeyed, CHECK_FAILED when the router said no, UNKNOWN when nobody answered.

    Raises:
        LocalError: no router runs, or it holds the journal's write lock and does not go on. Nothing was asked.
    """
    pid = holder_of(desk.path)
    if pid is None:
        else_ = "start one, which is halted until then" if verb == "resume" else "start one, or hean kill"
        raise LocalError(f"no router has {desk.path}, so nobody would {verb}; {else_}")
    try:
        number = post_command(desk.path, at_ms=desk.now_ms(), who=who, verb=verb, args=json.dumps({**args, "why": why}))
    except JournalBusy as error:
        raise LocalError(
            f"process {pid} holds {desk.path} and does not go on; nothing was asked. It hangs or is stopped: hean kill "
            "works without it"
        ) from error
    with desk.view() as view, desk.progress(f"waiting for process {pid}"):
        command = _answered(view, number, timeout_s)
    told = {"verb": verb, "who": who, "why": why, "order_link_id": args.get("order_link_id", "")}
    _show(desk, told | {"id": number, "state": command.state, "answer": command.answer})
    if command.state == "waiting":
        about = f" for {told['order_link_id']}" if told["order_link_id"] else ""
        desk.complain(
            f"process {pid} has not answered within {timeout_s:g} s: whether it will {verb}{about} is not known",
            exit_code=Exit.UNKNOWN,
            hint="hean status shows whether it hangs; hean kill works without it",
        )
        return Exit.UNKNOWN
    return Exit.DONE if command.state == "obeyed" else Exit.CHECK_FAILED


def ask_halt(desk: Desk, *, who: str, why: str, timeout_s: float) -> int:
    """
    Ask for a halt, by a row or by the brake beside the journal: one that is not obeyed now is obeyed later.

    Returns:
        DONE when it was obeyed, or no router runs and the next one will find it; UNKNOWN when the running one hangs.
    """
    pid = holder_of(desk.path)
    told: Row = {"id": None, "verb": "halt", "who": who, "why": why, "order_link_id": ""}
    if pid is not None:
        try:
            return ask(desk, "halt", who=who, why=why, timeout_s=timeout_s)
        except LocalError:
            # The journal cannot be written just now: the brake can.
            pass
    pull_brake(desk.path, Brake(who=who, why=why, at_ms=desk.now_ms()))
    if pid is None:
        _show(desk, told | {"state": "waiting", "answer": "no router runs; the next one on this journal starts halted"})
        return Exit.DONE
    if _until(lambda: pulled_brake(desk.path) is None, timeout_s):
        _show(desk, told | {"state": "obeyed", "answer": "halted by the brake beside the journal"})
        return Exit.DONE
    _show(desk, told | {"state": "waiting", "answer": f"process {pid} hangs; it will halt first thing when it goes on"})
    desk.complain(
        f"process {pid} does not answer: open orders are as they were",
        exit_code=Exit.UNKNOWN,
        hint="hean kill cancels them without it",
    )
    return Exit.UNKNOWN


def _answered(view: JournalView, number: int, timeout_s: float) -> Command:
    found: list[Command] = []

    def answered() -> bool:
        command = view.command(number)
        assert command is not None, "it was written just now"
        found.append(command)
        return command.state != "waiting"

    _until(answered, timeout_s)
    return found[-1]


def _until(done: Callable[[], bool], timeout_s: float) -> bool:
    """Whether it came true in time."""
    deadline, pause = time.monotonic() + timeout_s, threading.Event()
    while not done():
        if time.monotonic() >= deadline:
            return False
        pause.wait(_LOOK_S)
    return True


def _show(desk: Desk, row: Row) -> None:
    def text(paper: Paper) -> None:
        paper.line(f"{row['state']}: {row['answer']}" if row["answer"] else row["state"])

    desk.show("hean.command/1", row, (), text)
