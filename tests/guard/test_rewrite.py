import json
from functools import partial
from types import SimpleNamespace
from typing import Annotated
from uuid import UUID

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field
from starlette.testclient import TestClient

from ringfence import access
from ringfence.browser.cookies import harden
from ringfence.exchange import Exchange
from ringfence.guard.field_errors import read_errors
from ringfence.guard.rewrite import Rewriter, finish_start, must_rewrite
from ringfence.principal import Principal

DOCUMENT = ((b"content-security-policy", b"page"), (b"x-frame-options", b"DENY"))
DATA = ((b"content-security-policy", b"data"), (b"x-content-type-options", b"nosniff"))
HTML = (b"content-type", b"text/html; charset=utf-8")
JSON = (b"content-type", b"application/json")


def finished(
    *headers,
    status=200,
    nonce="",
    principal=None,
    policy=access.public,
    extra=(),
    message=None,
    caching=None,
):
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    exchange = Exchange(scope, None)
    exchange.request_id = "abc-1"
    exchange.nonce = nonce
    exchange.principal = principal
    exchange.response_headers.extend(extra)
    plan = SimpleNamespace(
        document_headers=DOCUMENT,
        data_headers=DATA,
        policy=policy,
        nonced_headers=lambda nonce: (
            (b"content-security-policy", f"page nonce-{nonce}".encode()),
            *DOCUMENT[1:],
        ),
        caching=caching,
        endings={},
        is_own=False,
    )
    if message is None:
        message = {"type": "http.response.start", "headers": list(headers)}
        if status is not None:
            message["status"] = status
    return finish_start(
        message,
        exchange,
        plan,
        harden=partial(harden, secure=True, readable=frozenset()),
    )["headers"]


@pytest.mark.parametrize(
    ("content_type", "document"),
    [
        (b"text/html", True),
        (b"Text/HTML; charset=utf-8", True),
        (b"application/xhtml+xml", True),
        (b"image/svg+xml", True),
        (b"application/xml", True),
        (b"application/atom+xml", True),
        (b"multipart/x-mixed-replace; boundary=x", True),
        (b"text/javascript", True),
        (b"application/json", False),
        (b"application/problem+json", False),
        (b"text/plain; charset=utf-8", False),
        (b"image/png", False),
        (b"text/event-stream", False),
    ],
)
def test_documents_and_data(content_type, document):
    headers = dict(finished((b"content-type", content_type)))
    assert headers[b"content-security-policy"] == (b"page" if document else b"data")


@pytest.mark.parametrize(
    ("status", "policy"),
    [(200, b"page"), (404, b"page"), (204, b"data"), (303, b"data")],
)
def test_an_answer_without_a_type(status, policy):
    """A body without a type could be taken for a page; a redirect has none."""
    assert dict(finished(status=status))[b"content-security-policy"] == policy


def test_not_modified_says_nothing_new():
    """Its headers would replace those of the stored page, nonce and all."""
    headers = finished((b"etag", b"x"), status=304)
    assert headers == [(b"etag", b"x")]


def test_a_nonce_goes_into_the_policy_of_a_page():
    headers = finished(HTML, nonce="n")
    policies = [value for name, value in headers if name == b"content-security-policy"]
    assert policies == [b"page nonce-n"]
    assert (b"x-frame-options", b"DENY") in headers


def test_the_guard_s_values_stand_alone():
    """Two values are two opinions."""
    headers = finished(
        HTML,
        (b"x-frame-options", b"SAMEORIGIN"),
        (b"X-Content-Type-Options", b"x"),
        (b"x-xss-protection", b"1"),
        (b"x-request-id", b"forged"),
    )
    names = [name for name, _ in headers]
    assert len(names) == len(set(names))
    assert dict(headers)[b"x-frame-options"] == b"DENY"
    assert b"x-xss-protection" not in names


def test_the_application_s_own_policy_is_enforced_too():
    """Browsers apply both, so it can only be made stricter."""
    headers = finished(HTML, (b"content-security-policy", b"sandbox"))
    policies = [value for name, value in headers if name == b"content-security-policy"]
    assert policies == [b"sandbox", b"page"]


@pytest.mark.parametrize("name", [b"server", b"Server", b"x-powered-by", b"x-runtime"])
def test_versions_do_not_leave(name):
    assert name.lower() not in dict(finished((name, b"thing/1.2.3")))


