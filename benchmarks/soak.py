"""A million requests of all kinds against one worker: does anything grow without end?

    make soak                            a million requests, some ten minutes
    make soak ARGS="--requests 100000"   fewer
    make soak ARGS="--only Redis"        one kind of store

Visitors come from thousands of addresses, read, sign in and out, ask for what is not
there, and are refused: for a foreign origin, a planted cookie, a wrong password; one
address floods all the while. The worker's memory is looked at fifty times: after it
has warmed up it must not grow by more than a twentieth. In Redis every key must have an
end, so that there are never more than come in that time. Whatever is answered otherwise
than it has to be ends the run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvloop
from benchmarks.servers import Server, serving
from benchmarks.visitor import HEADERS, PASSWORD
from redis import Redis
from tests.servers.valkey import Valkey, running_valkey

REQUESTS = 1_000_000
VISITORS, FLOODERS = 28, 4  # one connection each
ACCOUNTS = 60
STAY = 5  # requests from one address: caches of clients are full before it counts
LOOKS = 50
WARM = 0.4  # share of the requests after which memory must stay
GOAL = 0.05  # by which it may grow all the same
LONGEST = 31 * 86_400  # seconds; the longest period of a limit
GONE = -2  # what Redis says of a key that is no more
PATIENCE = 30.0  # seconds for one answer
TARGET = "mixed + ringfence"
SETTINGS = {
    "RINGFENCE_IDENTITY_SESSIONS": "database",
    "RINGFENCE_IDENTITY_SIGN_INS_PER_ADDRESS": "100000",
    "RINGFENCE_IDENTITY_SIGN_INS_GLOBAL": "100000",
    "RINGFENCE_IDENTITY_SIGN_IN_FAILURES": "100",
    "RINGFENCE_IDENTITY_REGISTRATIONS_PER_ADDRESS": "100000",
    "RINGFENCE_IDENTITY_REGISTRATIONS_GLOBAL": "100000",
    "RINGFENCE_IDENTITY_SPRAY_ACCOUNTS": "1000",
    "RINGFENCE_IDENTITY_SPRAY_ACCOUNTS_GLOBAL": "1000",
    "RINGFENCE_TRAFFIC_LIMITS_ACCOUNT": "100000/minute",
}
"""Other limits than that of an address are out of reach: the flood is what they refuse,
and everybody else is to get through."""

KINDS = {
    "read": (600, {200}),
    "read, nobody": (150, {200}),
    "write": (60, {200}),
    "not there": (80, {404}),
    "from elsewhere": (40, {403}),
    "closed to nobody": (40, {401}),
    "planted cookie": (20, {401}),
    "sign out": (2, {204}),
    "wrong password": (1, {401}),
}
"""How often each comes, and what it has to be answered. Who is signed out signs in."""

BODY = json.dumps({"name": "a new item"}).encode()


@dataclass(slots=True)
class Tally:
    """What has been sent and seen.

    Args:
        total: how many requests there will be.
    """

    total: int
    sent: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    flood: Counter[int] = field(default_factory=Counter)
    addresses: int = 0
    resident: list[tuple[int, int]] = field(default_factory=list)
    kept: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return self.sent >= self.total


class Wire(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is of no kind

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Return the status and the head of the answer."""
        if self._transport is None:
            raise RuntimeError("not connected")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await asyncio.wait_for(self._answer, PATIENCE)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or self._answer is None:
            return
        lower = head.lower()
        _, told, rest = lower.partition(b"\r\ncontent-length: ")
        length = int(rest.partition(b"\r\n")[0]) if told else 0
        if len(body) >= length:
            self._received = b""
            self._answer.set_result((int(head[9:12]), head))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(RuntimeError(f"connection lost: {exc}"))


