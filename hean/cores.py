"""
Where threads run: all of a router on one processor, where a host asks for it.

Python runs one thread at a time, whatever the number of processors. Threads that hand work to each other and are spread
over two of them wait for the interpreter's lock at each hand-over, and find their data in the other one's cache.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hean.errors import ConfigError


@contextmanager
def keeping_to(core: int | None) -> Iterator[None]:
    """
    Let every thread that is started meanwhile, and whatever it starts, run on one processor alone.

    Done by lending the caller's own thread to that processor, for a thread inherits where it may run; the caller's is
    given back at the end.

    Args:
        core: the processor's number; None leaves everything to the system.

    Raises:
        ConfigError: this process may not run there, or the system cannot do this. Nothing has changed.
    """
    if core is None:
        yield
        return
    if sys.platform != "linux":
        raise ConfigError(f"threads.core: expected it unset, for only Linux keeps threads to a processor, was {core}")
    before = os.sched_getaffinity(0)
    if core not in before:
        raise ConfigError(
            f"threads.core: expected a processor that this process may use, of {sorted(before)}, was {core}"
        )
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
