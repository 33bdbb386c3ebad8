"""SQL that goes past the application's own filter, with and without the second wall."""

import pytest
from sqlalchemy import create_engine, text
from tests.access.row_security.shop import (
    ALICE,
    LOGIN,
    MALLORY,
    METADATA,
    connected,
    open_shop,
    run,
    signer,
)

NAMES = tuple(METADATA.tables)

# What reaches a search field, and is pasted into the statement behind it.
ATTACKS = {
    "or": "x' OR true --",
    "union": "x' UNION SELECT note FROM orders --",
    "context": "x' OR set_config('ringfence.principal', '{context}', true) IS NULL "
    "UNION SELECT note FROM orders --",
}
SEARCH = "SELECT note FROM orders WHERE owner_id = '{me}' AND note = '{term}'"


@pytest.fixture(scope="module")
def on(postgres_server):
    with postgres_server.database() as database, open_shop(database) as shop:
        yield shop.engine


@pytest.fixture(scope="module")
def off(postgres_server):
    """The same tables, rights and role, without policies."""
    with postgres_server.database() as database, open_shop(database) as shop:
        run(
            shop.admin,
            *(f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY" for name in NAMES),
        )
        engine = create_engine(shop.url(login=LOGIN))
        yield engine
        engine.dispose()


def searched(engine, who, term):
    with connected(engine, who) as connection:
        statement = SEARCH.format(me=who.id, term=term)
        return sorted(connection.exec_driver_sql(statement).scalars().all())


@pytest.mark.parametrize("attack", ATTACKS)
def test_injected_sql(on, off, attack):
    """Injected SQL reads everybody's rows, or its own principal's (CWE-89, CWE-639)."""
    context = signer()(ALICE, None).replace("=", "")
    term = ATTACKS[attack].format(context=context[:-4] + "AAAA")
    assert searched(off, MALLORY, term) == ["a", "m", "z"]
    assert searched(on, MALLORY, term) in (["m"], [])
    for side in (on, off):
        assert searched(side, MALLORY, "m") == ["m"]


def test_a_forgotten_filter(on, off):
    """A statement that forgets whose rows it wants (OWASP API1:2023)."""
    forgotten = text("SELECT note FROM orders WHERE id = 1")
    with connected(off, MALLORY) as connection:
        assert connection.scalars(forgotten).all() == ["a"]
    with connected(on, MALLORY) as connection:
        assert connection.scalars(forgotten).all() == []
    with connected(on, ALICE) as connection:
        assert connection.scalars(forgotten).all() == ["a"]
