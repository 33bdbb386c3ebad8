"""Ownership in SQLAlchemy: a database whose sessions see what is the principal's.

``database`` is what applications hold, ``resolve`` reads what models say of their rows,
``criteria`` filters what is loaded, ``session`` is one principal's, ``flush`` verifies
what is written, ``wall`` looks at each statement before the driver does, ``raw`` keeps
the driver's connections closed.
"""

from ringfence.access.sqlalchemy.database import Database

__all__ = ["Database"]
