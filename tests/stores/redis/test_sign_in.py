"""Passwords, rights and TLS: who we are to the server, and who it is to us."""

import asyncio
import datetime as dt
import gc
import ipaddress
import re
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.servers.proxy import running_proxy
from tests.servers.valkey import running_valkey
from tests.stores.redis.keyspaces import answers, opened, outcome, until

from ringfence.errors import StoreError
from ringfence.stores.contracts import Block, Charge, Question, counter_key
from ringfence.stores.redis import dial
from ringfence.stores.redis.failures import RefusedError
from ringfence.stores.redis.server import open_keyspace
from ringfence.stores.redis.shared import RedisShared

pytestmark = pytest.mark.anyio

PROJECT = Path(__file__).parents[3]
GUIDE = PROJECT / "docs" / "guides" / "stores.md"
SOURCE = PROJECT / "src" / "ringfence" / "stores" / "redis"


@pytest.fixture
def anyio_backend():
    return "asyncio", {"use_uvloop": True}


async def refusal_of(url):
    """Return what is said by a keyspace that does not start."""
    with pytest.raises(StoreError) as refused:
        await open_keyspace(url).start()
    return str(refused.value)


# Passwords


@pytest.fixture(scope="module")
def closed():
    """The URL of a server that asks for a password, and a client that has given it."""
    with running_valkey() as server, server.client() as client:
        client.execute_command("ACL SETUSER shop on >first ~* +@all")
        client.execute_command("ACL SETUSER default resetpass >hunter2")
        yield "redis://{}127.0.0.1:" + str(server.port), client
        client.execute_command("ACL SETUSER default nopass")


@pytest.mark.parametrize("who", [":hunter2@", "default:hunter2@", "shop:first@"])
async def test_a_right_password(closed, who):
    url, client = closed
    client.execute_command("ACL SETUSER shop resetpass >first")
    async with opened(url.format(who)) as keyspace:
        assert await answers(keyspace)


WRONG = {
    "": "does not let us in: Authentication required",
    ":wrong@": "does not let us in",
    "shop:wrong@": "does not let us in",
    "nobody:hunter2@": "does not let us in",
}


@pytest.mark.parametrize("who", WRONG)
async def test_a_wrong_password_is_told_but_not_shown(closed, who):
    url, _ = closed
    said = await refusal_of(url.format(who))
    assert WRONG[who] in said
    assert "wrong@" not in said
    assert "hunter2" not in said


async def test_a_password_changes_while_we_run(closed, tmp_path):
    """Its file is read for each connection; an old one is of no use to anybody."""
    url, client = closed
    file = tmp_path / "password"
    file.write_text("first\n")
    file.chmod(0o600)
    client.execute_command("ACL SETUSER shop resetpass >first")
    async with opened(url.format("shop@") + f"?password_file={file}") as keyspace:
        file.write_text("second\n")
        client.execute_command("ACL SETUSER shop resetpass >second")
        client.client_kill_filter(user="shop")
        await until(lambda: answers(keyspace))


async def test_a_password_file_that_others_can_read(closed, tmp_path):
    """CWE-732."""
    file = tmp_path / "password"
    file.write_text("hunter2\n")
    file.chmod(0o644)
    url = closed[0].format("") + f"?password_file={file}"
    assert "chmod 600" in await refusal_of(url)
    assert "there is no" in await refusal_of(url + "-absent")


# Rights


@pytest.fixture(scope="module")
def ruled():
    """The URL of a server with the user of the guide, and a client of its operator."""
    with running_valkey() as server, server.client() as client:
        client.execute_command(rule())
        yield f"redis://ringfence:PASSWORD@127.0.0.1:{server.port}", client


def rule():
    return re.search(r"^ACL SETUSER .*$", GUIDE.read_text(), re.MULTILINE)[0]


