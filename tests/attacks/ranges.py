"""The range as a process of its own, with the guard off or on."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from examples.range.gate import KEY_HEADER
from tests.attacks.serving import Process, free_port, lines_of, running

ALICE = {"email": "alice@example.com", "password": "123456"}
BOB = {"email": "bob@example.com", "password": "letmein"}


@dataclass(frozen=True, slots=True)
class Range(Process):
    """A running range and the key of its run."""

    key: str = ""

    def client(self, **options) -> httpx2.Client:
        headers = {KEY_HEADER: self.key, **options.pop("headers", {})}
        return httpx2.Client(base_url=self.url, headers=headers, **options)


@contextmanager
def running_range(
    guard: str, *options: str, port: int = 0, data: Path | None = None, **env: str
) -> Iterator[Range]:
    """Start the range. Its folder is not below pytest's, out of reach for others."""
    folder = Path(tempfile.mkdtemp(prefix="range-test-")) if data is None else data
    port = port or free_port()
    key = secrets.token_urlsafe(24)
    arguments = ("examples.range", "--guard", guard, "--port", str(port))
    arguments += ("--data", str(folder), "--key", key, *options)
    environ = {"PATH": os.environ["PATH"], **env}
    log = folder.with_suffix(".log")
    try:
        with running(arguments, env=environ, log=log) as process:
            printed = lines_of(process.stdout, 3)
            if not printed[-1]:
                raise RuntimeError(log.read_text())
            yield Range(port, process.pid, folder, printed, key)
    finally:
        log.unlink(missing_ok=True)
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)
