"""What stands behind the applications of these tests."""

import pytest
from tests.servers.postgres import running_postgres


@pytest.fixture(scope="session")
def lasting_server():
    """A PostgreSQL that loses nothing when it is killed, reached by TCP."""
    with running_postgres("synchronous_commit=on", tcp=True) as server:
        yield server


@pytest.fixture
def lasting_database(lasting_server):
    """An empty database of this test's own."""
    with lasting_server.database() as database:
        yield database
