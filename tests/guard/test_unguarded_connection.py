"""A guard does not start beside a connection to SQLite that it cannot see into."""

import sqlite3
from contextlib import closing

import pytest
from starlette.applications import Starlette
from tests.guard.conftest import running

from ringfence import Guard, Settings
from ringfence.interpreters.sql.drivers import sqlite as driver

pytestmark = pytest.mark.anyio


@pytest.fixture
def guard(tmp_path):
    return Guard(
        Starlette(), Settings.load(environ={}, env="development", data=tmp_path)
    )


async def test_connection_from_before(guard):
    """As a module opens it that was imported before ringfence."""
    with (
        closing(driver._plain_connect(":memory:")),
        pytest.raises(RuntimeError, match="import ringfence first"),
    ):
        async with running(guard):
            pass


async def test_closed_connection(guard):
    """It can run nothing any more, whoever still holds it."""
    closed = driver._plain_connect(":memory:")
    closed.close()
    async with running(guard):
        assert closed is not None


async def test_connection_from_after(guard):
    """Whatever is opened once ringfence is there, is guarded."""
    with closing(sqlite3.connect(":memory:")):
        async with running(guard):
            pass
