"""What a reply to a create, a cancel or an amend is to the order."""

from __future__ import annotations

import pytest

from hean.core.calls import Ack, Budget, CancelOrder, Phase, Reply, Verdict, VerdictKind
from hean.core.facts import (
    Accepted,
    Command,
    CommandAccepted,
    CommandFailed,
    Duplicate,
    NotExecuted,
    NotSent,
    OutcomeUnknown,
    Refused,
)
from hean.core.replies import of_command, of_create, said
from hean.core.types import Category, Ms, OrderId, OrderLinkId

CALL = CancelOrder(category=Category.LINEAR, symbol="BTCUSDT", order_link_id=OrderLinkId("h1-order"))


def reply(kind: VerdictKind, phase: Phase = Phase.ANSWERED, **changes: object) -> Reply:
    verdict = Verdict(kind=kind, phase=phase, ret_code=110001, ret_msg="as told", hint="look")
    return Reply(call=CALL, verdict=verdict, **changes)


@pytest.mark.parametrize(
    "kind,phase,fact",
    [
        (VerdictKind.ACCEPTED, Phase.ANSWERED, Accepted(attempt=2)),
        (VerdictKind.DUPLICATE, Phase.ANSWERED, Duplicate(attempt=2, ret_code=110001)),
        (VerdictKind.NOT_EXECUTED, Phase.BEFORE_SEND, NotSent(attempt=2, why="110001 as told (before_send)")),
        (VerdictKind.NOT_EXECUTED, Phase.ANSWERED, NotExecuted(attempt=2, why="110001 as told")),
        (VerdictKind.THROTTLED, Phase.ANSWERED, NotExecuted(attempt=2, why="110001 as told")),
        (VerdictKind.REFUSED, Phase.ANSWERED, Refused(attempt=2, ret_code=110001, ret_msg="as told", hint="look")),
        (VerdictKind.AUTH, Phase.ANSWERED, Refused(attempt=2, ret_code=110001, ret_msg="as told", hint="look")),
        (VerdictKind.LOCAL_BUG, Phase.ANSWERED, Refused(attempt=2, ret_code=110001, ret_msg="as told", hint="look")),
        # What makes no sense for a create is an unknown outcome: never a no, never a retry.
        (VerdictKind.UNKNOWN, Phase.ANSWERED, OutcomeUnknown(attempt=2, why="110001 as told")),
        (VerdictKind.GONE, Phase.ANSWERED, OutcomeUnknown(attempt=2, why="110001 as told")),
        (VerdictKind.UNCHANGED, Phase.ANSWERED, OutcomeUnknown(attempt=2, why="110001 as told")),
    ],
)
def test_reply_to_a_create_is_one_fact(kind, phase, fact):
    assert fact == of_create(reply(kind, phase), 2)


def test_every_verdict_of_a_create_is_covered_above():
    facts = {type(of_create(reply(kind), 1)) for kind in VerdictKind}
    assert {Accepted, Duplicate, NotExecuted, Refused, OutcomeUnknown} == facts


def test_acceptance_brings_the_exchanges_id():
    ack = Ack(order_id=OrderId("o-1"), order_link_id=OrderLinkId("h1-order"))
    assert OrderId("o-1") == of_create(reply(VerdictKind.ACCEPTED, result=ack), 1).order_id


def test_reset_of_a_window_is_read_in_our_time():
    told = reply(VerdictKind.THROTTLED, budget=Budget(reset_ms=Ms(10_500)))
    assert Ms(10_200) == of_create(told, 1, offset_ms=300).reset_ms
    assert Ms(10_500) == of_create(told, 1).reset_ms


@pytest.mark.parametrize("kind", list(VerdictKind))
def test_reply_to_a_command_is_an_acceptance_or_a_failure_that_proves_nothing(kind):
    if kind in {VerdictKind.ACCEPTED, VerdictKind.UNCHANGED}:
        expected = CommandAccepted(command=Command.AMEND)
    else:
        expected = CommandFailed(command=Command.AMEND, why="110001 as told", ret_code=110001)
    assert expected == of_command(reply(kind), Command.AMEND)


def test_throttled_command_says_how_long_the_exchange_wants_to_be_left_alone():
    assert 750 == of_command(reply(VerdictKind.THROTTLED), Command.CANCEL, 750).retry_ms


@pytest.mark.parametrize(
    "verdict,words",
    [
        (Verdict(kind=VerdictKind.UNKNOWN, phase=Phase.AFTER_SEND, ret_msg="no answer"), "no answer (after_send)"),
        (
            Verdict(kind=VerdictKind.REFUSED, phase=Phase.ANSWERED, ret_code=0, http_status=200, ret_msg="odd"),
            "0 odd",
        ),
        (
            Verdict(kind=VerdictKind.AUTH, phase=Phase.ANSWERED, http_status=403, ret_msg="forbidden"),
            "HTTP 403 forbidden",
        ),
        (Verdict(kind=VerdictKind.AUTH, phase=Phase.ANSWERED, ret_code=10003), "10003"),
    ],
)
def test_words_of_a_verdict_hold_what_came_back_and_where(verdict, words):
    assert words == said(verdict)
