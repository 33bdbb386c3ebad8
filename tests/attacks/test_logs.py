"""What is written down: forged lines and secrets in logs (guide: "Debug Mode in
Production": queries and credentials; CWE-117, CWE-532)."""

import io
import logging

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.attacks.ledgers import settled
from tests.attacks.ranges import ALICE
from tests.attacks.serving import NO_TLS, served
from tests.attacks.shops import customer, running_shop

from ringfence import Guard, Settings, access

FORGED = "x\r\n2026-11-23 INFO admin signed in\x1b[2K"
PASSWORD = "correct horse battery staple"


async def sign_in(request):
    """What a developer writes in a hurry."""
    fields = await request.json()
    log = logging.getLogger("home-made")
    log.warning("sign-in of %s", fields["email"])
    log.warning("body: %s", fields)
    log.warning(f"password={fields['password']}")  # noqa: G004 - as people do
    log.warning("headers: %s", dict(request.headers))
    return PlainTextResponse("ok")


@pytest.fixture
def written():
    """What the application's own handler writes, with no guard of another test."""
    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(logging.LogRecord)
    stream, log = io.StringIO(), logging.getLogger("home-made")
    handler = logging.StreamHandler(stream)
    log.addHandler(handler)
    log.propagate = False
    yield stream
    log.removeHandler(handler)
    log.propagate = True
    logging.setLogRecordFactory(before)


def post(server):
    headers = {"cookie": "basket=c2VjcmV0OnNlY3JldA", "origin": server.url}
    body = {"email": FORGED, "password": PASSWORD}
    return httpx2.post(
        f"{server.url}/sign-in", json=body, headers=headers, verify=NO_TLS
    )


def routes():
    return access.routes([Route("/sign-in", sign_in, methods=["POST"])], access.public)


def test_without_the_guard_everything_is_written(written):
    with served(lambda port: Starlette(routes=routes())) as server:
        assert post(server).text == "ok"
    text = written.getvalue()
    assert PASSWORD in text
    assert "c2VjcmV0" in text
    assert "\n2026-11-23 INFO admin signed in" in text.replace("\r", "")


def test_behind_the_guard_no_line_is_forged_and_no_secret_written(written, tmp_path):
    """The application's own logging is redacted too, and keeps to its lines."""

    def make(port):
        origins = (f"http://127.0.0.1:{port}",)
        settings = Settings.load(
            environ={}, env="development", data=tmp_path, public_origins=origins
        )
        return Guard(Starlette(routes=routes()), settings)

    with served(make) as server:
        assert post(server).text == "ok"
    text = written.getvalue()
    assert PASSWORD not in text
    assert "\x1b" not in text
    assert "\n2026-11-23" not in text
    assert len(text.splitlines()) == 4
    assert "admin signed in" in text  # what was sent is still there to be read


def test_the_ledger_holds_no_secret(on):
    """Refusals are written with what is needed to find them, and no credential."""
    with on.signed_in(ALICE) as alice:
        _, value = on.session(alice)
        token = alice.headers["x-csrf-token"]
        alice.get("/admin/users?token=s3cr3t-in-the-query")
        alice.post("/auth/login", json={**ALICE, "password": "a wrong pass phrase"})
        alice.get("/nothing%0aforged")
    with on.client(cookies={"session_id": "x"}) as mallory:
        mallory.post("/transfer", json={"amount": 1}, headers={"origin": "null"})
        assert settled(on.data, mallory)
    text = (on.data / "audit.jsonl").read_text()
    for secret in (
        value,
        token,
        "s3cr3t-in-the-query",
        "a wrong pass phrase",
        on.account(ALICE)["password"],
        on.key,
    ):
        assert secret not in text


def test_the_servers_log_holds_no_secret():
    """Nor does what the server prints: not the query string, not a cookie."""
    with running_shop() as shop:
        with customer(shop, "carol") as carol:
            carol.get("/?q=s3cr3t-in-the-query&token=an0ther-secret")
            carol.get("/api/orders/s3cr3t", headers={"authorization": "Bearer s3cr3t"})
            secrets = [*carol.cookies.values(), carol.headers["x-csrf-token"]]
        text = (shop.data / "shop.log").read_text()
    secrets += ["an0ther-secret", "Bearer s3cr3t", "carol's long pass phrase"]
    assert [secret for secret in secrets if secret in text] == []
