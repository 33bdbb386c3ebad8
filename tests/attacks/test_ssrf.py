"""A handler that fetches what a request says (CWE-918): every client, both loops."""

import asyncio
import socket
import sys
import threading
import urllib.request
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from urllib.parse import urlsplit

import aiohttp
import anyio
import httpx2
import pytest
import requests
import urllib3
from aiohttp.abc import AbstractResolver
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Route
from tests.attacks.ledgers import settled
from tests.attacks.serving import NO_TLS, served
from tests.attacks.twins import alone

from ringfence import Guard, Settings, access, urls
from ringfence.interpreters.loops.guarded import GuardedLoop
from ringfence.interpreters.urls.egress import vouch

SECRET = "the machine's own credentials"
NEWS, REBOUND = "news.example", "rebind.example"
PATIENCE = 30.0
HERE = IPv4Address("127.0.0.1")


class RebindingLoop(GuardedLoop):
    """A uvloop whose resolver stands under the attacker's hand, and the site's."""

    async def getaddrinfo(self, host, port, **options):
        here = "127.0.0.1" if _is_ours(host) else host
        return await super().getaddrinfo(here, port, **options)


LOOPS = {"asyncio": "asyncio", "uvloop": f"{__name__}:RebindingLoop"}


def _is_ours(host):
    return host in {NEWS, REBOUND, NEWS.encode(), REBOUND.encode()}


