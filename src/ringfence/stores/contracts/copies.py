"""Copies of what a database keeps, in a store that is faster and may forget."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Told(NamedTuple):
    """What a store of copies has said about one name of one owner.

    Args:
        owner: id of the account that was asked about.
        copy: what the database has said, if nothing has changed since then.
        lease: allows to keep a copy of what the database says next; empty where
            somebody is changing it just now.
        generation: of the owner's copies; of a copy the same as of the lease that it
            was kept with.
        epoch: of the account when ``copy`` was made, -1 without one.
    """

    owner: str
    copy: bytes | None = None
    lease: bytes = b""
    generation: bytes = b""
    epoch: int = -1


class CopyStore(Protocol):
    """Keeps copies. Every method may raise ``StoreError``.

    A copy says: the database has said so, and nobody has changed it since. Whoever
    changes something of an owner calls ``hold`` before the database is told, and
    ``release`` once it has answered. Between the two there are no copies and no leases,
    and what was read before them can no longer be kept. So the database is the only
    authority: a copy that outlives a revocation cannot come about.

    Several may hold one owner at once, and there are no copies until the last of them
    has released it: else whoever is done first lets a reader keep what the other is
    about to revoke. Where nobody knows what came of a change (the connection to the
    database was lost while it committed) there is no ``release``; the hold runs out.

    Copies are of one server in one life. After a restart, a failover or a promotion,
    which may bring back what was deleted, all of them are void.

    Source: CWE-613, CWE-672; ASVS 5.0 V7.4.1.

    Not covered: what is changed in the database past the stores, by hand in SQL or from
    a backup: a copy may say the old for five minutes.
    """

    async def read(self, name: bytes, owner: str) -> Told:
        """Return what is known; ``Told.lease`` allows to ``keep`` an answer.

        Args:
            name: of the copy, the hash of a session's token say.
            owner: id of the account whose copy it is.
        """

    async def keep(self, name: bytes, told: Told, copy: bytes, epoch: int) -> bool:
        """Keep a copy for five minutes at most; return whether it was kept.

        Args:
            name: as it was read.
            told: what ``read`` has returned; a lease is good for one copy.
            copy: what the database has said since then.
            epoch: of the account, as the database has said with it.
        """

    async def drop(self, name: bytes, owner: str) -> None:
        """Forget one copy, which is no longer up to date but not wrong either."""

    async def hold(self, owner: str) -> None:
        """Void all copies of an owner, and keep none until ``release``, for 30 seconds
        at most: whoever holds may have died."""

    async def release(self, owner: str) -> None:
        """End one ``hold``; after the last, copies are allowed again. What was leased
        before is worth nothing."""
