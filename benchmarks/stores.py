"""What a request costs where budgets and sessions are in other processes.

    python -m benchmarks.stores

One interleaved run on 32 connections, a signed-in GET: bare Starlette without a
store, today's stack on Redis, ringfence on Redis, on a cluster and on PostgreSQL, and
one plain select by SQLAlchemy. Servers are real: Valkey and PostgreSQL, from their
wheels, on loopback. Round trips are counted at the servers.
"""

from __future__ import annotations

import http.client
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import uvloop
from benchmarks.apps import POSTGRES, REDIS
from benchmarks.load import CONNECTIONS, Load
from benchmarks.report import Figure, Section
from benchmarks.servers import OUT_OF_REACH, Server, serving
from benchmarks.visitor import Visit, visits
from tests.servers.postgres import Postgres, running_postgres
from tests.servers.proxy import Proxy, running_proxy
from tests.servers.valkey import Cluster, Valkey, running_cluster, running_valkey

BARE = "starlette"
STACK = "Redis: starlette + stack"
MEMORY = "memory: starlette + ringfence"
OURS = "Redis: starlette + ringfence"
NODES = "cluster: starlette + ringfence"
ROWS = "PostgreSQL: starlette + ringfence"
SELECT = "PostgreSQL: starlette + select"
COUNTED = "counted: starlette + ringfence"

CPU_GOAL, SHARE_GOAL, LATENCY_GOAL = 1.6, 0.6, 1.5
SLICE = 600  # requests
ALONE = 200  # requests, one after the other
COUNTS = 500  # requests whose round trips are counted

HEADING = """\
A signed-in GET on 32 connections, each with a session and an account of its own,
{rounds} rounds of {slice} requests. The stack is that of above with slowapi, limits and
starsessions on Redis (redis-py); *select* is bare Starlette that asks SQLAlchemy for
one row by its primary key and decides nothing.
*Store* is the CPU time of the store itself per request. Valkey stands in for Redis; all
is on one machine, so that a round trip costs no more than its work: over a network each
one more is a wait. With sessions and limits in *memory* (sessions in SQLite) the guard
asks nobody: what a store adds is the difference.
"""


class Turn(NamedTuple):
    """What one slice of requests has taken.

    Args:
        cpu: microseconds of the server per request.
        store: the same of its store.
        wall: seconds per request.
    """

    cpu: float
    store: float
    wall: float


@dataclass(slots=True)
class Yard:
    """The stores that are running.

    Args:
        redis: of ringfence.
        stack: of today's stack: apart, so that counts are of one target only.
        cluster: three nodes.
        postgres: with a database for each.
        address: of ringfence's database, and the same through ``proxy``.
        plain: of the other one, for SQLAlchemy.
        proxy: counts round trips.
    """

    redis: Valkey
    stack: Valkey
    cluster: Cluster
    postgres: Postgres
    address: str
    counted: str
    plain: str
    proxy: Proxy

    def settings(self) -> dict[str, dict[str, str]]:
        """Return the settings of each target."""
        ours = {
            "RINGFENCE_IDENTITY_SESSIONS": "database",
            "RINGFENCE_IDENTITY_SIGN_INS_PER_ADDRESS": "1000",
            "RINGFENCE_IDENTITY_SIGN_INS_GLOBAL": "1000",
        }
        rows = {**ours, "RINGFENCE_STORE": "memory://"}
        return {
            BARE: {},
            STACK: {REDIS: self.stack.url},
            MEMORY: {**ours, "RINGFENCE_STORE": "memory://"},
            OURS: {**ours, "RINGFENCE_STORE": self.redis.url},
            NODES: {**ours, "RINGFENCE_STORE": self.cluster.url},
            ROWS: {**rows, "RINGFENCE_DATABASE": self.address},
            SELECT: {POSTGRES: self.plain},
            COUNTED: {**rows, "RINGFENCE_DATABASE": self.counted},
        }

    def store_seconds(self, target: str) -> float:
        """Return the CPU time that the store of a target has spent so far."""
        pids = {
            STACK: [self.stack.pid],
            OURS: [self.redis.pid],
            NODES: [node.pid for node in self.cluster.nodes],
        }.get(target, [])
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


