"""Conditions as SQL of policies.

Inside a policy the policies of the tables that it asks count too. Where the rule of
such a table already holds of the rows that are asked for, that changes nothing, and an
``EXISTS`` is written; where it does not, or where policies would ask each other in a
circle (PostgreSQL refuses that at the first statement), a function asks, with the
rights of a role that may see the rows and that nobody can be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ringfence.access.ownership.conditions import (
    ALWAYS,
    NEVER,
    All,
    Always,
    Any,
    Condition,
    Has,
    Holds,
    Is,
    Linked,
    Never,
    Subject,
    TableRule,
)
from ringfence.access.ownership.rules import Constant
from ringfence.access.policy import (
    AllOf,
    AnyOf,
    Closed,
    Factor,
    Policy,
    Public,
    Role,
    Scope,
    SignedIn,
)
from ringfence.access.row_security.context import ANY_SCOPE
from ringfence.access.row_security.quoting import array, literal, quoted
from ringfence.access.row_security.shapes import Shape, Shapes
from ringfence.errors import DeclarationError

_ASKED = {
    Subject.ID: "ringfence.principal_id()",
    Subject.TENANT: "ringfence.tenant()",
}
_CASTS = {
    "UUID": "ringfence.as_uuid({})",
    "BIGINT": "ringfence.as_bigint({})",
    "INTEGER": "ringfence.as_bigint({})",
    "SMALLINT": "ringfence.as_bigint({})",
    "TEXT": "{}",
    "VARCHAR": "{}",
    "CHAR": "{}",
    "CITEXT": "{}",
}


@dataclass(frozen=True, slots=True)
class Helper:
    """A function that asks of a linked row.

    Args:
        name: unqualified.
        arguments: the types of the columns that link.
        query: what it asks, its arguments being ``$1``, ``$2``.
        tables: that it asks.
    """

    name: str
    arguments: tuple[str, ...]
    query: str
    tables: tuple[str, ...]


@dataclass(slots=True)
class Expressions:
    """Write conditions of one set of rules.

    Args:
        rules: of all tables.
        shapes: of all tables.
        helpers: what has been needed so far, by name.

    Raises:
        DeclarationError: a rule cannot be said in a policy.
    """

    rules: Sequence[TableRule]
    shapes: Shapes
    helpers: dict[str, Helper] = field(default_factory=dict)
    _by_table: Mapping[str, TableRule] = field(default_factory=dict)
    _asks: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._by_table = {rule.table: rule for rule in self.rules}

    def policy(self, table: str, condition: Condition) -> str:
        """Return what a policy of this table says; whatever is unscoped passes."""
        written = _Writer(self, table).condition(
            condition, table, quoted(self.shape(table).name)
        )
        if written == "true":
            return written
        return f"(SELECT ringfence.unscoped()) OR {_bracketed(written)}"

    def shape(self, table: str) -> Shape:
        """Return the shape of a table.

        Raises:
            DeclarationError: it is not known.
        """
        try:
            return self.shapes[table]
        except KeyError:
            message = (
                f"nothing is known of the columns of {table}; give its table to "
                "row-level security as well"
            )
            raise DeclarationError(message) from None

    def type_of(self, table: str, column: str) -> str:
        """Return the type of a column, in capitals and without its length."""
        try:
            written = self.shape(table).types[column]
        except KeyError:
            raise DeclarationError(f"{table} has no column {column!r}") from None
        return written.partition("(")[0].strip().upper()

    def asks_directly(self, table: str, link: Linked) -> bool:
        """Return whether a policy of a table may ask a linked one by itself, and take
        note that it does."""
        asked = self._by_table.get(link.table)
        if asked is None:
            return True
        if not implies(link.condition, asked.read) or self._reaches(link.table, table):
            return False
        self._asks.setdefault(table, set()).add(link.table)
        return True

    def _reaches(self, start: str, end: str) -> bool:
        seen: set[str] = set()
        left = [start]
        while left:
            table = left.pop()
            if table == end:
                return True
            if table not in seen:
                seen.add(table)
                left += self._asks.get(table, ())
        return False


@dataclass(slots=True)
class _Writer:
    """Writes one expression, which may ask other tables.

    Args:
        table: whose policy it is; empty in a function, whose role sees all rows.
    """

    of: Expressions
    table: str
    asked: list[str] = field(default_factory=list)

    def condition(  # noqa: PLR0911 - a case a line
        self, condition: Condition, table: str, at: str
    ) -> str:
        match condition:
            case Always():
                return "true"
            case Never():
                return "false"
            case Holds(policy):
                return _asked_once(_policy(policy))
            case Is(column, subject):
                return (
                    f"{at}.{quoted(column)} = {self._subject(table, column, subject)}"
                )
            case Has(column, value) if value is None:
                return f"{at}.{quoted(column)} IS NULL"
            case Has(column, value):
                return f"{at}.{quoted(column)} = {literal(_constant(value))}"
            case Linked():
                return self._linked(condition, table, at)
            case All(parts):
                return _joined(" AND ", [self.condition(p, table, at) for p in parts])
            case Any(parts):
                return _joined(" OR ", [self.condition(p, table, at) for p in parts])
        raise DeclarationError(f"no policy of PostgreSQL can say {condition}")

    def _subject(self, table: str, column: str, subject: Subject) -> str:
        kind = self.of.type_of(table, column)
        try:
            cast = _CASTS[kind]
        except KeyError:
            message = (
                f"{table}.{column} is of type {kind}, which row-level security does "
                "not compare with an id; make it text, uuid or an integer"
            )
            raise DeclarationError(message) from None
        return f"(SELECT {cast.format(_ASKED[subject])})"

    def _linked(self, link: Linked, table: str, at: str) -> str:
        if self.table and not self.of.asks_directly(self.table, link):
            return self._through_helper(link, table, at)
        here = tuple(f"{at}.{quoted(column)}" for column, _ in link.pairs)
        return self.exists(link, here)

    def exists(self, link: Linked, here: Sequence[str]) -> str:
        """Return the question whether there is such a row.

        Args:
            link: to it.
            here: what the columns of the pairs are on this side.
        """
        shape = self.of.shape(link.table)
        self.asked.append(link.table)
        alias = quoted(f"ringfence_{len(self.asked)}")
        where = [
            f"{alias}.{quoted(there)} = {value}"
            for value, (_, there) in zip(here, link.pairs, strict=True)
        ]
        further = self.condition(link.condition, link.table, alias)
        if further != "true":
            where.append(_bracketed(further))
        return (
            f"EXISTS (SELECT 1 FROM {quoted(shape.schema, shape.name)} AS {alias} "
            f"WHERE {' AND '.join(where)})"
        )

    def _through_helper(self, link: Linked, table: str, at: str) -> str:
        inside = _Writer(self.of, "")
        arguments = [f"${number}" for number, _ in enumerate(link.pairs, 1)]
        query = inside.exists(link, arguments)
        types = tuple(self.of.shape(table).types[column] for column, _ in link.pairs)
        name = f"linked_{_digest(query, *types)}"
        self.of.helpers[name] = Helper(name, types, query, tuple(inside.asked))
        given = ", ".join(f"{at}.{quoted(column)}" for column, _ in link.pairs)
        return f"ringfence.{name}({given})"


def implies(one: Condition, other: Condition) -> bool:  # noqa: PLR0911 - a case a line
    """Return whether it can be seen that the other is true wherever one is."""
    if other in (one, ALWAYS) or one == NEVER:
        return True
    if isinstance(other, All):
        return all(implies(one, part) for part in other.parts)
    if isinstance(one, Any):
        return all(implies(part, other) for part in one.parts)
    if isinstance(other, Any) and any(implies(one, part) for part in other.parts):
        return True
    if isinstance(one, All):
        return any(implies(part, other) for part in one.parts)
    if isinstance(one, Linked) and isinstance(other, Linked):
        same = (one.table, one.pairs) == (other.table, other.pairs)
        return same and implies(one.condition, other.condition)
    return False


def _policy(policy: Policy) -> str:  # noqa: PLR0911 - a case a line
    match policy:
        case Public():
            return "true"
        case Closed():
            return "false"
        case SignedIn():
            return "ringfence.signed_in()"
        case Role(names):
            return f"ringfence.has_role({array(names)})"
        case Scope(names):
            return f"ringfence.has_scope({array(names | {ANY_SCOPE})})"
        case Factor(names):
            return f"ringfence.has_factor({array(names)})"
        case AllOf(parts):
            return _joined(" AND ", list(map(_policy, parts)))
        case AnyOf(parts):
            return _joined(" OR ", list(map(_policy, parts)))
    raise DeclarationError(f"no policy of PostgreSQL can say {policy}")


def _asked_once(expression: str) -> str:
    """Return a question about the principal that is asked once a statement, and not
    once a row."""
    if expression in {"true", "false"}:
        return expression
    return f"(SELECT {expression})"


def _joined(word: str, parts: list[str]) -> str:
    return word.join(map(_bracketed, parts))


def _bracketed(part: str) -> str:
    return f"({part})" if " AND " in part or " OR " in part else part


def _constant(value: Constant) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