def test_the_rule_of_the_guide_allows_what_the_scripts_call():
    """No more and no less: a command that is no longer called is a right too many."""
    called = re.compile(r"redis\.p?call\(\s*'(\w+)'")
    sent = re.compile(r"""\.call\(\s*\w+,\s*b"(\w+)\"""")
    files = [*SOURCE.glob("scripts/*.lua"), *SOURCE.glob("*.py")]
    found = {
        command.lower()
        for file in files
        for command in (
            *called.findall(file.read_text()),
            *sent.findall(file.read_text()),
        )
    }
    allowed = set(re.findall(r" \+(\w+)", rule()))
    assert allowed == found | {"info", "eval", "evalsha"}


async def test_the_rule_of_the_guide_is_enough(ruled):
    """Counters, blocks, copies and questions work for a user with these rights."""
    shared = RedisShared(open_keyspace(ruled[0]))
    await shared.start()
    try:
        counters = shared.counters("limits")
        charges = [
            Charge(counter_key("a", "b"), 1, 60.0, exact=exact, holds=holds)
            for exact in (True, False)
            for holds in ((), (5.0,))
        ]
        for charge in charges:
            verdict = await counters.take([charge])
            await counters.give_back([charge], verdict.at)
            await counters.take([charge, charge])
        await counters.lift([charge.key for charge in charges])
        await counters.distinct(b"key", b"member", 60.0)
        version = await shared.blocks.put(Block("192.0.2.0/24", 60.0, "test"))
        assert len((await shared.blocks.since(version - 1)).changed) == 1
        await shared.blocks.put(Block("192.0.2.0/24", 0.0, "test"))
        told = await shared.copies.read(b"name", "owner")
        assert await shared.copies.keep(b"name", told, b"copy", 1)
        reply = await shared.ask(Question(charges[:1], b"name", "owner"))
        assert reply.told.copy == b"copy"
        await shared.copies.drop(b"name", "owner")
        await shared.copies.hold("owner")
        await shared.copies.release("owner")
    finally:
        await shared.stop()


@pytest.mark.parametrize(
    "command",
    [
        (b"GET", b"other:key"),
        (b"KEYS", b"*"),
        (b"SCAN", 0),
        (b"FLUSHALL",),
        (b"CONFIG", b"GET", b"*"),
        (b"EVAL", b"return redis.call('GET', 'other:key')", 0),
    ],
)
async def test_the_rule_of_the_guide_is_not_more(ruled, command):
    async with opened(ruled[0]) as keyspace:
        refused = await outcome(keyspace.call(b"k", *command))
        assert isinstance(refused, RefusedError)
        assert refused.code in {"NOPERM", "ERR"}
        assert "ermission" in refused.text


@pytest.mark.parametrize("right", ["info", "eval", "evalsha", "set"])
async def test_a_right_that_is_missing_is_told_at_the_start(ruled, right):
    url, client = ruled
    client.script_flush()
    client.execute_command(f"{rule()} -{right}")
    try:
        assert "docs/guides/stores.md" in await refusal_of(url)
    finally:
        client.execute_command(rule())


async def test_a_full_server_is_told_at_the_start():
    with running_valkey("--maxmemory", "1kb") as server:
        assert "raise its maxmemory" in await refusal_of(server.url)


# TLS: the test's server speaks none, so that a proxy before it does


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """Files of an authority, of a server and of a client, and of a stranger."""
    folder = tmp_path_factory.mktemp("papers")
    authority = issue(folder, "authority", None)
    issue(folder, "server", authority)
    issue(folder, "client", authority)
    issue(folder, "stranger", None)
    return folder


def issue(folder, name, authority):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signer = authority or (subject, key)
    now = dt.datetime.now(dt.UTC)
    here = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([here]), critical=False)
        .add_extension(
            x509.BasicConstraints(ca=authority is None, path_length=None), critical=True
        )
        # Python 3.13 asks for these (VERIFY_X509_STRICT).
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
            critical=False,
        )
        .add_extension(usage(is_authority=authority is None), critical=True)
        .sign(signer, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(pem))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return subject, key


def usage(*, is_authority):
    others = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        **others,
    )


