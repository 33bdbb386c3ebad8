"""SQL: values are bound, identifiers come from an allow-list, and a statement into
which somebody has written input as code does not reach its database."""

from ringfence.interpreters.sql.names import Identifier, identifier, order_by
from ringfence.interpreters.sql.query import Query, query
from ringfence.interpreters.sql.watch import watch

__all__ = ["Identifier", "Query", "identifier", "order_by", "query", "watch"]
