"""The quick look passes most requests at once, and nothing that could be markup."""

import base64
from urllib.parse import quote, quote_plus

import pytest
from tests.interpreters.html.test_reflected import ATTACKS
from tests.interpreters.test_untrusted import exchange

from ringfence.interpreters.html.pretest import may_bring_markup

BROWSER = [
    (b"host", b"shop.example"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
    (b"accept", b"text/html,application/xml;q=0.9,*/*;q=0.8"),
    (b"sec-ch-ua", b'"Chromium";v="149", "Not;A=Brand";v="99"'),
    (b"if-none-match", b'W/"abc"'),
    (b"cookie", b"__Host-session=c2Vzc2lvbnNlc3Npb25zZXNzaW9u; theme=dark"),
    (b"referer", b"https://shop.example/products/1?q=garden%20chairs"),
]


def suspect(**request):
    headers = [*BROWSER, *request.pop("headers", ())]
    return may_bring_markup(exchange(headers=headers, **request))


@pytest.mark.parametrize(
    "query",
    [
        b"",
        b"q=garden+chairs&page=2",
        b"q=garden%20chairs&sort=name,price",
        b"q=k%C3%B6ln&from=2026-11-23",
        b"q=%E6%97%A5%E6%9C%AC",
        b"id=7f9c2ba4e88f827d616045507605853e",
        b"mail=ann%40example.com&region=eu&version=1.2",
        b"slug=how-to-grow-tomatoes-in-winter-without-light",
    ],
)
def test_ordinary_requests_are_let_through_at_once(query):
    assert not suspect(query=query, path="/articles/how-to-grow")


def forms(value):
    """Every way in which an address may carry a value."""
    yield quote(value).encode()
    yield quote_plus(value).encode()
    yield quote(quote(value)).encode()
    yield "".join(f"%{byte:02x}" for byte in value.encode()).encode()
    yield quote(value.replace("<", "&lt;").replace("(", "&#40;")).encode()
    if len(value) > 15:
        yield base64.b64encode(value.encode()).rstrip(b"=")
        yield base64.urlsafe_b64encode(value.encode()).rstrip(b"=")


@pytest.mark.parametrize(
    "value", [each for each, _ in ATTACKS if isinstance(each, str)]
)
def test_attacks_are_not(value):
    for form in forms(value):
        assert suspect(query=b"q=" + form), form
        assert suspect(path="/search/" + form.decode()), form
        if b"%3c" in form.lower():
            assert suspect(headers=[(b"cookie", b"a=" + form)])
    assert suspect(body=value.encode(), content_type=b"text/plain")
    form = b"q=" + quote_plus(value).encode()
    assert suspect(body=form, content_type=b"application/x-www-form-urlencoded")


@pytest.mark.parametrize(
    "place",
    [
        {"query": b"q=x+onfocus=location=name"},
        {"query": b"q=location=name&page=2"},
        {"path": "/users/x%20onfocus=go"},
        {"path": "/users/location=name"},
    ],
)
def test_an_assignment_needs_no_brackets(place):
    assert suspect(**place)


def test_full_width_letters_become_markup():
    """Normalized by the application, U+FF1C is a bracket."""
    assert suspect(query=b"q=" + quote("\uff1cscript\uff1e").encode())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"user-agent", b"<script>alert(1)</script>"),
        (b"referer", b"https://evil.example/';alert(1)//"),
        (b"x-forwarded-host", b'"onload=alert(1)'),
        (b"cookie", b"name=%3Cscript%3E"),
    ],
)
def test_headers_are_looked_at(name, value):
    assert suspect(headers=[(name, value)])


def test_a_body_to_come_counts():
    assert suspect(headers=[(b"content-length", b"10")])
    assert suspect(headers=[(b"transfer-encoding", b"chunked")])
    assert not suspect(headers=[(b"content-length", b"0")])
    assert not suspect(body=b"name=Ann&age=3", headers=[(b"content-length", b"14")])
