"""Finds every table that a statement touches, and what is said of its rows there.

A scope is one SELECT, UPDATE or DELETE: what stands in its FROM, and the conditions of
which each row it yields is known to fulfil them. Whatever is not read here, nobody has
looked at: then the statement is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from ringfence.access.ownership.conditions import TableRule
from ringfence.access.statements.admitted import check_table_function
from ringfence.access.statements.catalogue import Catalogue
from ringfence.access.statements.objection import ObjectionError

Expression = exp.Expr


@dataclass(slots=True, eq=False)
class Relation:
    """What a query yields.

    Args:
        columns: by name, of which source's column it is a copy; ``None`` where it is
            computed. ``None`` for the whole where names are not known.
        scope: of the query, if it is one SELECT.
        rows: of VALUES.
        values: by name, what is computed, where that is known.
    """

    columns: dict[str, tuple[Source, str] | None] | None = None
    scope: Scope | None = None
    rows: Sequence[Sequence[Expression]] = ()
    values: Mapping[str, Expression] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Source:
    """Something that a scope takes rows from.

    Args:
        name: by which the scope knows it.
        schema: with which it may be written; empty for none.
        rule: of a table.
        columns: names; ``None`` where they are not known.
        relation: of a subquery, or what WITH has named.
    """

    name: str
    schema: str = ""
    rule: TableRule | None = None
    columns: frozenset[str] | None = None
    relation: Relation | None = None


@dataclass(slots=True, eq=False)
class Scope:
    """One SELECT, UPDATE or DELETE.

    Args:
        parent: whose columns can be seen from here.
        sources: by name.
        said: conditions, each with the sources whose rows, where they are in the
            result, fulfil it.
        certain: conditions that every row of the result fulfils.
        merged: columns that stand for those of two tables (USING); ``None`` in it for
            all (NATURAL).
        plain: one row of the result for each row that fulfils the conditions, so that
            there is none where no row does.
        lone: there may be a row of the result where no row fulfils the conditions: that
            of an aggregate.
        missing: sources whose columns are null in some rows, since an outer join has
            found nothing there.
        around: of a subquery in FROM whose rows come out as they are, where they come
            to: what is said of them there could as well be said here.
    """

    parent: Scope | None = None
    sources: dict[str, Source] = field(default_factory=dict)
    said: list[tuple[Expression, frozenset[Source]]] = field(default_factory=list)
    certain: list[Expression] = field(default_factory=list)
    merged: set[str | None] = field(default_factory=set)
    plain: bool = True
    lone: bool = False
    missing: set[Source] = field(default_factory=set)
    around: tuple[Scope, Source] | None = None

    def of(self, source: Source) -> list[Expression]:
        """Return what rows of a source fulfil where they are in the result."""
        return [said for said, whose in self.said if source in whose] + self.certain


@dataclass(frozen=True, slots=True, eq=False)
class Touch:
    """A table with a rule, where a statement touches it.

    Args:
        source: the table.
        scope: where.
        changed: by UPDATE or DELETE; else it is read.
    """

    source: Source
    scope: Scope
    changed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """Rows that a statement adds, or changes columns of.

    Args:
        target: the table.
        scope: in which values are computed, and conditions of UPDATE stand.
        rows: by column, what it is set to in each row that is written down.
        conflict: of ``INSERT``, what it does with a row that is in the way.
        added: whether rows are added.
    """

    target: Source
    scope: Scope
    rows: Mapping[str, Sequence[Expression]]
    conflict: Conflict | None = None
    added: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Conflict:
    """``ON CONFLICT ... DO UPDATE``.

    Args:
        scope: in which its conditions stand; ``excluded`` is a source of it.
        keys: columns in which the two rows are equal.
        rows: what is set.
    """

    scope: Scope
    keys: frozenset[str]
    rows: Mapping[str, Sequence[Expression]]


Names = Mapping[str, Relation]


def _names(said: str) -> frozenset[str]:
    return frozenset(said.split())


_SELECT = _names(
    "expressions from_ joins where group having order limit offset distinct locks "
    "windows laterals with_ operation_modifiers"
)
_BEYOND_ROWS = _names("distinct limit offset locks windows laterals with_")
_UNION = frozenset("this expression distinct order limit offset with_ locks".split())  # noqa: SIM905 - likewise
_SUBQUERY = frozenset("this alias order limit offset with_ joins".split())  # noqa: SIM905 - likewise
_TABLE = frozenset("this db catalog alias joins only".split())  # noqa: SIM905 - likewise
_JOIN = frozenset("this on using side kind method".split())  # noqa: SIM905 - likewise
_UPDATE = frozenset("this expressions from_ where returning order limit with_".split())  # noqa: SIM905 - likewise
_DELETE = frozenset("this using where returning order limit with_".split())  # noqa: SIM905 - likewise
_INSERT = frozenset(
    "this expression conflict returning default ignore alternative with_".split()  # noqa: SIM905 - likewise
)
_CONFLICT = frozenset("duplicate expressions action conflict_keys where".split())  # noqa: SIM905 - likewise
_LATERAL = frozenset("this alias outer ordinality".split())  # noqa: SIM905 - likewise
_CTE = frozenset("this alias materialized".split())  # noqa: SIM905 - likewise
_ALTERNATIVES = frozenset({"IGNORE", "ABORT", "FAIL", "ROLLBACK"})


class Reader:
    """Reads one statement.

    Args:
        catalogue: of tables.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._seen: set[int] = set()
        self._scopes: dict[int, Scope] = {}
        self.touches: list[Touch] = []
        self.changes: list[Change] = []

    def read(self, statement: Expression) -> None:
        """Find every table of a statement.

        Raises:
            ObjectionError: part of it cannot be read, or reads what has no rule.
        """
        self._statement(statement, None, {})
        for node in statement.find_all(exp.Table, exp.Query, exp.DML):
            if id(node) not in self._seen:
                raise ObjectionError(
                    f"Part of the statement cannot be read: {_excerpt(node)}."
                )

    def _statement(
        self, node: Expression, parent: Scope | None, names: Names
    ) -> Relation:
        match node:
            case exp.Insert():
                return self._insert(node, parent, names)
            case exp.Update():
                return self._update(node, parent, names)
            case exp.Delete():
                return self._delete(node, parent, names)
            case exp.Query():
                return self._query(node, parent, names)
            case _:
                raise ObjectionError(
                    f"A statement of this kind cannot be read: {_excerpt(node)}."
                )

    def _enter(self, node: Expression, known: frozenset[str]) -> None:
        """Note that a node is read; refuse what stands in it that is not."""
        self._seen.add(id(node))
        for name, value in node.args.items():
            if value and name not in known:
                raise ObjectionError(
                    f"Part of the statement cannot be read: {name.strip('_')} in "
                    f"{_excerpt(node)}."
                )

    def scope_of(self, node: Expression) -> Scope | None:
        """Return the scope of a SELECT; ``None`` for other queries."""
        return self._scopes.get(id(node))

    # Queries

    def _query(self, node: Expression, parent: Scope | None, names: Names) -> Relation:
        names = self._with(node, parent, names)
        match node:
            case exp.Select():
                return self._select(node, parent, names)
            case exp.SetOperation():
                self._enter(node, _UNION)
                left = self._query(node.this, parent, names)
                self._query(node.expression, parent, names)
                self._modifiers(node, parent, names)
                columns = left.columns
                return Relation(None if columns is None else dict.fromkeys(columns))
            case exp.Subquery():
                self._enter(node, _SUBQUERY)
                if node.args.get("joins"):
                    raise ObjectionError("A join in brackets stands where none can.")
                inner = self._query(node.this, parent, names)
                self._modifiers(node, parent, names)
                return inner
            case exp.Values():
                return self._values(node, parent or Scope(), names)
            case _:
                raise ObjectionError(f"Part cannot be read: {_excerpt(node)}.")

    def _modifiers(self, node: Expression, parent: Scope | None, names: Names) -> None:
        for name in ("order", "limit", "offset"):
            part = node.args.get(name)
            if part is not None:
                self._expression(part, parent or Scope(), names)

    def _with(self, node: Expression, parent: Scope | None, names: Names) -> Names:
        clause = node.args.get("with_")
        if clause is None:
            return names
        known = dict(names)
        recursive = bool(clause.args.get("recursive"))
        if recursive:
            for cte in clause.expressions:
                known[self._cte_name(cte)] = Relation()
        for cte in clause.expressions:
            self._enter(cte, _CTE)
            name = self._cte_name(cte)
            relation = self._statement(cte.this, parent, known)
            if recursive:
                # Its own rows come back into it: nothing is known of columns.
                relation = Relation()
            known[name] = _renamed(relation, self._alias_columns(cte))
        return known

    def _cte_name(self, cte: Expression) -> str:
        name = self._catalogue.folded(cte.args["alias"].this)
        if self._catalogue.is_bare(name):
            raise ObjectionError(
                f"WITH names something {name}, as a table is called: call it otherwise."
            )
        return name

    def _alias_columns(self, node: Expression) -> list[str]:
        alias = node.args.get("alias")
        columns = alias.args.get("columns") if alias is not None else None
        return [self._catalogue.folded(column) for column in columns or ()]

    def _select(self, node: exp.Select, parent: Scope | None, names: Names) -> Relation:
        self._enter(node, _SELECT)
        scope = self._scopes[id(node)] = Scope(parent)
        first = node.args.get("from_")
        if first is not None:
            self._from(first.this, node.args.get("joins") or (), scope, names)
        elif node.args.get("joins"):
            raise ObjectionError("A join has nothing on its left.")
        for lateral in node.args.get("laterals") or ():
            self._lateral(lateral, scope, names)
        self._where(node, scope, names)
        for name in ("group", "having", "order", "limit", "offset", "distinct"):
            part = node.args.get(name)
            if part is not None:
                self._expression(part, scope, names)
        for name in ("expressions", "windows", "locks"):
            for part in node.args.get(name) or ():
                self._expression(part, scope, names)
        self._locked(node, scope)
        # With an aggregate there is a row even where nothing fulfils the conditions.
        order = node.args.get("order")
        computed = [*node.expressions, *([order] if order is not None else [])]
        scope.plain = not (
            node.args.get("having")
            or node.args.get("group")
            or any(item.find(exp.Func) for item in computed)
        )
        scope.lone = not node.args.get("group") and (
            node.args.get("having") is not None
            or any(item.find(exp.AggFunc, exp.Anonymous) for item in computed)
        )
        columns, values = self._outputs(node, scope)
        return Relation(columns, scope, values=values)

    def _locked(self, node: exp.Select, scope: Scope) -> None:
        """Read FOR UPDATE OF: it names sources, and no further tables."""
        for lock in node.args.get("locks") or ():
            for table in lock.expressions:
                if self._catalogue.folded(table.this) in scope.sources:
                    self._enter(table, frozenset({"this"}))

    def _outputs(
        self, node: exp.Select, scope: Scope
    ) -> tuple[dict[str, tuple[Source, str] | None] | None, dict[str, Expression]]:
        columns: dict[str, tuple[Source, str] | None] = {}
        values: dict[str, Expression] = {}
        twice: set[str] = set()
        for item in node.expressions:
            inner = item.this if isinstance(item, exp.Alias) else item
            name = ""
            if isinstance(item, exp.Alias):
                name = self._catalogue.folded(item.args["alias"])
            elif isinstance(item, exp.Column) and isinstance(item.this, exp.Identifier):
                name = self._catalogue.folded(item.this)
            if isinstance(inner, exp.Star) or (
                isinstance(inner, exp.Column) and isinstance(inner.this, exp.Star)
            ):
                return None, {}
            if not name:
                name = f"?{len(columns)}"
            found = (
                self.resolve(inner, scope) if isinstance(inner, exp.Column) else None
            )
            values[name] = inner
            if name in columns:
                found = None
                twice.add(name)
            columns[name] = found
        return columns, {
            name: value for name, value in values.items() if name not in twice
        }

    def _where(self, node: Expression, scope: Scope, names: Names) -> None:
        where = node.args.get("where")
        if where is not None:
            self._expression(where.this, scope, names)
            scope.certain.append(where.this)

    # FROM

    def _from(
        self,
        first: Expression,
        joins: Sequence[Expression],
        scope: Scope,
        names: Names,
    ) -> None:
        """Read FROM, and keep the conditions of its joins."""
        left, certain = self._from_item(first, scope, names)
        _, certain = self._joined(left, certain, joins, scope, names)
        scope.certain.extend(certain)

    def _joined(
        self,
        left: frozenset[Source],
        certain: list[Expression],
        joins: Sequence[Expression],
        scope: Scope,
        names: Names,
    ) -> tuple[frozenset[Source], list[Expression]]:
        """Read what is joined to some sources. Returns all sources, and the conditions
        that each row of them fulfils."""
        sides = {str(join.args.get("side") or "") for join in joins}
        if sides & {"RIGHT", "FULL"} and any(
            not join.args.get("on") and not join.args.get("using") for join in joins
        ):
            # Engines differ on what a comma holds together.
            raise ObjectionError(
                "RIGHT and FULL joins stand beside a comma: write JOIN ... ON for all."
            )
        for join in joins:
            self._enter(join, _JOIN)
            kind = str(join.args.get("kind") or "")
            if kind not in ("", "INNER", "OUTER", "CROSS"):
                raise ObjectionError(f"A join of the kind {kind} cannot be read.")
            right, inner = self._from_item(join.this, scope, names)
            self._using(join, scope)
            on = join.args.get("on")
            if on is not None:
                self._expression(on, scope, names)
            certain = _join(scope, join, (left, certain), (right, inner))
            left |= right
        return left, certain

    def _using(self, join: Expression, scope: Scope) -> None:
        if join.args.get("method"):
            if join.args["method"] != "NATURAL":
                raise ObjectionError(f"A {join.args['method']} join cannot be read.")
            scope.merged.add(None)
        for column in join.args.get("using") or ():
            scope.merged.add(self._catalogue.folded(column))

    def _from_item(
        self, node: Expression, scope: Scope, names: Names
    ) -> tuple[frozenset[Source], list[Expression]]:
        left, certain = self._core(node, scope, names)
        joins = node.args.get("joins")
        if not joins:
            return left, certain
        return self._joined(left, certain, joins, scope, names)

    def _core(
        self, node: Expression, scope: Scope, names: Names
    ) -> tuple[frozenset[Source], list[Expression]]:
        match node:
            case exp.Table():
                return self._table(node, scope, names), []
            case exp.Subquery() if _is_bracket(node):
                self._enter(node, frozenset({"this", "joins"}))
                return self._from_item(node.this, scope, names)
            case exp.Subquery():
                # What stands beside it cannot be seen from inside, without LATERAL.
                relation = self._derived(node, scope.parent, names)
                source = self._named(node, relation)
                if relation.scope is not None and self._is_bare(node, relation.scope):
                    relation.scope.around = (scope, source)
                return self._add(source, scope), []
            case exp.Lateral():
                return self._lateral(node, scope, names), []
            case exp.Values():
                relation = self._values(node, scope, names)
            case exp.Unnest():
                self._enter(node, frozenset({"expressions", "alias", "offset"}))
                for part in node.expressions:
                    self._expression(part, scope, names)
                relation = Relation()
            case _:
                raise ObjectionError(f"FROM cannot be read: {_excerpt(node)}.")
        return self._add(self._named(node, relation), scope), []

    def _derived(
        self, node: exp.Subquery, parent: Scope | None, names: Names
    ) -> Relation:
        self._enter(node, _SUBQUERY)
        names = self._with(node, parent, names)
        relation = self._query(node.this, parent, names)
        self._modifiers(node, parent, names)
        return relation

    def _is_bare(self, node: exp.Subquery, inner: Scope) -> bool:
        """Return whether a subquery hands out its rows one by one: none is chosen,
        counted or put together by what stands in others."""
        query = node.this
        return (
            inner.plain
            and isinstance(query, exp.Select)
            and not any(map(node.args.get, ("order", "limit", "offset", "with_")))
            and not any(map(query.args.get, _BEYOND_ROWS))
        )

    def _lateral(
        self, node: Expression, scope: Scope, names: Names
    ) -> frozenset[Source]:
        self._enter(node, _LATERAL)
        inner = node.this
        if isinstance(inner, exp.Subquery):
            relation = self._derived(inner, scope, names)
        else:
            self._function(inner, scope, names)
            relation = Relation()
        return self._add(self._named(node, relation), scope)

    def _named(self, node: Expression, relation: Relation) -> Source:
        alias = node.args.get("alias")
        name = self._catalogue.folded(alias.this) if alias is not None else ""
        renamed = _renamed(relation, self._alias_columns(node))
        columns = renamed.columns
        return Source(
            name,
            columns=None if columns is None else frozenset(columns),
            relation=renamed,
        )

    def _add(self, source: Source, scope: Scope) -> frozenset[Source]:
        name = source.name or f"?{len(scope.sources)}"
        if name in scope.sources:
            raise ObjectionError(f"Two tables are called {name}: give them aliases.")
        if self._catalogue.is_bare(name) and source.rule is None:
            raise ObjectionError(
                f"Something is called {name}, as a table is: call it otherwise."
            )
        scope.sources[name] = source
        return frozenset({source})

    def _table(self, node: exp.Table, scope: Scope, names: Names) -> frozenset[Source]:
        self._enter(node, _TABLE)
        if isinstance(node.this, exp.Identifier):
            source = self._named_table(node, names)
        else:
            self._function(node.this, scope, names)
            source = self._named(node, Relation())
        if source.rule is not None:
            self.touches.append(Touch(source, scope))
        return self._add(source, scope)

    def _named_table(self, node: exp.Table, names: Names) -> Source:
        name, schema = self._parts(node)
        if not schema and name in names:
            source = self._named(node, names[name])
            source.name = source.name or name
            return source
        return self._ruled(node)

    def _parts(self, node: exp.Table) -> tuple[str, str]:
        fold = self._catalogue.folded
        return fold(node.this), fold(node.args.get("db"))

    def _ruled(self, node: exp.Table) -> Source:
        """Return a table as a source; refuse one of which nothing is said."""
        name, schema = self._parts(node)
        rule = self._catalogue.find(node)
        alias = node.args.get("alias")
        if alias is None:
            columns = None if rule is None else self._catalogue.columns(rule)
            return Source(name, schema, rule, columns)
        if alias.args.get("columns") and rule is not None:
            # Whatever is the first column could be called the owner's.
            raise ObjectionError(
                f"The columns of {name} are given other names: leave them as they are."
            )
        called = self._catalogue.folded(alias.this)
        if called != name and self._catalogue.is_bare(called):
            raise ObjectionError(
                f"{name} is called {called}, as another table is: call it otherwise."
            )
        return Source(
            called,
            "",
            rule,
            None if rule is None else self._catalogue.columns(rule),
        )

    def _function(self, node: Expression, scope: Scope, names: Names) -> None:
        name = str(node.this) if isinstance(node, exp.Anonymous) else node.key
        if not isinstance(node, exp.Func):
            raise ObjectionError(f"FROM cannot be read: {_excerpt(node)}.")
        check_table_function(self._catalogue.dialect, name.lower())
        self._expression(node, scope, names)

    def _values(self, node: exp.Values, scope: Scope, names: Names) -> Relation:
        self._enter(node, frozenset({"expressions", "alias", "order", "limit"}))
        rows = []
        for row in node.expressions:
            self._expression(row, scope, names)
            rows.append(row.expressions if isinstance(row, exp.Tuple) else [row])
        width = min((len(row) for row in rows), default=0)
        return Relation(
            {f"column{place + 1}": None for place in range(width)}, None, rows
        )

    # Expressions

    def _expression(self, node: Expression, scope: Scope, names: Names) -> None:
        """Read the subqueries in an expression."""
        for part in node.walk(prune=lambda one: isinstance(one, exp.Query)):
            if isinstance(part, exp.Query):
                self._query(part, scope, names)
            elif isinstance(part, exp.In) and part.args.get("field") is not None:
                # SQLite: `id IN orders` is a subquery.
                raise ObjectionError("IN needs brackets: write IN (SELECT ...).")

    def resolve(
        self, column: exp.Column, scope: Scope | None
    ) -> tuple[Source, str] | None:
        """Return which column of which source a name means; ``None`` where that is not
        beyond doubt."""
        if not isinstance(column.this, exp.Identifier):
            return None
        name = self._catalogue.folded(column.this)
        if column.args.get("table") is not None:
            return self._qualified(column, name, scope)
        quoted = bool(column.this.args.get("quoted"))
        while scope is not None:
            if None in scope.merged or name in scope.merged:
                return None
            sources = list(scope.sources.values())
            having = [one for one in sources if one.columns and name in one.columns]
            unknown = [one for one in sources if one.columns is None]
            if unknown:
                # SQLite takes a quoted name that it does not know for a string.
                sure = len(sources) == 1 and scope.parent is None and not quoted
                return (unknown[0], name) if sure else None
            if having:
                return (having[0], name) if len(having) == 1 else None
            scope = scope.parent
        return None

    def _qualified(
        self, column: exp.Column, name: str, scope: Scope | None
    ) -> tuple[Source, str] | None:
        table = self._catalogue.folded(column.args["table"])
        schema = self._catalogue.folded(column.args.get("db"))
        if column.args.get("catalog") is not None:
            return None
        while scope is not None:
            source = scope.sources.get(table)
            if source is not None:
                if schema and schema != source.schema:
                    return None
                known = source.columns is None or name in source.columns
                return (source, name) if known else None
            scope = scope.parent
        return None

    # Changes

    def _update(self, node: exp.Update, parent: Scope | None, names: Names) -> Relation:
        names = self._with(node, parent, names)
        self._enter(node, _UPDATE)
        scope = Scope(parent)
        target = self._target(node.this, scope)
        first = node.args.get("from_")
        if first is not None:
            self._from(first.this, (), scope, names)
        self._where(node, scope, names)
        rows = self._assignments(node.expressions, target, scope, names)
        self._rest(node, scope, names)
        self.touches.append(Touch(target, scope, changed=True))
        self.changes.append(Change(target, scope, rows))
        return Relation()

    def _delete(self, node: exp.Delete, parent: Scope | None, names: Names) -> Relation:
        names = self._with(node, parent, names)
        self._enter(node, _DELETE)
        scope = Scope(parent)
        target = self._target(node.this, scope)
        for item in node.args.get("using") or ():
            self._from(item, (), scope, names)
        self._where(node, scope, names)
        self._rest(node, scope, names)
        self.touches.append(Touch(target, scope, changed=True))
        return Relation()

    def _rest(self, node: Expression, scope: Scope, names: Names) -> None:
        for name in ("returning", "order", "limit"):
            part = node.args.get(name)
            if part is not None:
                self._expression(part, scope, names)

    def _target(self, node: Expression | None, scope: Scope) -> Source:
        if not isinstance(node, exp.Table) or node.args.get("joins"):
            raise ObjectionError("A change of several tables at once cannot be read.")
        self._enter(node, _TABLE)
        source = self._ruled(node)
        if source.rule is None:
            raise ObjectionError("A catalog of the engine's is not to be changed.")
        self._add(source, scope)
        return source

    def _assignments(
        self,
        items: Sequence[Expression],
        target: Source,
        scope: Scope,
        names: Names,
    ) -> dict[str, Sequence[Expression]]:
        rows: dict[str, Sequence[Expression]] = {}
        for item in items:
            self._expression(item, scope, names)
            if not isinstance(item, exp.EQ):
                raise ObjectionError(f"SET cannot be read: {_excerpt(item)}.")
            for column, value in _pairs(item):
                name = self._catalogue.folded(column.this)
                if name in rows:
                    raise ObjectionError(f"SET names {name} twice.")
                rows[name] = [value]
        if target.columns is not None and not target.columns.issuperset(rows):
            raise ObjectionError(f"SET names a column that {target.name} has not.")
        return rows

    def _insert(self, node: exp.Insert, parent: Scope | None, names: Names) -> Relation:
        names = self._with(node, parent, names)
        self._enter(node, _INSERT)
        alternative = str(node.args.get("alternative") or "")
        if alternative and alternative not in _ALTERNATIVES:
            raise ObjectionError(
                f"INSERT OR {alternative} removes rows that it does not name: use ON "
                "CONFLICT (...) DO UPDATE."
            )
        scope = Scope(parent)
        table, columns = node.this, []
        if isinstance(table, exp.Schema):
            columns = [self._catalogue.folded(one) for one in table.expressions]
            if "" in columns or len(set(columns)) < len(columns):
                # Of one that is named twice, SQLite takes the first value.
                raise ObjectionError("INSERT names a column twice, or as a string.")
            table = table.this
        target = self._target(table, scope)
        added = self._added(node, columns, scope, names)
        conflict = self._conflict(node, target, parent, names)
        returning = node.args.get("returning")
        if returning is not None:
            self._expression(returning, scope, names)
        self.changes.extend(
            Change(target, within, rows, conflict, added=True) for rows, within in added
        )
        return Relation()

    def _added(
        self, node: exp.Insert, columns: list[str], scope: Scope, names: Names
    ) -> list[tuple[dict[str, Sequence[Expression]], Scope]]:
        """Return the rows that are added, by column: those of each SELECT of a UNION
        with its scope."""
        values = node.expression
        if values is None:
            return [({}, scope)]
        if not columns:
            raise ObjectionError(
                f"INSERT INTO {_excerpt(node.this)} does not name its columns: write "
                "INSERT INTO table (column, ...)."
            )
        if isinstance(values, exp.Values):
            found = [(self._values(values, Scope(), names).rows, Scope())]
        else:
            self._query(values, None, names)
            found = [
                ([[_unnamed(item) for item in one.expressions]], self._scopes[id(one)])
                for one in _selects(values)
            ]
        if any(len(row) != len(columns) for rows, _ in found for row in rows):
            raise ObjectionError("INSERT has more or fewer values than columns.")
        return [
            (dict(zip(columns, zip(*rows, strict=True), strict=True)), within)
            for rows, within in found
        ]

    def _conflict(
        self, node: exp.Insert, target: Source, parent: Scope | None, names: Names
    ) -> Conflict | None:
        clause = node.args.get("conflict")
        if clause is None:
            return None
        if str(clause.args.get("action") or "") == "DO NOTHING":
            return None
        self._enter(clause, _CONFLICT)
        scope = Scope(parent, {target.name: target})
        scope.sources["excluded"] = Source("excluded", columns=target.columns)
        self._where(clause, scope, names)
        rows = self._assignments(clause.expressions, target, scope, names)
        keys = [
            self.resolve(column, Scope(None, {target.name: target}))
            for ordered in clause.args.get("conflict_keys") or ()
            for column in (
                ordered.this if isinstance(ordered, exp.Ordered) else ordered,
            )
            if isinstance(column, exp.Column)
        ]
        return Conflict(scope, frozenset(key[1] for key in keys if key), rows)


