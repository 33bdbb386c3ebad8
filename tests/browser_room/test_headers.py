import pytest

from ringfence.browser.csp import compile_policy
from ringfence.browser.headers import compile_headers
from ringfence.browser.settings import BrowserSettings
from ringfence.errors import SettingsError

DEFAULT = BrowserSettings()


def directives(policy):
    pairs = (part.split(" ", 1) for part in policy.decode().split("; "))
    return {pair[0]: pair[1] if len(pair) == 2 else "" for pair in pairs}


def test_documents_get_the_modern_set():
    """The guide's four, and what has come since."""
    document = compile_headers(DEFAULT, secure=True).document
    assert document[0][0] == b"content-security-policy"
    assert dict(document[1:]) == {
        b"reporting-endpoints": b'ringfence="/.well-known/ringfence-reports"',
        b"x-content-type-options": b"nosniff",
        b"x-frame-options": b"DENY",
        b"referrer-policy": b"same-origin",
        b"permissions-policy": (
            b"accelerometer=(), camera=(), display-capture=(), geolocation=(), "
            b"gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), usb=()"
        ),
        b"cross-origin-opener-policy": b"same-origin",
        b"cross-origin-resource-policy": b"same-origin",
        b"strict-transport-security": b"max-age=63072000; includeSubDomains",
    }


def test_data_gets_only_what_does_something_for_it():
    data = compile_headers(DEFAULT, secure=True).data
    assert dict(data) == {
        b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
        b"x-content-type-options": b"nosniff",
        b"cross-origin-resource-policy": b"same-origin",
        b"strict-transport-security": b"max-age=63072000; includeSubDomains",
    }


def test_plain_http_says_nothing_about_https():
    for headers in compile_headers(DEFAULT, secure=False)[:2]:
        assert b"strict-transport-security" not in dict(headers)
        assert b"upgrade-insecure-requests" not in headers[0][1]


def test_the_withdrawn_filter_is_not_switched_on():
    """Pitfall 16: X-XSS-Protection was itself an attack."""
    for headers in compile_headers(DEFAULT, secure=True)[:2]:
        assert b"x-xss-protection" not in dict(headers)


def test_the_policy_is_strict():
    assert directives(compile_policy(DEFAULT, secure=True)("")) == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": "'self'",
        "media-src": "'self'",
        "manifest-src": "'self'",
        "worker-src": "'self'",
        "object-src": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
        "upgrade-insecure-requests": "",
        "report-uri": "/.well-known/ringfence-reports",
        "report-to": "ringfence",
    }


def test_a_nonce_goes_to_scripts_and_styles_only():
    policy = directives(compile_policy(DEFAULT, secure=False)("abc"))
    assert policy["script-src"] == policy["style-src"] == "'self' 'nonce-abc'"
    assert sum("nonce" in value for value in policy.values()) == 2


def test_without_a_nonce_the_same_bytes_are_sent():
    policy = compile_policy(DEFAULT, secure=False)
    assert policy("") is policy("")
    assert b"nonce" not in policy("")


def test_directives_can_be_changed_added_and_taken_out():
    settings = BrowserSettings(
        csp={"img-src": "'self' https://images.example", "trusted-types": ""}
    )
    policy = directives(
        compile_policy(
            settings,
            secure=False,
            directives={"script-src": "'none'"},
        )("n")
    )
    assert policy["img-src"] == "'self' https://images.example"
    assert "trusted-types" not in policy
    assert policy["script-src"] == "'nonce-n'"


@pytest.mark.parametrize(
    ("csp", "words"),
    [
        ({"img-src": "self"}, "\"'self'\""),
        ({"img-src": "NONE"}, "\"'none'\""),
        ({"script-src": "nonce-abc"}, "missing its quotes"),
        ({"script-src": "sha256-abc="}, "missing its quotes"),
        ({"img-src": "'self"}, "closing quote"),
        ({"img_src": "'self'"}, "'img-src'"),
        ({"imgsrc": "'self'"}, "'img-src'"),
        ({"Img-Src": "'self'"}, "'img-src'"),
        ({"xyz": "'self'"}, "no directive 'xyz'"),
        ({"img-src": "'self'; script-src *"}, "its own entry"),
        ({"img-src": "a.example, b.example"}, "its own entry"),
        ({"img-src": "'self'\r\nx: y"}, "line break"),
        ({"img-src": "bücher.example"}, "xn--"),
        ({"img-src": "'none' 'self'"}, "stand alone"),
        ({"script-src": "'self' 'unsafe-inline'"}, "current.nonce()"),
        ({"default-src": "*"}, "injected scripts"),
        ({"script-src-elem": "data:"}, "injected scripts"),
    ],
)
def test_wrong_directives_stop_the_start_up(csp, words):
    """Browsers would ignore them in silence; the message guesses the mistake."""
    with pytest.raises(SettingsError, match=r"browser\.csp") as caught:
        BrowserSettings(csp=csp)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"hsts_max_age": 365}, "in seconds"),
        ({"hsts_max_age": -1}, "in seconds"),
        ({"frame_options": "deny"}, "'DENY'"),
        ({"frame_options": "ALLOW-FROM x"}, "one of"),
        ({"referrer_policy": "no-referrer"}, "Origin: null"),
        ({"referrer_policy": "unsafe-url"}, "one of"),
        ({"opener_policy": "'same-origin'"}, "'same-origin'"),
        ({"resource_policy": "Same-Site"}, "'same-site'"),
        ({"permissions_policy": ("camera",)}, "'camera=()'"),
        ({"permissions_policy": ("camera 'none'",)}, "=()"),
        ({"permissions_policy": ("camera=()\r\nx: y",)}, "=()"),
        ({"readable_cookies": frozenset({"a b"})}, "no cookie name"),
        ({"readable_cookies": frozenset({"__Host-session"})}, "is the session"),
        ({"readable_cookies": frozenset({"session-8000"})}, "is the session"),
    ],
)
def test_wrong_settings_stop_the_start_up(fields, words):
    with pytest.raises(SettingsError, match=r"browser\.") as caught:
        BrowserSettings(**fields)
    assert words in str(caught.value)


def test_cookies_can_be_left_readable():
    assert BrowserSettings(readable_cookies=frozenset({"theme"})).readable_cookies


def test_transport_security_can_be_withdrawn():
    settings = BrowserSettings(hsts_max_age=0, hsts_subdomains=False)
    document = compile_headers(settings, secure=True).document
    assert dict(document)[b"strict-transport-security"] == b"max-age=0"
