"""Every documented code has its verdict, and nothing undocumented is ever taken for a no."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hean.bybit.retcode_table import CODES
from hean.bybit.retcodes import HOPELESS, HTTP_STATUS, TRADE_CODES, Channel, classify, local_bug
from hean.core.calls import Group, Phase, VerdictKind
from tests.bybit.samples import DATA

REST, TRADE = Channel.REST, Channel.TRADE
WRITES = (Group.CREATE, Group.AMEND, Group.CANCEL)

KIND_OF_CLASS = {
    "success": VerdictKind.ACCEPTED,
    "no-change": VerdictKind.UNCHANGED,
    "transient-retryable": VerdictKind.NOT_EXECUTED,
    "rate-limit": VerdictKind.THROTTLED,
    "auth-permission-fatal": VerdictKind.AUTH,
    "request-invalid": VerdictKind.REFUSED,
    "duplicate-orderlinkid": VerdictKind.DUPLICATE,
    "order-not-found-or-final": VerdictKind.GONE,
    "insufficient-funds": VerdictKind.REFUSED,
    "unknown-outcome": VerdictKind.UNKNOWN,
}
# A group of calls that the class can be an answer to.
GROUP_OF_CLASS = {"no-change": Group.SETTING, "order-not-found-or-final": Group.CANCEL}
ROWS = [line.split("\t") for line in (DATA / "error_codes.tsv").read_text().splitlines()]


@pytest.mark.parametrize("code, scope, message, judged", ROWS, ids=[f"{row[1]}:{row[0]}" for row in ROWS])
def test_every_documented_code_has_its_kind(code, scope, message, judged):
    group = GROUP_OF_CLASS.get(judged, Group.CREATE)
    if "http" == scope:
        verdict = classify(channel=REST, group=group, http_status=int(code))
    else:
        channel = TRADE if "ws-trade" == scope else REST
        verdict = classify(channel=channel, group=group, ret_code=int(code), ret_msg=message)
    expected = KIND_OF_CLASS[judged]
    if ("ws-trade", "20006") == (scope, code):
        expected = VerdictKind.UNKNOWN  # the earlier request with this ID may have been executed
    assert expected is verdict.kind
    assert verdict.listed is True
    assert Phase.ANSWERED is verdict.phase
    assert "" not in {verdict.hint, verdict.next_step}


def test_table_holds_nothing_that_is_not_documented():
    documented = {(scope, int(code)) for code, scope, _, _ in ROWS}
    assert {code for scope, code in documented if "http" == scope} == set(HTTP_STATUS)
    assert {code for scope, code in documented if "ws-trade" == scope} == set(TRADE_CODES)
    assert {code for scope, code in documented if scope not in {"http", "ws-trade"}} == set(CODES)


@pytest.mark.parametrize(
    "code, rest, trade",
    [
        (10003, VerdictKind.AUTH, VerdictKind.THROTTLED),
        (20001, VerdictKind.UNKNOWN, VerdictKind.REFUSED),
        (20003, VerdictKind.UNKNOWN, VerdictKind.THROTTLED),
        (10019, VerdictKind.UNKNOWN, VerdictKind.NOT_EXECUTED),
        (110072, VerdictKind.DUPLICATE, VerdictKind.DUPLICATE),
        (10006, VerdictKind.THROTTLED, VerdictKind.THROTTLED),
        (10016, VerdictKind.UNKNOWN, VerdictKind.UNKNOWN),
    ],
)
def test_code_means_what_its_channel_says(code, rest, trade):
    assert rest is classify(channel=REST, group=Group.CREATE, ret_code=code).kind
    assert trade is classify(channel=TRADE, group=Group.CREATE, ret_code=code).kind


@pytest.mark.parametrize("code", [500000, 20001, 130150, -7, 999_999_999])
@pytest.mark.parametrize("group", WRITES)
def test_unlisted_code_on_a_write_is_unknown(code, group):
    verdict = classify(channel=REST, group=group, ret_code=code)
    assert (VerdictKind.UNKNOWN, False) == (verdict.kind, verdict.listed)


@pytest.mark.parametrize(
    "group, kind",
    [
        (Group.SETTING, VerdictKind.REFUSED),
        (Group.QUERY, VerdictKind.UNKNOWN),
        (Group.PUBLIC, VerdictKind.UNKNOWN),
    ],
)
def test_unlisted_code_elsewhere_is_a_failure(group, kind):
    verdict = classify(channel=REST, group=group, ret_code=500000)
    assert (kind, False) == (verdict.kind, verdict.listed)


@pytest.mark.parametrize("group", list(Group))
@pytest.mark.parametrize("channel", list(Channel))
def test_phase_decides_what_silence_proves(channel, group):
    kinds = {phase: classify(channel=channel, group=group, phase=phase, ret_code=0).kind for phase in Phase}
    assert {
        Phase.BEFORE_SEND: VerdictKind.NOT_EXECUTED,
        Phase.SENDING: VerdictKind.UNKNOWN,
        Phase.AFTER_SEND: VerdictKind.UNKNOWN,
        Phase.ANSWERED: VerdictKind.ACCEPTED,
    } == kinds


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599, 301, 302, 204, 418])
@pytest.mark.parametrize("ret_code", [None, 0, 110007])
def test_status_that_says_nothing_is_unknown_whatever_the_body(status, ret_code):
    verdict = classify(channel=REST, group=Group.CREATE, http_status=status, ret_code=ret_code)
    assert (VerdictKind.UNKNOWN, status) == (verdict.kind, verdict.http_status)


def test_ban_is_told_from_a_throttle_by_its_status():
    ban = classify(channel=REST, group=Group.CREATE, http_status=403)
    throttle = classify(channel=REST, group=Group.CREATE, http_status=200, ret_code=10006)
    assert ban.kind is throttle.kind is VerdictKind.THROTTLED
    assert (403, 200) == (ban.http_status, throttle.http_status)
    assert "silent" in ban.next_step
    assert "silent" not in throttle.next_step


@pytest.mark.parametrize("code", sorted(code for code, (kind, _) in CODES.items() if kind is VerdictKind.AUTH))
def test_only_a_refused_key_address_or_account_is_hopeless(code):
    verdict = classify(channel=REST, group=Group.CREATE, ret_code=code)
    assert (code in HOPELESS) == verdict.hopeless
    assert verdict.hopeless == ("call a person" in verdict.next_step)


def test_hopeless_codes_are_all_documented_as_auth():
    assert {VerdictKind.AUTH} == {CODES[code][0] for code in HOPELESS}


@pytest.mark.parametrize("code", [110125, 110123, 110132, 170209, 110119])
def test_denied_product_is_no_reason_to_stop_the_others(code):
    verdict = classify(channel=REST, group=Group.CREATE, ret_code=code)
    assert (VerdictKind.AUTH, False) == (verdict.kind, verdict.hopeless)
    assert "this product" in verdict.next_step


@pytest.mark.parametrize("channel, status, code", [(REST, 401, None), (TRADE, None, 10004), (REST, 200, 10003)])
def test_refused_login_is_hopeless(channel, status, code):
    assert classify(channel=channel, group=Group.QUERY, http_status=status, ret_code=code).hopeless


def test_many_logins_are_not_hopeless():
    assert not classify(channel=TRADE, group=Group.SETTING, ret_code=10003).hopeless


def test_clock_error_asks_for_a_measurement():
    assert "clock" in classify(channel=REST, group=Group.CREATE, ret_code=10002).next_step


def test_unknown_code_outweighs_a_refusing_status():
    verdict = classify(channel=REST, group=Group.CREATE, http_status=400, ret_code=10016)
    assert VerdictKind.UNKNOWN is verdict.kind


def test_answer_without_a_code_is_unknown():
    assert VerdictKind.UNKNOWN is classify(channel=REST, group=Group.CREATE, http_status=200).kind


@pytest.mark.parametrize(
    "code, group",
    [
        (110001, Group.CREATE),
        (110001, Group.SETTING),
        (110072, Group.CANCEL),
        (110072, Group.AMEND),
        (34040, Group.CREATE),
        (110043, Group.CANCEL),
    ],
)
def test_answer_that_cannot_belong_to_the_call_proves_nothing(code, group):
    verdict = classify(channel=REST, group=group, ret_code=code)
    assert (VerdictKind.UNKNOWN, True) == (verdict.kind, verdict.listed)
    assert group.value in verdict.hint


def test_failed_query_is_asked_again_and_proves_no_absence():
    assert "absence" in classify(channel=REST, group=Group.QUERY, ret_code=10016).next_step
    assert "use it" == classify(channel=REST, group=Group.QUERY, ret_code=0).next_step


def test_call_that_could_not_be_built_is_our_bug():
    verdict = local_bug("no such call")
    assert (VerdictKind.LOCAL_BUG, Phase.BEFORE_SEND, "no such call") == (verdict.kind, verdict.phase, verdict.ret_msg)


@given(
    channel=st.sampled_from(Channel),
    group=st.sampled_from(Group),
    phase=st.sampled_from(Phase),
    ret_code=st.none() | st.integers() | st.sampled_from(sorted(CODES)),
    http_status=st.none() | st.just(200) | st.integers(min_value=0, max_value=999),
)
def test_only_an_answer_with_code_zero_and_a_good_status_is_accepted(channel, group, phase, ret_code, http_status):
    verdict = classify(channel=channel, group=group, phase=phase, ret_code=ret_code, http_status=http_status)
    good = Phase.ANSWERED is phase and 0 == ret_code and http_status in {None, 200}
    assert good == (VerdictKind.ACCEPTED is verdict.kind)
