"""The command line: its verbs, what they share, and how an error becomes an exit code."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click
from attrs import frozen

from hean.desk.desk import Desk, Form
from hean.desk.exits import Exit, exit_of
from hean.errors import HeanError, RemoteError


@frozen
class Verb:
    """Where a verb lives, and what `hean --help` says of it."""

    module: str
    summary: str


VERBS: Final[Mapping[str, Mapping[str, Verb]]] = {
    "Look (the journal alone; the router may run or be gone)": {
        "status": Verb("status", "How the router is: streams, orders, breakers, halt"),
        "signals": Verb("signals", "The funnel: received, denied and why, sent, acknowledged, filled"),
        "orders": Verb("orders", "The blotter; live with --watch"),
        "trace": Verb("trace", "The whole story of one signal, order or execution"),
    },
    "Compare with the exchange": {
        "positions": Verb("positions", "Positions on both sides, and the executions that each side lacks"),
        "reconcile": Verb("reconcile", "Orders, executions and positions on both sides"),
        "check": Verb("check", "Would this signal pass? Sends nothing"),
        "doctor": Verb("doctor", "Check everything that a router needs, and say how to mend it"),
    },
    "Stop": {
        "halt": Verb("halt", "No more creates; open orders stay"),
        "resume": Verb("resume", "Take signals again"),
        "cancel": Verb("cancel", "End one order"),
        "kill": Verb("kill", "Halt, cancel everything by REST, verify; works when the router hangs or is gone"),
        "resolve": Verb("resolve", "Decide what no evidence can settle"),
    },
    "Review": {
        "replay": Verb("replay", "The journal through the core: the same states must come out"),
        "diagram": Verb("diagram", "The machines as they run"),
        "config": Verb("config", "Every setting and where it came from"),
        "schema": Verb("schema", "What the JSON objects hold"),
        "completion": Verb("completion", "Completion for bash, zsh or fish"),
        "version": Verb("version", "What is installed"),
    },
}
"""Every verb, by the heading that it stands under."""

# Click keeps the lines of a paragraph that begins with a backspace.
_EPILOG: Final = """\b
Examples:
  hean doctor                        is everything there that a router needs?
  hean signals --denied --since 1h   signals fire: where are the orders?
  hean trace h1-2r5x...              why twice?
  hean positions                     why do we differ?
  hean kill --flatten                stop it

\b
Exit codes: 0 done, 1 bug, 2 usage or setting, 3 a check failed, 4 drift or replay
difference, 5 refused by the exchange, 6 outcome unknown, 7 halted, 130 interrupted."""


class Verbs(click.Group):
    """The group of all verbs; each is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return [name for verbs in VERBS.values() for name in verbs]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        for verbs in VERBS.values():
            if cmd_name in verbs:
                command: click.Command = getattr(import_module(f"hean.desk.{verbs[cmd_name].module}"), cmd_name)
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for title, verbs in VERBS.items():
            with formatter.section(title):
                formatter.write_dl([(name, verb.summary) for name, verb in verbs.items()], col_max=12)


def _chosen(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(Desk).form = Form(value)


def _placed(ctx: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        ctx.ensure_object(Desk).journal = value


_output = click.option(
    "-o",
    "--output",
    type=click.Choice([form.value for form in Form]),
    callback=_chosen,
    expose_value=False,
    help="text for people (default), json one object, jsonl an object a line",
)
_journal = click.option(
    "--journal",
    type=click.Path(path_type=Path),
    callback=_placed,
    expose_value=False,
    help="the journal's file, instead of HEAN_JOURNAL__PATH",
)


@click.group(
    cls=Verbs, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@_output
@_journal
def hean() -> None:
    """Look at, check and stop a hean router. stdout is data, stderr is talk."""


def verb(
    name: str, *, examples: Sequence[str], journal: bool = True, **settings: Any
) -> Callable[[Callable[..., int]], click.Command]:
    """
    Make a verb of a function that takes a `Desk` and returns its exit code.

    Args:
        name: as typed.
        examples: command lines for `--help`, at least one.
        journal: whether it takes `--journal`.
        settings: for click.
    """
    epilog = "\n".join(["\b", "Example:" if len(examples) == 1 else "Examples:", *(f"  {line}" for line in examples)])

    def make(function: Callable[..., int]) -> click.Command:
        @functools.wraps(function)
        def called(**given: Any) -> int:
            return function(click.get_current_context().ensure_object(Desk), **given)

        decorated: Any = _output(_journal(called) if journal else called)
        command: click.Command = click.command(name, cls=click.Command, epilog=epilog, **settings)(decorated)
        return command

    return make


def run(arguments: Sequence[str] | None = None, desk: Desk | None = None) -> int:
    """
    Run one command line.

    Args:
        arguments: without the program's name; the process's own where None.
        desk: where to read and write; the process's own where None.

    Returns:
        the exit code.
    """
    desk = Desk() if desk is None else desk
    try:
        code = hean.main(arguments, prog_name="hean", standalone_mode=False, obj=desk)
        desk.out.flush()
    except click.exceptions.Exit as done:
        return int(done.exit_code)
    except click.Abort:
        return Exit.INTERRUPTED
    except click.ClickException as error:
        ctx = getattr(error, "ctx", None)
        desk.complain(error.format_message(), exit_code=Exit.USAGE, hint=f"{ctx.command_path} --help" if ctx else "")
        return Exit.USAGE
    except BrokenPipeError:
        # Who reads us has seen enough. What Python still holds for stdout has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except KeyboardInterrupt:
        desk.complain("interrupted", exit_code=Exit.INTERRUPTED)
        return Exit.INTERRUPTED
    except HeanError as error:
        code = exit_of(error)
        desk.complain(str(error), exit_code=code, hint=error.hint if isinstance(error, RemoteError) else "")
        return code
    except Exception:  # noqa: BLE001 - whatever is left is a bug of ours, and says so with its traceback
        desk.complain(f"a bug of hean:\n{traceback.format_exc()}", exit_code=Exit.BUG)
        return Exit.BUG
    return Exit.DONE if code is None else int(code)
