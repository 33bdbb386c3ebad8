"""Somebody who has an account and has signed in, the way browsers do."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import (
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
)
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from ringfence.clock import system_clock
from ringfence.denial import Denial
from ringfence.guard.accounts import open_accounts
from ringfence.guard.asgi import Guard
from ringfence.identity.accounts import Accounts
from ringfence.identity.known_device import KnownDevices
from ringfence.secrets.keyring import Keyring
from ringfence.settings import Settings
from ringfence.stores.contracts import AccountRecord
from ringfence.testing.refused import Response

_TOKEN_HEADER = "x-csrf-token"  # noqa: S105 - a header's name
_OK = 200
_PORTS = {"http": 80, "https": 443}


class Url(Protocol):
    """The address that a client talks to."""

    @property
    def port(self) -> int | None: ...

    @property
    def scheme(self) -> str: ...


class Client(Protocol):
    """A client that keeps cookies: Starlette's test client, or one of httpx."""

    @property
    def headers(self) -> MutableMapping[str, str]: ...

    @property
    def base_url(self) -> Url: ...

    def post(
        self, url: str, *, json: Any = None, headers: Mapping[str, str] | None = None
    ) -> Response: ...


@dataclass(frozen=True, slots=True)
class Visitor:
    """An account made for a test.

    Args:
        id: the account's id.
        email: its address, at ``example.test`` (RFC 6761).
        password: random.
    """

    id: str
    email: str
    password: str


@contextmanager
def signed_in(
    client: Client, guard: Guard, *, roles: Iterable[str] = (), tenant: str = ""
) -> Iterator[Visitor]:
    """Make an account, sign it in with the client, and out again at the end.

    Nothing is faked: the account is in the guard's database, the session was opened by
    ``POST /auth/login``, and its CSRF token is sent with every request of the client.
    The client counts as a device that the account has used before, so that a suite may
    sign in as often as it likes without raising the limits on strangers::

        with TestClient(app, base_url="http://127.0.0.1:8000",
                        client=("127.0.0.1", 50000)) as client:
            with signed_in(client, app, roles=["staff"]):
                assert client.get("/admin/users").status_code == 200

    Args:
        client: talks to the guard, whose lifespan is running.
        guard: in development, since test clients speak http.
        roles: what the account may do.
        tenant: that it belongs to; empty for none.

    Raises:
        AssertionError: the account could not be made or signed in; says why.
    """
    email = f"visitor-{secrets.token_hex(6)}@example.test"
    password = secrets.token_urlsafe(16)
    made = _in_thread(
        guard.settings,
        lambda accounts: accounts.create(email, password, roles, tenant=tenant),
    )
    if isinstance(made, Denial):
        raise AssertionError(made.detail)  # noqa: TRY004 - what tests raise
    answer = client.post(
        "/auth/login",
        json={"email": email, "password": password},
        headers={"cookie": _known_device(client, guard.settings, made)},
    )
    if answer.status_code != _OK:
        raise AssertionError(f"the sign-in failed: {answer.text[:200]}")
    client.headers[_TOKEN_HEADER] = answer.json()["csrf_token"]
    try:
        yield Visitor(made.id, email, password)
    finally:
        client.post("/auth/logout")
        del client.headers[_TOKEN_HEADER]


def _known_device(client: Client, settings: Settings, account: AccountRecord) -> str:
    """Return the cookie of a device that has signed in to this account before."""
    keyring = Keyring(settings.keys_path, create=False)
    keyring.open()
    devices = KnownDevices(
        partial(keyring.derive_all, "identity.device"),
        development=settings.development,
        clock=system_clock,
    )
    url = client.base_url
    port = url.port or _PORTS.get(url.scheme)
    return devices.cookie(account.email_key, account.epoch, port=port)


def _in_thread(
    settings: Settings,
    making: Callable[[Accounts], Awaitable[AccountRecord | Denial]],
) -> AccountRecord | Denial:
    """Make the account in a loop of its own: the test may be running in one."""
    made: list[AccountRecord | Denial] = []

    async def make() -> None:
        async with open_accounts(settings) as accounts:
            made.append(await making(accounts))

    thread = threading.Thread(target=lambda: asyncio.run(make()))
    thread.start()
    thread.join()
    if not made:
        raise AssertionError("the account could not be made; the reason stands above")
    return made[0]
