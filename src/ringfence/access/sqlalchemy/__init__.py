"""Ownership in SQLAlchemy: a database whose sessions see what is the principal's.

``database`` is what applications hold, ``resolve`` reads what models say of their rows,
``criteria`` filters what is loaded, ``session`` is one principal's, ``flush`` verifies
what is written, ``wall`` looks at each statement before the driver does, ``raw`` keeps
the driver's connections closed.
"""

from ringfence.errors import MissingExtraError

try:
    from ringfence.access.sqlalchemy.database import Database
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "sqlalchemy":
        raise
    raise MissingExtraError("sqlalchemy", "sqlalchemy", "keep rows apart") from error

__all__ = ["Database"]
