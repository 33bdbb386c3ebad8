"""Which shelves a URL opens."""

import builtins
import sys
import traceback
from pathlib import Path

import pytest
from tests.stores.copies import DictCopies, keys

from ringfence.errors import MissingExtraError, SettingsError
from ringfence.stores.copied import CopiedStores
from ringfence.stores.memory import MemoryStores, SessionsInMemory
from ringfence.stores.memory_counters import MemoryCounters
from ringfence.stores.open import open_shared, open_stores, sqlite_path
from ringfence.stores.postgres.stores import PostgresStores
from ringfence.stores.redis.shared import RedisShared
from ringfence.stores.sql_shared import SqlShared
from ringfence.stores.sqlite import SQLiteStores


def test_sqlite_urls_name_a_file():
    assert sqlite_path("sqlite:///var/ringfence.db") == Path("var/ringfence.db")
    assert sqlite_path("sqlite:////srv/ring fence.db") == Path("/srv/ring fence.db")
    assert sqlite_path("sqlite:////srv/ring%20fence.db") == Path("/srv/ring fence.db")
    assert sqlite_path("sqlite+aiosqlite:///a.db") == Path("a.db")


def test_opening_touches_nothing(tmp_path):
    """A plan can be compiled anywhere; files appear with ``start``."""
    opened = open_stores(f"sqlite:///{tmp_path / 'folder' / 'a.db'}")
    assert isinstance(opened, SQLiteStores)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite://file.db",
        "sqlite://host/file.db",
        "sqlite:///file.db?mode=memory",
        "sqlite:///file.db#part",
    ],
)
def test_a_database_that_would_forget_is_refused(url):
    with pytest.raises(SettingsError, match="names no file"):
        open_stores(url)


@pytest.mark.parametrize("url", ["memory://", "memory:"])
def test_memory_is_a_database_by_name(url):
    assert isinstance(open_stores(url), MemoryStores)


def test_copies_stand_before_a_database(tmp_path):
    """Not before what is in the memory of this process, which is nearer than they."""
    file = f"sqlite:///{tmp_path / 'a.db'}"
    assert isinstance(open_stores(file, copies=DictCopies(), keys=keys), CopiedStores)
    for url, sessions in [(file, "memory"), ("memory://", "database")]:
        opened = open_stores(url, sessions, DictCopies(), keys)
        assert isinstance(opened, MemoryStores | SessionsInMemory)
    with pytest.raises(TypeError, match="keys"):
        open_stores(file, copies=DictCopies())
    assert list(tmp_path.iterdir()) == []


def test_sessions_in_memory_stand_beside_a_file(tmp_path):
    opened = open_stores(f"sqlite:///{tmp_path / 'a.db'}", sessions="memory")
    assert isinstance(opened, SessionsInMemory)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url", ["redis://localhost", "rediss://localhost", "redis+cluster://localhost"]
)
def test_what_may_forget_is_no_database(url):
    """Accounts would be gone with the next restart of Redis."""
    with pytest.raises(SettingsError, match="name it in RINGFENCE_STORE"):
        open_stores(url)


@pytest.mark.parametrize("url", ["", "ringfence.db", "mysql://localhost", "C:\\a.db"])
def test_unknown_urls_say_what_to_write(url):
    with pytest.raises(SettingsError, match=r"file\.db or postgresql://"):
        open_stores(url)


def test_a_password_in_a_url_is_not_repeated():
    """Start-up errors end in logs."""
    for url in ("redis://u:hunter2@h/0", "mysql://u:hunter2@h/d"):
        with pytest.raises(SettingsError) as caught:
            open_stores(url)
        assert "hunter2" not in str(caught.value)


def test_a_missing_library_names_its_extra(monkeypatch):
    real = builtins.__import__

    def without_sqlalchemy(name, *args, **kwargs):
        if name.startswith("sqlalchemy"):
            raise ImportError(name=name)
        return real(name, *args, **kwargs)

    for module in ("sqlite", "sql", "schema"):
        monkeypatch.delitem(sys.modules, f"ringfence.stores.{module}", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_sqlalchemy)
    with pytest.raises(MissingExtraError, match=r"ringfence\[identity\]"):
        open_stores("sqlite:///a.db")


