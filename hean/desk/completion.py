"""`hean completion`: the script that makes a shell complete verbs and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from hean.desk.cli import hean, verb
from hean.desk.desk import Desk, Form
from hean.desk.exits import Exit


@verb(
    "completion",
    examples=[
        'eval "$(hean completion bash)"        # in ~/.bashrc',
        "hean completion fish > ~/.config/fish/completions/hean.fish",
    ],
    journal=False,
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(desk: Desk, shell: str) -> int:
    """Print the script that makes SHELL complete hean's verbs, options and their values."""
    kind = get_completion_class(shell)
    assert kind is not None, "click knows these three"
    script = kind(hean, {}, "hean", "_HEAN_COMPLETE").source()
    if desk.form is Form.TEXT:
        desk.out.write(f"{script}\n")
    else:
        desk.put("hean.completion/1", {"shell": shell, "script": script})
    return Exit.DONE
