"""A client that follows addresses from outside: what it dials, how much it reads."""

import asyncio
import contextlib
import datetime as dt
import gzip
import ssl
import sys

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ringfence import urls
from ringfence.errors import FetchError, InjectionRefusedError, MissingExtraError

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request):
    return ("asyncio", {"use_uvloop": request.param == "uvloop"})


class Site:
    """A site on loopback that answers every path by ``answers``."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    async def serve(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.asked.append(head)
                path = head.split(" ")[1]
                answer = self.answers.get(
                    path, b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n"
                )
                pieces = answer if isinstance(answer, list) else [answer]
                for piece in pieces:
                    if piece is None:
                        await reader.read()  # for ever
                    else:
                        writer.write(piece)
                        await writer.drain()
        writer.close()


def answer(content=b"", **headers):
    lines = [b"HTTP/1.1 %d x" % headers.pop("status", 200)]
    lines.append(b"content-length: %d" % len(content))
    lines += [f"{name}: {value}".encode() for name, value in headers.items()]
    return b"\r\n".join(lines) + b"\r\n\r\n" + content


@contextlib.asynccontextmanager
async def site(tls=None, **answers):
    made = Site({f"/{name}": value for name, value in answers.items()})
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


def to_loopback(*names):
    async def resolve(host, port):
        assert host in names
        return ["127.0.0.1"]

    return resolve


async def test_what_is_there():
    async with site(x=answer(b"gr\xc3\xbc\xc3\x9fe", **{"x-y": "z"})) as there:
        found = await urls.fetch(
            f"http://news.example:{there.port}/x",
            private=(f"127.0.0.1:{there.port}",),
            resolve=to_loopback("news.example"),
            headers={"accept": "text/plain"},
        )
    assert (found.status, found.text, found.headers["x-y"]) == (200, "grüße", "z")
    assert f"host: news.example:{there.port}" in there.asked[0].lower()
    assert "accept: text/plain" in there.asked[0].lower()


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["93.184.216.34", "127.0.0.1"],  # one of them speaks against all
        ["::ffff:169.254.169.254"],
        ["fd00:ec2::254"],
        ["what"],
    ],
)
async def test_name_that_stands_for_an_address_of_ours(addresses):
    async def resolve(host, port):
        return addresses

    async with site(x=answer(b"secret")) as there:
        with pytest.raises(InjectionRefusedError):
            await urls.fetch(f"http://rebind.example:{there.port}/x", resolve=resolve)
    assert there.asked == []


async def test_rebound_name():
    """The name is looked up once: a second answer is never asked for."""
    given = []

    async def resolve(host, port):
        given.append("127.0.0.1" if given else "192.0.2.1")
        return [given[-1]]

    async with site(x=answer(b"secret")) as there:
        with pytest.raises(FetchError):
            await urls.fetch(
                f"http://rebind.example:{there.port}/x",
                private=("192.0.2.1", f"127.0.0.2:{there.port}"),
                resolve=resolve,
                timeout=0.2,
            )
    assert given == ["192.0.2.1"]
    assert there.asked == []


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:1/",
        "http://[::1]/",
        "//169.254.169.254/",
        "file:///etc/passwd",
    ],
)
async def test_redirect_to_an_address_of_ours(location):
    """Each hop is checked as the first address was."""
    async with site(x=answer(status=302, location=location)) as there:
        with pytest.raises((InjectionRefusedError, FetchError)):
            await urls.fetch(
                f"http://news.example:{there.port}/x",
                private=(f"127.0.0.1:{there.port}",),
                resolve=to_loopback("news.example"),
            )
    assert len(there.asked) == 1


async def test_redirects_are_followed_and_counted():
    there = answer(status=302, location="/y"), answer(status=301, location="/x")
    async with site(x=there[0], y=answer(b"here"), loop=there[1]) as made:
        options = {
            "private": (f"news.example:{made.port}",),
            "resolve": to_loopback("news.example"),
        }
        found = await urls.fetch(f"http://news.example:{made.port}/loop", **options)
        assert found.url.endswith("/y")
        with pytest.raises(FetchError):
            await urls.fetch(
                f"http://news.example:{made.port}/loop", redirects=1, **options
            )


@pytest.mark.parametrize(
    "sent",
    [
        answer(b"x" * 20_000),
        answer(gzip.compress(b"\0" * 1_000_000), **{"content-encoding": "gzip"}),
        [b"HTTP/1.1 200 x\r\n\r\n", b"x" * 20_000, None],
        [b"HTTP/1.1 200 x\r\n\r\n", b"x", None],
        [None],
    ],
)
async def test_answers_that_do_not_end(sent):
    """Neither memory nor time is the other side's to take; packed or not."""
    async with site(x=sent) as there:
        with pytest.raises(FetchError):
            await urls.fetch(
                f"http://127.0.0.1:{there.port}/x",
                private=("127.0.0.1",),
                most=10_000,
                timeout=0.3,
            )


async def test_transport_bounds_what_a_client_reads():
    async with site(x=answer(b"x" * 20_000), y=[answer(b"x" * 9)[:-1], None]) as there:
        transport = urls.transport(private=("127.0.0.1",), most=10_000, timeout=0.3)
        async with httpx2.AsyncClient(transport=transport) as client:
            with pytest.raises(httpx2.ReadError):
                await client.get(f"http://127.0.0.1:{there.port}/x")
            with pytest.raises(httpx2.ReadTimeout):
                await client.get(f"http://127.0.0.1:{there.port}/y")


async def test_nobody_answers():
    async with site() as there:
        port = there.port
    with pytest.raises(FetchError):
        await urls.fetch(f"http://127.0.0.1:{port}/", private=("127.0.0.1",))


async def test_name_without_an_address():
    async def resolve(host, port):
        raise OSError("no such name")

    with pytest.raises(FetchError, match="no such name"):
        await urls.fetch("http://gone.example/", resolve=resolve)

    async def nothing(host, port):
        return []

    with pytest.raises(FetchError, match="no address"):
        await urls.fetch("http://gone.example/", resolve=nothing)


async def test_proxies_of_the_environment_are_not_used(monkeypatch):
    """A proxy would look the name up once more, where nobody judges the answer."""
    async with site() as proxy, site(x=answer(b"here")) as there:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        await urls.fetch(f"http://127.0.0.1:{there.port}/x", private=("127.0.0.1",))
    assert proxy.asked == []


async def test_certificate_is_verified_for_the_name(tmp_path):
    """The address is dialled, and the name is what the other side must prove."""
    server, client = contexts("news.example", tmp_path)
    async with site(server, x=answer(b"here")) as there:
        options = {
            "private": ("127.0.0.1",),
            "resolve": to_loopback("news.example", "other.example"),
            "verify": client,
        }
        found = await urls.fetch(f"https://news.example:{there.port}/x", **options)
        assert found.content == b"here"
        with pytest.raises(FetchError, match=r"(?i)certificate"):
            await urls.fetch(f"https://other.example:{there.port}/x", **options)


def contexts(name, folder):
    """A certificate for one name: who has it, and who believes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1)
        .not_valid_before(today - dt.timedelta(1))
        .not_valid_after(today + dt.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "site.pem"
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    file.write_bytes(
        pem
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=pem.decode())


async def test_library_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "ringfence.interpreters.urls.httpx2", None)
    with pytest.raises(MissingExtraError, match="http"):
        urls.transport()
