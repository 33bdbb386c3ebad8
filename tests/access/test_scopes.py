"""What a program with an API key may open, and what not."""

import pytest

from ringfence import Principal, access
from ringfence.access.policy import at_least_as_strict
from ringfence.access.stage import enforce
from ringfence.exchange import Exchange

PERSON = Principal("1", frozenset({"admin"}))
KEY = Principal(
    "1",
    frozenset({"admin"}),
    scopes=frozenset({"orders:read"}),
    credential="api-key",
)
EMPTY = Principal("1", frozenset({"admin"}), scopes=frozenset())

READ = access.scope("orders:read")
WRITE = access.scope("orders:write")
ADMIN = access.role("admin")
CLERK = access.role("clerk")


async def refusal(policy, principal):
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    exchange = Exchange(scope, None)
    exchange.principal = principal
    return await enforce(policy, {})(exchange)


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        (READ, {PERSON, KEY}),
        (WRITE, {PERSON}),
        (access.scope("orders:read", "orders:write"), {PERSON, KEY}),
        (ADMIN & READ, {PERSON, KEY}),
        (CLERK & READ, set()),
        (ADMIN & WRITE, {PERSON}),
        (CLERK | READ, {PERSON, KEY}),
        (ADMIN | WRITE, {PERSON}),
        (READ & WRITE, {PERSON}),
        (access.any_scope, {PERSON, KEY, EMPTY}),
        (access.any_scope & ADMIN, {PERSON, KEY, EMPTY}),
        (access.any_scope & CLERK, set()),
        (access.signed_in, {PERSON}),
        (ADMIN, {PERSON}),
        (access.public, {PERSON, None}),
        (access.public & READ, {PERSON, KEY}),
        (READ & access.fresh(), set()),
    ],
    ids=lambda value: str(value) if isinstance(value, access.Policy) else "",
)
@pytest.mark.anyio
async def test_a_key_opens_what_names_its_scope(policy, allowed):
    """And nothing else, whatever its account may do: it is refused even where anybody
    may come in without one."""
    for principal in (PERSON, KEY, EMPTY, None):
        denial = await refusal(policy, principal)
        assert (denial is None) == (principal in allowed)


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        (READ, True),
        (WRITE, False),
        (ADMIN & WRITE, False),
        (ADMIN, True),
        (access.signed_in, True),
        (access.public, True),
        (CLERK | WRITE, False),
    ],
)
@pytest.mark.anyio
async def test_a_token_of_another_issuer_is_limited_where_a_scope_is_asked_for(
    policy, allowed
):
    """It stands for a person; on other routes that person's roles decide."""
    theirs = Principal(
        "issuer|ann",
        frozenset({"admin"}),
        scopes=frozenset({"orders:read"}),
        credential="token",
    )
    assert (await refusal(policy, theirs) is None) == allowed


@pytest.mark.anyio
async def test_a_key_out_of_scope_is_told_so():
    """As RFC 6750, section 3.1, says it; somebody without a key is not signed in."""
    for policy in (access.signed_in, WRITE, ADMIN, access.public):
        denial = await refusal(policy, KEY)
        assert (denial.status, denial.code) == (403, "access.out_of_scope")
        (_, challenge) = denial.headers[0]
        assert b'error="insufficient_scope"' in challenge
    assert (await refusal(READ, None)).code == "access.not_signed_in"
    assert (await refusal(CLERK & READ, KEY)).code == "access.not_allowed"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (READ, READ, True),
        (READ, WRITE, False),
        (READ, access.scope("orders:read", "orders:write"), True),
        (access.scope("orders:read", "orders:write"), READ, False),
        (READ & ADMIN, READ, True),
        (READ, access.signed_in, False),
        (access.signed_in, READ, False),
        (access.any_scope, access.signed_in, False),
        (access.signed_in, access.any_scope, True),
        (READ, access.any_scope, True),
        (access.any_scope, READ, False),
        (READ | ADMIN, READ, False),
    ],
)
def test_policies_with_scopes_compare(first, second, expected):
    """Of two routes for one path, what opens more to keys and tokens is the looser."""
    assert at_least_as_strict(first, second, {}) is expected


@pytest.mark.parametrize("names", [(), ("",), ("a b",), ('a"',), ("ä",), ("x" * 65,)])
def test_a_name_that_no_key_can_have_is_refused(names):
    with pytest.raises(ValueError, match=r"access\.scope"):
        access.scope(*names)
