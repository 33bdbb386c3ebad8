"""Ask a live database whether the second wall stands, and for whom it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.engine import RowMapping

from ringfence.access.row_security.context import key_id
from ringfence.access.row_security.policies import (
    AS_MADE,
    READER_POLICY,
    READER_ROLE,
    Wall,
    place,
)

_ROLE = text(
    "SELECT current_user AS name, r.rolsuper, r.rolbypassrls, "
    "ARRAY(SELECT o.rolname::text FROM pg_catalog.pg_roles AS o "
    "WHERE o.rolname <> current_user AND (o.rolsuper OR o.rolbypassrls "
    "OR o.rolname = :reader) AND pg_has_role(current_user, o.oid, 'MEMBER') "
    "ORDER BY 1) AS becomes, "
    "has_database_privilege(current_database(), 'TEMPORARY') AS makes_temporary, "
    "extract(epoch FROM clock_timestamp())::double precision AS clock "
    "FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user"
)
_TABLES = text(
    "SELECT w.place, c.oid::bigint AS oid, c.relrowsecurity, c.relforcerowsecurity, "
    "c.relowner::regrole::text AS owner, "
    "pg_has_role(current_user, c.relowner, 'MEMBER') AS owned, "
    "has_schema_privilege(current_user, c.relnamespace, 'CREATE') AS makes_tables, "
    "c.relnamespace::regnamespace::text AS schema, "
    "EXISTS (SELECT FROM aclexplode(c.relacl) AS a WHERE a.grantee = 0) AS public, "
    "ARRAY(SELECT p FROM unnest(ARRAY['TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p "
    "WHERE has_table_privilege(current_user, c.oid, p)) AS rights "
    "FROM unnest(CAST(:places AS text[])) AS w(place) "
    "LEFT JOIN pg_catalog.pg_class AS c ON c.oid = to_regclass(w.place)"
)
_POLICIES = text(
    "SELECT p.polrelid::bigint AS oid, p.polname AS name, p.polpermissive, "
    f"obj_description(p.oid, 'pg_policy') AS comment, {AS_MADE} AS made "
    "FROM pg_catalog.pg_policy AS p "
    "WHERE p.polrelid = ANY (CAST(:oids AS bigint[]))"
)
_VIEWS = text(
    "SELECT DISTINCT v.oid::regclass::text AS name, v.relkind::text AS kind "
    "FROM pg_catalog.pg_depend AS d "
    "JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid "
    "JOIN pg_catalog.pg_class AS v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm') "
    "JOIN pg_catalog.pg_roles AS o ON o.oid = v.relowner "
    "WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass "
    "AND d.refobjid = ANY (CAST(:oids AS bigint[])) "
    "AND has_table_privilege(current_user, v.oid, 'SELECT') "
    "AND (v.relkind = 'm' OR (o.rolsuper OR o.rolbypassrls) "
    "AND NOT coalesce('security_invoker=true' = ANY (v.reloptions) "
    "OR 'security_invoker=on' = ANY (v.reloptions), false)) ORDER BY 1"
)
_MADE = text("SELECT to_regprocedure('ringfence.knows_key(text)') IS NOT NULL")
_KNOWS = text("SELECT ringfence.knows_key(:id)")


@dataclass(frozen=True, slots=True)
class Secured:
    """What is true of one table.

    Args:
        table: as its rule names it.
        exists: whether it is there.
        enabled: whether policies count.
        forced: whether they count for its owner.
        owned: whether the application's role is its owner, or can become it.
        missing: policies that should be there.
        differing: policies that are not as they would be made now.
        widening: policies of somebody else's that let more through.
        is_public: whether every role has some right.
        rights: that the application's role has and needs not.
    """

    table: str
    exists: bool = False
    enabled: bool = False
    forced: bool = False
    owned: bool = False
    missing: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    widening: tuple[str, ...] = ()
    is_public: bool = False
    rights: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """What is true of a database.

    Args:
        role: with which the application connects.
        is_superuser: whether it is one.
        bypasses: whether policies do not count for it.
        becomes: roles that it can take on, for which policies do not count.
        schemas: in which it can make tables, functions and operators.
        makes_temporary: whether it can make temporary tables.
        tables: that have rules.
        views: that show rows past the policies.
        has_keys: whether the database knows the keys; ``None`` where nobody has asked.
        ahead: by how many seconds the clock of the database is.
    """

    role: str
    is_superuser: bool
    bypasses: bool
    becomes: tuple[str, ...]
    schemas: tuple[str, ...]
    makes_temporary: bool
    tables: tuple[Secured, ...]
    views: tuple[str, ...] = ()
    has_keys: bool | None = None
    ahead: float = 0.0


def standing(
    connection: Connection, wall: Wall, keys: Sequence[bytes], now: float
) -> Standing:
    """Return what is true of a database.

    Args:
        connection: of the application's own role; its transaction is left open.
        wall: as it should be.
        keys: that sign, now or soon; empty not to ask for them.
        now: Unix seconds.
    """
    connection.execute(text("SET LOCAL search_path = pg_catalog"))
    role = connection.execute(_ROLE, {"reader": READER_ROLE}).mappings().one()
    places = {place(wall.shapes[table]): table for table in wall.tables}
    found = connection.execute(_TABLES, {"places": list(places)}).mappings().all()
    oids = [row["oid"] for row in found if row["oid"] is not None]
    policies = connection.execute(_POLICIES, {"oids": oids}).mappings().all()
    views = connection.execute(_VIEWS, {"oids": oids}).mappings().all()
    return Standing(
        role["name"],
        role["rolsuper"],
        role["rolbypassrls"],
        tuple(role["becomes"]),
        tuple(sorted({row["schema"] for row in found if row["makes_tables"]})),
        role["makes_temporary"],
        tuple(_secured(places[row["place"]], row, policies, wall) for row in found),
        tuple(row["name"] for row in views),
        _has_keys(connection, keys),
        role["clock"] - now,
    )


def _secured(
    table: str, row: RowMapping, policies: Sequence[RowMapping], wall: Wall
) -> Secured:
    if row["oid"] is None:
        return Secured(table)
    wanted = {one.name: one.digest for one in wall.policies if one.table == table}
    there = {one["name"]: one for one in policies if one["oid"] == row["oid"]}
    return Secured(
        table,
        exists=True,
        enabled=row["relrowsecurity"],
        forced=row["relforcerowsecurity"],
        owned=row["owned"],
        missing=tuple(sorted(wanted.keys() - there.keys())),
        differing=tuple(
            name
            for name, digest in sorted(wanted.items())
            if name in there and not _is_as_made(there[name], digest)
        ),
        widening=tuple(
            name
            for name, one in sorted(there.items())
            if name not in {*wanted, READER_POLICY} and one["polpermissive"]
        ),
        is_public=row["public"],
        rights=tuple(row["rights"]),
    )


def _is_as_made(policy: Mapping[Any, Any], digest: str) -> bool:
    return bool(policy["comment"] == f"{digest} {policy['made']}")


def _has_keys(connection: Connection, keys: Sequence[bytes]) -> bool | None:
    if not keys:
        return None
    if not connection.scalar(_MADE):
        return False
    return all(connection.scalar(_KNOWS, {"id": key_id(key)}) for key in keys)