def test_cookies_of_the_application_are_hardened():
    headers = finished((b"set-cookie", b"a=1"), (b"Set-Cookie", b"b=2; HttpOnly"))
    assert [value for name, value in headers if name == b"set-cookie"] == [
        b"a=1; Secure; HttpOnly; SameSite=Lax",
        b"b=2; HttpOnly; Secure; SameSite=Lax",
    ]


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: x=1", b"a\nb", b"a\rb"])
@pytest.mark.parametrize("name", [b"location", b"x-custom"])
def test_a_line_break_in_a_header_is_an_error(name, value):
    """CVE-2020-7695: response splitting."""
    with pytest.raises(ValueError, match="line break"):
        finished((name, value))


SOMEBODY = Principal("a")


@pytest.mark.parametrize(
    ("principal", "policy", "own", "expected"),
    [
        (None, access.public, None, None),
        (SOMEBODY, access.signed_in, None, b"no-store"),
        (SOMEBODY, access.public, None, b"private, no-cache"),
        (SOMEBODY, access.signed_in, b"max-age=60", b"max-age=60"),
        (SOMEBODY, access.public, b"public", b"public"),
    ],
)
def test_what_somebody_sees_is_not_stored_for_others(principal, policy, own, expected):
    own = () if own is None else ((b"cache-control", own),)
    headers = dict(finished(JSON, *own, principal=principal, policy=policy))
    assert headers.get(b"cache-control") == expected


def test_an_answer_that_sets_a_cookie_is_for_one_reader():
    """A shared cache would hand the cookie to the next one."""
    assert (b"cache-control", b"private, no-cache") in finished((b"set-cookie", b"a=1"))


def test_a_message_that_is_sent_to_everybody_is_left_alone():
    """Else the headers of one answer would pile up on the next, cookies among them."""
    lines = [JSON]
    message = {"type": "http.response.start", "status": 200, "headers": lines}
    first = finished(message=message)
    assert finished(message=message) == first
    assert lines == [JSON]


def test_what_stages_add_goes_along():
    assert (b"a", b"b") in finished(JSON, extra=[(b"a", b"b")])


def test_an_accepted_web_socket_gets_hardened_cookies_only():
    headers = finished((b"set-cookie", b"a=1"), status=None)
    assert headers == [(b"set-cookie", b"a=1; Secure; HttpOnly; SameSite=Lax")]


@pytest.mark.parametrize(
    ("status", "rewritten"),
    [(200, False), (400, False), (404, False), (422, True), (500, True), (503, True)],
)
def test_what_is_rewritten(status, rewritten):
    assert must_rewrite(status) is rewritten


def rewritten(status, *bodies, headers=()):
    """Feed a rewriter, and count how often it asks to answer."""
    start = {"type": "http.response.start", "status": status, "headers": list(headers)}
    rewriter = Rewriter(start)
    asked = [rewriter.take(start)]
    for number, body in enumerate(bodies):
        more = number < len(bodies) - 1
        asked.append(
            rewriter.take(
                {"type": "http.response.body", "body": body, "more_body": more}
            )
        )
    return rewriter, asked


@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 599])
def test_server_errors_keep_their_status_and_nothing_else(status):
    """Trap 15: ``debug=True`` sends traces."""
    rewriter, asked = rewritten(
        status, b"Traceback", b" (most recent", headers=[(b"server", b"thing/1.2.3")]
    )
    assert asked == [True, False, False]
    assert rewriter.denial.status == status
    assert rewriter.denial.code == "guard.application_error"
    assert rewriter.denial.headers == ()


@pytest.mark.parametrize(
    ("value", "kept"), [(b"120", True), (b"soon", False), (b"1\r\nx: y", False)]
)
def test_retry_after_is_kept(value, kept):
    rewriter, _ = rewritten(503, headers=[(b"Retry-After", value)])
    assert rewriter.denial.headers == (((b"retry-after", value),) if kept else ())


def report(*errors):
    return json.dumps({"detail": list(errors)}).encode()


