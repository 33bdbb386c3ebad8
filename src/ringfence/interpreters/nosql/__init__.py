"""Queries to MongoDB whose values stay values, whatever JSON a request brings.

from ringfence import nosql

    users.find_one({"email": nosql.value(body["email"])})
    products.find({"name": nosql.containing(q)}).sort(nosql.field(by, FIELDS))
"""

from ringfence.interpreters.nosql.values import containing, equal, field, value

__all__ = ["containing", "equal", "field", "value"]
