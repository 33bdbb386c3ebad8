"""Everything that a request wants to know, in one round trip."""

from __future__ import annotations

import math
import struct
import sys
from typing import NamedTuple

from ringfence.errors import StoreError
from ringfence.stores.contracts import Question, Reply, Told, Verdict
from ringfence.stores.redis.composed import Scripts
from ringfence.stores.redis.copies import RedisCopies, told
from ringfence.stores.redis.counters import (
    NOTHING_ASKED,
    Part,
    RedisCounters,
    gathered,
)
from ringfence.stores.redis.scripts import Prepared
from ringfence.stores.redis.server import Keyspace

_REMEMBERED = 4_096  # questions, a kilobyte each

_VERSION, _COPY = 1, 2

_pack_start = struct.Struct("<BH").pack
_reply = struct.Struct("<hBHddddBBB")
_new = tuple.__new__
_unpack_reply = _reply.unpack_from
_FIXED = _reply.size


class _Prepared(NamedTuple):
    """What a question comes to.

    Args:
        question: itself: while it is here, no other object can have its id.
        keys: of the script.
        words: what is asked and the charges, packed.
        is_owned: some of the charges are of an account.
    """

    question: Question
    keys: Prepared
    words: bytes
    is_owned: bool


class _Apart(NamedTuple):
    """What a question comes to on a cluster.

    Args:
        question: likewise.
        parts: of it, that of the owner of the copy first.
        of_owner: keys, and what is asked with the charges; ``None`` without a copy.
        of_others: keys and charges of each other part.
        is_owned: some of the charges are of an account.
        is_whole: all of them are of the owner of the copy.
    """

    question: Question
    parts: list[Part]
    of_owner: tuple[Prepared, bytes] | None
    of_others: list[tuple[Prepared, tuple[bytes]]]
    is_owned: bool
    is_whole: bool


