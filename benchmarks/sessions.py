"""What a million sessions in memory take, and what recognising one costs.

    python -m benchmarks.sessions              about two minutes
    python -m benchmarks.sessions --quick      a tenth of the sessions

Each store is filled in a process of its own with sessions of as many accounts; memory
is what the process has grown by (RSS), so that arrays, dictionaries and what the
allocator wastes all count. Times are CPU time, the least of many rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from importlib.util import find_spec
from pathlib import Path

from benchmarks.report import Figure, Section

from ringfence.exchange import Exchange
from ringfence.identity.session_cookie import SessionCookie
from ringfence.identity.session_hint import SessionHints
from ringfence.identity.sessions import Lifetime, Sessions
from ringfence.identity.tokens.bearer import Credentials
from ringfence.identity.tokens.cookies import TokenCookies
from ringfence.stores.contracts import AccountRecord, SessionRecord, Stores
from ringfence.stores.memory import MemoryStores
from ringfence.stores.memory_sessions import SessionTable
from ringfence.stores.open import open_stores

MANY = 1_000_000
BUDGET = 300  # bytes a session, with its index by account
ROUNDS, TIMES = 30, 2_000
AGENT = b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
_PAGE = os.sysconf("SC_PAGE_SIZE")

Fill = Callable[[int], Coroutine[None, None, object]]


async def fill_ours(count: int) -> object:
    """Fill the table that ``identity.sessions=memory`` keeps."""
    table, worst = SessionTable(), 0.0
    for number in range(count):
        record = _session(number)
        started = time.process_time()
        table.add(record, epoch=0)
        worst = max(worst, time.process_time() - started)
    print(f"worst {worst * 1e3:.1f}")
    return table


async def fill_dictionaries(count: int) -> object:
    """Fill what one would write at first: a dictionary of records, and one of sets."""
    records: dict[bytes, SessionRecord] = {}
    by_account: dict[str, set[bytes]] = {}
    for number in range(count):
        record = _session(number)
        records[record.token_hash] = record
        by_account.setdefault(record.account_id, set()).add(record.token_hash)
    return records, by_account


async def fill_starsessions(count: int) -> object:
    """Fill its store in memory, which has no index by account and no bound."""
    from starsessions import InMemoryStore, JsonSerializer  # noqa: PLC0415 - the peer

    store, serialize = InMemoryStore(), JsonSerializer().serialize
    for number in range(count):
        record = _session(number)
        data = serialize(
            {
                "account": record.account_id,
                "created": record.created,
                "address": record.address,
                "device": record.device,
            }
        )
        await store.write(record.public_id, data, lifetime=1800, ttl=1800)
    return store


FILLS: dict[str, Fill] = {
    "ringfence, identity.sessions=memory": fill_ours,
    "starsessions InMemoryStore (no index, no bound)": fill_starsessions,
    "dictionaries of records": fill_dictionaries,
}


def _session(number: int) -> SessionRecord:
    address = f"198.{number % 250}.{number // 250 % 250}.7"
    now = 1.7e9 + number * 1e-3
    return SessionRecord(
        token_hash=os.urandom(32),
        public_id=_name(),
        account_id=_name(),
        roles=frozenset(),
        factors=frozenset({"password"}),
        created=now,
        last_seen=now,
        address=address,
        device="Firefox on Windows",
        proved=now,
        last_network=address,
        last_device="Firefox on Windows",
    )


def _account(account_id: str) -> AccountRecord:
    return AccountRecord(
        id=account_id,
        email=account_id,
        email_key=account_id,
        password_hash="",
        roles=frozenset(),
        disabled=False,
        created=0.0,
    )


def _name() -> str:
    """Return 128 random bits as the identity room writes them: 22 characters."""
    return os.urandom(11).hex()


def measure_fill(name: str, count: int) -> None:
    """Fill one store in this process, and print what it takes."""
    gc.collect()
    before, started = _resident(), time.process_time()
    kept: object = asyncio.run(FILLS[name](count))
    seconds = time.process_time() - started
    gc.collect()
    print(f"bytes {(_resident() - before) / count:.0f}\nseconds {seconds:.1f}")
    del kept


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


async def measure_stage(stores: Stores) -> float:
    """Return microseconds of the session stage for a session seen a moment ago."""
    await stores.start()
    account = _account("id")
    await stores.accounts.add(account)
    sessions = Sessions(
        stores.sessions,
        SessionCookie(development=False),
        SessionHints(lambda: (b"a key of this benchmark only",), written=False),
        Lifetime(idle=1800, absolute=43200),
        record=lambda event: None,
        clock=time.time,
        credentials=Credentials(None, TokenCookies(development=False), clock=time.time),
    )
    first = _request(b"")
    await sessions.begin(account, first, factors=frozenset({"password"}))
    cookie = first.response_headers[-1][1].partition(b";")[0]
    exchange = _request(b"theme=dark; " + cookie)
    rounds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(TIMES):
            said = sessions.authenticate(exchange)
            if isinstance(said, Awaitable):
                await said
        rounds.append((time.process_time() - started) / TIMES * 1e6)
    if exchange.principal is None:
        raise RuntimeError("the session was not recognised")
    await stores.stop()
    return min(rounds)


def _request(cookie: bytes) -> Exchange:
    headers = [(b"host", b"shop.example"), (b"user-agent", AGENT), (b"cookie", cookie)]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    exchange = Exchange(scope, _nothing)
    exchange.client = exchange.network = "198.51.100.7"
    return exchange


async def _nothing() -> dict[str, str]:
    return {"type": "http.disconnect"}


async def measure_cold(count: int) -> float:
    """Return microseconds of a read that was not made lately."""
    stores = MemoryStores()
    await stores.start()
    tokens = []
    for number in range(count):
        record = _session(number)
        await stores.accounts.add(_account(record.account_id))
        await stores.sessions.add(record, epoch=0, replaces=None)
        tokens.append(record.token_hash)
    started = time.process_time()
    for token in tokens:
        await stores.sessions.read(token)
    return (time.process_time() - started) / count * 1e6


def section(*, quick: bool = False) -> Section:
    """Measure; return the tables of memory and of time."""
    count = MANY // 10 if quick else MANY
    names = [
        name
        for name in FILLS
        if "starsessions" not in name or find_spec("starsessions") is not None
    ]
    found = {name: _in_process(name, count) for name in names}
    lines = [
        f"{count:,} sessions, of as many accounts.",
        "",
        "| store | bytes each | CPU s to fill | longest single addition, ms |",
        "|---|---:|---:|---:|",
    ]
    for name, told in found.items():
        worst = told.get("worst", "")
        lines.append(f"| {name} | {told['bytes']} | {told['seconds']} | {worst} |")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file, beside = (f"sqlite:///{folder}/{name}.db" for name in ("a", "b"))
        stages = {
            "SQLite": open_stores(file),
            "memory": open_stores("memory://"),
            "memory, accounts in SQLite": open_stores(beside, "memory"),
        }
        lines += [
            "",
            "| recognising a session | CPU µs |",
            "|---|---:|",
            *(
                f"| {name} | {asyncio.run(measure_stage(stores)):.2f} |"
                for name, stores in stages.items()
            ),
            f"| a first read in memory | {asyncio.run(measure_cold(20_000)):.2f} |",
        ]
    ours, *others = names
    figure = Figure(
        f"{count:,} sessions in memory, with their index by account",
        "; ".join(f"{name}: {found[name]['bytes']}" for name in others),
        f"{BUDGET} bytes each",
        f"{found[ours]['bytes']} bytes each",
        kept=float(found[ours]["bytes"]) <= BUDGET,
    )
    return Section("What sessions in memory take", tuple(lines), (figure,))


def _in_process(name: str, count: int) -> dict[str, str]:
    command = [sys.executable, "-m", "benchmarks.sessions", "--fill", name]
    told = subprocess.run(
        [*command, "--count", str(count)], check=True, capture_output=True, text=True
    )
    return dict(line.split() for line in told.stdout.splitlines())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the sessions")
    parser.add_argument("--fill", choices=list(FILLS), help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=MANY, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.fill:
        measure_fill(arguments.fill, arguments.count)
    else:
        print("\n".join(section(quick=arguments.quick).lines))


if __name__ == "__main__":
    main()
