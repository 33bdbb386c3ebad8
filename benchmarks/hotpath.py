"""Where the guard's microseconds go, step by step, for a signed-in GET.

In process: every step of one request is run by itself, many times over, on exchanges
that the steps before it have prepared. The whole is measured as well; what the steps
do not add up to is the calling of one by the other. The least of many rounds is shown:
what the machine's other work adds is not the guard's.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import MutableMapping
from typing import Any

from benchmarks.lifespan import running_guard
from benchmarks.routes import Answer, receive, scope_of, seconds_for
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from ringfence import Guard, access
from ringfence.exchange import Exchange, Step, active, settle
from ringfence.guard.outbound import Outbound

ROUNDS, TIMES = 40, 500
ACCOUNT = {"email": "bench@shop.example", "password": "correct horse battery 42"}


async def items(_request: object) -> PlainTextResponse:
    return PlainTextResponse("ok")


def application() -> Starlette:
    routes = [Route("/items", items)]
    return Starlette(routes=access.routes(routes, access.signed_in))


async def sign_in(guard: Guard) -> str:
    """Register and sign in; return the session cookie."""
    await _post(guard, "/auth/register")
    cookies = await _post(guard, "/auth/login")
    return next(cookie.split(";")[0] for cookie in cookies if "session" in cookie)


async def _post(guard: Guard, path: str) -> list[str]:
    body = json.dumps(ACCOUNT).encode()
    scope = scope_of(path)
    scope["method"] = "POST"
    scope["headers"] = [
        (b"host", b"127.0.0.1:8000"),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    answer: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        answer.append(message)

    async def content() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    await guard(scope, content, send)
    if answer[0]["status"] >= 400:
        raise RuntimeError(f"{path} answered {answer}")
    return [v.decode() for n, v in answer[0]["headers"] if n == b"set-cookie"]


class Walk:
    """One request's way through a guard, in steps that can be timed one by one."""

    def __init__(self, guard: Guard, scope: dict[str, Any]) -> None:
        self.guard = guard
        self.scope = scope
        plan = guard._find(self._fresh())
        self.plan = plan

    def _fresh(self) -> Exchange:
        return Exchange({**self.scope, "headers": list(self.scope["headers"])}, receive)

    def steps(self) -> list[tuple[str, Step]]:
        stages = [*self.guard._street, *self.plan.steps]
        named = [(stage.__qualname__.split(".")[-1], stage) for stage in stages]
        street = len(self.guard._street)
        return [
            *named[:street],
            ("find the plan", self._find),
            *named[street:],
            ("intact", self._intact),
            ("outbound", self._outbound),
        ]

    def _find(self, exchange: Exchange) -> None:
        self.guard._find(exchange)

    def _intact(self, _exchange: Exchange) -> None:
        for is_intact in self.guard._are_intact:
            is_intact()

    async def _outbound(self, exchange: Exchange) -> None:
        outbound = Outbound(exchange, Answer(), self.guard._answers, self.guard._watch)
        headers = [(b"content-length", b"2"), (b"content-type", b"application/json")]
        await outbound.send(
            {"type": "http.response.start", "status": 200, "headers": headers}
        )
        await outbound.send({"type": "http.response.body", "body": b"ok"})
        await outbound.finish()

    async def spend(self) -> dict[str, float]:
        """Return CPU microseconds a step."""
        spent: dict[str, float] = {}
        started = time.process_time()
        exchanges = [self._fresh() for _ in range(TIMES)]
        spent["Exchange"] = time.process_time() - started
        for exchange in exchanges:
            active.set(exchange)
        for name, step in self.steps():
            started = time.process_time()
            for exchange in exchanges:
                said = step(exchange)
                if said is not None:
                    await settle(said)
            spent[name] = time.process_time() - started
        for exchange in exchanges:
            if exchange.in_flight:  # else the address would have too many open
                self.guard._in_flight.leave(exchange)
        return {name: seconds / TIMES * 1e6 for name, seconds in spent.items()}


async def main() -> None:
    """Print the table."""
    async with running_guard(application()) as guard:
        scope = scope_of("/items")
        cookie = (await sign_in(guard)).encode() + b"; theme=dark"
        scope["headers"] = [h for h in scope["headers"] if h[0] != b"cookie"]
        scope["headers"].append((b"cookie", cookie))
        walk = Walk(guard, scope)
        bare: ASGIApp = Starlette(routes=[Route("/items", items)])
        await walk.spend()
        samples = [await walk.spend() for _ in range(ROUNDS)]
        guarded = [await seconds_for(guard, scope, TIMES) for _ in range(ROUNDS)]
        unguarded = [await seconds_for(bare, scope, TIMES) for _ in range(ROUNDS)]
        whole = min(guarded) - min(unguarded)
    print("| step | CPU µs |\n|---|---:|")
    total = 0.0
    for name in samples[0]:
        cost = min(sample[name] for sample in samples)
        total += cost
        print(f"| {name} | {cost:.2f} |")
    print(f"| sum of the steps | {total:.2f} |")
    print(f"| **guard less bare, whole** | **{whole * 1e6:.2f}** |")


if __name__ == "__main__":
    asyncio.run(main())
