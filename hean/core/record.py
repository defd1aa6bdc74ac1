"""
An order as it is remembered: three independent parts, persisted together.

1. the life-cycle's `state` (and what it settled from);
2. the pending request: a cancel or amend that is out, and the wish that waits for its turn;
3. the fill ledger.

Beside them stand the intent, the exchange's newest row, and the record of attempts and look-ups that decides what may
be sent again. `core/order.py` is the only file that makes a new record from an old one.
"""

from __future__ import annotations

from decimal import Decimal

from attrs import frozen

from hean.core import exact
from hean.core.ledger import Ledger
from hean.core.retry import RetryPolicy
from hean.core.types import (
    ZERO,
    Amend,
    Command,
    DenyReason,
    ExecId,
    Ms,
    OrderId,
    OrderRequest,
    OrderSnapshot,
    OrderState,
    OrderStatus,
)

DAY_MS = 24 * 60 * 60 * 1000


@frozen(kw_only=True)
class OrderPolicy:
    """
    The figures an order lives by; times in milliseconds.

    Attributes:
        max_age_ms: a create is sent or re-sent only while younger, counted from the first submit.
        visibility_ms: an absence seen earlier than this after the last byte may have left proves nothing: the exchange
            may still take the request (recv window) or not show it yet.
        retention_ms: the exchange forgets an unfilled cancelled or rejected order after this long, so an older absence
            proves nothing. Source: Bybit V5 docs, order/order-list (24 hours).
        shown_ms: after an accepted request, how long the stream may stay silent before the order is asked for.
        gap_grace_ms: how long executions may lag behind a watermark before they are asked for.
        create: tries and back-off of creates.
        query: back-off of look-ups; they never give up.
        max_cancels: how often a user's cancel is repeated while the order is shown alive.
    """

    max_age_ms: int = 300_000
    visibility_ms: int = 12_000
    retention_ms: int = DAY_MS
    shown_ms: int = 2_000
    gap_grace_ms: int = 500
    create: RetryPolicy = RetryPolicy()
    query: RetryPolicy = RetryPolicy()
    max_cancels: int = 10


@frozen(kw_only=True)
class PendingRequest:
    """
    A cancel or amend that was sent and is not decided.

    Attributes:
        amend: what the amend changes; of a cancel, the amend that it overtook and that may still come.
        accepted_ms: our clock when its reply said "taken for processing"; None before.
        failed_ms: our clock when its refusal or loss was known; None while its reply may still come.
    """

    command: Command
    sent_ms: Ms
    amend: Amend | None = None
    accepted_ms: Ms | None = None
    failed_ms: Ms | None = None
    why: str = ""


@frozen(kw_only=True)
class View:
    """
    The exchange's newest row of this order, as far as the monotonic guard let it through.

    Attributes:
        updated_ms: the exchange's clock.
        taken_ms: ours, when the row was taken in, or at a restart since: before it our clock may have jumped.
    """

    status: OrderStatus
    price: Decimal | None
    cum_exec_qty: Decimal
    updated_ms: Ms
    trigger_price: Decimal | None = None
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    cancel_type: str = ""
    reject_reason: str = ""
    taken_ms: Ms = Ms(0)


@frozen(kw_only=True)
class Concession:
    """
    What a person accepted that no evidence will explain: that much, and nothing that opens later.

    Attributes:
        qty: of the gap; an execution that comes after all, and narrows the gap, takes from it.
        without_fee: executions whose fee stays untold.
        cum_exec_qty: what was executed then; an execution after it may contradict the order anew.
    """

    qty: Decimal
    without_fee: frozenset[ExecId]
    cum_exec_qty: Decimal


