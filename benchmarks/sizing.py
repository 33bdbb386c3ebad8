"""What accounts, sessions and requests take in the stores: bytes, rows, WAL.

    python -m benchmarks.sizing                      about two minutes
    python -m benchmarks.sizing --accounts 1000000   about eight, 3 GB of disk

The figures of docs/guides/sizing.md. Real servers from their wheels, filled by the
stores themselves or with rows of the shape that they write; every table says what was
filled. Bytes are counted, so that neighbours of the machine change nothing; the one
time that is measured, of a password hash, is the least of several.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
from argon2 import PasswordHasher
from tests.servers.postgres import Database, running_postgres
from tests.servers.valkey import Valkey, running_valkey

from ringfence.audit.events import AccessRefused, SignedIn, SignInFailed
from ringfence.audit.log import open_log
from ringfence.audit.settings import AuditSettings
from ringfence.stores.contracts import (
    Charge,
    Question,
    SessionRecord,
    SharedStore,
    Use,
    counter_key,
)
from ringfence.stores.copied_sessions import _FORMAT, _encode
from ringfence.stores.open import open_shared, open_stores

_KEYS = 100_000
_AT_ONCE = 500
_TOUCHED = 2_000
_APART = 50  # rows
_BATCH = 500
_ASKED = 20_000
_WHO = 1_000  # accounts that ask
_HOUR = 3600.0
_PATIENT = "?timeout=60&connect_timeout=60"  # the machine may have neighbours
_BESIDE = 32
_DECIDED = 6_400
_HASHES = 5

_PASSED = (
    *("traffic.request_line", "traffic.client_ip", "traffic.host"),
    *("traffic.blocklist", "traffic.rate_limit", "guard.plan"),
    *("traffic.body_limit", "browser.fetch_metadata", "identity.sessions"),
)
_NOW = 1_790_000_000.0
_DEVICE = "Firefox on Linux"


def account_id(number: int) -> str:
    """Return an id as the guard makes them: 128 bits, 22 letters."""
    digest = sha256(b"account %d" % number).digest()[:16]
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def token_hash(number: int) -> bytes:
    """Return the hash of a session's token."""
    return sha256(b"session %d" % number).digest()


def session(number: int) -> SessionRecord:
    """Return a session as it is read with every request."""
    return SessionRecord(
        token_hash=token_hash(number),
        public_id=account_id(-number),
        account_id=account_id(number),
        roles=frozenset(),
        factors=frozenset({"password"}),
        created=_NOW,
        last_seen=_NOW,
        address="203.0.113.77",
        device=_DEVICE,
        proved=_NOW,
        last_network="203.0.113.77",
        last_device=_DEVICE,
    )


async def _in_parts(
    count: int, step: Callable[[int], Awaitable[Any]], *, first: int = 0
) -> None:
    for start in range(first, first + count, _AT_ONCE):
        end = min(start + _AT_ONCE, first + count)
        await asyncio.gather(*(step(number) for number in range(start, end)))


@asynccontextmanager
async def _opened(store: Any) -> Any:
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


def valkey_tables() -> Iterator[str]:
    """Fill a Valkey with each kind of key in turn; yield the tables."""
    yield f"{_KEYS:,} of each, by the store itself; what `used_memory` has grown by."
    yield ""
    yield "| kept in Valkey | bytes each |"
    yield "|---|---:|"
    for what in KINDS:
        with running_valkey() as server:
            yield f"| {what} | {asyncio.run(_grown(server, what)):.0f} |"
    yield ""
    with running_valkey() as server:
        yield from asyncio.run(_traffic(server))


async def _grown(server: Valkey, what: str) -> float:
    """Return the bytes that each of many takes."""
    async with _opened(open_shared(server.url + _PATIENT)) as store:
        step = KINDS[what](store)
        await step(_KEYS)  # the server has its scripts now
        before = _memory(server)
        await _in_parts(_KEYS, step)
        return (_memory(server) - before) / _KEYS


def _memory(server: Valkey) -> int:
    with server.client() as client:
        return int(client.info("memory")["used_memory"])


def _charge(purpose: str, number: int, **more: Any) -> Charge:
    """Return a budget that is not whole again while this runs."""
    amount: int = more.pop("amount", 1)
    key = counter_key(purpose, str(number))
    return Charge(key, amount=amount, period=_HOUR, **more)


