"""The range's targets before a MongoDB, a directory and an XML parser, off and on."""

from pathlib import Path

import pytest
from tests.attacks.ranges import running_range
from tests.servers.ldap import PEOPLE, entry, running_directory
from tests.servers.mongo import running_mongo

# The guide's own.
PAYLOAD = {"email": {"$ne": None}, "password": {"$ne": None}}
HONEST = {"email": "bob@example.com", "password": "letmein"}


@pytest.fixture(scope="module")
def servers():
    people = (entry("alice", "Alice", "123456"), entry("bob", "Bob", "letmein"))
    with running_mongo() as mongo, running_directory(*people) as directory:
        yield {
            "RANGE_MONGO": mongo,
            "RANGE_LDAP": f"ldap://127.0.0.1:{directory.port}",
            "RANGE_LDAP_BASE": PEOPLE,
        }


@pytest.fixture(scope="module")
def off(servers):
    with running_range("off", **servers) as running, running.client() as client:
        yield client


@pytest.fixture(scope="module")
def on(servers):
    with running_range("on", **servers) as running, running.client() as client:
        yield client


def external(file):
    return f'<!DOCTYPE a [<!ENTITY x SYSTEM "{file}">]><a>&x;</a>'


def test_nosql_login(off, on):
    """The guide's payload signs in as the first user, and nobody behind the guard."""
    assert off.post("/nosql/login", json=PAYLOAD).json()["email"] == "alice@example.com"
    refused = on.post("/nosql/login", json=PAYLOAD)
    assert refused.status_code == 403
    assert refused.json()["code"] == "interpreters.nosql"


def test_nosql_search(off, on):
    attack = {"q": ".*"}
    assert len(off.get("/nosql/search", params=attack).json()) == 2
    assert on.get("/nosql/search", params=attack).json()["code"] == "interpreters.nosql"


def test_ldap(off, on):
    attack = {"uid": "*"}
    assert set(off.get("/ldap", params=attack).json()) == {"Alice", "Bob"}
    assert on.get("/ldap", params=attack).json()["code"] == "interpreters.ldap"


def test_xml(off, on):
    attack = external("/etc/hostname")
    name = Path("/etc/hostname").read_text("utf-8")
    assert off.post("/xml", content=attack).json()["text"] == name
    assert on.post("/xml", content=attack).json()["code"] == "interpreters.xml"


def test_honest_use(off, on):
    for client in (off, on):
        assert client.post("/nosql/login", json=HONEST).json()["_id"] == "2"
        wrong = {**HONEST, "password": "$ne"}
        assert client.post("/nosql/login", json=wrong).status_code == 401
        assert len(client.get("/nosql/search", params={"q": "bob@"}).json()) == 1
        assert client.get("/ldap", params={"uid": "bob"}).json() == ["Bob"]
        text = client.post("/xml", content="<a>&lt;b&gt; <b>ü</b></a>").json()["text"]
        assert text == "<b> ü"
