"""What a connection does when the server, the network or the loop does not."""

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from tests.attacks.serving import free_port
from tests.interpreters.test_untrusted import exchange
from tests.servers.proxy import running_proxy
from tests.servers.valkey import running_valkey
from tests.stores.redis.keyspaces import COUNT, ECHO, answers, opened, outcome, until

from ringfence.errors import InjectionRefusedError, StoreError
from ringfence.exchange import live
from ringfence.interpreters.hook import NET, gather
from ringfence.interpreters.settings import InterpretersSettings
from ringfence.interpreters.sink import Sinks
from ringfence.interpreters.urls import egress
from ringfence.stores.redis import connection
from ringfence.stores.redis.failures import DownError, LostError, RefusedError
from ringfence.stores.redis.server import open_keyspace

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def victim_server():
    """A server that is killed, demoted and restarted."""
    with running_valkey() as server:
        yield server


@pytest.fixture
def victim(victim_server):
    """That server, well and empty again."""
    with victim_server.client() as client:
        client.replicaof("NO", "ONE")
        client.flushall()
    return victim_server


def by(proxy, parameters=""):
    return f"redis://127.0.0.1:{proxy.port}{parameters}"


async def test_a_stalled_server_fails_all_at_the_deadline(valkey):
    """A paused server holds each caller for the timeout, once; then everything is
    right again, within a second."""
    async with opened(valkey.url + "?timeout=0.2") as keyspace:
        valkey.pause()
        try:
            began = time.monotonic()
            calls = [keyspace.run(ECHO, (b"k",), (n,)) for n in range(100)]
            got = [await outcome(call) for call in calls]
            took = time.monotonic() - began
            assert {type(each) for each in got} == {LostError}
            assert 0.2 <= took < 0.8
        finally:
            valkey.resume()
        began = time.monotonic()
        await until(lambda: answers(keyspace))
        assert time.monotonic() - began < 1.0
        assert await keyspace.run(ECHO, (b"k",), (1,)) == [b"k", b"1"]


async def test_a_script_that_takes_too_long_is_not_waited_for(valkey):
    """CLIENT PAUSE: the server takes commands and does not answer."""
    async with opened(valkey.url + "?timeout=0.1") as keyspace:
        with valkey.client() as client:
            client.client_pause(300)
        assert isinstance(await outcome(keyspace.call(b"k", b"GET", b"k")), LostError)
        await until(lambda: answers(keyspace))


async def test_a_loop_that_was_held_up_finds_its_replies(valkey):
    """What has arrived while this process itself was busy is not late."""
    async with opened(valkey.url + "?timeout=0.1") as keyspace:
        for _ in range(3):
            call = keyspace.call(b"k", b"INCR", b"k")
            await asyncio.sleep(0.005)
            end = time.monotonic() + 0.25
            while time.monotonic() < end:
                pass
            assert isinstance(await call, int)


async def test_connections_killed_under_load(valkey):
    """CLIENT KILL eight times: some calls end as lost, none is wrong, none hangs."""
    lost, right = 0, 0

    async def ask(keyspace, caller):
        nonlocal lost, right
        for turn in range(60):
            number = caller * 1000 + turn
            got = await outcome(keyspace.run(ECHO, (b"k",), (number,)))
            if isinstance(got, StoreError):
                lost += 1
                await until(lambda: answers(keyspace))
            else:
                assert got == [b"k", b"%d" % number]
                right += 1

    async def kill():
        for _ in range(8):
            await asyncio.to_thread(client.client_kill_filter, _type="normal")
            await asyncio.sleep(0.01)

    with valkey.client() as client:
        async with opened(valkey.url) as keyspace, asyncio.timeout(20):
            await asyncio.gather(kill(), *(ask(keyspace, n) for n in range(32)))
    assert lost + right == 32 * 60
    assert right > lost