def _selects(query: Expression) -> Iterator[exp.Select]:
    """Yield every SELECT whose rows may be in the result of a query.

    Raises:
        ObjectionError: rows come from something else.
    """
    pending = [query]
    while pending:
        node = pending.pop()
        match node:
            case exp.Select():
                yield node
            case exp.SetOperation():
                pending.extend((node.expression, node.this))
            case exp.Subquery():
                pending.append(node.this)
            case _:
                raise ObjectionError(
                    f"What is added cannot be read: {_excerpt(node)}. Use SELECT or "
                    "VALUES."
                )


def _unnamed(item: Expression) -> Expression:
    return item.this if isinstance(item, exp.Alias) else item


def _join(
    scope: Scope,
    join: Expression,
    left: tuple[frozenset[Source], list[Expression]],
    right: tuple[frozenset[Source], list[Expression]],
) -> list[Expression]:
    """Keep the condition of a join. Returns what every row of the two together
    fulfils: an outer join adds rows in which one side is null."""
    on = join.args.get("on")
    said = [] if on is None else [on]
    # What was certain on a side stays true of its rows wherever they are.
    scope.said.extend((one, left[0]) for one in left[1])
    scope.said.extend((one, right[0]) for one in right[1])
    side = str(join.args.get("side") or "")
    if side in ("LEFT", "FULL"):
        scope.missing |= right[0]
    if side in ("RIGHT", "FULL"):
        scope.missing |= left[0]
    match side:
        case "":
            scope.said.extend((one, left[0] | right[0]) for one in said)
            return left[1] + right[1] + said
        case "LEFT":
            scope.said.extend((one, right[0]) for one in said)
            return left[1]
        case "RIGHT":
            scope.said.extend((one, left[0]) for one in said if len(left[0]) == 1)
            return right[1]
        case _:
            return []


