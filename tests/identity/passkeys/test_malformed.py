"""Whatever bytes a stranger sends: a refusal with a code, and never an error."""

import json
from dataclasses import replace

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.identity.passkeys.authenticator import UP, UV, Authenticator, cose, raw, text

from ringfence.denial import Denial
from ringfence.identity import bodies
from ringfence.identity.passkeys.messages import (
    NewCredential,
    UsedCredential,
    read_new,
    read_used,
)
from ringfence.identity.passkeys.relying_party import RelyingParty
from ringfence.identity.passkeys.verification import (
    NewPasskey,
    Proof,
    verify_new,
    verify_proof,
)
from ringfence.identity.routes.passkeys import Registration, SignIn

SITE = RelyingParty("localhost", ("http://localhost:8000",), "This site")
CHALLENGE = text(b"c" * 72)
CREATE = {"rp": {"id": "localhost"}, "user": {"id": text(b"ann")}}
KEY = Authenticator(id=b"i" * 16)
MADE = KEY.create({**CREATE, "challenge": CHALLENGE})
USED = KEY.get({"rpId": "localhost", "challenge": CHALLENGE})
PUBLIC = cbor2.dumps(cose(KEY.key))
OBJECT = raw(MADE["response"]["attestationObject"])

few = settings(max_examples=80)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.binary(max_size=40)
    | st.text(max_size=10)
)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(-4, 4) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=12,
)
json_trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner)
    ),
    max_leaves=8,
)
# Tags reach the odd corners of a decoder: shared values, dates, fractions, patterns.
tags = st.sampled_from([0, 1, 2, 3, 4, 5, 24, 28, 29, 30, 35, 36, 37, 258, 260, 55799])
tagged = st.builds(cbor2.CBORTag, tags, trees)


def made(**response):
    """Return a new credential with other bytes in it, as it would arrive."""
    said = {name: text(value) for name, value in response.items()}
    body = {**MADE, "response": {**MADE["response"], **said}}
    content = json.dumps({"credential": body}).encode()
    sent = bodies.decode(content, b"application/json", Registration)
    assert not isinstance(sent, Denial)
    attestation = read_new(sent.value.credential)
    if isinstance(attestation, Denial):
        return attestation
    return verify_new(attestation, SITE)


def used(public=PUBLIC, **response):
    said = {name: text(value) for name, value in response.items()}
    body = {**USED, "response": {**USED["response"], **said}}
    content = json.dumps({"credential": body}).encode()
    sent = bodies.decode(content, b"application/json", SignIn)
    assert not isinstance(sent, Denial)
    assertion = read_used(sent.value.credential)
    if isinstance(assertion, Denial):
        return assertion
    return verify_proof(assertion, SITE, public)


def attested(public):
    """Return an attestation with other bytes in the place of the public key."""
    found = cbor2.loads(OBJECT)
    data = found["authData"]
    return cbor2.dumps({**found, "authData": data[: -len(PUBLIC)] + public})


def test_the_honest_ones_pass():
    """Else the rest of this file would prove nothing."""
    assert isinstance(made(), NewPasskey)
    assert isinstance(used(), Proof)
    assert isinstance(made(attestationObject=attested(PUBLIC)), NewPasskey)


@few
@given(st.binary(max_size=200))
def test_any_bytes_in_any_place(content):
    for field in ("clientDataJSON", "attestationObject"):
        assert isinstance(made(**{field: content}), Denial)
    for field in ("clientDataJSON", "authenticatorData", "signature"):
        assert isinstance(used(**{field: content}), Denial)
    assert isinstance(made(attestationObject=attested(content)), Denial)
    assert isinstance(used(public=content or b"\x00"), Denial)


@few
@given(trees | tagged)
def test_any_cbor_in_any_place(content):
    packed = cbor2.dumps(content)
    found = cbor2.loads(OBJECT)
    for other in (
        packed,
        attested(packed),
        cbor2.dumps({**found, "authData": content}),
        cbor2.dumps({**found, "fmt": content, "attStmt": content, "authData": packed}),
    ):
        assert isinstance(made(attestationObject=other), Denial)
    assert isinstance(used(public=packed), Denial)


@few
@given(st.data())
def test_any_key_of_the_right_members(data):
    """Of the right names, and of any values."""
    key = {label: data.draw(leaves) for label in (1, 3, -1, -2, -3)}
    key |= {1: data.draw(st.sampled_from([1, 2, 3, 7])), 3: data.draw(st.just(-7))}
    assert isinstance(made(attestationObject=attested(cbor2.dumps(key))), Denial)


@few
@given(st.integers(0, len(OBJECT) - 1), st.integers(0, 255), st.integers(0, 300))
def test_one_byte_changed_and_the_end_cut_off(place, byte, end):
    """Only a change that says nothing may pass: of the counter, say."""
    changed = bytearray(OBJECT)
    changed[place] = byte
    result = made(attestationObject=bytes(changed))
    assert isinstance(result, (Denial, NewPasskey))
    assert isinstance(
        made(attestationObject=OBJECT[: min(end, len(OBJECT) - 1)]), Denial
    )
    data = bytearray(raw(USED["response"]["authenticatorData"]))
    before = bytes(data)
    data[place % len(data)] = byte
    if bytes(data) != before:
        assert isinstance(used(authenticatorData=bytes(data)), Denial)