def test_a_validation_report_is_rebuilt_from_its_pieces():
    body = report({"type": "missing", "loc": ["body", "email"], "msg": "", "input": {}})
    rewriter, asked = rewritten(422, body[:7], body[7:])
    assert asked == [False, False, True]
    assert rewriter.denial.code == "guard.invalid_input"
    assert rewriter.errors == [
        {"field": "body.email", "type": "missing", "message": "Is required."}
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        b'{"detail": "your password hunter2 is too short"}',
        b'{"detail": []}',
        b'{"detail": [1, {"loc": "body"}, {"type": "missing"}]}',
        b"[" * 50_000,
        b"\xff\xfe",
    ],
)
def test_another_body_says_nothing(body):
    rewriter, asked = rewritten(422, body)
    assert asked == [False, True]
    assert rewriter.denial.code == "guard.unprocessable"
    assert rewriter.errors == []


def test_an_endless_report_is_cut():
    rewriter, asked = rewritten(422, b"[", *([b"x" * 30_000] * 10))
    assert asked.index(True) == 4
    assert asked.count(True) == 1
    assert rewriter.errors == []


PASSWORD = "correct-horse-battery"


def speaking(value):
    raise ValueError(f"{value} is on a list of bad passwords")


class Account(BaseModel):
    """Everything that pydantic says about a field, or a validator repeats."""

    email: str
    password: str = Field(max_length=3)
    spoken: Annotated[str, AfterValidator(speaking)]
    token: UUID
    age: int = Field(ge=18)
    shape: str = Field(pattern="^[0-9]$")
    model_config = {"extra": "forbid"}


def test_fastapi_s_report_loses_the_password():
    """Trap 15: FastAPI's 422 repeats what was sent (seen)."""
    app = FastAPI()

    @app.post("/accounts")
    def register(account: Account) -> None: ...

    sent = {
        "password": PASSWORD,
        "spoken": PASSWORD,
        "token": PASSWORD,
        "age": 3,
        "shape": PASSWORD,
        f"{PASSWORD} as a name": 1,
    }
    answer = TestClient(app).post("/accounts", json=sent)
    assert PASSWORD in answer.text
    errors = read_errors(answer.content)
    assert PASSWORD not in json.dumps(errors)
    assert {error["field"]: error["message"] for error in errors} == {
        "body.email": "Is required.",
        "body.password": "Must have at most 3 characters.",
        "body.spoken": "Is not valid.",
        "body.token": "Must be a UUID.",
        "body.age": "Must be at least 18.",
        "body.shape": "Does not have the expected form.",
        "body.?": "Is not expected here.",
    }


@pytest.mark.parametrize(
    "context",
    [{"max_length": PASSWORD}, {"max_length": [PASSWORD]}, None, PASSWORD, {}],
)
def test_only_numbers_are_filled_into_sentences(context):
    body = report({"type": "string_too_long", "loc": ["body", 0], "ctx": context})
    assert read_errors(body) == [
        {"field": "body.0", "type": "string_too_long", "message": "Is not valid."}
    ]


def test_a_report_has_an_end():
    error = {"type": "missing", "loc": ["body"], "msg": "", "input": None}
    assert len(read_errors(report(*[error] * 500))) == 100


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(kind=json_values, loc=st.lists(json_values, max_size=3), context=json_values)
def test_no_report_breaks_the_reader(kind, loc, context):
    body = report({"type": kind, "loc": loc, "ctx": context, "msg": "x", "input": "y"})
    for error in read_errors(body):
        assert all(isinstance(value, str) for value in error.values())


@pytest.mark.parametrize(
    "said", [b"public, max-age=31536000, immutable", b"max-age=60", b"no-cache"]
)
def test_a_cookie_of_the_guard_s_own_is_for_one_browser(said):
    """A shared cache that kept a cookie that ends sessions would sign out everybody."""
    ended = (b"set-cookie", b"__Host-session=; Max-Age=0")
    others = ((b"CDN-Cache-Control", said), (b"surrogate-control", b"max-age=600"))
    headers = finished(HTML, (b"cache-control", said), *others, extra=[ended])
    assert ended in headers
    assert b"surrogate-control" not in dict(headers)
    assert b"cdn-cache-control" not in dict(headers)
    caching = [value for name, value in headers if name == b"cache-control"]
    assert caching == [b"no-store"]


def test_another_header_of_a_stage_leaves_caching_alone():
    headers = finished(HTML, (b"cache-control", b"max-age=60"), extra=[(b"vary", b"x")])
    assert (b"cache-control", b"max-age=60") in headers
