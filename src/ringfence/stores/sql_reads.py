"""The read of a session, which every request makes: without SQLAlchemy, whose price is
ten times that of the read. One copy of the statement for all databases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ringfence.stores.contracts import SessionRecord
from ringfence.stores.sql import decode_names

# Whole, and not put together: a constant of the code is known to be static, and is not
# judged with every request.
READ_SESSION = """
    SELECT s.token_hash, s.public_id, s.account_id, a.roles, s.factors, s.created,
           s.last_seen, s.address, s.device, s.proved, s.last_network, s.last_device,
           s.moved_at, s.moved_network, s.moved_device
    FROM ringfence_sessions AS s
    JOIN ringfence_accounts AS a ON a.id = s.account_id AND NOT a.disabled
    WHERE s.token_hash = ?
"""

_NAMES_REMEMBERED = 1024
_COLUMNS = len(SessionRecord._fields)


class SessionReader:
    """Makes sessions of rows, and decodes each combination of names once; an
    application has a handful of them."""

    def __init__(self) -> None:
        self._names: dict[str, frozenset[str]] = {}

    def session(self, row: Sequence[Any]) -> SessionRecord:
        """Return the session of a row that begins as ``READ_SESSION`` says."""
        token_hash, public_id, account_id, roles, factors = row[:5]
        names = self._names
        return SessionRecord(
            token_hash,
            public_id,
            account_id,
            names[roles] if roles in names else self._remember(roles),
            names[factors] if factors in names else self._remember(factors),
            *row[5:_COLUMNS],
        )

    def _remember(self, text: str) -> frozenset[str]:
        if len(self._names) >= _NAMES_REMEMBERED:
            self._names.clear()
        names = self._names[text] = decode_names(text)
        return names
