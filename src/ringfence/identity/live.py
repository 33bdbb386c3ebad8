"""Open connections, each bound to the session that it was opened with."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ringfence.clock import Clock
from ringfence.errors import StoreError
from ringfence.exchange import Exchange
from ringfence.stores.contracts import ApiKeyRecord, SessionRecord, SessionStore

logger = logging.getLogger("ringfence.identity")

SWEEP_SECONDS = 2.0  # how long a connection may outlive a session ended elsewhere
_BLIND_SECONDS = 30.0  # how long connections stay while the store cannot be asked


Holds = Callable[[Any], Awaitable[bool]]
"""Tells whether what was opened with a token, by its claims, or with an API key, by its
record, may stay open."""


@dataclass(slots=True, eq=False)
class _Connection:
    """One that is open.

    Args:
        account_id: whose it is.
        end: closes it.
        session: that it was opened with, if it was one.
        token: claims of the access token, or record of the API key, if it was one.
    """

    account_id: str
    end: Callable[[], None]
    session: SessionRecord | None = None
    token: Any = None


class Live:
    """Ends WebSockets and streamed answers with their session.

    A stage judges a request once, when it begins. Without this a thief who has opened
    a WebSocket would keep it after the owner has signed out, revoked the session or
    changed the password.

    What this process ends is cut at once. What another process ends, what expires, and
    what a change of role should no longer see, is found by one batched read every two
    seconds.

    Args:
        store: where sessions are kept.
        is_over: tells whether a session has expired by a time.
        clock: tells the time.
        holds: tells the same of an access token; asked one by one, every two seconds.

    Source: ASVS 5.0 V7.4.1, V7.4.2; CWE-613.

    Not covered: messages over a WebSocket do not count as use, so a session without
    any request ends when it is idle, and its connections with it.
    """

    def __init__(
        self,
        store: SessionStore,
        is_over: Callable[[SessionRecord, float], bool],
        *,
        clock: Clock,
        holds: Holds | None = None,
    ) -> None:
        self._store = store
        self._is_over = is_over
        self._holds_token = holds
        self._clock = clock
        self._of_account: dict[str, set[_Connection]] = {}
        self._asked_at = 0.0
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def count(self) -> int:
        """How many connections are open."""
        return sum(map(len, self._of_account.values()))

    def watch(self, exchange: Exchange, end: Callable[[], None]) -> Callable[[], None]:
        """Have a connection ended with the session of its request.

        Args:
            exchange: the request that opened it; without a session, a token or a key
                nothing is watched.
            end: closes the connection; called at most once, from the event loop, and
                must not block.

        Returns:
            What to call when the connection has ended by itself; any number of times.
        """
        session, token = exchange.session, exchange.token
        key = exchange.api_key
        if isinstance(session, SessionRecord):
            connection = _Connection(session.account_id, end, session=session)
        elif token is not None:
            connection = _Connection(token.sub, end, token=token)
        elif key is not None:
            connection = _Connection(key.account_id, end, token=key)
        else:
            return _nothing
        self._of_account.setdefault(connection.account_id, set()).add(connection)
        return partial(self._forget, connection)

    def _forget(self, connection: _Connection) -> None:
        account_id = connection.account_id
        others = self._of_account.get(account_id)
        if others is not None:
            others.discard(connection)
            if not others:
                del self._of_account[account_id]

    def end_session(self, token_hash: bytes, account_id: str) -> None:
        """End what was opened with this session."""
        self._end(
            connection
            for connection in self._of_account.get(account_id, ())
            if connection.session and connection.session.token_hash == token_hash
        )

    def end_public(self, account_id: str, public_id: str) -> None:
        """End what was opened with the session of this public id."""
        self._end(
            connection
            for connection in self._of_account.get(account_id, ())
            if connection.session and connection.session.public_id == public_id
        )

    def end_family(self, account_id: str, family: str) -> None:
        """End what was opened with the access tokens of a family."""
        self._end(
            connection
            for connection in self._of_account.get(account_id, ())
            if not isinstance(connection.token, ApiKeyRecord | None)
            and connection.token.sid == family
        )

    def end_account(self, account_id: str, *, keep: bytes | None = None) -> None:
        """End what was opened with the sessions of an account but ``keep``; without
        that, what was opened with its tokens as well."""
        self._end(
            connection
            for connection in self._of_account.get(account_id, ())
            if keep is None
            or (connection.session and connection.session.token_hash != keep)
        )

    def _end(self, connections: Iterable[_Connection]) -> None:
        loop = asyncio.get_running_loop()
        for connection in tuple(connections):
            self._forget(connection)
            # By the loop, so that one that fails to close does not keep the next open.
            loop.call_soon(connection.end)

    async def start(self) -> None:
        """Begin to look for sessions that have ended elsewhere."""
        self._asked_at = self._clock()
        self._begin_to_sweep()

    async def stop(self) -> None:
        """Stop looking. Idempotent. The server closes what is still open."""
        sweeper, self._sweeper = self._sweeper, None
        if sweeper is not None:
            sweeper.cancel()
            await asyncio.wait((sweeper,))
        self._of_account.clear()

    def _begin_to_sweep(self) -> None:
        self._sweeper = asyncio.create_task(self._sweep())
        self._sweeper.add_done_callback(self._swept)

    def _swept(self, sweeper: asyncio.Task[None]) -> None:
        """Cut everything and begin anew where looking has failed: nobody would hear of
        what another process ends."""
        if sweeper.cancelled() or sweeper.exception() is None:
            return
        logger.error(
            "open connections could not be checked and are cut",
            exc_info=sweeper.exception(),
        )
        self._end(one for some in self._of_account.values() for one in some)
        self._begin_to_sweep()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await self.check()

    async def check(self) -> None:
        """Read all sessions that have open connections, and end what should not be
        open any more."""
        now = self._clock()
        connections = [one for some in self._of_account.values() for one in some]
        if not connections:
            self._asked_at = now
            return
        try:
            over = await self._over(connections, now)
        except StoreError as error:
            logger.warning("open connections could not be checked: %s", error)
            if now - self._asked_at >= _BLIND_SECONDS:
                self._end(connections)
            return
        self._asked_at = now
        self._end(over)

    async def _over(
        self, connections: Iterable[_Connection], now: float
    ) -> list[_Connection]:
        """Return those of these connections that must not stay open."""
        with_sessions = [(one, one.session) for one in connections if one.session]
        found = await self._store.read_many(
            {session.token_hash for _, session in with_sessions}
        )
        over = [
            one
            for one, session in with_sessions
            if not self._holds(session, found.get(session.token_hash), now)
        ]
        with_tokens = [one for one in connections if one.token is not None]
        return over + [
            one for one in with_tokens if not await self._holds_by_token(one.token)
        ]

    async def _holds_by_token(self, token: Any) -> bool:
        return self._holds_token is not None and await self._holds_token(token)

    def _holds(
        self, opened_with: SessionRecord, found: SessionRecord | None, now: float
    ) -> bool:
        """Return whether a connection may stay open. One that was opened with other
        roles, or in another tenant, may see what its owner no longer may; it opens
        anew."""
        return (
            found is not None
            and found.roles == opened_with.roles
            and found.tenant == opened_with.tenant
            and not self._is_over(found, now)
        )


def _nothing() -> None:
    """Stand for the end of a connection that is not watched."""
