"""Turn away who has been found out."""

from __future__ import annotations

import asyncio
import heapq
import math
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import msgspec.json

from ringfence.audit.events import AddressBlocked, AddressUnblocked, Event
from ringfence.clock import Clock, system_clock
from ringfence.denial import Answer, Denial
from ringfence.errors import StoreError
from ringfence.exchange import (
    End,
    Exchange,
    Stage,
    at_once,
    own_work,
    settle,
    step_of,
)
from ringfence.stores.contracts import Block, BlockStore, Reply
from ringfence.traffic.addresses import Network, parse_network
from ringfence.traffic.networks import NetworkMap
from ringfence.traffic.settings import TrafficSettings, why_not_blocked

_MOST = 100_000  # networks added while running; some 40 MB
_SECONDS_BETWEEN_ENTRIES = 1.0  # of one network in the ledger
_SECONDS_BETWEEN_LOOKS = 1.0  # at what other processes block
_TAKEN_AT_ONCE = 1_000  # networks, some 10 ms, until others have their turn
_SPARE = 64  # outdated entries of the queue that are not worth clearing up

_BLOCKED = Denial(403, "traffic.blocked", "Requests from this address are refused.")


@dataclass(frozen=True, slots=True)
class Blocked:
    """A network that is turned away.

    Args:
        network: in its one spelling, an address with its full length.
        expires: Unix seconds; infinite for those of ``traffic.blocked``.
        reason: why, for the ledger and for operators.
    """

    network: Network
    expires: float
    reason: str


class _Door:
    """How one blocked network is answered."""

    __slots__ = ("_answer", "_full_after", "_unrecorded", "blocked", "expires")

    def __init__(self, blocked: Blocked) -> None:
        self.blocked = blocked
        self.expires = blocked.expires
        self._answer = Answer(403)
        self._full_after = 0.0
        self._unrecorded = 0

    def answer(self, exchange: Exchange, now: float) -> Denial | Answer:
        """Refuse in full, with an entry in the ledger, once a second; meanwhile say
        the same again, which costs next to nothing."""
        if now < self._full_after and exchange.kind == "http":
            self._unrecorded += 1
            return self._answer
        private = f"{self.blocked.network}: {self.blocked.reason}"
        if self._unrecorded:
            private += f"; {self._unrecorded} more since the last entry"
        denial = replace(_BLOCKED, private=private)
        self._full_after, self._unrecorded = now + _SECONDS_BETWEEN_ENTRIES, 0
        self._answer = _again(denial, exchange.request_id)
        return denial


def _again(denial: Denial, request_id: str) -> Answer:
    """Return the problem document (RFC 9457) of a refusal, ready to be sent."""
    members = {
        "type": "about:blank",
        "title": "Forbidden",
        "status": denial.status,
        "detail": denial.detail,
        "code": denial.code,
        "request_id": request_id,
    }
    body = msgspec.json.encode(members)
    headers = (
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", request_id.encode("latin-1")),
    )
    return Answer(denial.status, headers, body)


