"""
One authenticated request on its way through the engine, whichever channel it came on.
"""

from collections.abc import Callable

import attrs

from tests.exchange.accounts import Account
from tests.exchange.faults import Facts
from tests.exchange.venue import LogEntry
from tests.exchange.wire import Json


@attrs.define(kw_only=True, eq=False)
class Call:
    """
    What a handler gets.

    Attributes:
        name: ``order/create`` for both channels.
        granted: How many items of a batch the rate budget allows.
        facts: What a fault's match can name.
    """

    account: Account
    name: str
    params: Json
    granted: int
    facts: dict[str, str | tuple[str, ...]]
    log: LogEntry

    def item_facts(self, item: Json) -> Facts:
        """
        The facts of one item of a batch.
        """
        return self.facts | {
            "symbol": str(item.get("symbol") or ""),
            "orderLinkId": str(item.get("orderLinkId") or ""),
        }


@attrs.frozen
class Answer:
    """
    What a handler gives back; ``message`` is the retMsg, which differs by endpoint.
    """

    result: object
    message: str = "OK"
    ext: object = None
    bare: bool = False


Handler = Callable[[Call], Answer]
