import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.browser.cookies import harden

READABLE = frozenset({"theme"})


def hardened(value, *, secure=True):
    return harden(value.encode(), secure=secure, readable=READABLE).decode()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a=1", "a=1; Secure; HttpOnly; SameSite=Lax"),
        ("a=1; Path=/", "a=1; Path=/; Secure; HttpOnly; SameSite=Lax"),
        ("a=1;path=/;", "a=1; path=/; Secure; HttpOnly; SameSite=Lax"),
        ("theme=dark", "theme=dark; Secure; SameSite=Lax"),
        ("Theme=dark", "Theme=dark; Secure; HttpOnly; SameSite=Lax"),
        ("a=1; SECURE; HTTPONLY; SAMESITE=STRICT", None),
        ("a=1; secure; httponly; samesite=None", None),
        ("a=1; HttpOnly; SameSite=None", "a=1; HttpOnly; Secure; SameSite=Lax"),
        ("a=1; SameSite=evil", "a=1; Secure; HttpOnly; SameSite=Lax"),
        ("a=1; SameSite", "a=1; Secure; HttpOnly; SameSite=Lax"),
        ("a=1; SameSite=Lax; SameSite=None", "a=1; Secure; HttpOnly; SameSite=Lax"),
        ("__Host-s=1; Path=/; Secure; HttpOnly; SameSite=Lax", None),
        ("a=; Max-Age=0", "a=; Max-Age=0; Secure; HttpOnly; SameSite=Lax"),
        ('a="x', 'a="x; Secure; HttpOnly; SameSite=Lax'),
        # What looks like an attribute within a value is none.
        ("a=httponly", "a=httponly; Secure; HttpOnly; SameSite=Lax"),
        ("httponly=secure", "httponly=secure; Secure; HttpOnly; SameSite=Lax"),
        ('a="1; httponly"', 'a="1; httponly"; Secure; HttpOnly; SameSite=Lax'),
        (
            "a=1; Comment=HttpOnly",
            "a=1; Comment=HttpOnly; Secure; HttpOnly; SameSite=Lax",
        ),
        ("a=1; x-httponly", "a=1; x-httponly; Secure; HttpOnly; SameSite=Lax"),
        ("a=1; samesitex=Lax", "a=1; samesitex=Lax; Secure; HttpOnly; SameSite=Lax"),
    ],
)
def test_what_is_missing_is_added_once(value, expected):
    """A cookie is not stolen by a script, over http, or sent by another site's form."""
    assert hardened(value) == (expected or value)


def test_without_https_secure_is_not_added():
    """Trap 16: browsers drop it there."""
    assert hardened("a=1", secure=False) == "a=1; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize("value", ["a=1\r\nx: y", "a=1\n", "a=\x00", "a=1; \x7f"])
def test_control_characters_are_an_error(value):
    """Response splitting through a cookie."""
    with pytest.raises(ValueError, match="control character"):
        hardened(value)


words = st.sampled_from(
    ["Secure", "HttpOnly", "SameSite=Lax", "SameSite=None", "Path=/", "x", "", "a=b"]
)


@given(st.text("ab=\"' ", max_size=6), st.lists(words, max_size=6), st.booleans())
def test_hardening_twice_changes_nothing(pair, attributes, secure):
    value = "; ".join([f"n={pair}", *attributes])
    once = hardened(value, secure=secure)
    names = [part.partition("=")[0].strip().lower() for part in once.split(";")[1:]]
    assert hardened(once, secure=secure) == once
    assert {"httponly", "samesite"} <= set(names)
    assert ("secure" in names) >= secure
    given_names = [word.partition("=")[0].lower() for word in attributes]
    for name in ("secure", "httponly", "samesite"):
        assert names.count(name) <= max(1, given_names.count(name))
