"""``ringfence serve`` and ``ringfence dev``: uvicorn, set so that it adds no hole."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import sys
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.audit.redact import install_log_redaction
from ringfence.cli.leash import Failed, Leash
from ringfence.cli.listen import Listen, bind
from ringfence.cli.signals import leave_terminal
from ringfence.cli.target import load_target
from ringfence.cli.workers import Workers
from ringfence.errors import (
    MissingExtraError,
    PlanError,
    RingfenceError,
    SettingsError,
)
from ringfence.settings import refuse_unsafe
from ringfence.settings.workers import COUNT_VARIABLE, refuse_memory

if TYPE_CHECKING:
    from ringfence.cli.uvicorn_server import UvicornServer
    from ringfence.guard.asgi import Guard

Load = Callable[[str, Listen], "tuple[Guard, str]"]
"""Returns a guard that may be served there, and what to say besides the address."""

_COULD_NOT_START = 2
_LINGER = 5.0  # seconds beyond the grace time, for a worker whose parent has gone


def production(target: str, listen: Listen, *, workers: int) -> int:
    """Serve a guard as its settings say, by default in production.

    Raises:
        SettingsError: the settings are not safe, the target is no guard, the port is
            taken, or workers are not alike.
    """
    _count(workers)
    if workers > 1:
        return _serve_several(load_for_production, target, listen, workers)
    guard, words = load_for_production(target, listen)
    server = open_server(listen)
    with bind(listen) as bound:
        return _run(server, guard, bound, _ready(listen, bound, words))


def load_for_production(target: str, listen: Listen) -> tuple[Guard, str]:
    """Return a guard whose settings are safe where it will listen.

    Raises:
        SettingsError: they are not.
    """
    guard = load_target(target)
    if guard.settings.development and not listen.is_loopback:
        message = (
            f"the settings are for development, which is for this machine only, and "
            f"{listen.host} is open to others; unset RINGFENCE_ENV for production"
        )
        raise SettingsError(message)
    refuse_unsafe(guard.settings)
    return guard, ""


def development(target: str, listen: Listen, *, workers: int, reload: bool) -> int:
    """Serve a guard in development, on this machine only.

    Raises:
        SettingsError: as for ``production``; or the host is not loopback; or something
            insists on production.
    """
    _count(workers)
    if not listen.is_loopback:
        message = (
            f"development is for this machine only, and {listen.host} is open to "
            "others; leave out --host, or use: ringfence serve"
        )
        raise SettingsError(message)
    if os.environ.get("RINGFENCE_ENV", "development") != "development":
        message = "RINGFENCE_ENV says otherwise; unset it, or use: ringfence serve"
        raise SettingsError(message)
    os.environ["RINGFENCE_ENV"] = "development"
    if workers > 1:
        if reload:
            message = (
                "--reload begins anew with each change of a file, and workers must be "
                "alike; leave out one of --reload and --workers"
            )
            raise SettingsError(message)
        return _serve_several(load_for_development, target, listen, workers)
    guard, words = load_for_development(target, listen)
    server = open_server(listen)
    with bind(listen) as bound:
        ready = _ready(listen, bound, words)
        if reload:
            return server.run_reloading(target, bound, ready=ready)
        return _run(server, guard, bound, ready)


def load_for_development(target: str, _: Listen) -> tuple[Guard, str]:
    """Return a guard for this machine only.

    Raises:
        SettingsError: it insists on production, or is not safe.
    """
    guard = load_target(target)
    if not guard.settings.development:
        message = (
            f"{target} sets env itself, to production; leave env out of its code and "
            "use: ringfence serve"
        )
        raise SettingsError(message)
    refuse_unsafe(guard.settings)
    words = " (development, this machine only)"
    if guard.settings.identity.enabled:
        words += "\n" + _first_account(guard)
    return guard, words


def _ready(listen: Listen, bound: socket.socket, words: str) -> str:
    return f"Listening on {listen.address(bound)}{words}"


def _count(workers: int) -> None:
    """Write down how many processes there will be: whoever asks is told the truth,
    whatever a platform has put there."""
    if workers < 1:
        raise SettingsError(f"--workers is {workers}; write 1 or more")
    os.environ[COUNT_VARIABLE] = str(workers)


def _run(server: UvicornServer, guard: Guard, bound: socket.socket, ready: str) -> int:
    end_redaction = install_log_redaction()
    try:
        return server.run(guard, bound, ready=ready)
    finally:
        end_redaction()


def _serve_several(load: Load, target: str, listen: Listen, workers: int) -> int:
    if sys.platform == "win32":
        raise SettingsError("several workers need Linux, macOS or another Unix")
    open_server(listen).set_up_logging()
    with bind(listen) as bound:
        work = partial(_work, load, target, listen, workers, bound)

        def tell(words: str) -> None:
            sys.stdout.write(_ready(listen, bound, words) + "\n")
            sys.stdout.flush()

        return Workers(bound, work, count=workers, grace=listen.grace).run(tell)


def _work(  # noqa: PLR0913, PLR0917 - a process begins with all that it knows
    load: Load,
    target: str,
    listen: Listen,
    workers: int,
    bound: socket.socket,
    number: int,
    end: Connection,
) -> None:
    """Be one worker; called in a process of its own."""
    leave_terminal()
    # Or a program that the application starts would hold the port after our end.
    bound.set_inheritable(False)
    os.set_inheritable(end.fileno(), False)  # noqa: FBT003 - as the function wants it
    leash = Leash(end, patience=listen.grace + _LINGER)
    leash.hold()
    try:
        guard, words = load(target, listen)
        refuse_memory(guard.settings, f"--workers is {workers}")
    except RingfenceError as error:
        leash.say(Failed(str(error), is_plan=isinstance(error, PlanError)))
        sys.exit(_COULD_NOT_START)
    end_redaction = install_log_redaction()
    try:
        name = f"worker {number}"
        code = open_server(listen).work(guard, bound, leash, words=words, name=name)
    finally:
        end_redaction()
    sys.exit(code)


def open_server(listen: Listen) -> UvicornServer:
    """Return the server.

    Raises:
        MissingExtraError: the extra ``serve`` is not installed.
    """
    try:
        from ringfence.cli.uvicorn_server import UvicornServer  # noqa: PLC0415 - late: optional uvicorn
    except ModuleNotFoundError as error:
        missing = error.name or "uvicorn"
        raise MissingExtraError(missing, "serve", "serve an application") from error
    return UvicornServer(
        loop=listen.loop, connections=listen.connections, grace=listen.grace
    )


def _first_account(guard: Guard) -> str:
    """Return how to make an account, with a role that some route asks for."""
    data = shlex.quote(str(guard.settings.data.absolute()))
    roles = sorted({role for plan in guard.plan for role in plan.policy.roles()})
    who = f"a first {roles[0]}" if roles else "an account"
    role = f" --role {shlex.quote(roles[0])}" if roles else ""
    return (
        f"Make {who}, from another terminal:\n"
        f"  RINGFENCE_DATA={data} {_this_command()} accounts create "
        f"--email you@example.com{role}"
    )


def _this_command() -> str:
    """Return how this very command is called here."""
    if shutil.which("ringfence"):
        return "ringfence"
    return shlex.quote(str(Path(sys.argv[0]).absolute()))
