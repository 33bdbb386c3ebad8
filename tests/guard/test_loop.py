"""A guard starts only on a loop that it can see into."""

import pytest
from starlette.applications import Starlette
from tests.guard.conftest import running

from ringfence import Guard, Settings


@pytest.mark.anyio
async def test_foreign_loop(tmp_path, monkeypatch):
    """What such a loop starts or dials would pass unseen, so nothing is served."""
    settings = Settings.load(environ={}, env="development", data=tmp_path)
    guard = Guard(Starlette(), settings)
    with monkeypatch.context() as patch:
        patch.setattr("ringfence.guard.asgi.arm_loop", lambda loop: False)
        with pytest.raises(RuntimeError, match="asyncio"):
            async with running(guard):
                pass
