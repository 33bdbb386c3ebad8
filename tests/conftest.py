"""What every test shares, and no more."""

import gc
import os
from contextlib import suppress
from functools import cache, partial
from os import link
from shutil import copy
from uuid import uuid4

import pytest
from hypothesis import settings
from jinja2 import BytecodeCache
from tests.servers.postgres import running_postgres
from tests.servers.valkey import running_cluster, running_valkey

from ringfence.identity.mail import render as letters
from ringfence.identity.pages import render
from ringfence.identity.passwords import open as passwords
from ringfence.identity.passwords.calibrate import UNMEASURED
from ringfence.stores import sqlite

# The same cases on every run where a change is judged; new ones at home.
settings.register_profile("home", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "home")


# A worker keeps sixteen thousand tests from its beginning to its end. To go over all of
# them again and again for garbage took a fifth of the time.
gc.disable()


def pytest_collection_finish():
    """From here on garbage is collected, of what tests make."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    gc.enable()


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Compiled(BytecodeCache):
    """Templates that have been compiled once, for all guards of one process."""

    def __init__(self):
        self.kept = {}

    def load_bytecode(self, bucket):
        if bucket.key in self.kept:
            bucket.bytecode_from_string(self.kept[bucket.key])

    def dump_bytecode(self, bucket):
        self.kept[bucket.key] = bucket.bytecode_to_string()


@pytest.fixture(scope="session", autouse=True)
def compiled():
    """Compile the pages and the letters once, and not for each guard that is made."""
    with pytest.MonkeyPatch.context() as patch:
        made = partial(render.Environment, bytecode_cache=Compiled())
        patch.setattr(render, "Environment", made)
        made = partial(letters.Environment, bytecode_cache=Compiled())
        patch.setattr(letters, "Environment", made)
        yield


@pytest.fixture(scope="session", autouse=True)
def unmeasured():
    """Hash at OWASP's floor in production too: a first start would measure the machine
    for seconds, in each test anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "calibrate", lambda *_, **__: UNMEASURED)
        yield


@pytest.fixture(scope="session", autouse=True)
def prepare(tmp_path_factory):
    """Begin each SQLite file with its tables, which take longer to make than most tests
    take to run: the start finds them up to date. Yields what makes them."""
    folder, make = tmp_path_factory.mktemp("migrated"), sqlite.prepare

    @cache
    def made():
        make(folder / "empty.db")
        return folder / "empty.db"

    def begin(path):
        if not path.exists():
            # Another start may be faster, or the place be wrong, as ``make`` will say.
            with suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                copied = copy(made(), path.with_name(f"{path.name}-{uuid4()}"))
                try:
                    link(copied, path)
                finally:
                    copied.unlink()
        make(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite, "prepare", begin)
        yield make


@pytest.fixture(scope="session")
def postgres_server():
    """One PostgreSQL for all tests that ask for it."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres(postgres_server):
    """An empty database of this test's own."""
    with postgres_server.database() as database:
        yield database


@pytest.fixture(scope="session")
def valkey_server():
    """One Valkey for all tests that ask for it."""
    with running_valkey() as server:
        yield server


@pytest.fixture
def valkey(valkey_server):
    """That server, emptied for one test."""
    with valkey_server.client() as client:
        client.flushall()
        client.script_flush()
        yield valkey_server


@pytest.fixture(scope="session")
def valkey_nodes():
    """One cluster of three nodes for all tests that ask for it."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def valkey_cluster(valkey_nodes):
    """That cluster, emptied for one test."""
    valkey_nodes.flush()
    return valkey_nodes
