"""Every refusal of a token, with its stable code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

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

TOKEN_REVOKED = Denial(
    401,
    "identity.token_revoked",
    "The access token was taken back. Sign in again.",
    headers=_CHALLENGE,
)
SCHEME_UNKNOWN = Denial(
    401,
    "identity.scheme_unknown",
    "The Authorization header names a scheme that is not known here.",
    headers=((b"www-authenticate", b'Bearer realm="ringfence"'),),
)
PROOF_NEEDED = Denial(
    401,
    "identity.dpop_required",
    "The access token is bound to a key; send it as DPoP, with a proof of that key.",
    headers=((b"www-authenticate", b'DPoP realm="ringfence", error="invalid_token"'),),
)
"""Whoever has a token that is bound to a key, and not the key, has stolen it."""

SESSION_NEEDED = Denial(
    403,
    "identity.session_required",
    "This address needs a session of a browser. A program signs in again with POST "
    "/auth/token.",
)
REFRESH_INVALID = Denial(
    400,
    "identity.refresh_invalid",
    "The refresh token is none that can be used. Sign in again.",
)
REFRESH_REUSED = replace(REFRESH_INVALID, private="used again; its family was ended")
"""To the public the very same: a thief need not learn that the alarm has gone off."""

REFRESH_REPEATED = Denial(
    409,
    "identity.refresh_repeated",
    "The refresh token was used a moment ago; go on with what was answered then.",
)
REFRESH_UNPROVED = Denial(
    400,
    "identity.dpop_required",
    "The tokens are bound to a key; send a proof of it in the header DPoP.",
)
NOT_YOUR_TOKEN = Denial(
    403, "identity.not_your_token", "The token belongs to another account."
)
NO_SUCH_TOKENS = Denial(
    404, "identity.no_such_tokens", "There are no such tokens, or no longer."
)


OAUTH_ERRORS: Mapping[str, str] = MappingProxyType(
    {
        "identity.dpop_invalid": "invalid_dpop_proof",
        "identity.dpop_nonce_required": "use_dpop_nonce",
        "identity.dpop_required": "invalid_dpop_proof",
        "identity.refresh_invalid": "invalid_grant",
        "identity.refresh_repeated": "invalid_grant",
    }
)
"""What clients of OAuth call these, by code."""


def refresh_invalid(private: str) -> Denial:
    """Return the refusal of a refresh token.

    Args:
        private: what is wrong, for the ledger.
    """
    return replace(REFRESH_INVALID, private=private)


def token_invalid(private: str) -> Denial:
    """Return the refusal of a token.

    Args:
        private: what is wrong, for the ledger.
    """
    return replace(TOKEN_INVALID, private=private)
