"""
The exchange without sockets: a request and the time go in, deliveries come out.

The engine owns every decision: verdicts, matching, faults, what is lost, doubled or late. It never waits: a delay is a
figure on a delivery, and what it has to do later is asked for by `next_due_ms` and done by `tick`. The same seed and
the same calls give the same deliveries, on every Python version.
"""

from tests.exchange.control import Control
from tests.exchange.holdings import Holdings
from tests.exchange.incidents import Incidents
from tests.exchange.instruments import load
from tests.exchange.matching import Matching
from tests.exchange.outbox import Outbox
from tests.exchange.publics import Publics
from tests.exchange.queries import Queries
from tests.exchange.rest import Rest, request_facts, routes
from tests.exchange.sessions import Sessions
from tests.exchange.trade import Trade
from tests.exchange.trading import Trading
from tests.exchange.triggers import Triggers
from tests.exchange.venue import Venue
from tests.exchange.wire import Delivery, Hangup, Reply, Request

API_KEY = "LOOPBACKKEY0000001"
API_SECRET = "LOOPBACKSECRETabcdefghijklmnopqrstuv"
WALLET = {"USDT": "1000000"}


class Engine:
    """
    One exchange.

    Args:
        seed: Of IDs, fault probabilities and drawn delays.
        limits: ``bybit`` or ``none``.
        instruments: JSON as `instruments.load` reads it; None means the built-in ones.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        limits: str = "bybit",
        instruments: str | None = None,
        api_key: str = API_KEY,
        api_secret: str = API_SECRET,
    ) -> None:
        if limits not in ("bybit", "none"):
            raise ValueError(f"limits: expected bybit or none, was {limits!r}")
        self.venue = Venue(load(instruments), seed=seed, lifted=limits == "none")
        self.venue.add_account(api_key, api_secret, WALLET)
        self._outbox = Outbox(self.venue)
        self._matching = Matching(self.venue, self._outbox)
        self._triggers = Triggers(self.venue, self._outbox, self._matching)
        self._sessions = Sessions(self.venue, self._outbox, self._matching)
        private = routes(Trading(self.venue, self._matching), Queries(self.venue), Holdings(self.venue, self._triggers))
        self._rest = Rest(self.venue, private, Publics(self.venue))
        self._sessions.on_trade = Trade(self.venue, self._outbox, self._sessions, self._rest, private).handle
        incidents = Incidents(self.venue, self._outbox, self._matching)
        self._control = Control(self.venue, self._matching, self._sessions, incidents)

    def handle(self, request: Request, now_ms: int) -> list[Delivery]:
        """
        One HTTP request or WebSocket frame.

        Returns:
            For HTTP exactly one `Reply` or `Hangup`, and the frames it caused for others; the reply comes first
            unless a fault lets the frames overtake it.
        """
        self._begin(now_ms, request)
        if request.channel == "http":
            reply, pushes_first = self._rest.answer(request)
            return self._behind(reply, pushes_first=pushes_first)
        if request.channel == "control":
            return self._behind(self._control.answer(request), pushes_first=True)
        self._sessions.received(request)
        self._triggers.settle()
        return self._outbox.drain()

    def opened(self, connection_id: int, channel: str, query: str, now_ms: int) -> list[Delivery]:
        """
        A WebSocket handshake. A `Refuse` in the result turns it away.
        """
        self._begin(now_ms)
        return self._sessions.opened(connection_id, channel, query)

    def closed(self, connection_id: int, now_ms: int) -> list[Delivery]:
        """
        A WebSocket is gone.
        """
        self._begin(now_ms)
        self._sessions.closed(connection_id)
        return self._outbox.drain()

    def ping(self, connection_id: int, payload: bytes, now_ms: int) -> list[Delivery]:
        """
        An RFC 6455 ping.
        """
        self._begin(now_ms)
        return self._sessions.ping(connection_id, payload)

    def tick(self, now_ms: int) -> list[Delivery]:
        """
        Do what is due.
        """
        self._begin(now_ms)
        while (action := self.venue.schedule.pop_due(now_ms)) is not None:
            action()
            self._triggers.settle()
        return self._outbox.drain()

    def next_due_ms(self) -> int | None:
        """
        When `tick` has something to do; None while it has nothing.
        """
        return self.venue.schedule.next_due_ms()

    def _begin(self, now_ms: int, request: Request | None = None) -> None:
        venue = self.venue
        venue.now_ms = venue.clock_ms = now_ms
        if not venue.faults.armed("clock_skew"):
            return
        if request is not None and request.channel == "control":
            # What moves the market is dated like all that the exchange does of itself.
            request = None
        facts = {}
        if request is not None and request.channel == "http":
            name, api_key = request.path.removeprefix("/v5/"), request.headers.get("x-bapi-api-key", "")
            facts = request_facts("http", name, api_key, {})
        elif request is not None:
            facts = {"channel": request.channel}
        skew = venue.faults.fire("clock_skew", facts) if request is not None else venue.faults.standing("clock_skew")
        if skew is not None:
            venue.clock_ms = now_ms + int(skew.args.get("ms", 0))

    def _behind(self, reply: Reply | Hangup, *, pushes_first: bool) -> list[Delivery]:
        self._triggers.settle()
        pushes = self._outbox.drain()
        return [*pushes, reply] if pushes_first else [reply, *pushes]
