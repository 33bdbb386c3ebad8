"""What browsers send in a ceremony, read strictly: nothing reaches a parser of keys or
signatures that has not the right shape and size."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from ringfence.denial import Denial
from ringfence.identity.passkeys.refusals import MALFORMED
from ringfence.identity.tokens import base64url

MOST_ID_BYTES = 1023  # WebAuthn Level 3, section 4, "Credential ID"
_MOST_LABEL = 64
_MOST_HANDLE = 64  # bytes; WebAuthn Level 3, section 5.4.3
_MOST_TRANSPORTS = 8
_TRANSPORT = re.compile(r"[a-z][a-z-]{0,31}")


class _AttestationResponse(msgspec.Struct, frozen=True, rename="camel"):
    client_data: str = msgspec.field(name="clientDataJSON")
    attestation_object: str
    transports: list[str] = []


class _AssertionResponse(msgspec.Struct, frozen=True, rename="camel"):
    client_data: str = msgspec.field(name="clientDataJSON")
    authenticator_data: str
    signature: str
    user_handle: str | None = None


class NewCredential(msgspec.Struct, frozen=True, rename="camel"):
    """A ``PublicKeyCredential`` of ``navigator.credentials.create``, as its ``toJSON``
    writes it; fields that later browsers add are not read."""

    id: str
    raw_id: str
    type: str
    response: _AttestationResponse


class UsedCredential(msgspec.Struct, frozen=True, rename="camel"):
    """A ``PublicKeyCredential`` of ``navigator.credentials.get``."""

    id: str
    raw_id: str
    type: str
    response: _AssertionResponse


class _ClientData(msgspec.Struct, frozen=True, rename="camel"):
    type: str
    challenge: str
    origin: str
    cross_origin: bool = False
    top_origin: str | None = None


class Attestation(NamedTuple):
    """A new credential that has the right shape. Nothing in it is verified."""

    credential_id: bytes
    challenge: bytes
    client_data: bytes
    attestation_object: bytes
    transports: tuple[str, ...]


class Assertion(NamedTuple):
    """A proof that has the right shape. Nothing in it is verified."""

    credential_id: bytes
    challenge: bytes
    client_data: bytes
    authenticator_data: bytes
    signature: bytes
    user_handle: bytes


def read_new(credential: NewCredential) -> Attestation | Denial:
    """Return what a new credential says, or why it says nothing."""
    response = credential.response
    name = _credential_id(credential)
    client_data = _bytes(response.client_data)
    challenge = _challenge(client_data, "webauthn.create")
    attestation_object = _bytes(response.attestation_object)
    if not (name and challenge and attestation_object):
        return MALFORMED
    transports = dict.fromkeys(filter(_TRANSPORT.fullmatch, response.transports))
    return Attestation(
        name,
        challenge,
        client_data,
        attestation_object,
        tuple(transports)[:_MOST_TRANSPORTS],
    )


def read_used(credential: UsedCredential) -> Assertion | Denial:
    """Return what a proof says, or why it says nothing."""
    response = credential.response
    name = _credential_id(credential)
    client_data = _bytes(response.client_data)
    challenge = _challenge(client_data, "webauthn.get")
    authenticator_data = _bytes(response.authenticator_data)
    signature = _bytes(response.signature)
    handle = _bytes(response.user_handle or "")
    told = bool(response.user_handle) == bool(handle) and len(handle) <= _MOST_HANDLE
    if not (name and challenge and authenticator_data and signature and told):
        return MALFORMED
    return Assertion(
        name, challenge, client_data, authenticator_data, signature, handle
    )


def label_of(given: str, otherwise: str) -> str | None:
    """Return what an owner calls a passkey, ``None`` if that is no name: too long, or
    with characters that cannot be seen."""
    label = " ".join(given.split()) or otherwise
    return label if len(label) <= _MOST_LABEL and label.isprintable() else None


def _credential_id(credential: NewCredential | UsedCredential) -> bytes:
    if credential.type != "public-key" or credential.id != credential.raw_id:
        return b""
    name = _bytes(credential.id)
    return name if len(name) <= MOST_ID_BYTES else b""


def _challenge(client_data: bytes, expected: str) -> bytes:
    """Return the challenge that a page has handed to the authenticator.

    Only of a page of ours that no other one has embedded: in a frame of another site
    its visitor does not see who asks (CWE-1021). The library does not look at that.
    """
    try:
        said = msgspec.json.decode(client_data, type=_ClientData)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b""
    framed = said.cross_origin or said.top_origin is not None
    return b"" if framed or said.type != expected else _bytes(said.challenge)


def _bytes(text: str) -> bytes:
    """Return what is written in base64url, empty if it is not written as browsers do:
    read more kindly, one credential would have many names."""
    if not text or not text.isascii():
        return b""
    return base64url.decode(text.encode()) or b""
