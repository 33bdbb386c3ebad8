"""``ringfence accounts import``: accounts of another program, with their hashes."""

from __future__ import annotations

import asyncio
import csv
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

from ringfence.audit.redact import escape_controls
from ringfence.cli.import_rows import Row, read_rows
from ringfence.denial import Denial
from ringfence.errors import SettingsError
from ringfence.guard.accounts import judging_accounts, open_accounts
from ringfence.identity.accounts import Accounts
from ringfence.identity.addresses import email_key
from ringfence.identity.cause import Cause
from ringfence.identity.passwords.wrapped import must_be_digest
from ringfence.identity.refusals import ADDRESS_TAKEN, Invalid
from ringfence.settings import Settings

_SOME_REFUSED = 1
_OPERATOR = Cause(by="import")
_OWNER_ONLY = 0o600
_UNQUOTED = {
    "roles": "a role is none: lower-case letters, digits and _ . : - only",
    "tenant": "it is no id of one: letters, digits and . _ : - only, 64 at most",
}
_TWICE = "an earlier line of this file has the same address"

Tell = Callable[[int, str], None]
"""Is told the number of a line that was refused, and why."""


class _RefusedError(Exception):
    """A line that is not taken; its text says why, and nothing of its hash."""


@dataclass(slots=True)
class _Tally:
    """What came of the lines."""

    made: int = 0
    known: int = 0
    refused: int = 0

    def imported(self) -> str:
        """Return what was done, as a line."""
        return (
            f"Imported {self.made} accounts; {self.known} were there already; "
            f"{self.refused} lines were refused.\n"
        )

    def checked(self) -> str:
        """Return what would be done, as a line."""
        return (
            f"{self.made} accounts could be imported; {self.refused} lines would be "
            "refused. Nothing was changed.\n"
        )


def run(file: Path, *, report: Path | None = None, check: bool = False) -> int:
    """Import every line that can be; say which could not, and why.

    Args:
        file: with an account a line, CSV or JSON.
        report: where refused lines are named, in place of the terminal.
        check: only look at the lines; nothing is opened or changed.

    Raises:
        SettingsError: the settings are wrong, or a file cannot be read or written.
        StoreError: the database cannot be used; what was imported before stays.
    """
    settings = Settings.load()
    with ExitStack() as closing:
        try:
            opened = closing.enter_context(file.open("rb"))
        except OSError as error:
            raise SettingsError(f"{file} cannot be read: {error.strerror}") from error
        tell = closing.enter_context(_telling(report))
        seen = closing.enter_context(_progress(opened, file))
        reading = _Reading(_judge if check else _adopt, opened, file, tell, seen)
        tally = asyncio.run((_check if check else _import)(settings, reading))
    sys.stdout.write(tally.checked() if check else tally.imported())
    return _SOME_REFUSED if tally.refused else 0


async def _import(settings: Settings, reading: _Reading) -> _Tally:
    async with open_accounts(settings) as accounts:
        return await reading.each(accounts)


async def _check(settings: Settings, reading: _Reading) -> _Tally:
    return await reading.each(judging_accounts(settings))


@dataclass(frozen=True, slots=True)
class _Reading:
    """Goes through a file once.

    Args:
        take: takes a row; returns whether its account was not there before.
        opened: the file, at its beginning.
        file: its name.
        tell: is told what is refused.
        seen: is called after each line.
    """

    take: Callable[[Accounts, Row], Awaitable[bool]]
    opened: BinaryIO
    file: Path
    tell: Tell
    seen: Callable[[], None]

    async def each(self, accounts: Accounts) -> _Tally:
        """Take every line that can be taken."""
        tally, addresses = _Tally(), set[str]()
        for line, row, fault in read_rows(self.opened, self.file):
            try:
                if await self._take(accounts, row, fault, addresses):
                    tally.made += 1
                else:
                    tally.known += 1
            except _RefusedError as error:
                tally.refused += 1
                self.tell(line, str(error))
            self.seen()
        return tally

    async def _take(
        self, accounts: Accounts, row: Row | None, fault: str, addresses: set[str]
    ) -> bool:
        if row is None:
            raise _RefusedError(fault)
        key = email_key(row.email.strip())
        if key in addresses:
            raise _RefusedError(_TWICE)
        made = await self.take(accounts, row)
        addresses.add(key)
        return made


async def _adopt(accounts: Accounts, row: Row) -> bool:
    """Make the account of a row; return whether it was not there before. One that is
    there is left alone, so that an import that was cut off can be run again."""
    if await accounts.by_email(row.email) is not None:
        return False
    stored = row.password_hash
    if row.digest:
        try:
            salt = row.salt.encode()
            stored = await accounts.wrap(
                stored, row.digest, salt=salt, place=row.salt_place
            )
        except ValueError as error:
            raise _RefusedError(str(error)) from error
    made = await accounts.adopt(
        row.email, stored, row.roles, _OPERATOR, tenant=row.tenant
    )
    if made is ADDRESS_TAKEN:  # by somebody else, this very moment
        return False
    if isinstance(made, Denial):
        raise _RefusedError(_reason(made))
    return True


async def _judge(accounts: Accounts, row: Row) -> bool:
    """Refuse what ``_adopt`` would refuse."""
    stored = row.password_hash
    if row.digest:
        try:
            must_be_digest(stored, row.digest)
        except ValueError as error:
            raise _RefusedError(str(error)) from error
        stored = _WRAPPED_LATER
    refused = accounts.adoptable(row.email, stored, row.roles, tenant=row.tenant)
    if refused is not None:
        raise _RefusedError(_reason(refused))
    return True


_WRAPPED_LATER = (  # of any form that is known: the digest was looked at already
    "pbkdf2_sha256$1$x$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
)


def _reason(refusal: Denial) -> str:
    """Return why an account was refused. A column that was mistaken for another one
    must not bring a hash into the report, so a wrong role or tenant is not quoted."""
    if not isinstance(refusal, Invalid):
        return refusal.detail
    fields = dict(refusal.fields)
    fields |= {name: said for name, said in _UNQUOTED.items() if name in fields}
    return " ".join(f"{name}: {sentence}" for name, sentence in fields.items())


@contextmanager
def _telling(report: Path | None) -> Iterator[Tell]:
    """Lend what is told of refused lines: a table in a file, or lines on the terminal.

    Raises:
        SettingsError: the file cannot be written.
    """
    if report is None:
        yield _say
        return
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        opened = os.fdopen(
            os.open(report, flags, _OWNER_ONLY), "w", encoding="utf-8", newline=""
        )
    except OSError as error:
        raise SettingsError(f"{report} cannot be written: {error.strerror}") from error
    with opened:
        table = csv.writer(opened)
        table.writerow(("line", "reason"))
        yield lambda line, reason: table.writerow((line, escape_controls(reason)))


def _say(line: int, reason: str) -> None:
    sys.stderr.write(f"line {line}: {escape_controls(reason)}\n")


@contextmanager
def _progress(opened: BinaryIO, file: Path) -> Iterator[Callable[[], None]]:
    """Lend what is called after each line; on a terminal it shows how far it is."""
    console = Console(stderr=True)
    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("", total=max(1, file.stat().st_size))
        yield lambda: progress.update(task, completed=opened.tell())
