"""What single servers, Sentinel and Cluster offer alike: calls, and who answers."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol

from ringfence.stores.redis.cluster import ClusterKeyspace
from ringfence.stores.redis.packing import Word
from ringfence.stores.redis.scripts import Script
from ringfence.stores.redis.sentinel import sentinel_keyspace
from ringfence.stores.redis.single import SingleKeyspace
from ringfence.stores.redis.url import parse_url


class Keyspace(Protocol):
    """The keys of one Redis, wherever they lie.

    Calls are never repeated for the caller once they may have been executed. Each fails
    at its deadline with a ``StoreError``: ``DownError`` (not executed), ``LostError``
    (unknown) or ``RefusedError`` (the server's own answer). A caller may be cancelled;
    the command that was sent is executed all the same.

    Replies are ``bytes``, ``int``, ``list`` or ``None``.
    """

    @property
    def is_cluster(self) -> bool:
        """Whether the keys of one call must lie in one slot (share a hash tag)."""

    @property
    def round_trips(self) -> int:
        """How many writes were sent so far; all calls of one turn of the event loop to
        one server are one."""

    def call(self, key: bytes, *command: Word) -> Awaitable[Any]:
        """Send a command at the end of this turn of the event loop; await its reply.

        Args:
            key: by which the server is chosen; one that the command is about.
            command: its words, ``key`` among them.
        """

    def run(
        self, script: Script, keys: Sequence[bytes], args: Sequence[Word]
    ) -> Awaitable[Any]:
        """Send a script likewise.

        Args:
            script: from ``composed.compose``.
            keys: at least one; on a cluster all in one slot.
            args: the others. One that equals ``identity`` of these keys is replaced by
                that of another server if the call has to go there instead.
        """

    def identity(self, key: bytes) -> bytes:
        """Return 8 bytes that change when the server that holds ``key`` was restarted,
        replaced or promoted. A call made in the same turn of the event loop reaches
        this very server in this very life, or fails.

        Raises:
            StoreError: there is no connection to it.
        """

    async def start(self) -> None:
        """Connect, sign in, and see that the server can be used. Stays connected
        until ``stop``.

        Raises:
            StoreError: it cannot be reached, does not let us in, is too old, cannot be
                written to, or does not allow what is needed.
        """

    async def stop(self) -> None:
        """Close every connection and end every task. Idempotent."""


def open_keyspace(url: str) -> Keyspace:
    """Return the keyspace that a URL names. Nothing is sent before ``start``.

    Args:
        url: see ``parse_url``.

    Raises:
        SettingsError: it names none.
    """
    target = parse_url(url)
    if target.kind == "sentinel":
        return sentinel_keyspace(target)
    return (
        ClusterKeyspace(target) if target.kind == "cluster" else SingleKeyspace(target)
    )
