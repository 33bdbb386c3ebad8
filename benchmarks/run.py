"""What a request costs: bare Starlette, today's stack and ringfence in one run.

The machine is never quiet, so targets take turns in short slices and each is compared
with bare Starlette *of the same round*. What is compared is CPU time of the server per
request; requests per second would measure the neighbours.

    make bench               about three minutes
    make bench ARGS=--quick  about one minute
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import tempfile
from importlib.metadata import version
from pathlib import Path

from benchmarks import routes
from benchmarks.apps import TARGETS
from benchmarks.load import GENERATOR, load
from benchmarks.servers import Server, serving
from benchmarks.visitor import Visit, visits

BASE = "starlette"
BUDGET = {"GET": 1.25, "POST": 1.25}
RESULTS = Path(__file__).with_name("results.md")
PEERS = ["secure", "slowapi", "starsessions", "starlette-csrf"]

HEADING = """\
# What the guard costs

Written by `make bench`. CPU time of the server process per request; targets take
turns, and each is compared with bare Starlette of the same round.

{cores} cores, {system}; {versions}. {rounds} rounds of {seconds:g} s, load by
{generator} on 32 connections, uvicorn with uvloop and httptools, one worker.

The stack is secure + CORSMiddleware + slowapi (two limits) + starsessions (in memory) +
starlette-csrf, all as plain ASGI. Ringfence answers a signed-in session that is kept in
SQLite. Every target gets the same request: the headers of a browser and two cookies.
Rate limits are not part of ringfence yet.
"""

Costs = dict[tuple[str, str], list[float]]


def main() -> None:
    """Measure, print the tables, write them beside this file."""
    arguments = _arguments()
    names = [BASE, *(name for name in arguments.targets if name != BASE)]
    rounds, seconds = (8, 1.0) if arguments.quick else (16, 2.0)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        serving(names, Path(folder)) as servers,
    ):
        costs = measure(servers, arguments.rounds or rounds, seconds)
    report = "\n".join(
        [
            *_heading(arguments.rounds or rounds, seconds),
            *table("GET", names, costs),
            *table("POST", names, costs),
            *([] if arguments.no_routes else routes.table(quick=arguments.quick)),
        ]
    )
    print(report)
    if arguments.write:
        RESULTS.write_text(report + "\n", "utf-8")


def measure(servers: list[Server], rounds: int, seconds: float) -> Costs:
    """Return CPU microseconds per request, one figure a round."""
    plans = {server.target: visits(server) for server in servers}
    costs: Costs = {}
    for server in servers:  # warm up: imports, caches, the first connections
        for visit in plans[server.target].values():
            load(visit, 1.0)
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", end="\r", flush=True)
        for method in ("GET", "POST"):
            for server in random.sample(servers, len(servers)):
                cost = slice_of(server, plans[server.target][method], seconds)
                costs.setdefault((method, server.target), []).append(cost)
    return costs


def slice_of(server: Server, visit: Visit, seconds: float) -> float:
    before = server.cpu_seconds()
    answered = load(visit, seconds)
    return (server.cpu_seconds() - before) / answered * 1e6


def table(method: str, names: list[str], costs: Costs) -> list[str]:
    """Return one table: median and quartiles of cost and of the ratio to bare."""
    lines = [
        "",
        f"## {method} /items",
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
    return [*lines, "", f"Budget of ringfence: {BUDGET[method]:.2f} x bare."]


def _heading(rounds: int, seconds: float) -> list[str]:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    packages = ["starlette", "uvicorn", "uvloop", "httptools", *PEERS]
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return HEADING.format(
        cores=os.cpu_count(),
        system=f"{platform.system()} {platform.machine()}, {python}",
        versions=versions,
        rounds=rounds,
        seconds=seconds,
        generator=GENERATOR,
    ).splitlines()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer, shorter rounds")
    parser.add_argument("--rounds", type=int, help="how many rounds")
    parser.add_argument("--no-routes", action="store_true", help="leave out routes.py")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument(
        "--targets", nargs="+", choices=list(TARGETS), default=list(TARGETS)
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
