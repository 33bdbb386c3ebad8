"""Several workers behind one socket: alike, replaced, stopped, never left behind."""

import http.client
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ringfence.cli.workers import Patience

DEADLINE = 60

APPLICATION = """
import asyncio
import os
import subprocess
import time
from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from ringfence import Guard, Settings, access

pid = str(os.getpid())


def waited_for(name):
    while not Path(name).exists():
        yield


@access.require(access.public)
async def home(request):
    return PlainTextResponse(pid)


@access.require(access.public)
async def stuck(request):
    '''Keep this worker from doing anything else.'''
    Path("stuck").touch()
    for _ in waited_for("free"):
        time.sleep(0.01)
    return PlainTextResponse(pid)


@access.require(access.public)
async def slow(request):
    Path("begun").touch()
    for _ in waited_for("finish"):
        await asyncio.sleep(0.01)
    return PlainTextResponse(pid)


@access.require(access.public)
async def endless(request):
    async def tick():
        while True:
            yield b"tick"
            await asyncio.sleep(0.01)

    return StreamingResponse(tick())


routes = [
    Route("/", home),
    Route("/stuck", stuck),
    Route("/slow", slow),
    Route("/endless", endless),
]
settings = Settings.load(identity={"enabled": False})


def nth():
    '''Say which of the processes this is, in the order of their start.'''
    Path(f"started-{pid}").touch()
    return len([*Path().glob("started-*")])


app = Guard(Starlette(routes=routes), settings)
"""


@pytest.fixture(scope="module", autouse=True)
def hears_terminals():
    """What is started here hears SIGHUP, also where nohup has started the tests: what
    is ignored is inherited, what is handled is not."""
    before = signal.signal(signal.SIGHUP, lambda *_: None)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "garden.py").write_text(APPLICATION)
    return tmp_path


COMMAND = ("dev", "garden:app", "--workers", "2")


@pytest.fixture(scope="module")
def served(tmp_path_factory, valkey_server):
    """One service for tests after which it goes on."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "garden.py").write_text(APPLICATION)
    served = Served(folder, *COMMAND, RINGFENCE_STORE=valkey_server.url)
    try:
        yield served.open()
        served.signal(signal.SIGTERM)
        code, log = served.end()
    finally:
        served.clear()
    assert code == 0
    assert "".join(served.said).count("Listening on") == 1
    assert "Traceback" not in log


def wait_until(is_so, what):
    end = time.monotonic() + DEADLINE
    while not (found := is_so()):
        assert time.monotonic() < end, f"{what} has not happened"
        threading.Event().wait(0.01)
    return found


def is_alive(pid):
    """Return whether a process runs; one that only nobody has buried yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


