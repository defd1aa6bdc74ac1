"""
What the exchange has to do later, without a clock of its own: the shell asks `next_due_ms` and calls `run`.
"""

import heapq
from collections.abc import Callable

Action = Callable[[], None]


class Schedule:
    """
    Actions by due time, then by order of planning.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Action]] = []
        self._planned = 0

    def plan(self, due_ms: int, action: Action) -> None:
        """
        Do this then.
        """
        self._planned += 1
        heapq.heappush(self._heap, (due_ms, self._planned, action))

    def next_due_ms(self) -> int | None:
        """
        When something is due next; None when nothing is.
        """
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now_ms: int) -> Action | None:
        """
        The next action that is due.
        """
        if self._heap and self._heap[0][0] <= now_ms:
            return heapq.heappop(self._heap)[2]
        return None
