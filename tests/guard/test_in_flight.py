"""What the guard counts in, it counts out, however a request ends."""

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ringfence import access


@pytest.mark.anyio
async def test_every_way_to_end_gives_the_place_back(guarded, settings_of):
    async def fine(request):
        return PlainTextResponse("fine")

    async def fails(request):
        raise RuntimeError("broken")

    waiting = asyncio.Semaphore(0)

    async def waits(request):
        waiting.release()
        await asyncio.Event().wait()

    routes = [Route("/fine", fine), Route("/fails", fails), Route("/waits", waits)]
    hidden = access.routes([Route("/hidden", fine)], access.signed_in)
    app = Starlette(routes=[*access.routes(routes, access.public), *hidden])
    settings = settings_of(traffic={"max_open": 2})
    async with guarded(app, settings) as started, started.client() as client:
        for path, status in [
            ("/fine", 200),
            ("/fails", 500),
            ("/hidden", 401),
            ("/nothing", 404),
            ("/fine", 200),
        ]:
            assert (await client.get(path)).status_code == status
            assert started.guard._in_flight.clients == 0
        held = [asyncio.create_task(client.get("/waits")) for _ in range(2)]
        for _ in held:
            await waiting.acquire()
        refused = await client.get("/fine")
        assert refused.json()["code"] == "traffic.too_many_open"
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        assert started.guard._in_flight.clients == 0
        assert (await client.get("/fine")).status_code == 200
