"""The shelves as a whole: what must last, and what must be fast."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import NamedTuple, Protocol

from ringfence.clock import Clock
from ringfence.errors import StoreError
from ringfence.stores.contracts.accounts import AccountStore
from ringfence.stores.contracts.api_keys import ApiKeyStore
from ringfence.stores.contracts.copies import CopyStore, Told
from ringfence.stores.contracts.counters import Charge, CounterStore, Verdict
from ringfence.stores.contracts.factors import FactorStore
from ringfence.stores.contracts.grants import GrantStore
from ringfence.stores.contracts.links import LinkStore
from ringfence.stores.contracts.sessions import SessionStore
from ringfence.stores.contracts.single_use import (
    ReplayStore,
    RevocationStore,
    TicketStore,
)


class Stores(Protocol):
    """The open shelves of one database: what must not be lost."""

    @property
    def accounts(self) -> AccountStore:
        """Who there is."""

    @property
    def sessions(self) -> SessionStore:
        """Who is signed in."""

    @property
    def tickets(self) -> TicketStore:
        """What may be used once."""

    @property
    def replays(self) -> ReplayStore:
        """What was seen, and must not be seen again."""

    @property
    def revocations(self) -> RevocationStore:
        """Signed tokens that were taken back."""

    @property
    def factors(self) -> FactorStore:
        """What else proves who somebody is."""

    @property
    def grants(self) -> GrantStore:
        """Families of refresh tokens."""

    @property
    def api_keys(self) -> ApiKeyStore:
        """Keys of programs."""

    @property
    def links(self) -> LinkStore:
        """Identities at other providers."""

    @property
    def clock(self) -> Clock:
        """The database's time, as well as it is known here: of several machines whose
        clocks differ all judge by the same one."""

    async def start(self) -> None:
        """Migrate and open. May be called again after ``stop``.

        Raises:
            StoreError: the database cannot be opened, read or migrated.
        """

    async def stop(self) -> None:
        """Close every connection and end every thread. Idempotent."""


class Block(NamedTuple):
    """A network that is turned away.

    Args:
        network: in its one spelling, an address with its full length.
        seconds: how long from now on; 0 or less if it is let in again.
        reason: why.
    """

    network: str
    seconds: float
    reason: str


class Blocks(NamedTuple):
    """What has changed.

    Args:
        version: the newest; ask for what comes after it.
        changed: each network once, with what holds for it now.
        complete: ``changed`` is all there is; what is not in it is not blocked.
    """

    version: int
    changed: Sequence[Block]
    complete: bool


class BlockStore(Protocol):
    """Networks that every process turns away. Every method may raise ``StoreError``."""

    async def put(self, block: Block) -> int:
        """Block a network, in place of what held for it, or let it in; return the new
        version. Of 100,000 networks the one that would be free first gives place."""

    async def since(self, version: int) -> Blocks:
        """Return what has changed after a version; 0 for all that is blocked."""


class Question(NamedTuple):
    """All that a request wants to know from a store, in one go.

    Args:
        charges: to be taken, all or none, in the order in which they are asked. Those
            with an ``owner`` are left out unless a copy of ``name`` is there.
        name: of the copy, the hash of a session's token; empty for none.
        owner: id of the account whose copy it is; proven, not merely claimed.
        told_from: index of the first charge that ``Verdict.remaining`` is about. Those
            before it are taken for themselves, all or none: they stay taken where a
            later one refuses.
    """

    charges: Sequence[Charge]
    name: bytes = b""
    owner: str = ""
    told_from: int = 0


class Reply(NamedTuple):
    """The answer.

    Args:
        verdict: about the charges that were asked.
        told: about the copy.
        blocks: version of the list of blocked networks, -1 where the store cannot say
            it in passing.
        settled: whether charges with an owner were asked, too.
        failure: why ``verdict`` says nothing and nothing was taken, where a store of
            several nodes could not ask all of them; ``told`` holds.
    """

    verdict: Verdict
    told: Told
    blocks: int
    settled: bool
    failure: StoreError | None = None


class SharedStore(Protocol):
    """What must be fast, and may be lost: counters, blocks and copies."""

    def counters(self, shelf: str) -> CounterStore:
        """Return the counters of a shelf: whoever fills one leaves the others as they
        are.

        Args:
            shelf: a short name in letters.
        """

    @property
    def blocks(self) -> BlockStore | None:
        """``None`` where there is nobody to share them with."""

    @property
    def copies(self) -> CopyStore | None:
        """``None`` where copies would be no nearer than the database itself."""

    @property
    def ask(self) -> Ask | None:
        """Asks everything in one round trip; its charges are of the shelf ``limits``.
        ``None`` where nothing has to wait for a network."""

    async def start(self) -> None:
        """Connect. May be called again after ``stop``.

        Raises:
            StoreError: it cannot be reached, or does not allow what is needed.
        """

    async def stop(self) -> None:
        """Close every connection. Idempotent."""


class Ask(Protocol):
    """Asks a store one question. The answer may raise ``StoreError``."""

    def __call__(self, question: Question) -> Awaitable[Reply]: ...
