"""What a request costs: bare Starlette, today's stack and ringfence in one run.

The machine is never quiet, so targets take turns in short slices and each is compared
with bare Starlette *of the same round*. What is compared is CPU time of the server per
request; requests per second would measure the neighbours.

    python -m benchmarks.requests
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import uvloop
from benchmarks.load import Load, wrk
from benchmarks.report import Figure, Section
from benchmarks.servers import Server, serving
from benchmarks.visitor import Visit, visits

BASE = "starlette"
STACK = "starlette + stack"
OURS = "starlette + ringfence"
BUDGET = 1.25

METHODS = ("GET", "POST")
SLICE = 1000  # requests, about a tenth of a second

Costs = dict[tuple[str, str], list[float]]
Slice = Callable[[], Awaitable[int]]
SliceMaker = Callable[[Visit], Awaitable[Slice]]


def section(*, rounds: int, by_wrk: bool = False) -> Section:
    """Measure; return the tables.

    Args:
        rounds: how often each target has its turn.
        by_wrk: load by ``wrk`` instead of the bundled generator.
    """
    names = [BASE, STACK, OURS]
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        serving(names, Path(folder)) as servers,
    ):
        slices = _wrk_slices if by_wrk else _own_slices
        costs = uvloop.run(measure(servers, rounds, slices))
    lines = [
        f"{rounds} rounds, load by {'wrk' if by_wrk else 'the bundled generator'} on",
        "32 connections; uvicorn with uvloop and httptools, one worker.",
        "",
        *(line for method in METHODS for line in table(method, names, costs)),
    ]
    figures = tuple(_figure(method, costs) for method in METHODS)
    return Section("What a request costs", tuple(lines), figures)


def _figure(method: str, costs: Costs) -> Figure:
    base = costs[method, BASE]
    ours, stack = (
        statistics.median(
            mine / bare for mine, bare in zip(costs[method, name], base, strict=True)
        )
        for name in (OURS, STACK)
    )
    return Figure(
        f"CPU of a {method}, every layer on, sessions and limits in memory",
        f"{stack:.2f} x bare Starlette",
        f"{BUDGET} x",
        f"{ours:.2f} x",
        kept=ours <= BUDGET,
    )


async def measure(servers: list[Server], rounds: int, slices: SliceMaker) -> Costs:
    """Return CPU microseconds per request, one figure a round."""
    runs: dict[tuple[str, str], Slice] = {}
    for server in servers:
        for method, visit in visits(server).items():
            runs[method, server.target] = await slices(visit)
    for run in runs.values():  # warm up: imports, caches
        await run()
    costs: Costs = {key: [] for key in runs}
    by_target = {server.target: server for server in servers}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", end="\r", file=sys.stderr, flush=True)
        for method in METHODS:
            for target in random.sample(list(by_target), len(by_target)):
                server = by_target[target]
                before = server.cpu_seconds()
                answered = await runs[method, target]()
                spent = server.cpu_seconds() - before
                costs[method, target].append(spent / answered * 1e6)
    return costs


async def _own_slices(visit: Visit) -> Slice:
    load = Load(visit)
    await load.open()

    async def run() -> int:
        await load.send(SLICE)
        return SLICE

    return run


async def _wrk_slices(visit: Visit) -> Slice:
    return partial(asyncio.to_thread, wrk, visit, 1.0)


def table(method: str, names: list[str], costs: Costs) -> list[str]:
    """Return one table: median and quartiles of cost and of the ratio to bare."""
    lines = [
        "",
        f"### {method} /items",
        "",
        "| target | CPU µs/request | over bare, µs | CPU x bare (quartiles) |",
        "|---|---:|---:|---:|",
    ]
    base = costs[method, BASE]
    for name in names:
        own = costs[method, name]
        ratios = [mine / bare for mine, bare in zip(own, base, strict=True)]
        over = statistics.median(
            mine - bare for mine, bare in zip(own, base, strict=True)
        )
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        lines.append(
            f"| {name} | {statistics.median(own):.0f} | {over:+.0f} "
            f"| **{middle:.2f}** ({low:.2f} to {high:.2f}) |"
        )
    return lines


if __name__ == "__main__":
    print("\n".join(section(rounds=60).lines))
