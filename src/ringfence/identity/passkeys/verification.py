"""Verifying what authenticators have signed: the home of the library ``webauthn``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from webauthn import verify_authentication_response, verify_registration_response
from webauthn.helpers import (
    bytes_to_base64url,
    decode_credential_public_key,
    decoded_public_key_to_cryptography,
    encode_cbor,
    parse_cbor,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticationCredential,
    AuthenticatorAssertionResponse,
    AuthenticatorAttestationResponse,
    RegistrationCredential,
)

from ringfence.denial import Denial
from ringfence.identity.passkeys.messages import Assertion, Attestation
from ringfence.identity.passkeys.refusals import MALFORMED, NOT_ADDED, REFUSED
from ringfence.identity.passkeys.relying_party import RelyingParty

ALGORITHMS = (
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
)
"""What keys may be made for, the best first; the last for Windows Hello."""

# What the library and its parsers raise for bytes that strangers have chosen, beyond
# its own errors.
_RAISED = (
    WebAuthnException,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)

_EC2, _P256 = 2, 1
_OKP, _ED25519 = 1, 6
_RSA, _RSA_BYTES, _RSA_EXPONENT = 3, range(256, 513), b"\x01\x00\x01"
_MOST_TOLD = 200  # characters of the library's words for the ledger
_COORDINATE = 32  # bytes of P-256 and Ed25519


class NewPasskey(NamedTuple):
    """A passkey whose key has signed for this site.

    Args:
        credential_id: names it.
        public_key: as a COSE key.
        counter: of signatures; 0 if it does not count.
        aaguid: the model of the authenticator, as it says itself.
        backup_eligible: whether it may be copied to the owner's other devices.
        backed_up: whether it is.
        transports: how the authenticator is reached, as the browser says.
    """

    credential_id: bytes
    public_key: bytes
    counter: int
    aaguid: str
    backup_eligible: bool
    backed_up: bool
    transports: tuple[str, ...]


class Proof(NamedTuple):
    """A signature that holds.

    Args:
        counter: of signatures.
        backup_eligible: as in ``NewPasskey``.
    """

    counter: int
    backup_eligible: bool


def verify_new(attestation: Attestation, party: RelyingParty) -> NewPasskey | Denial:
    """Return a new passkey if it is one of this site's, and its user was verified.

    What vouches for the authenticator's model is cut off before it is looked at: this
    site asks for none, and certificates, TPM structures and tokens of strangers are
    parsers that nobody can use against it then.

    Source: WebAuthn Level 3, section 7.1.
    """
    bare = _without_statement(attestation.attestation_object)
    if bare is None:
        return MALFORMED
    response = AuthenticatorAttestationResponse(
        client_data_json=attestation.client_data, attestation_object=bare
    )
    name = attestation.credential_id
    try:
        verified = verify_registration_response(
            credential=RegistrationCredential(bytes_to_base64url(name), name, response),
            expected_challenge=attestation.challenge,
            expected_rp_id=party.id,
            expected_origin=list(party.origins),
            require_user_verification=True,
            supported_pub_key_algs=list(ALGORITHMS),
        )
        fault = _fault_of_key(verified.credential_public_key)
    except _RAISED as error:
        return replace(NOT_ADDED, private=_told(error))
    if fault or verified.credential_id != name:
        return replace(NOT_ADDED, private=fault or "another credential id inside")
    return NewPasskey(
        name,
        verified.credential_public_key,
        verified.sign_count,
        verified.aaguid,
        backup_eligible=verified.credential_device_type == "multi_device",
        backed_up=verified.credential_backed_up,
        transports=attestation.transports,
    )


def verify_proof(
    assertion: Assertion, party: RelyingParty, public_key: bytes
) -> Proof | Denial:
    """Return the proof if this key has signed it for this site, and its user was
    verified.

    The counter is not judged here: whether it has risen is decided in the same step
    that writes it down.

    Source: WebAuthn Level 3, section 7.2.
    """
    name = assertion.credential_id
    response = AuthenticatorAssertionResponse(
        client_data_json=assertion.client_data,
        authenticator_data=assertion.authenticator_data,
        signature=assertion.signature,
    )
    try:
        verified = verify_authentication_response(
            credential=AuthenticationCredential(
                bytes_to_base64url(name), name, response
            ),
            expected_challenge=assertion.challenge,
            expected_rp_id=party.id,
            expected_origin=list(party.origins),
            credential_public_key=public_key,
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except _RAISED as error:
        return replace(REFUSED, private=_told(error))
    return Proof(
        verified.new_sign_count,
        backup_eligible=verified.credential_device_type == "multi_device",
    )


def _without_statement(attestation_object: bytes) -> bytes | None:
    """Return the same with the attestation "none", as browsers write it themselves for
    whoever asks for none."""
    try:
        found = parse_cbor(attestation_object)
    except WebAuthnException:
        return None
    data = found.get("authData") if isinstance(found, dict) else None
    if type(data) is not bytes or not isinstance(found.get("fmt"), str):
        return None
    return encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})


def _fault_of_key(public_key: bytes) -> str:
    """Return what is wrong with a key, empty if nothing is.

    The library looks at a key when it is first used, and leaves its size open: a point
    beside the curve would fail then, and a large RSA exponent would cost seconds with
    each try to sign in (CWE-400).
    """
    parsed = parse_cbor(public_key)
    if not isinstance(parsed, dict) or not _is_sound(parsed):
        return "a key of another kind or size than was asked for"
    decoded_public_key_to_cryptography(decode_credential_public_key(public_key))
    return ""


def _is_sound(key: Mapping[object, object]) -> bool:
    match key:
        case {1: int(kty), 3: int(algorithm), -1: int(curve), -2: bytes(x)} if (
            kty == _OKP
        ):
            found = (algorithm, curve, len(x))
            return found == (ALGORITHMS[0], _ED25519, _COORDINATE)
        case {
            1: int(kty),
            3: int(algorithm),
            -1: int(curve),
            -2: bytes(x),
            -3: bytes(y),
        } if kty == _EC2:
            sizes = len(x) == len(y) == _COORDINATE
            return sizes and (algorithm, curve) == (ALGORITHMS[1], _P256)
        case {1: int(kty), 3: int(algorithm), -1: bytes(n), -2: bytes(e)} if (
            kty == _RSA
        ):
            sizes = len(n) in _RSA_BYTES and n[0] != 0
            return sizes and algorithm == ALGORITHMS[2] and e == _RSA_EXPONENT
        case _:
            return False


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_MOST_TOLD]
