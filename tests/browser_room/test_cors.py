import pytest
from starlette.responses import PlainTextResponse

from ringfence import Settings, cors
from ringfence.browser.cors import (
    compile_sharing,
    notes_on_middleware,
    share,
    sharing_of,
    tell,
    unsafe_origins,
)
from ringfence.browser.csrf import protect
from ringfence.browser.fetch_metadata import same_origin
from ringfence.browser.settings import BrowserSettings
from ringfence.denial import Answer, Denial
from ringfence.errors import SettingsError
from ringfence.marks import marks_of

pytestmark = pytest.mark.anyio

OURS = "https://shop.example"
APP = "https://app.example"
NAMED = compile_sharing(cors(APP), None)
TRUSTED = compile_sharing(cors(APP, credentials=True), None)
ANYONE = compile_sharing(cors("*"), None)

# What was believed by comparisons that forgave something.
FOREIGN = [
    "null",
    "",
    "http://app.example",
    "https://app.example:8443",
    "https://app.example:443",
    "https://app.example/",
    "https://app.example.evil.example",
    "https://evilapp.example",
    "https://sub.app.example",
    "https://app.example@evil.example",
    "https://appxexample",
    "https://APP.example",
    "https://app.example, https://evil.example",
    "https://app.example https://evil.example",
    "https://app.example`.evil.example",
    "https://app.example\xad",
    "*",
]


def asking(method, origin=APP, **headers):
    return {
        "origin": origin,
        "access-control-request-method": method,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }


async def preflight(exchange_of, sharing, *args, **kwargs):
    exchange = exchange_of("OPTIONS", asking(*args, **kwargs))
    return await share(sharing)(exchange)


async def lines(exchange_of, sharing, method="GET", origin=APP):
    headers = {} if origin is None else {"origin": origin}
    exchange = exchange_of(method, headers)
    assert await share(sharing)(exchange) is None
    return dict(exchange.response_headers)


async def test_an_allowed_origin_may_read(exchange_of):
    exposed = b"ratelimit, ratelimit-policy, retry-after, x-request-id"
    assert await lines(exchange_of, NAMED) == {
        b"access-control-allow-origin": APP.encode(),
        b"access-control-expose-headers": exposed,
        b"vary": b"origin",
    }
    trusted = await lines(exchange_of, TRUSTED)
    assert trusted[b"access-control-allow-credentials"] == b"true"


@pytest.mark.parametrize("origin", [None, *FOREIGN])
@pytest.mark.parametrize("sharing", [NAMED, TRUSTED], ids=["named", "trusted"])
async def test_nobody_else_may(exchange_of, sharing, origin):
    """Nothing is reflected. A cache must still not hand this answer to the others."""
    assert await lines(exchange_of, sharing, origin=origin) == {b"vary": b"origin"}


@pytest.mark.parametrize("origin", [None, "null", APP, "https://evil.example"])
async def test_everybody_gets_the_same_star(exchange_of, origin):
    """No origin in it, so no ``Vary``; and never credentials."""
    found = await lines(exchange_of, ANYONE, origin=origin)
    assert found[b"access-control-allow-origin"] == b"*"
    assert b"access-control-allow-credentials" not in found
    assert b"vary" not in found


async def test_a_preflight_is_answered_with_what_is_allowed(exchange_of):
    rules = cors(APP, credentials=True, headers=("X-One", "x-two"), max_age=60)
    sharing = compile_sharing(rules, frozenset({"PUT", "PATCH", "OPTIONS"}))
    answer = await preflight(exchange_of, sharing, "PUT")
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body) == (204, b"")
    assert dict(answer.headers) == {
        b"access-control-allow-origin": APP.encode(),
        b"access-control-allow-credentials": b"true",
        b"access-control-allow-methods": b"PATCH, PUT",
        b"access-control-allow-headers": b"x-one, x-two",
        b"access-control-max-age": b"60",
        b"vary": (
            b"origin, access-control-request-method, access-control-request-headers"
        ),
    }