@contextmanager
def _yard() -> Iterator[Yard]:
    with (
        running_valkey() as redis,
        running_valkey() as stack,
        running_cluster() as cluster,
        running_postgres(tcp=True) as postgres,
        postgres.database() as ours,
        postgres.database() as others,
        running_proxy(postgres.port) as proxy,
    ):
        yield Yard(
            redis,
            stack,
            cluster,
            postgres,
            address=ours.address(),
            counted=ours.address(proxy.port),
            plain=others.url("psycopg"),
            proxy=proxy,
        )


def section(*, rounds: int = 40) -> Section:
    """Measure; return the tables.

    Args:
        rounds: how often each target has its turn.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, _yard() as yard:
        settings = yard.settings()
        with serving(settings, Path(folder), OUT_OF_REACH, settings) as servers:
            everybody = {server.target: _sessions(server) for server in servers}
            timed = [server for server in servers if server.target != COUNTED]
            turns = uvloop.run(_turns(timed, everybody, yard, rounds))
            found = {target: sessions[0] for target, sessions in everybody.items()}
            alone = _alone(found, rounds)
            counts = _counts(found, yard)
    lines = (
        *HEADING.format(rounds=rounds, slice=SLICE).splitlines(),
        "",
        *_table(turns, alone),
        "",
        *_counted(counts),
    )
    return Section(
        "What a request costs with stores in other processes",
        lines,
        tuple(_figures(turns, alone, counts)),
    )


def _sessions(server: Server) -> list[Visit]:
    """Sign in once for each connection, each time as somebody else."""
    is_alone = server.target in {BARE, SELECT, COUNTED}  # nobody, or one is enough
    return [
        visits(server, f"bench{number}@shop.example")["GET"]
        for number in range(1 if is_alone else CONNECTIONS)
    ]


async def _turns(
    servers: Sequence[Server],
    everybody: dict[str, list[Visit]],
    yard: Yard,
    rounds: int,
) -> dict[str, list[Turn]]:
    loads: dict[str, Load] = {}
    for server in servers:
        first, *others = everybody[server.target]
        load = loads[server.target] = Load(first, others=others)
        await load.open()
        await load.send(SLICE)  # warm up: imports, caches
    turns: dict[str, list[Turn]] = {server.target: [] for server in servers}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", end="\r", file=sys.stderr, flush=True)
        for server in random.sample(servers, len(servers)):
            target = server.target
            before = server.cpu_seconds(), yard.store_seconds(target)
            started = time.perf_counter()
            await loads[target].send(SLICE)
            wall = time.perf_counter() - started
            after = server.cpu_seconds(), yard.store_seconds(target)
            cpu, store = (
                (late - early) / SLICE * 1e6
                for early, late in zip(before, after, strict=True)
            )
            turns[target].append(Turn(cpu, store, wall / SLICE))
    return turns


def _alone(found: dict[str, Visit], rounds: int) -> dict[str, list[float]]:
    """Return the median seconds of requests that nobody else is beside, of each round:
    the wait for a store shows in it."""
    medians: dict[str, list[float]] = {target: [] for target in found}
    for _ in range(max(5, rounds // 4)):
        for target, visit in random.sample(list(found.items()), len(found)):
            seconds = _one_by_one(visit, ALONE // 2)
            medians[target].append(statistics.median(seconds))
    return medians


def _one_by_one(visit: Visit, times: int) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", visit.port, timeout=30)
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        connection.request(visit.method, visit.path, None, visit.headers)
        response = connection.getresponse()
        response.read()
        seconds.append(time.perf_counter() - started)
        if response.status != 200:
            raise RuntimeError(f"{visit.path}: {response.status}")
    connection.close()
    return seconds


class Count(NamedTuple):
    """What a store has been asked.

    Args:
        target: who has asked.
        trips: per request.
        what: that was, and where it was counted.
    """

    target: str
    trips: float
    what: str


def _counts(found: dict[str, Visit], yard: Yard) -> dict[str, Count]:
    counts = {}
    for target, server in ((OURS, yard.redis), (STACK, yard.stack)):
        visit = found[target]
        _one_by_one(visit, 10)
        with server.client() as client:
            client.config_resetstat()
            own = int(client.info("stats")["total_reads_processed"])
            _one_by_one(visit, COUNTS)
            stats, calls = client.info("stats"), client.info("commandstats")
        # The second INFO is one more read; what is left over a whole number is who
        # looks once a second whether the server is still the same one.
        reads = int(stats["total_reads_processed"]) - own - 1
        scripts = int(calls.get("cmdstat_evalsha", {}).get("calls", 0))
        what = f"reads of the server; {scripts / COUNTS:.3f} EVALSHA"
        counts[target] = Count(target, reads / COUNTS, what)
    visit = found[COUNTED]
    _one_by_one(visit, 10)
    yard.proxy.forget()
    before = yard.proxy.round_trips
    _one_by_one(visit, COUNTS)
    trips = (yard.proxy.round_trips - before) / COUNTS
    counts[ROWS] = Count(ROWS, trips, "by a proxy before the server")
    return counts


def _ratios(
    turns: dict[str, list[Turn]], target: str, of: Callable[[Turn], float]
) -> list[float]:
    return [
        of(mine) / of(bare)
        for mine, bare in zip(turns[target], turns[BARE], strict=True)
    ]


def _cpu(turn: Turn) -> float:
    return turn.cpu


def _throughput(turn: Turn) -> float:
    return 1 / turn.wall


def _table(
    turns: dict[str, list[Turn]], alone: dict[str, list[float]]
) -> Iterator[str]:
    yield (
        "| target | CPU µs/request | CPU x bare (quartiles) | store, µs "
        "| throughput, share of bare | one alone, ms |"
    )
    yield "|---|---:|---:|---:|---:|---:|"
    for target, own in turns.items():
        ratios = _ratios(turns, target, _cpu)
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        store = statistics.median(turn.store for turn in own)
        share = statistics.median(_ratios(turns, target, _throughput))
        yield (
            f"| {target} | {statistics.median(map(_cpu, own)):.0f} "
            f"| **{middle:.2f}** ({low:.2f} to {high:.2f}) "
            f"| {f'{store:.0f}' if store else ''} | {share:.0%} "
            f"| {statistics.median(alone[target]) * 1e3:.2f} |"
        )


def _counted(counts: dict[str, Count]) -> Iterator[str]:
    yield f"| {COUNTS} requests one after the other | round trips each | counted |"
    yield "|---|---:|---|"
    for target, trips, what in counts.values():
        yield f"| {target} | {trips:.2f} | {what} |"


def _figures(
    turns: dict[str, list[Turn]],
    alone: dict[str, list[float]],
    counts: dict[str, Count],
) -> Iterator[Figure]:
    cpu = {t: statistics.median(_ratios(turns, t, _cpu)) for t in turns}
    share = {t: statistics.median(_ratios(turns, t, _throughput)) for t in turns}
    yield Figure(
        "CPU of a GET, every layer on, on Redis",
        f"{cpu[STACK]:.2f} x bare Starlette",
        f"{CPU_GOAL} x",
        f"{cpu[OURS]:.2f} x",
        kept=cpu[OURS] <= CPU_GOAL,
    )
    yield Figure(
        "throughput on Redis, 32 connections",
        f"{share[STACK]:.0%} of bare Starlette",
        f"{SHARE_GOAL:.0%}",
        f"{share[OURS]:.0%}",
        kept=share[OURS] >= SHARE_GOAL,
    )
    yield Figure(
        "round trips to Redis a request",
        f"{counts[STACK].trips:.2f}",
        "1",
        f"{counts[OURS].trips:.2f}",
        kept=round(counts[OURS].trips, 1) == 1,
    )
    yield Figure(
        "round trips to PostgreSQL a request",
        "",
        "1",
        f"{counts[ROWS].trips:.2f}",
        kept=round(counts[ROWS].trips, 1) <= 1,
    )
    yield Figure(
        "CPU of a GET, sessions in PostgreSQL",
        f"{cpu[SELECT]:.2f} x, a plain select by SQLAlchemy",
        "less than that select",
        f"{cpu[ROWS]:.2f} x",
        kept=cpu[ROWS] < cpu[SELECT],
    )
    ratio = statistics.median(
        mine / single for mine, single in zip(alone[NODES], alone[OURS], strict=True)
    )
    yield Figure(
        "a request alone on three nodes, beside one server",
        "",
        f"{LATENCY_GOAL} x the time",
        f"{ratio:.2f} x",
        kept=ratio <= LATENCY_GOAL,
    )


if __name__ == "__main__":
    one = section(rounds=int(os.environ.get("ROUNDS", "20")))
    print("\n".join(one.lines))
    for figure in one.figures:
        print(figure)
