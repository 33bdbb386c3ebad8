"""The commands and their options. What they do stands in the files beside this one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number

from ringfence.cli import (
    accounts,
    boundary_map,
    check,
    import_accounts,
    keys,
    lock,
    migrate,
    passwords,
    plan,
    rls,
    serve,
    why,
)
from ringfence.cli.export.command import export
from ringfence.cli.listen import Listen
from ringfence.errors import SettingsError

COULD_NOT_RUN = 2
_DEFAULT_PORT = 8000

app = App(
    name="ringfence",
    help="Put a security layer around a Python backend, and look after it.",
    version=lambda: version("ringfence"),
)
_accounts = App(name="accounts", help="Make and list accounts.")
_keys = App(name="keys", help="Make, rotate and list the keys of production.")
_passwords = App(name="passwords", help="See to the hashing of passwords.")
app.command(_accounts)
app.command(_keys)
app.command(_passwords)

Target = Annotated[str, Parameter(help="The guard, as module:attribute.")]


def run(words: Sequence[str] | None) -> int:
    """Run a command line and return its exit code."""
    try:
        code = app(
            words, exit_on_error=False, print_error=True, result_action="return_value"
        )
    except CycloptsError:  # printed already
        return COULD_NOT_RUN
    return code if isinstance(code, int) else 0


@app.command(name="plan")
def show_plan(
    target: Target,
    *,
    format: Literal["text", "json"] = "text",  # noqa: A002 - the option's name
    matrix: Path | None = None,
    compare: bool = False,
) -> int:
    """Print every entry point of a guarded application, who may use it, whose the rows
    of its tables are, and which code goes round that.

    Nothing is opened or started.

    ringfence plan module:app --matrix roles.md

    ringfence plan module:app --matrix roles.md --compare

    Parameters
    ----------
    format
        A table for people, or JSON for reviews and other programs.
    matrix
        Write every route and table, by every role, to this file.
    compare
        Write nothing; the exit code is 1 if the file says something else.
    """
    if matrix is not None:
        return plan.show_matrix(target, matrix, compare=compare)
    if compare:
        raise SettingsError("--compare compares a matrix: --matrix FILE --compare")
    return plan.show(target, as_json=format == "json")


@app.command(name="why")
def explain_refusal(
    request_or_target: Annotated[
        str, Parameter(help="A request id, or with --try the guard.")
    ],
    *,
    try_: Annotated[str, Parameter(name="--try")] = "",
    as_: Annotated[str, Parameter(name="--as")] = "",
    age: Annotated[float, Parameter(validator=Number(gte=0))] = 0.0,
    file: Path | None = None,
) -> int:
    """Say why a request was refused, or with --try whether one would be.

    ringfence why REQUEST_ID

    ringfence why --try "GET /api/orders/7" --as alice@example.com module:app

    Parameters
    ----------
    try_
        A method and a path; nothing is sent.
    as_
        The address of the account that would send it; nobody by default.
    age
        Minutes since that account has signed in.
    file
        The ledger; by default the one that RINGFENCE_DATA or RINGFENCE_AUDIT_FILE
        names.
    """
    if try_:
        return why.consider(try_, as_, request_or_target, age=age)
    return why.explain(request_or_target, file)


@app.command(name="check")
def check_target(
    target: Target,
    *,
    format: Literal["text", "json"] = "text",  # noqa: A002 - the option's name
) -> int:
    """Say what of an application should be looked at.

    What the guards at interpreters cannot see; and whether row-level security is in
    force in each database that has it, which is asked. Nothing else is opened or
    started. The exit code is 1 if anything is found.

    Parameters
    ----------
    format
        Text for people, or JSON for other programs.
    """
    return check.check(target, as_json=format == "json")


@app.command(name="map")
def show_map(
    file: Annotated[Path, Parameter(help="What a guard has kept.")],
    *,
    format: Literal["text", "json", "svg"] = "text",  # noqa: A002 - the option's name
) -> int:
    """Show which input of which route has reached which interpreter, and how.

    A guard keeps it while RINGFENCE_INTERPRETERS_BOUNDARY_MAP names a file, in a run
    of the tests or under real traffic:

    RINGFENCE_INTERPRETERS_BOUNDARY_MAP=map.json pytest

    ringfence map map.json

    ringfence map map.json --format svg > map.svg

    Parameters
    ----------
    format
        A table, JSON for other programs, or a picture.
    """
    return boundary_map.show(file, format)


@app.command(name="lock")
def lock_statements(target: Target, *, learn: str = "", check: bool = False) -> int:
    """Show, learn or check which SQL statements an application puts together.

    ringfence lock module:app --learn "pytest -q"

    Parameters
    ----------
    learn
        A command that runs the tests; what they put together is added to the file
        that interpreters.sql_lock names, statements.lock by default.
    check
        Say whether the file is in order; the exit code is 1 if it is not.
    """
    return lock.lock(target, learn=learn, check=check)


@app.command(name="export")
def export_rules(
    gateway: Literal["nginx", "envoy", "cloudflare"],
    target: Target,
    *,
    listen: str = "0.0.0.0:80",
    upstream: str = "127.0.0.1:8000",
) -> int:
    """Print what of the plan a gateway in front can refuse already.

    Hosts, paths, methods, body sizes, blocked networks and limits by address; nothing
    is opened or started.

    Parameters
    ----------
    gateway
        nginx, envoy or cloudflare.
    listen
        Where the gateway listens.
    upstream
        Where the backend listens.
    """
    return export(gateway, target, listen=listen, upstream=upstream)


@app.command(name="rls")
def write_row_security(  # noqa: PLR0913 - one argument an option
    target: Target,
    *,
    revision: Path | None = None,
    sql: Annotated[bool, Parameter(negative=())] = False,
    down: Annotated[bool, Parameter(negative=())] = False,
    key: Annotated[bool, Parameter(negative=())] = False,
    role: str = "ringfence_rows",
) -> int:
    """Write the migration that keeps owners apart in PostgreSQL itself.

    Policies from the rules of the models, FORCE, a role with few rights, and grants.
    Run it as the role that owns the tables; nothing is opened here.

    ringfence rls module:app --revision migrations/versions

    ringfence rls module:app --sql | psql "$OWNER"

    ringfence rls module:app --key | psql "$OWNER"

    Parameters
    ----------
    revision
        The folder of Alembic's revisions, or the file to make.
    sql
        Print SQL; so it is by default.
    down
        Print the way back instead.
    key
        Print what lets the database verify for whom a transaction works. It is a
        secret: run it again when keys are rotated, and keep it nowhere.
    role
        The role, without a login, that the one of the application is a member of.
    """
    if key:
        return rls.write_keys(target)
    place = None if sql else revision
    return rls.write(target, revision=place, down=down, role=role)


@app.command(name="serve")
def serve_target(  # noqa: PLR0913 - one argument an option
    target: Target,
    *,
    host: str = "127.0.0.1",
    port: int = _DEFAULT_PORT,
    workers: int = 1,
    loop: str = "auto",
    connections: int = 1000,
    grace: Annotated[int, Parameter(validator=Number(gte=0))] = 10,
) -> int:
    """Serve a guarded application in production.

    Parameters
    ----------
    host
        The address to listen on.
    port
        The port to listen on.
    workers
        Processes. More than one need a store that they share: RINGFENCE_STORE.
    loop
        auto, asyncio, uvloop, or a loop class as module:Class.
    connections
        Most connections at once, of each worker. Silent ones give way; if all are
        busy, 503.
    grace
        Seconds in which requests are finished that have begun when it is stopped.
    """
    listen = Listen(
        host=host, port=port, loop=loop, connections=connections, grace=grace
    )
    return serve.production(target, listen, workers=workers)


@app.command(name="dev")
def serve_development(  # noqa: PLR0913 - one argument an option
    target: Target,
    *,
    host: str = "127.0.0.1",
    port: int = _DEFAULT_PORT,
    workers: int = 1,
    loop: str = "auto",
    grace: Annotated[int, Parameter(validator=Number(gte=0))] = 10,
    reload: bool = False,
) -> int:
    """Serve a guarded application on this machine, to work on it.

    Sets RINGFENCE_ENV=development: only this machine can connect, and keys are made
    where they are missing.

    Parameters
    ----------
    host
        A loopback address.
    port
        The port to listen on.
    workers
        Processes. More than one need a store that they share: RINGFENCE_STORE.
    loop
        auto, asyncio, uvloop, or a loop class as module:Class.
    grace
        Seconds in which requests are finished that have begun when it is stopped.
    reload
        Start again when a Python file changes.
    """
    listen = Listen(host=host, port=port, loop=loop, grace=grace)
    return serve.development(target, listen, workers=workers, reload=reload)


@app.command(name="migrate")
def migrate_tables() -> int:
    """Make the guard's tables, or bring them up to date.

    A start does it by itself where its role in the database may. Where the service has
    a role that only reads and writes rows, run this once for each new version, with
    RINGFENCE_DATABASE naming the role that owns the tables.
    """
    return migrate.migrate()


@_accounts.command(name="create")
def create_account(
    *,
    email: str,
    role: Annotated[list[str] | None, Parameter(negative=())] = None,
    tenant: str = "",
    password_stdin: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Make an account, with roles if wanted; asks for its password.

    Works on the database that RINGFENCE_DATA or RINGFENCE_DATABASE names.

    Parameters
    ----------
    email
        The address that its owner signs in with.
    role
        A role to give it; may be repeated.
    tenant
        The id of the tenant that it belongs to: letters, digits and . _ : -
    password_stdin
        Read the password from the first line of the input, for scripts.
    """
    return accounts.create(
        email, tuple(role or ()), tenant=tenant, from_stdin=password_stdin
    )


