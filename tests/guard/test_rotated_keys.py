"""Two processes of one service while keys are rotated: nobody notices."""

import time
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ringfence import Guard, Settings, access, current
from ringfence.secrets.keys_file import rotate_keys_file

pytestmark = pytest.mark.anyio

ANN = {"email": "ann@example.com", "password": "correct horse battery"}
DAY = 24 * 3600


async def me(request):
    return PlainTextResponse(current.principal().id)


class Clock:
    """The time that keys take turns by."""

    def __init__(self):
        self.now = time.time() + 5

    def __call__(self):
        return self.now


@asynccontextmanager
async def process(data, clock):
    """Run one process of the service; yield its guard and a way to make clients."""
    routes = [Route("/me", me, methods=["GET", "POST"])]
    settings = Settings.load(
        environ={}, env="development", data=data, tokens={"enabled": True}
    )
    guard = Guard(Starlette(routes=access.routes(routes, access.signed_in)), settings)
    guard._rooms.keyring._clock = clock
    await guard._open()
    await guard._close_plans()
    try:
        yield guard
    finally:
        await guard._close()


def client(guard, **options):
    transport = httpx2.ASGITransport(guard, client=("127.0.0.1", 5000))
    return httpx2.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:8000", **options
    )


async def holdings(guard):
    """Return all that somebody has who is signed in by this process."""
    async with client(guard) as browser:
        answer = await browser.post("/auth/login", json=ANN)
        assert answer.status_code == 200, answer.text
        csrf, cookies = answer.json()["csrf_token"], dict(browser.cookies)
    async with client(guard) as program:
        answer = await program.post("/auth/token", json=ANN)
        assert answer.status_code == 200, answer.text
        return csrf, cookies, answer.json()["access_token"]


async def assert_all_hold(guards, held):
    """Every process takes what any process has given out."""
    for guard in guards:
        for csrf, cookies, token in held:
            async with client(guard, cookies=cookies) as browser:
                assert (await browser.get("/me")).status_code == 200
                sent = await browser.post("/me", headers={"x-csrf-token": csrf})
                assert sent.status_code == 200, sent.text
                wrong = await browser.post("/me", headers={"x-csrf-token": "A" * 86})
                assert wrong.status_code == 403
            async with client(guard) as program:
                bearer = {"authorization": f"Bearer {token}"}
                assert (await program.get("/me", headers=bearer)).status_code == 200


async def test_no_session_form_or_token_is_lost_over_a_rotation(tmp_path):
    """At each step of it, whichever process signs and whichever is asked."""
    clock = Clock()
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(process(tmp_path, clock))
        two = await stack.enter_async_context(process(tmp_path, clock))
        async with client(one) as browser:
            answer = await browser.post("/auth/register", json=ANN)
            assert answer.status_code < 300, answer.text
        held = [await holdings(one)]
        path = tmp_path / "keys.json"
        rotate_keys_file(path, wait=600, keep=31 * DAY, now=clock())
        for step in (one, two, None):
            if step is None:
                clock.now += 600  # the new key signs
            else:
                await step._rooms._key_watch.look()
            held += [await holdings(one), await holdings(two)]
            await assert_all_hold((one, two), held)
        three = await stack.enter_async_context(process(tmp_path, clock))
        assert one.fingerprint().difference(three.fingerprint()) == ""
        await assert_all_hold((three,), held)
        keyrings = [guard._rooms.keyring for guard in (one, two, three)]
        assert len({ring.derive("x") for ring in keyrings}) == 1
        assert all(len(ring.derive_all("x")) == 2 for ring in keyrings)
        async with client(three) as anybody:
            answer = await anybody.get("/.well-known/jwks.json")
            assert answer.headers["content-type"] == "application/jwk-set+json"
            assert "max-age=300" in answer.headers["cache-control"]
            assert len(answer.json()["keys"]) == 2
