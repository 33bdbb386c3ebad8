"""A server, and a shop of two customers in it.

Ids count as the server's rows do: with a pattern in the filter, its ``update_many`` and
``delete_many`` take the one for the other, and would change nothing.
"""

import inspect

import pymongo
import pytest
from tests.servers.mongo import running_mongo

from ringfence import Principal, access
from ringfence.access.mongo import OwnedDatabase

ALICE = Principal("alice", tenant="acme")
BOB = Principal("bob", tenant="bolt")
OLGA = Principal("olga", frozenset({"operator"}), tenant="acme")

DECLARED = {
    "orders": access.owner("owner_id"),
    "lines": access.owner("meta.owner"),
    "reviews": access.rows(access.public, write=access.owner("author_id")),
    "products": access.rows(access.public, write=access.role("admin")),
    "invoices": access.owner("owner_id")
    | access.role("operator") & access.tenant("tenant_id"),
    "profiles": access.owner("_id"),
    "notes": access.rows(
        access.matching(published=True) | access.owner("author_id"),
        write=access.owner("author_id"),
    ),
}
ROWS = {
    "orders": [
        {"_id": 1, "owner_id": "alice", "n": 1, "secret": "of alice"},
        {"_id": 2, "owner_id": "bob", "n": 2, "secret": "of bob"},
        {"_id": 3, "owner_id": "Alice", "n": 3, "secret": "of bob, called Alice"},
        {"_id": 4, "n": 4, "secret": "of bob, and unsigned"},
    ],
    "lines": [
        {"_id": 1, "order": 1, "meta": {"owner": "alice"}, "secret": "of alice"},
        {"_id": 2, "order": 1, "meta": {"owner": "bob"}, "secret": "of bob"},
    ],
    "reviews": [
        {"_id": 1, "author_id": "alice", "text": "good"},
        {"_id": 2, "author_id": "bob", "text": "bad"},
    ],
    "products": [{"_id": 1, "name": "chair"}],
    "invoices": [
        {"_id": 1, "owner_id": "alice", "tenant_id": "acme", "secret": "of alice"},
        {"_id": 2, "owner_id": "bob", "tenant_id": "bolt", "secret": "of bob"},
    ],
    "profiles": [
        {"_id": "alice", "secret": "of alice"},
        {"_id": "bob", "secret": "of bob"},
    ],
    "notes": [
        {"_id": 1, "author_id": "alice", "published": False},
        {"_id": 2, "author_id": "bob", "published": True},
        {"_id": 3, "author_id": "bob", "published": False, "secret": "of bob"},
    ],
    "accounts": [{"_id": 1, "secret": "of bob, undeclared"}],
}


@pytest.fixture(scope="session")
def mongo_url():
    with running_mongo() as url:
        yield url


@pytest.fixture(scope="session")
def blocking_client(mongo_url):
    with pymongo.MongoClient(mongo_url) as client:
        yield client


@pytest.fixture
def raw(blocking_client):
    """The bare database, filled anew."""
    database = blocking_client.shop
    for name, rows in ROWS.items():
        database[name].drop()
        database[name].insert_many([dict(row) for row in rows])
    return database


@pytest.fixture
def events():
    return []


@pytest.fixture
def documents(raw, events):
    return owned(raw, events)


def owned(database, events=None):
    documents = OwnedDatabase(database, DECLARED)
    documents.bind({}, ([] if events is None else events).append)
    return documents


async def settled(found):
    """Return what a method has returned in the end: awaited, and read out."""
    if inspect.isawaitable(found):
        found = await found
    if hasattr(found, "to_list"):
        found = found.to_list()
    return await found if inspect.isawaitable(found) else found
