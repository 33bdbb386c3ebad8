"""What is accepted in a body."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.denial import Denial
from ringfence.identity.bodies import (
    Confirmation,
    Credentials,
    Nothing,
    PasswordChange,
    SessionsToEnd,
    Submission,
    decode,
)

JSON = b"application/json"
FORM = b"application/x-www-form-urlencoded"
GOOD = b'{"email": "ann@example.com", "password": "secret"}'
GOOD_FORM = b"email=ann%40example.com&password=secret"
ANN = Credentials("ann@example.com", "secret")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (GOOD, JSON),
        (GOOD, b"application/json; charset=utf-8"),
        (GOOD, b'Application/JSON;charset="UTF-8"'),
        (GOOD_FORM, FORM),
        (GOOD_FORM, b"application/x-www-form-urlencoded; charset=UTF-8"),
        (GOOD_FORM + b"&csrf_token=abc", FORM),
    ],
)
def test_json_and_forms_say_the_same(body, content_type):
    assert decode(body, content_type, Credentials) == Submission(ANN)


@pytest.mark.parametrize(
    "content_type",
    [
        b"",
        b"text/plain",
        b"text/plain; charset=utf-8",
        b"multipart/form-data; boundary=x",
        b"application/jsonx",
        b"text/json",
        b"application/vnd.api+json",
        b"application/json, text/plain",
        b"application/json; charset=utf-16",
        b"application/json; charset=iso-8859-1",
        b"application/json;x=y",
    ],
)
def test_only_the_content_type_decides(content_type):
    """JSON read from text/plain can be sent across sites without a preflight
    (CVE-2021-32677)."""
    refused = decode(GOOD, content_type, Credentials)
    assert (refused.status, refused.code) == (415, "identity.wrong_content_type")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        GOOD + b" x",
        b"\xff\xfe",
        b'{"email": "\xff"}',
        b'{"email": "\\ud800"}',
        b"{'email': 1}",
        b"NaN",
        GOOD_FORM,
    ],
)
def test_what_is_no_json_is_a_bad_request(body):
    refused = decode(body, JSON, Credentials)
    assert (refused.status, refused.code) == (400, "identity.bad_json")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"email": "a", "password": "b", "role": "admin"}', "role: This field is"),
        (b'{"email": "a", "password": "b", "id": "1"}', "id: This field is not known"),
        (b'{"email": "a"}', "password: This field is missing."),
        (b"{}", "email: This field is missing."),
        (b'{"email": 1, "password": "b"}', "email: A text is expected."),
        (b'{"email": {"$ne": null}, "password": "b"}', "email: A text is expected."),
        (b'{"email": ["a"], "password": "b"}', "email: A text is expected."),
        (b'{"email": null, "password": "b"}', "email: A text is expected."),
        (b"[]", "body: "),
        (b"[" * 10_000, "body: "),
        (b"null", "body: "),
        (b'"text"', "body: "),
        (b"1", "body: "),
    ],
)
def test_the_field_at_fault_is_named(body, detail):
    """Unknown fields are refused, never assigned (CWE-915); an operator in place of a
    text is no text."""
    refused = decode(body, JSON, Credentials)
    assert (refused.status, refused.code) == (422, "identity.invalid_input")
    assert refused.detail.startswith(detail)
    assert "Object" not in refused.detail  # the decoder's own words stay inside


def test_a_long_field_name_is_cut():
    body = msgspec.json.encode({"email": "a", "password": "b", "x" * 9000: 1})
    assert len(decode(body, JSON, Credentials).detail) < 150


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"email=a&email=b&password=c", 400),
        (b"email=a&password=b&password=c", 400),
        (b"csrf_token=a&csrf_token=b&email=a&password=b", 400),
        (b"email=%ff&password=b", 400),
        (b"email=\xc3\xa4&password=b", 400),
        (b"&".join(b"f%d=" % number for number in range(100)), 400),
        (b"email=a&password=b&role=admin", 422),
        (b"email=a", 422),
        (b"", 422),
        (b"=&=", 400),
        (GOOD, 422),
    ],
)
def test_odd_forms_are_refused(body, status):
    """Of two values with one name, another reader may take the other."""
    assert decode(body, FORM, Credentials).status == status


def test_next_comes_from_forms_only():
    assert decode(GOOD_FORM + b"&next=%2Forders", FORM, Credentials).next == "/orders"
    refused = decode(GOOD[:-1] + b', "next": "/x"}', JSON, Credentials)
    assert refused.detail.startswith("next: ")


def test_plus_and_percent_are_decoded_once():
    sent = decode(b"email=a%2Bb%40c&password=a+b%2520", FORM, Credentials)
    assert sent.value == Credentials("a+b@c", "a b%20")


@pytest.mark.parametrize("content_type", [b"", JSON, FORM, b"text/plain"])
def test_nothing_may_be_said_in_any_way(content_type):
    assert decode(b"", content_type, Nothing) == Submission(Nothing())


def test_nothing_takes_no_fields():
    assert decode(b"{}", JSON, Nothing) == Submission(Nothing())
    assert decode(b"csrf_token=x", FORM, Nothing) == Submission(Nothing())
    assert decode(b'{"x": 1}', JSON, Nothing).status == 422


def test_which_sessions_to_end():
    assert decode(b"keep=current", FORM, SessionsToEnd).value.keep == "current"
    assert decode(b"csrf_token=x", FORM, SessionsToEnd).value.keep == ""


def test_passwords_are_not_in_representations():
    assert "secret" not in repr(ANN)
    assert "secret" not in repr(PasswordChange("secret", "secret2"))
    assert "secret" not in repr(Submission(ANN))


@given(st.binary(max_size=200), st.sampled_from([JSON, FORM]))
def test_no_body_raises(body, content_type):
    result = decode(body, content_type, Credentials)
    assert isinstance(result, Submission | Denial)


def test_a_confirmation_shows_no_password():
    assert "secret" not in repr(Confirmation("secret"))
