"""Keys on the nodes of a Redis Cluster, which come and go, and hand slots around."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from redis.crc import key_slot

from ringfence.errors import StoreError
from ringfence.exchange import own_work
from ringfence.stores.redis.address import Address
from ringfence.stores.redis.connection import (
    PAUSE,
    Entry,
    SharedConnection,
    expire_at,
)
from ringfence.stores.redis.dial import BROKEN, Dialled, Dialler, hang_up
from ringfence.stores.redis.failures import DownError, RefusedError
from ringfence.stores.redis.inspection import PROBE, PROBE_KEY
from ringfence.stores.redis.packing import Word, pack
from ringfence.stores.redis.scripts import Prepared, Script, pack_call
from ringfence.stores.redis.single import prove
from ringfence.stores.redis.slots import (
    CLUSTER_SLOTS,
    SLOTS,
    read_slots,
    redirection,
)
from ringfence.stores.redis.url import Target

_ASKING: Final = pack((b"ASKING",))

_REFRESH: Final = 30.0
"""Seconds between looks at the table of slots when nothing seems to be wrong."""

_LATER: Final = 0.01
"""Seconds until a call is made again that came in the middle of a change."""

_AT_ONCE: Final = 3
"""How often a call follows a redirection before it waits: two nodes that each name the
other must not be asked in a circle."""


class Asked(NamedTuple):
    """What is needed to make a call at another node.

    Args:
        key: names the slot.
        words: of the command, or the arguments of the script.
        script: ``None`` for a command.
        keys: of the script.
        is_whole: the text of the script is sent.
        identity: of the node that ``words`` were made for, once it matters.
        turns: how often the call was made again.
    """

    key: bytes
    words: Sequence[Word]
    script: Script | None = None
    keys: Sequence[bytes] = ()
    is_whole: bool = False
    identity: bytes = b""
    turns: int = 0

    def pack(self) -> bytes:
        """Return the command."""
        script = self.script
        if script is None:
            return pack(tuple(self.words))
        if not self.is_whole:
            return pack_call(script, self.keys, self.words)
        return pack((b"EVAL", script.text, len(self.keys), *self.keys, *self.words))

    def for_node(self, identity: bytes) -> Asked:
        """Return the same for another node: what was told of the one belongs to it."""
        words = tuple(
            identity if type(word) is bytes and word == self.identity else word
            for word in self.words
        )
        return self._replace(words=words, identity=identity, turns=self.turns + 1)


class ClusterKeyspace:
    """Keys on the primaries of a cluster, one shared connection to each.

    A call goes to the node that holds its slot, by a table that is read at the start,
    and again when a node is lost or knows better. A call that was redirected was not
    executed, and follows within its deadline.

    Args:
        target: what the URL says; its addresses need to be some of the nodes only.
    """

    is_cluster = True

    def __init__(self, target: Target) -> None:
        self._target = target
        self._dialler = Dialler(target)
        self._nodes: dict[Address, SharedConnection] = {}
        self._table: list[SharedConnection | None] = [None] * SLOTS
        self._stale = asyncio.Event()
        self._tending: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._past_trips = 0

    @property
    def round_trips(self) -> int:
        return self._past_trips + sum(n.round_trips for n in self._nodes.values())

    def call(self, key: bytes, *command: Word) -> asyncio.Future[Any]:
        return self._send(Asked(key, command))

    def run(
        self, script: Script, keys: Sequence[bytes], args: Sequence[Word]
    ) -> asyncio.Future[Any]:
        return self._send(Asked(keys[0], args, script, keys))

    def identity(self, key: bytes) -> bytes:
        node = self._table[key_slot(key)]
        if node is None or not node.identity:
            message = f"the node of a slot is away: {_why(node)}"
            raise DownError(message)
        return node.identity

    async def start(self) -> None:
        self._learn(await self._ask_seeds())
        try:
            await asyncio.gather(*(n.start() for n in self._nodes.values()))
            if None in self._table:
                message = "the cluster has slots that no node holds; see CLUSTER INFO"
                raise StoreError(message)  # noqa: TRY301 - all that fails here ends it
            self._tending = asyncio.get_running_loop().create_task(self._tend())
            await prove(self.run(PROBE, (PROBE_KEY,), (b"1",)))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.wait([self._tending])
            self._tending = None
        nodes, self._nodes = self._nodes, {}
        self._table = [None] * SLOTS
        self._past_trips += sum(node.round_trips for node in nodes.values())
        for retiring in self._retiring:
            retiring.cancel()
        await asyncio.gather(
            *(node.stop() for node in nodes.values()),
            *self._retiring,
            return_exceptions=True,
        )

    def _send(self, asked: Asked) -> asyncio.Future[Any]:
        keys = asked.keys
        slot = keys.slot if type(keys) is Prepared else key_slot(asked.key)
        node = self._table[slot]
        if node is None:
            future = asyncio.get_running_loop().create_future()
            future.set_exception(DownError("no node of the cluster holds a slot"))
            return future
        return node.submit(asked.pack(), asked)

    # Calls that a node refuses

    def _recover(
        self, node: SharedConnection, entry: Entry, refusal: RefusedError
    ) -> bool:
        """Make a call that was not executed again, where or how it can be."""
        asked: Asked = entry.again
        asked = asked._replace(identity=asked.identity or node.identity)
        if refusal.code == "NOSCRIPT":
            whole = asked._replace(is_whole=True)
            node.resubmit(whole.pack(), entry, whole)
        elif refusal.code in {"MOVED", "ASK"}:
            place = redirection(refusal.text, node.address)
            if place is None:
                return False
            self._redirect(place, entry, asked, has_moved=refusal.code == "MOVED")
        elif refusal.code == "TRYAGAIN":
            self._make_later(entry, asked)
        elif refusal.code == "CROSSSLOT":
            message = "the keys of one call lie in several slots: give them a hash tag"
            entry.future.set_exception(ValueError(message))
        else:
            if refusal.code == "CLUSTERDOWN":
                self._stale.set()
            return False
        return True

    def _redirect(
        self, place: Address, entry: Entry, asked: Asked, *, has_moved: bool
    ) -> None:
        """Follow ``MOVED`` (the slot is there) or ``ASK`` (this key may be there)."""
        other = self._node(place)
        if has_moved:
            self._table[key_slot(asked.key)] = other
            self._stale.set()
        if asked.turns >= _AT_ONCE or not other.identity:
            self._make_later(entry, asked)
            return
        if not has_moved:
            # For the next command on that connection only: nothing can come between.
            other.submit(_ASKING).add_done_callback(_forget)
        self._make(other, entry, asked)

    def _make_later(self, entry: Entry, asked: Asked) -> None:
        """Ask the holder of the slot again in a moment, if the caller still waits."""

        def make() -> None:
            holder = self._table[key_slot(asked.key)]
            if entry.future.done():
                return
            if holder is None or not holder.identity:
                self._make_later(entry, asked)
            else:
                self._make(holder, entry, asked._replace(turns=0))

        expire_at(entry)
        asyncio.get_running_loop().call_later(_LATER, make)

    def _make(self, node: SharedConnection, entry: Entry, asked: Asked) -> None:
        asked = asked.for_node(node.identity)
        node.resubmit(asked.pack(), entry, asked)

    # The table of slots

    async def _tend(self) -> None:
        """Read the table again when it is wrong, and now and then."""
        own_work.set(True)
        while True:
            try:
                async with asyncio.timeout(_REFRESH):
                    await self._stale.wait()
            except TimeoutError:
                pass
            self._stale.clear()
            if holders := await self._ask_anybody():
                self._learn(holders)
            await asyncio.sleep(random.uniform(*PAUSE))  # noqa: S311 - spreads attempts, guards nothing
            is_whole = None not in self._table
            if not (is_whole and all(node.identity for node in self._nodes.values())):
                self._stale.set()

    async def _ask_anybody(self) -> list[Address | None]:
        """Return who holds each slot, as one says who knows it of all of them, else who
        knows it of most; nothing if nobody says it."""
        best: list[Address | None] = []
        known = [node for node in self._nodes.values() if node.identity]
        for node in random.sample(known, len(known)):
            try:
                said = read_slots(await node.submit(CLUSTER_SLOTS), node.address)
            except (StoreError, ValueError):
                continue
            if None not in said:
                return said
            best = min(best or said, said, key=lambda table: table.count(None))
        if best:
            return best
        try:
            return await self._ask_seeds()
        except StoreError:
            return []

    async def _ask_seeds(self) -> list[Address | None]:
        """Ask the nodes that the URL names, replicas among them.

        Raises:
            DownError: none of them answers.
        """
        reasons = []
        for seed in self._target.addresses:
            try:
                return await self._ask_seed(seed)
            except DownError as error:
                reasons.append(str(error))
        raise DownError("; ".join(reasons))

    async def _ask_seed(self, seed: Address) -> list[Address | None]:
        wire = await self._dialler.connect(seed, self._target.credentials)
        try:
            return read_slots(await self._dialler.ask(wire, CLUSTER_SLOTS), seed)
        except BROKEN as error:
            message = (
                f"Redis at {seed} does not say who holds which slot: {error}; is it a "
                "node of a cluster, and may its user CLUSTER SLOTS?"
            )
            raise DownError(message) from error
        finally:
            await hang_up(wire)

    def _learn(self, holders: list[Address | None]) -> None:
        """Use a new table; let go of nodes that hold nothing any more."""
        is_started = self._tending is not None
        nodes = {
            holder: self._node(holder, start=is_started)
            for holder in dict.fromkeys(holders)
            if holder is not None
        }
        self._table = [nodes[h] if h is not None else None for h in holders]
        for address in self._nodes.keys() - nodes.keys():
            gone = self._nodes.pop(address)
            self._past_trips += gone.round_trips
            retiring = asyncio.get_running_loop().create_task(self._retire(gone))
            self._retiring.add(retiring)
            retiring.add_done_callback(self._retiring.discard)

    async def _retire(self, node: SharedConnection) -> None:
        """Let a node answer what it was asked before it lost its last slot."""
        try:
            await asyncio.sleep(self._target.timeout)
        finally:
            await node.stop()

    def _node(self, address: Address, *, start: bool = True) -> SharedConnection:
        """Return the connection to a node; make it if there is none."""
        if address not in self._nodes:

            async def dial() -> Dialled:
                return await self._dialler.dial(address)

            node = SharedConnection(
                dial, self._target.timeout, self._recover, self._stale.set
            )
            node.address = address
            self._nodes[address] = node
            if start:
                node.start_soon()
        return self._nodes[address]


def _forget(asking: asyncio.Future[Any]) -> None:
    """Nobody waits for the answer to ASKING; what follows it fails likewise."""
    if not asking.cancelled():
        asking.exception()


def _why(node: SharedConnection | None) -> str:
    return f"Redis at {node.address} {node.why}" if node else "nobody holds it"
