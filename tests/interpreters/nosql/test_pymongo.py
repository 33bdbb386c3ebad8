"""The guard sits where every command of pymongo goes through."""

import sys
import types
from dataclasses import replace

import pytest
from bson import DEFAULT_CODEC_OPTIONS
from pymongo import message
from pymongo.asynchronous import pool as asynchronous
from pymongo.synchronous import pool as synchronous

from ringfence.errors import InjectionRefusedError, SettingsError
from ringfence.exchange import Exchange, active
from ringfence.interpreters.nosql import pymongo
from ringfence.interpreters.settings import InterpretersSettings
from ringfence.interpreters.sink import Sinks


async def never():
    raise NotImplementedError


@pytest.fixture
def recorded():
    """A request is in progress; what is written into its ledger."""
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    exchange = Exchange(scope, never)
    events = []
    exchange.sinks = Sinks(InterpretersSettings(), events.append)
    token = active.set(exchange)
    yield events
    active.reset(token)


def test_guarded_once():
    """Several guards in one process do not judge twice."""
    pymongo.arm()
    sends = (
        synchronous.Connection.send_message,
        asynchronous.AsyncConnection.send_message,
    )
    pymongo.arm()
    assert sends == (
        synchronous.Connection.send_message,
        asynchronous.AsyncConnection.send_message,
    )
    assert all(hasattr(send, "_ringfence_guarded") for send in sends)


def another_signature(self, message):
    return None


def another_way(self, message, max_doc_size):
    return None


@pytest.mark.parametrize("send", [None, "", another_signature, another_way])
def test_unknown_version(send):
    """Where commands may leave by another way, the application does not start."""
    pool = types.ModuleType("pool")
    pool.Connection = type("Connection", (), {"send_message": send})
    with pytest.raises(SettingsError, match="install pymongo"):
        pymongo._guard(pool, "Connection", "sendall", pymongo._blocking)


def test_second_way_of_older_versions(monkeypatch, recorded):
    network = types.ModuleType("older.network")
    network.sendall = lambda connection, message: message
    monkeypatch.setitem(sys.modules, "older.network", network)
    pool = types.ModuleType("older.pool")
    pymongo._guard_shortcut(pool, "sendall", pymongo._blocking)
    with pytest.raises(InjectionRefusedError):
        network.sendall(None, b"no message")


def test_what_cannot_be_judged_is_refused(recorded):
    with pytest.raises(InjectionRefusedError):
        pymongo.check(b"no message at all, and longer than a header")
    assert [event.interpreter for event in recorded] == ["nosql"]


def test_boundary_map(recorded):
    """What reaches the database is told to the map, by the field that it came in."""
    crossings = []

    class Map:
        def reached(self, given, *way):
            crossings.append((given.text, way[-1]))

    exchange = active.get()
    exchange.scope["query_string"] = b"q=lamp"
    exchange.sinks = replace(exchange.sinks, boundary_map=Map())
    command = {"find": "c", "filter": {"name": "lamp"}}
    options = DEFAULT_CODEC_OPTIONS
    pymongo.check(message._op_msg(0, command, "shop", None, options)[1])
    assert ("lamp", "bound") in crossings


def test_nobody_is_answered():
    """At start-up and in the background nothing is judged."""
    pymongo.check(b"no message")
