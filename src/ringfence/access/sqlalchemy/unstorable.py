"""Values that no column can hold: a number of thirty digits, a text with a NUL."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

# Numeric value out of range; character not in repertoire.
_CODES = frozenset({"22003", "22021"})
# What drivers say by themselves, before the database is asked.
_SAID = ("cannot contain NUL", "(value out of ")
_SQLITE = "too large to convert to SQLite"


def is_about_a_value(error: BaseException | None) -> bool:
    """Return whether a statement has failed only because a bound value fits no column.

    Whoever sends ``GET /orders/99999999999999999999`` has made a mistake, the
    application has not: 422 instead of 500, so that strangers cannot fill the ledger
    with failures and hide real ones among them (CWE-779).

    Args:
        error: what was raised.

    Not covered: MySQL, which compares such numbers and cuts such texts.

    Source: ASVS 5.0 V16.5.1; PostgreSQL 18, appendix A.
    """
    if isinstance(error, OverflowError):
        return _SQLITE in str(error)
    if not isinstance(error, DBAPIError):
        return False
    if getattr(error.orig, "sqlstate", None) in _CODES:
        return True
    said = str(error.orig)
    return any(words in said for words in _SAID)
