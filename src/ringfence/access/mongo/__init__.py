"""Collections of MongoDB whose documents have owners, through pymongo.

``OwnedDatabase`` stands before a database and has its collections, with pymongo's names
and signatures: every filter, pipeline and change is made to reach the documents of
whoever the running code works for, and no others.
"""

from ringfence.errors import MissingExtraError

try:
    from ringfence.access.mongo.collection import OwnedCollection
    from ringfence.access.mongo.database import OwnedDatabase
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"pymongo", "bson"}:
        raise
    raise MissingExtraError("pymongo", "mongo", "keep documents apart") from error

__all__ = ["OwnedCollection", "OwnedDatabase"]
