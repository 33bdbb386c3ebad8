"""Which hosts an input names, and which honest values name none."""

import time

import pytest

from ringfence.interpreters.addresses import strict
from ringfence.interpreters.untrusted import Input
from ringfence.interpreters.urls.named import fold_host, hosts_of


def named(text, place="json", name="url"):
    return {(each.host, each.ports) for each in hosts_of([Input(text, place, name)])}


@pytest.mark.parametrize(
    ("text", "host", "ports"),
    [
        ("http://evil.example/x", "evil.example", (80,)),
        ("https://evil.example:8443", "evil.example", (8443,)),
        ("//evil.example/x", "evil.example", ()),
        ("/\\evil.example", "evil.example", ()),
        ("http:/\\evil.example", "evil.example", (80,)),
        ("http:evil.example", "evil.example", (80,)),
        ("ht\ntp://evil\t.example/", "evil.example", (80,)),
        ("look: http://evil.example/x?y and more", "evil.example", (80,)),
        ("http://good.example@evil.example/", "evil.example", (80,)),
        ("http://good.example\\@evil.example/", "good.example", (80,)),
        ("http://good.example\\@evil.example/", "evil.example", (80,)),
        ("gopher://evil.example/_x", "evil.example", ()),
        ("jar:http://evil.example!/", "evil.example!", (80,)),
        ("http://EVIL.example./", "evil.example", (80,)),
        ("evil.example", "evil.example", ()),
        ("evil.example:81/x", "evil.example", (81,)),
        ("169.254.169.254#", "169.254.169.254", ()),
        ("x@127.0.0.1:8000/", "127.0.0.1", (8000,)),
        ("::1", "::1", ()),
        ("[::1]:80", "::1", (80,)),
        ("2130706433", "2130706433", ()),
        ("0x7f.1", "0x7f.1", ()),
        ("localhost:9000", "localhost", (9000,)),
        ("ann@shop.example", "shop.example", (80, 443)),
        ("http://xn--bcher-kva.example/", "bücher.example", (80,)),
        ("http://faß.example/", "fass.example", (80,)),
    ],
)
def test_hosts_in_inputs(text, host, ports):
    assert (host, ports) in named(text)


@pytest.mark.parametrize(
    "text",
    [
        *("O'Brien", "1 or 2", "10.5", "1.2.3", "42", "redis", "orders", "12:30"),
        *("see localhost for more", "a/b", "key: value", "SELECT 1; --", "😀"),
        *("C:\\Users\\Ann", "// a comment in code", "x // y", "#1", "", "@ann"),
    ],
)
def test_honest_values_name_no_address(text):
    """Words, numbers and code are not taken for addresses."""
    assert not any(
        strict(host) or host == "localhost" or "." in host for host, _ in named(text)
    )


@pytest.mark.parametrize("header", ["host", "x-forwarded-for", "x-real-ip", "via"])
def test_what_proxies_say_is_followed_by_nobody(header):
    assert not named("127.0.0.1:8000", "header", header)


def test_hosts_are_compared_in_one_form():
    assert fold_host("[FE80::1%eth0]") == "fe80::1"
    assert fold_host("ＥＶＩＬ．example．") == "evil.example"  # noqa: RUF001 - meant
    assert fold_host("xn--strae-oqa.de") == fold_host("STRASSE.de")
    assert fold_host("xn--\u20ac") == "xn--\u20ac"


@pytest.mark.parametrize(
    "piece", ["/", "a", "a:", "http:", "//", "\\", "@", "a.", "-", "["]
)
def test_long_texts_take_no_time(piece):
    """The time grows with the length and not with its square (CWE-1333)."""
    text = piece * (65_536 // len(piece))
    began = time.process_time()
    named(text)
    assert time.process_time() - began < 1
