"""Reading the accounts of another program from a file, a line at a time."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, get_args

import msgspec

from ringfence.errors import SettingsError
from ringfence.identity.passwords.wrapped import Digest, SaltPlace

_LONGEST_LINE = 16_384  # bytes
_CSV = ".csv"
_CHOICES = {"digest": get_args(Digest), "salt_place": get_args(SaltPlace)}
_FIELD = re.compile(r"(unknown|required) field `|at `\$\.(\w{1,32})")
_REQUIRED = re.compile(r"required field `(\w{1,32})`")

# Django's oldest hashers: the digest of the salt and, after it, the password.
_OLD_DJANGO = re.compile(r"(md5|sha1)\$([^$]*)\$([0-9a-f]+)")


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """One account.

    Args:
        email: as its owner writes it.
        password_hash: as the other program has stored it; a bare digest in
            hexadecimal where ``digest`` says which.
        digest: the fast function that made it: it is wrapped in Argon2id.
        salt: what was hashed together with the password.
        salt_place: whether the salt stood before or after the password.
        roles: to be given.
        tenant: that it belongs to.
    """

    email: str
    password_hash: str
    digest: Digest | None = None
    salt: str = ""
    salt_place: SaltPlace = "before"
    roles: list[str] = []
    tenant: str = ""

    def __repr__(self) -> str:
        return "Row(...)"


class Numbered(NamedTuple):
    """A line of the file.

    Args:
        line: its number, from 1.
        row: what it says; ``None`` where it cannot be understood.
        fault: why not, without anything of what it says.
    """

    line: int
    row: Row | None
    fault: str = ""


def read_rows(opened: BinaryIO, file: Path) -> Iterator[Numbered]:
    """Yield the lines of a file: of CSV where its name ends so, else of JSON objects.

    What is wrong with a line is told without its values: a report of refused lines must
    not become a second list of hashes (CWE-532).

    Args:
        opened: at its beginning.
        file: its name.

    Raises:
        SettingsError: the first line of a CSV file does not name its columns.
    """
    lines = _lines(opened)
    columns = _columns(lines, file) if file.suffix.lower() == _CSV else None
    for number, line in lines:
        if not line.strip():
            continue
        try:
            yield Numbered(number, _understood(line, columns))
        except _FaultError as error:
            yield Numbered(number, None, str(error))


class _FaultError(Exception):
    """A line that cannot be understood; its text says why, and nothing of the line."""


def _lines(opened: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield lines with their numbers; of one that is too long a part that still is."""
    number = 0
    while line := opened.readline(_LONGEST_LINE + 1):
        number += 1
        yield number, line
        while len(line) > _LONGEST_LINE and not line.endswith(b"\n"):
            line = opened.readline(_LONGEST_LINE + 1)


def _columns(lines: Iterator[tuple[int, bytes]], file: Path) -> list[str]:
    _, first = next(lines, (0, b""))
    try:
        columns = [name.strip().lower() for name in _fields(first)]
    except _FaultError as error:
        raise SettingsError(f"the first line of {file}: {error}") from error
    known = Row.__struct_fields__
    if not {"email", "password_hash"} <= set(columns) <= set(known) or len(
        set(columns)
    ) != len(columns):
        message = (
            f"the first line of {file} must name its columns, each once: email, "
            f"password_hash, and of the others what there is ({', '.join(known[2:])})"
        )
        raise SettingsError(message)
    return columns


def _understood(line: bytes, columns: list[str] | None) -> Row:
    if len(line) > _LONGEST_LINE:
        raise _FaultError(f"it is longer than {_LONGEST_LINE} bytes")
    try:
        if columns is None:
            return _modern(msgspec.json.decode(line, type=Row))
        return _modern(msgspec.convert(_values(line, columns), Row))
    except msgspec.ValidationError as error:
        raise _FaultError(_explained(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _FaultError("it is not valid JSON in UTF-8") from error


def _values(line: bytes, columns: list[str]) -> dict[str, object]:
    fields = _fields(line)
    if len(fields) != len(columns):
        raise _FaultError(
            f"it has {len(fields)} fields, and the first line names {len(columns)}"
        )
    pairs = zip(columns, fields, strict=True)
    values: dict[str, object] = {name: text for name, text in pairs if text}
    if "roles" in values:
        values["roles"] = re.split(r"[\s,;]+", str(values["roles"]).strip())
    return values


def _fields(line: bytes) -> list[str]:
    """Return the fields of a line of CSV. Each line stands for itself: no address and
    no hash has a line break, and a quote that is never closed costs one line."""
    try:
        text = line.decode("utf-8-sig")
        return next(csv.reader([text], strict=True), [])
    except (csv.Error, UnicodeDecodeError) as error:
        raise _FaultError("it is not valid CSV in UTF-8") from error


def _modern(row: Row) -> Row:
    """Return a row that says by itself what its hash says by its form."""
    found = _OLD_DJANGO.fullmatch(row.password_hash) if row.digest is None else None
    if found is None:
        return row
    return msgspec.structs.replace(
        row,
        password_hash=found[3],
        digest="md5" if found[1] == "md5" else "sha1",
        salt=found[2],
        salt_place="before",
    )


def _explained(error: msgspec.ValidationError) -> str:
    """Put the decoder's words into ours: its own show values."""
    if missing := _REQUIRED.search(str(error)):
        return f"{missing[1]} is missing"
    found = _FIELD.search(str(error))
    if found is None:
        return "it is no object with the right fields"
    if found[1]:
        return "it has a field that is not known here"
    name = found[2]
    if name in _CHOICES:
        return f"{name} is none of {', '.join(_CHOICES[name])}"
    return f"{name if name in Row.__struct_fields__ else 'a field'} is of a wrong type"
