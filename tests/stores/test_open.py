"""Which shelves a URL opens."""

import builtins
import sys
from pathlib import Path

import pytest

from ringfence.errors import MissingExtraError, SettingsError
from ringfence.stores.memory import MemoryStores, SessionsInMemory
from ringfence.stores.memory_counters import MemoryCounters
from ringfence.stores.open import open_counters, open_stores, sqlite_path
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


def test_sessions_in_memory_stand_beside_a_file(tmp_path):
    opened = open_stores(f"sqlite:///{tmp_path / 'a.db'}", sessions="memory")
    assert isinstance(opened, SessionsInMemory)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://localhost/shop",
        "postgresql+asyncpg://localhost/shop",
        "redis://localhost",
    ],
)
def test_planned_backends_say_so(url):
    with pytest.raises(SettingsError, match="not available in this version"):
        open_stores(url)


@pytest.mark.parametrize("url", ["", "ringfence.db", "mysql://localhost", "C:\\a.db"])
def test_unknown_urls_say_what_to_write(url):
    with pytest.raises(SettingsError, match=r"sqlite:///path/to/file\.db"):
        open_stores(url)


def test_a_password_in_a_url_is_not_repeated():
    """Start-up errors end in logs."""
    for url in ("postgresql://u:hunter2@h/d", "mysql://u:hunter2@h/d"):
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


def test_counters_are_in_memory_unless_told_otherwise():
    assert isinstance(open_counters(""), MemoryCounters)
    assert isinstance(open_counters("memory://"), MemoryCounters)


@pytest.mark.parametrize("url", ["redis://:hunter2@h", "valkey://h", "mysql://h", "x"])
def test_other_counters_say_what_to_write(url):
    """A store that is asked for and not there stops the start, and tells no secret."""
    with pytest.raises(SettingsError, match=r"memory") as caught:
        open_counters(url)
    assert "hunter2" not in str(caught.value)
