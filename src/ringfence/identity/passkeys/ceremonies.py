"""What a browser is asked for in each ceremony, as plain data.

The shape is that of ``PublicKeyCredentialCreationOptionsJSON`` and
``PublicKeyCredentialRequestOptionsJSON``: bytes are written in base64url.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ringfence.identity.passkeys.authenticators import details_of
from ringfence.identity.passkeys.challenges import LIFETIME
from ringfence.identity.passkeys.relying_party import RelyingParty
from ringfence.identity.passkeys.verification import ALGORITHMS
from ringfence.identity.tokens import base64url
from ringfence.stores.contracts import AccountRecord, Factor

_TIMEOUT = LIFETIME * 1000  # milliseconds


def creation_options(
    party: RelyingParty,
    account: AccountRecord,
    challenge: bytes,
    known: Iterable[Factor],
) -> dict[str, Any]:
    """Return the options for ``navigator.credentials.create``.

    Always a passkey that is found without a name (resident) and that verifies its user
    by a PIN, a finger or a face: one kind, good for all that passkeys are good for. No
    word about the authenticator's model is asked for (attestation ``none``).

    Args:
        party: whom it is made for.
        account: whose it will be. Its id is random and says nothing of its owner.
        challenge: to be signed.
        known: the account's passkeys; what keeps one of them makes no second one.

    Source: WebAuthn Level 3, section 5.4.
    """
    return {
        "rp": {"id": party.id, "name": party.name},
        "user": {
            "id": _text(account.id.encode()),
            "name": account.email,
            "displayName": account.email,
        },
        "challenge": _text(challenge),
        "pubKeyCredParams": [
            {"type": "public-key", "alg": int(algorithm)} for algorithm in ALGORITHMS
        ],
        "timeout": _TIMEOUT,
        "excludeCredentials": [_descriptor(passkey) for passkey in known],
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": "required",
        },
        "attestation": "none",
    }


def request_options(
    party: RelyingParty, challenge: bytes, allowed: Iterable[Factor] = ()
) -> dict[str, Any]:
    """Return the options for ``navigator.credentials.get``.

    Args:
        party: who asks.
        challenge: to be signed.
        allowed: the passkeys that will do; none: whichever the owner picks. Before
            somebody has proved anything there are none, so that nobody can ask which
            accounts exist, and which have passkeys.

    Source: WebAuthn Level 3, sections 5.5 and 14.6.2.
    """
    return {
        "rpId": party.id,
        "challenge": _text(challenge),
        "timeout": _TIMEOUT,
        "userVerification": "required",
        "allowCredentials": [_descriptor(passkey) for passkey in allowed],
    }


def _descriptor(passkey: Factor) -> dict[str, Any]:
    transports = list(details_of(passkey).transports)
    found: dict[str, Any] = {"type": "public-key", "id": _text(passkey.id)}
    return {**found, "transports": transports} if transports else found


def _text(raw: bytes) -> str:
    return base64url.encode(raw).decode()
