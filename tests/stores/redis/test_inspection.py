"""What the answer to INFO means."""

import pytest

from ringfence.stores.redis.inspection import Facts

SOUND = {
    "redis_version": "7.2.4",
    "valkey_version": "9.1.2",
    "run_id": "a" * 40,
    "role": "master",
    "master_replid": "b" * 40,
    "loading": "0",
    "cluster_enabled": "0",
}


def read(**changes):
    said = {**SOUND, **changes}
    lines = ["# Server", *(f"{name}:{value}" for name, value in said.items() if value)]
    return Facts.read("\r\n".join(lines).encode())


def test_a_sound_server_is_used():
    assert read().objection(is_cluster=False) == ""
    assert read(cluster_enabled="1").objection(is_cluster=True) == ""


@pytest.mark.parametrize("name", ["run_id", "master_replid"])
def test_the_identity_changes_with_process_and_history(name):
    """After a restart (run_id) or a promotion (master_replid) writes may be lost."""
    assert len(read().identity) == 8
    assert read().identity != read(**{name: "c" * 40}).identity
    assert read(uptime_in_seconds="7").identity == read().identity


OBJECTIONS = {
    "is older than Redis 7.0": {"redis_version": "6.2.14"},
    "does not say who it is": {"run_id": ""},
    "is a replica": {"role": "slave"},
    "is still loading": {"loading": "1"},
    "write redis+cluster://": {"cluster_enabled": "1"},
}


@pytest.mark.parametrize("objection", OBJECTIONS)
def test_a_server_that_cannot_be_used_is_told(objection):
    assert objection in read(**OBJECTIONS[objection]).objection(is_cluster=False)


def test_a_single_server_is_no_cluster():
    assert "write redis://" in read().objection(is_cluster=True)


@pytest.mark.parametrize(
    "answer", [b"", None, 7, [b"x"], b"\xff:\xff", b"HTTP/1.1 400"]
)
def test_whatever_is_no_redis_is_refused(answer):
    assert Facts.read(answer).objection(is_cluster=False)
