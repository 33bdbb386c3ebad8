"""SQL: values are bound, identifiers come from an allow-list, and a statement into
which somebody has written input as code does not reach its database.

    from ringfence import sql

    find = sql.query("SELECT id FROM users WHERE name = {name}", name=name)
    db.execute(*find.qmark)          # sqlite3, aiosqlite
    cursor.execute(*find.format)     # psycopg, aiomysql, asyncmy
    await db.fetch(*find.numbered)   # asyncpg
    session.execute(find.sqlalchemy)

    sql.order_by(asked, allowed={"name", "price"})   # a {place} of a query takes it
"""

from ringfence.interpreters.sql.names import Identifier, identifier, order_by
from ringfence.interpreters.sql.query import Query, query
from ringfence.interpreters.sql.watch import watch

__all__ = ["Identifier", "Query", "identifier", "order_by", "query", "watch"]
