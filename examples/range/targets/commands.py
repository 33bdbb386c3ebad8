"""A file name becomes a command (guide: "Command Injection": ``output.mp4; rm -rf /``;
CWE-78, CWE-88)."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from examples.range.given import fields_of
from examples.range.target import Target

_INPUT = Path("input.mp4")
_STAND_IN = '#!/bin/sh\nexec cp -- "$2" "$3"\n'


async def convert(request: Request) -> Response:
    """As the guide writes it."""
    filename = await _filename(request)
    done = subprocess.run(  # noqa: ASYNC221 - the loop waits, as careless code has it
        f"ffmpeg -i input.mp4 {filename}", shell=True, capture_output=True, check=False
    )
    return _told(done.returncode)


async def convert_by_system(request: Request) -> Response:
    filename = await _filename(request)
    code = os.system(  # noqa: ASYNC221 - the loop waits here, too
        f'ffmpeg -i input.mp4 "{filename}"'
    )
    return _told(code)


async def convert_by_asyncio(request: Request) -> Response:
    filename = await _filename(request)
    script = f"ffmpeg -i input.mp4 '{filename}'"
    process = await asyncio.create_subprocess_shell(script)
    return _told(await process.wait())


async def archive(request: Request) -> Response:
    """No shell, and still code: ``--use-compress-program=...`` is an option."""
    filename = await _filename(request)
    process = await asyncio.create_subprocess_exec(
        "tar", "--create", "--file=archive.tar", "input.mp4", filename
    )
    return _told(await process.wait())


async def _filename(request: Request) -> str:
    _install()
    return str((await fields_of(request))["filename"])


def _install() -> None:
    """Have a video to convert, and a program that stands for ffmpeg where there is
    none."""
    if _INPUT.exists():
        return
    _INPUT.write_bytes(b"a video")
    if shutil.which("ffmpeg") is None:
        folder = Path("programs")
        folder.mkdir(exist_ok=True)
        program = folder / "ffmpeg"
        program.write_text(_STAND_IN)
        program.chmod(0o700)
        os.environ["PATH"] = f"{folder.resolve()}:{os.environ['PATH']}"


def _told(code: int) -> Response:
    return JSONResponse({"code": code})


_FIELDS = ("filename",)

TARGETS = (
    Target("POST", "/convert", convert, "a name within a script", body=_FIELDS),
    Target(
        "POST",
        "/convert/system",
        convert_by_system,
        "a name in double quotes within a script",
        body=_FIELDS,
    ),
    Target(
        "POST",
        "/convert/asyncio",
        convert_by_asyncio,
        "a name in single quotes within a script of asyncio's",
        body=_FIELDS,
    ),
    Target(
        "POST", "/convert/archive", archive, "a name that is an option", body=_FIELDS
    ),
)
