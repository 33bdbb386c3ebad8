import gc

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ringfence import access

HOST = (b"host", b"127.0.0.1:8000")
ACCOUNT = {"email": "ann@shop.example", "password": "correct horse battery 42"}


@access.require(access.signed_in)
async def items(_request):
    return PlainTextResponse("ok")


async def sign_in(started):
    async with started.client() as client:
        await client.post("/auth/register", json=ACCOUNT)
        answer = await client.post("/auth/login", json=ACCOUNT)
    return (b"cookie", answer.headers["set-cookie"].partition(";")[0].encode())


@pytest.mark.anyio
async def test_request_leaves_no_garbage(guarded):
    """What a request needed is freed with it, without the garbage collector: a ring of
    references would cost every request more than all its checks."""
    app = Starlette(routes=[Route("/items", items, methods=["GET", "POST"])])
    async with guarded(app) as started:
        cookie = await sign_in(started)
        unsized = (b"transfer-encoding", b"chunked")
        ours = (b"origin", b"http://127.0.0.1:8000")
        read = {"path": "/items", "headers": [HOST, cookie]}
        write = {"path": "/items", "headers": [HOST, cookie, ours, unsized]}
        write["method"] = "POST"

        async def visit():
            for scope in (read, write):
                sent = await started.call(scope)
                assert sent[0]["status"] == 200

        await visit()
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                await visit()
            found = gc.collect()
        finally:
            gc.enable()
    assert found < 20
