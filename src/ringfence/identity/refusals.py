"""Every refusal of the gatehouse, with its stable code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from ringfence.denial import Denial

_CHALLENGE = ((b"www-authenticate", b'Session realm="ringfence"'),)


@dataclass(frozen=True, slots=True)
class Invalid(Denial):
    """Input that cannot be accepted, with what is wrong with each field.

    Args:
        fields: pairs of a field's name and a sentence for the public, at least one.
    """

    fields: tuple[tuple[str, str], ...] = ()


SIGN_IN_FAILED = Denial(
    401,
    "identity.sign_in_failed",
    "The e-mail address and the password do not fit each other.",
    headers=_CHALLENGE,
)
"""One text for an unknown address, a wrong password and a disabled account: an answer
that told them apart would tell which accounts exist. Source: ASVS 5.0 V6.3.8."""

LOCKED = replace(SIGN_IN_FAILED, private="locked")
"""What a sign-in is answered with while its account is locked: to the public, the very
same. Else the answer would tell when the next guess is worth it."""

PASSWORD_WRONG = Invalid(
    403,
    "identity.password_wrong",
    "The present password is not right.",
    fields=(("current_password", "The present password is not right."),),
)
CHANGED_MEANWHILE = Denial(
    409,
    "identity.changed_meanwhile",
    "The account was changed at the same moment. Sign in and try again.",
)
ADDRESS_TAKEN = Denial(
    409, "identity.address_taken", "There is an account with this e-mail address."
)
NO_SUCH_ACCOUNT = Denial(
    404, "identity.no_such_account", "There is no account with this e-mail address."
)
NO_SUCH_SESSION = Denial(
    404, "identity.no_such_session", "There is no such session, or no longer."
)
_VOID = "The link was used already, is too old, or a newer one took its place."
LINK_VOID = Invalid(400, "identity.link_void", _VOID, fields=(("token", _VOID),))
"""One text whatever is wrong with the code of a letter: it says nothing about whose it
was."""

TWO_CREDENTIALS = Denial(
    400,
    "identity.two_credentials",
    "The request carries two credentials; send exactly one of session, token and key.",
)
AMBIGUOUS_COOKIE = Denial(
    400,
    "identity.ambiguous_cookie",
    "The request carries two different session cookies; delete this site's cookies.",
)
BEARER_UNSUPPORTED = Denial(
    401,
    "identity.bearer_unsupported",
    "This service does not accept an Authorization header; sign in for a session.",
    headers=_CHALLENGE,
)


def invalid(**fields: str) -> Invalid:
    """Return the refusal of these fields."""
    detail = " ".join(f"{name}: {sentence}" for name, sentence in fields.items())
    return Invalid(422, "identity.invalid_input", detail, fields=tuple(fields.items()))


def too_many_attempts(amount: int, period: float, retry_after: float) -> Denial:
    """Return the refusal for when a limit on tries is reached.

    Args:
        amount: how many are allowed in ``period``.
        period: seconds.
        retry_after: seconds until the next one is allowed.

    Source: RFC 6585, section 4; draft-ietf-httpapi-ratelimit-headers.
    """
    wait = max(1, ceil(retry_after))
    return Denial(
        429,
        "identity.too_many_attempts",
        "There have been too many attempts. Wait a little and try again.",
        headers=(
            (b"retry-after", b"%d" % wait),
            (b"ratelimit-policy", b'"sign-in";q=%d;w=%d' % (amount, period)),
            (b"ratelimit", b'"sign-in";r=0;t=%d' % wait),
        ),
    )


def unavailable(private: str, retry_after: int = 5) -> Denial:
    """Return the refusal for when accounts or sessions cannot be read just now.

    Args:
        private: what happened, for the ledger.
        retry_after: seconds until trying again makes sense.
    """
    return Denial(
        503,
        "identity.unavailable",
        "Accounts cannot be reached just now. Try again shortly.",
        private=private,
        headers=((b"retry-after", str(retry_after).encode()),),
    )
