"""A gatehouse for each test, with one account."""

import asyncio
import shutil

import pytest
from tests.identity.gatehouse import EMAIL, PASSWORD, gatehouse, visit


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A database with Ann's account, made once and copied for each test."""
    folder = tmp_path_factory.mktemp("prepared")

    async def prepare():
        async with gatehouse(folder) as opened:
            await opened.accounts.register(EMAIL, PASSWORD, visit())

    asyncio.run(prepare())
    return folder / "identity.db"


@pytest.fixture
async def house(prepared, tmp_path, anyio_backend):
    """A gatehouse in development mode, with Ann's account."""
    shutil.copy(prepared, tmp_path)
    async with gatehouse(tmp_path) as opened:
        yield opened


@pytest.fixture
async def browser(house):
    """A client with a cookie jar that is not signed in."""
    async with house.client() as client:
        yield client


@pytest.fixture
async def ann(browser):
    """A client that is signed in as Ann."""
    answer = await browser.post(
        "/auth/login", json={"email": EMAIL, "password": PASSWORD}
    )
    assert answer.status_code == 200
    return browser
