"""Copies in a dictionary, for what no real server does at a given moment: it expires,
restarts, comes back with old data, or loses an answer between any two steps."""

import secrets
from copy import deepcopy
from types import SimpleNamespace

from ringfence.errors import StoreError
from ringfence.stores.contracts import Told

KEY = bytes(range(32))
HELD, LEASED, KEPT = 30.0, 30.0, 300.0  # seconds


def keys():
    """Return the keys that copies are sealed with, in tests."""
    return (KEY,)


class DictCopies:
    """See ``contracts.CopyStore``."""

    def __init__(self):
        self.now = 0.0
        self.down = False
        self.life = b"first"
        self.asked = []  # what was called, in order
        self.generations = {}
        self.entries = {}

    def restart(self, *, data=None):
        """Come back empty, or with what ``saved`` has returned some time ago."""
        self.life = secrets.token_bytes(8)
        self.generations, self.entries = deepcopy(data) if data else ({}, {})

    def saved(self):
        return deepcopy((self.generations, self.entries))

    def _called(self, name, *about):
        self.asked.append((name, *about))
        if self.down:
            raise StoreError("the copies are down")

    def _generation(self, owner):
        found = self.generations.get(owner)
        return found if found is not None and self.now < found.until else None

    def _entry(self, name, owner, generation):
        found = self.entries.get((owner, name))
        if found is None or self.now >= found.until or found.of != generation:
            return None
        return found

    async def read(self, name, owner):
        self._called("read", name, owner)
        present = self._generation(owner)
        if present is not None and present.holds:
            return Told(owner)
        if present is None or present.life != self.life:
            present = self.generations[owner] = SimpleNamespace(
                life=self.life, nonce=secrets.token_bytes(8), holds=0, until=0.0
            )
        present.until = self.now + KEPT + LEASED
        found = self._entry(name, owner, present.nonce)
        if found is not None and found.copy is not None:
            return Told(owner, found.copy, b"", present.nonce, found.epoch)
        if found is None:
            found = self.entries[owner, name] = SimpleNamespace(
                of=present.nonce,
                lease=secrets.token_bytes(8),
                copy=None,
                epoch=-1,
                until=self.now + LEASED,
            )
        return Told(owner, None, found.lease, present.nonce, -1)

    async def keep(self, name, told, copy, epoch):
        self._called("keep", name, told.owner)
        present = self._generation(told.owner)
        if present is None or present.holds or present.life != self.life:
            return False
        found = self._entry(name, told.owner, present.nonce)
        if found is None or present.nonce != told.generation:
            return False
        if found.copy is not None or found.lease != told.lease:
            return False
        found.copy, found.epoch, found.until = copy, epoch, self.now + KEPT
        return True

    async def drop(self, name, owner):
        self._called("drop", name, owner)
        self.entries.pop((owner, name), None)

    async def hold(self, owner):
        self._called("hold", owner)
        present = self._generation(owner)
        holds = 0 if present is None else present.holds
        self.generations[owner] = SimpleNamespace(
            life=self.life, nonce=b"", holds=holds + 1, until=self.now + HELD
        )

    async def release(self, owner):
        self._called("release", owner)
        present = self._generation(owner)
        if present is not None and present.holds > 1:
            present.holds -= 1
        else:
            self.generations.pop(owner, None)
