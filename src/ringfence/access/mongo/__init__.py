"""Collections of MongoDB whose documents have owners, through pymongo.

``OwnedDatabase`` stands before a database and has its collections, with pymongo's names
and signatures: every filter, pipeline and change is made to reach the documents of
whoever the running code works for, and no others.
"""

from ringfence.access.mongo.collection import OwnedCollection
from ringfence.access.mongo.database import OwnedDatabase

__all__ = ["OwnedCollection", "OwnedDatabase"]
