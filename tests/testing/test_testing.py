import json
import threading
from dataclasses import dataclass, field

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from ringfence import Guard, Settings, access, current
from ringfence.testing import FakeClock, assert_refused, signed_in
from ringfence.testing.visitor import _in_thread


@access.require(access.role("staff"))
async def staff_only(request):
    return PlainTextResponse(current.principal().id)


@access.require(access.signed_in)
async def change(request):
    return PlainTextResponse("changed")


@access.require(access.signed_in)
async def tenant(request):
    return PlainTextResponse(current.principal().tenant)


@pytest.fixture
def guard(tmp_path):
    routes = [
        Route("/staff", staff_only),
        Route("/change", change, methods=["POST"]),
        Route("/tenant", tenant),
    ]
    settings = Settings(env="development", data=tmp_path)
    return Guard(Starlette(routes=routes), settings)


@pytest.fixture
def client(guard):
    here = ("127.0.0.1", 50000)
    with TestClient(guard, base_url="http://127.0.0.1:8000", client=here) as client:
        yield client


def test_a_visitor_is_really_signed_in(client, guard):
    with signed_in(client, guard, roles=["staff"]) as visitor:
        assert client.get("/staff").text == visitor.id
        assert client.post("/change").text == "changed"


def test_a_visitor_is_gone_afterwards(client, guard):
    with signed_in(client, guard, roles=["staff"]):
        pass
    assert "x-csrf-token" not in client.headers
    assert client.get("/staff").status_code == 401


def test_a_visitor_has_the_roles_given_and_no_others(client, guard):
    with signed_in(client, guard):
        assert_refused(client.get("/staff"), "access.not_allowed", 403)


def test_a_visitor_belongs_to_the_tenant_given(client, guard):
    with signed_in(client, guard, tenant="acme"):
        assert client.get("/tenant").text == "acme"
    with signed_in(client, guard):
        assert client.get("/tenant").text == ""


def test_a_suite_may_sign_in_as_often_as_it_likes(client, guard):
    """The limits on strangers are left as they are, and do not count here."""
    assert guard.settings.identity.sign_ins_per_address == 10
    for _ in range(12):
        with signed_in(client, guard, roles=["staff"]) as visitor:
            assert client.get("/staff").text == visitor.id


def test_a_role_that_is_none_is_told(client, guard):
    with (
        pytest.raises(AssertionError, match="is no role"),
        signed_in(client, guard, roles=["Staff!"]),
    ):
        pass


@dataclass
class Answer:
    status_code: int
    document: object
    headers: dict = field(
        default_factory=lambda: {"content-type": "application/problem+json"}
    )

    @property
    def text(self):
        return json.dumps(self.document)

    def json(self):
        return self.document


REFUSED = Answer(403, {"code": "access.not_allowed"})


def test_a_refusal_is_one():
    assert_refused(REFUSED, "access.not_allowed")
    assert_refused(REFUSED, "access.not_allowed", 403)


NOT_REFUSED = {
    "allowed": (Answer(200, {}), "a.b", None, "allowed with 200"),
    "of the application": (
        Answer(403, {}, {"content-type": "text/html"}),
        "a.b",
        None,
        "from the application",
    ),
    "without a type": (Answer(404, {}, {}), "a.b", None, "no content type"),
    "for another reason": (REFUSED, "browser.csrf", None, "not as 'browser.csrf'"),
    "with another status": (REFUSED, "access.not_allowed", 404, "not with 404"),
}


@pytest.mark.parametrize(
    ("answer", "code", "status", "expected"), NOT_REFUSED.values(), ids=NOT_REFUSED
)
def test_what_is_no_such_refusal_fails_the_test(answer, code, status, expected):
    """A 403 of another origin would let a test pass whose defence is gone."""
    with pytest.raises(AssertionError, match=expected):
        assert_refused(answer, code, status)


def test_the_clock_moves_when_it_is_told_to():
    clock = FakeClock(5)
    assert clock() == clock() == 5
    clock.advance(2.5)
    assert clock() == 7.5
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)


def test_an_account_that_cannot_be_made_is_told_with_its_reason(tmp_path, monkeypatch):
    """The reason stands in the output of the test, and no visitor is handed out."""
    told = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    (tmp_path / "file").write_text("no folder")
    broken = Settings(env="development", data=tmp_path / "file" / "below")
    with pytest.raises(AssertionError, match="the reason stands above"):
        _in_thread(broken, lambda accounts: accounts.create("ann@example.com", "x"))
    assert len(told) == 1


class _TurnsAway:
    """A client whose sign-ins fail."""

    def __init__(self):
        self.base_url = httpx2.URL("http://127.0.0.1:8000")

    def post(self, *_, **__):
        return Answer(429, {"code": "traffic.rate_limited"})


def test_a_sign_in_that_fails_is_told(guard, client):
    with (
        pytest.raises(AssertionError, match=r"the sign-in failed: .*rate_limited"),
        signed_in(_TurnsAway(), guard),
    ):
        pass
