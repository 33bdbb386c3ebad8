"""Twins of horizontal escalation: ``/users/2/profile`` by user 1 (guide:
"Authorization"; CWE-639, OWASP API1:2023).

The handlers believe the path. On one side nobody asks whose it is, on the other the
route says ``own(user_id) | role(staff)``.
"""

from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from fastapi import APIRouter, FastAPI
from starlette.testclient import TestClient

from ringfence import Guard, Settings, access
from ringfence.testing import assert_refused, signed_in

HERE = {"base_url": "http://127.0.0.1:8000", "client": ("127.0.0.1", 50_000)}
PEOPLE = {"one": ((), "red"), "two": ((), "blue"), "clerk": (("staff",), "red")}


def application(profiles, *, guarded):
    mine = access.own("user_id") | access.role("staff")
    ours = access.own_tenant("tenant_id")
    asked = [access.depends(mine)] if guarded else []
    router = APIRouter(prefix="/users/{user_id}/profile", dependencies=asked)

    @router.get("")
    async def read(user_id: str) -> dict[str, str]:
        return {"name": profiles[user_id]}

    @router.put("")
    async def write(user_id: str, name: str) -> dict[str, str]:
        profiles[user_id] = name
        return {"name": name}

    @router.delete("")
    async def remove(user_id: str) -> dict[str, str]:
        return {"name": profiles.pop(user_id)}

    @router.get("/notes/{note_id:int}")
    async def read_note(user_id: str, note_id: int) -> dict[str, str | int]:
        return {"name": profiles[user_id], "note": note_id}

    app = FastAPI(openapi_url=None)
    app.include_router(router)

    asked = [access.depends(ours)] if guarded else []

    @app.get("/tenants/{tenant_id}/bill", dependencies=asked)
    async def read_bill(tenant_id: str) -> dict[str, str]:
        return {"bill": tenant_id}

    return app


@dataclass
class Side:
    """One application with its profiles, and clients of everybody."""

    profiles: dict[str, str]
    people: dict[str | None, TestClient]


@pytest.fixture(scope="module")
def ids():
    return {}


@pytest.fixture(scope="module")
def on(ids, tmp_path_factory):
    profiles = {}
    settings = Settings.load(
        toml=None,
        environ={},
        env="development",
        data=tmp_path_factory.mktemp("horizontal"),
    )
    guard = Guard(application(profiles, guarded=True), settings)
    with ExitStack() as stack:
        stack.enter_context(TestClient(guard, **HERE))
        people = {None: TestClient(guard, **HERE)}
        for name, (roles, tenant) in PEOPLE.items():
            people[name] = TestClient(guard, raise_server_exceptions=False, **HERE)
            visitor = signed_in(people[name], guard, roles=roles, tenant=tenant)
            ids[name] = stack.enter_context(visitor).id
        yield Side(profiles, people)


@pytest.fixture(scope="module")
def off(on):
    profiles = {}
    with TestClient(application(profiles, guarded=False), **HERE) as client:
        yield Side(profiles, dict.fromkeys((None, *PEOPLE), client))


@pytest.fixture(autouse=True)
def fresh(off, on, ids):
    for side in (off, on):
        side.profiles.clear()
        side.profiles.update({ids[name]: name for name in PEOPLE})


TRIES = [
    ("GET", "/users/{two}/profile"),
    ("PUT", "/users/{two}/profile?name=pwned"),
    ("DELETE", "/users/{two}/profile"),
    ("GET", "/users/{two}/profile/notes/1"),
    ("GET", "/users/{two}/profile?user_id={one}"),
    ("GET", "/users/%{first:02x}{rest}/profile"),
    ("GET", "/tenants/blue/bill"),
]


def address(path, ids):
    two = ids["two"]
    return path.format_map({**ids, "first": ord(two[0]), "rest": two[1:]})


@pytest.mark.parametrize(("method", "path"), TRIES)
def test_one_reaches_nothing_of_twos(off, on, ids, method, path):
    """404 on every method, as for what is not there; nobody at all is asked to sign in.
    And nothing has changed."""
    here = address(path, ids)
    assert off.people["one"].request(method, here).status_code == 200
    before = dict(on.profiles)
    answer = on.people["one"].request(method, here)
    assert_refused(answer, "access.not_found", 404)
    assert "two" not in answer.text
    assert on.profiles == before
    if method == "GET":
        stranger = on.people[None].request(method, here)
        assert_refused(stranger, "access.not_signed_in", 401)


@pytest.mark.parametrize(("method", "path"), TRIES)
def test_what_is_anothers_answers_as_what_is_not_there(on, ids, method, path):
    there = on.people["one"].request(method, address(path, ids))
    missing = path.replace("%{first:02x}{rest}", "nobody").replace("{two}", "nobody")
    gone = on.people["one"].request(
        method, address(missing.replace("blue", "none"), ids)
    )
    bodies = [answer.json() for answer in (there, gone)]
    for body in bodies:
        body.pop("request_id")
    assert bodies[0] == bodies[1]
    assert there.headers.keys() == gone.headers.keys()


@pytest.mark.parametrize(("method", "path"), TRIES)
def test_two_works_on(off, on, ids, method, path):
    here = address(path, ids)
    found = [side.people["two"].request(method, here).json() for side in (off, on)]
    assert found[0] == found[1]


@pytest.mark.parametrize(("method", "path"), TRIES[:-1])
def test_the_staff_works_on(off, on, ids, method, path):
    here = address(path, ids)
    found = [side.people["clerk"].request(method, here).json() for side in (off, on)]
    assert found[0] == found[1]
