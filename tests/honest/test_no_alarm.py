"""What honest people write raises no alarm at any interpreter, and is not changed."""

import sys
from html import escape
from urllib.parse import unquote

import pytest
from tests.guard.conftest import Started, running
from tests.honest.backend import OWN_DATABASE, World, application
from tests.honest.corpus import values

from ringfence import Guard, Settings


@pytest.mark.anyio
async def test_no_alarm(tmp_path):
    """Two thousand values, each as JSON and in the query, through every sink."""
    world = World(tmp_path)
    settings = Settings.load(environ={}, env="development", data=tmp_path)
    guard = Guard(application(world), settings)
    wrong = {}
    async with running(guard), Started(guard).client() as client:
        sys.audit("socket.connect", None, OWN_DATABASE)  # as a pool does at start-up
        for value in values():
            answer = await client.post(
                "/use", json={"value": value}, params={"q": value}
            )
            told = unquote(answer.headers.get("x-wrong", f"{answer.text[:300]}"))
            if answer.status_code != 200 or told or escape(value) not in answer.text:
                wrong[value] = (answer.status_code, told)
    world.close()
    assert not wrong, f"{len(wrong)}: {dict(list(wrong.items())[:20])}"
