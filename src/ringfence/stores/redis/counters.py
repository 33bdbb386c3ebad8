"""Budgets counted where all processes see them."""

from __future__ import annotations

import asyncio
import math
import struct
import sys
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from ringfence.errors import StoreError
from ringfence.stores.contracts import Charge, Verdict
from ringfence.stores.redis.composed import Scripts
from ringfence.stores.redis.names import Shelf, digest
from ringfence.stores.redis.scripts import Prepared
from ringfence.stores.redis.server import Keyspace

_MOST_MEMBERS = 4_096

NOTHING_ASKED: Final = Verdict(-1, 0.0, sys.maxsize)

_pack_start = struct.Struct("<H").pack
_pack_moment = struct.Struct("<d").pack
_unpack_verdict = struct.Struct("<hBHddd").unpack_from
_LEFT = 4  # index of what the scarcest has left


class RedisCounters:
    """Count in Redis or Valkey. Implements ``CounterStore``.

    The server decides in one script, by its own clock, so that of any number of
    processes together no more pass than one alone would let pass. Whatever is kept has
    an end, at which the budget would be whole again: keys that nobody asks for go by
    themselves, and ``coarser`` keys are not needed.

    On a cluster budgets lie on several nodes, which do not decide together. Each is
    asked by itself, and where one refuses, the others are given back what they took:
    never do more pass than are allowed, but for a moment fewer may. Charges with holds
    are asked one after the other, so that only the first that refuses is held; all
    others at the same time.

    Args:
        keyspace: of the server.
        scripts: that it runs.
        shelf: whose keys these are.

    Not covered: a server that loses its memory forgets what was counted, and a replica
    that takes over what had not reached it. On a cluster, what was taken on one node
    while another could not be reached is given back only if that can be sent.

    Source: CWE-307, CWE-770, CWE-799; ASVS 5.0 V2.4.1, V6.3.1.
    """

    def __init__(self, keyspace: Keyspace, scripts: Scripts, shelf: Shelf) -> None:
        self._keyspace = keyspace
        self._scripts = scripts
        self._shelf = shelf
        self.packed = shelf.packed

    async def take(self, charges: Sequence[Charge]) -> Verdict:
        """Take all charges or none."""
        if not charges:
            return NOTHING_ASKED
        parts = self.parts(charges)
        if len(parts) > 1 and any(charge.holds for charge in charges):
            return await self._take_in_turn(parts)
        if len(parts) == 1:
            return read_verdict(await self.take_part(parts[0]), parts[0].numbers)
        return self.settle(
            await gathered(parts, [self.take_part(part) for part in parts])
        )

    async def give_back(self, charges: Sequence[Charge], at: float) -> None:
        """Return what ``take`` took then."""
        moments = at.of if isinstance(at, Moment) else {}
        await asyncio.gather(
            *(
                self._return(part, moments.get(part.place, at))
                for part in self.parts(charges)
            )
        )

    async def lift(self, keys: Sequence[bytes]) -> None:
        """End holds and forget what was counted.

        Not covered: charges with an ``owner``: on a cluster nobody can tell from the
        key alone where they are.
        """
        found = map(self._shelf.all_of, keys)
        await asyncio.gather(
            *(self._keyspace.call(names[0], b"DEL", *names) for names in found)
        )

    async def distinct(self, key: bytes, member: bytes, period: float) -> int:
        """Count a member; return how many different ones there were lately, 4,096 at
        most."""
        names = (self._shelf.members(key),)
        words = (digest(member), period, _MOST_MEMBERS)
        count: int = await self._keyspace.run(self._scripts.distinct, names, words)
        return count

    def parts(self, charges: Iterable[Charge], told_from: int = 0) -> list[Part]:
        """Return the charges by what can be asked in one step.

        Args:
            charges: to be taken.
            told_from: see ``Question``.
        """
        packed_of, is_cluster = self.packed, self._keyspace.is_cluster
        parts: dict[bytes, Part] = {}
        for number, charge in enumerate(charges):
            packed = packed_of(charge)
            place = packed.place if is_cluster else b""
            part = parts.get(place)
            if part is None:
                part = parts[place] = Part(place)
            part.is_owned = part.is_owned or bool(charge.owner)
            part.numbers.append(number)
            part.keys += packed.keys
            part.charges += packed.charge
            if number < told_from:
                part.untold += 1
                part.settled = len(part.keys), len(part.charges)
        return list(parts.values())

    def take_part(self, part: Part) -> Awaitable[bytes]:
        """Send one part; await what ``read_verdict`` reads."""
        return self._keyspace.run(self._scripts.take, part.keys, _words(part))

    def prepared(self, part: Part) -> tuple[Prepared, tuple[bytes]]:
        """Return what ``take_part`` sends, for whoever takes it again and again."""
        return Prepared.of(self._scripts.take, part.keys), _words(part)

    def settle(self, answers: Sequence[Answer]) -> Verdict:
        """Return the verdict on parts that were asked each by itself. If one refuses or
        has failed, the others are given back what they took; nobody waits for that.
        What is not told of stays taken where something else refuses.

        Raises:
            StoreError: a part could not be asked.
        """
        answered = [one for one in answers if one.failure is None]
        verdict = _judged(answered)
        has_failed = len(answered) < len(answers)
        if has_failed or verdict.refused >= 0:
            is_inside = not has_failed and not any(
                verdict.refused in part.numbers[: part.untold] for part, _, _ in answers
            )
            self._return_taken(
                one._replace(part=one.part.told()) if is_inside else one
                for one in answered
            )
        for one in answers:
            if one.failure is not None:
                raise one.failure
        return verdict

    async def _take_in_turn(self, parts: Sequence[Part]) -> Verdict:
        answers: list[Answer] = []
        is_taken = False
        try:
            for part in parts:
                answers.append(Answer(part, await self.take_part(part)))
                verdict = _judged(answers)
                if verdict.refused >= 0:
                    return verdict
            is_taken = True
            return verdict
        finally:
            if not is_taken:
                self._return_taken(answers)

    def _return_taken(self, answers: Iterable[Answer]) -> None:
        """Give back without waiting for it: at worst somebody has to wait for longer
        than they should. How many are under way is bounded by the connection."""
        for part, raw, _ in answers:
            refused, *_, at = _unpack_verdict(raw)
            if refused < 0 and part.charges:
                sent = asyncio.ensure_future(self._return(part, at))
                sent.add_done_callback(_look_away)

    def _return(self, part: Part, at: float) -> Awaitable[Any]:
        words = (_pack_moment(at) + part.charges,)
        return self._keyspace.run(self._scripts.give_back, part.keys, words)


