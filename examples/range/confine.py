"""Few rights: what a hole in the range can reach is the range's own folder."""

from __future__ import annotations

import ctypes
import os
import pwd
import resource
import sys
import tempfile
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KEPT_IN_ENVIRONMENT = (
    *("PATH", "LANG", "LC_ALL", "TZ", "COVERAGE_PROCESS_START"),
    *("RANGE_MONGO", "RANGE_LDAP", "RANGE_LDAP_BASE"),  # addresses of servers
)
_LOWLY_USER = "nobody"
_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h

_MORE_PROCESSES = 256  # beyond what the user runs, in all ranges; threads count
_FILE_BYTES = 32 * 1024 * 1024
_MEMORY_BYTES = 3 * 1024 * 1024 * 1024  # address space, most of it never touched
_OPEN_FILES = 256


class Confined:
    """Give up rights when the application has started and before it serves.

    Late, because a guarded range opens its database first; the socket is bound, and
    no request is read before ``lifespan.startup.complete`` is sent.

    Args:
        app: the range behind its gate.
        data: the folder that stays writable.
    """

    def __init__(self, app: ASGIApp, data: Path) -> None:
        self.app = app
        self.data = data

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return

        async def confine_then_send(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                give_up_rights(self.data)
            await send(message)

        await self.app(scope, receive, confine_then_send)


def own_folder(wanted: Path | None) -> Path:
    """Return a private folder, made if needed, that the lowly user can reach.

    A checkout below /root cannot be reached by anybody else; then a temporary folder
    takes its place, and the caller tells.
    """
    if wanted is not None:
        wanted = wanted.resolve()
        wanted.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.geteuid() != 0 or all(
            folder.stat().st_mode & 0o001 for folder in wanted.parents
        ):
            return wanted
    return Path(tempfile.mkdtemp(prefix="ringfence-range-"))


def settle_in(data: Path) -> None:
    """Work in ``data`` with an environment that holds no secrets."""
    kept = {
        name: os.environ[name] for name in _KEPT_IN_ENVIRONMENT if name in os.environ
    }
    os.environ.clear()
    os.environ.update(kept)
    temporary = data / "tmp"
    temporary.mkdir(exist_ok=True, mode=0o700)
    os.environ["TMPDIR"] = os.environ["HOME"] = str(temporary)
    tempfile.tempdir = str(temporary)
    os.chdir(data)
    os.umask(0o077)


def give_up_rights(data: Path) -> None:
    """Become a lowly user if this is root, and bound what the process may use.

    Raises:
        RuntimeError: it is root and stays so.
    """
    if os.geteuid() == 0:
        _become(pwd.getpwnam(_LOWLY_USER), data)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_FSIZE: _FILE_BYTES,
    }
    if sys.platform == "linux":  # elsewhere the kernel does not honour them
        limits[resource.RLIMIT_AS] = _MEMORY_BYTES
        limits[resource.RLIMIT_NPROC] = _tasks_of(os.getuid()) + _MORE_PROCESSES
    for kind, most in limits.items():
        _, hard = resource.getrlimit(kind)
        bounded = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (bounded, bounded))


def _become(user: pwd.struct_passwd, data: Path) -> None:
    for path in (data, *data.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(
        user.pw_uid
    )  # by root: real, effective and saved, so there is no way back
    if 0 in {os.getuid(), os.geteuid(), os.getgid(), os.getegid(), *os.getgroups()}:
        message = "the range is still root; it does not serve like that"
        raise RuntimeError(message)


def _tasks_of(uid: int) -> int:
    """Count the threads that the kernel charges to ``uid`` already."""
    tasks = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(
                line.split(":", 1)
                for line in status.read_text().splitlines()
                if ":" in line
            )
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has ended meanwhile
        if lines.get("Uid", "").split()[:1] == [str(uid)]:
            tasks += int(lines["Threads"])
    return tasks
