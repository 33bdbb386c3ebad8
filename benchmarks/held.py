"""What it costs to turn an address away, beside an answer that says 404.

    python -m benchmarks.held

Whoever floods a service must spend more than the service: a request from an address
that is over its limit, or blocked, has to cost less than the shortest answer of a bare
framework.
"""

from __future__ import annotations

import random
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import uvloop
from benchmarks.load import Load
from benchmarks.report import Figure, Section
from benchmarks.servers import Server, serving
from benchmarks.visitor import HEADERS, Visit
from tests.servers.valkey import Valkey, running_valkey

BASE = "starlette"
ON_REDIS = "Redis: starlette + ringfence"
TURNED_AWAY = {
    "over its limit": ("starlette + ringfence", b"429"),
    "over its limit, counted in Redis": (ON_REDIS, b"429"),
}
SLICE = 1_000  # requests
_OVER = {"RINGFENCE_TRAFFIC_LIMITS_ADDRESS": "100/day"}


def section(*, rounds: int = 60) -> Section:
    """Measure; return the table."""
    targets = [BASE, *(target for target, _ in TURNED_AWAY.values())]
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        running_valkey() as valkey,
        serving(
            targets, Path(folder), _OVER, {ON_REDIS: {"RINGFENCE_STORE": valkey.url}}
        ) as servers,
    ):
        costs, asked = uvloop.run(_measure(servers, rounds, valkey))
    bare = costs[BASE]
    lines = [
        "A path that does not exist, asked for by bare Starlette and by one that is",
        "turned away. CPU time of the server per request.",
        "",
        "| | CPU µs/request | x bare 404 |",
        "|---|---:|---:|",
        f"| bare Starlette, 404 | {statistics.median(bare):.0f} | **1.00** |",
    ]
    figures = []
    for name, (target, _) in TURNED_AWAY.items():
        own = costs[target]
        ratio = statistics.median(
            mine / other for mine, other in zip(own, bare, strict=True)
        )
        lines.append(f"| {name} | {statistics.median(own):.0f} | **{ratio:.2f}** |")
        figures.append(
            Figure(
                f"an address that is {name}",
                "",
                "less than a bare 404",
                f"{ratio:.2f} x a bare 404",
                kept=ratio < 1,
            )
        )
    figures.append(
        Figure(
            "round trips of an address that is over its limit, to Redis",
            "",
            "0, the blocklist once a second aside",
            f"{asked / rounds / SLICE:.4f} a request",
            kept=asked / rounds / SLICE < 0.001,
        )
    )
    return Section(
        "What it costs to turn an address away", tuple(lines), tuple(figures)
    )


async def _measure(
    servers: Sequence[Server], rounds: int, valkey: Valkey
) -> tuple[dict[str, list[float]], int]:
    """Return CPU microseconds per request, one figure a round, and how many questions
    the store was asked meanwhile."""
    statuses = dict(TURNED_AWAY.values())
    loads = {}
    for server in servers:
        visit = Visit("GET", server.port, HEADERS, path="/nothing")
        load = Load(visit, statuses.get(server.target, b"404"))
        await load.open()
        await load.use_up(SLICE)
        loads[server.target] = load
    costs: dict[str, list[float]] = {server.target: [] for server in servers}
    asked = -_questions(valkey)
    for _ in range(rounds):
        for server in random.sample(servers, len(servers)):
            before = server.cpu_seconds()
            await loads[server.target].send(SLICE)
            spent = server.cpu_seconds() - before
            costs[server.target].append(spent / SLICE * 1e6)
    return costs, asked + _questions(valkey)


def _questions(valkey: Valkey) -> int:
    """Return how often a script was called."""
    with valkey.client() as client:
        calls = client.info("commandstats")
    names = "evalsha", "eval"
    return sum(calls.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in names)


if __name__ == "__main__":
    print("\n".join(section().lines))
