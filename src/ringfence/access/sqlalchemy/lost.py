"""Rows that were given away, or removed, after they had been loaded."""

from __future__ import annotations

from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm.exc import ObjectDeletedError

_NOT_REFRESHED = "Could not refresh instance "


def is_about_a_lost_row(error: BaseException | None) -> bool:
    """Return whether an object could not be loaded again, because its row is gone or
    somebody else's by now.

    It answers 404, as it would have, had the request come a moment later: 500 would
    tell that there is a row, and let strangers fill the ledger with failures (CWE-204).

    Args:
        error: what was raised.

    Not covered: a loaded object whose columns the application reads from memory; it
    shows what was the principal's when it was loaded.

    Source: ASVS 5.0 V8.2.2; CWE-639.
    """
    if isinstance(error, ObjectDeletedError):
        return True
    # ``Session.refresh`` has no class of its own for it.
    return isinstance(error, InvalidRequestError) and str(error).startswith(
        _NOT_REFRESHED
    )