@pytest.mark.parametrize(
    "wishes",
    [
        {"access_control_request_headers": "x-evil"},
        {"access_control_request_private_network": "true"},
        {"access_control_request_local_network": "true"},
    ],
)
async def test_a_preflight_reflects_no_wish(exchange_of, wishes):
    """Flask-CORS granted access to private networks by default (CVE-2024-6221)."""
    plain = await preflight(exchange_of, TRUSTED, "PUT")
    assert await preflight(exchange_of, TRUSTED, "PUT", **wishes) == plain
    assert not any(b"private" in name for name, _ in plain.headers)


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("sharing", [NAMED, TRUSTED], ids=["named", "trusted"])
async def test_a_preflight_of_another_origin_is_refused(exchange_of, sharing, origin):
    denial = await preflight(exchange_of, sharing, "PUT", origin)
    assert (denial.status, denial.code) == (403, "browser.cors_origin")
    assert not any(b"access-control" in name for name, _ in denial.headers)
    assert dict(denial.headers)[b"vary"].startswith(b"origin")


async def test_the_ledger_is_told_whose_preflight_it_was(exchange_of):
    """In part: a stranger must not fill it."""
    denial = await preflight(exchange_of, NAMED, "PUT", "https://" + "e" * 5_000)
    assert "https://eee" in denial.private
    assert len(denial.private) < 300


async def test_everybodys_preflight_gets_a_star(exchange_of):
    answer = await preflight(exchange_of, ANYONE, "PUT", "null")
    assert dict(answer.headers)[b"access-control-allow-origin"] == b"*"
    assert b"access-control-allow-credentials" not in dict(answer.headers)


async def test_methods_can_be_kept_back(exchange_of):
    """POST is sent without asking, so its answer must stay unread as well."""
    sharing = compile_sharing(cors(APP, methods=("GET",)), frozenset({"GET", "POST"}))
    denial = await preflight(exchange_of, sharing, "POST")
    assert (denial.status, denial.code) == (403, "browser.cors_method")
    assert isinstance(await preflight(exchange_of, sharing, "HEAD"), Denial)
    assert await lines(exchange_of, sharing, "POST") == {}
    assert b"access-control-allow-origin" in await lines(exchange_of, sharing)


async def test_a_head_tells_no_more_than_its_get(exchange_of):
    sharing = compile_sharing(cors("*", methods=("GET",)), frozenset({"GET", "HEAD"}))
    assert isinstance(await preflight(exchange_of, sharing, "HEAD"), Answer)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": APP},
        {"access-control-request-method": "PUT"},
        asking("put"),
        asking("WEBSOCKET"),
        asking("OPTIONS"),
        asking("TRACE"),
        asking(""),
        {},
    ],
)
async def test_another_options_is_no_preflight(exchange_of, headers):
    """It goes on to the application, and is nobody else's to read."""
    exchange = exchange_of("OPTIONS", headers)
    assert await share(TRUSTED)(exchange) is None
    assert exchange.response_headers == []


async def test_what_the_framework_answers_is_readable(exchange_of):
    """405 and redirects; but a preflight gets no leave there."""
    exchange = exchange_of("GET", {"origin": APP})
    assert await tell(NAMED)(exchange) is None
    assert (b"vary", b"origin") in exchange.response_headers
    exchange = exchange_of("OPTIONS", asking("DELETE"))
    assert await tell(NAMED)(exchange) is None
    assert exchange.response_headers == []


# --- who may change something ---------------------------------------------------------


JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
CROSS = {"origin": APP, "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}


async def judged(exchange_of, sharing, method="POST", kind="http", **headers):
    stage = same_origin((OURS,), development=False, sharing=sharing)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return await stage(exchange_of(method, CROSS | headers, kind=kind))


@pytest.mark.parametrize("headers", [JSON, FORM, FORM | {"cookie": "session=1"}, {}])
async def test_a_trusted_origin_counts_as_ours(exchange_of, headers):
    assert await judged(exchange_of, TRUSTED, **headers) is None
    assert (await judged(exchange_of, None, **headers)).code == "browser.foreign_origin"


@pytest.mark.parametrize("origin", FOREIGN)
async def test_and_nobody_else_does(exchange_of, origin):
    denial = await judged(exchange_of, TRUSTED, origin=origin)
    assert denial.code == "browser.foreign_origin"


@pytest.mark.parametrize("sharing", [NAMED, ANYONE], ids=["named", "anyone"])
@pytest.mark.parametrize(
    ("method", "headers", "passes"),
    [
        ("POST", JSON, True),
        ("POST", {"content-type": "application/json; charset=utf-8"}, True),
        ("PUT", {}, True),
        ("DELETE", FORM, True),
        ("POST", FORM | {"authorization": "Bearer x"}, True),
        ("POST", FORM | {"authorization": "DPoP x"}, True),
        # What a form could have sent, or a script with cookies unasked.
        ("POST", {}, False),
        ("POST", FORM, False),
        ("POST", {"content-type": "multipart/form-data; boundary=x"}, False),
        ("POST", {"content-type": "text/plain"}, False),
        ("POST", {"content-type": " Text/Plain ; application/json"}, False),
        ("POST", FORM | {"authorization": "Basic eDp5"}, False),
        ("POST", FORM | {"authorization": "Negotiate x"}, False),
        # What came with cookies was not sent as we told the browser to.
        ("POST", JSON | {"cookie": "session=1"}, False),
        ("PUT", {"cookie": "theme=dark"}, False),
    ],
)
async def test_without_credentials_only_what_was_asked_for(
    exchange_of, sharing, method, headers, passes
):
    """A site without leave to send cookies cannot forge: neither a sign-in nor what a
    session may do."""
    denial = await judged(exchange_of, sharing, method, **headers)
    assert (denial is None) is passes


async def test_an_origin_that_is_not_named_sends_nothing(exchange_of):
    denial = await judged(exchange_of, NAMED, origin="https://evil.example", **JSON)
    assert denial.code == "browser.foreign_origin"


async def test_a_method_that_is_kept_back_stays_so(exchange_of):
    sharing = compile_sharing(cors(APP, credentials=True, methods=("GET",)), None)
    assert await judged(exchange_of, sharing, **JSON) is not None


@pytest.mark.parametrize(
    ("sharing", "cookie", "passes"),
    [
        (TRUSTED, {"cookie": "session=1"}, True),
        (NAMED, {}, True),
        (NAMED, {"cookie": "session=1"}, False),
        (ANYONE, {}, True),
        (ANYONE, {"cookie": "session=1"}, False),
        (None, {}, False),
    ],
)
async def test_web_sockets_of_other_origins(exchange_of, sharing, cookie, passes):
    """A handshake has no preflight and always brings its cookies (CSWSH)."""
    denial = await judged(exchange_of, sharing, kind="websocket", **cookie)
    assert (denial is None) is passes


@pytest.mark.parametrize(
    ("sharing", "origin", "passes"),
    [
        (TRUSTED, APP, True),
        (TRUSTED, "https://evil.example", False),
        (NAMED, APP, False),
        (ANYONE, APP, False),
        (None, APP, False),
    ],
)
async def test_signed_in_answers_for_other_origins(
    exchange_of, session, sharing, origin, passes
):
    """Only an origin that may send cookies reads what they open."""
    stage = protect(lambda: (b"k" * 32,), public_origins=(OURS,), sharing=sharing)
    headers = CROSS | {"origin": origin}
    denial = await stage(exchange_of("GET", headers, session=session))
    assert (denial is None) is passes


# --- what is refused at start-up ------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: cors("*", credentials=True), "name the origins"),
        (lambda: cors("*", APP), "everybody already"),
        (lambda: cors("null"), "sandboxed"),
        (lambda: cors("https://*.example"), "in full"),
        (lambda: cors(APP + "/"), f"write '{APP}'"),
        (lambda: cors(APP, methods=("get",)), "write 'GET'"),
        (lambda: cors(APP, methods=("*",)), "none of DELETE"),
        (lambda: cors(APP, methods=("OPTIONS",)), "none of DELETE"),
        (lambda: cors(APP, headers=("*",)), "in full"),
        (lambda: cors(APP, headers=("x one",)), "in full"),
        (lambda: cors(APP, headers=("a\r\nb",)), "in full"),
        (lambda: cors(APP, exposed_headers=("*",)), "in full"),
        (lambda: cors(APP, max_age=-1), "seconds"),
        (lambda: cors(APP, max_age=1_000_000), "86400"),
    ],
)
def test_a_wrong_mark_stops_the_import(make, fault):
    """Guard-core takes ``*`` with credentials; its own example does so."""
    with pytest.raises(SettingsError, match=r"^cors: ") as caught:
        make()
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"cors_origins": ("*",), "cors_credentials": True},
        {"cors_origins": ("https://app.example/",)},
        {"cors_methods": ("get",)},
        {"cors_headers": ("*",)},
        {"cors_exposed_headers": ("*",)},
        {"cors_max_age": -1},
    ],
)
def test_a_wrong_setting_is_named(wrong):
    with pytest.raises(SettingsError, match=f"^browser.{next(iter(wrong))}: "):
        BrowserSettings(**wrong)


