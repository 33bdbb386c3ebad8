"""A real PgBouncer for tests: Debian's, in transaction mode, in a folder of its own.

Where it is not installed, ``apt-get install pgbouncer`` brings it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.attacks.serving import await_port, free_port
from tests.servers.postgres import Database, program_rights, public_folder

_CONFIGURATION = """
[databases]
{name} = host={socket} port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/logins
pool_mode = transaction
default_pool_size = {connections}
"""


@contextmanager
def running_pooler(
    database: Database, login: str, *, connections: int
) -> Iterator[int]:
    """Start a pooler before a database; yield its port; stop it afterwards.

    Skips the test where ``pgbouncer`` is not installed, and fails it where ``CI`` is
    set.

    Args:
        database: whose server is running.
        login: the role that may connect.
        connections: to the server, which all clients share.
    """
    places = os.environ.get("PATH", "") + ":/usr/sbin"
    program = shutil.which("pgbouncer", path=places)
    if program is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("pgbouncer is not installed: apt-get install pgbouncer")
    rights = program_rights()
    with tempfile.TemporaryDirectory(prefix="pooler-", dir=public_folder()) as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)  # PgBouncer refuses to run as root
        configuration = folder / "pgbouncer.ini"
        configuration.write_text(
            _CONFIGURATION.format(
                folder=folder,
                name=database.name,
                socket=database.folder,
                server=database.port,
                port=port,
                connections=connections,
            )
        )
        (folder / "logins").write_text(f'"{login}" ""\n')
        log = folder / "log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [program, str(configuration)], **rights, stdout=output, stderr=output
            )
        try:
            await_port(process, port, log)
            yield port
        finally:
            process.kill()  # nothing of it is kept
            process.wait()
