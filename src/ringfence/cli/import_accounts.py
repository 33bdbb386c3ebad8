"""``ringfence accounts import``: accounts of another program, with their hashes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from ringfence.audit.redact import escape_controls
from ringfence.denial import Denial
from ringfence.errors import SettingsError
from ringfence.guard.accounts import open_accounts
from ringfence.identity.accounts import Accounts
from ringfence.identity.cause import Cause
from ringfence.identity.passwords.wrapped import Digest, SaltPlace
from ringfence.settings import Settings

_SOME_REFUSED = 1
_OPERATOR = Cause(by="import")
_LONGEST_LINE = 16_384  # bytes


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """One account, as a line of JSON.

    Args:
        email: as its owner writes it.
        password_hash: as the other program has stored it; a bare digest in
            hexadecimal where ``digest`` says which.
        digest: the fast function that made it: it is wrapped in Argon2id.
        salt: what was hashed together with the password.
        salt_place: whether the salt stood before or after the password.
        roles: to be given.
    """

    email: str
    password_hash: str
    digest: Digest | None = None
    salt: str = ""
    salt_place: SaltPlace = "before"
    roles: list[str] = []


def run(file: Path) -> int:
    """Import every line that can be; say which could not, and why.

    Raises:
        SettingsError: the settings are wrong, or the file cannot be read.
        StoreError: the database cannot be used.
    """
    settings = Settings.load()
    try:
        opened = file.open("rb")
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from error
    with opened:
        made, refused = asyncio.run(_import(settings, _lines(opened)))
    sys.stdout.write(f"Imported {made} accounts; {refused} lines were refused.\n")
    return _SOME_REFUSED if refused else 0


def _lines(opened: BinaryIO) -> Iterator[bytes]:
    while line := opened.readline(_LONGEST_LINE + 1):
        yield line


async def _import(settings: Settings, lines: Iterator[bytes]) -> tuple[int, int]:
    made = refused = 0
    async with open_accounts(settings) as accounts:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            wrong = await _adopt(accounts, line)
            made, refused = made + (not wrong), refused + bool(wrong)
            if wrong:
                sys.stderr.write(f"line {number}: {escape_controls(wrong)}\n")
    return made, refused


async def _adopt(accounts: Accounts, line: bytes) -> str:
    """Make the account of a line; return what is wrong with it, or the empty text."""
    if len(line) > _LONGEST_LINE:
        return f"it is longer than {_LONGEST_LINE} bytes"
    try:
        said = msgspec.json.decode(line, type=Line)
        stored = said.password_hash
        if said.digest:
            salt = said.salt.encode()
            stored = await accounts.wrap(
                stored, said.digest, salt=salt, place=said.salt_place
            )
    except (msgspec.DecodeError, ValueError) as error:
        return str(error)
    made = await accounts.adopt(said.email, stored, said.roles, _OPERATOR)
    return made.detail if isinstance(made, Denial) else ""
