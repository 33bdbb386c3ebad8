"""What a storm of sign-ins costs everybody else.

Eight clients sign in without end, while four others ask for another page every ten
milliseconds. Slices without and with the storm take turns, so that both meet the same
machine. Measured at OWASP's floor and at the cost that was calibrated here.

Then, what the time of a refused sign-in tells about the account behind it.

    python -m benchmarks.signin     about three quarters of a minute
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import uvloop
from benchmarks.report import Figure, Section
from benchmarks.servers import Server, data_of, serving
from benchmarks.visitor import PASSWORD, visits

from ringfence.identity.passwords.calibrate import FILE, UNMEASURED, calibrate

TARGET = "starlette + ringfence"
BUDGET = {"OWASP's floor": 2.0, "calibrated": 3.0}
SIGNING_IN = 8
PROBES = 4
TRIES = 5
PACE = 0.01  # seconds between two requests of one probe
MEMORY_KIB = 256 * 1024
HEADING = (
    "| cost of a hash | meanwhile | p50 ms | p95 ms | p99 ms | p99 x idle "
    "| sign-ins/s | median sign-in, ms |"
)
# Limits are counted and never reached.
SETTINGS = {
    "RINGFENCE_IDENTITY_SIGN_INS_PER_ADDRESS": "1000000",
    "RINGFENCE_IDENTITY_SIGN_INS_GLOBAL": "1000000",
    "RINGFENCE_IDENTITY_SIGN_IN_FAILURES": "100",
    "RINGFENCE_IDENTITY_SPRAY_ACCOUNTS": "1000",
    "RINGFENCE_TRAFFIC_LIMITS_ADDRESS": "100000000/minute",
    "RINGFENCE_TRAFFIC_LIMITS_ACCOUNT": "100000000/minute",
}


@dataclass
class Seen:
    """What was measured at one cost, in seconds."""

    idle: list[float] = field(default_factory=list)
    storm: list[float] = field(default_factory=list)
    sign_ins: list[float] = field(default_factory=list)
    busy: int = 0
    lasted: float = 0.0


def section(*, rounds: int = 3, seconds: float = 1.2) -> Section:
    """Measure; return the table.

    Args:
        rounds: pairs of slices at each cost.
        seconds: of a slice.
    """
    lines = [HEADING, "|---|---|---:|---:|---:|---:|---:|---:|"]
    figures = []
    told: list[str] = []
    for name, budget in BUDGET.items():
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            cost = _prepare(Path(folder), is_calibrated=name == "calibrated")
            with serving([TARGET], Path(folder), SETTINGS) as (server,):
                seen = uvloop.run(measure(server, rounds, seconds))
                if name == "calibrated":
                    told = uvloop.run(told_by_time(server, Path(folder)))
        idle, storm = _percentiles(seen.idle), _percentiles(seen.storm)
        ratio = storm[2] / idle[2]
        rate = len(seen.sign_ins) / seen.lasted
        middle = statistics.median(seen.sign_ins) * 1000
        lines.append(f"| {name}, {cost} | no sign-ins | {_row(idle)} | | | |")
        lines.append(
            f"| | {SIGNING_IN} without end | {_row(storm)} | **{ratio:.2f}** "
            f"| {rate:.1f} | {middle:.0f} |"
        )
        if seen.busy:
            lines.append(f"| | {seen.busy} were told to come again | | | | | | |")
        figures.append(
            Figure(
                f"p99 of another page beside {SIGNING_IN} endless sign-ins, {name}",
                "",
                f"{budget:.0f} x idle",
                f"{ratio:.2f} x idle",
                kept=ratio <= budget,
            )
        )
    return Section(
        "What a storm of sign-ins costs others", (*lines, "", *told), tuple(figures)
    )


async def measure(server: Server, rounds: int, seconds: float) -> Seen:
    """Return how long requests took, without and with a storm beside them."""
    probe = visits(server)["GET"]
    probes = [await _Caller.open(server.port, probe.raw()) for _ in range(PROBES)]
    signing = [await _customer(server.port, number) for number in range(SIGNING_IN)]
    seen = Seen()
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", end="\r", file=sys.stderr, flush=True)
        await _ask_all(probes, seconds / 4, [])  # warm up
        await _ask_all(probes, seconds, seen.idle)
        began = time.perf_counter()
        ended = asyncio.Event()
        storm = [
            asyncio.create_task(_sign_in_until(ended, caller, seen))
            for caller in signing
        ]
        await asyncio.sleep(seconds / 4)  # the queue fills
        await _ask_all(probes, seconds, seen.storm)
        ended.set()
        await asyncio.gather(*storm)
        seen.lasted += time.perf_counter() - began
        await asyncio.sleep(seconds / 10)
    for caller in (*probes, *signing):
        caller.close()
    return seen


async def told_by_time(server: Server, folder: Path) -> list[str]:
    """Return a table: how long a refusal takes, by what is kept of the account."""
    database = data_of(TARGET, folder) / "ringfence.db"
    kept = {
        "Argon2id, calibrated": None,
        "no such account": None,
        "no password": "",
        "bcrypt, cost 12": f"$2b$12${'C' * 21}.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "PBKDF2, 600,000 rounds": f"pbkdf2_sha256$600000$salt${'A' * 43}",
    }
    callers: dict[str, _Caller] = {}
    for number, (kind, stored) in enumerate(kept.items()):
        who = 1000 if kind == "no such account" else number
        request = _submission(server.port, "login", who, "not the pass phrase")
        callers[kind] = await _Caller.open(server.port, request)
        if stored is not None:
            _plant(database, f"customer{number}@shop.example", stored)
    took: dict[str, list[float]] = {kind: [] for kind in kept}
    for _ in range(TRIES):
        for kind, caller in callers.items():
            began = time.perf_counter()
            if await caller.ask() != 401:
                raise RuntimeError(f"{kind}: the wrong password was not refused")
            took[kind].append(time.perf_counter() - began)
    return [
        "| kept of the account | median ms to refuse a wrong password |",
        "|---|---:|",
        *(f"| {kind} | {statistics.median(took[kind]) * 1000:.0f} |" for kind in kept),
    ]


def _plant(database: Path, email: str, stored: str) -> None:
    with sqlite3.connect(database, timeout=10) as opened:
        opened.execute(
            "UPDATE ringfence_accounts SET password_hash = ? WHERE email = ?",
            [stored, email],
        )
    opened.close()


async def _customer(port: int, number: int) -> _Caller:
    """Make an account, and return who will sign in to it."""
    registering = await _Caller.open(port, _submission(port, "register", number))
    signing_in = await _Caller.open(port, _submission(port, "login", number))
    status = await registering.ask()
    registering.close()
    if status != 202:
        raise RuntimeError(f"a registration answered {status}")
    return signing_in


def _submission(port: int, path: str, number: int, password: str = PASSWORD) -> bytes:
    account = {"email": f"customer{number}@shop.example", "password": password}
    body = json.dumps(account).encode()
    head = (
        f"POST /auth/{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _ask_all(callers: list[_Caller], seconds: float, took: list[float]) -> None:
    until = time.perf_counter() + seconds

    async def ask(caller: _Caller) -> None:
        while (began := time.perf_counter()) < until:
            status = await caller.ask()
            spent = time.perf_counter() - began
            if status != 200:
                raise RuntimeError(f"the other page answered {status}")
            took.append(spent)
            await asyncio.sleep(max(0.0, PACE - spent))

    await asyncio.gather(*map(ask, callers))


async def _sign_in_until(ended: asyncio.Event, caller: _Caller, seen: Seen) -> None:
    while not ended.is_set():
        began = time.perf_counter()
        status = await caller.ask()
        if status == 503:
            seen.busy += 1
        elif status != 200:
            raise RuntimeError(f"a sign-in answered {status}")
        else:
            seen.sign_ins.append(time.perf_counter() - began)


@dataclass
class _Caller:
    """One connection that sends the same request over and over."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    request: bytes

    @classmethod
    async def open(cls, port: int, request: bytes) -> _Caller:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        return cls(reader, writer, request)

    async def ask(self) -> int:
        """Send it; return the status of the answer."""
        self.writer.write(self.request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        await self.reader.readexactly(length)
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        self.writer.close()


def _prepare(folder: Path, *, is_calibrated: bool) -> str:
    """Write down a cost for the server, or none; return it in words."""
    found = UNMEASURED
    if is_calibrated:
        path = data_of(TARGET, folder) / FILE
        found = calibrate(path, target_ms=250, memory_kib=MEMORY_KIB, now=time.time())
    memory = found.cost.memory_kib // 1024
    return f"{memory} MiB x {found.cost.passes}, {found.seconds * 1000:.0f} ms"


def _percentiles(seconds: list[float]) -> tuple[float, float, float]:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return cuts[49] * 1000, cuts[94] * 1000, cuts[98] * 1000


def _row(percentiles: tuple[float, float, float]) -> str:
    return " | ".join(f"{value:.1f}" for value in percentiles)


if __name__ == "__main__":
    print("\n".join(section().lines))
