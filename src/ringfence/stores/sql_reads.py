"""The reads that requests make: of a session, of an API key. Without SQLAlchemy, whose
price is ten times that of the read. One copy of each statement for all databases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ringfence.stores.contracts import ApiKeyRecord, SessionRecord
from ringfence.stores.sql import decode_names

# Whole, and not put together: a constant of the code is known to be static, and is not
# judged with every request.
READ_SESSION = """
    SELECT s.token_hash, s.public_id, s.account_id, a.roles, s.factors, s.created,
           s.last_seen, s.address, s.device, s.proved, s.last_network, s.last_device,
           s.moved_at, s.moved_network, s.moved_device, a.tenant
    FROM ringfence_sessions AS s
    JOIN ringfence_accounts AS a ON a.id = s.account_id AND NOT a.disabled
    WHERE s.token_hash = ?
"""

READ_API_KEY = """
    SELECT k.token_hash, k.id, k.account_id, k.label, k.hint, k.scopes, k.created,
           k.expires, k.used, a.roles, a.tenant
    FROM ringfence_api_keys AS k
    JOIN ringfence_accounts AS a ON a.id = k.account_id AND NOT a.disabled
    WHERE k.token_hash = ?
"""

_NAMES_REMEMBERED = 1024
_COLUMNS = len(SessionRecord._fields)


class _Names:
    """Decodes each combination of names once; an application has a handful of them."""

    def __init__(self) -> None:
        self._known: dict[str, frozenset[str]] = {}

    def __getitem__(self, text: str) -> frozenset[str]:
        known = self._known
        return known[text] if text in known else self._remember(text)

    def _remember(self, text: str) -> frozenset[str]:
        if len(self._known) >= _NAMES_REMEMBERED:
            self._known.clear()
        names = self._known[text] = decode_names(text)
        return names


class SessionReader:
    """Makes sessions of rows."""

    def __init__(self) -> None:
        self._names = _Names()

    def session(self, row: Sequence[Any]) -> SessionRecord:
        """Return the session of a row that begins as ``READ_SESSION`` says."""
        token_hash, public_id, account_id, roles, factors = row[:5]
        return SessionRecord(
            token_hash,
            public_id,
            account_id,
            self._names[roles],
            self._names[factors],
            *row[5:_COLUMNS],
        )


class ApiKeyReader:
    """Makes API keys of rows."""

    def __init__(self) -> None:
        self._names = _Names()

    def key(self, row: Sequence[Any]) -> ApiKeyRecord:
        """Return the key of a row that begins as ``READ_API_KEY`` says."""
        token_hash, name, account_id, label, hint, scopes = row[:6]
        created, expires, used, roles, tenant = row[6:11]
        return ApiKeyRecord(
            id=name,
            token_hash=token_hash,
            account_id=account_id,
            label=label,
            hint=hint,
            scopes=self._names[scopes],
            created=created,
            expires=expires,
            used=used,
            roles=self._names[roles],
            tenant=tenant,
        )
