"""Who asks: the owner, another, and nobody, with one client between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from ringfence.testing.visitor import Url

_THROTTLED = 429


class Answered(Protocol):
    """A response of httpx, of Starlette's test client, or of anything like them."""

    @property
    def status_code(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def content(self) -> bytes: ...

    @property
    def text(self) -> str: ...

    def json(self) -> Any: ...


class Client(Protocol):
    """A synchronous client that keeps cookies: Starlette's test client, or one of
    httpx."""

    cookies: Any

    @property
    def headers(self) -> MutableMapping[str, str]: ...

    @property
    def base_url(self) -> Url: ...

    def post(
        self, url: str, *, json: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answered: ...

    def request(
        self, method: str, url: str, *, follow_redirects: bool = ..., **further: Any
    ) -> Answered: ...


@dataclass(slots=True, eq=False)
class Party:
    """Somebody who takes part in a proof.

    Args:
        says: ``the owner``, ``another`` or ``nobody``.
        marker: a random text; put it wherever an object of this party's holds text, and
            the proof looks for it in everybody else's answers.
        id: of the account; empty for nobody.
        email: of the account.
    """

    says: str
    marker: str = ""
    id: str = ""
    email: str = ""
    ids: dict[str, str] = field(default_factory=dict)
    """What ``create`` has returned for this party: path parameters and their values."""
    headers: dict[str, str] = field(default_factory=dict)
    """What its requests carry."""
    cookies: Any = None

    def marks(self) -> frozenset[str]:
        """Return what appears in nobody else's answers."""
        own = {self.marker, self.id, self.email}
        return frozenset(own | {one for one in self.ids.values() if _is_rare(one)})


def _is_rare(text: str) -> bool:
    """Return whether a text is no coincidence where it is found."""
    return len(text) >= 8  # noqa: PLR2004 - of ids that are random or marked


class ThrottledError(AssertionError):
    """A rate limit has answered in place of the application: nothing is proven."""


class Stage:
    """Lends one client to one party at a time.

    Args:
        client: talks to the guard, whose lifespan is running.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._plain = dict(client.headers)
        self._on: Party | None = None
        self.sent = 0

    def enter(self, party: Party) -> Client:
        """Return the client as this party's."""
        if self._on is not party:
            self._leave()
            client = self._client
            client.cookies = {} if party.cookies is None else party.cookies
            _replace(client.headers, {**self._plain, **party.headers})
            self._on = party
        return self._client

    def _leave(self) -> None:
        if self._on is not None:
            self._on.cookies = self._client.cookies

    def keep(self, party: Party) -> None:
        """Remember the headers that the client has been given for this party."""
        now = dict(self._client.headers)
        party.headers = {k: v for k, v in now.items() if self._plain.get(k) != v}

    @contextmanager
    def cleared(self) -> Iterator[None]:
        """Leave the client as it was found."""
        before = self._client.cookies
        try:
            yield
        finally:
            self._client.cookies = before
            _replace(self._client.headers, self._plain)

    def send(self, party: Party, method: str, url: str, **request: Any) -> Answered:
        """Send one request.

        Raises:
            ThrottledError: a limit has answered.
        """
        self.sent += 1
        client = self.enter(party)
        answer = client.request(method, url, follow_redirects=False, **request)
        if answer.status_code == _THROTTLED:
            raise ThrottledError(
                f"{method} {url} as {party.says} was answered 429: behind a rate limit "
                "nothing is seen. Let limits only watch in this test: "
                'Settings(dry_run=("limits",), dry_run_until=<tomorrow>)'
            )
        return answer


def _replace(headers: MutableMapping[str, str], wanted: Mapping[str, str]) -> None:
    for name in [name for name in headers if name not in wanted]:
        del headers[name]
    headers.update(wanted)
