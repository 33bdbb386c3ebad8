"""Stores with copies before them, asked as the guard asks them: the cookie says whose
session it is, and one question brings what the copies say."""

from tests.stores.copies import keys

from ringfence.stores.contracts import Question
from ringfence.stores.copied import CopiedStores


class HintedStores:
    """A database with copies, of which each session is asked twice: once to make the
    copy, and once to read it.

    Args:
        database: its shelves.
        shared: the store of the copies.
    """

    def __init__(self, database, shared):
        self._shared = shared
        self._stores = CopiedStores(database, shared.copies, keys)
        self.accounts = self._stores.accounts
        self.sessions = HintedSessions(self._stores.sessions, shared.ask)
        self.tickets = self._stores.tickets
        self.replays = self._stores.replays
        self.revocations = self._stores.revocations
        self.factors = self._stores.factors
        self.grants = self._stores.grants
        self.api_keys = self._stores.api_keys
        self.links = self._stores.links
        self.clock = self._stores.clock

    async def start(self):
        await self._shared.start()
        await self._stores.start()

    async def stop(self):
        await self._stores.stop()
        await self._shared.stop()


class HintedSessions:
    """Knows the owners of the sessions that were added here, as their cookies do."""

    def __init__(self, sessions, ask):
        self._sessions = sessions
        self._ask = ask
        self._owners = {}

    def __getattr__(self, name):
        return getattr(self._sessions, name)

    async def add(self, session, **how):
        self._owners[session.token_hash] = session.account_id
        return await self._sessions.add(session, **how)

    async def read(self, token_hash, told=None):
        owner = self._owners.get(token_hash)
        if owner is None or told is not None:
            return await self._sessions.read(token_hash, told)
        question = Question((), token_hash, owner)
        told = (await self._ask(question)).told
        found = self._sessions.recall(token_hash, told)
        found = found or await self._sessions.read(token_hash, told)
        told = (await self._ask(question)).told
        assert (told.copy is None) == (found is None)
        assert self._sessions.recall(token_hash, told) is found
        return found
