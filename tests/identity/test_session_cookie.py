"""The session cookie on the wire."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.session_cookie import SessionCookie, _in_production

NAME = "__Host-session"


def exchange(*cookies, port=8000):
    headers = [(b"cookie", b"; ".join(cookies))] if cookies else []
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": headers,
        "server": ("127.0.0.1", port) if port else None,
    }
    return Exchange(scope, None)


@pytest.fixture
def cookie():
    return SessionCookie(development=False)


def test_production_sets_every_flag(cookie):
    """ASVS 5.0 V3.3.1 to V3.3.4; no Domain, or the prefix would not hold."""
    request = exchange()
    cookie.write(request, "token")
    assert request.response_headers == [
        (
            b"set-cookie",
            b"__Host-session=token; Path=/; Secure; HttpOnly; SameSite=Lax",
        )
    ]


def test_development_has_a_name_of_its_own():
    """A browser drops ``__Host-`` on plain http, and sends cookies to every port."""
    request = exchange(port=8001)
    SessionCookie(development=True).write(request, "token")
    assert request.response_headers == [
        (b"set-cookie", b"session-8001=token; Path=/; HttpOnly; SameSite=Lax")
    ]


def test_development_cookies_are_never_read_in_production(cookie):
    assert cookie.read(exchange(b"session-8000=x", b"session=x")) == b""


def test_production_cookies_are_never_read_in_development():
    development = SessionCookie(development=True)
    assert development.read(exchange(b"__Host-session=x")) == b""
    assert development.read(exchange(b"session-8001=x")) == b""
    assert development.read(exchange(b"session-8000=x")) == b"x"
    assert development.name(exchange(port=None)) == "session-0"


def test_the_cookie_is_found_among_others(cookie):
    request = exchange(b"theme=dark", b"__Host-session=t", b"a=b=c", b"lone")
    assert cookie.read(request) == b"t"


@pytest.mark.parametrize(
    "header", [b"__Host-session=t;a=b", b"a=b;__Host-session=t", b" __Host-session = t"]
)
def test_spaces_around_pairs_do_not_matter(cookie, header):
    assert cookie.read(exchange(header)) == b"t"


def test_no_cookie_is_no_token(cookie):
    request = exchange()
    assert cookie.read(request) == b""


def test_two_different_session_cookies_are_refused(cookie):
    """Nobody can tell which of them was planted."""
    refused = cookie.read(exchange(b"__Host-session=mine", b"__Host-session=planted"))
    assert isinstance(refused, Denial)
    assert (refused.status, refused.code) == (400, "identity.ambiguous_cookie")


def test_the_same_cookie_twice_is_one(cookie):
    assert cookie.read(exchange(b"__Host-session=t", b"__Host-session=t")) == b"t"


@pytest.mark.parametrize(
    "smuggled",
    [
        b"\xa0__Host-session=planted",
        b"\x85__Host-session=planted",
        b"\x1c__Host-session=planted",
        b"\x0b__Host-session=planted",
        "\u2000__Host-session=planted".encode(),
        b"__host-session=planted",
        b"__Host-session\xa0=planted",
        b"$__Host-session=planted",
    ],
)
def test_only_spaces_and_tabs_are_stripped(cookie, smuggled):
    """A sibling domain may set such names; a parser that strips or folds more takes
    them for the protected one."""
    assert cookie.read(exchange(smuggled)) == b""
    assert cookie.read(exchange(smuggled, b"__Host-session=mine")) == b"mine"


def test_expiring_names_the_cookie_with_its_attributes(cookie):
    """Without the same path and flags a browser would keep it."""
    request = exchange()
    cookie.expire(request)
    assert request.response_headers == [
        (
            b"set-cookie",
            b"__Host-session=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax",
        )
    ]


def test_the_last_word_counts(cookie):
    """A sign-in with an expired cookie must not send the end of the new one along."""
    request = exchange()
    request.response_headers.append((b"set-cookie", b"theme=dark"))
    request.response_headers.append((b"vary", b"cookie"))
    cookie.expire(request)
    cookie.write(request, "fresh")
    assert [value.split(b";")[0] for _, value in request.response_headers] == [
        b"theme=dark",
        b"cookie",
        b"__Host-session=fresh",
    ]


def test_ten_thousand_cookies_are_read_in_one_pass(cookie):
    many = [b"c%d=v" % number for number in range(10_000)]
    assert cookie.read(exchange(*many, b"__Host-session=t")) == b"t"


PIECES = ["__Host-session", "=", ";", "; ", " ", "\t", "x", "__Host-device=A", "\xa0"]


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=12))
def test_what_is_found_fast_is_what_is_found_with_care(pieces):
    header = "".join(pieces).encode("latin-1")
    careful = rb"(?:^|;)[ \t]*__Host-session[ \t]*=([^;]*)"
    assert _in_production(header) == re.findall(careful, header)
