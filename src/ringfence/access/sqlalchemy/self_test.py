"""Shows at start-up that SQLAlchemy still does what the filter needs of it.

The filter and the session use names of SQLAlchemy that are not promised. Should another
version do otherwise, nothing may start: a filter that is not applied shows everything.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Update, delete, exists, literal_column, select, update
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapper, Session, aliased, persistence

from ringfence.access.sqlalchemy.criteria import Criterion, Filter
from ringfence.errors import DeclarationError

_MARK = "ringfence_self_test"
_PASSED_BY = {
    "_execute_internal": (Session.execute, Session.scalar, Session.scalars),
    "_get_impl": (Session.get,),
    "get": (Session.get_one,),
    "_flush": (Session.flush,),
    "_execute_clauseelement": (Update._execute_on_connection,),  # noqa: SLF001 - there is no public way
}
# Which writes objects by their key, as ``writing`` knows it.
_WRITES = (
    "_emit_update_statements",
    "_emit_post_update_statements",
    "_emit_delete_statements",
)
_WRITES_WITH = "compiled_cache"


def test_filter(mapper: Mapper[Any], dialect: Dialect) -> None:
    """Filter each kind of statement on one class by a mark, and look for the mark in
    what is compiled. No I/O.

    Raises:
        DeclarationError: it is not there.
    """
    for name, methods in _PASSED_BY.items():
        for method in methods:
            if name not in method.__code__.co_names:
                _stop(f"{method.__qualname__} does not pass {name}")
    for write in _WRITES:
        code = getattr(getattr(persistence, write, None), "__code__", None)
        if code is None or _WRITES_WITH not in code.co_consts:
            _stop(f"{write} does not pass {_WRITES_WITH}")
    option = Filter([Criterion(mapper, lambda: literal_column(_MARK) == 1)])
    model, key = mapper.class_, mapper.primary_key[0]
    other = aliased(model)
    attribute = mapper.get_property_by_column(key).class_attribute
    statements: tuple[tuple[str, Any], ...] = (
        ("select(Model)", select(model)),
        ("select(Model.id)", select(attribute)),
        ("select(aliased(Model))", select(other)),
        ("an EXISTS", select(literal_column("1")).where(exists(select(model)))),
        ("a UNION", select(attribute).union(select(attribute))),
        ("an UPDATE", update(model).values({key: key})),
        ("a DELETE", delete(model)),
    )
    for name, statement in statements:
        try:
            text = str(statement.options(option).compile(dialect=dialect))
        except (SQLAlchemyError, AttributeError, TypeError) as error:
            _stop(f"{name} cannot be filtered: {error}")
        if _MARK not in text:
            _stop(f"{name} is not filtered")


def _stop(what: str) -> None:
    message = (
        f"this version of SQLAlchemy does otherwise than the filter needs ({what}); "
        "use a version that ringfence names in its extra"
    )
    raise DeclarationError(message)
