import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ringfence.browser.origins import canonical, fault_of

GOOD = [
    "https://app.example",
    "https://app.example:8443",
    "http://localhost:3000",
    "http://127.0.0.1:5173",
    "http://[::1]:8000",
    "https://xn--bcher-kva.example",
    "https://_dmarc.example",
    "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    "capacitor://localhost",
]
GUESSED = {
    "https://app.example/": "https://app.example",
    "https://app.example/shop": "https://app.example",
    "https://app.example?x=1": "https://app.example",
    "https://app.example#top": "https://app.example",
    "https://app.example:443": "https://app.example",
    "http://app.example:80": "http://app.example",
    "https://app.example:": "https://app.example",
    "https://app.example:08443": "https://app.example:8443",
    "https://APP.example": "https://app.example",
    "HTTPS://app.example": "https://app.example",
    "https://app.example.": "https://app.example",
    "https://ana@app.example": "https://app.example",
    "https://app.example:8443@evil.example": "https://evil.example",
    " https://app.example": "https://app.example",
    "app.example": "https://app.example",
    "app.example:8443": "https://app.example:8443",
    "//app.example": "https://app.example",
    "localhost:3000": "http://localhost:3000",
    "wss://app.example": "https://app.example",
    "ws://localhost:3000": "http://localhost:3000",
    "https://bücher.example": "https://xn--bcher-kva.example",
    "http://[0:0::1]:8000": "http://[::1]:8000",
}
PATTERNS = [
    "https://*.example",
    "https://app.*",
    "https://app*.example",
    "**",
    ".app.example",
    "https://.app.example",
    "^https://app",
    "https://app.example$",
    r"https://.+\.example",
    "https://(a|b).example",
]
HOPELESS = [
    "",
    " ",
    "https://",
    "https:///path",
    "https://app..example",
    "https://-app.example",
    "https://app example",
    "https://app.example:99999",
    "https://app.example:x",
    "https://127.1",
    "https://0x7f000001",
    "https://1.2.3.4.5",
    "http://[::1",
    "http://[fe80::1%eth0]",
    "https://app.example,https://b.example",
]


@pytest.mark.parametrize("origin", GOOD)
def test_what_browsers_send_is_taken(origin):
    assert fault_of(origin) == ""


@pytest.mark.parametrize(("origin", "guess"), GUESSED.items())
def test_another_spelling_is_refused_with_a_guess(origin, guess):
    """Browsers never send it, so it would allow nobody, or be compared leniently."""
    assert f"write {guess!r}" in fault_of(origin)
    assert fault_of(canonical(origin)) == ""


@pytest.mark.parametrize("origin", PATTERNS)
def test_a_pattern_is_refused(origin):
    """A prefix, a suffix or a pattern covers names that others can register."""
    assert "in full" in fault_of(origin)


@pytest.mark.parametrize("origin", HOPELESS)
def test_what_is_no_origin_is_refused(origin):
    assert "https://app.example" in fault_of(origin)


@pytest.mark.parametrize("origin", ["file:///srv", "data:text/html,x", "about:blank"])
def test_what_has_an_opaque_origin_is_refused(origin):
    assert "no origin that could be told" in fault_of(origin)


def test_null_is_refused():
    """Any site makes a sandboxed frame, whose origin is ``null``."""
    assert "sandboxed" in fault_of("null")


_HOSTS = st.text(alphabet="aZé.:-_[]@/%*\\ 0129x", max_size=24)


@given(st.one_of(st.text(max_size=40), _HOSTS.map("https://{}".format)))
@example("https://app.example\n")
@example("https://app.example\x00")
@example("https://\u2100.example")
def test_what_is_taken_is_written_as_browsers_write_it(text):
    """Whatever is configured: a message, or an origin that can stand in a header."""
    if fault_of(text):
        return
    assert text.isascii()
    assert text == text.lower() == canonical(text)
    assert not set(text) & set(" \t\r\n\x00*,@?#\\%")
    assert text.count("/") == 2


@given(st.one_of(st.text(max_size=40), _HOSTS.map("https://{}".format)))
def test_a_guess_would_be_taken(text):
    guess = canonical(text)
    assert guess == "" or canonical(guess) == guess