@pytest.fixture(autouse=True, scope="module")
def resolver():
    """What the system's resolver would say: both names stand for this machine."""
    original = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **options):
        if not _is_ours(host):
            return original(host, port, *args, **options)
        sys.audit("socket.getaddrinfo", host, port, 0, 0, 0)
        return original("127.0.0.1", port, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield


class Service(ThreadingHTTPServer):
    """A service on loopback that writes down who came."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.port = self.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def server_close(self):
        """Keep the port: one that comes again would be known as another service."""


class Handler(BaseHTTPRequestHandler):
    """Tells a secret, or sends elsewhere: ``/to/http://...``."""

    def do_GET(self):
        self.server.asked.append(self.path)
        _, moved, target = self.path.partition("/to/")
        self.send_response(302 if moved else 200)
        if moved:
            self.send_header("location", target)
        self.send_header("content-length", str(0 if moved else len(SECRET)))
        self.end_headers()
        if not moved:
            self.wfile.write(SECRET.encode())

    def log_message(self, *args):
        """Say nothing."""


@contextmanager
def service():
    made = Service()
    thread = threading.Thread(target=made.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        thread.join()
        socket.socket.close(made.socket)


def by_urllib(url):
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return answer.read().decode()


def by_requests(url):
    return requests.get(url, timeout=PATIENCE).text


def by_urllib3(url):
    with urllib3.PoolManager() as pool:
        return pool.request("GET", url, timeout=PATIENCE).data.decode()


def by_httpx2_sync(url):
    return httpx2.get(url, verify=NO_TLS, follow_redirects=True).text


async def by_httpx2(url):
    async with httpx2.AsyncClient(verify=NO_TLS, follow_redirects=True) as client:
        return (await client.get(url)).text


async def by_aiohttp(url):
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        return await answer.text()


class Unheard(AbstractResolver):
    """A resolver that nobody hears, as c-ares is."""

    async def resolve(self, host, port=0, family=socket.AF_INET):
        return [
            {
                "hostname": host,
                "host": "127.0.0.1",
                "port": port,
                "family": family,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
        ]

    async def close(self):
        """Nothing is open."""


async def by_aiohttp_with_c_ares(url):
    connector = aiohttp.TCPConnector(resolver=Unheard())
    async with (
        aiohttp.ClientSession(connector=connector) as client,
        client.get(url) as answer,
    ):
        return await answer.text()


async def by_asyncio(url):
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(_plain(parts))
    text = (await reader.read()).decode()
    writer.close()
    return text


async def by_anyio(url):
    parts = urlsplit(url)
    async with await anyio.connect_tcp(parts.hostname, parts.port) as stream:
        await stream.send(_plain(parts))
        return "".join([piece.decode() async for piece in stream])


def _plain(parts):
    return f"GET {parts.path or '/'} HTTP/1.0\r\n\r\n".encode()


WAYS = {
    way.__name__.removeprefix("by_"): way
    for way in (
        *(by_urllib, by_requests, by_urllib3, by_httpx2_sync),
        *(by_httpx2, by_aiohttp, by_aiohttp_with_c_ares, by_asyncio, by_anyio),
    )
}
FOLLOWING = [name for name in WAYS if name not in {"asyncio", "anyio"}]


async def fetch(request):
    """A preview, as everybody writes it."""
    way = WAYS[request.path_params["way"]]
    url = request.query_params["url"]
    found = (
        way(url) if asyncio.iscoroutinefunction(way) else run_in_threadpool(way, url)
    )
    return PlainTextResponse(await found)


async def swallow(request):
    """The same, with whatever goes wrong kept to itself."""
    try:
        return await fetch(request)
    except BaseException:  # noqa: BLE001 - as people do
        return PlainTextResponse("no preview")


async def fetch_in_thread(request):
    """The same in a thread of its own, which knows of no request."""
    found = []
    thread = threading.Thread(
        target=lambda: found.append(_quietly(by_urllib, request.query_params["url"]))
    )
    thread.start()
    await asyncio.to_thread(thread.join)
    return PlainTextResponse(found[0])


def _quietly(way, url):
    try:
        return way(url)
    except Exception as error:  # noqa: BLE001 - as people do
        return type(error).__name__


async def fetch_safely(request):
    site = request.app.state.site
    found = await urls.fetch(
        request.query_params["url"], private=(f"{NEWS}:{site}",), timeout=PATIENCE
    )
    return PlainTextResponse(found.text)


async def profile(request):
    """Keep a person's site in a database on a private address, and fetch nothing."""
    body = await request.json()
    kept = await by_asyncio(request.app.state.database)
    return JSONResponse({"site": body["site"], "kept": SECRET in kept})


async def leave(request):
    return RedirectResponse(request.query_params["next"])


def application(site, database):
    made = Starlette(
        routes=access.routes(
            [
                Route("/fetch/{way}", fetch),
                Route("/swallow/{way}", swallow),
                Route("/thread", fetch_in_thread),
                Route("/safely", fetch_safely),
                Route("/profile", profile, methods=["POST"]),
                Route("/leave", leave),
            ],
            access.public,
        )
    )
    made.state.site = site.port
    made.state.database = database.url
    return made


class World:
    """One side on one loop, with the services around it."""

    def __init__(self, server, site, private, database, data):
        self.server = server
        self.site = site
        self.private = private
        self.database = database
        self.data = data
        self.attacks = {
            "direct": f"{private.url}/",
            "redirect": f"http://{NEWS}:{site.port}/to/{private.url}/",
            "rebinding": f"http://{REBOUND}:{private.port}/",
            "redirect to a name": (
                f"http://{NEWS}:{site.port}/to/http://{REBOUND}:{private.port}/"
            ),
        }

    def get(self, path, **query):
        # The test's own thread is one that carries no context: a request that has been
        # answered and is still in progress would be judged for it.
        alone()
        with vouch(HERE, self.server.port):
            return httpx2.get(
                f"{self.server.url}{path}",
                params=query,
                verify=NO_TLS,
                timeout=PATIENCE,
            )


@contextmanager
def world(loop, folder, *, guarded):
    with ExitStack() as stack:
        site, private, database = (stack.enter_context(service()) for _ in range(3))

        def make(port):
            app = application(site, database)
            if not guarded:
                return app
            settings = Settings.load(
                environ={},
                env="development",
                data=folder,
                public_origins=(f"http://127.0.0.1:{port}",),
                interpreters={"egress_private": (f"127.0.0.1:{site.port}",)},
            )
            return Guard(app, settings)

        server = stack.enter_context(served(make, loop=LOOPS[loop]))
        yield World(server, site, private, database, folder)


@pytest.fixture(scope="module", params=list(LOOPS))
def loop(request):
    return request.param


@pytest.fixture(scope="module")
def bare(loop, tmp_path_factory):
    with world(loop, tmp_path_factory.mktemp("bare"), guarded=False) as made:
        yield made


@pytest.fixture(scope="module")
def guarded(loop, tmp_path_factory):
    with world(loop, tmp_path_factory.mktemp("guarded"), guarded=True) as made:
        yield made


def attacks(way):
    kinds = ["direct", "rebinding"]
    return [*kinds, "redirect", "redirect to a name"] if way in FOLLOWING else kinds


CASES = [(way, kind) for way in WAYS for kind in attacks(way)]


@pytest.mark.parametrize(("way", "kind"), CASES)
def test_without_the_guard_the_service_answers(bare, way, kind):
    assert SECRET in bare.get(f"/fetch/{way}", url=bare.attacks[kind]).text


@pytest.mark.parametrize(("way", "kind"), CASES)
def test_behind_the_guard_nobody_reaches_it(guarded, way, kind):
    """Neither by its address, nor by a name, nor by a redirect."""
    answer = guarded.get(f"/fetch/{way}", url=guarded.attacks[kind])
    assert answer.status_code == 403, answer.text
    assert answer.json()["code"] == "interpreters.url"
    assert guarded.private.asked == []


@pytest.mark.parametrize("way", WAYS)
def test_metadata_of_a_cloud(guarded, way):
    """Refused before anything is sent, in spellings that look like something else."""
    for host in ("169.254.169.254", "0xa9fea9fe", "[::ffff:a9fe:a9fe]"):
        answer = guarded.get(f"/fetch/{way}", url=f"http://{host}:80/latest/meta-data/")
        assert answer.status_code == 403, (host, answer.text)


def test_handler_that_swallows_the_refusal(guarded):
    """The answer is the guard's all the same."""
    for way in WAYS:
        answer = guarded.get(f"/swallow/{way}", url=guarded.attacks["direct"])
        assert answer.status_code == 403, way


def test_thread_that_knows_of_no_request(bare, guarded):
    """It may work for any of those that are in progress."""
    assert bare.get("/thread", url=bare.attacks["direct"]).text == SECRET
    assert SECRET not in guarded.get("/thread", url=guarded.attacks["direct"]).text
    assert SECRET not in guarded.get("/thread", url=guarded.attacks["rebinding"]).text
    assert guarded.private.asked == []


@pytest.mark.parametrize("way", WAYS)
def test_honest_use(bare, guarded, way):
    """A site that is allowed is fetched on both sides alike."""
    for side in (bare, guarded):
        url = f"http://{NEWS}:{side.site.port}/story"
        assert SECRET in side.get(f"/fetch/{way}", url=url).text


@pytest.mark.parametrize("site", ["https://ann.example/", "http://127.0.0.1:1/", ""])
def test_own_database_of_a_handler_that_gets_a_url(guarded, site):
    """It is on a private address, was never declared, and nobody follows the URL."""
    answer = httpx2.post(
        f"{guarded.server.url}/profile",
        json={"site": site, "mail": "ann@localhost", "page": "127.1"},
        headers={"origin": guarded.server.url, "referer": f"{guarded.server.url}/me"},
        verify=NO_TLS,
    )
    assert answer.json() == {"site": site, "kept": True}


def test_safe_way(guarded):
    """The safe way refuses by itself, and says no more than it must."""
    good = guarded.get("/safely", url=f"http://{NEWS}:{guarded.site.port}/story")
    assert good.text == SECRET
    for kind, url in guarded.attacks.items():
        answer = guarded.get("/safely", url=url)
        assert answer.json()["code"] == "interpreters.url", kind
        assert answer.status_code in {400, 403}
        assert "127.0.0.1" not in answer.text
    assert guarded.private.asked == []


def test_open_redirect(bare, guarded):
    """A link to this site that ends on another one (CWE-601)."""
    for target in ("https://evil.example/", "//evil.example", "https:evil.example"):
        assert bare.get("/leave", next=target).status_code == 307
        answer = guarded.get("/leave", next=target)
        assert answer.json()["code"] == "interpreters.redirect"
        assert "location" not in answer.headers
    assert guarded.get("/leave", next="/orders").headers["location"] == "/orders"


def test_ledger_names_the_input(guarded):
    """An operator sees what was tried, without the address that was sent."""
    guarded.get("/fetch/httpx2", url=guarded.attacks["direct"])
    with httpx2.Client(base_url=guarded.server.url, verify=NO_TLS) as client:
        events = settled(guarded.data, client)
    stopped = [each for each in events if each["event"] == "malicious_injection"]
    assert ("query", "url") in {
        (each.get("place"), each.get("field")) for each in stopped
    }
    assert {"url", "redirect"} >= {each["interpreter"] for each in stopped}


def test_range(off, on):
    """The range's own snippets: fetching, with and without a look, and sending on."""
    with service() as private:
        shown = private.url.replace("127.0.0.1", "127.1")
        for side, reached in ((off, True), (on, False)):
            with side.client(follow_redirects=False) as client:
                for path, url in (("/fetch", private.url), ("/preview", shown)):
                    answer = client.get(path, params={"url": url})
                    assert (SECRET in answer.text) is reached, path
                answer = client.get("/fetch", params={"url": "file:///etc/hostname"})
                assert (answer.status_code == 200) is reached
                answer = client.get("/leave", params={"next": "//evil.example"})
                assert ("location" in answer.headers) is reached
                answer = client.get("/leave", params={"next": "/orders/1"})
                assert answer.headers["location"] == "/orders/1"
                text = "x\n2026-11-23 admin signed in"
                assert client.get("/note", params={"text": text}).text == "noted"
            written = side.data.with_suffix(".log").read_text()
            assert ("\n2026-11-23 admin signed in" in written) is reached
            assert "somebody says: x" in written
        assert len(private.asked) == 2
