"""An order, the facts that can reach it, and lives made of them."""

from __future__ import annotations

from decimal import Decimal

from attrs import define, evolve, field

from hean.core.facts import (
    Accepted,
    AmendAsked,
    Broken,
    CancelAsked,
    Command,
    CommandFailed,
    Decide,
    Denied,
    Effect,
    Executed,
    Fact,
    LookedUp,
    OutcomeUnknown,
    Refused,
    Sent,
    Settled,
    Shown,
)
from hean.core.order import TABLE, Applied, Engine, apply
from hean.core.record import Order, OrderPolicy
from hean.core.types import (
    Amend,
    Category,
    DenyReason,
    Event,
    EventType,
    ExecId,
    ExecType,
    Execution,
    Ms,
    OrderId,
    OrderLinkId,
    OrderRequest,
    OrderRow,
    OrderState,
    OrderStatus,
    OrderType,
    Side,
    Source,
    TimeInForce,
)

START_MS = 1_000_000
POLICY = OrderPolicy()
REQUEST = OrderRequest(
    order_link_id=OrderLinkId("h1-order"),
    correlation_id="c1",
    strategy_id="trend",
    signal_id="s1",
    leg=0,
    category=Category.LINEAR,
    symbol="BTCUSDT",
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    qty=Decimal(1),
    price=Decimal(100),
    time_in_force=TimeInForce.GTC,
    submitted_ms=Ms(START_MS),
)
ORDER_ID = OrderId("o-1")


def row(status: OrderStatus, cum: str = "0", at: int = 10, **changes: object) -> OrderRow:
    """A row of the order, `at` milliseconds of the exchange's clock."""
    plain = OrderRow(
        category=Category.LINEAR,
        symbol="BTCUSDT",
        order_id=ORDER_ID,
        order_link_id=REQUEST.order_link_id,
        side=Side.BUY,
        status=status,
        qty=Decimal(1),
        cum_exec_qty=Decimal(cum),
        price=Decimal(100),
        updated_ms=Ms(at),
    )
    return evolve(plain, **changes)


def shown(status: OrderStatus, cum: str = "0", at: int = 10, **changes: object) -> Shown:
    """The stream shows such a row."""
    return Shown(row=row(status, cum, at, **changes), source=Source.STREAM)


def answered(status: OrderStatus, cum: str = "0", at: int = 10, *, asked_ms: int, **changes: object) -> Shown:
    """A query that left at `asked_ms` of our clock shows such a row."""
    return Shown(row=row(status, cum, at, **changes), source=Source.QUERY, asked_ms=Ms(asked_ms))


def fill(exec_id: str, qty: str, at: int = 20, **changes: object) -> Execution:
    """An execution of the order."""
    plain = Execution(
        category=Category.LINEAR,
        symbol="BTCUSDT",
        exec_id=ExecId(exec_id),
        order_id=ORDER_ID,
        order_link_id=REQUEST.order_link_id,
        side=Side.BUY,
        exec_type=ExecType.TRADE,
        exec_qty=Decimal(qty),
        exec_price=Decimal(100),
        exec_fee=Decimal("0.1"),
        fee_currency="USDT",
        order_qty=Decimal(1),
        seq=at,
        exec_ms=Ms(at),
    )
    return evolve(plain, **changes)


def executed(exec_id: str, qty: str, at: int = 20, **changes: object) -> Executed:
    """The stream tells such an execution."""
    return Executed(execution=fill(exec_id, qty, at, **changes), source=Source.STREAM)


