"""Markup is a type: plain text never becomes it by the way (CWE-79)."""

import copy
import pickle

import pytest
from markupsafe import escape
from tests.interpreters.asking import asking

from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.html import SafeHtml, text

BOLD = SafeHtml.trusted("<b>{}</b>")
EVIL = "<script>"
ESCAPED = "&lt;script&gt;"


def test_it_is_not_made_from_text():
    """The message says what to write instead."""
    with pytest.raises(TypeError, match=r"html\.rich_text"):
        SafeHtml("<b>")


def test_what_is_added_is_escaped():
    for joined in (BOLD + EVIL, EVIL + BOLD, BOLD.join(["a", EVIL])):
        assert isinstance(joined, SafeHtml)
        assert ESCAPED in joined
        assert "<b>{}</b>" in joined
    assert str(BOLD + BOLD) == "<b>{}</b><b>{}</b>"
    assert 2 * BOLD == BOLD * 2 == BOLD + BOLD
    assert isinstance(BOLD * 2, SafeHtml)


def test_what_is_filled_in_is_escaped():
    assert BOLD.format(EVIL) == f"<b>{ESCAPED}</b>"
    assert BOLD.format(BOLD) == "<b><b>{}</b></b>"
    named = SafeHtml.trusted("<i>{name!r:>10} {n:.2f}</i>")
    assert named.format(name=EVIL, n=1) == "<i>&#x27;&lt;script&gt;&#x27; 1.00</i>"
    assert named.format_map({"name": "x", "n": 1}) == "<i>       &#x27;x&#x27; 1.00</i>"
    assert SafeHtml.trusted("{:>5}").format(text("<")) == " &amp;lt;"
    assert BOLD.format(3) == "<b>3</b>"
    with pytest.raises(TypeError, match="format"):
        BOLD % EVIL


def test_what_is_done_to_it_makes_plain_text_of_it():
    for plain in (BOLD[:3], BOLD.upper(), str(BOLD), f"{BOLD}", BOLD.replace("b", "p")):
        assert type(plain) is str
    assert type(pickle.loads(pickle.dumps(BOLD))) is str, "nobody vouches for a store"
    assert copy.copy(BOLD) is copy.deepcopy(BOLD) is BOLD


def test_templates_leave_it_alone():
    assert str(escape(BOLD)) == "<b>{}</b>"


def test_nobody_vouches_for_what_was_sent():
    """``trusted`` is for constants: a request's own markup is none."""
    with asking(path="/", query=b"q=<img+src=x+onerror=alert(1)>&r=<i>"):
        assert SafeHtml.trusted("<b>q</b>") == "<b>q</b>"
        assert SafeHtml.trusted("plain q") == "plain q"
        with pytest.raises(InjectionRefusedError, match="no constant"):
            SafeHtml.trusted("<p><img src=x onerror=alert(1)></p>")
    with asking(watched=True, query=b"q=<i>"):
        assert SafeHtml.trusted("<i>") == "<i>"
