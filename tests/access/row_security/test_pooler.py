"""Principals who share connections of the server, behind a real PgBouncer."""

from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from sqlalchemy import create_engine, text
from tests.access.row_security.shop import ALICE, LOGIN, MALLORY, connected, signer
from tests.servers.pgbouncer import running_pooler

from ringfence.access.row_security.engine import RowSecurity
from ringfence.errors import OwnershipRefusedError

IDS = text("SELECT id FROM orders")
OWN = {ALICE: [1], MALLORY: [2], None: []}
UNPREPARED = {"prepare_threshold": None}  # PgBouncer before 1.21 knows no others


@pytest.fixture(scope="module")
def address(shop):
    with running_pooler(shop.database, LOGIN, connections=2) as port:
        yield f"postgresql+psycopg://{LOGIN}@127.0.0.1:{port}/{shop.database.name}"


@pytest.fixture
def opened(address):
    """Make an engine behind the pooler."""
    engines = []

    def made(**more):
        engine = create_engine(address, connect_args=UNPREPARED, pool_size=4, **more)
        RowSecurity(engine, signer(), pooled=True).attach()
        engines.append(engine)
        return engine

    yield made
    for engine in engines:
        engine.dispose()


def test_nobody_inherits_who_was_there_before(opened):
    """Each transaction has the rows of its own principal, and nobody's has none."""
    engine = opened()

    def ask(seed):
        random = Random(seed)
        for _ in range(40):
            who = random.choice(list(OWN))
            with connected(engine, who) as connection:
                for _ in range(random.choice((1, 2))):
                    assert sorted(connection.scalars(IDS).all()) == OWN[who]

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(ask, range(4)))


def test_autocommit_is_refused(opened):
    """What it is told would stay for whoever has the server's connection next."""
    engine = opened(isolation_level="AUTOCOMMIT")
    with (
        connected(engine, ALICE) as connection,
        pytest.raises(OwnershipRefusedError, match="pooled=True"),
    ):
        connection.scalars(IDS)
    for _ in range(4):
        with connected(engine, None) as connection:
            assert connection.scalars(IDS).all() == []
