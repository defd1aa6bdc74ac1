"""From what HTTP brought back to what it proves: pure, so that it holds for any way the bytes came."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import frozen

from hean.bybit.codec import CodecError, Envelope, read_budget, read_result, rest_envelope
from hean.bybit.retcodes import Channel, classify, unreadable
from hean.core.calls import Budget, Call, Result, Verdict, VerdictKind, group_of
from hean.core.types import Ms

TEXT_MAX_CHARS: Final = 8192
"""How much of an answer is kept for the trace."""
SECRET_MAX_CHARS: Final = 256
"""Kept beyond a cut until secrets are taken out, so that one at the cut is whole."""


@frozen(kw_only=True)
class Answer:
    """What came back, before it is dated and cleaned of secrets."""

    verdict: Verdict
    result: Result = None
    budget: Budget = Budget()
    server_ms: Ms | None = None
    text: str = ""


def judge(call: Call, status: int, headers: Iterable[tuple[str, str]], raw: bytes) -> Answer:
    """
    What an answer proves about its call; never raises, whatever the bytes.

    Args:
        call: what was asked.
        status: of HTTP.
        headers: of HTTP, however their names are spelled.
        raw: the whole body.
    """
    group = group_of(call)
    told = raw[: TEXT_MAX_CHARS + SECRET_MAX_CHARS].decode(errors="replace")
    try:
        envelope: Envelope | None = rest_envelope(raw)
        why = ""
    except CodecError as error:
        envelope, why = None, str(error)
    verdict = classify(
        channel=Channel.REST,
        group=group,
        ret_code=envelope.ret_code if envelope else None,
        http_status=status,
        ret_msg=envelope.ret_msg if envelope else why,
    )
    result: Result = None
    if envelope and verdict.kind is VerdictKind.ACCEPTED:
        try:
            result = read_result(call, envelope)
        except CodecError as error:
            verdict = unreadable(verdict, group, str(error))
    return Answer(
        verdict=verdict,
        result=result,
        budget=read_budget(headers),
        server_ms=envelope.server_ms if envelope else None,
        text=f"HTTP {status} {told}",
    )
