"""What a uvloop does is announced as on asyncio's loops, and otherwise unchanged."""

import asyncio
import datetime as dt
import socket
import ssl
import subprocess
import sys
from collections import Counter
from functools import partial
from types import SimpleNamespace

import anyio
import httpx2
import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ringfence.interpreters.loops import arm_loop, is_seen
from ringfence.interpreters.loops.announced import _numeric
from ringfence.interpreters.loops.guarded import GuardedLoop

HEARD = SimpleNamespace(events=None, refused=())
WATCHED = {
    "subprocess.Popen",
    "socket.connect",
    "socket.getaddrinfo",
    "socket.getnameinfo",
}


class RefusedError(Exception):
    """Whoever judges refuses by an exception."""


def hear(event, args):
    if HEARD.events is not None and event in WATCHED:
        HEARD.events.append((event, args))
        if event in HEARD.refused:
            raise RefusedError(event)


sys.addaudithook(hear)


def armed():
    loop = uvloop.new_event_loop()
    arm_loop(loop)
    return loop


LOOPS = {"asyncio": asyncio.SelectorEventLoop, "uvloop": GuardedLoop, "armed": armed}


def run(factory, main, *, refused=()):
    """Run on a loop; return what came of it, and what was announced."""
    HEARD.events, HEARD.refused = [], refused
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            result = runner.run(main())
        return result, HEARD.events
    finally:
        HEARD.events = None


@pytest.fixture(params=LOOPS)
def factory(request):
    return LOOPS[request.param]


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as bound:
        yield bound.getsockname()


async def connected(host, port, **options):
    _, writer = await asyncio.open_connection(host, port, **options)
    peer = writer.get_extra_info("peername")
    here = writer.get_extra_info("sockname")
    writer.close()
    await writer.wait_closed()
    return peer, here


async def executed(*arguments, **options):
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=subprocess.PIPE, **options
    )
    told, _ = await process.communicate()
    return told


async def shelled(script, **options):
    process = await asyncio.create_subprocess_shell(
        script, stdout=subprocess.PIPE, **options
    )
    told, _ = await process.communicate()
    return told


async def anyio_run(command):
    return (await anyio.run_process(command)).stdout


async def answered(url):
    async with httpx2.AsyncClient(verify=False) as client:
        return (await client.get(url)).status_code


async def sent(address):
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=address
    )
    transport.sendto(b"hello")
    peer = transport.get_extra_info("peername")
    transport.close()
    return peer


def names(events):
    return Counter(event for event, _ in events)


def test_programs_are_announced(factory):
    told, events = run(factory, partial(executed, "echo", "a b"))
    assert told == b"a b\n"
    ((event, (program, arguments, folder, environment)),) = events
    assert (event, program, arguments) == ("subprocess.Popen", "echo", ["echo", "a b"])
    assert folder is None
    assert environment is None


def test_folder_and_environment_are_announced(factory, tmp_path):
    main = partial(
        executed, "x", "-c", "pwd; echo $A", executable="/bin/sh", cwd=tmp_path,
        env={"A": "b"},
    )  # fmt: skip
    told, events = run(factory, main)
    assert told == f"{tmp_path}\nb\n".encode()
    ((_, (program, arguments, folder, environment)),) = events
    assert program == "/bin/sh"
    assert arguments[1:] == ["-c", "pwd; echo $A"]
    assert str(folder) == str(tmp_path)
    assert environment == {"A": "b"}


def test_scripts_are_announced(factory):
    told, events = run(factory, partial(shelled, "echo a; echo b"))
    assert told == b"a\nb\n"
    ((_, (program, arguments, _, _)),) = events
    assert program == "/bin/sh"
    assert list(arguments) == ["/bin/sh", "-c", "echo a; echo b"]