class Visitor:
    """Comes from one address after the other, signed in or not.

    Args:
        number: tells visitors apart.
        port: of the server.
        tally: of all.
    """

    def __init__(self, number: int, port: int, tally: Tally) -> None:
        self._random = random.Random(number)
        self._port = port
        self._tally = tally
        self._cookie = ""

    async def stay(self) -> None:
        """Send requests until all are sent."""
        kinds = list(KINDS)
        weights = [weight for weight, _ in KINDS.values()]
        while not self._tally.is_over:
            wire = await self._arrive()
            for kind in self._random.choices(kinds, weights, k=STAY):
                if not self._cookie:
                    await self._sign_in(wire)
                await self._send(wire, kind)
            wire.close()

    async def _arrive(self) -> Wire:
        self._tally.addresses += 1
        address = ".".join(
            ["127", *(str(self._random.randrange(1, 250)) for _ in "abc")]
        )
        _, wire = await asyncio.get_running_loop().create_connection(
            Wire, "127.0.0.1", self._port, local_addr=(address, 0)
        )
        return wire

    async def _send(self, wire: Wire, kind: str) -> None:
        status, _ = await wire.ask(self._request(kind))
        self._tally.sent += 1
        self._tally.kinds[kind] += 1
        if status not in KINDS[kind][1]:
            raise RuntimeError(f"{kind}: answered {status}")
        if kind == "sign out":
            self._cookie = ""

    def _request(self, kind: str) -> bytes:
        there, somewhere = "/items", f"/{self._random.getrandbits(64):x}"
        ours = {"Origin": f"http://127.0.0.1:{self._port}"}
        foreign = {"Origin": "https://evil.example", "Sec_Fetch_Site": "cross-site"}
        planted = f"session-{self._port}={self._random.getrandbits(256):x}"
        guess = {"email": self._email(), "password": "a wrong password, for once"}
        requests: dict[str, Callable[[], bytes]] = {
            "read": lambda: self.raw("GET", there),
            "read, nobody": lambda: self.raw("GET", "/open", cookie=""),
            "write": lambda: self.raw("POST", there, BODY, **ours),
            "not there": lambda: self.raw("GET", somewhere),
            "from elsewhere": lambda: self.raw("POST", there, BODY, **foreign),
            "closed to nobody": lambda: self.raw("GET", there, cookie=""),
            "planted cookie": lambda: self.raw("GET", there, cookie=planted),
            "sign out": lambda: self.raw("POST", "/auth/logout", b"{}", **ours),
            "wrong password": lambda: self.raw(
                "POST", "/auth/login", json.dumps(guess).encode(), cookie=""
            ),
        }
        return requests[kind]()

    def _email(self) -> str:
        return f"soak{self._random.randrange(ACCOUNTS)}@shop.example"

    async def _sign_in(self, wire: Wire) -> None:
        body = json.dumps({"email": self._email(), "password": PASSWORD}).encode()
        status, head = await wire.ask(self.raw("POST", "/auth/login", body, cookie=""))
        self._tally.sent += 1
        self._tally.kinds["sign in"] += 1
        cookies = [
            line.partition(": ")[2].partition(";")[0]
            for line in head.decode("latin-1").split("\r\n")
            if line.lower().startswith("set-cookie: session")
        ]
        if status >= 300 or not cookies:
            raise RuntimeError(f"sign in: answered {status}")
        self._cookie = cookies[-1]

    def raw(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        cookie: str | None = None,
        **more: str,
    ) -> bytes:
        """Return a request as it goes over the wire."""
        cookie = self._cookie if cookie is None else cookie
        more = {name.replace("_", "-"): value for name, value in more.items()}
        fields = {"Host": f"127.0.0.1:{self._port}", **HEADERS, **more}
        if cookie:
            fields["Cookie"] = cookie
        if body:
            fields |= {
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
            }
        lines = [f"{name}: {value}" for name, value in fields.items()]
        head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines])
        return head.encode("latin-1") + b"\r\n\r\n" + body


async def flood(port: int, tally: Tally) -> None:
    """Ask from one address, whatever is answered, a tenth of all requests."""
    _, wire = await asyncio.get_running_loop().create_connection(
        Wire, "127.0.0.1", port, local_addr=("127.0.0.9", 0)
    )
    request = Visitor(0, port, tally).raw("GET", "/open")
    while not tally.is_over:
        if tally.flood.total() > tally.sent // 10:
            await asyncio.sleep(0.001)
            continue
        status, _ = await wire.ask(request)
        tally.sent += 1
        tally.flood[status] += 1
    wire.close()