class Served:
    """A command that serves, and all that it says."""

    def __init__(self, folder, *words, stdin=subprocess.DEVNULL, **env):
        environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("RINGFENCE_")
        }
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ringfence.cli.main", *words, "--port", "0"],
            env=environ | {"PYTHONWARNINGS": "error"} | env,
            cwd=folder,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.guillotine = threading.Timer(10 * DEADLINE, self.process.kill)
        self.guillotine.start()
        self.said, self.log = [], []
        self.readers = [
            threading.Thread(target=self._read, args=pair)
            for pair in (
                (self.process.stdout, self.said),
                (self.process.stderr, self.log),
            )
        ]
        for reader in self.readers:
            reader.start()

    def _read(self, stream, lines):
        with stream:
            for line in stream:
                lines.append(line)

    def logged(self, text):
        return "".join(self.log).count(text)

    def has_said(self, text):
        wait_until(lambda: self.logged(text), f"{text!r} in the log")

    def open(self):
        wait_until(lambda: self.said or self.process.poll() is not None, "an address")
        assert self.said, "".join(self.log)
        return self

    @property
    def address(self):
        words = self.said[0].split()
        parts = urlsplit(next(word for word in words if word.startswith("http")))
        return parts.hostname, parts.port

    def get(self, path):
        connection = self.connect()
        connection.request("GET", path)
        return self.answered(connection)

    def connect(self):
        connection = http.client.HTTPConnection(*self.address, timeout=DEADLINE)
        connection.connect()
        return connection

    def answered(self, connection):
        with closing(connection), connection.getresponse() as answer:
            body = answer.read().decode()
        assert answer.status == 200, body
        return body

    @contextmanager
    def stuck(self):
        """Hold up one worker; give its process id once it is free again."""
        connection = self.connect()
        connection.request("GET", "/stuck")
        self.appears("stuck")
        found = []
        yield found
        self.touch("free")
        found.append(self.answered(connection))
        (self.folder / "free").unlink()
        (self.folder / "stuck").unlink()

    def pids(self):
        """Return the process ids of both workers: what one cannot answer, the other
        does."""
        with self.stuck() as one:
            other = self.get("/")
        return {int(one[0]), int(other)}

    def touch(self, name):
        (self.folder / name).touch()

    def appears(self, name):
        wait_until((self.folder / name).exists, name)

    def signal(self, number):
        self.process.send_signal(number)

    def is_closed(self):
        try:
            socket.create_connection(self.address, timeout=DEADLINE).close()
        except ConnectionRefusedError:
            return True
        return False

    def end(self):
        """Return the exit code, and all that was logged."""
        code = self.process.wait(DEADLINE)
        for reader in self.readers:
            reader.join(DEADLINE)
        return code, "".join(self.log)

    def clear(self):
        self.guillotine.cancel()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # a session of its own
        self.process.wait()
        for reader in self.readers:
            reader.join(DEADLINE)


@pytest.fixture
def serve(folder, valkey):
    begun = []

    def serve(*words, store=valkey.url, **env):
        command = (*COMMAND, *words)
        begun.append(Served(folder, *command, RINGFENCE_STORE=store, **env))
        return begun[-1]

    yield serve
    for each in begun:
        each.clear()


def append(folder, text):
    with (folder / "garden.py").open("a") as file:
        file.write(text)


def test_all_answer_and_the_dead_are_replaced(served):
    """One that is killed is missed by nobody but its own clients."""
    before = served.pids()
    assert len(before) == 2
    assert served.process.pid not in before
    with served.stuck() as survivor:
        victim = int(served.get("/"))
        os.kill(victim, signal.SIGKILL)
        # The other one is stuck, so this waits for who comes in the victim's place.
        newcomer = int(served.get("/"))
    assert newcomer not in before
    assert before == {victim, int(survivor[0])}
    assert all(int(served.get("/")) != victim for _ in range(20))
    assert served.logged("was killed (SIGKILL); another one takes its place") == 1
    assert served.logged("All workers have the fingerprint") == 1
    assert served.logged("[worker 1]")
    assert served.logged("[worker 2]")


def test_they_are_replaced_one_after_the_other_on_request(served):
    """SIGHUP: every worker is a new one, and nobody was turned away meanwhile."""
    before = served.pids()
    served.signal(signal.SIGHUP)
    asked = 0
    while any(map(is_alive, before)):
        served.get("/")
        asked += 1
        threading.Event().wait(0.01)  # leaves the machine to those who start
    assert asked
    assert not served.pids() & before


def test_what_has_begun_is_finished(serve):
    """A stop turns away who comes and answers who is there. Ctrl-C reaches every
    process of a terminal, and is heard once."""
    served = serve().open()
    connection = served.connect()
    connection.request("GET", "/slow")
    served.appears("begun")
    os.killpg(served.process.pid, signal.SIGINT)
    wait_until(served.is_closed, "the end of listening")
    served.touch("finish")
    assert served.answered(connection).isdecimal()
    code, log = served.end()
    assert code == 0
    assert "Traceback" not in log


