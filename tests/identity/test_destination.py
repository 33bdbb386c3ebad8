"""Where ``next`` may lead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.identity.destination import same_site_path

OURS = ["/", "/orders", "/orders/1?sort=price&q=a%20b", "/a//b", "/x#y", "/a:b@c"]
THEIRS = [
    "",
    "orders",
    "//evil.example",
    "///evil.example",
    "////evil.example/x",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\\/evil.example",
    "/path\\..\\evil",
    "/\t/evil.example",
    "/\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    " /orders",
    "/orders ",
    "/a\r\nSet-Cookie: x=y",
    "/\x00/evil.example",
    "/\x7f",
    "https://evil.example",
    "https:evil.example",
    "HTTPS:///evil.example",
    "http:/evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "user@evil.example",
    "http://127.0.0.1:8000@evil.example/",
    "/ä",
    "/\u2028/evil.example",
    "/\uff0fevil.example",
    "/" + "a" * 2048,
]


@pytest.mark.parametrize("target", OURS)
def test_paths_of_this_site_are_kept(target):
    assert same_site_path(target, "/home") == target


@pytest.mark.parametrize("target", THEIRS)
def test_everything_else_goes_home(target):
    """CVE-2021-32618 and CVE-2023-49438: odd slashes that browsers take for a host."""
    assert same_site_path(target, "/home") == "/home"


@given(st.text(alphabet="/\\.:@?#%ae\t\n\r \x00", max_size=12))
def test_no_text_leads_away(text):
    """Resolved as browsers do it (tabs and line breaks dropped, back-slashes turned),
    what is kept stays on this host."""
    kept = same_site_path(text, "/")
    seen = kept.translate({9: None, 10: None, 13: None}).replace("\\", "/").strip()
    assert seen == kept
    assert seen[0] == "/"
    assert seen[1:2] != "/"