async def watch(server: Server, store: Valkey | None, tally: Tally) -> None:
    """Look at the worker and its store every so many requests."""
    step = tally.total // LOOKS
    began = time.monotonic()
    while not tally.is_over:
        if tally.sent < step * (len(tally.resident) + 1):
            await asyncio.sleep(0.05)
            continue
        resident = _resident(server.process.pid)
        tally.resident.append((tally.sent, resident))
        said = f"{tally.sent:>9,} requests, worker {resident / 1e6:6.1f} MB"
        if store is not None:
            with store.client() as client:
                keys, memory = client.dbsize(), client.info("memory")["used_memory"]
            tally.kept.append((tally.sent, keys, memory))
            said += f", store {memory / 1e6:5.1f} MB in {keys:,} keys"
        rate = tally.sent / (time.monotonic() - began)
        print(f"{said}, {rate:,.0f} a second", file=sys.stderr, flush=True)


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def soak(server: Server, store: Valkey | None, total: int) -> Tally:
    """Send all requests; return what was seen.

    Raises:
        RuntimeError: something was answered otherwise than it has to be.
    """
    tally = Tally(total)
    await _register(server.port)
    async with asyncio.TaskGroup() as group:
        for number in range(1, VISITORS + 1):
            group.create_task(Visitor(number, server.port, tally).stay())
        for _ in range(FLOODERS):
            group.create_task(flood(server.port, tally))
        group.create_task(watch(server, store, tally))
    return tally


async def _register(port: int) -> None:
    _, wire = await asyncio.get_running_loop().create_connection(
        Wire, "127.0.0.1", port
    )
    visitor = Visitor(0, port, Tally(0))
    for number in range(ACCOUNTS):
        account = {"email": f"soak{number}@shop.example", "password": PASSWORD}
        body = json.dumps(account).encode()
        status, _ = await wire.ask(visitor.raw("POST", "/auth/register", body))
        if status >= 300:
            raise RuntimeError(f"registration: answered {status}")
    wire.close()


@contextmanager
def _stored(kind: str) -> Iterator[tuple[dict[str, str], Valkey | None]]:
    if kind == "SQLite":
        yield {}, None
        return
    with running_valkey() as server:
        yield {"RINGFENCE_STORE": server.url}, server


def verdicts(tally: Tally, store: Valkey | None) -> Iterator[tuple[str, bool]]:
    """Yield what must hold, and whether it does."""
    warm = [size for sent, size in tally.resident if sent >= tally.total * WARM]
    few = max(1, len(warm) // 6)
    before, after = statistics.median(warm[:few]), statistics.median(warm[-few:])
    grown = after / before - 1
    sizes = f"{before / 1e6:.1f} to {after / 1e6:.1f} MB"
    share = f"{grown:.1%} after the first {WARM:.0%} of the requests"
    yield f"the worker has grown from {sizes}, {share}", grown < GOAL
    refused = tally.flood[429] / max(1, sum(tally.flood.values()))
    yield f"{refused:.1%} of the flood was refused", refused > 0
    if store is None:
        return
    lasting = _lasting(store)
    endless = [key for key, seconds in lasting.items() if seconds == -1]
    longest = max(lasting.values())
    yield f"keys without an end: {endless or 'none'}, of {len(lasting):,}", not endless
    yield f"the longest is kept for {longest / 3600:.1f} hours more", longest < LONGEST


def _lasting(store: Valkey) -> dict[str, int]:
    """Return for how many seconds more each key is kept. Redis is never the authority:
    there is nothing that must last."""
    with Redis(unix_socket_path=str(store.socket)) as client:
        keys = list(client.scan_iter(count=1000))
        found = {repr(key): client.ttl(key) for key in keys}
    return {key: seconds for key, seconds in found.items() if seconds != GONE}


def run(kind: str, total: int) -> bool:
    """Soak one kind of store, and print what was seen; return whether all holds."""
    print(f"\n{kind}: {total:,} requests", file=sys.stderr, flush=True)
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as folder,
        _stored(kind) as (settings, store),
        serving([TARGET], Path(folder), {**SETTINGS, **settings}) as (server,),
    ):
        tally = uvloop.run(soak(server, store, total))
        cpu = server.cpu_seconds() / tally.sent * 1e6
        judged = list(verdicts(tally, store))
    print(f"\n{kind}: {tally.sent:,} requests in {time.monotonic() - began:.0f} s")
    print(f"  from {tally.addresses:,} addresses, {cpu:.0f} µs of CPU each")
    print(f"  {dict(tally.kinds.most_common())}, flood {dict(tally.flood)}")
    for said, holds in judged:
        print(f"  {'kept  ' if holds else 'MISSED'} {said}")
    return all(holds for _, holds in judged)


def main() -> int:
    """Soak, and return what a shell takes for success."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--requests", type=int, default=REQUESTS, help="of all stores together"
    )
    kinds = ("Redis", "SQLite")
    parser.add_argument("--only", choices=kinds, help="one kind of store")
    arguments = parser.parse_args()
    chosen = [arguments.only] if arguments.only else list(kinds)
    held = [run(kind, arguments.requests // len(chosen)) for kind in chosen]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