class RedisAsk:
    """Ask one question. Implements ``Ask``.

    On one server it is one script, and one step: the version of the blocks, all
    charges, the copy. Charges with an owner are taken only if the copy is good; with
    them left out, the others are taken all or none as ever. A miss brings the lease
    along.

    On a cluster the question is split by slot, and all parts are sent at the same time:
    the copy and the charges of its owner are one step, each other budget is one of its
    own. If one refuses or cannot be asked, what the others took is given back; who asks
    does not wait for that. So never do more pass than are allowed, but what one refused
    request has taken for a moment may refuse another. Where the node of a budget is
    away, that of the copy still says what it knows (``Reply.failure``). The version of
    the blocks is not asked there (``Reply.blocks`` is -1): it would cost each request
    one more call, and one node all of them; ask ``Blocks.since`` once a second.

    Args:
        keyspace: of the server.
        scripts: that it runs.
        counters: of the shelf ``limits``.
        copies: that names are of.
        version: key of the version of the blocks.
    """

    def __init__(
        self,
        keyspace: Keyspace,
        scripts: Scripts,
        *,
        counters: RedisCounters,
        copies: RedisCopies,
        version: bytes,
    ) -> None:
        self._keyspace = keyspace
        self._script = scripts.question
        self._counters = counters
        self._keys = copies.keys
        self._version = version
        self._nonces = copies.nonces
        self._take = scripts.take
        self._prepared: dict[int, _Prepared] = {}
        self._apart: dict[int, _Apart] = {}

    async def __call__(self, question: Question) -> Reply:
        """Return the answer.

        Raises:
            StoreError: there is none.
        """
        if self._keyspace.is_cluster:
            return await self._ask_apart(question)
        prepared = self._prepared.get(id(question))
        if prepared is None or prepared.question is not question:
            prepared = self._prepare(question)
        keys, identity, nonce = prepared.keys, b"", b""
        if question.name:
            identity, nonce = self._keyspace.identity(keys[1]), self._nonces()
        words = (prepared.words, identity, nonce)
        raw = await self._keyspace.run(self._script, keys, words)
        verdict, known, version = _read(raw, question.owner)
        is_settled = known.copy is not None or not prepared.is_owned
        return Reply(verdict, known, version, is_settled)

    def _prepare(self, question: Question) -> _Prepared:
        """Pack what does not change of a question, once for as long as whoever asks it
        keeps it: it is known again by being the same object."""
        charges, name, owner, told_from = question
        keys, asked = [self._version], _VERSION
        if name:
            keys += self._keys(owner, name)
            asked = _VERSION | _COPY
        packed = _pack_start(asked, told_from)
        for charge in charges:
            its_keys, numbers, _ = self._counters.packed(charge)
            keys += its_keys
            packed += numbers
        if len(self._prepared) >= _REMEMBERED:
            self._prepared.clear()
        prepared = self._prepared[id(question)] = _Prepared(
            question,
            Prepared.of(self._script, keys),
            packed,
            any(one.owner for one in charges),
        )
        return prepared

    async def _ask_apart(self, question: Question) -> Reply:
        apart = self._apart.get(id(question))
        if apart is None or apart.question is not question:
            apart = self._prepare_apart(question)
        run, sent, known = self._keyspace.run, [], Told(question.owner)
        if apart.of_owner is not None:  # first: its node may be known to be away
            keys, packed = apart.of_owner
            words = packed, self._keyspace.identity(keys[0]), self._nonces()
            sent.append(run(self._script, keys, words))
        sent += [run(self._take, keys, words) for keys, words in apart.of_others]
        answers = await gathered(apart.parts, sent)
        if apart.of_owner is not None and answers[0].failure is None:
            _, known, _ = _read(answers[0].raw, question.owner)
            if known.copy is None:  # they were left out: nothing to give back
                answers[0] = answers[0]._replace(part=Part(apart.parts[0].place))
        is_settled = not apart.is_owned or (known.copy is not None and apart.is_whole)
        try:
            return Reply(self._counters.settle(answers), known, -1, is_settled)
        except StoreError as error:
            if apart.of_owner is None or answers[0].failure is not None:
                raise
            # A budget's node is away: that is no reason to know nobody any more.
            return Reply(NOTHING_ASKED, known, -1, settled=False, failure=error)

    def _prepare_apart(self, question: Question) -> _Apart:
        charges, name, owner, told_from = question
        place = owner.encode()
        all_parts = self._counters.parts(charges, told_from)
        owned = [one for one in all_parts if one.is_owned]
        others = [one for one in all_parts if not one.is_owned]
        parts, of_owner = others, None
        if name:
            part = next((one for one in owned if one.place == place), Part(place))
            parts = [part, *others]
            keys = Prepared.of(self._script, (*self._keys(owner, name), *part.keys))
            of_owner = keys, _pack_start(_COPY, part.untold) + part.charges
        if len(self._apart) >= _REMEMBERED:
            self._apart.clear()
        apart = self._apart[id(question)] = _Apart(
            question,
            parts,
            of_owner,
            [self._counters.prepared(one) for one in others],
            is_owned=bool(owned),
            is_whole=all(one in parts for one in owned),
        )
        return apart


def _read(raw: bytes, owner: str) -> tuple[Verdict, Told, int]:
    fixed = _unpack_reply(raw)
    refused, held, scarcest, wait, left, at, version, is_good, length, leased = fixed
    if refused >= 0:
        verdict = Verdict(refused, wait, 0, held == 1, refused, at)
    else:
        remaining = int(left) if left < math.inf else sys.maxsize
        # As ``Verdict(...)`` does it, in a third of the time.
        verdict = _new(Verdict, (-1, 0.0, remaining, False, scarcest, at))
    end = _FIXED + length
    generation = raw[_FIXED:end]
    if is_good:
        return verdict, told(owner, generation, raw, end), int(version)
    lease = raw[end : end + leased]
    return verdict, Told(owner, None, lease, generation), int(version)
