"""Passwords of stores that stand in files of their own, beside URLs without one."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from ringfence.errors import SettingsError
from ringfence.secrets.private_file import read_private

_LONGEST = 1024  # bytes; PostgreSQL and Valkey take no longer ones


def with_password(url: str, path: Path, *, field: str) -> str:
    """Return the URL with the password that the file holds.

    A password in the environment is seen by everybody who may look at the process, a
    container or a core dump; a mounted file by its reader alone (CWE-526).

    Args:
        url: names the user, ``postgresql://shop@db/shop`` say, or nobody.
        path: the file; a line feed at its end does not belong to the password.
        field: what the URL is, ``database`` or ``store``.

    Raises:
        SettingsError: the file cannot be used, others can read it, the URL names no
            server, or has another password already.
    """
    parts = urlsplit(url)
    who, _, hosts = parts.netloc.rpartition("@")
    user, _, present = who.partition(":")
    if not hosts:
        message = (
            f"{field}_password_file is set, but {field} names no server that would "
            f"take a password; unset RINGFENCE_{field.upper()}_PASSWORD_FILE"
        )
        raise SettingsError(message)
    password = _read(path, field)
    if present and unquote(present) != password:
        message = (
            f"{field} has a password, and {field}_password_file holds another one; "
            "take the password out of the URL"
        )
        raise SettingsError(message)
    netloc = f"{user}:{quote(password, safe='')}@{hosts}"
    return parts._replace(netloc=netloc).geturl()


def _read(path: Path, field: str) -> str:
    cure = "write the password into it, readable by this user only"
    content = read_private(path, f"{field} password file", cure=cure)
    line = content.removesuffix(b"\n").removesuffix(b"\r")
    try:
        password = line.decode()
    except UnicodeDecodeError:
        password = ""
    if not 0 < len(line) <= _LONGEST or not password.isprintable() or not password:
        message = (
            f"the {field} password file {path} holds no password: one line of text, "
            f"{_LONGEST} bytes at most"
        )
        raise SettingsError(message)
    return password
