"""``valkey.conf`` and ``users.acl``, by a real Valkey and the store that uses it.

The wheel's server is built without TLS: its lines are read here, not tried.
"""

import hashlib
import re
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
    RedisError,
)
from redis.retry import Retry
from tests.deploy import shipped
from tests.deploy.described import compose, pods
from tests.deploy.shipped import TESTER, directives, running_shipped_valkey

from ringfence.errors import StoreError
from ringfence.stores.contracts import Block, Charge, Question, counter_key
from ringfence.stores.open import open_shared

USERS = shipped.USERS.read_text()
PASSWORD = "of-the-tests"
OWNER = "an-account"
ONCE = Retry(NoBackoff(), 0)
SOURCES = Path(open_shared.__code__.co_filename).parent / "redis"


def rules(user):
    (line,) = [it for it in USERS.splitlines() if it.startswith(f"user {user} ")]
    return line.split()[2:]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    hashed = hashlib.sha256(PASSWORD.encode()).hexdigest()
    users = USERS.replace(64 * "0", hashed)
    with running_shipped_valkey(tmp_path_factory.mktemp("valkey"), users) as server:
        yield server


@pytest.fixture
def admin(server):
    with server.client() as client:
        yield client


def as_user(server, name="ringfence"):
    return Redis(
        unix_socket_path=str(server.socket),
        username=name,
        password=PASSWORD,
        retry=ONCE,
    )


def url(server):
    return f"redis://ringfence:{PASSWORD}@127.0.0.1:{server.port}/0"


@asynccontextmanager
async def opened(server):
    store = open_shared(url(server))
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


def charge(name, **more):
    return Charge(counter_key("test", name), amount=3, period=60.0, **more)


async def everything(store):
    """Ask for all that the store can do, with each kind of budget."""
    counters = store.counters("sign-ins")
    kinds = [charge("rate"), charge("exact", exact=True, holds=(60.0,))]
    for _ in range(5):
        verdict = await counters.take(kinds)
        await counters.give_back(kinds, verdict.at)
    await counters.lift([kind.key for kind in kinds])
    for member in (b"one", b"two"):
        await counters.distinct(counter_key("test", "spray"), member, 60.0)
    await store.blocks.put(Block("203.0.113.0/24", 60.0, "a test"))
    await store.blocks.put(Block("203.0.113.0/24", 0.0, "over"))
    await store.blocks.since(0)
    name = b"n" * 32
    await store.copies.hold(OWNER)
    await store.copies.release(OWNER)
    told = await store.copies.read(name, OWNER)
    await store.copies.keep(name, told, b"a copy", 1)
    await store.ask(Question(kinds, name=name, owner=OWNER))
    await store.copies.drop(name, OWNER)


@pytest.mark.anyio
async def test_the_store_may_do_all_that_it_does(server, admin):
    """Not one command is refused for want of a right, scripts included."""
    admin.acl_log_reset()
    async with opened(server) as store:
        await everything(store)
    assert admin.acl_log() == []


def test_no_right_is_given_that_nothing_needs():
    """Each command stands in a script or in the source of the store."""
    text = "\n".join(it.read_text() for it in SOURCES.rglob("*.py"))
    text += "\n".join(it.read_text() for it in SOURCES.rglob("*.lua"))
    given = {rule[1:] for rule in rules("ringfence") if rule.startswith("+")}
    for rule in given - {"cluster|slots"}:
        assert f'b"{rule.upper()}"' in text or f"call('{rule.upper()}'" in text, rule
    assert 'b"CLUSTER", b"SLOTS"' in text


def test_every_command_of_a_script_is_allowed():
    """Also of those that the tests above do not come to."""
    called = {
        command.lower()
        for script in SOURCES.rglob("*.lua")
        for command in re.findall(r"redis\.p?call\(\s*'(\w+)'", script.read_text())
    }
    assert called
    assert called <= {rule[1:] for rule in rules("ringfence")}


REFUSED = [
    ("CONFIG", "GET", "*"),
    ("CONFIG", "SET", "dir", "/tmp"),
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("KEYS", "*"),
    ("SCAN", "0"),
    ("DEBUG", "SLEEP", "0"),
    ("MODULE", "LIST"),
    ("ACL", "LIST"),
    ("REPLICAOF", "NO", "ONE"),
    ("SLAVEOF", "203.0.113.1", "6379"),
    ("MONITOR",),
    ("CLIENT", "LIST"),
    ("SAVE",),
    ("SHUTDOWN", "NOSAVE"),
    ("SCRIPT", "FLUSH"),
    ("FUNCTION", "LIST"),
    ("PUBLISH", "c", "m"),
    ("SUBSCRIBE", "c"),
    ("CLUSTER", "NODES"),
    ("MIGRATE", "203.0.113.1", "6379", "k", "0", "1"),
    ("SORT", "ringfence:k"),
    ("GET", "another:key"),
    ("SET", "another:key", "v"),
    ("EVAL", "return redis.call('GET', KEYS[1])", "1", "another:key"),
    ("EVAL", "return redis.call('GET', 'another:key')", "0"),
    ("EVAL", "return redis.call('CONFIG', 'GET', '*')", "0"),
]


