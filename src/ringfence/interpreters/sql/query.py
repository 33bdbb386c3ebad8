"""A statement and its values, apart from each other until the driver has both."""

from __future__ import annotations

import functools
import inspect
import re
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ringfence.interpreters.sql.constants import KNOWN
from ringfence.interpreters.sql.lexer import read
from ringfence.interpreters.sql.names import Identifier

if TYPE_CHECKING:
    from sqlalchemy import TextClause

_MOST_DERIVED = 10_000  # texts of templates that are remembered
_COLON = re.compile(r"(?<!:):(?=\w)")


class Template(Protocol):
    """What ``t"..."`` makes (PEP 750, Python 3.14)."""

    @property
    def strings(self) -> tuple[str, ...]: ...

    @property
    def interpolations(self) -> tuple[Any, ...]: ...


@dataclass(frozen=True, slots=True)
class Query:
    """A statement with its values apart, in the form that a driver takes.

    Args:
        pieces: the text around the values: one more than there are values.
        values: in their order.
    """

    pieces: tuple[str, ...]
    values: tuple[object, ...]
    is_static: bool = False

    @property
    def qmark(self) -> tuple[str, tuple[object, ...]]:
        """Text and values for sqlite3 and aiosqlite: ``db.execute(*query.qmark)``."""
        return self._derived(lambda _: "?"), self.values

    @property
    def format(self) -> tuple[str, tuple[object, ...]]:
        """Text and values for psycopg, aiomysql and asyncmy:
        ``cursor.execute(*query.format)``."""
        text = self._derived(lambda _: "%s", lambda piece: piece.replace("%", "%%"))
        return text, self.values

    @property
    def numbered(self) -> tuple[object, ...]:
        """Text, then each value, for asyncpg: ``db.fetch(*query.numbered)``."""
        return self._derived(lambda number: f"${number}"), *self.values

    @property
    def sqlalchemy(self) -> TextClause:
        """A clause for SQLAlchemy: ``session.execute(query.sqlalchemy)``."""
        text = self._derived(
            lambda number: f":value_{number}", lambda piece: _COLON.sub(r"\\:", piece)
        )
        values = {f"value_{at}": value for at, value in enumerate(self.values, 1)}
        return open_text()(text).bindparams(**values)

    def _derived(
        self,
        placeholder: Callable[[int], str],
        escape: Callable[[str], str] = str,
    ) -> str:
        """Put the text together; one that is made of constants stays one."""
        parts = [escape(self.pieces[0])]
        for number, piece in enumerate(self.pieces[1:], 1):
            parts += (placeholder(number), escape(piece))
        text = "".join(parts)
        if self.is_static:
            KNOWN.derive(text, most=_MOST_DERIVED)
        return text


def open_text() -> Callable[[str], TextClause]:
    """Return SQLAlchemy's ``text``."""
    from sqlalchemy import text  # noqa: PLC0415 - it may not be installed

    return text


def query(template: str | Template, /, **values: object) -> Query:
    """Bind values into a statement, by writing it the way one would write it unsafely.

    ``sql.query("SELECT * FROM users WHERE email = {email}", email=email)``, or from
    Python 3.14 on ``sql.query(t"SELECT * FROM users WHERE email = {email}")``.

    Args:
        template: the statement; ``{name}`` where a value belongs, without quotes around
            it, and ``{{`` for a brace. Never an f-string: its values are in the text
            already, and it will be judged like any other.
        values: by their names. A list or tuple becomes a list in parentheses, for
            ``IN``; what ``sql.identifier`` or ``sql.order_by`` returns becomes a part
            of the statement, and another query a part of it with its values.

    Returns:
        A ``Query``, which knows the forms that drivers take: ``*query.qmark``,
        ``*query.format``, ``*query.numbered``, ``query.sqlalchemy``.

    Raises:
        ValueError: a name without a value, a value without a name, a place within
            quotes, an empty list.

    Source: ASVS 5.0 V1.2.4; CWE-89.

    Not covered: what a bound value means to the statement: ``%`` in a ``LIKE``, a
    regular expression, a path.
    """
    if isinstance(template, str):
        given = tuple(_fields(template, values))
        static = KNOWN.says(template, inspect.currentframe())
    else:
        if values:
            raise ValueError("a t-string has its values already; give no others")
        given = tuple(_interpolations(template))
        static = True
    pieces, bound, static = _take_apart(given, static=static)
    if "'" in "".join(pieces) or '"' in "".join(pieces):
        _check_quotes("?".join(pieces), len(bound))
    return Query(pieces, bound, static)


_HOLE = object()
_Given = tuple[str, object]
"""A piece of text, and what follows it; ``_HOLE`` for nothing."""


def _fields(template: str, values: dict[str, object]) -> Iterator[_Given]:
    unused = set(values)
    for piece, name, form, conversion in string.Formatter().parse(template):
        if name is None:
            yield piece, _HOLE
            continue
        if form or conversion or name not in values:
            raise ValueError(_what_is_wrong(name, form, conversion, values))
        unused.discard(name)
        yield piece, values[name]
    if unused:
        names = ", ".join(sorted(unused))
        raise ValueError(
            f"no place for {names}: write {{{min(unused)}}} where it belongs; an"
            " f-string has no places left"
        )


def _what_is_wrong(
    name: str, form: str | None, conversion: str | None, values: dict[str, object]
) -> str:
    if form or conversion:
        return f"{{{name}}} is bound as it is: format the value before, not in here"
    known = ", ".join(sorted(values)) or "none"
    return f"{{{name}}} has no value ({known} given); write {{{{ for a brace"


def _interpolations(template: Template) -> Iterator[_Given]:
    for piece, one in zip(template.strings, template.interpolations, strict=False):
        if one.format_spec or one.conversion:
            raise ValueError(_what_is_wrong(one.expression, "x", None, {}))
        yield piece, one.value
    yield template.strings[-1], _HOLE


def _take_apart(
    given: Sequence[_Given], *, static: bool
) -> tuple[tuple[str, ...], tuple[object, ...], bool]:
    pieces, bound = [""], list[object]()
    for piece, value in given:
        pieces[-1] += piece
        if value is _HOLE:
            continue
        if isinstance(value, Identifier):
            pieces[-1] += value
        elif isinstance(value, Query):
            static = static and value.is_static
            pieces[-1] += value.pieces[0]
            pieces += value.pieces[1:]
            bound += value.values
        elif isinstance(value, (list, tuple)):
            if not value:
                raise ValueError("an empty list: IN () is no SQL; ask before whether")
            pieces[-1] += "("
            pieces += [", "] * (len(value) - 1) + [")"]
            bound += value
        else:
            pieces.append("")
            bound.append(value)
    return tuple(pieces), tuple(bound), static


@functools.lru_cache(maxsize=1024)
def _check_quotes(text: str, values: int) -> None:
    """Find places within quotes, where nothing would be bound."""
    tokens = read(text, "sqlite", backslash=False)
    places = sum(tokens.of(token) == "?" for token in tokens.all)
    if places < values:
        raise ValueError(
            "a value stands within quotes; write = {name}, and for LIKE"
            " '%' || {name} || '%' or a value with the % in it"
        )
