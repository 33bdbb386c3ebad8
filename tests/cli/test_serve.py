import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from urllib.parse import urlsplit

import pytest

from ringfence.secrets.keys_file import create_keys_file

DEADLINE = 60


class Served:
    """A command that serves, from its first line to its exit."""

    def __init__(self, *words, env):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ringfence.cli.main", *words],
            env=os.environ | {"PYTHONWARNINGS": "error"} | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.guillotine = threading.Timer(DEADLINE, self.process.kill)
        self.guillotine.start()
        lines = 3 if words[0] == "dev" else 1
        told = [self.process.stdout.readline() for _ in range(lines)]
        self.first, self.told = told[0], "".join(told)
        self.log = ""
        for line in self.process.stderr:
            self.log += line
            if "startup complete" in line:
                break

    @property
    def port(self):
        address = next(word for word in self.first.split() if word.startswith("http"))
        return urlsplit(address).port

    def get(self, path, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.body = answer.read()
        connection.close()
        return answer

    def end(self):
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=DEADLINE)
        self.guillotine.cancel()
        self.log += err
        return self.process.returncode, out

    def kill(self):
        self.guillotine.cancel()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def serve(here):
    begun = []

    def serve(*words, **env):
        begun.append(Served(*words, "--port", "0", env=env))
        return begun[-1]

    yield serve
    for each in begun:
        each.kill()


def test_dev_serves_this_machine_with_one_command(serve, here):
    """From nothing to an answer; and an end without a trace."""
    served = serve("dev", "garden:app")
    assert "development, this machine only" in served.first
    answer = served.get("/?token=hunter2")
    assert (answer.status, answer.body) == (200, b"at home")
    assert answer.getheader("server") is None
    assert answer.getheader("content-security-policy")
    code, _ = served.end()
    assert code == 0
    assert "accounts create --email" in served.told
    assert f"RINGFENCE_DATA={here / 'var'}" in served.told
    assert "hunter2" not in served.log
    assert "Traceback" not in served.log
    assert (here / "var" / "keys.json").exists()
    events = (here / "var" / "audit.jsonl").read_text().splitlines()
    names = [json.loads(event)["event"] for event in events]
    assert names == ["sys_startup", "sys_shutdown"]


def test_what_a_start_up_makes_is_not_collected_over_again(serve, here):
    """A full collection goes through all of it, and holds up every request."""
    with (here / "garden.py").open("a") as source:
        source.write(
            "\nimport gc\n"
            "@access.require(access.public)\n"
            "async def frozen(request):\n"
            "    return PlainTextResponse(str(gc.get_freeze_count()))\n"
            "app = Guard(Starlette(routes=[Route('/frozen', frozen)]))\n"
        )
    assert int(serve("dev", "garden:app").get("/frozen").body) > 10_000


def test_production_is_served_behind_its_settings(serve, here):
    """Nothing that a client claims about itself is believed by the server."""
    create_keys_file(here / "keys.json")
    served = serve(
        "serve",
        "garden:app",
        RINGFENCE_KEYS_FILE=str(here / "keys.json"),
        RINGFENCE_PUBLIC_ORIGINS="https://shop.example",
        RINGFENCE_PROXIES="none",
    )
    assert served.first.startswith("Listening on http://127.0.0.1:")
    forged = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https"}
    answer = served.get("/", Host="shop.example", **forged)
    assert answer.status == 200
    assert answer.getheader("server") is None
    assert answer.getheader("strict-transport-security")
    assert served.get("/", Host="127.0.0.1").status >= 400
    code, _ = served.end()
    assert code == 0
    assert "6.6.6.6" not in served.log


def test_a_start_that_fails_ends_with_its_reason(serve, here):
    create_keys_file(here / "keys.json")
    (here / "keys.json").chmod(0o644)
    served = serve(
        "serve",
        "garden:app",
        RINGFENCE_KEYS_FILE=str(here / "keys.json"),
        RINGFENCE_PUBLIC_ORIGINS="https://shop.example",
        RINGFENCE_PROXIES="none",
    )
    code, out = served.process.wait(DEADLINE), served.process.stdout.read()
    assert code == 2
    assert "chmod 600" in served.log
    assert "Traceback" not in served.log
    assert served.told + out == "", "an address was told, and nobody listens there"


def test_dev_tells_no_address_when_the_start_fails(serve, here):
    (here / "var").mkdir()
    (here / "var" / "keys.json").write_text("no keys")
    served = serve("dev", "garden:app")
    code, out = served.process.wait(DEADLINE), served.process.stdout.read()
    assert code == 2
    assert "keys.json" in served.log
    assert served.told + out == ""


def test_dev_begins_anew_when_a_file_changes(serve):
    served = serve("dev", "garden:app", "--reload")
    assert "development, this machine only" in served.first
    assert served.get("/").body == b"at home"
    served.end()


WAITED_FOR = (
    b"POST /auth/register HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 9\r\n"
    b"Content-Type: application/json\r\nExpect: 100-continue\r\n\r\n"
)


def test_more_connections_than_allowed_are_turned_away(serve, here):
    create_keys_file(here / "keys.json")
    served = serve(
        "serve",
        "garden:app",
        "--connections",
        "3",
        RINGFENCE_KEYS_FILE=str(here / "keys.json"),
        RINGFENCE_PUBLIC_ORIGINS="https://shop.example",
        RINGFENCE_PROXIES="none",
    )
    address = ("127.0.0.1", served.port)
    with socket.create_connection(address), socket.create_connection(address):
        # Silent ones give way to who asks.
        assert served.get("/", Host="shop.example").status == 200
    with (
        socket.create_connection(address) as one,
        socket.create_connection(address) as other,
    ):
        for busy in (one, other):
            busy.sendall(WAITED_FOR)
            assert busy.recv(12) == b"HTTP/1.1 100"
        assert served.get("/", Host="shop.example").status == 503