def test_a_second_signal_ends_at_once(serve):
    served = serve().open()
    with closing(served.connect()) as connection:
        connection.request("GET", "/slow")
        served.appears("begun")
        served.signal(signal.SIGINT)
        served.signal(signal.SIGINT)  # one that was sent twice at once is one
        wait_until(served.is_closed, "the end of listening")
        assert served.process.poll() is None
        while not select.select([connection.sock], [], [], 0.05)[0]:
            served.signal(signal.SIGINT)
        with pytest.raises(OSError):  # noqa: PT011 - reset or closed, as it comes
            connection.getresponse()
    assert served.end()[0] == 128 + signal.SIGINT


def test_nobody_is_left_when_the_parent_is_killed(serve, folder):
    """Not even a program that the application has started holds the port."""
    append(folder, 'subprocess.Popen(["sleep", "60"], close_fds=False)\n')
    served = serve().open()
    pids = served.pids()
    served.process.kill()
    wait_until(lambda: not any(map(is_alive, pids)), "the end of the workers")
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(served.address)
        bound.listen()


def test_one_with_another_plan_stops_all(serve, folder):
    """A random number must not decide which route is open."""
    append(
        folder,
        """
@access.require(access.public if nth() == 1 else access.signed_in)
async def secret(request):
    return PlainTextResponse("secret")

app = Guard(Starlette(routes=[*routes, Route("/secret", secret)]), settings)
""",
    )
    served = serve()
    code, log = served.end()
    assert code == 2
    assert "worker 2 is not like worker 1" in log
    assert "policy of GET, HEAD /secret is signed_in instead of public" in log
    assert served.said == []


def test_one_with_other_keys_stops_all(serve, folder):
    append(folder, 'if nth() == 2:\n    Path("var/keys.json").unlink()\n')
    code, log = serve().end()
    assert code == 2
    assert "worker 2 is not like worker 1, so nothing is served: the keys" in log


def test_one_that_has_changed_since_is_refused(serve, folder):
    """Those that serve go on as they are."""
    served = serve().open()
    append(folder, "\napp = Guard(Starlette(routes=routes[:-1]), settings)\n")
    victim = int(served.get("/"))
    os.kill(victim, signal.SIGKILL)
    served.has_said("is refused, since it is not like those that serve: the route")
    served.has_said("tried again in 30 seconds")
    assert int(served.get("/")) != victim
    assert served.process.poll() is None


def test_one_that_cannot_start_again_stops_all(tmp_path):
    """Whoever looks after the service is to know, and to begin anew."""
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("failing.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.stdout.startswith("worker 2 ended (exit code 7) before it had started")
    assert "3 times in a row" in done.stdout
    assert done.stderr.count("it is tried again in") == 2


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.5), (2, 1), (4, 4), (99, 5)])
def test_the_pause_grows_to_its_bound(failures, seconds):
    assert Patience().pause(failures) == seconds


def test_a_shelf_in_memory_is_not_shared(serve):
    """Of ten guesses a minute two workers would let twenty pass (CWE-307)."""
    code, log = serve(store="memory://").end()
    assert code == 2
    assert "--workers is 2, and several processes cannot share" in log
    assert "RINGFENCE_STORE=redis://127.0.0.1:6379/0" in log
    assert log.count("in memory") == 2
    assert "Traceback" not in log


@pytest.fixture
def terminal():
    ours, theirs = os.openpty()
    yield theirs
    os.close(ours)
    os.close(theirs)


def test_streams_end_with_the_grace_time(serve, terminal):
    """And a terminal that is closed ends what was started in it."""
    served = serve("--grace", "0", stdin=terminal).open()
    connection = served.connect()
    connection.request("GET", "/endless")
    stream = connection.getresponse()
    assert stream.read(4) == b"tick"
    served.signal(signal.SIGHUP)
    with suppress(http.client.IncompleteRead):
        stream.read()
    connection.close()
    assert served.end()[0] == 0