@pytest.mark.parametrize(
    ("url", "driver", "extra"),
    [
        ("postgresql://db/shop", "psycopg", "postgres"),
        ("postgresql+asyncpg://db/shop", "asyncpg", "asyncpg"),
    ],
)
def test_a_missing_driver_names_its_extra(monkeypatch, url, driver, extra):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == driver:
            raise ImportError(name=driver)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(
        sys.modules, f"ringfence.stores.postgres.{driver}", raising=False
    )
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=rf"{driver}.*ringfence\[{extra}\]"):
        open_stores(url)


def test_postgres_keeps_sessions_itself():
    """Another process may change an account, and PostgreSQL does not tell."""
    assert isinstance(open_stores("postgresql://db/shop"), PostgresStores)
    with pytest.raises(SettingsError, match="other processes"):
        open_stores("postgresql://db/shop", sessions="memory")


@pytest.mark.parametrize("url", ["sqlite:///counters.db", "postgresql://db/shop"])
def test_a_database_is_a_store_that_processes_share(url):
    """Nothing is sent before the start."""
    shared = open_shared(url)
    assert isinstance(shared, SqlShared)


@pytest.mark.parametrize("url", ["", "memory://"])
def test_counters_are_in_memory_unless_told_otherwise(url):
    shared = open_shared(url)
    assert isinstance(shared.counters("limits"), MemoryCounters)


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "rediss://localhost:6380/1",
        "redis+sentinel://localhost/main",
        "redis+cluster://localhost:7000",
        "rediss+cluster://localhost",
    ],
)
def test_redis_is_a_store_that_processes_share(url):
    """Nothing is sent before the start."""
    shared = open_shared(url)
    assert isinstance(shared, RedisShared)


@pytest.mark.parametrize(
    "url", ["redis://:hunter2@h:x", "valkey://h", "mysql://h", "x"]
)
def test_other_stores_say_what_to_write(url):
    """A store that is asked for and not there stops the start, and tells no secret."""
    with pytest.raises(SettingsError, match=r"redis") as caught:
        open_shared(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "guess"),
    [
        ("redis-sentinel://h/main", r"write redis\+sentinel://"),
        ("rediss-cluster://h", r"write rediss\+cluster://"),
        ("redis:/h", "write redis://"),
        ("shop.db", "it has no scheme"),
    ],
)
def test_a_store_that_is_misspelt_is_guessed(url, guess):
    with pytest.raises(SettingsError, match=guess):
        open_shared(url)


def test_redis_without_its_library_names_its_extra(monkeypatch):
    real = builtins.__import__

    def without_redis(name, *args, **kwargs):
        if name == "redis" or name.startswith("redis."):
            raise ImportError(name="redis")
        return real(name, *args, **kwargs)

    for module in [one for one in sys.modules if one.startswith("ringfence.stores.re")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", without_redis)
    with pytest.raises(MissingExtraError, match=r"ringfence\[redis\]"):
        open_shared("redis://localhost")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:hunter[2@db/shop",
        "postgresql://ann:hunter2@\N{CARE OF}/shop",
        "postgresql://ann:100%hunter@db/shop",
        "postgresql+asyncpg://ann:hunter2@db:x/shop",
        "redis://ann:hunter/2@db",
        "redis://ann:hunter2@\N{CARE OF}:x",
    ],
)
@pytest.mark.parametrize("opening", [open_stores, open_shared])
def test_no_error_shows_a_password(opening, url):
    """Drivers, and ``urlsplit``, quote what they do not understand (CWE-532)."""
    with pytest.raises(SettingsError) as caught:
        opening(url)
    assert "hunter" not in "".join(traceback.format_exception(caught.value))
