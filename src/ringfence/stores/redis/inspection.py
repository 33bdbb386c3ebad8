"""What a server says of itself: who it is, and whether it can be used."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from ringfence.stores.redis.packing import pack
from ringfence.stores.redis.scripts import Script

PREFIX: Final = b"ringfence:"
"""What every key begins with, so that an operator can tell them, and restrict a user of
the server to them (``~ringfence:*``)."""

INFO: Final = pack((b"INFO", b"server", b"replication", b"persistence", b"cluster"))
"""The question whose answer ``Facts.read`` reads."""

OLDEST: Final = (7, 0)
"""Version of Redis that is needed: scripts that may call ``TIME`` and write, errors
that carry their code out of a script, ``INFO`` of several sections."""

PROBE: Final = Script(b"return redis.call('SET', KEYS[1], ARGV[1], 'PX', 1)", "probe")
PROBE_KEY: Final = PREFIX + b"probe"


class Facts(NamedTuple):
    """What matters of the answer to ``INFO``.

    Args:
        version: of Redis, or the one that Valkey says it is compatible with.
        identity: 8 bytes of the server in this life and of the history it writes;
            empty where it does not say.
        is_primary: whether it takes writes.
        is_loading: whether it still reads its data.
        is_clustered: whether it is a node of a cluster.
    """

    version: tuple[int, ...]
    identity: bytes
    is_primary: bool
    is_loading: bool
    is_clustered: bool

    @classmethod
    def read(cls, answer: object) -> Facts:
        """Read the answer to ``INFO``, whatever it is."""
        raw = answer if isinstance(answer, bytes) else b""
        said = dict(line.split(b":", 1) for line in raw.splitlines() if b":" in line)
        return cls(
            _version(said.get(b"redis_version", b"")),
            _identity(said.get(b"run_id", b""), said.get(b"master_replid", b"")),
            said.get(b"role") == b"master",
            said.get(b"loading") == b"1",
            said.get(b"cluster_enabled") == b"1",
        )

    def objection(self, *, is_cluster: bool) -> str:
        """Return why the server cannot be used, or nothing.

        Args:
            is_cluster: whether the URL says that it is a node of a cluster.
        """
        oldest = ".".join(map(str, OLDEST))
        objections = {
            f"is older than Redis {oldest}; update it": self.version < OLDEST,
            "does not say who it is in INFO (run_id, master_replid), so that a restart "
            "would go unnoticed": not self.identity,
            "is a replica, which takes no writes; name the primary, or let sentinels "
            "find it (redis+sentinel://...)": not self.is_primary,
            "is still loading its data": self.is_loading,
            "is a node of a cluster; write redis+cluster://... for redis://...": (
                self.is_clustered and not is_cluster
            ),
            "is no node of a cluster; write redis://... for redis+cluster://...": (
                is_cluster and not self.is_clustered
            ),
        }
        return next((what for what, holds in objections.items() if holds), "")


def _version(text: bytes) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(b".")[:3] if part.isdigit())


def _identity(run_id: bytes, replication_id: bytes) -> bytes:
    """Join what changes with the process and what changes with the history: a server
    that was a replica in between is the same process, but may have lost writes."""
    if not (run_id and replication_id):
        return b""
    joined = run_id + b" " + replication_id
    return hashlib.blake2b(joined, digest_size=8).digest()
