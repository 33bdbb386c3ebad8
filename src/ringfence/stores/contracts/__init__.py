"""What the shelves promise. Every store is run through the same contract suite."""

from ringfence.stores.contracts.accounts import AccountRecord, AccountStore
from ringfence.stores.contracts.api_keys import ApiKeyRecord, ApiKeyStore
from ringfence.stores.contracts.copies import CopyStore, Told
from ringfence.stores.contracts.counters import (
    Charge,
    CounterStore,
    ImmediateCounters,
    Verdict,
    counter_key,
)
from ringfence.stores.contracts.factors import Factor, FactorStore
from ringfence.stores.contracts.grants import Grant, GrantStore, Rotated, Rotation
from ringfence.stores.contracts.links import Link, LinkStore, is_identity
from ringfence.stores.contracts.sessions import SessionRecord, SessionStore, Use
from ringfence.stores.contracts.shelves import (
    Ask,
    Block,
    Blocks,
    BlockStore,
    Question,
    Reply,
    SharedStore,
    Stores,
)
from ringfence.stores.contracts.single_use import (
    ReplayStore,
    RevocationStore,
    Ticket,
    TicketStore,
)

__all__ = [
    "AccountRecord",
    "AccountStore",
    "ApiKeyRecord",
    "ApiKeyStore",
    "Ask",
    "Block",
    "BlockStore",
    "Blocks",
    "Charge",
    "CopyStore",
    "CounterStore",
    "Factor",
    "FactorStore",
    "Grant",
    "GrantStore",
    "ImmediateCounters",
    "Link",
    "LinkStore",
    "Question",
    "ReplayStore",
    "Reply",
    "RevocationStore",
    "Rotated",
    "Rotation",
    "SessionRecord",
    "SessionStore",
    "SharedStore",
    "Stores",
    "Ticket",
    "TicketStore",
    "Told",
    "Use",
    "Verdict",
    "counter_key",
    "is_identity",
]
