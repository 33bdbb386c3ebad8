"""What a guard does with the databases that it is given."""

import json

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from ringfence import Guard, Settings, access, current
from ringfence.access.ownership.refusals import NOT_FOUND, UNFILTERED, refuse
from ringfence.access.roles import expand
from ringfence.errors import (
    OutsideRequestError,
    OwnershipRefusedError,
    PlanError,
)


class Data:
    """Stands for a database, and writes down what is asked of it."""

    def __init__(self):
        self.bound, self.opened, self.closed, self.disposed = [], 0, 0, 0

    def bind(self, hierarchy, record):
        self.bound.append((hierarchy, record))

    def rules(self):
        return ()

    def open(self):
        self.opened += 1
        return self

    async def dispose(self):
        self.disposed += 1


class Awaited(Data):
    async def close(self):
        self.closed += 1


class Plain(Data):
    def close(self):
        self.closed += 1


@access.require(access.public)
async def twice(request):
    assert current.database() is current.database()
    return PlainTextResponse("found")


@access.require(access.public)
async def failing(request):
    current.database()
    raise ZeroDivisionError


@access.require(access.public)
async def nothing(request):
    return PlainTextResponse("nothing asked")


@access.require(access.public)
async def missing(request):
    access.found(None)


@access.require(access.public)
async def foreign(request):
    try:
        refuse(NOT_FOUND, "orders: another's owner")
    except OwnershipRefusedError:
        return PlainTextResponse("swallowed")


@access.require(access.public)
async def mistaken(request):
    refuse(UNFILTERED, "orders: say whose")


@pytest.fixture
def settings(tmp_path):
    return Settings.load(
        environ={}, env="development", data=tmp_path, identity={"enabled": False}
    )


def served(settings, **given):
    handlers = (twice, failing, nothing, missing, foreign, mistaken)
    routes = [Route(f"/{each.__name__}", each) for each in handlers]
    guard = Guard(Starlette(routes=routes), settings, **given)
    return TestClient(
        guard, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50000)
    )


@pytest.mark.parametrize("kind", [Awaited, Plain])
def test_one_session_a_request_closed_at_its_end(settings, kind):
    data = kind()
    with served(settings, data=data) as client:
        assert client.get("/nothing").text == "nothing asked"
        assert data.opened == 0
        assert client.get("/twice").text == "found"
        assert (data.opened, data.closed) == (1, 1)
        assert client.get("/twice").text == "found"
        assert (data.opened, data.closed) == (2, 2)
        assert data.disposed == 0
    assert data.disposed == 1


def test_it_is_closed_when_the_handler_fails(settings):
    data = Awaited()
    with served(settings, data=data) as client:
        assert client.get("/failing").status_code == 500
    assert (data.opened, data.closed) == (1, 1)


def test_every_database_is_told_of_roles_and_ledger(settings):
    first, second = Awaited(), Plain()
    with served(settings, data=[first, second]) as client:
        client.get("/twice")
    assert (first.opened, second.opened) == (1, 0)
    assert (first.disposed, second.disposed) == (1, 1)
    for data in (first, second):
        ((hierarchy, record),) = data.bound
        assert hierarchy == expand(settings.access.hierarchy)
        assert callable(record)


def test_a_database_that_was_not_given_is_missed(settings):
    with served(settings) as client:
        answer = client.get("/twice")
    assert answer.status_code == 500
    with pytest.raises(OutsideRequestError, match="no guarded request"):
        current.blocking_database()


def test_a_route_that_asks_about_rows_does_not_start(settings):
    route = Route("/", nothing)
    marked = access.routes([route], access.owner("owner_id"))
    with pytest.raises(PlanError, match="put it on the model"):
        Guard(Starlette(routes=marked), settings)


def test_what_is_anothers_answers_as_what_is_not_there(settings):
    """Not even an exception that is swallowed tells the two apart. The ledger does:
    what was refused is an attempt, what was not found may be none."""
    with served(settings) as client:
        answers = [client.get(path) for path in ("/missing", "/foreign")]
    bodies = [{**each.json(), "request_id": ""} for each in answers]
    assert bodies[0] == bodies[1]
    assert [each.status_code for each in answers] == [404, 404]
    ledger = (settings.data / "audit.jsonl").read_text("utf-8")
    names = [json.loads(line)["event"] for line in ledger.splitlines()]
    assert names.count("authz_fail") == 1
    assert names.count("request_refused") == 1


@pytest.mark.parametrize("data", [object(), {"orders": 1}, "orders.db"])
def test_what_is_no_database_is_named(data):
    """An engine or a maker of sessions would let every row through."""
    with pytest.raises(TypeError, match=r"data=Database\(engine, Base\)"):
        Guard(Starlette(), data=data)


def test_a_mistake_of_the_application_is_traced_to_its_line(settings, caplog):
    """The answer and the ledger do not know it; of what strangers ask nothing is
    logged."""
    with served(settings, data=Plain()) as client:
        assert client.get("/missing").status_code == 404
        assert caplog.records == []
        assert client.get("/mistaken").json()["code"] == "access.unfiltered"
    (told,) = caplog.records
    assert "GET /mistaken failed" in told.getMessage()
    assert "orders: say whose" in caplog.text
    assert "in mistaken" in caplog.text


class Commits(Plain):
    def commit(self):
        """Commit, as a Session does."""


class CommitsLater(Awaited):
    async def commit(self):
        """Commit, as an AsyncSession does."""


@pytest.mark.parametrize(
    ("data", "ask", "instead"),
    [
        (Commits, current.database, "current.blocking_database"),
        (CommitsLater, current.blocking_database, "current.database"),
    ],
)
def test_a_session_of_the_other_kind_is_told_apart(settings, data, ask, instead):
    """Else its first use would fail, with nothing about the engine."""
    right = {current.database, current.blocking_database} - {ask}

    @access.require(access.public)
    async def handler(request):
        with pytest.raises(TypeError, match=rf"{instead}, in a"):
            ask()
        right.pop()()
        return PlainTextResponse("told")

    guard = Guard(Starlette(routes=[Route("/", handler)]), settings, data=data())
    address, here = "http://127.0.0.1:8000", ("127.0.0.1", 50000)
    with TestClient(guard, base_url=address, client=here) as client:
        assert client.get("/").text == "told"
