"""`hean version`: what is installed."""

from __future__ import annotations

import platform
from importlib import metadata

from hean.desk.cli import verb
from hean.desk.desk import Desk
from hean.desk.exits import Exit
from hean.desk.paper import Paper

_PACKAGES = ("pykka", "python-statemachine", "requests", "websocket-client")


@verb("version", examples=["hean version", "hean version -o json"], journal=False)
def version(desk: Desk) -> int:
    """What is installed: hean, Python, and the packages that its behaviour rests on."""
    packages = {name: version_of(name) for name in _PACKAGES}
    head = {"version": version_of("hean"), "python": platform.python_version(), "packages": packages}

    def text(paper: Paper) -> None:
        paper.line(f"hean {head['version']}")
        paper.line(f"python {head['python']}")
        for name, number in packages.items():
            paper.line(f"{name} {number}")

    desk.show("hean.version/1", head, (), text)
    return Exit.DONE


def version_of(package: str) -> str:
    """The installed version of a package; of one that runs from its source alone, that."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
