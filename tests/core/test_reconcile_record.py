"""What a comparison and its report say of themselves."""

from __future__ import annotations

from attrs import evolve

from hean.core.reconcile_record import Comparison, Policies, Report, Suspect
from hean.core.types import Category, Finding, FindingKind, Reaction

FINDING = Finding(kind=FindingKind.ORDER_ONLY_HERE, category=Category.LINEAR, symbol="BTCUSDT")


def test_report_is_equal_when_it_is_complete_and_nothing_is_left() -> None:
    assert [True, False, False] == [
        Report(complete=True).equal,
        Report(complete=False).equal,
        Report(complete=True, left=(FINDING,)).equal,
    ]


def test_suspicion_is_confirmed_by_a_second_look() -> None:
    once = Suspect(finding=FINDING)
    assert [False, True] == [once.confirmed, evolve(once, looks=2).confirmed]


def test_comparison_is_fresh_while_anything_was_seen_once() -> None:
    once, twice = Suspect(finding=FINDING), Suspect(finding=FINDING, looks=2)
    assert [False, False, True] == [
        Comparison(suspects=suspects).fresh for suspects in ({}, {"a": twice}, {"a": twice, "b": once})
    ]


def test_every_kind_has_a_policy_of_its_own() -> None:
    for kind in FindingKind:
        policies = Policies(**{str(kind): Reaction.HALT_ALL})
        assert [kind] == [other for other in FindingKind if policies.of(other) is Reaction.HALT_ALL]