@define
class Life:
    """One order walking through facts; remembers all that it wanted and told."""

    order: Order = field(factory=lambda: Order.of(REQUEST))
    now_ms: int = START_MS
    policy: OrderPolicy = POLICY
    engine: Engine = TABLE
    unit: float = 0.5
    effects: list[Effect] = field(factory=list)
    events: list[Event] = field(factory=list)

    def take(self, *facts: Fact, after_ms: int = 0) -> Applied:
        """Take facts, the first `after_ms` later, the others at once; the last one's result."""
        assert facts, "a life needs facts"
        self.now_ms += after_ms
        results = []
        for fact in facts:
            result = apply(self.order, fact, Ms(self.now_ms), self.policy, unit=self.unit, engine=self.engine)
            self.order = result.order
            self.effects += result.effects
            self.events += result.events
            results.append(result)
        return results[-1]

    def look(self, *, found: bool = False, complete: bool = True, after_ms: int = 0) -> Applied:
        """A look-up that began `after_ms` from now ends at once."""
        self.now_ms += after_ms
        return self.take(LookedUp(complete=complete, found=found, started_ms=Ms(self.now_ms), why="as told"))

    def wanted(self, kind: type[Effect]) -> int:
        """How many effects of this kind there were."""
        return sum(isinstance(effect, kind) for effect in self.effects)

    def told(self, kind: EventType) -> int:
        """How many events of this type there were."""
        return sum(event.type is kind for event in self.events)

    @property
    def state(self) -> OrderState:
        return self.order.state


def life(*facts: Fact, **changes: object) -> Life:
    """A life that took these facts, one millisecond after another."""
    made = Life(**changes)
    for fact in facts:
        made.take(fact, after_ms=1)
    return made


SENT = Sent()
ACCEPTED = Accepted(attempt=1, order_id=ORDER_ID)
REFUSED = Refused(attempt=1, ret_code=110007, ret_msg="not enough balance")
UNKNOWN = OutcomeUnknown(attempt=1, why="no answer")
LOOK_FAILED = LookedUp(complete=False, found=False, started_ms=Ms(START_MS), why="HTTP 504")
NEW = shown(OrderStatus.NEW)
PART = executed("e1", "0.4")
FULL = executed("e2", "0.6", at=30)
SHOWN_FILLED = shown(OrderStatus.FILLED, "1", at=30)
SHOWN_CANCELLED = shown(OrderStatus.CANCELLED, "0.4", at=40, cancel_type="CancelByUser")

CANCEL = CancelAsked()
AMEND = AmendAsked(amend=Amend(qty=Decimal(2)))
GONE = CommandFailed(command=Command.CANCEL, why="110001 order not exists or too late", ret_code=110001)
BLIND_MS = POLICY.visibility_ms
DAY_MS = POLICY.retention_ms

# How an order gets into each state, as it does in life.
WAYS: dict[OrderState, tuple[Fact, ...]] = {
    OrderState.PENDING: (),
    OrderState.SUBMITTED: (SENT,),
    OrderState.TIMEOUT: (SENT, UNKNOWN, LOOK_FAILED),
    OrderState.ACKNOWLEDGED: (SENT, NEW),
    OrderState.PARTIAL_FILL: (SENT, NEW, PART),
    OrderState.FILLED: (SENT, NEW, PART, FULL, SHOWN_FILLED),
    OrderState.CANCELLED: (SENT, NEW, PART, SHOWN_CANCELLED),
    OrderState.REJECTED: (SENT, REFUSED),
    OrderState.DENIED: (Denied(reason=DenyReason.HALTED),),
    OrderState.ERROR: (SENT, Broken(why="a handler crashed")),
    OrderState.CLOSED: (SENT, NEW, PART, FULL, SHOWN_FILLED, Settled(seq=30)),
}


def in_state(state: OrderState, **changes: object) -> Life:
    """A life that has come to `state`, with nothing gathered yet and these fields of its record changed."""
    made = life(*WAYS[state])
    assert state is made.state, f"expected {state}, was {made.state}"
    made.order = evolve(made.order, **changes)
    made.effects.clear()
    made.events.clear()
    return made


def last_event(made: Life) -> Event:
    """What was told last."""
    return made.events[-1]


def decisions(made: Life) -> list[tuple[Command, bool]]:
    """What was decided about commands, in order."""
    return [(effect.command, effect.taken) for effect in made.effects if isinstance(effect, Decide)]