Step = Callable[[int], Awaitable[Any]]


def _rate(store: SharedStore) -> Step:
    limits = store.counters("limits")
    return lambda number: limits.take([_charge("address", number)])


def _owned(store: SharedStore) -> Step:
    limits = store.counters("limits")
    return lambda number: limits.take(
        [_charge("account", number, owner=account_id(number))]
    )


def _exact(store: SharedStore) -> Step:
    sign_ins = store.counters("identity")

    async def step(number: int) -> None:
        for _ in range(5):
            await sign_ins.take([_charge("sign-in", number, amount=10, exact=True)])

    return step


def _held(store: SharedStore) -> Step:
    sign_ins = store.counters("identity")

    async def step(number: int) -> None:
        charge = _charge("lock", number, exact=True, holds=(_HOUR,))
        await sign_ins.take([charge])
        await sign_ins.take([charge])

    return step


def _copy(store: SharedStore) -> Step:
    copies = store.copies
    if copies is None:
        raise RuntimeError("this store keeps no copies")

    async def step(number: int) -> None:
        owner, name = account_id(number), token_hash(number)
        told = await copies.read(name, owner)
        content = _FORMAT + _encode(session(number))
        await copies.keep(name, told, content, -1)

    return step


KINDS: dict[str, Callable[[SharedStore], Step]] = {
    "a budget of an address or a route (GCRA)": _rate,
    "a budget of an account (GCRA)": _owned,
    "an exact budget, five times taken (sign-ins)": _exact,
    "a lock": _held,
    "the copy of a session, and its account's generation": _copy,
}


async def _traffic(server: Valkey) -> list[str]:
    """Ask what a signed-in request asks: two budgets of its address (IPv6), one of its
    account, its session, the version of the blocks."""
    questions = [_question(number) for number in range(_WHO)]
    async with _opened(open_shared(server.url + _PATIENT)) as store:
        ask, copy = store.ask, _copy(store)
        await _in_parts(_WHO, copy)

        async def step(number: int) -> None:
            reply = await ask(questions[number % _WHO])
            if reply.told.copy is None:
                raise RuntimeError("a copy is missing")

        await _in_parts(_WHO, step)
        before = _spent(server)
        await _in_parts(_ASKED, step)
        after = _spent(server)
    received, sent, seconds = (
        (late - early) / _ASKED for early, late in zip(before, after, strict=True)
    )
    return [
        f"{_ASKED:,} questions of signed-in requests, {_AT_ONCE} at once.",
        "",
        "| one question | |",
        "|---|---:|",
        f"| bytes to Valkey | {received:.0f} |",
        f"| bytes from Valkey | {sent:.0f} |",
        f"| CPU of Valkey, µs | {seconds * 1e6:.0f} |",
    ]