@pytest.mark.parametrize(
    ("origin", "development", "fault"),
    [
        ("http://app.example", False, "write https://app.example"),
        ("http://localhost:3000", False, "over http"),
        ("http://localhost:3000", True, ""),
        (OURS, False, "need no leave"),
        (OURS, True, "need no leave"),
        (APP, False, ""),
        ("*", False, ""),
    ],
)
def test_what_depends_on_where_it_runs(origin, development, fault):
    rules = cors(origin)
    found = [*unsafe_origins(rules, (OURS + "/",), development=development)]
    assert len(found) == bool(fault)
    assert fault in "".join(found)
    if fault:
        with pytest.raises(SettingsError):
            sharing_of(
                [rules],
                None,
                usual=cors(),
                public_origins=(OURS,),
                development=development,
            )


def test_two_public_origins_are_other_origins_to_each_other():
    both = (OURS, "https://admin.shop.example")
    assert not [*unsafe_origins(cors(*both), both, development=False)]


def test_the_innermost_mark_counts_instead_of_the_settings():
    everybody, nobody = cors("*"), cors()
    usual = BrowserSettings(cors_origins=(APP,)).cors
    assert sharing_of((), None, usual=usual).origins.keys() == {APP.encode()}
    assert sharing_of([everybody], None, usual=usual).anyone
    assert sharing_of([everybody, nobody], None, usual=usual) is None
    assert sharing_of((), None, usual=BrowserSettings().cors) is None


def test_it_is_read_from_the_environment():
    environ = {
        "RINGFENCE_BROWSER_CORS_ORIGINS": f"{APP}, https://b.example",
        "RINGFENCE_BROWSER_CORS_CREDENTIALS": "yes",
        "RINGFENCE_BROWSER_CORS_METHODS": "GET",
        "RINGFENCE_BROWSER_CORS_HEADERS": "",
        "RINGFENCE_BROWSER_CORS_MAX_AGE": "0",
    }
    rules = Settings.load(environ=environ).browser.cors
    assert rules == cors(
        APP,
        "https://b.example",
        credentials=True,
        methods=("GET",),
        headers=(),
        max_age=0,
    )


def test_it_is_a_mark():
    @cors("*")
    async def prices(request):
        return PlainTextResponse("")

    assert marks_of(prices) == (cors("*"),)


def test_a_middleware_that_has_no_say_is_told():
    (note,) = notes_on_middleware(["GZipMiddleware", "CORSMiddleware"])
    assert "RINGFENCE_BROWSER_CORS_ORIGINS" in note
    assert not [*notes_on_middleware(["GZipMiddleware"])]
