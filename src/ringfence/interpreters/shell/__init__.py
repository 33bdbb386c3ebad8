"""Commands: a program is started with arguments, and none of them becomes a script.

The safe way is no longer than the unsafe one::

    from ringfence import shell

    convert = shell.command("ffmpeg -i input.mp4 {filename}", timeout=60)

    done = await convert.run(filename=filename)         # asyncio, any loop
    subprocess.run(convert.arguments(filename=filename))  # anything else
    done.code, done.output, done.errors                   # bytes

Where somebody writes the unsafe one all the same, ``judge`` stands behind it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import LiteralString

from ringfence.errors import CommandError
from ringfence.interpreters.shell.program import Command, Completed
from ringfence.interpreters.shell.template import Lines, Value, read_template

__all__ = [
    "Command",
    "CommandError",
    "Completed",
    "Value",
    "arguments",
    "command",
    "file",
    "lines",
    "run",
]

_TIMEOUT = 60.0  # seconds
_MAX_OUTPUT = 16 * 1024 * 1024  # bytes


def command(  # noqa: PLR0913 - by name, each with a default
    template: LiteralString,
    *,
    timeout: float = _TIMEOUT,
    max_output: int = _MAX_OUTPUT,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    accepted: Collection[int] = (0,),
) -> Command:
    """Make a command of a template, at best once, as a constant of a module.

    The template is split into words as a shell would, quotes included, but no shell
    reads it. A gap such as ``{filename}`` stands for one argument or for a part of one;
    a list fills a gap that is a whole word with several.

    Args:
        template: the application's own text; never an f-string.
        timeout: seconds.
        max_output: bytes on each of its outputs.
        environment: variables besides ``PATH``, ``HOME``, language, time zone and
            ``TMPDIR``; nothing else is inherited, so that no secret is (CWE-526).
        folder: in which it works; ours by default.
        accepted: codes with which it may end.

    Raises:
        ValueError: the template needs a shell, begins with a gap, or has one in a
            script.

    Source: ASVS 5.0 V1.2.5; CWE-78, CWE-88.

    Not covered: what the program does with its arguments: a file that it should not
    open (``ringfence.paths``), a URL that it fetches, a format with code in it.
    """
    return Command(
        read_template(template),
        timeout,
        max_output,
        environment or {},
        folder,
        accepted,
    )


def arguments(
    template: LiteralString, /, **values: Value | Sequence[Value]
) -> list[str]:
    """Return the argument array of a command, for ``subprocess.run`` and the like.

    Args:
        template: as for ``command``.
        values: one for each gap.

    Raises:
        ValueError: as for ``command``.
        TypeError: gaps and values do not fit each other.
        InjectionRefusedError: a value that would be more than an argument.
    """
    return command(template).arguments(**values)


async def run(
    template: LiteralString, /, **values: Value | Sequence[Value]
) -> Completed:
    """Run a command once, within a minute.

    Args:
        template: as for ``command``.
        values: one for each gap.

    Raises:
        ValueError: as for ``command``.
        TypeError: gaps and values do not fit each other.
        InjectionRefusedError: a value that would be more than an argument.
        CommandError: it could not be started, has failed, took too long or said too
            much.
    """
    return await command(template).run(stdin=None, **values)


def file(name: str | os.PathLike[str]) -> str:
    """Return the name of a file so that no program takes it for anything else: a
    relative one begins with ``./``, and so with no ``-``, ``@`` or protocol (``http:``,
    ``concat:``).

    Args:
        name: relative or absolute.

    Source: CWE-88.

    Not covered: which file that is; ``ringfence.paths`` keeps names below a folder.
    """
    text = os.fspath(name)
    return text if not text or Path(text).is_absolute() else f"./{text}"


def lines(text: str) -> str:
    """Return a text that may have line breaks in it, where a program expects some.

    Args:
        text: the message of a commit, say.

    Not covered: programs that read each line as a command (``ed``, ``batch`` files).
    """
    return Lines(text)
