"""The range as a process of its own, with the guard off or on."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from examples.range.gate import KEY_HEADER
from tests.attacks.serving import (
    NO_TLS,
    PYTHON,
    RAISED,
    Process,
    create_account,
    free_port,
    lines_of,
    running,
)

# The unguarded side keeps its people as the guide's developer would: in its own table.
ALICE = {"email": "alice@example.com", "password": "123456"}
BOB = {"email": "bob@example.com", "password": "letmein"}

# The guarded side knows the same people by the guard's accounts.
GUARDED_PASSWORD = "a long pass phrase"
PATIENCE = 60.0  # seconds that a busy machine may take to answer

ADMIN = {"email": "root@example.com", "password": "the admin's pass phrase"}


@dataclass(frozen=True, slots=True)
class Range(Process):
    """A running range and the key of its run."""

    key: str = ""
    guarded: bool = False
    registered: set[str] = field(default_factory=set, compare=False)

    def client(self, **options) -> httpx2.Client:
        """Return somebody who knows the key of the run, and nothing else."""
        headers = {KEY_HEADER: self.key, **options.pop("headers", {})}
        fixed = {"timeout": PATIENCE, "verify": NO_TLS}
        fixed["event_hooks"] = {"response": [self._show_why]}
        options = {**fixed, **options}
        return httpx2.Client(base_url=self.url, headers=headers, **options)

    def _show_why(self, response: httpx2.Response) -> None:
        """Show what the range says of a failure, beside the test that it fails."""
        if response.status_code == 500:
            sys.stderr.write(self.data.with_suffix(".log").read_text()[-4000:])

    @property
    def sign_in_path(self) -> str:
        return "/auth/login" if self.guarded else "/signin"

    def account(self, person: dict[str, str]) -> dict[str, str]:
        """Return how ``person`` signs in on this side."""
        if self.guarded and person is not ADMIN:
            return {**person, "password": GUARDED_PASSWORD}
        return person

    @contextmanager
    def signed_in(self, person: dict[str, str]) -> Iterator[httpx2.Client]:
        """Sign in as a page of the range's own would, and yield the browser."""
        own_page = {"origin": self.url, "sec-fetch-site": "same-origin"}
        with self.client(headers=own_page) as client:
            account = self.account(person)
            if self.guarded and account["email"] not in self.registered:
                client.post("/auth/register", json=account)
                self.registered.add(account["email"])
            answer = client.post(self.sign_in_path, json=account)
            if answer.status_code != 200:
                raise RuntimeError(answer.text)
            token = answer.json().get("csrf_token", "") if self.guarded else ""
            client.headers["x-csrf-token"] = token
            yield client

    def session(self, client: httpx2.Client) -> tuple[str, str]:
        """Return name and value of the client's session cookie."""
        ((name, value),) = (
            pair for pair in client.cookies.items() if "session" in pair[0]
        )
        return name, value


@contextmanager
def running_range(
    guard: str, *options: str, port: int = 0, data: Path | None = None, **env: str
) -> Iterator[Range]:
    """Start the range. Its folder is not below pytest's, out of reach for others."""
    folder = Path(tempfile.mkdtemp(prefix="range-test-")) if data is None else data
    port = port or free_port()
    key = secrets.token_hex(16)
    command = (*PYTHON, "examples.range", "--guard", guard, "--port", str(port))
    command += ("--data", str(folder), "--key", key, *options)
    environ = {"PATH": os.environ["PATH"], **RAISED, **env}
    log = folder.with_suffix(".log")
    try:
        with running(command, env=environ, log=log) as process:
            printed = lines_of(process.stdout, 3)
            if not printed[-1]:
                raise RuntimeError(log.read_text())
            yield Range(
                port, process.pid, folder, printed, key=key, guarded=guard == "on"
            )
    finally:
        log.unlink(missing_ok=True)
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def range_with_admin() -> Iterator[Range]:
    """Start the guarded range with an account for ``ADMIN``."""
    folder = Path(tempfile.mkdtemp(prefix="range-test-"))
    try:
        create_account(folder, ADMIN, role="admin")
        with running_range("on", data=folder) as running_one:
            yield running_one
    finally:
        shutil.rmtree(folder, ignore_errors=True)
