"""The trade channel: each call answered exactly once, and what answers nobody is kept."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest

from hean.actors.boundary import Inbox
from hean.actors.trade import DRAINING, LATE_MAX, Drain, TradeEntry, TradeReceived, told
from hean.bybit.trade import TradeReply, parse_reply
from hean.core.calls import CancelOrder, CreateOrder, Phase, QueryTime, Reply, VerdictKind
from hean.core.types import Category, Ms, OrderLinkId, OrderRequest, OrderType, Side, TimeInForce

CREATE = CreateOrder(
    request=OrderRequest(
        order_link_id=OrderLinkId("h1-a"),
        correlation_id="c1",
        strategy_id="s",
        signal_id="1",
        leg=0,
        category=Category.LINEAR,
        symbol="BTCUSDT",
        side=Side.BUY,
        order_type=OrderType.MARKET,
        qty=Decimal("0.001"),
        price=None,
        time_in_force=TimeInForce.IOC,
        submitted_ms=Ms(0),
    )
)


class Line:
    """A connection that keeps what is sent; `during` happens while a frame leaves."""

    def __init__(self, phase: Phase = Phase.AFTER_SEND, during: Any = None) -> None:
        self.sent: list[dict[str, Any]] = []
        self._phase = phase
        self._during = during

    def send(self, text: str) -> Phase:
        self.sent.append(orjson.loads(text))
        if self._during is not None:
            self._during(self.sent[-1]["reqId"])
        return self._phase

    def close(self, why: str) -> None: ...

    def join(self, timeout_s: float) -> bool:
        return True


class Desk:
    """A channel, its clock, and the answers that came."""

    def __init__(self, line: Line | None = None) -> None:
        self.now_ms = Ms(1_000)
        self.line = line or Line()
        self.answers: list[Reply] = []
        self.entry = TradeEntry(
            now_ms=lambda: self.now_ms, exchange_ms=lambda: self.now_ms, recv_window_ms=5_000, epoch="e"
        )
        self.entry.use(self.line)

    def perform(self, timeout_s: float = 1.0) -> bool:
        return self.entry.perform(CREATE, timeout_s, self.answers.append)

    @property
    def kinds(self) -> list[VerdictKind]:
        return [reply.verdict.kind for reply in self.answers]


def reply(req_id: str, ret_code: int = 0, link_id: str = "h1-a") -> TradeReply:
    frame = {"reqId": req_id, "retCode": ret_code, "retMsg": "OK", "op": "order.create"}
    parsed = parse_reply(orjson.dumps(frame | {"data": {"orderId": "o1", "orderLinkId": link_id}}))
    assert isinstance(parsed, TradeReply)
    return parsed


def test_reply_that_comes_while_the_frame_leaves_finds_its_call() -> None:
    desk = Desk(Line(during=lambda req_id: desk.entry.answered(reply(req_id))))
    assert desk.perform()
    assert [VerdictKind.ACCEPTED] == desk.kinds
    assert 0 == desk.entry.waiting


def test_frame_is_kept_for_the_trace() -> None:
    desk = Desk()
    desk.perform()
    desk.entry.answered(reply("e-1"))
    assert desk.line.sent == [orjson.loads(desk.answers[0].request_text)]


def test_deadline_answers_unknown_and_the_late_reply_is_told_as_well() -> None:
    desk = Desk()
    desk.perform(timeout_s=1.0)
    desk.now_ms = Ms(1_999)
    desk.entry.overdue()
    assert [] == desk.answers
    desk.now_ms = Ms(2_000)
    desk.entry.overdue()
    desk.entry.overdue()
    assert [(VerdictKind.UNKNOWN, Phase.AFTER_SEND)] == [(r.verdict.kind, r.verdict.phase) for r in desk.answers]
    assert desk.entry.answered(reply("e-1"))
    assert not desk.entry.answered(reply("e-1"))
    assert [VerdictKind.UNKNOWN, VerdictKind.ACCEPTED] == desk.kinds


def test_shorter_deadline_does_not_wait_behind_a_longer() -> None:
    desk = Desk()
    desk.perform(timeout_s=60)
    desk.perform(timeout_s=1)
    desk.now_ms = Ms(2_000)
    desk.entry.overdue()
    assert [1, 1] == [len(desk.answers), desk.entry.waiting]


def test_end_of_the_connection_answers_everybody_once() -> None:
    desk = Desk()
    desk.perform()
    desk.perform()
    desk.entry.lost("cut")
    desk.entry.lost("cut")
    assert ([VerdictKind.UNKNOWN] * 2, 0, False) == (desk.kinds, desk.entry.waiting, desk.entry.live)
    # The reader may have read this one before the cut.
    assert desk.entry.answered(reply("e-2"))
    assert VerdictKind.ACCEPTED == desk.kinds[-1]


def test_end_of_the_connection_while_the_frame_leaves_is_one_answer() -> None:
    desk = Desk(Line(Phase.SENDING, during=lambda req_id: desk.entry.lost("cut")))
    assert desk.perform()
    assert [VerdictKind.UNKNOWN] == desk.kinds


def test_frame_that_broke_on_its_way_is_unknown() -> None:
    desk = Desk(Line(Phase.SENDING))
    assert desk.perform()
    assert [(VerdictKind.UNKNOWN, Phase.SENDING)] == [(r.verdict.kind, r.verdict.phase) for r in desk.answers]


def test_frame_that_did_not_leave_goes_another_way_unanswered() -> None:
    desk = Desk(Line(Phase.BEFORE_SEND))
    assert not desk.perform()
    desk.entry.lost("cut")
    assert [] == desk.answers


@pytest.mark.parametrize("call", [QueryTime()])
def test_queries_do_not_go_this_way(call: Any) -> None:
    desk = Desk()
    assert (False, False) == (desk.entry.takes(call), desk.entry.perform(call, 1, desk.answers.append))


def test_nothing_goes_this_way_without_a_connection() -> None:
    desk = Desk()
    desk.entry.use(None)
    cancel = CancelOrder(category=Category.LINEAR, symbol="BTCUSDT", order_link_id=OrderLinkId("h1-a"))
    assert (False, False) == (desk.entry.takes(cancel), desk.entry.perform(cancel, 1, desk.answers.append))


def test_memory_of_late_calls_is_bounded() -> None:
    desk = Desk()
    for _ in range(LATE_MAX + 1):
        desk.perform()
    desk.entry.lost("cut")
    assert [False, True] == [desk.entry.answered(reply(f"e-{number}")) for number in (1, 2)]


def test_stray_reply_is_told_to_the_actor() -> None:
    desk, box = Desk(), Inbox("trade")
    for stray in (reply("from another life"), reply("")):
        told(desk.entry, box, 3, stray)
        assert TradeReceived(generation=3, frame=stray) == box.receive(1)
    assert [] == desk.answers


def test_answer_of_a_draining_node_asks_for_a_new_connection() -> None:
    desk, box = Desk(), Inbox("trade")
    desk.perform()
    told(desk.entry, box, 3, reply("e-1", DRAINING))
    assert [Drain(generation=3)] == box.leftover()
    assert [VerdictKind.NOT_EXECUTED] == desk.kinds
