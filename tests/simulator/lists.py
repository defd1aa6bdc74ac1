"""
What the exchange's lists of executions have told, and what they have left out.

A list that leaves an execution out and says that it is whole can be found out by what else does not fit to it: the sum
of an order, the size of a position. Where nothing does, as with trades of another hand that cancel each other out,
nobody can know of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson

from tests.exchange.wire import Request

if TYPE_CHECKING:
    from tests.simulator.world import World

TWICE = 2
"""An execution that one list leaves out is asked for once more, by the comparison that follows each catch-up."""


class Lists:
    """The lists of one world, read by another reader than hean's."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._told: set[str] = set()
        self._left_out: Counter[str] = Counter()

    def tell(self, exec_ids: set[str]) -> None:
        """The router has heard of these."""
        self._told |= exec_ids

    def has_told(self, exec_id: str) -> bool:
        """Whether the router has heard of it, by a list or over the stream."""
        return exec_id in self._told

    def answered(self, request: Request, body: bytes) -> Callable[[], None]:
        """
        The exchange answers.

        Returns:
            what follows once the answer has come.
        """
        if request.path != "/v5/execution/list":
            return _nothing
        params = {name: values[0] for name, values in parse_qs(request.query).items()}
        try:
            result: dict[str, Any] = orjson.loads(body).get("result") or {}
        except orjson.JSONDecodeError:
            return _nothing
        listed = {row["execId"] for row in result.get("list") or () if "execId" in row}
        claims_whole = "list" in result and not result.get("nextPageCursor")
        asked_for = self._asked_for(params) if claims_whole else set()

        def heard() -> None:
            self._told |= listed
            self._left_out.update(asked_for - self._told)

        return heard

    def never_shown(self, exec_id: str) -> bool:
        """Whether nothing ever told of that execution, and lists that had to left it out."""
        return exec_id not in self._told and self._left_out[exec_id] >= TWICE

    def _asked_for(self, params: dict[str, str]) -> set[str]:
        """What a list of these would hold. Those of one order leave out all others, and are not of interest here."""
        if params.keys() & {"orderId", "orderLinkId"}:
            return set()
        start_ms, end_ms = int(params.get("startTime", 0)), int(params.get("endTime", 0))
        return {
            execution.exec_id
            for execution in self._world.account.executions
            if execution.instrument.category == params.get("category")
            and execution.symbol == params.get("symbol", execution.symbol)
            and start_ms <= execution.exec_ms <= end_ms
        }


def _nothing() -> None:
    return
