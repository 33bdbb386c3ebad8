"""What is wrong with the second wall of a live database.

A wall of which somebody only believes that it stands is worse than none: policies do
not count for superusers, for roles with BYPASSRLS, and, without FORCE, for the owner of
the tables, and nobody notices as long as the first wall holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ringfence.access.ownership.data import OwnedData
from ringfence.errors import StoreError
from ringfence.findings import Finding

if TYPE_CHECKING:  # whoever has no SQLAlchemy has no database to look at
    from ringfence.access.row_security.inspect import Secured, Standing
    from ringfence.access.row_security.second_wall import SecondWall

_MOST_SECONDS = 30.0  # between the clocks of two machines, of the 120 that are allowed
_PATIENCE = 20.0  # seconds for a database to answer
_AGAIN = "write and run the migration again: ringfence rls"


def second_walls(data: Iterable[OwnedData]) -> list[SecondWall]:
    """Return the second walls of the databases that a guard was given."""
    walls = (getattr(each, "second_wall", None) for each in data)
    return [wall for wall in walls if wall is not None]


def find_open_rows(
    walls: Sequence[SecondWall], keys: Sequence[bytes] = ()
) -> list[Finding]:
    """Return what is wrong, most of it by asking the databases.

    Args:
        walls: see ``second_walls``.
        keys: that sign, now or soon; empty not to ask for them.

    Source: PostgreSQL 18, 5.9; ASVS 5.0 V13.2.2; CWE-250, CWE-639.
    """

    async def ask() -> list[Finding]:
        return [finding for wall in walls for finding in await _of_wall(wall, keys)]

    return sorted(asyncio.run(ask()))


async def _of_wall(wall: SecondWall, keys: Sequence[bytes]) -> list[Finding]:
    try:
        async with asyncio.timeout(_PATIENCE):
            return list(findings(await wall.standing(keys)))
    except (StoreError, TimeoutError) as error:
        what = str(error) or "the database has not answered"
        found = Finding(
            "access.rls_unknown",
            "database",
            f"nobody knows whether row-level security is in force: {what}",
            "run the check where the database is reached, as the application's role",
        )
        return [found]
    finally:
        await wall.dispose()


def findings(standing: Standing) -> Iterator[Finding]:
    """Yield what is wrong with a database."""
    yield from _of_role(standing)
    yield from _of_connection(standing)
    for table in standing.tables:
        yield from _of_table(table, standing.role)
    for view in standing.views:
        yield Finding(
            "access.rls_view",
            view,
            "it shows rows past the policies: a view of a role that they do not bind, "
            "or a copy of rows",
            "make it a view WITH (security_invoker = true), or revoke SELECT on it",
        )


def _of_role(standing: Standing) -> Iterator[Finding]:
    role = f"role {standing.role}"
    instead = "connect as a role without rights of its own that is a member of the one"
    instead += " in the migration"
    if standing.is_superuser:
        yield Finding(
            "access.rls_superuser", role, "no policy counts for a superuser", instead
        )
    if standing.bypasses:
        yield Finding(
            "access.rls_bypass",
            role,
            "it has BYPASSRLS, so that no policy counts for it",
            f"ALTER ROLE {standing.role} NOBYPASSRLS",
        )
    if standing.becomes and not standing.is_superuser:
        names = ", ".join(standing.becomes)
        yield Finding(
            "access.rls_becomes",
            role,
            f"an injected SET ROLE makes it {names}, for which no policy counts",
            f"REVOKE {names} FROM {standing.role}",
        )


def _of_connection(standing: Standing) -> Iterator[Finding]:
    role = f"role {standing.role}"
    for schema in standing.schemas:
        yield Finding(
            "access.rls_create",
            f"schema {schema}",
            f"{standing.role} can make tables and functions there, which can stand "
            "before those of the application",
            f"REVOKE CREATE ON SCHEMA {schema} FROM {standing.role}, PUBLIC",
        )
    if standing.makes_temporary:
        yield Finding(
            "access.rls_temporary",
            role,
            "it can make temporary tables, which hide those of the same name from all "
            "that use the connection afterwards",
            "REVOKE TEMPORARY ON DATABASE ... FROM PUBLIC",
        )
    if standing.has_keys is False:
        yield Finding(
            "access.rls_key",
            "ringfence.signing_keys",
            "the database does not know each key that signs for whom a transaction "
            "works, so that nobody sees anything",
            "install them, as the owner: ringfence rls APP --key | psql ...",
        )
    if abs(standing.ahead) > _MOST_SECONDS:
        yield Finding(
            "access.rls_clock",
            "database",
            f"its clock is {standing.ahead:+.0f} s from the one here; at 120 s nobody "
            "sees anything",
            "synchronise both clocks",
        )


def _of_table(table: Secured, role: str) -> Iterator[Finding]:
    where = f"table {table.table}"
    if not table.exists:
        yield Finding(
            "access.rls_no_table", where, "it has a rule and is not there", _AGAIN
        )
        return
    if not table.enabled:
        yield Finding(
            "access.rls_off", where, "it has a rule and no row-level security", _AGAIN
        )
    elif table.owned and not table.forced:
        yield Finding(
            "access.rls_no_force",
            where,
            f"no policy counts for {role}, its owner, without FORCE",
            f"ALTER TABLE {table.table} FORCE ROW LEVEL SECURITY",
        )
    if table.owned:
        yield Finding(
            "access.rls_owner",
            where,
            f"{role} owns it, and can lift its policies by an injected ALTER TABLE",
            "let another role own the tables, which the application cannot become",
        )
    if table.missing or table.differing:
        names = ", ".join((*table.missing, *table.differing))
        yield Finding(
            "access.rls_policy",
            where,
            f"policies are missing or say something else than the rule: {names}",
            _AGAIN,
        )
    if table.widening:
        names = ", ".join(table.widening)
        yield Finding(
            "access.rls_widened",
            where,
            f"policies beside those of the rule let more through: {names}",
            "drop them, or make them AS RESTRICTIVE",
        )
    if table.is_public:
        yield Finding(
            "access.rls_public",
            where,
            "every role of the database has a right on it",
            f"REVOKE ALL ON {table.table} FROM PUBLIC",
        )
    if table.rights and not table.owned:
        names = ", ".join(table.rights)
        yield Finding(
            "access.rls_rights",
            where,
            f"{role} has {names}, which no policy binds",
            f"REVOKE {names} ON {table.table} FROM {role}",
        )