async def test_nothing_is_executed_twice(valkey, proxy):
    """Ten times the reply is lost after the command was executed: a client that tries
    again by itself counts twice. (redis-py does so ten times by default.)"""
    async with opened(by(proxy)) as keyspace:
        asked = await keyspace.run(COUNT, (b"count",), ())
        right = 0
        for _ in range(10):
            await until(lambda: answers(keyspace))
            proxy.lose_replies(1)
            calls = [keyspace.run(COUNT, (b"count",), ()) for _ in range(32)]
            asked += len(calls)
            got = [await outcome(call) for call in calls]
            assert {type(each) for each in got} == {LostError}
            await until(lambda: answers(keyspace))
            calls = [keyspace.run(COUNT, (b"count",), ()) for _ in range(64)]
            asked += len(calls)
            right += len(await asyncio.gather(*calls))
    assert (asked, right) == (961, 640)
    with valkey.client() as client:
        assert int(client.get("count")) == asked


async def test_a_full_queue_ends_no_connection(valkey, monkeypatch):
    """Else a burst would fail what is under way, and be worse than it is."""
    monkeypatch.setattr(connection, "CHECK", 0.001)
    async with opened(valkey.url) as keyspace:
        shared = keyspace._connection
        ended, refusal, refused = shared._ended, shared._refusal, []

        def counted():
            refused.append(1)
            return refusal()

        monkeypatch.setattr(shared, "_refusal", counted)
        monkeypatch.setattr(connection, "QUEUE", 0)
        await until(lambda: asyncio.sleep(0, len(refused) > 3))
        assert shared._ended is ended


async def test_a_server_that_is_gone_fails_at_once_and_is_found_again(victim):
    async with opened(victim.url) as keyspace:
        before = keyspace.identity(b"k")
        victim.kill()
        assert isinstance(await outcome(keyspace.call(b"k", b"GET", b"k")), StoreError)
        await until(lambda: is_down(keyspace))
        began = time.monotonic()
        for _ in range(100):
            down = await outcome(keyspace.call(b"k", b"GET", b"k"))
            assert isinstance(down, DownError)
            assert "is down" in str(down)
        assert time.monotonic() - began < 0.5
        await asyncio.to_thread(victim.start)
        began = time.monotonic()
        await until(lambda: answers(keyspace))
        assert time.monotonic() - began < 1.0
        assert keyspace.identity(b"k") != before


async def test_an_outage_is_told_in_the_log_once(victim, caplog):
    """Limits go on in process then, which no visitor sees and an operator must know."""
    async with opened(victim.url) as keyspace:
        victim.kill()
        await until(lambda: says(keyspace, "is down"))
        down = [*caplog.messages]
        await asyncio.to_thread(victim.start)
        await until(lambda: answers(keyspace))
    place = f"Redis at 127.0.0.1:{victim.port} is"
    assert [one.startswith(f"{place} down: cannot be") for one in down] == [True]
    assert caplog.messages == [*down, f"{place} back"]


async def test_it_comes_back_without_being_asked(victim):
    """Nobody's request has to find out that the server is back."""
    async with opened(victim.url) as keyspace:
        await asyncio.to_thread(victim.restart)
        began = time.monotonic()
        await until(lambda: has_identity(keyspace))
        assert time.monotonic() - began < 1.0
        assert await keyspace.call(b"k", b"EXISTS", b"k") == 0


async def test_a_cut_connection_is_made_again_for_those_who_wait(valkey, proxy):
    """What was sent is lost; what is asked from then on waits for a moment."""
    async with opened(by(proxy)) as keyspace:
        for number in range(5):
            proxy.cut()
            got = await outcome(keyspace.call(b"k", b"GET", b"k"))
            assert got is None or isinstance(got, LostError)
            assert await keyspace.call(b"n", b"INCR", b"n") == number + 1


async def test_what_was_meant_for_one_server_does_not_reach_another(valkey, victim):
    """A copy that names the server it is of must not be kept by another one."""
    async with behind(valkey) as (proxy, keyspace):
        assert keyspace.identity(b"k")
        proxy.target = victim.port
        proxy.cut()
        lost = await outcome(keyspace.call(b"k", b"SET", b"k", 1))
        before = keyspace.identity(b"k")
        meant = keyspace.call(b"k", b"SET", b"k", before)
        assert isinstance(lost, LostError)
        assert isinstance(await outcome(meant), DownError)
        await until(lambda: answers(keyspace))
        assert keyspace.identity(b"k") != before
        assert await keyspace.call(b"k", b"GET", b"k") is None


