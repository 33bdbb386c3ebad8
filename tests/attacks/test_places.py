"""A client that never lets its requests end, and everybody else."""

import socket
from contextlib import ExitStack, contextmanager

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.attacks.serving import served

from ringfence import Guard, Settings, access

MOST = 10
DRIP = (
    b"POST /take HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 100000\r\n\r\nx"
)
ASK = b"GET /take HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n"


async def take(request):
    return PlainTextResponse(f"{len(await request.body())} bytes")


def backend(folder, most):
    routes = [Route("/take", take, methods=["GET", "POST"])]
    settings = Settings.load(
        toml=None,
        environ={},
        env="development",
        data=folder,
        identity={"enabled": False},
        traffic={"max_open": most},
    )
    return Guard(Starlette(routes=access.routes(routes, access.public)), settings)


@contextmanager
def dripping(port, count):
    """Hold so many requests open, whose bodies come without end."""
    with ExitStack() as held:
        for _ in range(count):
            one = held.enter_context(socket.create_connection(("127.0.0.1", port), 20))
            one.sendall(DRIP % port)
        yield


def status(port, *, source="127.0.0.1"):
    address = ("127.0.0.1", port)
    with socket.create_connection(address, 20, source_address=(source, 0)) as asked:
        asked.sendall(ASK % port)
        return asked.recv(65_536).split(b" ")[1]


def once_they_are_in(port, wanted):
    """Ask until the drips have been counted; each question waits for the server."""
    for _ in range(2_000):
        found = status(port)
        if found == wanted:
            break
    return found


@pytest.mark.parametrize("most", [0, MOST])
def test_slow_bodies_of_one_client_leave_room_for_others(tmp_path, most):
    """Without the bound every one of them is taken; with it the client waits for its
    own requests, and another client is served."""
    with served(lambda port: backend(tmp_path, most)) as server:
        with dripping(server.port, MOST * 3):
            if most:
                assert once_they_are_in(server.port, b"429") == b"429"
            else:
                assert {status(server.port) for _ in range(50)} == {b"200"}
            assert status(server.port, source="127.0.0.2") == b"200"
        assert once_they_are_in(server.port, b"200") == b"200"
