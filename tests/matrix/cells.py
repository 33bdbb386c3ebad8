"""Each way to each interpreter, with text that must not pass: what the table of
coverage is made of. A new driver adds its line here."""

from __future__ import annotations

import asyncio
import base64
import os
import pickle
import socket
import sqlite3
import subprocess
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiofiles
import aiosqlite
import anyio
import asyncpg
import httpx2
import jinja2
import ldap3
import psycopg
import pymongo
import pymysql.connections
import sqlalchemy
import yaml
from sqlalchemy.ext.asyncio import create_async_engine


@dataclass(frozen=True, slots=True)
class World:
    """What the ways need.

    Args:
        folder: for files.
        postgres: arguments of asyncpg's connect.
        dsn: the same for psycopg.
        url: the same for SQLAlchemy, with ``{}`` for the driver.
        mongo: of a server that speaks MongoDB's protocol.
    """

    folder: Path
    postgres: dict[str, str]
    dsn: str
    url: str
    mongo: str

    @property
    def sqlite(self) -> str:
        return str(self.folder / "shop.db")


Way = Callable[[World, str], "Awaitable[object] | object"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One way to an interpreter.

    Args:
        interpreter: as in ``Sink``.
        driver: as people call it.
        attack: what a sender writes, by its name in ``attacks.json``: not here, since
            what stands in the code of an application is no input.
        way: hands it over; a coroutine function where ``waits``.
        waits: whether it runs in the event loop.
    """

    interpreter: str
    driver: str
    attack: str
    way: Way
    waits: bool = False

    @property
    def name(self) -> str:
        return f"{self.interpreter}: {self.driver}"


def _statement(value: str) -> str:
    return f"SELECT 1 WHERE '{value}' = ''"


def _sqlite(world: World, value: str) -> object:
    with sqlite3.connect(world.sqlite) as db:
        found = db.execute(_statement(value)).fetchall()
    db.close()
    return found


def _sqlalchemy(world: World, value: str) -> object:
    engine = sqlalchemy.create_engine(f"sqlite:///{world.sqlite}")
    with engine.connect() as db:
        found = db.execute(sqlalchemy.text(_statement(value))).all()
    engine.dispose()
    return found


def _psycopg(world: World, value: str) -> object:
    with psycopg.connect(world.dsn) as db:
        return db.execute(_statement(value)).fetchall()


def _sqlalchemy_psycopg(world: World, value: str) -> object:
    engine = sqlalchemy.create_engine(world.url.format("psycopg"))
    with engine.connect() as db:
        found = db.execute(sqlalchemy.text(_statement(value))).all()
    engine.dispose()
    return found


async def _aiosqlite(world: World, value: str) -> object:
    async with aiosqlite.connect(world.sqlite) as db:
        return await db.execute_fetchall(_statement(value))


async def _sqlalchemy_aiosqlite(world: World, value: str) -> object:
    return await _by_engine(f"sqlite+aiosqlite:///{world.sqlite}", value)


async def _sqlalchemy_asyncpg(world: World, value: str) -> object:
    return await _by_engine(world.url.format("asyncpg"), value)


async def _by_engine(url: str, value: str) -> object:
    engine = create_async_engine(url)
    try:
        async with engine.connect() as db:
            return (await db.execute(sqlalchemy.text(_statement(value)))).all()
    finally:
        await engine.dispose()


async def _psycopg_waiting(world: World, value: str) -> object:
    async with await psycopg.AsyncConnection.connect(world.dsn) as db:
        return await (await db.execute(_statement(value))).fetchall()


async def _asyncpg(world: World, value: str) -> object:
    db = await asyncpg.connect(**world.postgres)
    try:
        return await db.fetch(_statement(value))
    finally:
        await db.close()


def _pymysql(world: World, value: str) -> object:
    """No MySQL server is to be had: a connection that was never opened shows whether
    the statement is judged before it is sent."""
    return pymysql.connections.Connection(defer_connect=True).query(_statement(value))


def _pymongo(world: World, value: str) -> object:
    with pymongo.MongoClient(world.mongo) as client:
        return client.shop.users.find_one({"$where": value})


async def _pymongo_waiting(world: World, value: str) -> object:
    async with pymongo.AsyncMongoClient(world.mongo) as client:
        return await client.shop.users.find_one({"$where": value})


def _ldap3(world: World, value: str) -> object:
    server = ldap3.Server("none")
    db = ldap3.Connection(server, client_strategy=ldap3.MOCK_SYNC, auto_bind=True)
    return db.search("dc=example", f"(uid={value})")


def _splice(world: World, value: str) -> object:
    return os.posix_spawn("/bin/sh", ["sh", "-c", f"true {value}"], {})


async def _shell(world: World, value: str) -> object:
    started = await asyncio.create_subprocess_shell(f"true {value}")
    return await started.wait()


async def _bash(world: World, value: str) -> object:
    started = await asyncio.create_subprocess_exec("/bin/sh", "-c", f"true {value}")
    return await started.wait()


async def _anyio_process(world: World, value: str) -> object:
    return await anyio.run_process(f"true {value}")


def _remove(world: World, value: str) -> object:
    return os.remove(f"{world.folder}/{value}")


async def _aiofiles(world: World, value: str) -> object:
    async with aiofiles.open(f"{world.folder}/{value}") as file:
        return await file.read()


async def _anyio_path(world: World, value: str) -> object:
    return await anyio.Path(f"{world.folder}/{value}").read_bytes()


def _connect(world: World, value: str) -> object:
    return socket.create_connection(("127.0.0.1", 9), timeout=1)


def _httpx2(world: World, value: str) -> object:
    with httpx2.Client(verify=False) as client:
        return client.get(value)


async def _httpx2_waiting(world: World, value: str) -> object:
    async with httpx2.AsyncClient(verify=False) as client:
        return await client.get(value)


async def _streams(world: World, value: str) -> object:
    return await asyncio.open_connection("127.0.0.1", 9)


async def _anyio_tcp(world: World, value: str) -> object:
    return await anyio.connect_tcp("127.0.0.1", 9)


def _template(world: World, value: str) -> object:
    return jinja2.Environment(autoescape=True).from_string(f"Hi {value}").render()


CELLS: tuple[Cell, ...] = (
    Cell("sql", "sqlite3", "sql", _sqlite),
    Cell("sql", "SQLAlchemy, sqlite3", "sql", _sqlalchemy),
    Cell("sql", "psycopg", "sql", _psycopg),
    Cell("sql", "SQLAlchemy, psycopg", "sql", _sqlalchemy_psycopg),
    Cell("sql", "PyMySQL (no server)", "sql", _pymysql),
    Cell("sql", "aiosqlite", "sql", _aiosqlite, waits=True),
    Cell("sql", "SQLAlchemy, aiosqlite", "sql", _sqlalchemy_aiosqlite, waits=True),
    Cell("sql", "psycopg, async", "sql", _psycopg_waiting, waits=True),
    Cell("sql", "asyncpg", "sql", _asyncpg, waits=True),
    Cell("sql", "SQLAlchemy, asyncpg", "sql", _sqlalchemy_asyncpg, waits=True),
    Cell("nosql", "PyMongo", "nosql", _pymongo),
    Cell("nosql", "PyMongo, async", "nosql", _pymongo_waiting, waits=True),
    Cell("ldap", "ldap3", "ldap", _ldap3),
    Cell(
        "shell",
        "subprocess.run",
        "shell",
        lambda _, value: subprocess.run(f"true {value}", shell=True, check=False),
    ),
    Cell("shell", "os.system", "shell", lambda _, value: os.system(f"true {value}")),
    Cell(
        "shell", "os.popen", "shell", lambda _, value: os.popen(f"true {value}").close()
    ),
    Cell("shell", "os.posix_spawn", "shell", _splice),
    Cell("shell", "asyncio.create_subprocess_shell", "shell", _shell, waits=True),
    Cell("shell", "asyncio.create_subprocess_exec", "shell", _bash, waits=True),
    Cell("shell", "anyio.run_process", "shell", _anyio_process, waits=True),
    Cell(
        "path",
        "open",
        "above",
        lambda world, value: open(f"{world.folder}/{value}").close(),
    ),
    Cell(
        "path",
        "pathlib",
        "absolute",
        lambda world, value: (world.folder / value).read_bytes(),
    ),
    Cell(
        "path",
        "os.listdir",
        "folder",
        lambda world, value: os.listdir(f"{world.folder}/{value}"),
    ),
    Cell("path", "os.remove", "missing", _remove),
    Cell("path", "aiofiles", "above", _aiofiles, waits=True),
    Cell("path", "anyio.Path", "above", _anyio_path, waits=True),
    Cell("url", "socket", "url", _connect),
    Cell(
        "url",
        "urllib",
        "url",
        lambda _, value: urllib.request.urlopen(value, timeout=1),
    ),
    Cell("url", "httpx2", "url", _httpx2),
    Cell("url", "httpx2, async", "url", _httpx2_waiting, waits=True),
    Cell("url", "asyncio.open_connection", "url", _streams, waits=True),
    Cell("url", "anyio.connect_tcp", "url", _anyio_tcp, waits=True),
    Cell("code", "eval", "call", lambda _, value: eval(value)),
    Cell("code", "exec", "call", lambda _, value: exec(value)),
    Cell(
        "deserialization",
        "pickle",
        "pickle",
        lambda _, value: pickle.loads(base64.b64decode(value)),
    ),
    Cell(
        "deserialization",
        "PyYAML",
        "yaml",
        lambda _, value: yaml.load(value, Loader=yaml.UnsafeLoader),
    ),
    Cell("template", "Jinja2", "template", _template),
)