@pytest.mark.parametrize("command", ["touch MARK", ["touch", "MARK"]])
@pytest.mark.parametrize("main", [executed, shelled, anyio_run])
def test_a_refused_program_does_not_run(factory, main, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if main is executed:
        main = partial(executed, "touch", "MARK")
    elif main is shelled:
        main = partial(shelled, "touch MARK")
    else:
        main = partial(anyio_run, command)
    with pytest.raises(RefusedError):
        run(factory, main, refused={"subprocess.Popen"})
    assert not list(tmp_path.iterdir())
    run(factory, main)
    assert [path.name for path in tmp_path.iterdir()] == ["MARK"]


def test_connections_are_announced(factory, listener):
    (peer, _), events = run(factory, partial(connected, *listener))
    assert peer == listener
    announced = [args for event, args in events if event == "socket.connect"]
    assert [address for _, address in announced] == [listener]


def test_names_are_announced_then_addresses(factory, listener):
    """What is dialled is the address that was announced, not the name once more."""
    (peer, _), events = run(factory, partial(connected, "localhost", listener[1]))
    assert peer == listener
    seen = [event for event, _ in events]
    assert seen[0] == "socket.getaddrinfo"
    assert seen[-1] == "socket.connect"
    assert events[0][1][:2] == ("localhost", listener[1])
    assert events[-1][1][1][:2] == listener


@pytest.mark.parametrize("event", ["socket.connect", "socket.getaddrinfo"])
def test_a_refused_connection_is_not_made(factory, listener, event):
    with pytest.raises(RefusedError):
        run(factory, partial(connected, "localhost", listener[1]), refused={event})


def test_clients_are_announced(factory, listener):
    """Anyio wraps what is raised into a group."""
    url = f"http://localhost:{listener[1]}/"
    with pytest.raises((RefusedError, ExceptionGroup)) as caught:
        run(factory, partial(answered, url), refused={"socket.connect"})
    assert "RefusedError" in repr(caught.value)


def test_each_address_is_tried(factory, listener, monkeypatch):
    """A name whose first address is dead still answers at the second."""

    async def main():
        loop = asyncio.get_running_loop()
        kind = socket.SOCK_STREAM
        dead = (socket.AF_INET, kind, 6, "", ("127.0.0.1", 1))
        alive = (socket.AF_INET, kind, 6, "", listener)

        async def two(*_, **__):
            return [dead, alive]

        if hasattr(loop.create_connection, "__self__") and not isinstance(
            loop, asyncio.BaseEventLoop
        ):
            loop.create_connection.__self__.getaddrinfo = two
        else:
            loop.getaddrinfo = two
        made = []

        def protocol():
            made.append(asyncio.Protocol())
            return made[-1]

        transport, mine = await loop.create_connection(protocol, "two.example", 80)
        peer = transport.get_extra_info("peername")
        transport.close()
        return peer, mine is made[0], len(made)

    (peer, is_mine, made), events = run(factory, main)
    assert peer == listener
    assert is_mine
    assert made == 1
    dialled = [args[1] for event, args in events if event == "socket.connect"]
    assert dialled == [("127.0.0.1", 1), listener]


def test_nothing_listens(factory):
    with pytest.raises(ConnectionRefusedError):
        run(factory, partial(connected, "127.0.0.1", 1))


def test_what_has_no_address(factory):
    with pytest.raises(socket.gaierror):
        run(factory, partial(connected, "nowhere.invalid", 80))


def test_family_is_kept(factory, listener):
    """A name is not dialled at an address of a family that was not asked for."""
    main = partial(connected, "127.0.0.1", listener[1], family=socket.AF_INET6)
    with pytest.raises(OSError):  # noqa: PT011 - each loop says it otherwise
        run(factory, main)
    main = partial(connected, "localhost", listener[1], family=socket.AF_INET)
    (peer, _), _ = run(factory, main)
    assert peer == listener


def test_flags_are_kept(factory, listener):
    main = partial(connected, "localhost", listener[1], flags=socket.AI_NUMERICHOST)
    with pytest.raises(socket.gaierror):
        run(factory, main)
    main = partial(connected, "127.0.0.1", listener[1], flags=socket.AI_NUMERICHOST)
    (peer, _), _ = run(factory, main)
    assert peer == listener


def test_near_address_is_kept(factory, listener):
    main = partial(connected, *listener, local_addr=("127.0.0.2", 0))
    (_, near), _ = run(factory, main)
    assert near[0] == "127.0.0.2"


def test_a_socket_of_the_callers_is_used(factory, listener):
    async def main():
        mine = socket.create_connection(listener)
        HEARD.events.clear()
        return await connected(None, None, sock=mine)

    (peer, _), events = run(factory, main)
    assert peer == listener
    assert events == []


def test_an_address_of_ipv6(factory):
    try:
        bound = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    with bound:
        port = bound.getsockname()[1]
        (peer, _), events = run(factory, partial(connected, "::1", port))
        assert peer[:2] == ("::1", port)
        assert events[-1][1][1][:2] == ("::1", port)


def test_a_link_local_address_keeps_its_interface():
    """Without it, the address would mean nothing, or another machine."""
    assert _numeric(("fe80::1", 80, 0, socket.if_nametoindex("lo"))) == (
        "fe80::1%lo",
        80,
    )
    assert _numeric(("fe80::1%lo", 80, 0, 1)) == ("fe80::1%lo", 80)
    assert _numeric(("::1", 80, 0, 0)) == ("::1", 80)


def test_what_needs_a_host_says_so(factory):
    with pytest.raises(ValueError, match="host"):
        run(factory, partial(connected, None, None))
    with pytest.raises(ValueError, match="server_hostname"):
        run(factory, partial(connected, "", 1, ssl=True))
    with pytest.raises(ValueError, match="server_hostname"):
        run(factory, partial(connected, "127.0.0.1", 1, server_hostname="x"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for a name, made with the cryptography that is installed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "pair.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_tls_asks_for_the_name_and_not_the_address(factory, certificate):
    """The name is checked against the certificate although an address is dialled."""
    offered = []

    async def main():
        ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        ours.load_cert_chain(certificate)
        ours.sni_callback = lambda _, name, __: offered.append(name)
        theirs = ssl.create_default_context(cafile=certificate)
        server = await asyncio.start_server(
            lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=ours
        )
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("localhost", port, ssl=theirs)
        writer.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", port, ssl=theirs)
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=theirs, server_hostname="localhost"
        )
        writer.close()
        server.close()
        await server.wait_closed()

    run(factory, main)
    assert offered.count("localhost") == 2


def test_datagrams_are_announced(factory):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.settimeout(10)
        peer, events = run(factory, partial(sent, bound.getsockname()))
        assert peer == bound.getsockname()
        assert bound.recv(100) == b"hello"
        (kind,) = {args[0].type for event, args in events if event == "socket.connect"}
        assert kind == socket.SOCK_DGRAM
        with pytest.raises(RefusedError):
            run(factory, partial(sent, peer), refused={"socket.connect"})


def test_datagrams_from_a_near_address(factory, listener):
    async def main():
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol,
            local_addr=("127.0.0.1", 0),
            remote_addr=listener,
        )
        peer = transport.get_extra_info("peername")
        transport.close()
        only, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        only.close()
        return peer

    peer, events = run(factory, main)
    assert peer == listener
    assert names(events)["socket.connect"] == 1


def test_unix_sockets_are_announced(factory, tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        bound.listen()

        async def main():
            _, writer = await asyncio.open_unix_connection(path)
            writer.close()
            await writer.wait_closed()

        _, events = run(factory, main)
        assert [str(args[1]) for _, args in events] == [str(path)]
        with pytest.raises(RefusedError):
            run(factory, main, refused={"socket.connect"})


def test_look_ups_are_announced(factory):
    async def main():
        loop = asyncio.get_running_loop()
        await loop.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
        return await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST)

    told, events = run(factory, main)
    assert told[0] == "127.0.0.1"
    assert names(events).keys() == {"socket.getaddrinfo", "socket.getnameinfo"}


def test_sockets_that_are_connected_by_hand(factory, listener):
    """As by aiohttp."""

    async def main():
        with socket.socket() as mine:
            mine.settimeout(0)
            await asyncio.get_running_loop().sock_connect(mine, listener)
            return mine.getpeername()

    peer, events = run(factory, main)
    assert peer == listener
    assert names(events)["socket.connect"] >= 1
    with pytest.raises(RefusedError):
        run(factory, main, refused={"socket.connect"})


def test_which_loops_are_seen():
    loops = [asyncio.SelectorEventLoop(), GuardedLoop(), uvloop.Loop()]
    assert [is_seen(loop) for loop in loops] == [True, True, False]
    assert arm_loop(loops[-1])
    once = loops[-1].create_connection
    assert arm_loop(loops[-1])
    assert loops[-1].create_connection is once or (
        loops[-1].create_connection.__self__ is once.__self__
    )
    assert is_seen(loops[-1])
    for loop in loops:
        loop.close()


def test_a_loop_of_unknown_make_is_not_said_to_be_seen():
    class Foreign(asyncio.AbstractEventLoop):
        """Of another library."""

    assert not arm_loop(Foreign())
    assert not is_seen(Foreign())
