import pytest

from ringfence.browser.fetch_metadata import judge_read, same_origin

pytestmark = pytest.mark.anyio

OURS = "https://shop.example"
OTHER_OF_OURS = "https://app.example"
PRODUCTION = same_origin((OURS, OTHER_OF_OURS + "/"), development=False)
DEVELOPMENT = same_origin((), development=True)
UNSAFE = ["POST", "PUT", "PATCH", "DELETE"]


def said(site=None, origin=None):
    headers = {"sec-fetch-site": site, "origin": origin}
    return {name: value for name, value in headers.items() if value is not None}


@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize(
    ("site", "origin", "code"),
    [
        ("same-origin", OURS, None),
        ("same-origin", None, None),
        ("none", None, None),
        (None, OURS, None),
        (None, None, None),  # programs; with a session browser.csrf asks for a token
        ("cross-site", OTHER_OF_OURS, None),
        ("same-site", OTHER_OF_OURS, None),
        ("cross-site", "https://evil.example", "browser.foreign_origin"),
        ("cross-site", None, "browser.cross_site"),
        ("same-site", None, "browser.cross_site"),
        ("same-site", "https://evil.shop.example", "browser.foreign_origin"),
        ("bogus", None, "browser.cross_site"),
        ("", None, "browser.cross_site"),
        (None, "null", "browser.foreign_origin"),
        (None, "", "browser.foreign_origin"),
        (None, "http://shop.example", "browser.foreign_origin"),
        (None, "https://shop.example:8443", "browser.foreign_origin"),
        (None, "https://shop.example.evil.example", "browser.foreign_origin"),
        (None, "https://evilshop.example", "browser.foreign_origin"),
        (None, "https://shop.example/", "browser.foreign_origin"),
        # The two disagree: the stricter wins.
        ("same-origin", "https://evil.example", "browser.foreign_origin"),
        ("none", "https://evil.example", "browser.foreign_origin"),
        ("same-origin", "null", "browser.foreign_origin"),
        ("cross-site", OURS, "browser.cross_site"),
    ],
)
async def test_requests_that_change_something(exchange_of, method, site, origin, code):
    """CSRF: a form on another site posts with the visitor's cookies."""
    denial = await PRODUCTION(exchange_of(method, said(site, origin)))
    assert (denial and denial.code) == code
    assert denial is None or denial.status == 403


@pytest.mark.parametrize(
    ("referer", "passes"),
    [
        (OURS, True),
        (OURS + "/", True),
        (OURS + "/login?next=/", True),
        ("https://SHOP.example/login", True),
        (OTHER_OF_OURS + "/", True),
        ("https://evil.example/", False),
        ("https://evil.example/https://shop.example/", False),
        ("https://shop.example.evil.example/", False),
        ("https://shop.example@evil.example/", False),
        ("http://shop.example/", False),
        ("https://shop.example:8443/", False),
        ("about:blank", False),
        ("", False),
    ],
)
async def test_a_foreign_referer_refuses_where_nothing_else_is_said(
    exchange_of, referer, passes
):
    """Browsers before 2020 sent no Origin with a form, and sign-in has no session yet
    that a token could be bound to."""
    denial = await PRODUCTION(exchange_of("POST", {"referer": referer}))
    assert (denial is None) is passes


async def test_a_referer_counts_for_nothing_beside_what_scripts_cannot_set(exchange_of):
    elsewhere = {"referer": "https://evil.example/", "sec-fetch-site": "same-origin"}
    assert await PRODUCTION(exchange_of("POST", elsewhere)) is None
    from_here = {"referer": OURS, "sec-fetch-site": "cross-site"}
    assert await PRODUCTION(exchange_of("POST", from_here)) is not None


async def test_development_takes_its_own_referer(exchange_of):
    exchange = exchange_of("POST", {"referer": "http://localhost:8000/login"})
    exchange.scheme, exchange.host = "http", "localhost:8000"
    assert await DEVELOPMENT(exchange) is None
    exchange.host = "localhost:8001"
    assert await DEVELOPMENT(exchange) is not None


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_reads_are_not_judged_here(exchange_of, method):
    exchange = exchange_of(method, said("cross-site", "https://evil.example"))
    assert await PRODUCTION(exchange) is None


async def test_production_never_derives_its_origin(exchange_of):
    """Trap 7: who can choose the Host would choose the origin too."""
    stage = same_origin(("https://elsewhere.example",), development=False)
    denial = await stage(exchange_of("POST", said(origin=OURS)))
    assert denial.code == "browser.foreign_origin"


@pytest.mark.parametrize(
    ("origin", "passes"),
    [
        ("http://localhost:8000", True),
        ("http://localhost:8001", False),
        ("https://localhost:8000", False),
        ("http://127.0.0.1:8000", False),
        ("null", False),
    ],
)
async def test_development_compares_with_what_was_asked(exchange_of, origin, passes):
    exchange = exchange_of("POST", said(origin=origin))
    exchange.scheme, exchange.host = "http", "localhost:8000"
    assert (await DEVELOPMENT(exchange) is None) == passes


async def test_development_believes_the_browser_about_its_own_origin(exchange_of):
    exchange = exchange_of("POST", said("cross-site", "http://localhost:8000"))
    exchange.scheme, exchange.host = "http", "localhost:8000"
    assert (await DEVELOPMENT(exchange)).code == "browser.cross_site"


@pytest.mark.parametrize(
    ("origin", "code"),
    [
        (OURS, None),
        (None, None),
        ("https://evil.example", "browser.foreign_origin"),
        ("null", "browser.foreign_origin"),
    ],
)
async def test_web_sockets(exchange_of, origin, code):
    """CSWSH: a script elsewhere opens a socket with the visitor's cookies."""
    exchange = exchange_of(headers=said(origin=origin), kind="websocket")
    denial = await PRODUCTION(exchange)
    assert (denial and denial.code) == code


@pytest.mark.parametrize(
    ("site", "mode", "dest", "origin", "passes"),
    [
        (None, None, None, None, True),
        ("same-origin", "cors", "empty", None, True),
        ("none", "navigate", "document", None, True),
        ("cross-site", "navigate", "document", None, True),
        ("same-site", "navigate", "document", None, True),
        ("cross-site", "navigate", "iframe", None, False),
        ("cross-site", "navigate", "frame", None, False),
        ("cross-site", "navigate", "object", None, False),
        ("cross-site", "navigate", "embed", None, False),
        ("cross-site", "navigate", "fencedframe", None, False),
        ("cross-site", "no-cors", "image", None, False),
        ("cross-site", "no-cors", "script", None, False),
        ("same-site", "no-cors", "image", None, False),
        ("cross-site", "cors", "empty", "https://evil.example", False),
        ("cross-site", "cors", "empty", OTHER_OF_OURS, True),
        ("bogus", None, None, None, False),
    ],
)
def test_resource_isolation(site, mode, dest, origin, passes):
    """Other sites may link to a signed-in answer, but not pull it into their pages."""
    headers = {
        name: value.encode()
        for name, value in {
            b"sec-fetch-site": site,
            b"sec-fetch-mode": mode,
            b"sec-fetch-dest": dest,
            b"origin": origin,
        }.items()
        if value is not None
    }
    ours = frozenset({OURS.encode(), OTHER_OF_OURS.encode()})
    assert (judge_read(headers, ours) is None) == passes
