"""The reference shop, served as ``make serve`` serves it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from tests.attacks.serving import (
    NO_TLS,
    RINGFENCE,
    Process,
    await_port,
    create_account,
    development,
    free_port,
    running,
)

OPERATOR = {"email": "olive@example.com", "password": "the operator's pass phrase"}


@contextmanager
def running_shop() -> Iterator[Process]:
    """Start the shop with its products, one operator and no customers."""
    folder = Path(tempfile.mkdtemp(prefix="shop-test-"))
    port = free_port()
    command = (*RINGFENCE, "dev", "examples.shop:app", "--port", str(port))
    log = folder / "shop.log"
    try:
        create_account(folder, OPERATOR, role="operator")
        with running(command, env=development(folder), log=log) as process:
            await_port(process, port, log)
            yield Process(port, process.pid, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def customer(shop: Process, name: str) -> Iterator[httpx2.Client]:
    """Register and sign in, as a program that keeps its cookies and its token."""
    account = {"email": f"{name}@example.com", "password": f"{name}'s long pass phrase"}
    with httpx2.Client(base_url=shop.url, timeout=60, verify=NO_TLS) as client:
        client.post("/auth/register", json=account)
        answer = client.post("/auth/login", json=account)
        if answer.status_code != 200:
            raise RuntimeError(answer.text)
        client.headers["x-csrf-token"] = answer.json()["csrf_token"]
        yield client
