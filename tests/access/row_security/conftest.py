"""One database behind the second wall for each file of tests."""

import pytest
from tests.access.row_security.shop import open_shop


@pytest.fixture(scope="module")
def shop(postgres_server):
    with postgres_server.database() as database, open_shop(database) as shop:
        yield shop


@pytest.fixture
def restored(shop):
    """The rows as they were, after a test that changes some."""
    yield shop
    shop.restore()
