"""PostgreSQL over TLS, with passwords, and as one of several hosts."""

import asyncio
import ipaddress
import os
import ssl
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.attacks.serving import free_port
from tests.contracts.records import account, session
from tests.servers.postgres import running_postgres

from ringfence.errors import StoreError
from ringfence.stores.open import open_stores

pytestmark = pytest.mark.anyio

ROLE, PASSWORD = "app", "won/der land?"
TOKEN = session().token_hash
DRIVERS = pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])


def certificate(name, key, issuer_name, issuer_key, *extensions):
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def own_authority(name):
    """Return an authority's key and certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.BasicConstraints(ca=True, path_length=None)
    return key, certificate(name, key, name, key, authority)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An authority, and another one that nobody knows."""
    folder = tmp_path_factory.mktemp("tls")
    key, known = own_authority("known")
    (folder / "ca.pem").write_bytes(pem(known))
    (folder / "other.pem").write_bytes(pem(own_authority("other")[1]))
    of_server = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    shown = certificate("db", of_server, "known", key, names)
    (folder / "server.crt").write_bytes(pem(shown))
    (folder / "server.key").write_bytes(
        of_server.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder


@pytest.fixture(scope="module")
def server():
    """A server that asks for a password."""
    with running_postgres(tcp=True) as started:
        rules = started.folder / "data" / "pg_hba.conf"
        rules.write_text(f"host all {ROLE} all scram-sha-256\nlocal all all trust\n")
        operators = started._of_operators.dsn
        with psycopg.connect(operators, autocommit=True) as operator:
            operator.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
            operator.execute("SELECT pg_reload_conf()")
        yield started


@pytest.fixture(scope="module")
def front(server, files):
    """TLS before that server, which is built without."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files / "server.crt", files / "server.key")
    before = TlsFront(server.port, context)
    thread = threading.Thread(target=before.run, daemon=True)
    thread.start()
    assert before.started.wait(10)
    yield before
    before.loop.call_soon_threadsafe(before.ended.set)
    thread.join(10)


class TlsFront:
    """Answers the request for TLS that PostgreSQL's clients begin with."""

    def __init__(self, target, context):
        self.target = target
        self.context = context
        self.port = free_port()
        self.started = threading.Event()
        self.connections = 0

    def run(self):
        asyncio.run(self._run())

    async def _run(self):
        self.loop, self.ended = asyncio.get_running_loop(), asyncio.Event()
        async with await asyncio.start_server(self._serve, "127.0.0.1", self.port):
            self.started.set()
            await self.ended.wait()

    async def _serve(self, reader, writer):
        there = None
        self.connections += 1
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readexactly(8)  # SSLRequest
            writer.write(b"S")
            await writer.start_tls(self.context)
            back, there = await asyncio.open_connection("127.0.0.1", self.target)
            ways = (self._pump(reader, there), self._pump(back, writer))
            await asyncio.gather(*ways)
        for end in (writer, there):
            if end is not None:
                end.close()

    async def _pump(self, source, sink):
        with suppress(OSError):
            while chunk := await source.read(65536):
                sink.write(chunk)
                await sink.drain()
        sink.close()


@pytest.fixture(scope="module")
def database(server, front):
    with server.database() as made:
        with psycopg.connect(made.dsn, autocommit=True) as operator:
            operator.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {ROLE}")
        yield replace(made, port=front.port)


def url(database, driver, more):
    place = f"{ROLE}@127.0.0.1:{database.port}/{database.name}"
    return f"postgresql+{driver}://{place}?{more}"


def write_password(folder, password, mode=0o600):
    (folder / "password").write_text(password)
    (folder / "password").chmod(mode)


async def works(url):
    stores = open_stores(url)
    await stores.start()
    try:
        await stores.accounts.add(account())
        return await stores.sessions.read(TOKEN) is None
    finally:
        await stores.stop()


@DRIVERS
async def test_the_server_is_checked_and_the_password_comes_from_a_file(
    database, files, driver, tmp_path
):
    write_password(tmp_path, f"{PASSWORD}\n")
    tls = f"sslmode=verify-full&sslrootcert={files}/ca.pem"
    assert await works(
        url(database, driver, f"{tls}&password_file={tmp_path}/password")
    )


@DRIVERS
async def test_a_server_is_checked_with_the_authorities_of_the_system(
    database, files, driver, tmp_path, monkeypatch
):
    """As the start-up asks for it where somebody has forgotten to."""
    write_password(tmp_path, PASSWORD)
    more = f"sslmode=verify-full&sslrootcert=system&password_file={tmp_path}/password"
    monkeypatch.setenv("SSL_CERT_FILE", str(files / "ca.pem"))
    assert await works(url(database, driver, more))


@DRIVERS
async def test_a_connection_over_tls_is_used_again(
    database, files, driver, tmp_path, front
):
    """What TLS itself says after its handshake is not taken for the end."""
    write_password(tmp_path, PASSWORD)
    tls = f"sslmode=verify-full&sslrootcert={files}/ca.pem"
    more = f"{tls}&password_file={tmp_path}/password"
    stores = open_stores(url(database, driver, more))
    await stores.start()
    before = front.connections
    for _ in range(10):
        await stores.sessions.read(TOKEN)
        await stores.accounts.by_id("id-ann")
    assert front.connections <= before + 1
    await stores.stop()


@DRIVERS
async def test_a_server_of_another_authority_is_refused(
    database, files, driver, tmp_path
):
    """Somebody on the way who answers in its place learns no password."""
    write_password(tmp_path, PASSWORD)
    tls = f"sslmode=verify-full&sslrootcert={files}/other.pem"
    with pytest.raises(StoreError, match=r"(?i)certificate"):
        await works(url(database, driver, f"{tls}&password_file={tmp_path}/password"))


@DRIVERS
async def test_a_password_is_read_for_each_connection(
    database, files, driver, tmp_path
):
    """It can change while the backend runs; a missing file is a store that is down."""
    tls = f"sslmode=verify-full&sslrootcert={files}/ca.pem"
    address = url(database, driver, f"{tls}&password_file={tmp_path}/password")
    with pytest.raises(StoreError, match="there is no password file"):
        await works(address)
    write_password(tmp_path, "wrong")
    with pytest.raises(StoreError, match="password authentication failed") as caught:
        await works(address)
    assert "wrong" not in str(caught.value)
    write_password(tmp_path, PASSWORD)
    assert await works(address)


@DRIVERS
async def test_a_password_that_others_can_read_is_not_used(
    database, files, driver, tmp_path
):
    """Nor does a pipe in its place hold up everybody (CWE-276, CWE-732)."""
    tls = f"sslmode=verify-full&sslrootcert={files}/ca.pem"
    address = url(database, driver, f"{tls}&password_file={tmp_path}/password")
    write_password(tmp_path, PASSWORD, mode=0o644)
    with pytest.raises(StoreError, match="chmod 600"):
        await works(address)
    (tmp_path / "password").unlink()
    os.mkfifo(tmp_path / "password", 0o600)
    with pytest.raises(StoreError, match="no regular file"):
        await works(address)
    (tmp_path / "password").unlink()
    write_password(tmp_path, "")
    (tmp_path / "password").write_bytes(b"\xff" + PASSWORD.encode())
    with pytest.raises(StoreError, match="is no UTF-8"):
        await works(address)


@DRIVERS
async def test_of_several_hosts_the_one_that_takes_writes_is_used(
    database, files, driver, tmp_path
):
    """After a failover nobody has to be told."""
    write_password(tmp_path, PASSWORD)
    tls = f"sslmode=verify-full&sslrootcert={files}/ca.pem"
    one = url(database, driver, f"{tls}&password_file={tmp_path}/password")
    assert await works(one.replace("127.0.0.1:", f"127.0.0.1:{free_port()},127.0.0.1:"))
