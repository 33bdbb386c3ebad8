"""Every refusal of a token, with its stable code."""

from __future__ import annotations

from dataclasses import replace

from ringfence.denial import Denial

_CHALLENGE = (
    (b"www-authenticate", b'Bearer realm="ringfence", error="invalid_token"'),
)

TOKEN_INVALID = Denial(
    401,
    "identity.token_invalid",
    "The access token is not one of this service.",
    headers=_CHALLENGE,
)
"""One answer for whatever is wrong with a token that we have not signed: a forger need
not learn how far it came. The ledger is told."""

TOKEN_EXPIRED = Denial(
    401,
    "identity.token_expired",
    "The access token has expired; get a new one with the refresh token.",
    headers=_CHALLENGE,
)


def token_invalid(private: str) -> Denial:
    """Return the refusal of a token.

    Args:
        private: what is wrong, for the ledger.
    """
    return replace(TOKEN_INVALID, private=private)
