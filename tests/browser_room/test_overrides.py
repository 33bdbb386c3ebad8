import pytest

from ringfence.browser.overrides import HeaderMaker, headers
from ringfence.browser.settings import BrowserSettings
from ringfence.errors import PlanError, SettingsError
from ringfence.marks import Mark, marks_of

PUBLIC = {"is_public": True, "where": "GET /x handler (app.py:1)"}
CSP = b"content-security-policy"


def made(*marks, settings=None, secure=True, **kwargs):
    maker = HeaderMaker(settings or BrowserSettings(), secure=secure)
    return maker.of(marks, **{**PUBLIC, **kwargs})


def policy(route):
    pairs = (part.split(" ", 1) for part in route.document[0][1].decode().split("; "))
    return {pair[0]: pair[1] if len(pair) == 2 else "" for pair in pairs}


def test_without_a_mark_everything_is_shared():
    """A thousand routes hold one set of headers."""
    maker = HeaderMaker(BrowserSettings(), secure=True)
    assert maker.of((Mark(),), **PUBLIC) is maker.usual
    assert maker.usual.overrides == {}
    assert maker.usual.caching is None


def test_it_is_an_ordinary_mark():
    mark = headers(frame_options="SAMEORIGIN")

    @mark
    async def handler():
        """Do nothing."""

    assert marks_of(handler) == (mark,)


def test_what_differs_is_merged_with_the_settings():
    settings = BrowserSettings(csp={"font-src": "https://fonts.example"})
    route = made(
        headers(
            csp={"img-src": "'self' https://images.example"},
            frame_options="SAMEORIGIN",
            referrer_policy="strict-origin",
            opener_policy="same-origin-allow-popups",
            embedder_policy="credentialless",
            resource_policy="cross-origin",
            permissions_policy=["camera=(self)"],
        ),
        settings=settings,
    )
    found = dict(route.document)
    assert policy(route)["img-src"] == "'self' https://images.example"
    assert policy(route)["font-src"] == "https://fonts.example"
    assert policy(route)["frame-ancestors"] == "'self'"
    assert found[b"x-frame-options"] == b"SAMEORIGIN"
    assert found[b"referrer-policy"] == b"strict-origin"
    assert found[b"cross-origin-opener-policy"] == b"same-origin-allow-popups"
    assert found[b"cross-origin-embedder-policy"].startswith(b"credentialless")
    assert found[b"cross-origin-resource-policy"] == b"cross-origin"
    assert b"camera=(self)" in found[b"permissions-policy"]
    assert b"microphone=()" in found[b"permissions-policy"]
    assert dict(route.data)[b"cross-origin-resource-policy"] == b"cross-origin"
    assert b"img-src 'self' https://images.example" in route.nonced("n")[0][1]
    assert route.overrides == {
        "csp frame-ancestors": "'self'",
        "csp img-src": "'self' https://images.example",
        "referrer_policy": "strict-origin",
        "opener_policy": "same-origin-allow-popups",
        "embedder_policy": "credentialless",
        "resource_policy": "cross-origin",
        "permissions_policy camera": "(self)",
    }


def test_only_what_differs_is_shown():
    """A review reads the differences; what says the same as the settings is none."""
    route = made(
        headers(
            csp={"img-src": "'self' data:"},
            frame_options="DENY",
            resource_policy="same-origin",
            permissions_policy=["usb=()"],
        )
    )
    assert route.overrides == {}


def test_the_mark_nearest_to_the_handler_counts():
    route = made(
        headers(
            csp={"img-src": "'none'", "font-src": "'none'"},
            resource_policy="same-site",
            permissions_policy=["camera=(self)", "usb=(self)"],
            cache="no-store",
        ),
        headers(
            csp={"img-src": "'self'"},
            resource_policy="cross-origin",
            permissions_policy=["camera=()"],
        ),
    )
    assert policy(route)["img-src"] == "'self'"
    assert policy(route)["font-src"] == "'none'"
    assert dict(route.document)[b"cross-origin-resource-policy"] == b"cross-origin"
    assert b"camera=(), " in dict(route.document)[b"permissions-policy"]
    assert b"usb=(self)" in dict(route.document)[b"permissions-policy"]
    assert route.caching == ((b"cache-control", b"no-store"),) * 2


def test_frames_may_be_forbidden_where_the_settings_allow_them():
    settings = BrowserSettings(csp={"frame-ancestors": "https://partner.example"})
    route = made(headers(frame_options="DENY"), settings=settings)
    assert policy(route)["frame-ancestors"] == "'none'"
    assert dict(route.document)[b"x-frame-options"] == b"DENY"


