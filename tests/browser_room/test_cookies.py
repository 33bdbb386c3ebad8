import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.browser.cookies import Hardener, describe_change, harden

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
        # A name that promises what browsers demand of it.
        ("__Host-s=1", "__Host-s=1; Path=/; Secure; HttpOnly; SameSite=Lax"),
        (
            "__Host-s=1; Domain=shop.example; Path=/app; Secure; HttpOnly",
            "__Host-s=1; Secure; HttpOnly; Path=/; SameSite=Lax",
        ),
        ("__HOST-s=1; Path=/x", "__HOST-s=1; Path=/; Secure; HttpOnly; SameSite=Lax"),
        ("__Secure-s=1", "__Secure-s=1; Secure; HttpOnly; SameSite=Lax"),
        ("__Http-s=1", "__Http-s=1; Secure; HttpOnly; SameSite=Lax"),
        ("__Host-", "__Host-; Path=/; Secure; HttpOnly; SameSite=Lax"),
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
    assert hardened("__Host-a=1; Path=/x", secure=False) == (
        "__Host-a=1; Path=/x; HttpOnly; SameSite=Lax"
    )


def test_a_name_for_servers_only_is_never_readable():
    """The prefix says so; browsers drop the cookie otherwise."""
    value = harden(b"__Http-t=1", secure=True, readable=frozenset({"__Http-t"}))
    assert b"HttpOnly" in value


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


def test_a_developer_is_told_once_what_was_left_out():
    told = []
    harden_all = Hardener(secure=True, readable=READABLE, tell=told.append)
    assert harden_all(b"cart=7; Path=/") == (
        b"cart=7; Path=/; Secure; HttpOnly; SameSite=Lax"
    )
    harden_all(b"cart=8; Path=/")
    harden_all(b"theme=dark; Secure; SameSite=Lax")
    (sentence,) = told
    assert sentence == (
        "the cookie 'cart' leaves with Secure, HttpOnly, SameSite=Lax; write them "
        "where the cookie is set, or name it in browser.readable_cookies if scripts "
        "must read it"
    )


def test_what_a_cookie_loses_is_told_too():
    value = b"__Host-s=1; Domain=shop.example; Path=/; HttpOnly; SameSite=None"
    changed = harden(value, secure=True, readable=READABLE)
    assert describe_change(value, changed) == (
        "the cookie '__Host-s' leaves with Secure, SameSite=Lax, without "
        "Domain=shop.example, SameSite=None; write them where the cookie is set"
    )


def test_the_value_of_a_cookie_is_not_told():
    """It may be a secret, and the log is read by many."""
    told = []
    Hardener(secure=True, readable=READABLE, tell=told.append)(b"t=s3cret")
    assert "s3cret" not in told[0]


def test_made_up_names_fill_no_memory():
    told = []
    harden_all = Hardener(secure=True, readable=READABLE, tell=told.append)
    for number in range(150):
        harden_all(b"c%d=1" % number)
    assert len(told) == 100


def test_nobody_is_told_in_production():
    assert Hardener(secure=True, readable=READABLE)(b"a=1").endswith(b"SameSite=Lax")
