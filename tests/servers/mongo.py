"""A server that speaks MongoDB's wire protocol, for tests: ``nx-27017``, in memory.

It is no MongoDB: ``$where`` and ``$function`` find nothing there and raise nothing, so
that tests of JavaScript ask for our refusal and not for what the server does.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.attacks.serving import await_port, free_port


@contextmanager
def running_mongo() -> Iterator[str]:
    """Start a server; yield its URL, and stop it afterwards."""
    program = Path(sys.executable).parent / "nx-27017"
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="mongo-") as name:
        folder = Path(name)
        command = [str(program), "--data-dir", "memory", "--port", str(port)]
        command += ["--log-file", str(folder / "log")]
        command += ["--pid-file", str(folder / "pid")]
        log = folder / "output"
        with log.open("w") as output:
            process = subprocess.Popen(command, env={}, stdout=output, stderr=output)
        try:
            await_port(process, port, log)
            yield f"mongodb://127.0.0.1:{port}/"
        finally:
            process.kill()  # what it holds is in memory, and it may wait for clients
            process.wait()