def _is_bracket(node: exp.Subquery) -> bool:
    """Return whether brackets hold joined tables, and no query."""
    inner = node.this
    return isinstance(inner, exp.Table) or (
        isinstance(inner, exp.Subquery)
        and bool(
            inner.args.get("alias") or inner.args.get("joins") or _is_bracket(inner)
        )
    )


def _pairs(item: exp.EQ) -> Iterator[tuple[exp.Column, Expression]]:
    """Yield each column of an assignment with its value."""
    left, right = item.this.unnest(), item.expression
    if isinstance(left, exp.Column):
        yield left, right
        return
    columns = left.expressions if isinstance(left, exp.Tuple) else ()
    if not columns or not all(isinstance(one, exp.Column) for one in columns):
        raise ObjectionError(f"SET cannot be read: {_excerpt(item)}.")
    values = right.expressions if isinstance(right, exp.Tuple) else ()
    if len(values) == len(columns):
        yield from zip(columns, values, strict=True)
    else:
        # One subquery for all: nothing is known of what each is set to.
        yield from ((column, right) for column in columns)


def _renamed(relation: Relation, names: Sequence[str]) -> Relation:
    """Return what a query yields, with its first columns called otherwise."""
    if not names or relation.columns is None:
        return relation
    old = list(relation.columns.items())
    if len(names) > len(old) or len(set(names)) != len(names):
        return Relation()
    columns = dict(zip(names, (value for _, value in old), strict=False))
    for name, value in old[len(names) :]:
        if name in columns:
            return Relation()
        columns[name] = value
    called = zip((name for name, _ in old), columns, strict=True)
    values = {
        new: relation.values[was] for was, new in called if was in relation.values
    }
    return Relation(columns, relation.scope, relation.rows, values)


def _excerpt(node: Expression) -> str:
    """Return the beginning of what a node was read from."""
    text: str = node.sql()
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - characters, for a message
