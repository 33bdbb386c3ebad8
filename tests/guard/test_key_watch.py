"""Keys are taken over while the guard runs, and never lost by a slip with the file."""

import asyncio
import logging

import pytest

from ringfence.exchange import own_work
from ringfence.guard.key_watch import KeyWatch
from ringfence.secrets.keyring import Keyring
from ringfence.secrets.keys_file import create_keys_file, rotate_keys_file

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path):
    create_keys_file(tmp_path / "keys.json")
    return tmp_path / "keys.json"


@pytest.fixture
def ring(path):
    opened = Keyring(path, create=False)
    opened.open()
    return opened


async def test_a_rotated_file_is_taken_over_without_a_restart(path, ring):
    watch = KeyWatch(ring, every=0.001)
    watch.start()
    try:
        rotate_keys_file(path, wait=600, keep=86_400, now=10**10)
        async with asyncio.timeout(5):
            while len(ring.derive_all("a")) < 2:  # noqa: ASYNC110 - read in a thread
                await asyncio.sleep(0.001)
    finally:
        await watch.stop()
        await watch.stop()


async def test_a_damaged_file_keeps_the_keys_and_is_told_once(path, ring, caplog):
    watch = KeyWatch(ring)
    before, content = ring.derive_all("a"), path.read_bytes()
    path.write_text("{")
    with caplog.at_level(logging.INFO, "ringfence.secrets"):
        await watch.look()
        await watch.look()
        assert ring.derive_all("a") == before
        assert len(caplog.records) == 1
        assert "Keys stay as they were" in caplog.text
        path.write_bytes(content)
        await watch.look()
        path.write_text("{")
        await watch.look()
        assert len(caplog.records) == 2
    assert content.decode().split('"key"')[1].split('"')[1] not in caplog.text


async def test_it_works_for_no_request(ring, monkeypatch):
    """What requests in progress have brought must not keep it from its file."""
    works = []
    seen, loop = asyncio.Event(), asyncio.get_running_loop()

    def reread():
        works.append(own_work.get())
        loop.call_soon_threadsafe(seen.set)
        return False

    monkeypatch.setattr(ring, "reread", reread)
    watch = KeyWatch(ring, every=0.001)
    watch.start()
    async with asyncio.timeout(5):
        await seen.wait()
    await watch.stop()
    assert works[0] is True
    assert own_work.get() is False
