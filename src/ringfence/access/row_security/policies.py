"""The migration: policies, roles and grants, as statements that may be run again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ringfence.access.ownership.conditions import TableRule, all_of
from ringfence.access.row_security.expressions import Expressions, Helper
from ringfence.access.row_security.functions import functions
from ringfence.access.row_security.quoting import block, literal, quoted
from ringfence.access.row_security.shapes import Shape, Shapes

APP_ROLE = "ringfence_rows"
READER_ROLE = "ringfence_reader"
READER_POLICY = "ringfence_reader"
NAMES = ("ringfence_read", "ringfence_insert", "ringfence_update", "ringfence_delete")


@dataclass(frozen=True, slots=True)
class TablePolicy:
    """One policy.

    Args:
        table: as its rule names it.
        name: of the policy.
        command: ``SELECT``, ``INSERT``, ``UPDATE`` or ``DELETE``.
        using: on rows that are there; empty for none.
        check: on rows that are left behind; empty for none.
    """

    table: str
    name: str
    command: str
    using: str = ""
    check: str = ""

    @property
    def clauses(self) -> str:
        """As ``CREATE POLICY`` has them."""
        parts = [f"FOR {self.command}"]
        if self.using:
            parts.append(f"USING ({self.using})")
        if self.check:
            parts.append(f"WITH CHECK ({self.check})")
        return " ".join(parts)

    @property
    def digest(self) -> str:
        """By which a live policy is known to be this one."""
        return hashlib.sha256(self.clauses.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Wall:
    """All of it, for one database.

    Args:
        shapes: of the tables.
        policies: on them, in the order in which they are made.
        helpers: functions that the policies call.
        role: that the application's own role is to be a member of.
    """

    shapes: Shapes
    policies: tuple[TablePolicy, ...]
    helpers: tuple[Helper, ...]
    role: str = APP_ROLE

    @property
    def tables(self) -> tuple[str, ...]:
        """Those with policies, as their rules name them."""
        return tuple(dict.fromkeys(policy.table for policy in self.policies))

    def up(self) -> list[str]:
        """Return the statements that raise the wall, for one transaction."""
        return [
            _role(self.role),
            *([_role(READER_ROLE), _membership("GRANT")] if self.helpers else ()),
            *functions(),
            _cleared(),
            *(_helper(helper) for helper in self.helpers),
            *self._secured(),
            *self._handed_over(),
            _deparsed(),
        ]

    def down(self) -> list[str]:
        """Return the statements that take the wall away, for one transaction."""
        return [
            _cleared(),
            *(
                f"ALTER TABLE {self._place(table)} {change}"
                for table in self.tables
                for change in (
                    "NO FORCE ROW LEVEL SECURITY",
                    "DISABLE ROW LEVEL SECURITY",
                )
            ),
            "DROP SCHEMA IF EXISTS ringfence CASCADE",
            *(
                statement
                for role in dict.fromkeys((self.role, READER_ROLE))
                for statement in (_stripped(role, self._schemas()), _dropped(role))
            ),
        ]

    def _secured(self) -> Iterator[str]:
        role = quoted(self.role)
        others = f", {quoted(READER_ROLE)}" if self.helpers else ""
        for schema in self._schemas():
            yield f"REVOKE CREATE ON SCHEMA {quoted(schema)} FROM PUBLIC"
            yield f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {role}"
        for table in self.tables:
            place = self._place(table)
            yield f"ALTER TABLE {place} ENABLE ROW LEVEL SECURITY"
            yield f"ALTER TABLE {place} FORCE ROW LEVEL SECURITY"
            yield f"REVOKE ALL ON {place} FROM PUBLIC, {role}{others}"
            yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON {place} TO {role}"
            yield _sequences(place, self.role)
        for policy in self.policies:
            place = self._place(policy.table)
            name = quoted(policy.name)
            yield f"CREATE POLICY {name} ON {place} {policy.clauses}"
            yield f"COMMENT ON POLICY {name} ON {place} IS {literal(policy.digest)}"

    def _handed_over(self) -> Iterator[str]:
        if not self.helpers:
            return
        reader = quoted(READER_ROLE)
        for schema in self._schemas():
            yield f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {reader}"
        asked = {table for helper in self.helpers for table in helper.tables}
        for table in self.tables:
            yield f"GRANT SELECT ON {self._place(table)} TO {reader}"
            if table in asked:
                yield (
                    f"CREATE POLICY {quoted(READER_POLICY)} ON {self._place(table)} "
                    f"FOR SELECT TO {reader} USING (true)"
                )
        yield f"GRANT CREATE ON SCHEMA ringfence TO {reader}"
        for helper in self.helpers:
            yield f"ALTER FUNCTION {_signature(helper)} OWNER TO {reader}"
        yield f"REVOKE CREATE ON SCHEMA ringfence FROM {reader}"
        yield _membership("REVOKE")

    def _place(self, table: str) -> str:
        return place(self.shapes[table])

    def _schemas(self) -> list[str]:
        return sorted({self.shapes[table].schema for table in self.tables})


def wall(rules: Sequence[TableRule], shapes: Shapes, *, role: str = APP_ROLE) -> Wall:
    """Return the second wall for these rules.

    Args:
        rules: of all tables.
        shapes: of all tables, see ``shapes_of``.
        role: a role without a login; grant it to the one that the application has.

    Raises:
        DeclarationError: a rule cannot be said in a policy, or nothing is known of its
            table.

    Source: PostgreSQL 18, 5.9 "Row Security Policies"; ASVS 5.0 V8.2.2, V8.4.1,
    V13.2.2; CWE-639, CWE-250.
    """
    expressions = Expressions(rules, shapes)
    policies = tuple(
        policy
        for rule in sorted(rules, key=lambda rule: rule.table)
        for policy in _of_table(rule, expressions)
    )
    helpers = tuple(expressions.helpers[name] for name in sorted(expressions.helpers))
    return Wall(shapes, policies, helpers, role)


def place(shape: Shape) -> str:
    """Return where a table is, for SQL."""
    return quoted(shape.schema, shape.name)


def _of_table(rule: TableRule, expressions: Expressions) -> Iterator[TablePolicy]:
    table = rule.table
    read = expressions.policy(table, rule.read)
    leave = expressions.policy(table, rule.write)
    write = expressions.policy(table, all_of((rule.read, rule.write)))
    yield TablePolicy(table, "ringfence_read", "SELECT", using=read)
    yield TablePolicy(table, "ringfence_insert", "INSERT", check=leave)
    yield TablePolicy(table, "ringfence_update", "UPDATE", using=write, check=leave)
    yield TablePolicy(table, "ringfence_delete", "DELETE", using=write)


def _role(role: str) -> str:
    refusal = literal(f"the role {role} passes by row-level security; name another")
    return "DO " + block(
        f"""
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {literal(role)}) THEN
    CREATE ROLE {quoted(role)} NOLOGIN;
  END IF;
  IF (SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles
      WHERE rolname = {literal(role)}) THEN
    RAISE EXCEPTION USING MESSAGE = {refusal};
  END IF;
