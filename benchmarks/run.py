"""What a request costs: bare Starlette, today's stack and ringfence in one run.

The machine is never quiet, so targets take turns in short slices and each is compared
with bare Starlette *of the same round*. What is compared is CPU time of the server per
request; requests per second would measure the neighbours.

    make bench               about three minutes
    make bench ARGS=--quick  about one minute
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

import uvloop
from benchmarks import routes
from benchmarks.apps import TARGETS
from benchmarks.load import Load, wrk
from benchmarks.servers import Server, serving
from benchmarks.visitor import Visit, visits

BASE = "starlette"
OURS = "starlette + ringfence"
BUDGET = {"GET": 1.25, "POST": 1.25}
RESULTS = Path(__file__).with_name("results.md")
PEERS = ["secure", "slowapi", "starsessions", "starlette-csrf"]

HEADING = """\
# What the guard costs

Written by `make bench`. CPU time of the server process per request; targets take
turns, and each is compared with bare Starlette of the same round.

{cores} cores, {system}; {versions}.
{rounds} rounds, load by {generator} on 32 connections; uvicorn with uvloop and
httptools, one worker.

The stack is secure + CORSMiddleware + slowapi (two limits) + starsessions (in memory) +
starlette-csrf, all as plain ASGI. Ringfence answers a signed-in session that is kept in
SQLite. Every target gets the same request: the headers of a browser and two cookies.
Limits are counted and never reached.
"""

METHODS = ("GET", "POST")
SLICE = 1000  # requests, about a tenth of a second

Costs = dict[tuple[str, str], list[float]]
Slice = Callable[[], Awaitable[int]]
SliceMaker = Callable[[Visit], Awaitable[Slice]]


def main() -> None:
    """Measure, print the tables, write them beside this file."""
    arguments = _arguments()
    names = [BASE, *(name for name in arguments.targets if name != BASE)]
    rounds = arguments.rounds or (40 if arguments.quick else 120)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        serving(names, Path(folder)) as servers,
    ):
        slices = _wrk_slices if arguments.wrk else _own_slices
        costs = uvloop.run(measure(servers, rounds, slices))
    report = "\n".join(
        [
            *_heading(rounds, "wrk" if arguments.wrk else "the bundled generator"),
            *table("GET", names, costs),
            *table("POST", names, costs),
            *([] if arguments.no_routes else routes.table(quick=arguments.quick)),
        ]
    )
    print(report)
    if arguments.write:
        RESULTS.write_text(report + "\n", "utf-8")


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
        f"## {method} /items",
        "",
        "| target | CPU µs/request | over bare, µs | CPU x bare (quartiles) |",
        "|---|---:|---:|---:|",
    ]
    verdict = ""
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
        if name == OURS:
            verdict = f", {'missed' if middle > BUDGET[method] else 'kept'}"
    return [*lines, "", f"Budget of ringfence: {BUDGET[method]:.2f} x bare{verdict}."]


def _heading(rounds: int, generator: str) -> list[str]:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    packages = ["starlette", "uvicorn", "uvloop", "httptools", *PEERS]
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return HEADING.format(
        cores=os.cpu_count(),
        system=f"{platform.system()} {platform.machine()}, {python}",
        versions=versions,
        rounds=rounds,
        generator=generator,
    ).splitlines()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer, shorter rounds")
    parser.add_argument("--rounds", type=int, help="how many rounds")
    parser.add_argument("--wrk", action="store_true", help="load by wrk, 1 s a slice")
    parser.add_argument("--no-routes", action="store_true", help="leave out routes.py")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument(
        "--targets", nargs="+", choices=list(TARGETS), default=list(TARGETS)
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
