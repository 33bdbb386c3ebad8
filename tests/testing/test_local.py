"""Test clients that give a name for an address are of this machine."""

import pytest

from ringfence.testing import local


async def seen(scope):
    got = []

    async def app(scope, receive, send):
        got.append(scope)

    await local(app)(scope, None, None)
    return got[0]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (("testclient", 50000), "127.0.0.1"),
        (("test", 1), "127.0.0.1"),
        (("192.0.2.7", 1), "192.0.2.7"),
    ],
)
async def test_only_what_is_no_address_is_settled(client, expected):
    scope = {"type": "http", "client": client, "raw_path": b"/a?b=1"}
    found = await seen(scope)
    assert (found["client"][0], found["raw_path"]) == (expected, b"/a")
    assert scope["client"] == client


@pytest.mark.anyio
async def test_what_is_not_said_stays_unsaid():
    assert await seen({"type": "websocket", "client": None}) == {
        "type": "websocket",
        "client": None,
    }
    assert await seen({"type": "lifespan"}) == {"type": "lifespan"}