END
"""
    )


def _membership(word: str) -> str:
    way = "TO" if word == "GRANT" else "FROM"
    return f"{word} {quoted(READER_ROLE)} {way} CURRENT_USER"


def _cleared() -> str:
    """Remove what an earlier run has made, of whatever rules."""
    names = ", ".join(map(literal, (*NAMES, READER_POLICY)))
    return "DO " + block(
        f"""
DECLARE
  old record;
BEGIN
  FOR old IN SELECT schemaname, tablename, policyname FROM pg_catalog.pg_policies
      WHERE policyname IN ({names}) LOOP
    EXECUTE format('DROP POLICY %I ON %I.%I',
      old.policyname, old.schemaname, old.tablename);
  END LOOP;
  FOR old IN SELECT p.oid::regprocedure AS signature FROM pg_catalog.pg_proc AS p
      JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
      WHERE n.nspname = 'ringfence' AND p.proname LIKE 'linked\\_%' LOOP
    EXECUTE format('DROP FUNCTION %s', old.signature);
  END LOOP;
END
"""
    )


def _sequences(table: str, role: str) -> str:
    """Let a role draw from the sequences that fill columns of a table."""
    return "DO " + block(
        f"""
DECLARE
  drawn record;
BEGIN
  FOR drawn IN SELECT d.objid::regclass AS name FROM pg_catalog.pg_depend AS d
      JOIN pg_catalog.pg_class AS c ON c.oid = d.objid AND c.relkind = 'S'
      WHERE d.refobjid = {literal(table)}::regclass AND d.deptype IN ('a', 'i') LOOP
    EXECUTE format('REVOKE ALL ON SEQUENCE %s FROM PUBLIC', drawn.name);
    EXECUTE format('GRANT USAGE ON SEQUENCE %s TO %I', drawn.name, {literal(role)});
  END LOOP;