@pytest.mark.parametrize("command", REFUSED, ids=" ".join)
def test_a_stolen_password_opens_nothing_else(server, command):
    with as_user(server) as client, pytest.raises(RedisError) as refused:
        client.execute_command(*command)
    assert re.search("permission|not allowed|ACL", str(refused.value))


def test_the_probe_may_ask_whether_anybody_is_there(server):
    with as_user(server, "probe") as client:
        assert client.ping()
        for command in (("GET", "ringfence:k"), ("INFO",), ("CONFIG", "GET", "*")):
            with pytest.raises(NoPermissionError):
                client.execute_command(*command)


def test_nobody_is_let_in_without_a_name(server):
    """The shipped rules of the default user, tried by setting them."""
    with as_user(server, TESTER) as tester:
        tester.execute_command("ACL", "SETUSER", "default", *rules("default"))
        try:
            with (
                Redis(unix_socket_path=str(server.socket), retry=ONCE) as client,
                pytest.raises(AuthenticationError),
            ):
                client.ping()
        finally:
            everybody = ("on", "nopass", "~*", "&*", "+@all")
            tester.execute_command("ACL", "SETUSER", "default", *everybody)


def test_the_shipped_file_lets_nobody_in():
    """Until make-secrets has put the hash of a password there."""
    (hashed,) = [rule for rule in rules("ringfence") if rule.startswith("#")]
    assert hashed == "#" + 64 * "0"
    assert "nopass" not in rules("ringfence")


def test_the_server_has_taken_every_line(admin):
    said = admin.config_get("*")
    for name, value in directives():
        if name in {"maxmemory", "maxmemory-policy", "appendfsync", "maxclients"}:
            assert said[name] == value.replace("768mb", str(768 * 2**20))
    assert said["maxmemory-clients"] == "10%"
    assert said["enable-debug-command"] == "no"


@pytest.mark.anyio
async def test_a_full_server_forgets_nobody(server, admin):
    """``noeviction``: writes fail, and a lock stays a lock (CWE-307)."""
    locked = charge("locked", exact=True, holds=(600.0,))
    async with opened(server) as store:
        counters = store.counters("sign-ins")
        for _ in range(4):
            verdict = await counters.take([locked])
        assert verdict.held
        admin.config_set("maxmemory", 1)
        try:
            with pytest.raises(StoreError):
                await counters.take([charge("new")])
            with pytest.raises(OutOfMemoryError), as_user(server) as client:
                client.set("ringfence:k", "v")
        finally:
            admin.config_set("maxmemory", 768 * 2**20)
        assert (await counters.take([locked])).held


@pytest.mark.anyio
async def test_a_lock_outlives_a_restart(server, admin):
    """``appendonly``: who can make the server restart gets no new guesses."""
    locked = charge("kept", exact=True, holds=(600.0,))
    async with opened(server) as store:
        for _ in range(4):
            await store.counters("sign-ins").take([locked])
    admin.shutdown(save=False, nosave=True)
    server.restart()
    async with opened(server) as store:
        assert (await store.counters("sign-ins").take([locked])).held


def test_nothing_is_served_without_tls():
    said = dict(directives())
    assert said["port"] == "0"
    assert said["tls-port"] == "6379"
    assert said["tls-replication"] == said["tls-cluster"] == "yes"
    for name in ("tls-cert-file", "tls-key-file", "tls-ca-cert-file", "aclfile"):
        assert said[name].startswith("/run/secrets/")


def test_its_files_are_mounted_where_it_looks_for_them():
    said = dict(directives())
    files = {Path(value).name for value in said.values() if "/run/secrets/" in value}
    assert files == set(compose()["services"]["valkey"]["secrets"])
    ((_, pod),) = [pair for pair in pods() if pair[0].called == "valkey"]
    mounts = {
        it["name"]: it["mountPath"] for it in pod["containers"][0]["volumeMounts"]
    }
    assert mounts["secrets"] == "/run/secrets"


def test_the_memory_of_the_container_is_enough():
    """A rewrite of the file takes memory beside ``maxmemory``."""
    said = dict(directives())
    limit = compose()["services"]["valkey"]["deploy"]["resources"]["limits"]["memory"]
    assert (said["maxmemory"], limit) == ("768mb", "1G")
