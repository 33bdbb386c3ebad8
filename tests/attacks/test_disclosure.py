"""What answers, headers and logs tell (guide: "Debug Mode in Production", "Security
Headers"; CWE-209, CWE-532, CWE-117)."""

import pytest
from tests.attacks.ranges import ALICE

INSIDE = ("Traceback", "RuntimeError", "SELECT", "mypassword", "disclosure.py", "/src/")


@pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*"])
def test_an_error_tells_nothing_of_the_inside(off, on, accept):
    """Trace, query and credentials of an exception stay inside."""
    with off.client(headers={"accept": accept}) as mallory:
        assert "mypassword" in mallory.get("/error").text
    with on.client(headers={"accept": accept}) as mallory:
        answer = mallory.get("/error")
        assert answer.status_code == 500
        assert not [word for word in INSIDE if word in answer.text]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers.get("x-request-id", "") in answer.text


def test_a_refused_password_is_not_echoed(off, on):
    """A 422 that repeats the body repeats the password with it."""
    body = {"email": "x@example.com", "password": "s3crt"}
    with off.client() as client:
        assert "s3crt" in client.post("/signup", json=body).text
    with on.client() as client:
        answer = client.post("/signup", json=body)
        assert answer.status_code == 422
        assert "s3crt" not in answer.text


def test_the_guards_own_refusals_echo_nothing(on):
    """Nor does any refusal of /auth."""
    bodies = ({"email": "not an address", "password": "s3crt!"}, {"password": "s3crt!"})
    with on.client() as client:
        for path in ("/auth/register", "/auth/login"):
            for body in bodies:
                answer = client.post(path, json=body)
                assert 400 <= answer.status_code < 500
                assert "s3crt!" not in answer.text


def test_a_sign_in_answers_no_password(off, on):
    """The row of the users table is not the answer to a sign-in."""
    with off.client() as client:
        assert ALICE["password"] in client.post("/signin", json=ALICE).text
    with on.signed_in(ALICE) as alice:
        password = on.account(ALICE)["password"]
        for path in ("/auth/me", "/auth/sessions"):
            text = alice.get(path).text
            assert password not in text
            assert "argon2" not in text
            assert on.session(alice)[1] not in text


@pytest.mark.parametrize("path", ["/comments", "/openapi.json", "/nothing", "/error"])
def test_no_version_leaves(on, path):
    """Nothing says which server, framework or version answers."""
    with on.client() as client:
        answer = client.get(path)
    assert not {"server", "x-powered-by"} & set(answer.headers)
    for name in ("uvicorn", "starlette", "python/", "ringfence/"):
        assert name not in answer.text.lower()


DOCUMENT_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def test_a_page_carries_the_full_set_of_headers(off, on):
    """Framing, sniffing and scripts of others are forbidden on every page (guide:
    "Security Headers")."""
    with off.client() as client:
        bare = client.get("/comments").headers
    assert not set(DOCUMENT_HEADERS) & set(bare)
    assert "content-security-policy" not in bare
    with on.client(headers={"accept": "text/html"}) as client:
        headers = client.get("/comments").headers
    policy = headers["content-security-policy"]
    for directive in (
        "frame-ancestors 'none'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "require-trusted-types-for 'script'",
    ):
        assert directive in policy
    assert "unsafe" not in policy
    assert headers["referrer-policy"] in {"no-referrer", "same-origin"}
    assert headers.get("x-xss-protection", "0") == "0"
    for name, value in DOCUMENT_HEADERS.items():
        assert headers[name] == value, name


@pytest.mark.parametrize("path", ["/error", "/nothing", "/transfers", "/auth/nothing"])
def test_a_page_of_refusal_is_as_closed(on, path):
    """The page that says no runs and loads nothing at all, and is not framed."""
    with on.client(headers={"accept": "text/html"}) as client:
        headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy or headers["location"].startswith("/auth/")
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_json_is_never_sniffed(off, on):
    """Uploaded or stored text does not become a page by guessing."""
    for side in (off, on):
        with side.client() as client:
            headers = client.get("/openapi.json").headers
            assert ("x-content-type-options" in headers) is (side is on)


def test_private_answers_are_not_cached(on):
    """Refusals and what belongs to somebody stay out of shared caches."""
    with on.client() as client:
        assert client.get("/transfers").headers["cache-control"] == "no-store"
    with on.signed_in(ALICE) as alice:
        assert "no-store" in alice.get("/auth/me").headers["cache-control"]


@pytest.mark.parametrize("path", ["/error", "/transfers", "/nothing", "/auth/me"])
def test_a_refusal_is_a_problem_with_a_code(on, path):
    """Every refusal has one shape, a stable code, and an id to ask about."""
    with on.client() as client:
        answer = client.get(path)
    problem = answer.json()
    assert answer.headers["content-type"].startswith("application/problem+json")
    names = {"type", "title", "status", "detail", "code", "request_id"}
    assert problem.keys() == names
    assert problem["status"] == answer.status_code
    assert "." in problem["code"]