@pytest.fixture(scope="module")
def tls_port(valkey_server, papers):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers / "server.pem", papers / "server.key")
    with running_proxy(valkey_server.port, tls=context) as proxy:
        yield proxy.port


@pytest.fixture(scope="module")
def mutual_port(valkey_server, papers):
    """Who has no certificate is not served."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers / "server.pem", papers / "server.key")
    context.load_verify_locations(papers / "authority.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with running_proxy(valkey_server.port, tls=context) as proxy:
        yield proxy.port


async def test_tls_of_a_known_authority(tls_port, papers):
    url = f"rediss://127.0.0.1:{tls_port}?ca_file={papers / 'authority.pem'}"
    async with opened(url) as keyspace:
        for number in range(1, 4):
            assert await keyspace.call(b"tls", b"INCR", b"tls") >= number


def test_nobody_waits_for_a_goodbye(valkey_server, papers):
    """A server that has hung keeps no connection open that we have ended."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers / "server.pem", papers / "server.key")
    hung = threading.Event()

    async def come_and_go(proxy):
        url = f"rediss://127.0.0.1:{proxy.port}?ca_file={papers / 'authority.pem'}"
        keyspace = open_keyspace(f"{url}&connect_timeout=10")
        await keyspace.start()
        proxy._loop.call_soon_threadsafe(hung.wait)
        await keyspace.stop()

    with running_proxy(valkey_server.port, tls=context) as proxy:
        try:
            asyncio.run(come_and_go(proxy))
            gc.collect()  # what is open still says so now
        finally:
            hung.set()


async def test_a_certificate_of_our_own(mutual_port, papers):
    url = f"rediss://127.0.0.1:{mutual_port}?ca_file={papers / 'authority.pem'}"
    said = await refusal_of(url)
    assert "Redis at 127.0.0.1" in said
    mine = f"&cert_file={papers / 'client.pem'}&key_file={papers / 'client.key'}"
    async with opened(url + mine) as keyspace:
        assert await answers(keyspace)


async def test_a_stranger_s_certificate_is_not_taken(tls_port, papers):
    """Neither with another authority, nor with those of the system."""
    url = f"rediss://127.0.0.1:{tls_port}"
    for parameters in ("", f"?ca_file={papers / 'stranger.pem'}"):
        said = await refusal_of(url + parameters)
        assert "does not pass TLS" in said
        assert "ca_file" in said


async def test_a_certificate_for_another_name_is_not_taken(tls_port, papers):
    url = f"rediss://localhost:{tls_port}?ca_file={papers / 'authority.pem'}"
    assert "does not pass TLS" in await refusal_of(url)


async def test_tls_and_none_are_told_apart(tls_port, valkey_server, papers):
    url = f"redis://127.0.0.1:{tls_port}?connect_timeout=0.2"
    assert "write rediss for redis" in await refusal_of(url)
    url = f"rediss://127.0.0.1:{valkey_server.port}?connect_timeout=0.2"
    assert "Redis at 127.0.0.1" in await refusal_of(url)


async def test_certificates_that_cannot_be_read_are_told(tls_port, tmp_path):
    url = f"rediss://127.0.0.1:{tls_port}?ca_file={tmp_path / 'absent.pem'}"
    assert "see ca_file" in await refusal_of(url)


async def test_renewed_certificates_are_used(tls_port, papers, tmp_path, monkeypatch):
    """Without a restart, a minute later at most."""
    file = tmp_path / "ca.pem"
    file.write_bytes((papers / "stranger.pem").read_bytes())
    keyspace = open_keyspace(f"rediss://127.0.0.1:{tls_port}?ca_file={file}")
    with pytest.raises(StoreError):
        await keyspace.start()
    file.write_bytes((papers / "authority.pem").read_bytes())
    with pytest.raises(StoreError):
        await keyspace.start()
    monkeypatch.setattr(dial, "_CERTIFICATES_KEPT", 0.0)
    await keyspace.start()
    await keyspace.stop()
