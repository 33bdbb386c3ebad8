"""Other ways to the database than the session that one was given."""

from __future__ import annotations

from sqlalchemy import Engine, select, text, update
from sqlalchemy.orm import Query, Session, scoped_session, sessionmaker
from tests.access.sqlalchemy.models import Note, Order
from tests.access.sqlalchemy.paths.table import reads, writes

GROUP = "other connection"
beside = reads(GROUP, honest=False)
secret = select(Order.secret)
RAW = "SELECT secret FROM orders"


@beside
def connection_of_the_session(s, w):
    return s.connection().execute(select(Order)).all()


@beside
def connection_of_the_session_by_column(s, w):
    return s.connection().scalars(secret).all()


@beside
def connection_of_the_engine(s, w):
    with w.engine.connect() as connection:
        return connection.execute(select(Order)).all()


@beside
def transaction_of_the_engine(s, w):
    with w.engine.begin() as connection:
        return connection.execute(text(RAW)).all()


@beside
def connection_with_options(s, w):
    with w.engine.connect().execution_options(compiled_cache=None) as connection:
        return connection.execute(secret).all()


@beside
def engine_with_options(s, w):
    with w.engine.execution_options(told="x").connect() as connection:
        return connection.execute(secret).all()


@beside
def engine_that_commits_by_itself(s, w):
    loose = w.engine.execution_options(isolation_level="AUTOCOMMIT")
    with loose.connect() as connection:
        return connection.execute(secret).all()


@beside
def engine_of_the_session(s, w):
    with s.get_bind().connect() as connection:
        return connection.execute(secret).all()


@beside
def engine_over_the_same_pool(s, w):
    """Another engine by hand, on the pool of the first."""
    engine = w.engine
    with Engine(engine.pool, engine.dialect, engine.url).connect() as connection:
        return connection.execute(secret).all()


@reads(GROUP, honest=False)
def plain_session(s, w):
    with Session(w.engine) as other:
        return other.scalars(select(Order)).all()


@reads(GROUP, honest=False)
def plain_session_by_key(s, w):
    with Session(w.engine) as other:
        return other.get(Order, w.id("order"))


@reads(GROUP, honest=False)
def plain_session_of_a_factory(s, w):
    with sessionmaker(w.engine)() as other:
        return other.scalars(select(Order)).all()


@reads(GROUP, honest=False)
def plain_session_of_a_scope(s, w):
    other = scoped_session(sessionmaker(w.engine))
    try:
        return other.scalars(select(Order)).all()
    finally:
        other.remove()


@reads(GROUP, honest=False)
def plain_session_on_the_connection(s, w):
    with Session(s.connection()) as other:
        return other.scalars(select(Order)).all()


@reads(GROUP, honest=False)
def query_of_another_session(s, w):
    with Session(w.engine) as other:
        return Query([Order], session=other).all()


@writes(GROUP, honest=False)
def plain_session_that_writes(s, w):
    s.rollback()
    with Session(w.engine) as other:
        other.execute(update(Note).where(Note.id == w.id("note")).values(secret="x"))
        other.commit()


@writes(GROUP, honest=False)
def plain_session_that_adds(s, w):
    s.rollback()
    with Session(w.engine) as other:
        other.add(Note(id="new", author_id=w.person))
        other.commit()


@beside
def raw_connection_of_the_session(s, w):
    cursor = s.connection().connection.cursor()
    try:
        cursor.execute(RAW)
        return cursor.fetchall()
    finally:
        cursor.close()


@beside
def raw_connection_of_the_engine(s, w):
    raw = w.engine.raw_connection()
    try:
        cursor = raw.cursor()
        cursor.execute(RAW)
        return cursor.fetchall()
    finally:
        raw.close()


@beside
def raw_connection_of_the_pool(s, w):
    raw = w.engine.pool.connect()
    try:
        cursor = raw.dbapi_connection.cursor()
        cursor.execute(RAW)
        return cursor.fetchall()
    finally:
        raw.close()


@reads(GROUP, honest=False, dialects=("sqlite",), plain=True)
def raw_connection_of_the_driver(s, w):
    return s.connection().connection.driver_connection.execute(RAW).fetchall()


@reads(GROUP, honest=False, dialects=("sqlite",), plain=True)
def raw_statement_that_was_prepared_before(s, w):
    """The driver keeps what it has prepared, and asks no authorizer again."""
    raw = s.connection().connection.driver_connection
    s.scalars(select(Order.id)).all()
    told = "SELECT secret FROM orders"
    return raw.cursor().execute(told).fetchall() + raw.execute(told).fetchall()


@writes(GROUP, honest=False, plain=True)
def raw_update(s, w):
    connection = s.connection()
    cursor = connection.connection.cursor()
    cursor.execute("UPDATE notes SET secret = 'taken'")
    cursor.close()


@writes(GROUP, honest=False, dialects=("sqlite",), plain=True)
def raw_script(s, w):
    s.rollback()
    raw = w.engine.raw_connection()
    try:
        raw.driver_connection.executescript("UPDATE notes SET secret = 'taken'")
    finally:
        raw.close()


@reads(GROUP, honest=False, dialects=("sqlite",), plain=True)
def raw_dump(s, w):
    return list(s.connection().connection.driver_connection.iterdump())


@beside
def dialect_that_executes(s, w):
    connection = s.connection()
    cursor = connection.connection.cursor()
    try:
        connection.dialect.do_execute(cursor, RAW, ())
        return cursor.fetchall()
    finally:
        cursor.close()
