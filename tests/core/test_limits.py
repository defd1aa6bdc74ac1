"""Rate budgets: what may leave, and that no window ever holds too many."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from hean.core.calls import (
    AmendOrder,
    Budget,
    CancelAll,
    CancelOrder,
    CreateOrder,
    Group,
    Phase,
    QueryExecutions,
    QueryKey,
    QueryOrders,
    QueryPositions,
    QueryTime,
    Reply,
    SetLeverage,
    SwitchMode,
    Verdict,
    VerdictKind,
)
from hean.core.limits import DEFAULT_LIMITS, Budgets, LimitPolicy
from hean.core.types import Amend, Category, Ms, OrderLinkId, OrderRequest, OrderType, Side

T0 = 1_000_000
LINEAR = Category.LINEAR
CANCEL = CancelOrder(category=LINEAR, symbol="BTCUSDT", order_link_id=OrderLinkId("a"))


def create(category: Category = LINEAR) -> CreateOrder:
    request = OrderRequest(
        order_link_id=OrderLinkId("a"),
        correlation_id="c",
        strategy_id="s",
        signal_id="1",
        leg=0,
        category=category,
        symbol="BTCUSDT",
        side=Side.BUY,
        order_type=OrderType.MARKET,
        qty=1,
        price=None,
        time_in_force=None,
        submitted_ms=Ms(0),
    )
    return CreateOrder(request=request)


def reply(call=CANCEL, kind=VerdictKind.ACCEPTED, server_ms=T0, **budget) -> Reply:
    return Reply(call=call, verdict=Verdict(kind=kind), budget=Budget(**budget), server_ms=server_ms)


def take(budgets: Budgets, group: Group, category: Category = LINEAR, at: int = T0, **over) -> int:
    """How many of that kind leave at one moment."""
    count = 0
    while budgets.acquire(group, category, Ms(at), **over) == 0:
        count += 1
    return count


def test_every_group_but_the_public_one_has_a_figure():
    groups = {group for group, _ in DEFAULT_LIMITS}
    assert set(Group) - {Group.PUBLIC} == groups
    assert len(groups) * 3 == len(DEFAULT_LIMITS)


@pytest.mark.parametrize(
    "group,category,limit,paced",
    [
        (Group.CREATE, Category.LINEAR, 10, 8),
        (Group.CREATE, Category.SPOT, 20, 16),
        (Group.CANCEL, Category.OPTION, 10, 8),
        (Group.QUERY, Category.SPOT, 50, 40),
        (Group.SETTING, Category.INVERSE, 10, 8),
    ],
)
def test_limit_is_used_in_part(group, category, limit, paced):
    budgets = Budgets()
    assert limit == budgets.limit(group, category)
    assert paced == budgets.left(group, category, Ms(T0))
    assert paced == take(budgets, group, category)
    assert 0 == budgets.left(group, category, Ms(T0))


def test_full_bucket_says_when_to_come_back():
    budgets = Budgets()
    assert 0 == budgets.acquire(Group.CREATE, LINEAR, Ms(T0))
    budgets.learn(reply(create()), Ms(T0))
    assert 7 == take(budgets, Group.CREATE, at=T0 + 300)
    for _ in range(7):
        budgets.learn(reply(create()), Ms(T0 + 300))
    assert 650 == budgets.acquire(Group.CREATE, LINEAR, Ms(T0 + 400))
    assert 1 == budgets.acquire(Group.CREATE, LINEAR, Ms(T0 + 1_049))
    assert 1 == budgets.left(Group.CREATE, LINEAR, Ms(T0 + 1_050))
    assert 0 == budgets.acquire(Group.CREATE, LINEAR, Ms(T0 + 1_050))
    assert 300 == budgets.acquire(Group.CREATE, LINEAR, Ms(T0 + 1_050))


def test_call_on_its_way_holds_its_place_until_a_window_after_its_answer():
    budgets = Budgets()
    assert 8 == take(budgets, Group.CREATE)
    assert 0 == budgets.left(Group.CREATE, LINEAR, Ms(T0 + 2_000))
    budgets.learn(reply(create()), Ms(T0 + 2_000))
    assert 1_050 == budgets.acquire(Group.CREATE, LINEAR, Ms(T0 + 2_000))
    assert 1 == budgets.left(Group.CREATE, LINEAR, Ms(T0 + 3_050))


def test_call_that_never_left_gives_its_place_back_at_once():
    budgets = Budgets()
    assert 8 == take(budgets, Group.CREATE)
    kept_here = evolve(reply(create(), VerdictKind.NOT_EXECUTED), verdict=Verdict(
        kind=VerdictKind.NOT_EXECUTED, phase=Phase.BEFORE_SEND
    ))  # fmt: skip
    budgets.learn(kept_here, Ms(T0))
    assert 1 == take(budgets, Group.CREATE)


def test_call_that_is_never_answered_does_not_hold_its_place_for_ever():
    budgets = Budgets()
    assert 8 == take(budgets, Group.CREATE)
    assert 15_000 == budgets.acquire(Group.CREATE, LINEAR, Ms(T0))
    assert 8 == take(budgets, Group.CREATE, at=T0 + 15_000)


def test_linear_and_inverse_share_a_bucket_and_spot_does_not():
    budgets = Budgets()
    assert 8 == take(budgets, Group.CREATE, Category.LINEAR)
    assert 0 == take(budgets, Group.CREATE, Category.INVERSE)
    assert 16 == take(budgets, Group.CREATE, Category.SPOT)


def test_cancel_does_not_wait_behind_submits():
    budgets = Budgets()
    take(budgets, Group.CREATE)
    assert 0 == budgets.acquire(Group.CANCEL, LINEAR, Ms(T0))


def test_ip_budget_keeps_a_part_for_queries_and_a_part_for_cancels():
    budgets = Budgets()
    assert 360 == take(budgets, Group.PUBLIC)
    assert 0 == budgets.left(Group.CREATE, LINEAR, Ms(T0))
    assert 0 == take(budgets, Group.CREATE)
    budgets.learn(reply(QueryOrders(category=LINEAR), limit=1_000), Ms(T0))
    assert 72 == take(budgets, Group.QUERY)
    budgets.learn(reply(CANCEL, limit=1_000), Ms(T0))
    assert 48 == take(budgets, Group.CANCEL)
    assert 5_050 == budgets.acquire(Group.CANCEL, LINEAR, Ms(T0))
    assert 0 == budgets.left(Group.PUBLIC, LINEAR, Ms(T0))


def test_trade_socket_shares_the_accounts_budget_and_not_the_ips():
    budgets = Budgets()
    assert 360 == take(budgets, Group.PUBLIC)
    assert 8 == take(budgets, Group.CREATE, over_http=False)
    assert 0 == take(budgets, Group.CREATE)


def test_ip_budget_alone_paces_public_calls():
    assert Budgets().limit(Group.PUBLIC, LINEAR) is None
    assert 360 == Budgets().left(Group.PUBLIC, LINEAR, Ms(T0))


@pytest.mark.parametrize("limit,left", [(20, 16), (1, 1), (0, 8), (None, 8)])
def test_limit_is_learnt_from_the_header(limit, left):
    budgets = Budgets()
    budgets.learn(reply(limit=limit), Ms(T0))
    assert left == budgets.left(Group.CANCEL, LINEAR, Ms(T0))


@pytest.mark.parametrize(
    "call,group",
    [
        (create(), Group.CREATE),
        (AmendOrder(category=LINEAR, symbol="B", order_link_id=OrderLinkId("a"), amend=Amend()), Group.AMEND),
        (CANCEL, Group.CANCEL),
        (QueryOrders(category=LINEAR), Group.QUERY),
        (QueryExecutions(category=LINEAR), Group.QUERY),
        (QueryPositions(category=LINEAR), Group.QUERY),
        (SetLeverage(category=LINEAR, symbol="B", leverage="2"), Group.SETTING),
        (SwitchMode(category=LINEAR, symbol="B", mode=0), Group.SETTING),
    ],
)
def test_each_bucket_has_its_teachers(call, group):
    budgets = Budgets()
    budgets.learn(reply(call, limit=100), Ms(T0))
    assert [group] == [each for each in Group if budgets.limit(each, LINEAR) == 100]
    assert budgets.limit(group, Category.SPOT) != 100


@pytest.mark.parametrize("call", [CancelAll(category=LINEAR), QueryKey(), QueryTime()])
def test_endpoint_with_another_limit_teaches_nothing(call):
    budgets = Budgets()
    before = [budgets.limit(group, LINEAR) for group in Group]
    budgets.learn(reply(call, VerdictKind.THROTTLED, limit=1), Ms(T0))
    assert before == [budgets.limit(group, LINEAR) for group in Group]
    assert all(budgets.left(group, LINEAR, Ms(T0)) for group in Group)


@pytest.mark.parametrize("reset_ms,wait", [(T0 + 700, 700), (T0 - 5, 50), (T0 + 60_000, 2_000), (None, 2_000)])
def test_throttled_bucket_is_blocked_until_its_reset(reset_ms, wait):
    budgets = Budgets()
    budgets.learn(reply(kind=VerdictKind.THROTTLED, reset_ms=reset_ms), Ms(T0))
    assert 0 == budgets.left(Group.CANCEL, LINEAR, Ms(T0))
    assert wait == budgets.acquire(Group.CANCEL, LINEAR, Ms(T0))
    assert 0 == budgets.acquire(Group.CREATE, LINEAR, Ms(T0))
    assert 0 == budgets.acquire(Group.CANCEL, LINEAR, Ms(T0 + wait))


def test_shorter_block_does_not_lift_a_longer_one():
    budgets = Budgets()
    budgets.learn(reply(kind=VerdictKind.THROTTLED, reset_ms=T0 + 900), Ms(T0))
    budgets.learn(reply(kind=VerdictKind.THROTTLED, reset_ms=T0 + 100), Ms(T0))
    assert 900 == budgets.acquire(Group.CANCEL, LINEAR, Ms(T0))


@pytest.mark.parametrize(
    "remaining,reset_ms,server_ms,wait",
    [
        (0, T0 + 300, T0, 300),
        (1, T0 + 300, T0, 0),
        (0, T0, T0, 0),
        (0, None, T0, 0),
        (0, T0 + 300, None, 0),
        (None, T0 + 300, T0, 0),
    ],
)
def test_budget_that_others_used_up_blocks(remaining, reset_ms, server_ms, wait):
    budgets = Budgets()
    budgets.learn(reply(remaining=remaining, reset_ms=reset_ms, server_ms=server_ms), Ms(T0))
    assert wait == budgets.acquire(Group.CANCEL, LINEAR, Ms(T0))


def test_clock_that_goes_back_takes_the_memory_with_it():
    budgets = Budgets()
    take(budgets, Group.CREATE)
    budgets.learn(reply(kind=VerdictKind.THROTTLED, reset_ms=T0 + 500), Ms(T0))
    assert 15_000 == budgets.acquire(Group.CREATE, LINEAR, Ms(T0 - 3_600_000))
    budgets.learn(reply(create()), Ms(T0 - 3_600_000))
    assert 1_050 == budgets.acquire(Group.CREATE, LINEAR, Ms(T0 - 3_600_000))
    assert 500 == budgets.acquire(Group.CANCEL, LINEAR, Ms(T0 - 3_600_000))


CALLS = st.lists(
    st.tuples(
        st.sampled_from([group for group in Group if group is not Group.PUBLIC]),
        st.sampled_from(Category),
        st.integers(0, 400),
    ),
    max_size=300,
)


# Dense enough that buckets are full most of the time.
BURSTS = st.lists(
    st.tuples(
        st.sampled_from([Group.CREATE, Group.CANCEL]),
        st.sampled_from([Category.LINEAR, Category.INVERSE]),
        st.sampled_from([0, 0, 0, 0, 1, 10, 50, 300]),
    ),
    min_size=30,
    max_size=200,
)


# Mostly quick, sometimes longer than a window.
TRAVEL_MS = st.sampled_from([0, 0, 20, 300, 1_100, 2_500])


def call_of(group: Group, category: Category):
    """A call that draws on that bucket."""
    link = {"category": category, "symbol": "B"}
    return {
        Group.CREATE: create(category),
        Group.AMEND: AmendOrder(**link, order_link_id=OrderLinkId("a"), amend=Amend()),
        Group.CANCEL: CancelOrder(**link, order_link_id=OrderLinkId("a")),
        Group.QUERY: QueryOrders(**link),
        Group.SETTING: SetLeverage(**link, leverage="2"),
    }[group]


@settings(deadline=None)
@given(
    calls=BURSTS | CALLS,
    ways=st.lists(st.tuples(TRAVEL_MS, TRAVEL_MS), min_size=200, max_size=200),
)
def test_no_rolling_second_ever_holds_more_than_the_limit(calls, ways):
    """Whenever the calls come, and however unevenly they and their answers travel."""
    budgets, now, arrived, answers = Budgets(), T0, {}, []
    for n, (group, category, pause) in enumerate(calls):
        now += pause
        due = sorted(answer for answer in answers if answer[0] <= now)
        for at, _, call in due:
            budgets.learn(reply(call, server_ms=None), Ms(at))
        answers = [answer for answer in answers if answer[0] > now]
        if budgets.acquire(group, category, Ms(now)) == 0:
            product = LINEAR if category is Category.INVERSE else category
            there, back = ways[n % len(ways)]
            arrived.setdefault((group, product), []).append(now + there)
            answers.append((now + there + back, n, call_of(group, category)))
    for lane, times in arrived.items():
        for start in times:
            inside = sum(start <= each < start + 1_000 for each in times)
            assert inside <= DEFAULT_LIMITS[lane] * 0.8


@settings(deadline=None, max_examples=50)
@given(pauses=st.lists(st.integers(0, 60), min_size=1, max_size=40), limit=st.integers(1, 40), data=st.data())
def test_no_ip_window_ever_holds_more_than_the_limit(pauses, limit, data):
    policy = evolve(LimitPolicy(), ip_limit=limit, window_ms=0, margin_ms=0, ip_window_ms=500, flight_ms=500)
    budgets, now, times = Budgets(policy), T0, []
    for pause in pauses:
        now += pause
        group = data.draw(st.sampled_from(Group))
        for _ in range(3):
            if budgets.acquire(group, LINEAR, Ms(now)) == 0:
                times.append(now)
    assert all(sum(start <= each < start + 500 for each in times) <= max(limit * 0.8, 1) for start in times)


@settings(deadline=None)
@given(calls=CALLS, group=st.sampled_from(Group), category=st.sampled_from(Category))
def test_named_wait_is_enough_and_not_too_long(calls, group, category):
    budgets, now = Budgets(), T0
    for each, product, pause in calls:
        now += pause
        budgets.acquire(each, product, Ms(now))
    wait = budgets.acquire(group, category, Ms(now))
    if wait:
        assert 0 == budgets.left(group, category, Ms(now + wait - 1))
        assert 0 < budgets.left(group, category, Ms(now + wait))
        assert 0 == budgets.acquire(group, category, Ms(now + wait))


@settings(deadline=None)
@given(calls=CALLS)
def test_cancel_is_never_held_up_by_anything_but_cancels(calls):
    budgets, now = Budgets(), T0
    for group, category, pause in calls:
        now += pause
        if group is not Group.CANCEL:
            budgets.acquire(group, category, Ms(now))
    for category in (Category.LINEAR, Category.SPOT, Category.OPTION):
        assert 0 == budgets.acquire(Group.CANCEL, category, Ms(now))