@few
@given(json_trees)
def test_any_json(content):
    for type_ in (Registration, SignIn):
        for body in (
            content,
            {"credential": content},
            {"credential": {**MADE, "response": content}},
        ):
            sent = bodies.decode(json.dumps(body).encode(), b"application/json", type_)
            assert isinstance(sent, Denial)


@few
@given(json_trees)
def test_any_client_data(content):
    changed = replace(KEY, client={"origin": content, "tokenBinding": content})
    result = changed.create({**CREATE, "challenge": CHALLENGE})["response"]
    assert isinstance(made(clientDataJSON=raw(result["clientDataJSON"])), Denial)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig", "latin-1"])
def test_client_data_is_utf_8(encoding):
    """Two readers that disagree about an encoding disagree about what was signed."""
    honest = raw(MADE["response"]["clientDataJSON"]).decode()
    said = honest.replace("localhost", "l\u00f6calhost").encode(encoding)
    refused = made(clientDataJSON=said)
    assert refused.code == "identity.passkey_malformed"


DEEP = {
    "arrays": b"\x81" * 12_000,
    "maps": b"\xa1\x00" * 6_000,
    "tags": b"\xd8\x1c" * 6_000,
    "strings without end": b"\x5f" * 12_000,
    "a length that is a lie": b"\x5b" + b"\x7f" * 8 + b"x",
    "a list as long as memory": b"\x9b" + b"\x7f" * 8 + b"\x00",
    "a number as long as memory": b"\xc2\x5b" + b"\x7f" * 8,
    "an exponent that fills memory": cbor2.dumps(cbor2.CBORTag(5, [2**62, 3])),
    "a decimal that fills memory": cbor2.dumps(cbor2.CBORTag(4, [2**62, 3])),
    "a value that holds itself": bytes.fromhex("d81c81d81d00"),
}


@pytest.mark.parametrize("bomb", DEEP)
def test_bombs(bomb):
    """A body may have 16 KiB; what is in it may not cost more."""
    assert isinstance(made(attestationObject=DEEP[bomb]), Denial)
    assert isinstance(made(attestationObject=attested(DEEP[bomb])), Denial)
    assert isinstance(used(public=DEEP[bomb]), Denial)
    assert isinstance(made(clientDataJSON=b"[" * 9_000), Denial)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"credential":null}',
        b'{"credential":{},"extra":1}',
        b"[" * 15_000,
        b'{"credential":' * 1_000,
    ],
)
def test_bodies_that_are_none(content):
    for type_ in (Registration, SignIn):
        sent = bodies.decode(content, b"application/json", type_)
        assert isinstance(sent, Denial)


WRONG = {
    "another type": {"type": "password"},
    "two names": {"rawId": text(b"another")},
    "a name with padding": {"id": "aQ==", "rawId": "aQ=="},
    "a name that is spelled otherwise": {"id": "aR", "rawId": "aR"},
    "a name outside the alphabet": {"id": "a b", "rawId": "a b"},
    "a name of other letters": {"id": "ä", "rawId": "ä"},
    "no name": {"id": "", "rawId": ""},
    "a name as long as a book": {"id": text(b"i" * 1024), "rawId": text(b"i" * 1024)},
}


@pytest.mark.parametrize("fault", WRONG)
def test_names_have_one_spelling(fault):
    """Else one credential would have many (CWE-1289)."""
    for honest, type_, read in (
        (MADE, NewCredential, read_new),
        (USED, UsedCredential, read_used),
    ):
        wrapped = Registration if type_ is NewCredential else SignIn
        content = json.dumps({"credential": {**honest, **WRONG[fault]}}).encode()
        sent = bodies.decode(content, b"application/json", wrapped)
        refused = read(sent.value.credential)
        assert (refused.status, refused.code) == (400, "identity.passkey_malformed")


def test_the_name_inside_is_the_name_outside():
    """What was attested is what is kept."""
    other = replace(KEY, id=b"j" * 16).create({**CREATE, "challenge": CHALLENGE})
    refused = made(attestationObject=raw(other["response"]["attestationObject"]))
    assert refused.private == "another credential id inside"


def test_transports_are_words():
    """They come back to every browser of the owner."""
    body = {
        **MADE["response"],
        "transports": ["usb", "usb", "<b>", "x" * 33, *"abcdefghij"],
    }
    content = json.dumps({"credential": {**MADE, "response": body}}).encode()
    sent = bodies.decode(content, b"application/json", Registration)
    found = read_new(sent.value.credential).transports
    assert found == ("usb", *"abcdefg")


def test_a_user_who_was_not_verified_is_not_asked_further():
    for flags in (UP, UV):
        key = replace(KEY, flags=flags)
        response = key.get({"rpId": "localhost", "challenge": CHALLENGE})["response"]
        refused = used(
            authenticatorData=raw(response["authenticatorData"]),
            clientDataJSON=raw(response["clientDataJSON"]),
            signature=raw(response["signature"]),
        )
        assert refused.code == "identity.passkey_refused"
