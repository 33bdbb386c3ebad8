import pytest

from ringfence import Principal, access
from ringfence.access.policy import Closed, Policy, at_least_as_strict
from ringfence.access.roles import expand

ADMIN_OVER_STAFF = expand({"admin": ["operator"], "operator": ["staff"]})

NOBODY = None
SOMEBODY = Principal("1")
STAFF = Principal("2", frozenset({"staff"}))
ADMIN = Principal("3", frozenset({"admin"}))
CLERK = Principal("4", frozenset({"clerk"}))


def allows(policy, principal, hierarchy=ADMIN_OVER_STAFF):
    return policy.compile(hierarchy)(principal) is None


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        (access.public, {NOBODY, SOMEBODY, STAFF, ADMIN, CLERK}),
        (access.signed_in, {SOMEBODY, STAFF, ADMIN, CLERK}),
        (access.role("staff"), {STAFF, ADMIN}),
        (access.role("admin"), {ADMIN}),
        (access.role("staff", "clerk"), {STAFF, ADMIN, CLERK}),
        (access.role("staff") & access.role("clerk"), set()),
        (access.role("staff") | access.role("clerk"), {STAFF, ADMIN, CLERK}),
        (access.public & access.role("clerk"), {CLERK}),
        (access.public | access.role("clerk"), {NOBODY, SOMEBODY, STAFF, ADMIN, CLERK}),
        (Closed(), set()),
        (Closed() | access.signed_in, {SOMEBODY, STAFF, ADMIN, CLERK}),
    ],
    ids=str,
)
def test_allows_exactly_those_it_names(policy, allowed):
    everybody = (NOBODY, SOMEBODY, STAFF, ADMIN, CLERK)
    assert {who for who in everybody if allows(policy, who)} == allowed


def test_tells_who_is_not_signed_in_from_who_may_not():
    decide = access.role("admin").compile({})
    assert decide(NOBODY).status == 401
    assert decide(SOMEBODY).status == 403


def test_a_closed_route_looks_like_no_route():
    assert Closed().compile({})(ADMIN).status == 404


def test_alternatives_refuse_the_signed_in_with_403():
    decide = (access.role("admin") | access.role("staff")).compile({})
    assert decide(SOMEBODY).status == 403
    assert decide(NOBODY).status == 401


def test_reads_as_written():
    policy = access.signed_in & (access.role("b", "a") | access.public)
    assert str(policy) == "signed_in & (role(a, b) | public)"


def test_a_role_needs_a_name():
    with pytest.raises(ValueError, match="at least one name"):
        access.role()


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (access.signed_in, access.public, True),
        (access.public, access.signed_in, False),
        (access.role("admin"), access.role("staff"), True),
        (access.role("staff"), access.role("admin"), False),
        (access.role("a") & access.role("b"), access.role("a"), True),
        (access.role("a"), access.role("a") | access.role("b"), True),
        (access.role("a") | access.role("b"), access.role("a"), False),
        (access.role("clerk"), access.role("staff"), False),
        (Closed(), access.role("admin"), True),
    ],
)
def test_compares_strictness_by_meaning(first, second, expected):
    assert at_least_as_strict(first, second, ADMIN_OVER_STAFF) is expected


def test_too_many_roles_to_compare_count_as_looser():
    many = access.role(*(f"role{number}" for number in range(13)))
    assert not at_least_as_strict(many, access.role("other"), {})
    assert at_least_as_strict(many, many, {})


def test_a_policy_without_a_decision_cannot_be_compiled():
    with pytest.raises(NotImplementedError):
        Policy().compile({})
