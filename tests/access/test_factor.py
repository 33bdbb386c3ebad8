"""Routes that want more than a password."""

import pytest

from ringfence import Principal, access
from ringfence.access.policy import at_least_as_strict

NOW = 1_000_000.0


def somebody(*factors, roles=(), age=0.0, credential="session"):
    return Principal(
        "1", frozenset(roles), frozenset(factors), NOW - age, credential=credential
    )


def refusal(policy, principal):
    return policy.compile({}, lambda: NOW)(principal)


@pytest.mark.parametrize(
    ("policy", "factors", "allowed"),
    [
        (access.factor(), ["password"], False),
        (access.factor(), [], False),
        (access.factor(), ["openid", "password"], False),
        (access.factor(), ["password", "totp"], True),
        (access.factor(), ["passkey"], True),
        (access.factor(), ["password", "recovery-code"], True),
        (access.factor("passkey"), ["password", "totp"], False),
        (access.factor("passkey"), ["passkey"], True),
        (access.factor("totp", "passkey"), ["totp"], True),
        (access.factor("totp") & access.factor("passkey"), ["totp"], False),
        (access.factor("totp") | access.factor("passkey"), ["totp"], True),
        (access.factor("password"), ["password"], True),
    ],
    ids=str,
)
def test_wants_one_of_the_factors_that_it_names(policy, factors, allowed):
    assert (refusal(policy, somebody(*factors)) is None) is allowed


def test_who_is_not_signed_in_signs_in_first():
    assert refusal(access.factor(), None).code == "access.not_signed_in"


def test_the_challenge_names_what_would_do():
    """RFC 9470: a program learns which proof to ask its user for."""
    refused = refusal(access.factor("totp", "passkey"), somebody("password"))
    assert (refused.status, refused.code) == (401, "access.factor_needed")
    assert dict(refused.headers)[b"www-authenticate"] == (
        b'Session realm="ringfence", error="insufficient_user_authentication", '
        b'acr_values="urn:ringfence:factor:passkey urn:ringfence:factor:totp"'
    )
    assert refused.remedy == "factor passkey,totp"


def test_a_token_is_challenged_in_its_own_scheme():
    refused = refusal(access.factor(), somebody("password", credential="token"))
    challenge = dict(refused.headers)[b"www-authenticate"]
    assert challenge.startswith(b'Bearer realm="ringfence"')


def test_a_factor_is_asked_for_before_a_fresh_proof():
    """Showing it makes the session fresh, so nobody is asked twice; and who lacks the
    role is asked for nothing."""
    policy = access.fresh(5) & access.factor("totp") & access.role("admin")
    old = somebody("password", age=900.0, roles=["admin"])
    assert refusal(policy, old).code == "access.factor_needed"
    clerk = somebody("password", age=900.0)
    assert refusal(policy, clerk).code == "access.not_allowed"
    stale = somebody("totp", age=900.0, roles=["admin"])
    assert refusal(policy, stale).code == "access.not_fresh"
    assert refusal(policy, somebody("totp", roles=["admin"])) is None


def test_a_misspelt_factor_stops_at_once():
    """A route that wants what nobody can have would be closed, or worse, be loosened
    in haste."""
    with pytest.raises(ValueError, match="no factor 'otp'; there are openid, passkey"):
        access.factor("otp")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (access.factor("totp"), access.factor(), True),
        (access.factor(), access.factor("totp"), False),
        (access.factor("totp"), access.signed_in, True),
        (access.signed_in, access.factor("totp"), False),
        (access.factor("totp") & access.factor("passkey"), access.factor("totp"), True),
        (
            access.factor("totp") | access.factor("passkey"),
            access.factor("totp"),
            False,
        ),
        (access.factor("totp") & access.fresh(5), access.factor("totp"), True),
        (access.factor("totp"), access.factor("totp") & access.fresh(5), False),
        (access.role("a") & access.factor(), access.role("a"), True),
        (access.role("a"), access.role("a") & access.factor(), False),
    ],
    ids=str,
)
def test_policies_are_compared_with_their_factors(first, second, expected):
    """An earlier route must not loosen a later one by leaving the factor out."""
    assert at_least_as_strict(first, second, {}) is expected


def test_reads_as_written():
    policy = access.role("admin") & (access.factor("totp", "passkey") | access.public)
    assert str(policy) == "role(admin) & (factor(passkey, totp) | public)"
    assert str(access.factor()) == "factor(passkey, recovery-code, totp)"
