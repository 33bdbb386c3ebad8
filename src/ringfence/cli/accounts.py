"""``ringfence accounts``: accounts made and listed by an operator of the machine."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from itertools import chain

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from ringfence.audit.redact import escape_controls
from ringfence.denial import Denial
from ringfence.errors import SettingsError
from ringfence.guard.accounts import open_accounts
from ringfence.identity.cause import Cause
from ringfence.identity.refusals import NO_SUCH_ACCOUNT
from ringfence.settings import Settings
from ringfence.stores.contracts import AccountRecord

_REFUSED = 1
_OPERATOR = Cause(by="command line")
_LONGEST_PASSWORD = 4096
_PAGE = 200
_PIPED_WIDTH = 200


def create(
    email: str, roles: tuple[str, ...], *, tenant: str = "", from_stdin: bool
) -> int:
    """Make an account.

    Raises:
        SettingsError: the settings are wrong, or there is no way to ask for a password.
        StoreError: the database cannot be used.
    """
    settings = Settings.load()
    password = _first_line() if from_stdin else _asked()
    made = asyncio.run(_create(settings, email, password, roles, tenant))
    if isinstance(made, Denial):
        return _refused(made)
    held = ", ".join(sorted(made.roles)) or "no roles"
    held += f", tenant {made.tenant}" if made.tenant else ""
    sys.stdout.write(f"Made {escape_controls(made.email)} ({held}), id {made.id}.\n")
    sys.stdout.write("Sign in at /auth/login of the application.\n")
    for role in sorted(made.roles):
        sys.stderr.write(_doubt(role, settings.access.hierarchy))
    return 0


def assign(email: str, tenant: str) -> int:
    """Move an account to another tenant, or with an empty one out of its tenant.

    Raises:
        SettingsError: the settings are wrong.
        StoreError: the database cannot be used.
    """
    refused = asyncio.run(_assign(Settings.load(), email, tenant))
    if refused is not None:
        return _refused(refused)
    where = f"belongs to the tenant {tenant}" if tenant else "belongs to no tenant"
    sys.stdout.write(f"{escape_controls(email)} {where} now.\n")
    return 0


def show(*, as_json: bool) -> int:
    """List all accounts.

    Raises:
        SettingsError: the settings are wrong.
        StoreError: the database cannot be used.
    """
    found = asyncio.run(_all(Settings.load()))
    if as_json:
        for account in found:
            sys.stdout.write(json.dumps(_shown(account)) + "\n")
    elif found:
        width = None if sys.stdout.isatty() else _PIPED_WIDTH
        Console(width=width).print(_table(found))
    else:
        sys.stdout.write(
            "There are no accounts. Make one with: "
            "ringfence accounts create --email you@example.com --role operator\n"
        )
    return 0


async def _create(
    settings: Settings, email: str, password: str, roles: tuple[str, ...], tenant: str
) -> AccountRecord | Denial:
    async with open_accounts(settings) as accounts:
        return await accounts.create(email, password, roles, _OPERATOR, tenant=tenant)


async def _assign(settings: Settings, email: str, tenant: str) -> Denial | None:
    async with open_accounts(settings) as accounts:
        account = await accounts.by_email(email)
        if account is None:
            return NO_SUCH_ACCOUNT
        return await accounts.set_tenant(account.id, tenant, _OPERATOR)


def _refused(denial: Denial) -> int:
    sys.stderr.write(f"ringfence: {escape_controls(denial.detail)}\n")
    return _REFUSED


async def _all(settings: Settings) -> list[AccountRecord]:
    found: list[AccountRecord] = []
    async with open_accounts(settings) as accounts:
        while page := await accounts.page(
            after=found[-1].id if found else "", limit=_PAGE
        ):
            found += page
    return found


def _doubt(role: str, hierarchy: Mapping[str, tuple[str, ...]]) -> str:
    """Return a warning about a role that may be mistyped; nothing for one that the
    settings name. Roles are free, so that none is refused."""
    known = {*hierarchy, *chain.from_iterable(hierarchy.values())}
    if role in known:
        return ""
    near = get_close_matches(role, known, n=1)
    guess = (
        f"did you mean {near[0]}?"
        if near
        else f"known: {', '.join(sorted(known)) or 'none'}"
    )
    return (
        f"ringfence: warning: access.hierarchy knows no role {role!r} ({guess}); it "
        "was given all the same, and opens only what asks for this very name\n"
    )


def _first_line() -> str:
    line = sys.stdin.readline(_LONGEST_PASSWORD + 2)
    password = line.rstrip("\r\n")
    if not password:
        message = (
            "no password came in; write for instance: "
            "printf '%s\\n' \"$PASSWORD\" | ringfence accounts create "
            "--email E --password-stdin"
        )
        raise SettingsError(message)
    return password


def _asked() -> str:
    if not sys.stdin.isatty():
        message = (
            "there is no terminal to ask for a password; add --password-stdin and "
            "send it in"
        )
        raise SettingsError(message)
    password = getpass.getpass("Password: ")
    if getpass.getpass("The same again: ") != password:
        raise SettingsError("the two passwords differ; nothing was made, try again")
    return password


def _shown(account: AccountRecord) -> dict[str, object]:
    return {
        "id": account.id,
        "email": account.email,
        "roles": sorted(account.roles),
        "tenant": account.tenant,
        "disabled": account.disabled,
        "created": datetime.fromtimestamp(account.created, UTC).isoformat(),
    }


def _table(accounts: list[AccountRecord]) -> Table:
    table = Table(
        "e-mail", "roles", "tenant", "created", "state", Column("id", no_wrap=True)
    )
    for account in accounts:
        created = datetime.fromtimestamp(account.created, UTC)
        cells = (
            account.email,
            ", ".join(sorted(account.roles)) or "-",
            account.tenant or "-",
            f"{created:%Y-%m-%d %H:%M} UTC",
            "disabled" if account.disabled else "active",
            account.id,
        )
        # Text: an address such as [red]@example.com is no instruction.
        table.add_row(*(Text(escape_controls(cell)) for cell in cells))
    return table