class Blocklist:
    """Addresses and networks whose requests are refused, most of them for a while.

    Asked right after the address and the host are known, before anything is counted
    or looked up, so that a flood from a blocked network costs as little as can be: one
    refusal a second is written down and answered in full, the others repeat it. The
    time of an answer does not depend on how many networks are blocked.

    Those of ``traffic.blocked`` stay. What is added while running is kept in memory,
    and forgotten with the process, unless there is a store that every process shares:
    then each of them refuses it with its next request, or a second later. When the list
    is full, the network that would be free again first gives place.

    Args:
        settings: ``blocked``, and the proxies, which can never be blocked.
        record: takes an event for each change.
        clock: tells the time.

    Source: CWE-799; ASVS 5.0 V2.4.1.

    Not covered: while the store cannot be reached, what other processes block. An
    attacker with many networks. Everybody behind one address (an
    office, a mobile network) is blocked together: keep it short.
    """

    def __init__(
        self,
        settings: TrafficSettings,
        *,
        record: Callable[[Event], None],
        clock: Clock = system_clock,
        most: int = _MOST,
    ) -> None:
        self._proxies = settings.networks
        self._record = record
        self._clock = clock
        self._most = most
        self._lock = threading.Lock()  # handlers in threads add, too
        self._found: NetworkMap[_Door] = NetworkMap()
        self._added: dict[Network, _Door] = {}
        self._queue: list[tuple[float, int, Network]] = []  # the first to be free first
        self._number = 0
        self._ipv6_prefix = settings.ipv6_prefix
        self._store: BlockStore | None = None
        self._version = 0
        self._follower: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._permanent = tuple(map(self._parse, settings.blocked))
        for network in self._permanent:
            blocked = Blocked(network, math.inf, "traffic.blocked")
            self._found.put(network, _Door(blocked))

    async def start(self, store: BlockStore | None) -> None:
        """Share what is blocked with other processes.

        Args:
            store: that they share; ``None`` for nobody to share with.

        Raises:
            StoreError: it cannot be read.
        """
        self._store, self._version = store, 0
        if store is not None:
            await self.refresh()
            self._follower = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Share no more. Idempotent."""
        tasks = [one for one in (self._follower, self._reading) if one is not None]
        self._follower = self._reading = self._store = None
        for task in tasks:
            task.cancel()
            await asyncio.wait((task,))

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
            # A store that is down is told of by everybody else that needs it.
            with suppress(StoreError):
                await self.refresh()

    async def refresh(self) -> None:
        """Read what other processes have blocked or let in since the last time.

        Whoever asks meanwhile waits for the same reading: if each request read a long
        list for itself, the store could not answer any of them in time, nor the next.

        Raises:
            StoreError: the store cannot be read.
        """
        if self._store is None:
            return
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(self._store))
            self._reading.add_done_callback(self._has_read)
        await asyncio.shield(self._reading)

    def _has_read(self, reading: asyncio.Task[None]) -> None:
        if self._reading is reading:
            self._reading = None
        if not reading.cancelled():
            reading.exception()  # whoever has waited for it may have gone

    async def _read(self, store: BlockStore) -> None:
        own_work.set(True)  # for many requests at once, and for none of them
        found = await store.since(self._version)
        changed: dict[Network, Block] = {}
        for number, block in enumerate(found.changed, 1):
            if number % _TAKEN_AT_ONCE == 0:
                await asyncio.sleep(0)
            # What somebody else has written there must not end our reading for good.
            with suppress(ValueError):
                changed[self._parse(block.network)] = block
        if found.complete:
            for network in [one for one in self._added if one not in changed]:
                self._drop(network)
        for number, (network, block) in enumerate(changed.items(), 1):
            if number % _TAKEN_AT_ONCE == 0:
                await asyncio.sleep(0)
            if network in self._permanent or why_not_blocked(network, self._proxies):
                continue  # another process may stand behind other proxies
            if block.seconds > 0:
                self._put(network, block.seconds, block.reason)
            else:
                self._drop(network)
        self._version = found.version

    async def add(self, network: str, *, seconds: float, reason: str) -> Blocked:
        """Refuse requests from a network for a while; a second call replaces the first.

        Args:
            network: an address, or a network such as ``203.0.113.0/24``. An IPv6
                address stands for its /64 (``ipv6_prefix``): its owner has more
                addresses than can be listed.
            seconds: how long, more than 0. What is to stay belongs into
                ``traffic.blocked``.
            reason: for the ledger.

        Raises:
            ValueError: it is no network; it holds this machine, a proxy, or more of
                the Internet than anybody means; or the time is not positive.
            StoreError: it is blocked in this process, but the others could not be told.
        """
        parsed = self._blockable(network)
        if not 0 < seconds < math.inf:
            raise ValueError(f"seconds must be positive and finite, not {seconds}")
        if parsed in self._permanent:
            raise ValueError(f"{parsed} is blocked for good by traffic.blocked")
        blocked = self._put(parsed, seconds, reason)
        self._record(
            AddressBlocked(network=str(parsed), seconds=seconds, reason=reason)
        )
        if self._store is not None:
            await self._store.put(Block(str(parsed), seconds, reason))
        return blocked

    async def remove(self, network: str) -> bool:
        """Let a network in again; return whether it was blocked.

        Raises:
            ValueError: it is no network, or it stands in ``traffic.blocked``.
            StoreError: the others could not be told; nothing has changed.
        """
        parsed = self._parse(network)
        if parsed in self._permanent:
            raise ValueError(f"{parsed} stands in traffic.blocked; take it out there")
        if self._store is not None:
            await self._store.put(Block(str(parsed), 0.0, ""))
        door = self._drop(parsed)
        if door is None or door.expires <= self._clock():
            return False
        self._record(AddressUnblocked(network=str(parsed)))
        return True

    def _put(self, network: Network, seconds: float, reason: str) -> Blocked:
        now = self._clock()
        blocked = Blocked(network, now + seconds, reason)
        with self._lock:
            self._make_room(now, network)
            self._added[network] = door = _Door(blocked)
            self._found.put(network, door)
            self._number += 1
            heapq.heappush(self._queue, (blocked.expires, self._number, network))
        return blocked

    def _drop(self, network: Network) -> _Door | None:
        with self._lock:
            door = self._added.pop(network, None)
            if door is not None:
                self._found.pop(network)
        return door

    def list(self) -> tuple[Blocked, ...]:
        """Return what is blocked now, those first that will be free first."""
        now = self._clock()
        doors = (door for door in self._found.values() if door.expires > now)
        return tuple(door.blocked for door in sorted(doors, key=lambda it: it.expires))

    def find(self, address: str) -> Blocked | None:
        """Return the smallest blocked network that holds an address, if there is one.

        Args:
            address: in its one spelling; what is none (``unix``) is never blocked.
        """
        door = self._find(address, self._clock())
        return None if door is None else door.blocked

    def stage(self) -> Stage:
        """Return the stage that refuses who is blocked."""
        find, is_empty, clock = self._find, self._found.is_empty, self._clock

        def blocklist(exchange: Exchange) -> Denial | Answer | None:
            if is_empty():
                return None
            # IPv4 behind a translator counts as IPv4 in the network only.
            network = exchange.network
            now = clock()
            door = find(exchange.client if ":" in network else network, now)
            return None if door is None else door.answer(exchange, now)

        return at_once(blocklist)

    def news(self) -> Stage:
        """Return the stage that refuses who has been blocked by another process, as
        soon as the shared store says in passing that there is something new."""
        look = step_of(self.stage())

        async def catch_up(exchange: Exchange, version: int) -> End | None:
            with suppress(StoreError):  # it has answered a moment ago
                for _ in range(2):  # the first may have been asked before that
                    if self._version != version:
                        await self.refresh()
            return await settle(look(exchange))

        def blocklist(exchange: Exchange) -> Awaitable[End | None] | None:
            reply = exchange.reply
            if not isinstance(reply, Reply) or reply.blocks in {-1, self._version}:
                return None
            return catch_up(exchange, reply.blocks)

        return at_once(blocklist)

    def _find(self, address: str, now: float) -> _Door | None:
        is_six = ":" in address
        family, version = (socket.AF_INET6, 6) if is_six else (socket.AF_INET, 4)
        try:
            number = int.from_bytes(socket.inet_pton(family, address), "big")
        except OSError:
            return None
        while True:
            door = self._found.find_number(version, number)
            if door is None or door.expires > now:
                return door
            self._forget(door)  # a wider one may still hold

    def _parse(self, network: str) -> Network:
        return parse_network(network, self._ipv6_prefix)

    def _blockable(self, network: str) -> Network:
        parsed = self._parse(network)
        fault = why_not_blocked(parsed, self._proxies)
        if fault:
            raise ValueError(f"{parsed} {fault}")
        return parsed

    def _make_room(self, now: float, coming: Network) -> None:
        while self._queue:
            expires, _, network = self._queue[0]
            current = self._added.get(network)
            if current is not None and current.expires == expires:
                is_full = len(self._added) >= self._most and coming not in self._added
                if expires > now and not is_full:
                    break
                del self._added[network]
                self._found.pop(network)
            heapq.heappop(self._queue)
        if len(self._queue) > 2 * len(self._added) + _SPARE:
            self._queue = [
                entry
                for entry in self._queue
                if (door := self._added.get(entry[2])) and door.expires == entry[0]
            ]
            heapq.heapify(self._queue)

    def _forget(self, door: _Door) -> None:
        network = door.blocked.network
        with self._lock:
            if self._added.get(network) is door:
                del self._added[network]
                self._found.pop(network)
