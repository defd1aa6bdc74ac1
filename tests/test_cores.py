"""A router's threads keep to the processor that a host gave them, and no other thread does."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from hean import EventType, OrderState, Router, Side, Signal
from hean.cores import keeping_to
from hean.errors import ConfigError
from tests.conftest import Routers, our_threads

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps threads to a processor")

WAIT_S = 10


def where(thread: threading.Thread) -> set[int]:
    """The processors that a thread may run on."""
    assert thread.native_id is not None
    return os.sched_getaffinity(thread.native_id)


def test_every_thread_of_a_router_keeps_to_its_core_but_for_the_users_own(router: Routers) -> None:
    ours = os.sched_getaffinity(0)
    core = max(ours)
    made = router(threads__core=core)
    heard = threading.Event()
    made.subscribe(EventType.ORDER_FILLED, lambda _: heard.set())
    signal = Signal(strategy_id="s", signal_id="1", symbol="BTCUSDT", side=Side.BUY, qty="0.001")
    assert OrderState.FILLED == made.submit(signal).wait_for(OrderState.FILLED, WAIT_S).outcome
    assert heard.wait(WAIT_S)
    threads = {thread.name: where(thread) for thread in our_threads()}
    # A handler is the strategy's code, and what it starts inherits where it may run.
    assert ours == threads.pop("hean-callbacks")
    assert {frozenset({core})} == {frozenset(cores) for cores in threads.values()}
    assert any(name.startswith("hean-OrderActor") for name in threads)
    assert ours == os.sched_getaffinity(0)


def test_unset_it_leaves_every_thread_to_the_system(router: Routers) -> None:
    router()
    ours = os.sched_getaffinity(0)
    assert {frozenset(ours)} == {frozenset(where(thread)) for thread in our_threads()}


def test_a_core_that_cannot_be_had_is_refused_and_nothing_runs(router_env: dict[str, str]) -> None:
    ours = os.sched_getaffinity(0)
    with pytest.raises(
        ConfigError, match=r"threads.core: expected a processor that this process may use, of \[.*\], was 4095"
    ):
        Router.from_env(router_env, threads__core=4095).start()
    assert ([], ours) == (our_threads(), os.sched_getaffinity(0))
    assert not Path(router_env["HEAN_JOURNAL__PATH"]).exists()


def test_what_raises_meanwhile_gives_the_callers_thread_back() -> None:
    ours = os.sched_getaffinity(0)
    with pytest.raises(ZeroDivisionError), keeping_to(max(ours)):
        raise ZeroDivisionError
    assert ours == os.sched_getaffinity(0)


def test_a_system_that_cannot_keep_threads_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(ConfigError, match="only Linux keeps threads to a processor"), keeping_to(0):
        pytest.fail("it must not get here")
