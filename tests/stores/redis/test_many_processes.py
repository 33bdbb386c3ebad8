"""Several processes, one store: limits hold for all of them together."""

import asyncio
import sys

import pytest
from tests.contracts.shared_stores import REDIS
from tests.stores.redis.hitting import EXACT, SINGLE

PROCESSES, HITS = 2, 1_000


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.anyio
@pytest.mark.parametrize("kind", REDIS)
async def test_parallel_hits_pass_exactly_as_often_as_allowed(kind, request):
    """A limiter that reads, decides and writes lets more through the more there are
    who ask: none here does, at 2,000 hits of two processes."""
    server = request.getfixturevalue(REDIS[kind])
    url = f"{server.url}?timeout=20"
    command = (sys.executable, "-m", "tests.stores.redis.hitting", url)
    arguments = (f"ringfence:hits-{kind}:", str(PROCESSES), str(HITS))
    async with asyncio.timeout(60):
        hitting = [
            await asyncio.create_subprocess_exec(
                *command, *arguments, stdout=asyncio.subprocess.PIPE
            )
            for _ in range(PROCESSES)
        ]
        said = [(await one.communicate())[0].split() for one in hitting]
    passed = [sum(map(int, column)) for column in zip(*said, strict=True)]
    assert passed == [SINGLE.amount, EXACT.amount]
