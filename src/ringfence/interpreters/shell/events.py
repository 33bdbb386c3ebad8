"""The audit events by which Python announces that it starts a program (PEP 578)."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextvars import ContextVar

from ringfence.denial import Denial
from ringfence.errors import InjectionRefusedError
from ringfence.interpreters.hook import Judge
from ringfence.interpreters.shell.commands import SCRIPT
from ringfence.interpreters.shell.judge import (
    as_text,
    as_texts,
    judge_arguments,
    judge_environment,
    judge_folder,
    judge_text,
)
from ringfence.interpreters.sink import PUBLIC_REFUSAL, Here, Sink
from ringfence.interpreters.untrusted import Input

SUBPROCESS = Sink("shell", "subprocess")
SYSTEM = Sink("shell", "os.system")
EXEC = Sink("shell", "os.exec")
SPAWN = Sink("shell", "os.spawn")
POSIX_SPAWN = Sink("shell", "os.posix_spawn")
PTY = Sink("shell", "pty.spawn")

_forked_by: ContextVar[int] = ContextVar("ringfence_forked_by", default=0)
"""The process that has last forked for the request; in the child, another one."""


def judge_popen(event: str, args: tuple[object, ...], whom: Here) -> None:
    """Judge ``subprocess`` and all that is made of it: ``os.popen``, asyncio, anyio."""
    executable, given, folder, environment = args
    arguments = as_texts(given)
    program = arguments[0] if executable is None else as_text(executable)
    judge_arguments(SUBPROCESS, program, arguments, whom)
    judge_folder(SUBPROCESS, program, folder, whom)
    judge_environment(SUBPROCESS, environment, whom)


def judge_system(event: str, args: tuple[object, ...], whom: Here) -> None:
    """Judge ``os.system``."""
    judge_text(SYSTEM, SCRIPT, as_text(args[0]), whom)
    whom.reached(SYSTEM, "escaped", as_text(args[0]))


def judge_posix_spawn(event: str, args: tuple[object, ...], whom: Here) -> None:
    """Judge ``os.posix_spawn`` and ``os.posix_spawnp``."""
    path, given, environment = args
    judge_arguments(POSIX_SPAWN, as_text(path), as_texts(given), whom)
    judge_environment(POSIX_SPAWN, environment, whom)


def judge_spawn(event: str, args: tuple[object, ...], whom: Here) -> None:
    """Judge ``os.spawn*`` where it is no fork (Windows)."""
    _, path, given, environment = args
    judge_arguments(SPAWN, as_text(path), as_texts(given), whom)
    judge_environment(SPAWN, environment, whom)


def judge_pty(event: str, args: tuple[object, ...], whom: Here) -> None:
    """Judge ``pty.spawn``."""
    arguments = as_texts(args[0])
    judge_arguments(PTY, arguments[0], arguments, whom)


def judge_fork(event: str, args: tuple[object, ...], whom: Here) -> None:
    """Judge ``os.spawn*`` where it forks: what it will carry out is known already.

    A bare fork passes: multiprocessing does it, and what the child carries out is
    judged in the child.
    """
    _forked_by.set(os.getpid())
    frame = sys._getframe()  # noqa: SLF001 - the event itself says nothing
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code is _SPAWNING:
            named = frame.f_locals
            program = as_text(named["file"])
            judge_arguments(SPAWN, program, as_texts(named["args"]), whom)
            judge_environment(SPAWN, named["env"], whom)
            return


_SPAWNING = getattr(getattr(os, "_spawnvef", None), "__code__", None)


def judge_exec(event: str, args: tuple[object, ...], whom: Here) -> None:
    """Judge ``os.exec*``, mostly in the child of a fork.

    A child has no ledger: the thread that writes it is the parent's. There the refusal
    is raised, and told on the terminal.
    """
    path, given, environment = args
    judged = whom
    if _forked_by.get() not in {0, os.getpid()}:
        judged = _InChild(whom.exchange)
    judge_arguments(EXEC, as_text(path), as_texts(given), judged)
    judge_environment(EXEC, environment, judged)


class _InChild(Here):
    """A request that a copy of the server works for."""

    def refuse(
        self,
        sink: Sink,
        why: str,
        found: Input | None = None,
        *,
        status: int = 403,
        public: str = PUBLIC_REFUSAL,
    ) -> None:
        sinks = self.sinks
        watched = sinks is not None and sinks.is_watched()
        done = "would be refused" if watched else "refused"
        os.write(2, f"ringfence: {sink.driver} in a child {done}: {why}\n".encode())
        if not watched:
            code = f"interpreters.{sink.interpreter}"
            raise InjectionRefusedError(Denial(status, code, public, private=why))


JUDGES: Mapping[str, Judge] = {
    "subprocess.Popen": judge_popen,
    "os.system": judge_system,
    "os.exec": judge_exec,
    "os.posix_spawn": judge_posix_spawn,
    "os.spawn": judge_spawn,
    "os.fork": judge_fork,
    "os.forkpty": judge_fork,
    "pty.spawn": judge_pty,
}
