"""Imported by the process that all others are forked from: after it a guard starts in a
tenth of the time, as everything is imported, compiled and scanned already."""

import asyncio
import tempfile
from pathlib import Path

import pytest  # noqa: F401 - what the parent runs, which each fork imports too
import uvicorn.loops.auto
import uvicorn.protocols.http.auto  # noqa: F401 - imported late by uvicorn
from tests.attacks.serving import development, lifespan
from tests.faults import writer, yard  # noqa: F401 - what the forks run

import ringfence.stores.sqlite  # noqa: F401 - imported late by the stores


async def _start_once(folder: str) -> None:
    async with lifespan(yard.make(development(Path(folder)))) as refused:
        if refused:
            raise RuntimeError(refused)


with tempfile.TemporaryDirectory(prefix="warm-") as _folder:
    asyncio.run(_start_once(_folder))
