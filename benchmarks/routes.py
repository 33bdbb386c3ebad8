"""What the guard adds when an application has 10, 100 and 1,000 routes.

Driven in process, without a server, so that only the application and the guard are
measured. Bare Starlette itself grows with its routes; what the guard *adds* must not.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, NamedTuple

from benchmarks.lifespan import running_guard
from benchmarks.report import Figure, Section
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ringfence import access

SIZES = (10, 100, 1000)
BUDGET = 1.2  # x from the fewest to the most routes
HEADING = """\
In process, without a server, for a public route without parameters that stands first
or in the middle of the table, in microseconds. Behind the guard Starlette does not
search: the guard has found the route already.

| routes | place | bare app | app behind the guard | guard adds | x of 10 routes |
|---:|---|---:|---:|---:|---:|
"""


async def answer(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


def application(size: int) -> Timed:
    """Return an application of many routes, half of them with a parameter."""
    return Timed(routes=access.routes(_routes(size), access.public))


def bare_application(size: int) -> Starlette:
    """Return the same without a guard in mind."""
    return Starlette(routes=_routes(size))


def _routes(size: int) -> list[Route]:
    return [
        Route(f"/area{number}/{'{item_id}' if number % 2 else 'list'}", answer)
        for number in range(size)
    ]


def scope_of(path: str) -> dict[str, Any]:
    headers = {
        "host": "127.0.0.1:8000",
        "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0",
        "accept": "application/json, text/plain, */*",
        "accept-language": "en-GB,en;q=0.7",
        "accept-encoding": "gzip, deflate, br, zstd",
        "sec-fetch-site": "same-origin",
        "sec-fetch-mode": "cors",
        "sec-fetch-dest": "empty",
        "cookie": "theme=dark; language=en",
    }
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(n.encode(), v.encode()) for n, v in headers.items()],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }


async def receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


class Answer:
    """Keep the status, so that a refusal is not measured as an answer."""

    status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]


class Timed(Starlette):
    """An application that keeps the time that it spends on requests, without what
    happens while it sends: there the guard works again."""

    inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        outside = 0

        async def timed(message: Message) -> None:
            nonlocal outside
            started = time.perf_counter_ns()
            await send(message)
            outside += time.perf_counter_ns() - started

        started = time.perf_counter_ns()
        await super().__call__(scope, receive, timed)
        self.inside += time.perf_counter_ns() - started - outside


async def seconds_for(app: ASGIApp, scope: dict[str, Any], times: int) -> float:
    """Return CPU seconds for one request, the mean of ``times``."""
    send = Answer()
    started = time.process_time()
    for _ in range(times):
        await app({**scope, "headers": list(scope["headers"])}, receive, send)
    spent = time.process_time() - started
    if send.status != 200:
        message = f"{scope['path']} answered {send.status}"
        raise RuntimeError(message)
    return spent / times


class Cost(NamedTuple):
    """Microseconds of one request."""

    bare: float
    behind: float
    added: float


async def added(size: int, rounds: int, times: int) -> dict[str, Cost]:
    """Return what the application costs, by itself and behind the guard, and what the
    guard adds.

    Both of the same request: two tables of a thousand routes lie differently in memory,
    and two moments differ in what else the machine does. The least of many rounds.
    """
    app, bare = application(size), bare_application(size)
    found = {}
    async with running_guard(app) as guard:
        for place, number in {"first": 0, "middle": size // 4 * 2}.items():
            scope = scope_of(f"/area{number}/list")
            rows, alone = [], []
            for _ in range(rounds):
                alone.append(await seconds_for(bare, scope, times))
                app.inside = 0
                started = time.perf_counter_ns()
                await seconds_for(guard, scope, times)
                whole = time.perf_counter_ns() - started
                rows.append((app.inside, whole - app.inside))
            found[place] = Cost(
                min(alone) * 1e6,
                min(inside for inside, _ in rows) / times / 1000,
                min(added for _, added in rows) / times / 1000,
            )
    return found


def section(*, quick: bool) -> Section:
    """Measure; return the table of added costs."""
    rounds, times = (60, 50) if quick else (200, 100)
    rows = {size: asyncio.run(added(size, rounds, times)) for size in SIZES}
    table = [_row(size, place, rows) for size in SIZES for place in rows[size]]
    lines = (*HEADING.splitlines(), *table)
    few, many = rows[SIZES[0]], rows[SIZES[-1]]
    worst = max(many[place].added / few[place].added for place in few)
    figure = Figure(
        f"what the guard adds, from {SIZES[0]} to {SIZES[-1]:,} routes",
        "",
        f"{BUDGET} x",
        f"{worst:.2f} x",
        kept=worst <= BUDGET,
    )
    return Section("What the guard adds, by number of routes", lines, (figure,))


def _row(size: int, place: str, rows: dict[int, dict[str, Cost]]) -> str:
    cost = rows[size][place]
    ratio = cost.added / rows[SIZES[0]][place].added
    return (
        f"| {size:,} | {place} | {cost.bare:.1f} | {cost.behind:.1f} "
        f"| {cost.added:+.1f} | **{ratio:.2f}** |"
    )


if __name__ == "__main__":
    print("\n".join(section(quick=False).lines))