@_accounts.command(name="tenant")
def assign_tenant(tenant: str, *, email: str) -> int:
    """Move an account to another tenant, at once.

    Its access tokens end, since they name the old tenant; its sessions, refresh tokens
    and API keys go on in the new one.

    Parameters
    ----------
    tenant
        The id of the tenant: letters, digits and . _ : - (64 at most); "" for none.
    email
        The address that the account's owner signs in with.
    """
    return accounts.assign(email, tenant)


@_accounts.command(name="import")
def adopt_accounts(
    file: Path, *, report: Path | None = None, check: bool = False
) -> int:
    """Bring in accounts of another program, with the hashes of their passwords.

    The file is CSV, its first line naming the columns, or has a JSON object a line:
    email, password_hash, and if wanted roles and tenant. A bare digest also says digest
    (md5, sha1, sha256, sha512), and salt and salt_place (before or after); it is
    wrapped in Argon2id at once. Hashes are replaced as owners sign in. Accounts that
    are there already are left alone, so that it can be run again.

    Parameters
    ----------
    file
        With one account a line; lines that are refused are named.
    report
        A file for what was refused, as CSV: the line's number and why, never a hash.
    check
        Only look at the lines; no database is opened, and nothing is changed.
    """
    return import_accounts.run(file, report=report, check=check)


