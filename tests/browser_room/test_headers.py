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
    lines = compile_headers(DEFAULT, secure=True).document
    assert lines[0][0] == b"content-security-policy"
    assert dict(lines[1:]) == {
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
        ({"script-src": "'slef'"}, "write \"'self'\""),
        ({"script-src": "'unsafe-evil'"}, "write \"'unsafe-eval'\""),
        ({"script-src": "'cdn.example'"}, "hosts have no quotes"),
        ({"script-src": "'"}, "closing quote"),
        ({"img-src": "https"}, "write 'https:'"),
        ({"img-src": "https//images.example"}, "write an origin"),
        ({"img-src": "https://images.example/*"}, "write an origin"),
        ({"img-src": "*images.example"}, "write an origin"),
        ({"img-src": '"self"'}, "write an origin"),
        ({"trusted-types": "none"}, "missing its quotes"),
        ({"trusted-types": "'my-policy'"}, "no name of a policy"),
        ({"require-trusted-types-for": "'scripts'"}, "one value only"),
        ({"upgrade-insecure-requests": "1"}, "takes no value"),
        ({"sandbox": "allow-script"}, "did you mean 'allow-scripts'"),
        ({"report-to": "default"}, "'ringfence'"),
        ({"plugin-types": "application/pdf"}, "withdrawn"),
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
        ({"script-src": "HTTPS:"}, "injected scripts"),
        ({"frame-ancestors": "https:"}, "clickjacking"),
        ({"script-src-elem": "data:"}, "injected scripts"),
        ({"script-src": "'self' https://*"}, "injected scripts"),
        ({"script-src": "*:443"}, "injected scripts"),
        ({"default-src": "HTTPS://*:*/"}, "injected scripts"),
        ({"frame-ancestors": "http://*"}, "clickjacking"),
        ({"script-src": "'self' 'nonce-Zm9v'"}, "current.nonce()"),
        ({"style-src": "'NONCE-Zm9v'"}, "current.nonce()"),
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
        ({"hsts_preload": True, "hsts_max_age": 31_535_999}, "31536000 or more"),
        ({"hsts_preload": True, "hsts_subdomains": False}, "hsts_subdomains"),
        ({"frame_options": "deny"}, "'DENY'"),
        (
            {"frame_options": "DENY", "csp": {"frame-ancestors": "'self'"}},
            "contradicts",
        ),
        (
            {"frame_options": "SAMEORIGIN", "csp": {"frame-ancestors": ""}},
            "contradicts",
        ),
        ({"embedder_policy": "required-corp"}, "one of require-corp"),
        ({"report_path": "reports"}, "no plain path"),
        ({"report_path": "/reports; x"}, "no plain path"),
        ({"frame_options": "ALLOW-FROM x"}, "one of"),
        ({"referrer_policy": "no-referrer"}, "Origin: null"),
        ({"referrer_policy": "unsafe-url"}, "one of"),
        ({"opener_policy": "'same-origin'"}, "'same-origin'"),
        ({"resource_policy": "Same-Site"}, "'same-site'"),
        ({"permissions_policy": ("camera",)}, "'camera=()'"),
        ({"permissions_policy": ("camera 'none'",)}, "'camera=()'"),
        ({"permissions_policy": ("Camera=()",)}, "'camera=()'"),
        ({"permissions_policy": ("cammera=()",)}, "did you mean 'camera'"),
        ({"permissions_policy": ("xyzzy=()",)}, "no feature 'xyzzy'"),
        ({"permissions_policy": ("interest-cohort=()",)}, "withdrawn"),
        ({"permissions_policy": ("camera='self'",)}, "'camera=(self)'"),
        ({"permissions_policy": ("camera=none",)}, "'camera=()'"),
        (
            {"permissions_policy": ("camera=(self https://meet.example)",)},
            "'camera=(self \"https://meet.example\")'",
        ),
        ({"permissions_policy": ("usb=()", "usb=(self)")}, "twice"),
        ({"permissions_policy": ("camera=()\r\nx: y",)}, "=()"),
        ({"readable_cookies": frozenset({"a b"})}, "no cookie name"),
        ({"readable_cookies": frozenset({"__Host-session"})}, "is the session"),
        ({"readable_cookies": frozenset({"session-8000"})}, "is the session"),
        ({"readable_cookies": frozenset({"__Host-device"})}, "makes a device known"),
        ({"readable_cookies": frozenset({"device-8000"})}, "makes a device known"),
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
    lines = compile_headers(settings, secure=True).document
    assert dict(lines)[b"strict-transport-security"] == b"max-age=0"


def document(*, secure=True, **fields):
    return dict(compile_headers(BrowserSettings(**fields), secure=secure).document)


def test_a_domain_may_be_preloaded():
    value = document(hsts_preload=True)[b"strict-transport-security"]
    assert value == b"max-age=63072000; includeSubDomains; preload"


@pytest.mark.parametrize(
    ("fields", "ancestors", "option"),
    [
        ({}, "'none'", b"DENY"),
        ({"frame_options": "DENY"}, "'none'", b"DENY"),
        ({"frame_options": "SAMEORIGIN"}, "'self'", b"SAMEORIGIN"),
        ({"csp": {"frame-ancestors": "'self'"}}, "'self'", b"SAMEORIGIN"),
        (
            {"csp": {"frame-ancestors": "https://partner.example"}},
            "https://partner.example",
            None,
        ),
    ],
)
def test_two_headers_about_frames_are_one_opinion(fields, ancestors, option):
    """Browsers that know only the old one do what the new one says. It has no words
    for other origins, and would lock them out."""
    found = document(**fields)
    assert directives(found[b"content-security-policy"])["frame-ancestors"] == ancestors
    assert found.get(b"x-frame-options") == option
    data = dict(compile_headers(BrowserSettings(**fields), secure=True).data)
    assert f"frame-ancestors {ancestors}".encode() in data[b"content-security-policy"]


def test_features_are_merged_over_what_is_denied():
    """Allowing the camera does not allow the microphone."""
    features = ("camera=(self)", 'fullscreen=(self "https://player.example")')
    value = document(permissions_policy=features)[b"permissions-policy"].decode()
    assert "camera=(self), " in value
    assert "microphone=()" in value
    assert value.endswith('fullscreen=(self "https://player.example")')
    assert value.count("camera") == 1


def test_shared_memory_is_asked_for_and_reported():
    assert b"cross-origin-embedder-policy" not in document()
    asked = {"embedder_policy": "require-corp"}
    header = b"cross-origin-embedder-policy"
    assert document(**asked)[header] == b'require-corp; report-to="ringfence"'
    assert document(**asked, secure=False)[header] == b"require-corp"
    assert document(**asked, reports=False)[header] == b"require-corp"


def test_reports_are_asked_for_on_documents_only():
    """Header lines cost; JSON breaks no policy."""
    headers = compile_headers(DEFAULT, secure=True)
    assert b"reporting-endpoints" in dict(headers.document)
    assert b"reporting-endpoints" not in dict(headers.data)
    assert b"report" not in dict(headers.data)[b"content-security-policy"]


def test_plain_http_reports_by_the_old_directive():
    """Browsers send nothing to an endpoint without https, and the old directive only
    where the new one is not there."""
    found = document(secure=False)
    assert b"reporting-endpoints" not in found
    policy = directives(found[b"content-security-policy"])
    assert policy["report-uri"] == "/.well-known/ringfence-reports"
    assert "report-to" not in policy


def test_reports_can_be_off_or_go_elsewhere():
    off = document(reports=False)
    assert b"reporting-endpoints" not in off
    assert b"report" not in off[b"content-security-policy"]
    elsewhere = document(csp={"report-uri": "https://collector.example/r"})
    policy = directives(elsewhere[b"content-security-policy"])
    assert policy["report-uri"] == "https://collector.example/r"
    assert "report-to" not in policy
    moved = document(report_path="/r")
    assert moved[b"reporting-endpoints"] == b'ringfence="/r"'


def test_a_policy_that_only_reports_is_the_same_policy():
    """Dry-run: browsers tell what would break, and break nothing."""
    enforced = compile_headers(DEFAULT, secure=True)
    reported = compile_headers(DEFAULT, secure=True, report_only=True)
    for headers in (reported.document, reported.data, reported.nonced("n")):
        assert b"content-security-policy" not in dict(headers)
    name = b"content-security-policy-report-only"
    before = directives(dict(enforced.document)[b"content-security-policy"])
    del before["upgrade-insecure-requests"]  # browsers complain of it where it is void
    assert directives(dict(reported.document)[name]) == before
    assert b"'nonce-n'" in dict(reported.nonced("n"))[name]
    assert b"report-uri" in dict(reported.data)[name]
    assert reported.document[1:] == enforced.document[1:]


def test_a_policy_that_tells_nobody_is_refused():
    with pytest.raises(SettingsError, match=r"browser\.reports is off"):
        compile_headers(BrowserSettings(reports=False), secure=True, report_only=True)


def test_a_nonce_changes_the_policy_and_nothing_else():
    headers = compile_headers(DEFAULT, secure=True)
    assert headers.nonced("") == headers.document
    assert headers.nonced("n")[1:] == headers.document[1:]
    assert b"'nonce-n'" in headers.nonced("n")[0][1]


@pytest.mark.parametrize(
    "csp",
    [
        {"script-src": "'self' 'sha256-abc=' 'strict-dynamic'"},
        {"script-src": "'self' https://*.cdn.example https://cdn.example:*"},
        {"img-src": "* data: blob: https://*.images.example:8443/path/"},
        {"connect-src": "wss://live.example https://api.example:*"},
        {"sandbox": "allow-scripts allow-forms"},
        {"trusted-types": "'allow-duplicates' dompurify my-policy#1"},
        {"report-to": "ringfence"},
        {"style-src": "'self' 'report-sample' localhost:3000 127.0.0.1"},
    ],
)
def test_honest_directives_pass(csp):
    assert BrowserSettings(csp=csp).csp == csp


def test_a_sandbox_without_a_value_is_the_strictest():
    """Not one that is silently left out, as an empty text is elsewhere."""
    policy = directives(document(csp={"sandbox": ""})[b"content-security-policy"])
    assert policy["sandbox"] == ""
