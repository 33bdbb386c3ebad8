"""Each place in a page has its own escaping (ASVS 5.0 V1.2.1)."""

import json
import re
from html import unescape

import pytest

from ringfence.interpreters import html

HONEST = (
    "O'Brien & Søn",
    "a < b > c",
    "I <3 you",
    "日本語 ❤️",
    "if (a && b) { f(`x`) }",
)


@pytest.mark.parametrize("value", HONEST)
def test_what_is_escaped_is_read_as_it_was(value):
    assert unescape(html.text(value)) == value
    assert unescape(html.attribute(value)) == value
    assert json.loads(html.script({"q": value})) == {"q": value}


def test_text_and_attribute_leave_no_markup():
    payload = "\"'><script>alert(1)</script>"
    assert not set("<>\"'") & set(html.text(payload))
    assert re.fullmatch(r"[A-Za-z0-9&#;]*", html.attribute(payload + " \t\n`="))
    assert html.attribute("\0") == "&#65533;"


def test_text_leaves_markup_that_is_known():
    known = html.SafeHtml.trusted("<b>")
    assert html.text(known) is known
    assert html.attribute(known) == "&#60;b&#62;"


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " \x01\x1fjavascript:alert(1)",
        "java\nscript:alert(1)",
        "java\tscript\r\n:alert(1)",
        "javascript&#58;alert(1)",
        "javascript&amp;colon;alert(1)",
        "&#106;avascript:alert(1)",
        "java&Tab;script:alert(1)",
        "vbscript:msgbox(1)",
        "data:text/html,<script>alert(1)</script>",
        "blob:http://a/b",
        "file:///etc/passwd",
        "java\0script:alert(1)",
        "\u2028javascript:alert(1)",
        "feed:javascript:alert(1)",
    ],
)
def test_an_address_that_could_be_code_leads_nowhere(address):
    assert html.url(address) == html.escape.NOWHERE


@pytest.mark.parametrize(
    "address",
    [
        "https://example.com/a?b=c&d=e#f:g",
        "/path:with/colon",
        "?q=javascript:alert(1)",
        "#top",
        "a/b:c",
        "mailto:ann@example.com",
        "tel:+4512345678",
        "//example.com/x",
        "https://de.wikipedia.org/wiki/Köln",
        "",
    ],
)
def test_an_honest_address_stays(address):
    assert unescape(html.url(address)) == address


def test_an_address_breaks_out_of_no_attribute():
    assert '"' not in html.url('/x" onclick="alert(1)')


def test_schemes_are_the_callers_choice():
    assert html.url("sms:+45", schemes={"sms"}) == "sms:+45"
    assert html.url("https://example.com", schemes={"sms"}) == html.escape.NOWHERE


def test_script_data_ends_no_script():
    written = html.script(["</script><!--<script>", "\u2028\u2029", "it's", "&lt;"])
    assert written.isascii()
    assert not set("<>&'") & set(written)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_script_data_is_json(value):
    with pytest.raises(ValueError, match="JSON"):
        html.script(value)


def test_script_data_is_no_object():
    with pytest.raises(TypeError):
        html.script(object())


def test_css_leaves_nothing_that_ends_a_string():
    written = html.css("x'; } body { background: url(//evil) } </style>\0")
    assert re.fullmatch(r"[A-Za-z0-9\\]*", written)
    assert written.endswith("\\00fffd")
    assert html.css("é") == "\\0000e9"
