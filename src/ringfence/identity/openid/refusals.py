"""Every refusal of a sign-in with another provider, with its stable code."""

from __future__ import annotations

from dataclasses import replace

from ringfence.denial import Denial

NO_SUCH_PROVIDER = Denial(
    404, "identity.openid_no_such_provider", "There is no such way to sign in."
)
WRONG_BROWSER = Denial(
    400,
    "identity.openid_state",
    "This sign-in was not begun in this browser, took too long, or was used already. "
    "Begin again.",
)
"""One answer for a state that is missing, another's, expired and used."""

BAD_ANSWER = Denial(
    400,
    "identity.openid_bad_answer",
    "What came back from the other service could not be read. Begin again.",
)
ANOTHER_ISSUER = Denial(
    400,
    "identity.openid_issuer",
    "The answer came from another service than the one that was asked. Begin again.",
)
DENIED = Denial(
    403,
    "identity.openid_denied",
    "The other service was not allowed to tell who you are.",
)
PROVIDER_ERROR = Denial(
    502,
    "identity.openid_provider_error",
    "The other service could not sign you in. Try again, or sign in another way.",
)
NOT_CONFIRMED = Denial(
    401,
    "identity.openid_not_confirmed",
    "The other service did not confirm who you are. Begin again.",
)
"""For a code that the provider does not take: used, expired or another's."""

TOKEN_INVALID = Denial(
    401,
    "identity.openid_token_invalid",
    "What the other service said about you could not be verified. Begin again.",
)
NO_ACCOUNT = Denial(
    403,
    "identity.openid_no_account",
    "There is no account for you here, and none can be made this way. If you have one "
    "already, sign in and connect it on your account page.",
)
NO_ADDRESS = Denial(
    403,
    "identity.openid_no_address",
    "The other service has not told a confirmed e-mail address, so that no account can "
    "be made. If you have one, sign in and connect it on your account page.",
)
ADDRESS_TAKEN = Denial(
    409,
    "identity.openid_address_taken",
    "There is an account with this e-mail address already. Sign in with your password "
    "and connect it on your account page.",
)
"""An address proves nothing about an account: it may be another's at the other service
tomorrow, or be claimed there (CVE-2026-22747, CVE-2025-65431)."""

LINKED_ELSEWHERE = Denial(
    409,
    "identity.openid_linked",
    "This sign-in is connected already, or you have connected too many.",
)
OTHER_SESSION = Denial(
    403,
    "identity.openid_other_session",
    "You are not signed in any longer as you were when this was begun. Begin again.",
)
NOT_LINKED = Denial(
    404, "identity.openid_not_linked", "Your account is not connected with this."
)
ANOTHER_PERSON = Denial(
    403,
    "identity.openid_another_person",
    "The other service says that you are somebody else than who is signed in here.",
)
LAST_WAY_IN = Denial(
    409,
    "identity.openid_last_way_in",
    "This is the only way to sign in to your account. Set a password first.",
)


def provider_error(private: str) -> Denial:
    """Return the refusal of an answer that makes no sense (502).

    Args:
        private: what is wrong, for the ledger.
    """
    return replace(PROVIDER_ERROR, private=private)


def provider_away(private: str, retry_after: int = 10) -> Denial:
    """Return the refusal for when the provider does not answer (503).

    Args:
        private: what happened, for the ledger.
        retry_after: seconds until trying again makes sense.
    """
    return Denial(
        503,
        "identity.openid_provider_away",
        "The other service does not answer just now. Try again shortly, or sign in "
        "another way.",
        private=private,
        headers=((b"retry-after", str(retry_after).encode()),),
    )


def token_invalid(private: str) -> Denial:
    """Return the refusal of a token.

    Args:
        private: what is wrong, for the ledger.
    """
    return replace(TOKEN_INVALID, private=private)
