"""The tables that have rules, under the names by which a dialect knows them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from ringfence.access.ownership.conditions import TableRule
from ringfence.access.statements.admitted import is_catalog
from ringfence.access.statements.objection import WAY_ROUND, ObjectionError

_DEFAULT_SCHEMA = {"sqlite": "main", "postgres": "public", "mysql": ""}


class Catalogue:
    """Finds rules by name.

    Args:
        rules: of all tables.
        dialect: ``sqlite``, ``postgres`` or ``mysql``.
    """

    def __init__(self, rules: Sequence[TableRule], dialect: str) -> None:
        self.dialect = dialect
        self._rules = {self.fold(rule.table): rule for rule in rules}
        self._columns = {
            name: frozenset(map(self.fold, rule.columns))
            for name, rule in self._rules.items()
        }
        self._numbers = {
            name: frozenset(map(self.fold, rule.numbers))
            for name, rule in self._rules.items()
        }
        self._bare = {name.rpartition(".")[2] for name in self._rules}

    def fold(self, name: str) -> str:
        """Return a name as it is stored, in the form in which names are compared."""
        return name if self.dialect == "postgres" else name.lower()

    def folded(self, identifier: exp.Expr | str | None) -> str:
        """Return a name as a statement writes it, in the form for comparing."""
        if not isinstance(identifier, exp.Identifier):
            return str(identifier).lower() if isinstance(identifier, str) else ""
        name: str = identifier.this
        if self.dialect == "postgres" and identifier.args.get("quoted"):
            return name
        return name.lower()

    def is_bare(self, name: str) -> bool:
        """Return whether a table with a rule has this name, in whatever schema."""
        return name in self._bare

    def rule(self, table: str) -> TableRule | None:
        """Return the rule of a table as conditions name it."""
        return self._rules.get(self.fold(table))

    def columns(self, rule: TableRule) -> frozenset[str] | None:
        """Return the columns of a table; ``None`` where its rule names none."""
        return self._columns[self.fold(rule.table)] or None

    def is_number(self, rule: TableRule | None, column: str) -> bool:
        """Return whether a column of a table holds whole numbers."""
        return (
            rule is not None
            and self.fold(column) in self._numbers[self.fold(rule.table)]
        )

    def find(self, node: exp.Table) -> TableRule | None:
        """Return the rule of a table that a statement names; ``None`` for a catalog of
        the engine's, which has none.

        Raises:
            ObjectionError: nobody has said whose its rows are.
        """
        name, schema = self.folded(node.this), self.folded(node.args.get("db"))
        if node.args.get("catalog"):
            raise ObjectionError(
                f"{name} is another database's: use an engine for that, {WAY_ROUND}."
            )
        full = f"{schema}.{name}" if schema else name
        rule = self._rules.get(full)
        if rule is None and schema and schema == _DEFAULT_SCHEMA[self.dialect]:
            rule = self._rules.get(name)
        if rule is None and not is_catalog(self.dialect, schema, name):
            raise ObjectionError(
                f"Nobody has said whose the rows of {full} are: map it with "
                f'@access.rows, name it in tables={{"{full}": ...}}, {WAY_ROUND}.'
            )
        return rule
