"""What several processes must not keep each for itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath

from ringfence.errors import SettingsError
from ringfence.settings.profiles import is_in_memory
from ringfence.settings.settings import Settings

COUNT_VARIABLE = "WEB_CONCURRENCY"
"""How many processes there are: uvicorn, gunicorn and platforms read and set it."""

_SERVERS = frozenset({"uvicorn", "gunicorn", "granian", "hypercorn", "fastapi"})
_COUNT_OPTION = re.compile(r"(?:--workers|--web-concurrency|-w)(?:=|\s)?\s*(\d+)")


def refuse_memory(settings: Settings, why: str) -> None:
    """Stop a start-up in which processes would keep apart what belongs together.

    Of ten guesses a minute four workers would let forty pass, and which of them knows
    a session would be a matter of luck (CWE-307, CWE-799).

    Args:
        settings: as loaded.
        why: there are several, ``--workers is 4`` say.

    Raises:
        SettingsError: everything that is kept in memory, each with the fix.
    """
    found = list(_in_memory(settings))
    if found:
        listed = "".join(f"\n  - {line}" for line in found)
        raise SettingsError(
            f"{why}, and several processes cannot share what is in memory:{listed}"
        )


def refuse_unshared(
    settings: Settings,
    environ: Mapping[str, str],
    arguments: Sequence[str],
    *,
    is_child: bool,
) -> None:
    """Stop a start-up in production that is one of several, if anything can be seen of
    the others. Development warns nobody: there it is the reloader, as a rule.

    Args:
        settings: as loaded.
        environ: of this process.
        arguments: its command line.
        is_child: it was started by ``multiprocessing``, as uvicorn starts its workers.

    Raises:
        SettingsError: there are several, and something is kept in memory.

    Not covered: processes that nothing tells of: workers named in a file of gunicorn,
    replicas of a container, another machine.
    """
    why = "" if settings.development else several(environ, arguments, is_child=is_child)
    if why:
        refuse_memory(settings, why)


def several(
    environ: Mapping[str, str], arguments: Sequence[str], *, is_child: bool
) -> str:
    """Return from what it is seen that this process is one of several, ``""`` if it
    is not.

    Args:
        environ: of this process.
        arguments: its command line.
        is_child: it was started by ``multiprocessing``.
    """
    count = environ.get(COUNT_VARIABLE, "")
    if count.isdecimal() and int(count) > 1:
        return f"{COUNT_VARIABLE} is {count}"
    said = " ".join(arguments[1:]) + " " + environ.get("GUNICORN_CMD_ARGS", "")
    if _is_server(arguments):
        found = _COUNT_OPTION.findall(said) or ["1"]
        return f"the server runs {found[-1]} workers" if int(found[-1]) > 1 else ""
    if is_child and not count:
        return "this process was started as one of several (multiprocessing)"
    return ""


def _is_server(arguments: Sequence[str]) -> bool:
    path = PurePath(arguments[0] if arguments else "")
    return not _SERVERS.isdisjoint({path.stem, path.parent.name})


def _in_memory(settings: Settings) -> Iterator[str]:
    if settings.store == "" or is_in_memory(settings.store):
        yield (
            "store is in memory, so that each would count by itself and limits would "
            "multiply; write RINGFENCE_STORE=redis://127.0.0.1:6379/0, or on one "
            "machine RINGFENCE_STORE=sqlite:///var/counters.db"
        )
    if not settings.identity.enabled:
        return
    if settings.identity.sessions == "memory":
        yield (
            "identity.sessions is memory, so that who has signed in at one is a "
            "stranger to the others; unset RINGFENCE_IDENTITY_SESSIONS"
        )
    if is_in_memory(settings.database):
        yield (
            "database is in memory, so that each would have accounts of its own; "
            "write RINGFENCE_DATABASE=sqlite:///var/ringfence.db"
        )
