"""A gap with five hundred executions in it is closed, whole; how soon is measured by `scripts/gap.py`."""

from __future__ import annotations

from tests.scenarios.world import World
from tests.soak.gap import recover


def test_five_hundred_missed_executions_are_there_once_the_socket_is_back(plain_world: World) -> None:
    world = plain_world
    with world.router(reconcile__manual="alert") as router:
        recovery = recover(router, world.exchange, executions=500, outage_s=2.0, name="gap")
        assert (500, True) == (recovery.executions, recovery.outage_ms >= 1_500)
        assert (True, ()) == (router.reconcile().equal, router.reconcile().found)
        world.assert_books_equal(router)
