"""What only production shows: Secure cookies, HSTS, proxies (guide: "Secure Cookie
Configuration", "Security Headers"; CWE-614, CWE-319, CWE-348)."""

import pytest
from httpx2 import ASGITransport, AsyncClient
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from tests.attacks.serving import lifespan

from ringfence import Guard, Settings, access
from ringfence.secrets.keyring import Keyring

pytestmark = pytest.mark.anyio

SHOP = "https://shop.example.com"
ACCOUNT = {"email": "alice@example.com", "password": "a long pass phrase"}
CLIENT = ("198.51.100.7", 4711)


async def cookie(request):
    response = PlainTextResponse("here you are")
    response.headers["set-cookie"] = "basket=1"
    return response


async def where(request):
    host = request.headers.get("x-forwarded-for", "")
    return JSONResponse([request.client.host, request.url.scheme, host])


async def crash(request):
    message = f"SELECT * FROM users -- {request.url}"
    raise RuntimeError(message)


def application():
    routes = [Route("/", cookie), Route("/where", where), Route("/crash", crash)]
    return Starlette(routes=access.routes(routes, access.public))


@pytest.fixture
async def shop(tmp_path):
    """A guarded application in production, and a browser far away."""
    keys = tmp_path / "keys"
    Keyring(keys, create=True).open()
    settings = Settings.load(
        environ={},
        data=tmp_path,
        keys_file=keys,
        public_origins=(SHOP,),
        proxies=("none",),
    )
    guard = Guard(application(), settings)
    transport = ASGITransport(guard, client=CLIENT)
    async with (
        lifespan(guard) as reason,
        AsyncClient(transport=transport, base_url=SHOP) as client,
    ):
        assert reason == ""
        yield client


async def test_the_session_cookie_is_bound_to_host_and_https(shop):
    """No sibling domain plants it (``__Host-``), nobody on the way reads it."""
    await shop.post("/auth/register", json=ACCOUNT)
    answer = await shop.post("/auth/login", json=ACCOUNT)
    session, device = answer.headers.get_list("set-cookie")
    assert session.startswith("__Host-session=")
    assert device.startswith("__Host-device=")
    for cookie in (session, device):
        for attribute in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
            assert attribute in cookie
        assert "Domain" not in cookie
    assert (await shop.get("/auth/me")).json()["email"] == ACCOUNT["email"]


async def test_the_development_cookie_is_never_read(shop):
    """A cookie under another name is no session, though its token be good."""
    await shop.post("/auth/register", json=ACCOUNT)
    await shop.post("/auth/login", json=ACCOUNT)
    token = shop.cookies["__Host-session"]
    shop.cookies.clear()
    for name in ("session-8000", "session", "Session", "__Secure-session"):
        headers = {"cookie": f"{name}={token}"}
        assert (await shop.get("/auth/me", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    "smuggled",
    [
        b"\xa0__Host-session=%s",
        b"\x85__Host-session=%s",
        b"\xe2\x80\x80__Host-session=%s",
        b"\x0b__Host-session=%s",
        b"$Version=1; $__Host-session=%s",
        b'x="; __Host-session=%s; y="',
        b"__host-session=%s",
        b"=__Host-session=%s",
    ],
)
async def test_the_prefix_cannot_be_smuggled(shop, smuggled):
    """A name that a sibling domain may set is not taken for the real one by stripping
    or quoting (the ``__Host-`` prefix protects nothing then)."""
    await shop.post("/auth/register", json=ACCOUNT)
    await shop.post("/auth/login", json=ACCOUNT)
    token = shop.cookies["__Host-session"].encode()
    shop.cookies.clear()
    headers = [(b"cookie", smuggled % token)]
    answer = await shop.get("/auth/me", headers=headers)
    quoted = b'"' in smuggled  # RFC 6265 knows no quotes: that is a plain cookie
    assert answer.status_code in ({200} if quoted else {400, 401})


async def test_two_session_cookies_are_refused(shop):
    """Nobody can tell which of the two was planted."""
    await shop.post("/auth/register", json=ACCOUNT)
    await shop.post("/auth/login", json=ACCOUNT)
    token = shop.cookies["__Host-session"]
    shop.cookies.clear()
    both = f"__Host-session={token}; __Host-session=planted"
    for header in (both, both.replace(token, "x").replace("planted", token)):
        answer = await shop.get("/auth/me", headers={"cookie": header})
        assert answer.status_code == 400
    lines = [("cookie", pair) for pair in both.split("; ")]  # as HTTP/2 splits them
    assert (await shop.get("/auth/me", headers=lines)).status_code == 400
    lines[1] = ("cookie", "basket=1")
    assert (await shop.get("/auth/me", headers=lines)).status_code == 200


async def test_two_credentials_are_refused(shop):
    """Nobody chooses which of cookie and token is believed."""
    await shop.post("/auth/register", json=ACCOUNT)
    await shop.post("/auth/login", json=ACCOUNT)
    headers = {"authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}
    assert (await shop.get("/auth/me", headers=headers)).status_code == 400


async def test_no_other_origin_is_let_in_by_a_preflight(shop):
    """No CORS header invites another origin, least of all with credentials."""
    headers = {
        "origin": "https://evil.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-csrf-token",
    }
    for path in ("/", "/auth/login", "/auth/me"):
        for ask in (shop.options, shop.get):
            answer = await ask(path, headers=headers)
            allowed = [name for name in answer.headers if "access-control" in name]
            assert allowed == []


async def test_the_apps_own_cookie_becomes_secure(shop):
    (basket,) = (await shop.get("/")).headers.get_list("set-cookie")
    for attribute in ("Secure", "HttpOnly", "SameSite=Lax"):
        assert attribute in basket


async def test_browsers_stay_with_https(shop):
    """HSTS on every answer, for at least a year (ASVS 5.0 V3.4.1)."""
    for path in ("/", "/nothing", "/crash"):
        policy = (await shop.get(path)).headers["strict-transport-security"]
        assert int(policy.split("max-age=")[1].split(";")[0]) >= 31_536_000


async def test_a_crash_tells_nothing(shop):
    answer = await shop.get("/crash?token=secret")
    assert answer.status_code == 500
    for word in ("SELECT", "RuntimeError", "Traceback", "secret"):
        assert word not in answer.text


@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-For",
        "Forwarded",
        "X-Real-IP",
        "CF-Connecting-IP",
        "True-Client-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
    ],
)
async def test_a_false_address_reaches_nobody(shop, header):
    """With no proxy configured nothing that a client writes becomes its address, and
    the application never sees it (CVE-2025-46814)."""
    value = "for=192.0.2.1" if header == "Forwarded" else "192.0.2.1"
    answer = await shop.get("/where", headers={header: value})
    assert answer.json() == [CLIENT[0], "https", ""]


async def test_a_false_scheme_is_not_believed(shop):
    answer = await shop.get("/where", headers={"X-Forwarded-Proto": "http"})
    assert answer.json()[1] == "https"


@pytest.mark.parametrize("host", ["evil.example", "shop.example.com.evil.example"])
async def test_another_name_is_refused(shop, host):
    """A password mail or a cache that builds on Host would lead to the attacker."""
    headers = {"host": host, "x-forwarded-host": "shop.example.com"}
    assert (await shop.get("/", headers=headers)).status_code in {400, 421}


async def test_the_asked_origin_is_not_ours_by_itself(shop):
    """Origins are configured, never derived from the request."""
    for origin in ("https://shop.example.com:8443", "http://shop.example.com", "null"):
        headers = {"origin": origin}
        answer = await shop.post("/auth/login", json=ACCOUNT, headers=headers)
        assert answer.status_code == 403