# With a dictionary and without slots: every fact copies its order once and writes on the copy, each in one call.
@frozen(kw_only=True, slots=False)
class Order:
    """
    One order, whole.

    Attributes:
        known_qty: the exchange's newest total quantity, from a row or an execution.
        known_qty_ms: its time there; an older row or execution does not bring an older quantity back.
        first_qty: the total quantity that the first row or execution showed; ours if the order is ours.
        attempts: creates handed to the gateway and not proven unsent.
        tries: creates handed to the gateway; the number of the newest attempt.
        in_flight: a create was handed over and its reply has not come; absence cannot be concluded meanwhile.
        last_sent_ms: our clock when the last create's bytes may have left.
        blind_until_ms: before this (our clock) an absence proves nothing.
        cleared: absence was proven, or no attempt was made: the next send needs no look-up.
        placed: ORDER_PLACED was published.
        doubted: a duplicate-ID reply came: the order shown must agree with the intent.
        wish_cancel: a cancel is wanted while the order lives.
        wish_amend: an amend waits for evidence.
        cancels: cancels sent.
        misses: complete, empty look-ups in a row that began when an absence could prove something.
        missing_ms: our clock at the first of them.
        lookups: look-ups in a row that settled nothing; spaces them.
        looking: a look-up is out.
        halted: creates may not be sent.
        conceded: what the operator accepted as it is; None for nothing.
        confirming: the seq whose confirmation by the position is awaited; None while none is.
    """

    request: OrderRequest
    state: OrderState = OrderState.PENDING
    settled_from: OrderState | None = None
    order_id: OrderId | None = None
    view: View | None = None
    ledger: Ledger = Ledger()
    pending: PendingRequest | None = None
    known_qty: Decimal | None = None
    known_qty_ms: Ms = Ms(0)
    first_qty: Decimal | None = None
    attempts: int = 0
    tries: int = 0
    in_flight: bool = False
    last_sent_ms: Ms | None = None
    blind_until_ms: Ms = Ms(0)
    cleared: bool = True
    placed: bool = False
    doubted: bool = False
    wish_cancel: bool = False
    wish_amend: Amend | None = None
    cancels: int = 0
    misses: int = 0
    missing_ms: Ms = Ms(0)
    lookups: int = 0
    looking: bool = False
    halted: bool = False
    conceded: Concession | None = None
    confirming: int | None = None
    deny_reason: DenyReason | None = None
    reason: str = ""
    updated_ms: Ms = Ms(0)

    @classmethod
    def of(cls, request: OrderRequest) -> Order:
        """A new order, nothing sent."""
        ledger = Ledger(category=request.category, settle_coin=request.settle_coin)
        return cls(request=request, ledger=ledger, updated_ms=request.submitted_ms)

    def draft(self, now_ms: Ms) -> Order:
        """A copy for one step to write on, which nobody else has seen yet."""
        copied: Order = object.__new__(Order)
        vars(copied).update(vars(self), updated_ms=now_ms)
        return copied

    @property
    def qty(self) -> Decimal:
        """The exchange's total quantity once it showed one, else ours."""
        return self.request.qty if self.known_qty is None else self.known_qty

    @property
    def ended(self) -> bool:
        """The exchange said that nothing more will happen, or we never sent it."""
        return self.state in _ENDED

    @property
    def alive(self) -> bool:
        """Evidence says that the order exists and may still trade."""
        return self.state in _ALIVE

    @property
    def outcome(self) -> OrderState | None:
        """FILLED, CANCELLED, REJECTED or DENIED once known, None while open."""
        if self.state is OrderState.CLOSED:
            return self.settled_from
        return self.state if self.state in _OUTCOMES else None

    @property
    def gap(self) -> Decimal:
        """How much of the exchange's watermark neither our executions nor an operator's word explain."""
        if self.conceded is None:
            return self.ledger.gap
        return max(exact.add(self.ledger.gap, self.conceded.qty.copy_negate()), ZERO)

    @property
    def has_gap(self) -> bool:
        """Whether `gap` is above zero."""
        ledger = self.ledger
        if self.conceded is None:
            return ledger.watermark > ledger.cum_exec_qty
        return ledger.gap > self.conceded.qty

    @property
    def incomplete(self) -> bool:
        """An execution of it, or the fee of one, is still to be told."""
        return self.has_gap or (bool(self.ledger.without_fee) and not self.fees_known)

    @property
    def fees_known(self) -> bool:
        """Every execution's fee was told, or an operator accepted that it stays untold."""
        return self.ledger.without_fee <= (self.conceded.without_fee if self.conceded is not None else frozenset())

    @property
    def settles_alone(self) -> bool:
        """No position can disagree with it: nothing was executed, or an operator's word stands for what is missing."""
        if self.conceded is None:
            return self.ledger.last_seq < 0
        return self.conceded.qty > 0 or self.conceded.cum_exec_qty == self.ledger.cum_exec_qty

    @property
    def claimed(self) -> bool:
        """The exchange said that it has this order: it accepted a create, or called one a duplicate."""
        return self.order_id is not None or self.doubted

    @property
    def in_doubt(self) -> bool:
        """Whether a create of it is at the exchange, only the exchange can tell."""
        if self.state is OrderState.PENDING:
            return not self.cleared
        return self.state in {OrderState.SUBMITTED, OrderState.TIMEOUT}

    @property
    def unresolved(self) -> bool:
        """Something about this order can only be answered by asking."""
        if self.state in _UNKNOWN or self.incomplete:
            return True
        match self.state:
            case OrderState.PENDING:
                return not self.cleared
            case OrderState.SUBMITTED:
                return not self.in_flight
            case OrderState.ACKNOWLEDGED | OrderState.PARTIAL_FILL:
                # Gone missing, filled by our own count alone, or a request failed: the next answer decides.
                failed = self.pending is not None and self.pending.failed_ms is not None
                return failed or self.misses > 0 or self.ledger.cum_exec_qty >= self.qty
            case OrderState.REJECTED:
                return self.contradicted
            case _:
                return False

    @property
    def contradicted(self) -> bool:
        """We hold it for rejected; the exchange shows it open, or executed, and has not shown its end."""
        if self.state is not OrderState.REJECTED:
            return False
        if self.conceded is not None and self.conceded.cum_exec_qty == self.ledger.cum_exec_qty:
            return False
        return self.ledger.cum_exec_qty > 0 if self.view is None else not self.view.status.final

    def snapshot(self) -> OrderSnapshot:
        """The public picture of this order."""
        request, view, ledger = self.request, self.view, self.ledger
        state, qty = self.state, self.qty
        return OrderSnapshot(
            order_link_id=request.order_link_id,
            correlation_id=request.correlation_id,
            strategy_id=request.strategy_id,
            signal_id=request.signal_id,
            category=request.category,
            symbol=request.symbol,
            side=request.side,
            order_type=request.order_type,
            state=state,
            outcome=self.outcome,
            qty=qty,
            price=view.price if view is not None and view.price else request.price,
            cum_exec_qty=ledger.cum_exec_qty,
            leaves_qty=ZERO if state in _ENDED else max(qty - ledger.cum_exec_qty, ZERO),
            avg_price=ledger.avg_price,
            order_id=self.order_id,
            trigger_price=view.trigger_price if view is not None else request.trigger_price,
            take_profit=view.take_profit if view is not None else request.take_profit,
            stop_loss=view.stop_loss if view is not None else request.stop_loss,
            reduce_only=request.reduce_only,
            position_idx=request.position_idx,
            watermark=ledger.watermark,
            gap=ledger.gap if self.conceded is None else self.gap,
            overfill_qty=ledger.overfill(qty),
            fees=ledger.fees,
            pending=str(self.pending.command) if self.pending is not None else "",
            status=str(view.status) if view is not None else "",
            deny_reason=self.deny_reason,
            reason=self.reason,
            attempts=self.attempts,
            updated_ms=self.updated_ms,
            shown_ms=view.updated_ms if view is not None else Ms(0),
        )


_OUTCOMES = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.DENIED})
_ENDED = _OUTCOMES | {OrderState.CLOSED}
_ALIVE = frozenset({OrderState.ACKNOWLEDGED, OrderState.PARTIAL_FILL})
_UNKNOWN = frozenset({OrderState.TIMEOUT, OrderState.ERROR})
