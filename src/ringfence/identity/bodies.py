"""What the identity routes accept in a request's body, and how strictly."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import parse_qsl

import msgspec

from ringfence.denial import Denial
from ringfence.identity.refusals import Invalid, invalid

MOST_BYTES = 16_384
_MOST_FIELDS = 16

_JSON = b"application/json"
_FORM = b"application/x-www-form-urlencoded"

TOO_LARGE = Denial(
    413,
    "identity.body_too_large",
    f"The body has more than {MOST_BYTES} bytes.",
)
WRONG_TYPE = Denial(
    415,
    "identity.wrong_content_type",
    "Send application/json or application/x-www-form-urlencoded, in UTF-8.",
    headers=((b"accept", b"application/json, application/x-www-form-urlencoded"),),
)
NOT_JSON = Denial(400, "identity.bad_json", "The body is not valid JSON.")
NOT_A_FORM = Denial(
    400,
    "identity.bad_form",
    "The form could not be read: each field once, in UTF-8, and not too many.",
)


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who somebody says they are."""

    email: str
    password: str

    def __repr__(self) -> str:
        return "Credentials(...)"


class PasswordChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The present password and the one that is to replace it."""

    current_password: str
    new_password: str

    def __repr__(self) -> str:
        return "PasswordChange(...)"


class Confirmation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One more proof of somebody who is signed in: the present password, or a code.

    ``factor`` is what the page was asked for; a form brings it back.
    """

    password: str = ""
    code: str = ""
    factor: str = ""

    def __repr__(self) -> str:
        return "Confirmation(...)"


class Forgotten(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The address of an account whose password is forgotten."""

    email: str


class NewPassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The code of a letter, and the password that is to replace the forgotten one."""

    token: str
    new_password: str

    def __repr__(self) -> str:
        return "NewPassword(...)"


class AddressProof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The code of a letter, and the password that was chosen with the account."""

    token: str
    password: str

    def __repr__(self) -> str:
        return "AddressProof(...)"


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sign-in for tokens: address and password, or the code that is still owed with
    what was answered to the password. ``transport`` is ``body`` or ``cookie``."""

    email: str = ""
    password: str = ""
    pending: str = ""
    code: str = ""
    transport: str = ""
    grant_type: str = ""

    def __repr__(self) -> str:
        return "TokenRequest(...)"


class RefreshRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A refresh token, in the body or in its cookie as ``transport`` says."""

    refresh_token: str = ""
    transport: str = ""
    grant_type: str = ""

    def __repr__(self) -> str:
        return "RefreshRequest(...)"


class RevocationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token to be taken back, of either kind."""

    token: str = ""
    token_type_hint: str = ""
    transport: str = ""

    def __repr__(self) -> str:
        return "RevocationRequest(...)"


class SessionsToEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which sessions to end: all, or with ``keep=current`` all others."""

    keep: str = ""


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body that says nothing."""


_T = TypeVar("_T", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Submission(Generic[_T]):
    """A body that was understood.

    Args:
        value: what it said.
        next: where the browser wants to go; from forms only, not checked yet.
    """

    value: _T
    next: str = ""


def decode(
    body: bytes, content_type: bytes, type_: type[_T]
) -> Submission[_T] | Denial:
    """Return what a body says, or why it is not accepted.

    The content type decides, never the look of the body: JSON that is read from
    ``text/plain`` can be sent across sites without a preflight (CVE-2021-32677).
    Unknown fields are refused, so that nothing is assigned that was not meant to be
    (CWE-915).

    Args:
        body: at most ``MOST_BYTES``.
        content_type: the header, empty if there was none.
        type_: what is expected.
    """
    if not body and (type_ is Nothing or not content_type):
        return _decode_form(body, type_)
    media, _, parameters = content_type.partition(b";")
    parameters = parameters.strip().lower().replace(b'"', b"")
    if parameters not in {b"", b"charset=utf-8"}:
        return WRONG_TYPE
    media = media.strip().lower()
    if media == _JSON:
        return _decode_json(body, type_)
    if media == _FORM:
        return _decode_form(body, type_)
    return WRONG_TYPE


def _decode_json(body: bytes, type_: type[_T]) -> Submission[_T] | Denial:
    try:
        return Submission(msgspec.json.decode(body, type=type_))
    except msgspec.ValidationError as error:
        return _explain(error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NOT_JSON


def _decode_form(body: bytes, type_: type[_T]) -> Submission[_T] | Denial:
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:  # UnicodeError is one
        return NOT_A_FORM
    fields = dict(pairs)
    if len(fields) != len(pairs):  # of two values, which one was checked?
        return NOT_A_FORM
    fields.pop("csrf_token", None)  # browser.csrf has read it
    wanted = fields.pop("next", "")
    try:
        return Submission(msgspec.convert(fields, type_), wanted)
    except msgspec.ValidationError as error:
        return _explain(error)


_FIELD = re.compile(r"(unknown field|required field|- at) `\$?\.?([^`]{1,64})")


def _explain(error: msgspec.ValidationError) -> Invalid:
    """Put the decoder's words into ours, with the name of the field."""
    found = _FIELD.search(str(error))
    if found is None:
        return invalid(body="An object with the right fields is expected.")
    sentence = {
        "unknown field": "This field is not known here.",
        "required field": "This field is missing.",
    }.get(found[1], "A text is expected.")
    return invalid(**{found[2]: sentence})
