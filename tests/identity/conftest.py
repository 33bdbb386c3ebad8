"""A gatehouse for each test, with one account."""

import pytest
from tests.identity.gatehouse import EMAIL, PASSWORD, gatehouse


@pytest.fixture
async def house(tmp_path, anyio_backend):
    """A gatehouse in development mode, with Ann's account."""
    async with gatehouse(tmp_path) as opened:
        await opened.accounts.register(EMAIL, PASSWORD)
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
