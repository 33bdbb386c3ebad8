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
    # The same in every process: the order of a set is not.
    ids=lambda case: f"{len(case)}" if isinstance(case, set) else str(case),
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


def decide_at(policy, now, principal):
    return policy.compile({}, lambda: now)(principal)


@pytest.mark.parametrize(
    ("age", "allowed"),
    [(0, True), (600, True), (600.5, False), (-60, True), (-61, False), (1e9, False)],
)
def test_fresh_wants_a_recent_proof(age, allowed):
    """To the second; one from the future is none, beyond what clocks disagree by."""
    somebody = Principal("1", signed_in_at=2e9 - age)
    refusal = decide_at(access.fresh(minutes=10), 2e9, somebody)
    assert (refusal is None) is allowed


def test_a_refusal_for_age_says_how_old_a_proof_may_be():
    """RFC 9470, section 3, in the words of our own scheme."""
    refusal = decide_at(access.fresh(minutes=2.5), 2e9, SOMEBODY)
    assert (refusal.status, refusal.code) == (401, "access.not_fresh")
    assert refusal.remedy == "confirm"
    ((name, value),) = refusal.headers
    assert name == b"www-authenticate"
    assert b'error="insufficient_user_authentication"' in value
    assert b'max_age="150"' in value


def test_fresh_without_anybody_is_not_signed_in():
    refusal = decide_at(access.fresh(), 2e9, NOBODY)
    assert (refusal.status, refusal.code) == (401, "access.not_signed_in")


@pytest.mark.parametrize(
    "policy",
    [
        access.fresh() & access.role("admin"),
        access.role("admin") & access.fresh(),
        access.signed_in & (access.fresh() & access.role("admin")),
    ],
    ids=str,
)
def test_nobody_is_asked_for_a_password_who_is_refused_all_the_same(policy):
    stale, fresh = 1.0, 2e9
    codes = {
        (roles, at): refusal.code if refusal else ""
        for roles in ("", "admin")
        for at in (stale, fresh)
        if (
            refusal := decide_at(
                policy, 2e9, Principal("1", frozenset({roles}), signed_in_at=at)
            )
        )
        or True
    }
    assert codes == {
        ("", stale): "access.not_allowed",
        ("", fresh): "access.not_allowed",
        ("admin", stale): "access.not_fresh",
        ("admin", fresh): "",
    }


@pytest.mark.parametrize(
    "policy",
    [access.fresh() | access.role("admin"), access.role("admin") | access.fresh()],
    ids=str,
)
def test_whoever_can_help_themselves_is_told_how(policy):
    assert decide_at(policy, 2e9, SOMEBODY).remedy == "confirm"
    assert decide_at(policy, 2e9, ADMIN) is None


@pytest.mark.parametrize("minutes", [0, 0.9, -5, 1441, float("nan")])
def test_fresh_minutes_have_a_range(minutes):
    with pytest.raises(ValueError, match="from 1 to 1440"):
        access.fresh(minutes=minutes)


def test_fresh_reads_as_written():
    policy = access.role("admin") & access.fresh(minutes=2.5)
    assert str(policy) == "role(admin) & fresh(2.5 min)"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (access.fresh(minutes=5), access.fresh(minutes=10), True),
        (access.fresh(minutes=10), access.fresh(minutes=5), False),
        (access.fresh(), access.signed_in, True),
        (access.signed_in, access.fresh(), False),
        (access.role("a"), access.fresh(), False),
        (access.role("a") & access.fresh(), access.role("a"), True),
        (access.role("a"), access.role("a") & access.fresh(), False),
        (access.fresh(minutes=5), access.fresh(minutes=10) | access.role("a"), True),
    ],
)
def test_compares_freshness_too(first, second, expected):
    """A slash redirect or an overlap must not lose the confirmation on the way."""
    assert at_least_as_strict(first, second, {}) is expected


def test_a_policy_without_a_decision_cannot_be_compiled():
    with pytest.raises(NotImplementedError):
        Policy().compile({})


@pytest.mark.parametrize(
    "combine",
    [
        lambda: access.owner("owner_id") and access.tenant("tenant_id"),
        lambda: access.role("clerk") or access.role("staff"),
        lambda: not access.role("clerk"),
    ],
    ids=["and", "or", "not"],
)
def test_words_of_python_do_not_combine_policies(combine):
    """``owner and tenant`` is ``tenant`` to Python: more rows than were meant."""
    with pytest.raises(TypeError, match="combine policies with & and "):
        combine()