END
"""
    )


def _helper(helper: Helper) -> str:
    return (
        f"CREATE OR REPLACE FUNCTION {_signature(helper)} RETURNS boolean "
        "LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER "
        "SET search_path = pg_catalog, pg_temp AS "
        + block(f"BEGIN\n  RETURN {helper.query};\nEND")
    )


def _signature(helper: Helper) -> str:
    return f"ringfence.{helper.name}({', '.join(helper.arguments)})"


def _deparsed() -> str:
    """Write beside the digest of each policy one of what the database has made of it,
    so that one that was altered by hand is found."""
    names = ", ".join(map(literal, NAMES))
    return "DO " + block(
        f"""
DECLARE
  made record;
  before text := current_setting('search_path');
BEGIN
  PERFORM set_config('search_path', 'pg_catalog', true);
  FOR made IN SELECT p.oid, p.polname, n.nspname, c.relname,
      {AS_MADE} AS digest FROM pg_catalog.pg_policy AS p
      JOIN pg_catalog.pg_class AS c ON c.oid = p.polrelid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      WHERE p.polname IN ({names}) LOOP
    EXECUTE format('COMMENT ON POLICY %I ON %I.%I IS %L',
      made.polname, made.nspname, made.relname,
      obj_description(made.oid, 'pg_policy') || ' ' || made.digest);
  END LOOP;
  PERFORM set_config('search_path', before, true);
END
"""
    )


AS_MADE = (
    "md5(concat_ws('|', p.polcmd, p.polpermissive, p.polroles, "
    "pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)))"
)
"""What the database has made of the policy ``p``; its search_path is pg_catalog."""


def _stripped(role: str, schemas: Sequence[str]) -> str:
    """Take its rights from a role."""
    revoked = "\n".join(
        f"    REVOKE ALL ON {what} {quoted(schema)} FROM {quoted(role)};"
        for schema in schemas
        for what in ("ALL TABLES IN SCHEMA", "ALL SEQUENCES IN SCHEMA", "SCHEMA")
    )
    return "DO " + block(
        f"""
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {literal(role)}) THEN
{revoked}
  END IF;
END
"""
    )


def _dropped(role: str) -> str:
    """Remove a role, unless somebody logs in with it or it has rights in another
    database. Apart from taking its rights, which a refusal would give back."""
    kept = literal(f"the role {role} has rights elsewhere, and is kept")
    return "DO " + block(
        f"""
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {literal(role)}
      AND NOT rolcanlogin) THEN
    DROP ROLE {quoted(role)};
  END IF;
EXCEPTION WHEN dependent_objects_still_exist THEN
  RAISE NOTICE USING MESSAGE = {kept};
END
"""
    )