def _question(number: int) -> Question:
    owner = account_id(number)
    charges = (
        Charge(counter_key("address", str(number)), 3_000, 60.0),
        Charge(counter_key("site", str(number // 8)), 30_000, 60.0),
        Charge(counter_key("account", owner), 1_200, 60.0, owner=owner),
    )
    return Question(charges, token_hash(number), owner)


def _spent(server: Valkey) -> tuple[float, float, float]:
    with server.client() as client:
        said = client.info("stats")
    seconds = time.clock_gettime((~server.pid << 3) | 2)
    received = float(said["total_net_input_bytes"])
    return received, float(said["total_net_output_bytes"]), seconds


_ACCOUNTS = """
    INSERT INTO ringfence_accounts
        (id, email, email_key, password_hash, roles, disabled, created, epoch)
    SELECT left(translate(encode(sha256(('a' || n)::bytea), 'base64'), '+/', '-_'), 22),
        'first.last.' || n || '@example.com', 'first.last.' || n || '@example.com',
        '$argon2id$v=19$m=19456,t=2,p=1$'
        || left(encode(sha256(('s' || n)::bytea), 'base64'), 22) || '$'
        || left(encode(sha256(('h' || n)::bytea), 'base64'), 43),
        '[]', false, 1790000000 + n, 0
    FROM generate_series(1, %(rows)s) AS n
"""
_SESSIONS = """
    INSERT INTO ringfence_sessions
        (token_hash, public_id, account_id, factors, created, last_seen, address,
         device, proved, last_network, last_device, moved_at, moved_network,
         moved_device)
    SELECT sha256(('t' || n)::bytea),
        left(translate(encode(sha256(('p' || n)::bytea), 'base64'), '+/', '-_'), 22),
        left(translate(encode(sha256(('a' || n)::bytea), 'base64'), '+/', '-_'), 22),
        '["password"]', 1790000000 + n, 1790000000 + n, '203.0.113.77',
        'Firefox on Linux', 1790000000 + n, '203.0.113.77', 'Firefox on Linux',
        0, '', ''
    FROM generate_series(1, %(rows)s) AS n
"""
_SIZES = """
    SELECT c.oid::regclass::text, c.relkind, pg_table_size(c.oid)
    FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
    WHERE coalesce(i.indrelid, c.oid) = %(table)s::regclass
    ORDER BY c.relkind DESC, 1
"""
_WRITES = f"""\
{_TOUCHED:,} of each by the store, of sessions that lie {_APART} rows apart, right after
a checkpoint, when the log takes each page as a whole that is changed for the first
time; and once more.
"""
_DURABLE = ("fsync=on", "synchronous_commit=on", "full_page_writes=on")
_LOGGED = ("full_page_writes=on", "max_wal_size=8GB", "checkpoint_timeout=1h")


def postgres_tables(rows: int) -> Iterator[str]:
    """Fill a PostgreSQL; yield the tables.

    Args:
        rows: accounts, each with one session.
    """
    with running_postgres(*_LOGGED) as server, server.database() as database:
        asyncio.run(_migrate(database))
        yield (
            f"{rows:,} accounts with one session each, rows of the shape that the "
            "store writes, inserted in the order of random keys."
        )
        yield ""
        yield "| in PostgreSQL | bytes a row |"
        yield "|---|---:|"
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            for table, fill in (("accounts", _ACCOUNTS), ("sessions", _SESSIONS)):
                connection.execute(fill, {"rows": rows})
                connection.execute(f"VACUUM ANALYZE ringfence_{table}")
                yield from _sizes(connection, f"ringfence_{table}", rows)
        yield ""
        yield from asyncio.run(_writes(database, rows))


async def _migrate(database: Database) -> None:
    async with _opened(open_stores(database.url("psycopg"))):
        pass


def _sizes(connection: psycopg.Connection[Any], table: str, rows: int) -> Iterator[str]:
    found = connection.execute(_SIZES, {"table": table}).fetchall()
    for name, kind, size in found:
        what = f"`{name}`" if kind == "r" else f"index `{name}`"
        yield f"| {what} | {size / rows:.0f} |"
    total = sum(size for _, _, size in found)
    yield f"| **all of `{table}`** | **{total / rows:.0f}** |"


async def _writes(database: Database, rows: int) -> list[str]:
    """Touch and add sessions by the store; measure the log that it takes."""
    lines = [_WRITES.rstrip(), "", "| written | log bytes each, at first | and then |"]
    lines.append("|---|---:|---:|")
    tokens, owners = _known(database)
    async with _opened(open_stores(database.url("psycopg") + "&timeout=60")) as stores:

        async def touch(minute: int) -> None:
            use = Use(2 * _NOW + minute, "203.0.113.78", _DEVICE)
            for start in range(0, _TOUCHED, _BATCH):
                part = tokens[start : start + _BATCH]
                await stores.sessions.touch(dict.fromkeys(part, use))

        async def sign_in(part: int) -> None:
            async def one(number: int) -> None:
                owner = owners[number % _TOUCHED]
                record = session(rows + number)._replace(account_id=owner)
                if not await stores.sessions.add(record, epoch=0, replaces=None):
                    raise RuntimeError("a session was not added")

            for start in range(part * _TOUCHED, (part + 1) * _TOUCHED, 5):
                await asyncio.gather(*(one(start + n) for n in range(5)))

        for what, work in (
            (f"a session's last use ({_BATCH} in one transaction)", touch),
            ("a sign-in (a new session)", sign_in),
        ):
            _checkpoint(database)
            first, then = [await _logged(database, work(part)) for part in range(2)]
            lines.append(f"| {what} | {first:,.0f} | {then:,.0f} |")
    return lines


def _known(database: Database) -> tuple[list[bytes], list[str]]:
    """Return sessions and accounts that lie far from each other."""
    with psycopg.connect(database.dsn) as connection:
        found = connection.execute(
            "SELECT token_hash, account_id FROM ringfence_sessions "
            "ORDER BY token_hash LIMIT %s",
            [_TOUCHED * _APART],
        ).fetchall()
    chosen = found[::_APART]
    return [bytes(token) for token, _ in chosen], [owner for _, owner in chosen]


def _checkpoint(database: Database) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute("CHECKPOINT")


async def _logged(database: Database, work: Awaitable[None]) -> float:
    """Return the bytes of log that each of ``_TOUCHED`` has taken. The first work after
    a checkpoint is the dear one; whoever calls makes none between two."""
    position = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        (before,) = connection.execute(position).fetchone() or (0,)
        await work
        (after,) = connection.execute(position).fetchone() or (0,)
    return float(after - before) / _TOUCHED


def decisions_table() -> Iterator[str]:
    """Count in databases, where there is no Redis; yield a table."""
    yield f"Two budgets a decision, {_WHO} clients, {_BESIDE} at once, of one process."
    yield ""
    yield "| counted in | decisions a second | CPU of the process, µs each |"
    yield "|---|---:|---:|"
    with running_postgres(*_DURABLE) as server, server.database() as database:
        url = f"{database.url('psycopg')}&timeout=60"
        yield asyncio.run(_decisions("PostgreSQL", url))
    with tempfile.TemporaryDirectory(prefix="sizing-") as folder:
        url = f"sqlite:///{folder}/counters.db"
        yield asyncio.run(_decisions("SQLite", url))


async def _decisions(what: str, url: str) -> str:
    async with _opened(open_shared(url)) as store:
        counters = store.counters("limits")

        async def step(number: int) -> None:
            charges = _question(number % _WHO).charges
            await counters.take(charges[::2])

        for start in range(0, _DECIDED, _BESIDE):
            if start == _BESIDE * 20:  # warm by now
                began, spent = time.perf_counter(), time.process_time()
            await asyncio.gather(*(step(start + n) for n in range(_BESIDE)))
        count = _DECIDED - _BESIDE * 20
        rate = count / (time.perf_counter() - began)
        cpu = (time.process_time() - spent) / count
    return f"| {what} | {rate:,.0f} | {cpu * 1e6:.0f} |"


def hash_table() -> Iterator[str]:
    """Time a password hash, on one core; yield a table."""
    yield "| one password hash | MiB | ms, at best |"
    yield "|---|---:|---:|"
    for passes, mebi in ((2, 19), (3, 64)):
        hasher = PasswordHasher(
            time_cost=passes, memory_cost=mebi * 1024, parallelism=1
        )
        least = min(_seconds(hasher) for _ in range(_HASHES))
        yield f"| Argon2id, {passes} passes | {mebi} | {least * 1e3:.0f} |"


def _seconds(hasher: PasswordHasher) -> float:
    started = time.process_time()
    hasher.hash("correct horse battery staple")
    return time.process_time() - started


def ledger_table() -> Iterator[str]:
    """Write events to a ledger; yield a table."""
    here = {
        "request_id": "d1f8fba2de787084",
        "client": "203.0.113.77",
        "account": account_id(1),
    }
    refused = AccessRefused(
        **here,
        code="access.not_allowed",
        status=403,
        stage="access.stage",
        method="GET",
        path="/api/orders/1234",
        route="/api/orders/{order_id}",
        passed=_PASSED,
        unasked=("browser.csrf",),
    )
    events = (
        ("a sign-in", SignedIn(**here)),
        (
            "a failed sign-in",
            SignInFailed(
                **here, identifier=token_hash(1).hex()[:32], reason="password"
            ),
        ),
        ("a refused request", refused),
    )
    yield "| one line of the ledger | bytes |"
    yield "|---|---:|"
    for what, event in events:
        with tempfile.TemporaryDirectory(prefix="sizing-") as folder:
            log = open_log(AuditSettings(), data=Path(folder))
            log.start()
            log.record(event)
            log.close()
            text = (Path(folder) / "audit.jsonl").read_text()
        yield f"| {what} | {len(text.splitlines()[0]) + 1} |"


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accounts", type=int, default=200_000)
    rows = max(_TOUCHED * _APART, parser.parse_args().accounts)
    parts = (
        valkey_tables,
        lambda: postgres_tables(rows),
        decisions_table,
        hash_table,
        ledger_table,
    )
    for part in parts:
        for line in part():
            print(line, flush=True)
        print(flush=True)


if __name__ == "__main__":
    main()
