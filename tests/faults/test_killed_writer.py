"""Killing the process in the middle of writes loses nothing that was acknowledged."""

import sqlite3
from contextlib import closing

import pytest
from tests.contracts.records import session
from tests.faults.serving import forks
from tests.faults.writer import write

from ringfence.stores.open import open_stores

ROUNDS = 20


def kill_a_writer(processes, database, run):
    """Start a writer, kill it after ``run`` + 3 acknowledgements (another moment in
    each round), and return all that it acknowledged."""
    hears, says = processes.Pipe(duplex=False)
    writer = processes.Process(target=write, args=(database, run, says), daemon=True)
    writer.start()
    says.close()
    said = [hears.recv() for _ in range(run + 3)]
    writer.kill()  # SIGKILL
    try:
        while True:
            said.append(hears.recv())
    except (EOFError, OSError):  # the last word may have been cut
        pass
    writer.join()
    writer.close()
    hears.close()
    return said


@pytest.mark.anyio
async def test_twenty_kills_lose_nothing(tmp_path):
    """Every account, session, revocation and password change that was acknowledged
    is there afterwards, and the next start needs no repair."""
    path = tmp_path / "store.db"
    url = f"sqlite:///{path}"
    processes = forks()
    acknowledged = []
    for run in range(ROUNDS):
        acknowledged += kill_a_writer(processes, url, run)
    assert len(acknowledged) >= sum(range(3, 3 + ROUNDS))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    stores = open_stores(url)
    await stores.start()
    try:
        for what, name in acknowledged:
            found = await stores.accounts.by_id(f"id-{name}")
            assert found is not None, (what, name)
            kept = await stores.sessions.read(session(f"kept-{name}").token_hash)
            ended = await stores.sessions.read(session(f"ended-{name}").token_hash)
            if what == "revoked":
                assert ended is None, name
            if what == "changed":
                assert found.password_hash == "changed"
                assert kept is None, name
                assert ended is None, name
            if what == "kept" and found.epoch == 0:
                assert kept is not None, name
    finally:
        await stores.stop()