LOOSER = [
    ({"script-src": "'self' 'unsafe-inline'"}, "script-src 'unsafe-inline'"),
    ({"script-src": "'self' 'unsafe-eval'"}, "script-src 'unsafe-eval'"),
    ({"script-src": "*"}, "script-src *"),
    ({"script-src": "https:"}, "script-src https:"),
    ({"script-src": "https://*"}, "script-src https://*"),
    ({"style-src": "https:"}, "style-src https:"),
    ({"form-action": "https://*"}, "form-action https://*"),
    ({"base-uri": "*:443"}, "base-uri *:443"),
    ({"script-src-elem": "data:"}, "script-src-elem data:"),
    ({"script-src-attr": "'unsafe-hashes'"}, "script-src-attr 'unsafe-hashes'"),
    ({"script-src": "", "default-src": "*"}, "script-src *"),
    ({"script-src": "", "default-src": ""}, "no script-src"),
    ({"object-src": "*"}, "object-src *"),
    ({"style-src": "'unsafe-inline'"}, "style-src 'unsafe-inline'"),
    ({"style-src-elem": "'unsafe-inline'"}, "style-src-elem 'unsafe-inline'"),
    ({"base-uri": ""}, "no base-uri"),
    ({"form-action": "*"}, "form-action *"),
    ({"frame-ancestors": "*"}, "frame-ancestors *"),
    ({"frame-ancestors": "'self' https://a.example"}, "https://a.example"),
    ({"frame-ancestors": ""}, "no frame-ancestors"),
    ({"require-trusted-types-for": ""}, "no require-trusted-types-for"),
]


@pytest.mark.parametrize(("csp", "looser"), LOOSER)
def test_taking_protection_away_needs_a_reason(csp, looser):
    """It is never a line that looks like any other, and the plan shows it."""
    with pytest.raises(SettingsError, match="because=") as caught:
        headers(csp=csp)
    assert looser in str(caught.value)
    with pytest.raises(SettingsError, match="because="):
        headers(csp=csp, because=" ")
    route = made(headers(csp=csp, because="the old editor"))
    assert looser in route.overrides["looser"]
    assert route.overrides["because"] == "the old editor"


@pytest.mark.parametrize(
    "csp",
    [
        {"script-src": "'self' https://cdn.example"},
        {"script-src": ""},
        {"img-src": "*"},
        {"connect-src": "https://api.example"},
        {"frame-ancestors": "'self'"},
        {"form-action": "'self' https://pay.example"},
        {"sandbox": "allow-forms"},
        {"trusted-types": "dompurify"},
    ],
)
def test_other_differences_need_none(csp):
    assert "looser" not in made(headers(csp=csp)).overrides


def test_what_the_settings_allow_already_is_nothing_looser():
    settings = BrowserSettings(csp={"require-trusted-types-for": ""})
    route = made(
        headers(csp={"require-trusted-types-for": ""}, because="htmx"),
        settings=settings,
    )
    assert route.overrides == {}


def test_what_is_looser_only_beside_these_settings_needs_a_reason_too():
    """The settings cannot be seen where the mark is written."""
    settings = BrowserSettings(csp={"default-src": "blob:"})
    with pytest.raises(PlanError, match=r"GET /x handler .*script-src blob:.*because="):
        made(headers(csp={"script-src": ""}), settings=settings)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"csp": {"img_src": "'self'"}}, "'img-src'"),
        ({"csp": {"img-src": "self"}}, "\"'self'\""),
        ({"frame_options": "sameorigin"}, "'SAMEORIGIN'"),
        (
            {"frame_options": "DENY", "csp": {"frame-ancestors": "'self'"}},
            "contradicts",
        ),
        ({"referrer_policy": "no-referrer"}, "Origin: null"),
        ({"opener_policy": "unsafe-none"}, "one of"),
        ({"resource_policy": "crossorigin"}, "one of"),
        ({"permissions_policy": ["cammera=()"]}, "'camera'"),
        ({"cache": "nostore"}, "'no-store'"),
        ({"cache": "public"}, "max-age=60"),
        ({"cache": "no-store\r\nx: y"}, "'no-store'"),
    ],
)
def test_wrong_values_stop_the_import(fields, words):
    """The mark checks itself where it is written."""
    with pytest.raises(SettingsError) as caught:
        headers(**fields, because="so that only the value is wrong")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "cache",
    ["no-store", "private, no-cache", "private, max-age=60", "private, max-age=0"],
)
def test_caching_for_everybody_and_for_one_reader_is_the_same(cache):
    line = (b"cache-control", cache.encode())
    route = made(headers(cache=cache), is_public=False)
    assert route.caching == (line, line)
    assert route.overrides == {"cache": cache}


def test_an_answer_for_one_reader_is_never_public():
    route = made(headers(cache="public, max-age=31536000, immutable"))
    everybody, one_reader = route.caching
    assert everybody[1] == b"public, max-age=31536000, immutable"
    assert one_reader[1] == b"private, no-cache"


def test_public_caching_is_for_public_routes():
    """A shared cache would hand out what the policy refuses (CWE-525)."""
    with pytest.raises(PlanError, match=r"GET /x handler .*not everybody"):
        made(headers(cache="public, max-age=60"), is_public=False)


def test_a_dry_run_holds_for_overrides_too():
    strict = HeaderMaker(BrowserSettings(), secure=True)
    maker = strict.reporting()
    assert maker.later is strict
    route = maker.of((headers(frame_options="SAMEORIGIN"),), **PUBLIC)
    assert route.document[0][0] == b"content-security-policy-report-only"
    assert route.nonced("n")[0][0] == b"content-security-policy-report-only"


def test_what_is_taken_out_or_has_no_value_is_named_so():
    taken = made(headers(csp={"style-src": "", "sandbox": ""})).overrides
    assert taken == {"csp style-src": "(taken out)", "csp sandbox": "(no value)"}
