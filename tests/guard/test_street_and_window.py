"""The street and the window in their places around a real application."""

import logging

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute

from ringfence import access, current

pytestmark = pytest.mark.anyio

OURS = "http://127.0.0.1:8000"
SIGN_IN = {"email": "ann@example.com", "password": "correct horse battery"}


@access.require(access.public)
async def echo(request: Request):
    return PlainTextResponse(str(len(await request.body())))


@access.require(access.public)
async def swallow(request: Request):
    """An application that takes every error for its own."""
    try:
        return PlainTextResponse(str(len(await request.body())))
    except Exception:  # noqa: BLE001 - the case
        return PlainTextResponse("all is well")


@access.require(access.signed_in)
async def upload(request: Request):
    async with request.form() as form:
        return PlainTextResponse(str(len(await form["file"].read())))


@access.require(access.signed_in)
async def mine(request: Request):
    return JSONResponse({"id": current.principal().id})


@access.require(access.public)
async def page(request: Request):
    response = HTMLResponse(f"<script nonce={current.nonce()}>1</script>")
    response.set_cookie("theme", "dark")
    response.headers["server"] = "thing/1.2.3"
    return response


@access.require(access.public)
async def address(request: Request):
    return JSONResponse({"host": request.url.netloc, "path": request.url.path})


@access.require(access.signed_in)
async def talk(websocket):
    await websocket.accept()
    await websocket.close()


@pytest.fixture
def shop():
    return Starlette(
        routes=[
            Route("/echo", echo, methods=["POST"]),
            Route("/swallow", swallow, methods=["POST"]),
            Route("/upload", upload, methods=["POST"]),
            Route("/mine", mine),
            Route("/page", page),
            Route("/address", address),
            WebSocketRoute("/talk", talk),
        ]
    )


async def sign_in(client):
    await client.post("/auth/register", json=SIGN_IN)
    return (await client.post("/auth/login", json=SIGN_IN)).json()["csrf_token"]


async def chunks(count):
    for _ in range(count):
        yield b"x" * 100_000


@pytest.mark.parametrize("path", ["/echo", "/swallow"])
async def test_a_stream_over_its_cap_is_413_whatever_the_application_says(
    guarded, shop, path, caplog
):
    """It is a refusal: nobody can fill the log with traces by sending too much."""
    caplog.set_level(logging.INFO)
    async with guarded(shop) as started, started.client() as client:
        assert (await client.post(path, content=chunks(10))).text == "1000000"
        answer = await client.post(path, content=chunks(11))
    assert (answer.status_code, answer.json()["code"]) == (
        413,
        "traffic.body_too_large",
    )
    assert "Traceback" not in caplog.text


async def test_a_form_with_a_file_and_its_token(guarded, shop):
    """The token is found in the beginning; the application still gets every byte."""
    file = {"file": ("a.bin", b"z" * 300_000)}
    async with guarded(shop) as started, started.client() as client:
        token = await sign_in(client)
        without = await client.post("/upload", files=file)
        with_token = await client.post(
            "/upload", files=file, data={"csrf_token": token}
        )
        from_here = await client.post("/upload", files=file, headers={"origin": OURS})
        from_there = await client.post(
            "/upload", files=file, headers={"origin": "http://evil.example"}
        )
    assert without.json()["code"] == "browser.csrf_missing"
    assert with_token.text == from_here.text == "300000"
    assert from_there.json()["code"] == "browser.foreign_origin"


async def test_nobody_is_signed_in_from_another_site(guarded, shop):
    """Login CSRF: the visitor would act in the attacker's account without knowing."""
    headers = {"origin": "http://evil.example"}
    async with guarded(shop) as started, started.client() as client:
        await sign_in(client)
        client.cookies.clear()
        answer = await client.post("/auth/login", json=SIGN_IN, headers=headers)
    assert answer.status_code == 403
    assert not answer.cookies


async def test_a_page_gets_its_nonce_and_loses_its_version(guarded, shop):
    async with guarded(shop) as started, started.client() as client:
        first, second = await client.get("/page"), await client.get("/page")
    nonce = first.text.split("nonce=")[1].partition(">")[0]
    assert f"'nonce-{nonce}'" in first.headers["content-security-policy"]
    assert nonce not in second.headers["content-security-policy"]
    assert "httponly" in first.headers["set-cookie"].lower()
    assert "server" not in first.headers
    assert first.headers["x-frame-options"] == "DENY"


async def test_a_host_cannot_move_the_path(guarded, shop):
    """CVE-2026-48710: a URL built from Host shows another path than the routed one."""
    async with guarded(shop) as started:
        for host in (b"127.0.0.1:8000/mine?", b"127.0.0.1:8000#", b"evil.example"):
            sent = await started.call(
                {"path": "/address", "headers": [(b"host", host)]}
            )
            assert sent[0]["status"] == 400


async def test_signed_in_answers_stay_out_of_other_sites_pages(guarded, shop):
    cross_site = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    async with guarded(shop) as started, started.client() as client:
        await sign_in(client)
        assert (await client.get("/mine", headers=cross_site)).status_code == 403
        link = {
            **cross_site,
            "sec-fetch-mode": "navigate",
            "sec-fetch-dest": "document",
        }
        answer = await client.get("/mine", headers=link)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("origin", "opens"),
    [(OURS.encode(), True), (b"http://evil.example", False), (None, False)],
)
async def test_a_signed_in_web_socket_opens_from_here_only(
    guarded, shop, origin, opens
):
    """CSWSH: a script elsewhere opens a socket with the visitor's cookie."""
    async with guarded(shop) as started:
        async with started.client() as client:
            await sign_in(client)
            cookie = "; ".join(
                f"{name}={client.cookies[name]}" for name in client.cookies
            )
        headers = [(b"host", b"127.0.0.1:8000"), (b"cookie", cookie.encode())]
        if origin is not None:
            headers.append((b"origin", origin))
        handshake = {"type": "websocket", "path": "/talk", "headers": headers}
        sent = await started.call(handshake, {"type": "websocket.connect"})
    assert (sent[0]["type"] == "websocket.accept") is opens
