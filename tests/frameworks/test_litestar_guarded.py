"""Litestar's own comforts behind the guard: listeners, streams, files, pages."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from litestar import Litestar, Request, get
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import WebsocketListener, websocket_listener, websocket_stream
from litestar.static_files import create_static_files_router
from litestar.testing import TestClient

from ringfence import Guard, Settings, access, current
from ringfence.errors import SettingsError
from ringfence.testing import assert_refused, local, signed_in

PUBLIC = access.guard(access.public)


@websocket_listener("/echo", guards=[PUBLIC])
async def echo(data: str) -> str:
    return f"{data} {current.request_id()}"


class Mine(WebsocketListener):
    path = "/mine"
    guards = (access.guard(access.signed_in),)

    def on_receive(self, data: str) -> str:
        return current.principal().id


@websocket_stream("/numbers", guards=[PUBLIC])
async def numbers() -> AsyncGenerator[str, None]:
    yield "1"
    yield current.request_id()


acted: list[str] = []


async def acts() -> str:
    acted.append("dependency")
    return "x"


@get(
    "/staff",
    guards=[access.guard(access.role("staff"))],
    dependencies={"dependency": Provide(acts)},
)
async def staff(dependency: NamedDependency[str]) -> str:
    return dependency


async def closing(request: Request[object, object, State], _: object) -> None:
    raise NotAuthorizedException("the developer's own guard")


@get("/own-guard", guards=[PUBLIC, closing])
async def own_guard() -> None: ...


@pytest.fixture
def guard(tmp_path):
    """Return a function that guards an application of all that."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("a file")
    files = create_static_files_router(
        "/files", directories=[tmp_path / "files"], guards=[PUBLIC]
    )

    def make(env="development", **options):
        app = Litestar(
            [echo, Mine, numbers, staff, own_guard, files],
            logging_config=None,
            **options,
        )
        production = {"public_origins": ("https://a.example",), "proxies": ("none",)}
        further = {} if env == "development" else production
        settings = Settings.load(
            toml=None, environ={}, env=env, data=tmp_path / "data", **further
        )
        return Guard(app, settings)

    return make


@pytest.fixture
def visit(guard):
    made = guard()
    with TestClient(local(made), base_url="http://127.0.0.1:8000") as client:
        yield client, made


def test_listeners_and_streams_know_their_request(visit):
    client, _ = visit
    with client.websocket_connect("/echo") as socket:
        socket.send_text("hello")
        assert socket.receive_text().startswith("hello ")
    with client.websocket_connect("/numbers") as socket:
        assert socket.receive_text() == "1"
        assert len(socket.receive_text()) == 16


def test_a_listener_of_a_class_knows_who_is_there(visit):
    client, made = visit
    own_page = {"origin": "http://127.0.0.1:8000"}
    with (
        signed_in(client, made) as visitor,
        client.websocket_connect("/mine", headers=own_page) as socket,
    ):
        socket.send_text("who am I")
        assert socket.receive_text() == visitor.id


def test_dependencies_do_not_act_for_those_who_may_not(visit):
    client, made = visit
    acted.clear()
    assert_refused(client.get("/staff"), "access.not_signed_in", 401)
    assert acted == []
    with signed_in(client, made, roles=["staff"]):
        assert client.get("/staff").text == "x"
    assert acted == ["dependency"]


def test_the_developers_own_guards_run_still(visit):
    client, _ = visit
    assert client.get("/own-guard").status_code == 401


def test_files_are_served_and_folders_not_left(visit):
    client, _ = visit
    assert client.get("/files/a.txt").text == "a file"
    assert client.head("/files/a.txt").status_code == 200
    for path in ("/files/../data/ringfence.db", "/files/%2e%2e/data", "/filesx/a.txt"):
        assert client.get(path).status_code in {400, 404}


def test_documentation_works_under_the_policy_of_its_page(visit):
    client, _ = visit
    page = client.get("/schema/swagger")
    nonce = page.text.split('nonce="')[1].split('"')[0]
    assert f"'nonce-{nonce}'" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    assert "/staff" in page.text
    assert 'href="/schema/openapi.json"' in page.text
    assert client.get("/schema/openapi.json").json()["paths"]["/staff"]


def test_debug_does_not_start_in_production(guard, tmp_path):
    with (
        pytest.raises(SettingsError, match="debug"),
        TestClient(guard("production", debug=True)),
    ):
        pytest.fail("started")