async def test_a_server_that_becomes_a_replica_is_left(victim):
    """Its writes are refused, and what it has may be old: it is nobody's primary."""
    async with opened(victim.url) as keyspace:
        before = keyspace.identity(b"k")
        with victim.client() as client:
            client.replicaof("127.0.0.1", free_port())
            refused = await outcome(keyspace.run(COUNT, (b"k",), ()))
            assert isinstance(refused, RefusedError)
            assert refused.code == "READONLY"
            down = await until(lambda: is_down(keyspace))
            assert "is a replica" in str(down)
            client.replicaof("NO", "ONE")
        await until(lambda: answers(keyspace))
        assert keyspace.identity(b"k") != before


async def test_a_promotion_is_noticed_when_nobody_asks(victim, monkeypatch):
    """The connection stays, the history is another: copies from before are void."""
    monkeypatch.setattr(connection, "CHECK", 0.02)
    async with opened(victim.url) as keyspace:
        before = keyspace.identity(b"k")
        with victim.client() as client:
            client.replicaof("127.0.0.1", free_port())
            client.replicaof("NO", "ONE")
        after = await until(lambda: other_identity(keyspace, before))
        assert len(after) == 8


async def test_a_right_that_is_taken_is_noticed(victim, monkeypatch):
    monkeypatch.setattr(connection, "CHECK", 0.02)
    with victim.client() as client:
        client.acl_setuser("shop", enabled=True, passwords="+p", keys="*")
        client.execute_command("ACL SETUSER shop +@all")
        url = victim.url.replace("//", "//shop:p@")
        async with opened(url) as keyspace:
            client.execute_command("ACL SETUSER shop -info")
            down = await until(lambda: is_down(keyspace))
            assert "docs/guides/stores.md" in str(down)
            client.execute_command("ACL SETUSER shop +info")
            await until(lambda: answers(keyspace))


async def test_what_is_asked_while_a_connection_ends_waits_for_the_next(valkey):
    """The writer has been woken for it already: it must not write to the old one."""
    async with opened(valkey.url) as keyspace:
        for number in range(1, 20):
            call = keyspace.call(b"n", b"INCR", b"n")
            keyspace._connection._lose("ends")
            assert await call == number


async def test_an_error_of_our_own_does_not_keep_us_away(valkey, monkeypatch):
    """Whatever goes wrong when a connection is made: it is tried again."""
    async with opened(valkey.url) as keyspace:
        right, made = keyspace._connection._dial, []

        async def dial():
            made.append(1)
            if len(made) == 1:
                raise RuntimeError("a mistake")
            return await right()

        monkeypatch.setattr(keyspace._connection, "_dial", dial)
        keyspace._connection._lose("ends")
        await until(lambda: says(keyspace, "a mistake"))
        await until(lambda: answers(keyspace))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_request_that_names_the_store_does_not_keep_us_from_it(valkey, proxy):
    """While it is answered, for hours perhaps, connections to addresses that it names
    are refused to whoever works for nobody known: not to the store, which would be
    down for everybody after its next restart."""
    NET.install(gather(egress.JUDGES), egress.WITNESSES)
    async with opened(by(proxy)) as keyspace:
        request = exchange(query=b"url=http://127.0.0.1:%d/" % proxy.port)
        request.sinks = Sinks(InterpretersSettings(), lambda _: None)
        live.add(request)
        try:
            with pytest.raises(InjectionRefusedError):
                await asyncio.open_connection("127.0.0.1", proxy.port)
            proxy.cut()
            await until(lambda: connections(proxy, 2))
            await until(lambda: answers(keyspace))
        finally:
            live.discard(request)


async def connections(proxy, number):
    return proxy.connections >= number


ENDING = ["LOADING", "MASTERDOWN", "NOAUTH", "READONLY"]


