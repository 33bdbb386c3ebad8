"""The tests' own PostgreSQL starts anywhere and never outlives the tests."""

import os
import select
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from tests.servers import postgres as runner

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 30  # seconds

# Tells where its server is and which process it is, then waits to be killed.
HOLDER = """
import sys
from tests.servers.postgres import running_postgres

with running_postgres() as server:
    pid = (server.folder / "data" / "postmaster.pid").read_text().split()[0]
    print(pid, server.folder, flush=True)
    sys.stdin.read()
"""


def test_each_test_has_a_database_of_its_own(postgres_server):
    with postgres_server.database() as one, postgres_server.database() as other:
        with psycopg.connect(one.dsn) as connection:
            connection.execute("CREATE TABLE apples (id int)")
        with psycopg.connect(other.dsn) as connection:
            found = connection.execute("SELECT to_regclass('apples')").fetchone()
    assert found == (None,)


def test_a_database_is_gone_afterwards(postgres_server):
    """Even where a test has left a connection open."""
    with postgres_server.database() as database:
        left = psycopg.connect(database.dsn)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(database.dsn)
    left.close()


def test_nobody_else_reaches_it(postgres_server):
    """Its users need no password: its folder is what keeps others out."""
    assert stat.S_IMODE(postgres_server.folder.stat().st_mode) == 0o700
    with psycopg.connect(postgres_server._of_operators.dsn) as connection:
        listens = connection.execute("SHOW listen_addresses").fetchone()
    assert listens == ("",)


def test_a_killed_server_keeps_what_it_has_accepted():
    with (
        runner.running_postgres("synchronous_commit=on", tcp=True) as server,
        server.database() as database,
    ):
        left = psycopg.connect(database.address(), autocommit=True)
        left.execute("CREATE TABLE apples (id int)")
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            left.execute("SELECT 1")
        left.close()
        with pytest.raises(psycopg.OperationalError, match="refused"):
            psycopg.connect(database.address())
        server.restart()
        with psycopg.connect(database.address()) as connection:
            assert connection.execute("SELECT * FROM apples").fetchall() == []


def test_a_paused_server_goes_on(postgres_server):
    with (
        postgres_server.database() as database,
        psycopg.connect(database.dsn, autocommit=True) as connection,
    ):
        postgres_server.pause()
        try:
            connection.pgconn.send_query(b"SELECT 1")
            connection.pgconn.flush()
            answered, _, _ = select.select([connection.pgconn.socket], [], [], 0.1)
        finally:
            postgres_server.resume()
        assert not answered
        assert connection.pgconn.get_result().get_value(0, 0) == b"1"
        assert connection.pgconn.get_result() is None


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
        assert not Path(folder, "data", "postmaster.pid").exists()
    finally:
        os.close(server)


@pytest.mark.skipif(os.geteuid() != 0, reason="others run it as themselves")
def test_a_closed_environment_is_copied(monkeypatch, tmp_path):
    """Root's own environment need not be opened to anybody."""
    found = next(file for file in runner.files(runner._WHEEL) if file.name == "initdb")
    site = Path(found.locate()).parents[3]
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for name in (found.parts[0], runner._LIBRARIES):
        (closed / name).symlink_to(site / name)
    found.dist = type("Elsewhere", (), {"locate_file": staticmethod(closed.joinpath)})
    monkeypatch.setattr(runner, "files", lambda name: [found])
    with runner.running_postgres() as server, server.database() as database:
        with psycopg.connect(database.dsn) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert (server.folder / "wheel").is_dir()
    assert not server.folder.exists()
