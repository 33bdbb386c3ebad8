"""Where browsers are sent to."""

import pytest
from tests.interpreters.test_untrusted import exchange

from ringfence import urls
from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.settings import InterpretersSettings
from ringfence.interpreters.sink import Sinks
from ringfence.interpreters.urls.redirects import judge_location

ABROAD = [
    *("https://evil.example/", "//evil.example", "///evil.example", "////evil.example"),
    *("/\\evil.example", "\\\\evil.example", "\\/evil.example", "/\\/evil.example"),
    *("/\t/evil.example", "\t//evil.example", "/\n/evil.example", "//\r\nevil.example"),
    *(
        "http:evil.example",
        "https:/evil.example",
        "HtTpS://evil.example",
        " //evil.example",
    ),
    *(
        "https://app.example.com@evil.example/",
        "https://evil.example\\@app.example.com",
    ),
    *("https://app.example.com.evil.example/", "https://evilapp.example.com/"),
]
NOWHERE = [
    "http://[::1",
    "https://app.example.com:99999/",
    "https://app.example.com:0/",
    "",
    "x",
    "javascript:alert(1)",
    "data:text/html,x",
    "/a//b",
    "/a\r\nSet-Cookie:x",
]


@pytest.mark.parametrize("text", [*ABROAD, *NOWHERE])
def test_other_sites_are_refused(text):
    allowed = ("app.example.com",)
    with pytest.raises(InjectionRefusedError):
        urls.redirect_target(text, allowed=allowed)
    assert urls.redirect_target(text, allowed=allowed, otherwise="/") == "/"


@pytest.mark.parametrize(
    "text",
    [
        *("/", "/orders?page=2#last", "/a/b/", "/search?q=http://x.example//y", "/#/x"),
        *("/@ann", "/caf\u00e9", "/?next=//x", "https://app.example.com/x?y"),
    ],
)
def test_own_pages(text):
    assert urls.redirect_target(text, allowed=("app.example.com",)) == text


def asked(query=b"", **settings):
    made = exchange(query=query)
    made.host = "shop.example.com"
    made.sinks = Sinks(InterpretersSettings(**settings), lambda _: None)
    return made


@pytest.mark.parametrize("text", [each for each in ABROAD if "app." not in each])
def test_location_that_an_input_names(text):
    """A handler that sends browsers wherever ``next`` says."""
    made = asked(b"next=" + text.encode().replace(b"\t", b"%09").replace(b"\n", b"%0A"))
    with pytest.raises(InjectionRefusedError):
        judge_location(text, made, ())
    assert made.denial.code == "interpreters.redirect"


def test_location_that_grows_a_tail():
    """``https://shop.example.com`` and what was sent, put together."""
    with pytest.raises(InjectionRefusedError):
        judge_location(
            "https://shop.example.com.evil.io/", asked(b"next=.evil.io/"), ()
        )
    with pytest.raises(InjectionRefusedError):
        judge_location(
            "https://shop.example.com@evil.io/", asked(b"next=@evil.io/"), ()
        )


@pytest.mark.parametrize(
    ("location", "query"),
    [
        ("/login", b"next=/orders"),
        ("/x?next=//evil.example", b"next=//evil.example"),
        ("https://accounts.example.org/auth?redirect_uri=https://evil.example", b"u=1"),
        ("https://shop.example.com/x", b"next=https://shop.example.com/x"),
        ("https://www.shop.example/x", b"next=https://www.shop.example/x"),
        ("https://pay.example/x", b"to=https://pay.example/x"),
        ("https://a.pay.example/x", b"to=https://a.pay.example/x"),
        ("https://example.org/", b"mail=ann@shop.test"),
    ],
)
def test_honest_locations(location, query):
    """Own pages, constant sites, declared ones."""
    made = asked(query, redirects=(".pay.example",))
    judge_location(location, made, ("https://www.shop.example",))


def test_location_before_any_plan():
    made = asked(b"next=//evil.example")
    made.sinks = None
    judge_location("//evil.example", made, ())


def test_referer():
    """Whoever comes from there is sent back there."""
    made = exchange(headers=((b"referer", b"https://partner.example/"),))
    made.sinks = Sinks(InterpretersSettings(), lambda _: None)
    judge_location("https://partner.example/", made, ())


@pytest.mark.parametrize(
    "text", ["/evil.example", "/evil.example/x?y", "\\evil.example", "/evilhost"]
)
def test_a_slash_before_a_slash(text):
    """A handler that makes a path of what it gets: ``"/" + "/evil.example"``."""
    made = asked(b"next=" + text.encode())
    with pytest.raises(InjectionRefusedError):
        judge_location("/" + text, made, ())
    judge_location(text.replace("\\", "/"), asked(b"next=" + text.encode()), ())
    judge_location("https://pay.example/x", asked(b"next=" + text.encode()), ())