@_accounts.command(name="list")
def list_accounts(*, format: Literal["text", "json"] = "text") -> int:  # noqa: A002 - the option's name
    """List the accounts with their roles.

    Parameters
    ----------
    format
        A table for people, or one line of JSON per account.
    """
    return accounts.show(as_json=format == "json")


@_keys.command(name="create")
def create_keys(file: Path) -> int:
    """Make a keys file with one fresh key.

    Parameters
    ----------
    file
        Where; nothing is overwritten.
    """
    return keys.create(file)


@_keys.command(name="rotate")
def rotate_keys(
    file: Path,
    *,
    in_: Annotated[timedelta, Parameter(name="--in")] = timedelta(minutes=10),
    keep: timedelta = timedelta(days=31),
) -> int:
    """Have a new key sign from a moment on; nobody is signed out, no token is lost.

    Running processes take it over by themselves. Once a month is often enough.

    Parameters
    ----------
    file
        The keys file; replaced in one step.
    in_
        When the new key begins to sign, 1m to 30d from now.
    keep
        How long a key that was replaced still verifies, 1d or longer.
    """
    return keys.rotate(file, wait=in_.total_seconds(), keep=keep.total_seconds())


@_keys.command(name="list")
def list_keys(file: Path, *, format: Literal["text", "json"] = "text") -> int:  # noqa: A002 - the option's name
    """List the names of the keys, since when each one signs, and what it does now.

    Parameters
    ----------
    file
        The keys file.
    format
        Lines for people, or one line of JSON per key.
    """
    return keys.show(file, as_json=format == "json")


@_keys.command(name="remove")
def remove_key(file: Path, id: str) -> int:  # noqa: A002 - the argument's name
    """Take a key out for good: one that somebody else may know.

    Whatever it has signed or sealed is lost: sessions stay, tokens do not.

    Parameters
    ----------
    file
        The keys file.
    id
        Of the key, as the list shows it.
    """
    return keys.remove(file, id)


@_passwords.command(name="calibrate")
def calibrate_passwords() -> int:
    """Measure how slow password hashing has to be on this machine.

    A production server does it once by itself; measure again on other hardware. Works
    on the data directory that RINGFENCE_DATA names.
    """
    return passwords.calibrate()
