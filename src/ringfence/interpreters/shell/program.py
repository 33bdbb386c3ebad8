"""Running a program: without a shell, for a bounded time, with bounded output, and
without the secrets of our environment."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ringfence.errors import CommandError
from ringfence.interpreters.shell.template import Template, Value

# What programs need to find their files and to speak; no keys, no addresses.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
_LAST_WORDS = 1.0  # seconds
_PIECE = 65_536
_LONGEST_TOLD = 200  # characters of what a program says of its failure


@dataclass(frozen=True, slots=True)
class Completed:
    """What has come of a program.

    Args:
        code: with which it has ended.
        output: what it wrote to its standard output.
        errors: what it wrote to its standard error.
    """

    code: int
    output: bytes
    errors: bytes


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, some of which are gaps; made by ``command``.

    Args:
        template: its words.
        timeout: seconds.
        max_output: bytes on each of its two outputs.
        environment: variables besides a few harmless ones that it inherits.
        folder: in which it works.
        accepted: codes that are no failure.
    """

    template: Template
    timeout: float
    max_output: int
    environment: Mapping[str, str]
    folder: Path | None
    accepted: Collection[int]

    def arguments(self, **values: Value | Sequence[Value]) -> list[str]:
        """Return the argument array, for ``subprocess.run`` and everything like it.

        Args:
            values: one for each gap.

        Raises:
            TypeError: gaps and values do not fit each other.
            InjectionRefusedError: a value that would be more than an argument; the
                guard answers with 400.
        """
        return self.template.arguments(values)

    async def run(
        self, *, stdin: bytes | None = None, **values: Value | Sequence[Value]
    ) -> Completed:
        """Run the program and wait for it.

        It is killed, with whatever it has started, when it takes too long, says too
        much, or when nobody waits for it any more.

        Args:
            stdin: what it reads; nothing by default.
            values: one for each gap.

        Raises:
            TypeError: gaps and values do not fit each other.
            InjectionRefusedError: a value that would be more than an argument.
            CommandError: it could not be started, has failed, took too long or said
                too much.
        """
        process = await self._start(self.arguments(**values), with_input=bool(stdin))
        kill = _killer(process)
        try:
            async with asyncio.timeout(self.timeout):
                output, errors, _ = await asyncio.gather(
                    _read(process.stdout, self.max_output, kill),
                    _read(process.stderr, self.max_output, kill),
                    _feed(process.stdin, stdin),
                )
                code = await process.wait()
        except TimeoutError as error:
            raise self._failed(f"took longer than {self.timeout} s") from error
        finally:
            if process.returncode is None:
                kill()
                await process.wait()
                await _drain(process)
        if output is None or errors is None:
            raise self._failed(f"said more than {self.max_output} bytes")
        if code not in self.accepted:
            said = errors.decode(errors="replace").strip()[-_LONGEST_TOLD:]
            raise self._failed(f"ended with {code}: {said}")
        return Completed(code, output, errors)

    async def _start(self, arguments: list[str], *, with_input: bool) -> Process:
        inherited = {name: os.environ[name] for name in _INHERITED & os.environ.keys()}
        starting = asyncio.create_task(
            asyncio.create_subprocess_exec(
                *arguments,
                stdin=PIPE if with_input else DEVNULL,
                stdout=PIPE,
                stderr=PIPE,
                cwd=self.folder,
                env={**inherited, **self.environment},
                start_new_session=True,  # so that all of it can be killed
            )
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:  # it is started all the same, and nobody waits
            process = await starting
            _killer(process)()
            await process.wait()
            raise
        except OSError as error:
            raise self._failed(
                f"cannot be started ({error.strerror}); is it installed, and on PATH?"
            ) from error

    def _failed(self, why: str) -> CommandError:
        return CommandError(f"{self.template.program} {why}")


def _killer(process: Process) -> Callable[[], None]:
    def kill() -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    return kill


async def _read(
    stream: asyncio.StreamReader | None, most: int, kill: Callable[[], None]
) -> bytes | None:
    """Read all of it; ``None`` if that is too much."""
    data = bytearray()
    while stream is not None and (piece := await stream.read(_PIECE)):
        if len(data) > most:
            continue  # to its end, which closes the pipe
        data += piece
        if len(data) > most:
            kill()
    return None if len(data) > most else bytes(data)


async def _drain(process: Process) -> None:
    """Read what is left in the pipes of a program that was killed: their end closes
    them. A process that has left the group may hold them open; it is not waited for."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WORDS):
            for stream in (process.stdout, process.stderr):
                while stream is not None and await stream.read(_PIECE):
                    pass


async def _feed(stream: asyncio.StreamWriter | None, data: bytes | None) -> None:
    if stream is None or not data:
        return
    # It need not read all of it; uvloop says so by a RuntimeError.
    with suppress(ConnectionError, RuntimeError):
        stream.write(data)
        await stream.drain()
        stream.close()
