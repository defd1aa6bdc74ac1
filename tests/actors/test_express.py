"""Calls leave and replies teach on the thread that has them; the gateway hears what must be done about them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hean.actors.express import Express, Performed, SharedGuard
from hean.actors.messages import Answered, Send
from hean.bybit.retcodes import TIMESTAMP_REFUSED
from hean.core.breaker_facts import BreakerPolicy, HaltAsked, ResumeAsked
from hean.core.calls import Call, CreateOrder, Group, Reply, Verdict, VerdictKind
from hean.core.guard import ALL, Guard, Tell
from hean.core.limits import Budgets, LimitPolicy
from hean.core.types import Category
from tests.actors.stage import Box, Stage
from tests.core.orders import REQUEST

CREATE = CreateOrder(request=REQUEST)


class Wire:
    """Answers each call at once, as it is told to."""

    def __init__(self, http: bool = False, **verdict: object) -> None:
        self.http = http
        self.verdict = {"kind": VerdictKind.ACCEPTED} | verdict
        self.sent: list[Call] = []

    def room(self, call: Call) -> bool:
        return True

    def over_http(self, call: Call) -> bool:
        return self.http

    def perform(self, call: Call, timeout_s: float, answer: Callable[[Reply], None]) -> None:
        self.sent.append(call)
        channel = "rest" if self.http else "trade"
        answer(Reply(call=call, verdict=Verdict(**self.verdict), channel=channel))  # type: ignore[arg-type]

    def hang_up(self) -> None:
        pass


class Desk:
    """An express with all that it needs."""

    def __init__(self, wire: Wire) -> None:
        self.stage, self.wire, self.asker = Stage(), wire, Box()
        self.observed: list[str] = []
        self.stage.context.observe = lambda name, fields: self.observed.append(name)
        self.guard = SharedGuard(Guard(Budgets(LimitPolicy()), BreakerPolicy(), lambda: 0.5))
        self.express = Express(self.stage.context, wire, self.guard, 1.0)

    def offer(self) -> None:
        self.express.offer(Send(tag="create:1", call=CREATE, answer_to=self.asker))

    @property
    def gateway(self) -> Box:
        return self.stage.boxes["gateway"]


def test_an_accepted_reply_of_the_trade_stream_wakes_its_asker_alone() -> None:
    desk = Desk(Wire())
    desk.offer()
    assert [CREATE] == desk.wire.sent
    assert ["create:1"] == [answered.tag for answered in desk.asker.take(Answered)]
    assert ([], ["reply"]) == (desk.gateway.told, desk.observed)


@pytest.mark.parametrize(
    "verdict",
    [
        {"kind": VerdictKind.AUTH, "hopeless": True},
        {"kind": VerdictKind.NOT_EXECUTED, "ret_code": TIMESTAMP_REFUSED},
    ],
    ids=["the key is refused", "the clock is wrong"],
)
def test_a_reply_that_something_must_be_done_about_wakes_the_gateway(verdict: dict[str, object]) -> None:
    desk = Desk(Wire(**verdict))
    desk.offer()
    assert 1 == len(desk.gateway.take(Performed))


def test_a_reply_over_http_makes_room_and_wakes_the_gateway() -> None:
    desk = Desk(Wire(http=True))
    desk.express.perform(Send(tag="create:1", call=CREATE, answer_to=desk.asker))
    assert 1 == len(desk.gateway.take(Performed))


def test_a_reply_wakes_the_gateway_while_calls_wait_there() -> None:
    desk = Desk(Wire())
    desk.express.crowded = True
    desk.express.perform(Send(tag="create:1", call=CREATE, answer_to=desk.asker))
    assert 1 == len(desk.gateway.take(Performed))


def test_a_reply_that_cannot_be_learnt_from_is_answered_once_and_said() -> None:
    desk = Desk(Wire())

    def raising(name: str, fields: object) -> None:
        desk.observed.append(name)
        if name == "reply":
            raise RuntimeError("a reply like no other")

    desk.stage.context.observe = raising
    desk.offer()
    assert (1, ["reply", "actor.crash"]) == (len(desk.asker.told), desk.observed)
    assert 1 == len(desk.gateway.take(Performed))


def test_whoever_hears_an_answer_finds_the_budget_as_it_left_it() -> None:
    found: list[int] = []
    desk = Desk(Wire(kind=VerdictKind.THROTTLED, ret_code=10006))

    class Asker(Box):
        def tell(self, message: object) -> None:
            found.append(desk.guard.acquire(Group.CREATE, Category.LINEAR, desk.stage.now_ms(), over_http=False))

    desk.express.offer(Send(tag="create:1", call=CREATE, answer_to=Asker()))
    [wait_ms] = found
    assert wait_ms > 0


def test_what_threads_wish_is_done_in_the_order_in_which_it_was_wished() -> None:
    desk = Desk(Wire())
    now_ms = desk.stage.now_ms()
    assert desk.guard.learn(lambda guard: guard.take(ALL, HaltAsked(who="ann", why="x"), now_ms))
    assert desk.guard.refuses(Group.CREATE)
    assert desk.guard.learn(lambda guard: guard.take(ALL, ResumeAsked(who="ann"), now_ms))
    told = [wish for wish in desk.guard.wishes() if isinstance(wish, Tell)]
    assert ["HALTED", "CLOSED"] == [tell.what.state for tell in told]
    assert () == desk.guard.wishes()


def test_a_call_whose_budget_is_spent_goes_to_the_gateway() -> None:
    desk = Desk(Wire())
    while desk.guard.acquire(Group.CREATE, Category.LINEAR, desk.stage.now_ms(), over_http=False) == 0:
        pass
    desk.offer()
    assert ([], ["create:1"]) == (desk.wire.sent, [send.tag for send in desk.gateway.take(Send)])
