"""Try every cell in every place that code can run in, on one event loop, and print what
became of it: ``python -m tests.matrix.runner LOOP GUARD WORLD`` (JSON)."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.matrix.cells import CELLS, Cell, World

from ringfence import Guard, Settings, access
from ringfence.errors import InjectionRefusedError

BY_NAME = {cell.name: cell for cell in CELLS}
ATTACKS = Path(__file__).with_name("attacks.json")
_PATIENCE = 20.0


async def _in_loop(cell: Cell, world: World, value: str) -> object:
    found = cell.way(world, value)
    return await found if cell.waits else found  # type: ignore[misc]  # it waits


async def _in_task(cell: Cell, world: World, value: str) -> object:
    return await asyncio.create_task(_in_loop(cell, world, value))


async def _to_thread(cell: Cell, world: World, value: str) -> object:
    return await asyncio.to_thread(cell.way, world, value)


async def _executor(cell: Cell, world: World, value: str) -> object:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, cell.way, world, value)


async def _own_pool(cell: Cell, world: World, value: str) -> object:
    with ThreadPoolExecutor(1) as pool:
        return await asyncio.wrap_future(pool.submit(cell.way, world, value))


async def _thread(cell: Cell, world: World, value: str) -> object:
    done: Future[object] = Future()

    def work() -> None:
        try:
            done.set_result(cell.way(world, value))
        except BaseException as error:  # noqa: BLE001 - handed on
            done.set_exception(error)

    # As on a Python where threads inherit nothing: the floor must hold by itself.
    thread = threading.Thread(target=contextvars.Context().run, args=(work,))
    thread.start()
    return await asyncio.wrap_future(done)


PLACES: dict[str, Callable[[Cell, World, str], Awaitable[object]]] = {
    "handler": _in_loop,
    "task": _in_task,
    "asyncio.to_thread": _to_thread,
    "default executor": _executor,
    "own thread pool": _own_pool,
    "plain thread": _thread,
}
IN_LOOP = ("handler", "task")


def places_of(cell: Cell) -> tuple[str, ...]:
    return IN_LOOP if cell.waits else tuple(PLACES)


def application(world: World) -> Starlette:
    async def attempt(request: Request) -> Response:
        query = request.query_params
        cell = BY_NAME[query["cell"]]
        try:
            async with asyncio.timeout(_PATIENCE):
                await PLACES[query["place"]](cell, world, query["v"])
        except InjectionRefusedError:
            return JSONResponse("raised")
        except BaseExceptionGroup as group:
            if group.subgroup(InjectionRefusedError):
                return JSONResponse("raised")
        except Exception as error:  # noqa: BLE001 - it was carried out, and failed
            return JSONResponse(f"ran ({type(error).__name__})")
        return JSONResponse("ran")

    routes = access.routes([Route("/attempt", attempt)], access.public)
    return Starlette(routes=routes)


async def run(world: World, *, guarded: bool) -> dict[str, dict[str, str]]:
    app = application(world)
    if not guarded:
        return await _ask(app)
    settings = Settings.load(environ={}, env="development", data=world.folder)
    guard = Guard(app, settings)
    async with _started(guard):
        return await _ask(guard)


async def _ask(app) -> dict[str, dict[str, str]]:
    transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 5000))
    attacks = json.loads(ATTACKS.read_text("utf-8"))
    found: dict[str, dict[str, str]] = {}
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:8000", timeout=60
    ) as client:
        for cell in CELLS:
            for place in places_of(cell):
                attack = attacks[cell.attack]
                query = {"cell": cell.name, "place": place, "v": attack}
                answer = await client.get("/attempt", params=query)
                found.setdefault(cell.name, {})[place] = _outcome(answer)
    return found


def _outcome(answer: httpx2.Response) -> str:
    if answer.status_code == 403:
        return "403"
    if answer.status_code == 200:
        return str(answer.json())
    return f"answered {answer.status_code}"


@asynccontextmanager
async def _started(guard: Guard):
    """Run the lifespan around the block."""
    up, down = asyncio.Event(), asyncio.Event()
    asked = iter(("lifespan.startup", "lifespan.shutdown"))

    async def receive():
        kind = next(asked)
        if kind == "lifespan.shutdown":
            await down.wait()
        return {"type": kind}

    async def send(message):
        if message["type"] == "lifespan.startup.complete":
            up.set()

    running = asyncio.create_task(guard({"type": "lifespan"}, receive, send))
    await asyncio.wait(
        {running, asyncio.create_task(up.wait())}, return_when="FIRST_COMPLETED"
    )
    try:
        yield
    finally:
        down.set()
        await running


def main() -> None:
    loop, guard, world = sys.argv[1:]
    logging.disable()
    given = json.loads(world)
    made = World(**{**given, "folder": Path(given["folder"])})
    factory = {
        "asyncio": asyncio.new_event_loop,
        "uvloop": uvloop.new_event_loop,
    }[loop]
    with asyncio.Runner(loop_factory=factory) as runner:
        found = runner.run(run(made, guarded=guard == "on"))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