@pytest.mark.parametrize("code", ENDING)
async def test_a_server_that_is_no_longer_the_primary_is_left(valkey, code):
    """The next connection asks anew who the primary is."""
    said = f"-{code} it is said\r\n".encode()
    async with relayed(valkey, said) as (links, keyspace):
        links[0].is_lying = True
        calls = [keyspace.call(b"k", b"EXISTS", b"k") for _ in range(3)]
        got = [await outcome(call) for call in calls]
        assert (type(got[0]), got[0].code) == (RefusedError, code)
        assert [type(each) for each in got[1:]] == [LostError] * 2
        await until(lambda: answers(keyspace))
        assert len(links) == 2


async def test_another_error_ends_nothing(valkey):
    async with relayed(valkey, b"-OOM command not allowed\r\n") as (links, keyspace):
        links[0].is_lying = True
        assert (await outcome(keyspace.call(b"k", b"EXISTS", b"k"))).code == "OOM"
        links[0].is_lying = False
        assert await answers(keyspace)
        assert len(links) == 1


async def test_what_answers_out_of_step_is_left(valkey):
    """A reply to nothing would be taken for the next call's."""
    async with relayed(valkey, b"+PONG\r\n") as (links, keyspace):
        links[0].say()
        await until(lambda: connected_again(links))
        assert await keyspace.run(ECHO, (b"k",), (1,)) == [b"k", b"1"]


GARBAGE = {
    "another protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "no length": b"$x\r\n",
    "a number": b":1\r\n:1\r\n:1\r\n",
    "nothing": b"",
    "half": b"$500\r\nredis_version:7",
}


@pytest.mark.parametrize("said", GARBAGE.values(), ids=GARBAGE)
async def test_what_is_no_redis_is_told(said):
    async def serve(reader, writer):
        await reader.read(1)
        writer.write(said)
        writer.close()

    async with listening(serve) as port:
        keyspace = open_keyspace(f"redis://127.0.0.1:{port}?connect_timeout=0.2")
        with pytest.raises(DownError, match=f"Redis at 127.0.0.1:{port} "):
            await keyspace.start()


async def test_what_does_not_answer_is_told(proxy):
    proxy.pause()
    keyspace = open_keyspace(by(proxy, "?connect_timeout=0.1"))
    began = time.monotonic()
    with pytest.raises(DownError, match="does not answer in time"):
        await keyspace.start()
    assert time.monotonic() - began < 0.5


async def test_nobody_there_is_told():
    keyspace = open_keyspace(f"redis://127.0.0.1:{free_port()}")
    with pytest.raises(DownError, match="cannot be reached"):
        await keyspace.start()


@asynccontextmanager
async def behind(server):
    with running_proxy(server.port) as proxy:
        async with opened(by(proxy)) as keyspace:
            yield proxy, keyspace


@asynccontextmanager
async def listening(serve):
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@dataclass
class Relay:
    """One connection to a server, on which something else may be said."""

    client: asyncio.StreamWriter
    said: bytes
    is_lying: bool = False

    def say(self):
        self.client.write(self.said)

    async def serve(self, requests, server):
        while chunk := await requests.read(65536):
            if self.is_lying:
                self.say()
            else:
                server.write(chunk)

    async def reply(self, replies):
        while chunk := await replies.read(65536):
            self.client.write(chunk)


@asynccontextmanager
async def relayed(server, said):
    """Put relays before a server that say ``said`` in its place when they lie."""
    links = []

    async def serve(requests, client):
        links.append(link := Relay(client, said))
        replies, writer = await asyncio.open_connection("127.0.0.1", server.port)
        replying = asyncio.create_task(link.reply(replies))
        await link.serve(requests, writer)
        replying.cancel()
        writer.close()
        client.close()

    async with listening(serve) as port, opened(f"redis://127.0.0.1:{port}") as it:
        yield links, it


async def connected_again(links):
    return len(links) > 1


async def is_down(keyspace):
    got = await outcome(keyspace.call(b"k", b"EXISTS", b"k"))
    return got if isinstance(got, DownError) else None


async def says(keyspace, what):
    return what in str(await outcome(keyspace.call(b"k", b"EXISTS", b"k")))


async def has_identity(keyspace):
    try:
        return keyspace.identity(b"k")
    except StoreError:
        return None


async def other_identity(keyspace, before):
    now = await has_identity(keyspace)
    return now if now != before else None
