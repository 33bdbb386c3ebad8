"""Conditions, and what is left of them once it is known who asks."""

import pytest

from ringfence import access
from ringfence.access.ownership.conditions import (
    ALWAYS,
    NEVER,
    All,
    Any,
    Has,
    Holds,
    Is,
    Linked,
    Subject,
    TableRule,
    all_of,
    any_of,
    parts_of,
    reduce,
)
from ringfence.access.ownership.views import Views
from ringfence.principal import Principal

MINE = Is("owner_id", Subject.ID)
OURS = Is("tenant_id", Subject.TENANT)
SHOWN = Has("published", value=True)
STAFF = Holds(access.role("staff"))


@pytest.mark.parametrize(
    ("parts", "both", "either"),
    [
        ((), ALWAYS, NEVER),
        ((MINE,), MINE, MINE),
        ((MINE, MINE), MINE, MINE),
        ((MINE, ALWAYS), MINE, ALWAYS),
        ((MINE, NEVER), NEVER, MINE),
        ((MINE, OURS), All((MINE, OURS)), Any((MINE, OURS))),
        ((All((MINE, OURS)), SHOWN), All((MINE, OURS, SHOWN)), None),
        ((Any((MINE, OURS)), SHOWN), None, Any((MINE, OURS, SHOWN))),
    ],
)
def test_the_simplest_one_is_returned(parts, both, either):
    assert both is None or all_of(parts) == both
    assert either is None or any_of(parts) == either


def test_a_role_that_is_not_held_shows_nothing():
    rule = any_of((MINE, all_of((STAFF, OURS))))
    assert reduce(rule, lambda _: False, lambda _: True) == MINE
    assert reduce(rule, lambda _: True, lambda _: True) == any_of((MINE, OURS))


def test_nobody_and_who_has_no_tenant_equal_nothing():
    """An empty owner must not be everybody's who has none."""
    rule = any_of((MINE, OURS))
    assert reduce(rule, lambda _: True, lambda _: False) == NEVER
    assert reduce(rule, lambda _: True, lambda it: it is Subject.ID) == MINE


def test_what_leads_nowhere_is_never_true():
    line = Linked("orders", (("order_id", "id"),), MINE)
    assert reduce(line, lambda _: True, lambda _: False) == NEVER
    assert reduce(line, lambda _: True, lambda _: True) == line
    assert MINE in set(parts_of(any_of((line, SHOWN))))


RULES = (
    TableRule("orders", "Order", any_of((MINE, STAFF)), MINE, ("", "")),
    TableRule("products", "Product", ALWAYS, STAFF, ("", "")),
)
VIEWS = Views(RULES, {"admin": frozenset({"staff"})})


def test_principals_of_one_kind_have_one_view():
    first = VIEWS.of(Principal("1", frozenset({"staff"})))
    assert VIEWS.of(Principal("2", frozenset({"staff"}))) is first
    assert VIEWS.of(Principal("2")) is not first


def test_a_role_counts_with_what_includes_it():
    admin = VIEWS.of(Principal("1", frozenset({"admin"})))
    assert admin.read["orders"] == ALWAYS
    assert admin.write["products"] == ALWAYS


def test_written_is_only_what_is_seen_and_may_be_written():
    staff = VIEWS.of(Principal("1", frozenset({"staff"})))
    assert staff.read["orders"] == ALWAYS
    assert staff.write["orders"] == staff.leave["orders"] == MINE


@pytest.mark.parametrize("somebody", [None, Principal("")], ids=["nobody", "empty id"])
def test_nobody_sees_what_is_public_and_writes_nothing(somebody):
    view = VIEWS.of(somebody)
    assert dict(view.read) == {"orders": NEVER, "products": ALWAYS}
    assert dict(view.write) == {"orders": NEVER, "products": NEVER}


def test_kinds_do_not_pile_up():
    """Roles come from tokens of other issuers, too: their number is not ours."""
    views = Views(RULES, {})
    for number in range(2000):
        views.of(Principal("1", frozenset({str(number)})))
    assert len(views._views) <= 512
