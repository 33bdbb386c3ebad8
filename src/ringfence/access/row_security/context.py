"""For whom a transaction works, as a text that only the application can write.

The database takes it from a setting of the transaction. Whoever injects SQL can write
that setting as well, so that it counts only with a signature: HMAC-SHA-256 with a key
that the role of the application cannot read. It is bound to one connection, because
others of the same role see it in ``pg_stat_activity``, and it ends after minutes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Callable, Iterable

from ringfence.access.ownership.acting import Actor
from ringfence.access.ownership.conditions import Holds, TableRule, parts_of
from ringfence.access.ownership.escape import Unscoped
from ringfence.access.policy import Hierarchy, Policy
from ringfence.clock import Clock, system_clock
from ringfence.errors import SettingsError

PURPOSE = "access.row_security"
"""What the key is derived for: ``Keyring.derive(PURPOSE)``."""

SETTING = "ringfence.principal"
ANY_SCOPE = "*"  # no scope is called so
KEY_ID_LENGTH = 16  # characters, and a dot behind
_LIFETIME = 120.0  # seconds from the signature to the *start* of the transaction
_LEAST_KEY = 32  # bytes


def key_id(key: bytes) -> str:
    """Return by what name the database knows a key."""
    return hashlib.sha256(b"ringfence.key-id.1" + key).hexdigest()[:KEY_ID_LENGTH]


class Signer:
    """Write for whom a transaction works.

    Args:
        key: returns the key that signs, ``lambda: keyring.derive(PURPOSE)``; asked each
            time, since keys rotate.
        rules: of all tables: what no rule names is not told to the database.
        hierarchy: roles with what they include, expanded.
        lifetime: seconds in which a transaction must have started. More than the clocks
            of the two machines may differ.

    Source: RFC 2104; CWE-345; CWE-294.

    Not covered: who can read the memory of this process has the key. A statement that
    is injected works for the principal whose statement it was injected into.
    """

    def __init__(
        self,
        key: Callable[[], bytes],
        rules: Iterable[TableRule],
        hierarchy: Hierarchy,
        *,
        clock: Clock = system_clock,
        lifetime: float = _LIFETIME,
    ) -> None:
        policies = tuple(_policies(rules))
        self._roles = _union(policy.roles() for policy in policies)
        self._scopes = _union(policy.scopes() for policy in policies)
        self._factors = _union(policy.factors() for policy in policies)
        self._hierarchy = hierarchy
        self._key = key
        self.clock = clock
        self.lifetime = lifetime
        self._known: tuple[bytes, str] | None = None

    def __call__(self, actor: Actor, backend: int | None) -> str:
        """Return the text; empty for nobody.

        Args:
            actor: for whom, or the escape.
            backend: the process of the server that the connection speaks with; ``None``
                where a pooler stands between, and a text is good on every connection.

        Raises:
            SettingsError: the key is too short, or not there yet.
        """
        if actor is None:
            return ""
        said = self._said(actor)
        said["x"] = int(self.clock() + self.lifetime)
        if backend is not None:
            said["p"] = backend
        body = json.dumps(said, separators=(",", ":")).encode()
        key, name = self._signing()
        signature = hmac.digest(key, body, "sha256")
        return f"{name}.{b64encode(signature + body).decode()}"

    def _said(self, actor: Actor) -> dict[str, object]:
        if actor is None or isinstance(actor, Unscoped):
            return {"u": True}
        held = set(actor.roles)
        for role in actor.roles:
            held |= self._hierarchy.get(role, frozenset())
        scopes = {ANY_SCOPE} if actor.scopes is None else actor.scopes & self._scopes
        said: dict[str, object] = {"i": actor.id, "t": actor.tenant}
        said["r"] = sorted(held & self._roles)
        said["s"] = sorted(scopes)
        said["f"] = sorted(actor.factors & self._factors)
        return said

    def _signing(self) -> tuple[bytes, str]:
        key = self._key()
        known = self._known
        if known is None or key != known[0]:
            known = self._known = (checked_key(key), key_id(key))
        return known


def checked_key(key: bytes) -> bytes:
    """Return a key that is long enough.

    Raises:
        SettingsError: it is not.
    """
    if len(key) < _LEAST_KEY:
        message = (
            f"the key of row-level security has {len(key)} bytes; it takes at least "
            f"{_LEAST_KEY}: use Keyring.derive({PURPOSE!r})"
        )
        raise SettingsError(message)
    return key


def _policies(rules: Iterable[TableRule]) -> Iterable[Policy]:
    for rule in rules:
        for condition in (rule.read, rule.write):
            for part in parts_of(condition):
                if isinstance(part, Holds):
                    yield part.policy


def _union(names: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*names)
