"""A URL from outside is one that everybody reads alike, and leads to the internet."""

import pytest
from tests.interpreters.test_addresses import LOOPBACK

from ringfence import urls
from ringfence.errors import InjectionRefusedError


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("https://example.com", "https://example.com", "/"),
        ("HTTPS://Example.COM./a?b=c#d", "https://example.com", "/a?b=c"),
        ("http://example.com:80/", "http://example.com", "/"),
        ("http://example.com:8080?x", "http://example.com:8080", "/?x"),
        ("http://93.184.216.34/", "http://93.184.216.34", "/"),
        ("http://[2606:4700::1111]/", "http://[2606:4700::1111]", "/"),
        ("https://bücher.example/ü", "https://xn--bcher-kva.example", "/ü"),
        ("https://例え.テスト/", "https://xn--r8jz45g.xn--zckzah", "/"),
        ("https://example.com/@ann?mail=a@b", "https://example.com", "/@ann?mail=a@b"),
        ("https://my_bucket.example.com/", "https://my_bucket.example.com", "/"),
    ],
)
def test_honest_urls(url, origin, target):
    """They are put together again from what was judged."""
    checked = urls.check(url)
    assert (checked.origin, checked.target) == (origin, target)
    assert str(checked) == origin + target


@pytest.mark.parametrize("spelled", LOOPBACK)
def test_loopback_in_every_spelling(spelled):
    host = f"[{spelled}]" if spelled.count(":") > 1 and "[" not in spelled else spelled
    with pytest.raises(InjectionRefusedError):
        urls.check(f"http://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.com", "//example.com/", "/x", "http:example.com", "http:///x"),
        *("file:///etc/passwd", "gopher://example.com/", "javascript:alert(1)"),
        *("http://a@example.com/", "http://example.com@evil.example/"),
        *("http://example.com\\@evil.example/", "http:\\\\example.com", "http://a b/"),
        *("http://example.com\t/", "http://exam\nple.com/", " http://example.com"),
        *(
            "http://example.com:0/",
            "http://example.com:99999/",
            "http://example.com:x/",
        ),
        *("http://[::1", "http://::1/", "http://[fe80::1%25eth0]/", "http://[x]/"),
        *("http://localhost/", "http://localhost.:80/", "http://redis:6379/"),
        *("http://db.internal/", "http://printer.local/", "http://x.localhost/"),
        *("http://a..b/", "http://-a.example/", "http://example.1/", "http://%6c/"),
        *("http://evil.c℀.example/", "http://ⓔⓧ.evil。internal/", "http://a.x\u2028/"),
        *("http://example.com/" + "x" * 9_000, "http://" + "a" * 64 + ".example/"),
        *("http://169.254.169.254/latest", "http://1/", "http://255.255.255.255/"),
        "http://\ud800.example/",
    ],
)
def test_urls_that_lead_elsewhere_or_nowhere(url):
    with pytest.raises(InjectionRefusedError) as refused:
        urls.check(url)
    denial = refused.value.denial
    assert denial.code == "interpreters.url"
    assert denial.status == 400
    assert "evil" not in denial.private


def test_only_some_hosts():
    hosts = ("api.example.com", ".cdn.example")
    for url in (
        "https://api.example.com/",
        "https://a.cdn.example/",
        "http://cdn.example",
    ):
        urls.check(url, hosts=hosts)
    for url in (
        "https://example.com/",
        "https://xapi.example.com/",
        "https://xcdn.example",
    ):
        with pytest.raises(InjectionRefusedError):
            urls.check(url, hosts=hosts)


def test_declared_private_destinations():
    """An intranet's own preview: named on purpose."""
    private = ("10.20.0.0/16", "wiki.internal:80", "[::1]:9000")
    for url in ("http://10.20.1.1/", "http://wiki.internal/", "http://[::1]:9000/"):
        urls.check(url, private=private)
    for url in ("http://10.21.1.1/", "http://wiki.internal:81/", "http://[::1]/"):
        with pytest.raises(InjectionRefusedError):
            urls.check(url, private=private)


def test_only_some_schemes():
    with pytest.raises(InjectionRefusedError):
        urls.check("http://example.com/", schemes=("https",))