@dataclass(slots=True, eq=False)
class Part:
    """Charges that are asked in one step.

    Args:
        place: their hash tag.
        numbers: of each charge among all that are asked.
        keys: of all.
        charges: packed.
        untold: how many of them are not told of; they come first.
        settled: how many of the keys and of the bytes are theirs.
        is_owned: they are of an account.
    """

    place: bytes
    numbers: list[int] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    charges: bytes = b""
    untold: int = 0
    settled: tuple[int, int] = 0, 0
    is_owned: bool = False

    def told(self) -> Part:
        """Return it without the charges that are not told of."""
        keys, charges = self.settled
        return replace(
            self,
            numbers=self.numbers[self.untold :],
            keys=self.keys[keys:],
            charges=self.charges[charges:],
            untold=0,
            settled=(0, 0),
        )


class Answer(NamedTuple):
    """What became of a part.

    Args:
        part: that was asked.
        raw: what the script has said.
        failure: why there is nothing.
    """

    part: Part
    raw: bytes = b""
    failure: StoreError | None = None


class Moment(float):
    """When charges were taken, by the clocks of several nodes.

    Attributes:
        of: the time at each place.
    """

    __slots__ = ("of",)
    of: Mapping[bytes, float]


def _words(part: Part) -> tuple[bytes]:
    return (_pack_start(part.untold) + part.charges,)


def read_verdict(raw: bytes, numbers: Sequence[int]) -> Verdict:
    """Return the verdict that a script has packed.

    Args:
        raw: as packed.
        numbers: of the charges that it was asked about.
    """
    refused, held, scarcest, wait, left, at = _unpack_verdict(raw)
    if refused >= 0:
        number = numbers[refused]
        return Verdict(number, wait, 0, held == 1, number, at)
    if left == math.inf:  # nothing was asked that is told of
        return Verdict(-1, 0.0, sys.maxsize, at=at)
    return Verdict(-1, 0.0, int(left), scarcest=numbers[scarcest], at=at)


async def gathered(
    parts: Sequence[Part], answers: Sequence[Awaitable[bytes]]
) -> list[Answer]:
    """Return what became of parts that are under way at the same time."""
    waiting = [asyncio.ensure_future(one) for one in answers]
    found: list[Answer] = []
    try:
        for part, one in zip(parts, waiting, strict=True):
            try:
                found.append(Answer(part, await one))
            except StoreError as error:
                found.append(Answer(part, failure=error))
    finally:
        for one in waiting[len(found) :]:
            one.add_done_callback(_look_away)
    return found


def _judged(answers: Sequence[Answer]) -> Verdict:
    """Return the verdict on several parts: of several that refuse, that on the charge
    that comes first."""
    verdicts = [read_verdict(raw, part.numbers) for part, raw, _ in answers]
    refusals = [one for one in verdicts if one.refused >= 0]
    if refusals:
        return min(refusals, key=lambda one: one.refused)
    if not verdicts:
        return NOTHING_ASKED
    _, _, number = min(
        (_unpack_verdict(raw)[_LEFT], verdicts[number].scarcest, number)
        for number, (_, raw, _) in enumerate(answers)
    )
    at = Moment(verdicts[number].at)
    at.of = {
        part.place: one.at for (part, _, _), one in zip(answers, verdicts, strict=True)
    }
    return verdicts[number]._replace(at=at)


def _look_away(answer: asyncio.Future[Any]) -> None:
    if not answer.cancelled():
        answer.exception()
