"""The senders: one answer to each call, room kept for what must not wait, threads that end."""

from __future__ import annotations

import queue
import threading
from decimal import Decimal

from hean.actors.pool import Pool, not_sent
from hean.core.calls import Call, CreateOrder, Phase, QueryTime, Reply, Verdict, VerdictKind
from hean.core.types import Category, Ms, OrderLinkId, OrderRequest, OrderType, Side, TimeInForce
from tests.conftest import our_threads

WAIT_S = 10
QUERY = QueryTime()
CREATE = CreateOrder(
    request=OrderRequest(
        order_link_id=OrderLinkId("h1-a"),
        correlation_id="c",
        strategy_id="s",
        signal_id="1",
        leg=0,
        category=Category.LINEAR,
        symbol="BTCUSDT",
        side=Side.BUY,
        order_type=OrderType.MARKET,
        qty=Decimal(1),
        price=None,
        time_in_force=TimeInForce.IOC,
        submitted_ms=Ms(0),
    )
)


class Slow:
    """A client whose calls last until they are let go."""

    def __init__(self) -> None:
        self.begun: queue.SimpleQueue[Call] = queue.SimpleQueue()
        self.go = threading.Semaphore(0)
        self.closed = 0

    def perform(self, call: Call, *, timeout_s: float) -> Reply:
        self.begun.put(call)
        assert self.go.acquire(timeout=WAIT_S)
        return Reply(call=call, verdict=Verdict(kind=VerdictKind.ACCEPTED))

    def close(self) -> None:
        self.closed += 1


def test_each_call_is_answered_once() -> None:
    client, answers = Slow(), queue.SimpleQueue[Reply]()
    pool = Pool(2, lambda: client)
    for _ in range(5):
        pool.perform(QUERY, 1.0, answers.put)
    client.go.release(5)
    assert [QUERY] * 5 == [answers.get(timeout=WAIT_S).call for _ in range(5)]
    pool.close(WAIT_S)
    assert answers.empty()
    assert (2, []) == (client.closed, our_threads())


def test_one_sender_is_kept_for_what_is_no_create() -> None:
    client, answers = Slow(), queue.SimpleQueue[Reply]()
    pool = Pool(2, lambda: client)
    assert (True, True) == (pool.room(CREATE), pool.room(QUERY))
    pool.perform(CREATE, 1.0, answers.put)
    assert (False, True) == (pool.room(CREATE), pool.room(QUERY))
    pool.perform(QUERY, 1.0, answers.put)
    assert (False, False) == (pool.room(CREATE), pool.room(QUERY))
    client.go.release(2)
    for _ in range(2):
        answers.get(timeout=WAIT_S)
    assert (True, True) == (pool.room(CREATE), pool.room(QUERY))
    pool.close(WAIT_S)


def test_a_close_lets_what_is_in_flight_end_and_answers_the_rest_as_not_sent() -> None:
    client, answers = Slow(), queue.SimpleQueue[Reply]()
    pool = Pool(1, lambda: client)
    for _ in range(3):
        pool.perform(QUERY, 1.0, answers.put)
    client.begun.get(timeout=WAIT_S)
    closing = threading.Thread(target=pool.close, args=(WAIT_S,))
    closing.start()
    pool._threads[0].join(0.05)
    client.go.release()
    closing.join(WAIT_S)
    kinds = [answers.get(timeout=WAIT_S).verdict for _ in range(3)]
    assert [VerdictKind.ACCEPTED, VerdictKind.NOT_EXECUTED, VerdictKind.NOT_EXECUTED] == [each.kind for each in kinds]
    assert [Phase.BEFORE_SEND] * 2 == [each.phase for each in kinds[1:]]
    assert client.begun.empty()


def test_a_close_waits_no_longer_than_it_is_told_for_all_senders_together() -> None:
    client = Slow()
    pool = Pool(4, lambda: client)
    for _ in range(4):
        pool.perform(QUERY, 1.0, lambda _: None)
    for _ in range(4):
        client.begun.get(timeout=WAIT_S)
    closed = threading.Event()
    closing = threading.Thread(target=lambda: (pool.close(0.2), closed.set()))
    closing.start()
    assert closed.wait(0.6)
    client.go.release(4)
    closing.join(WAIT_S)


def test_after_hanging_up_each_sender_connects_anew() -> None:
    made: list[Slow] = []

    def make() -> Slow:
        made.append(Slow())
        made[-1].go.release(100)
        return made[-1]

    answers: queue.SimpleQueue[Reply] = queue.SimpleQueue()
    pool = Pool(1, make)
    for _ in range(2):
        pool.perform(QUERY, 1.0, answers.put)
        answers.get(timeout=WAIT_S)
        pool.hang_up()
    pool.close(WAIT_S)
    assert [1, 1] == [client.closed for client in made]


def test_what_was_not_sent_says_so() -> None:
    reply = not_sent(CREATE, "why")
    assert (CREATE, VerdictKind.NOT_EXECUTED, Phase.BEFORE_SEND, "why") == (
        reply.call,
        reply.verdict.kind,
        reply.verdict.phase,
        reply.verdict.ret_msg,
    )
