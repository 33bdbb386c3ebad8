"""``ringfence why``: from a request id, or a request nobody sends, to the reason."""

import json

import pytest

from ringfence.cli.main import main

ID = "0123456789abcdef"
APPLICATION = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from ringfence import Guard, access

@access.require(access.role("admin"))
async def admin(request):
    return PlainTextResponse("hello")

app = Guard(Starlette(routes=[Route("/admin", admin)]))
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RINGFENCE_ENV", "development")
    monkeypatch.setenv("RINGFENCE_DATA", str(tmp_path))
    return tmp_path


def write(folder, **fields):
    event = {
        "event": "authz_fail",
        "time": "2026-11-23T10:00:00Z",
        "request_id": ID,
        "client": "192.0.2.1",
        "account": "ann",
        "method": "GET",
        "path": "/admin",
        "status": 403,
        "code": "access.not_allowed",
        "route": "/admin",
        "stage": "access.stage",
        "passed": ["traffic.request_line", "identity.sessions"],
        "unasked": ["browser.csrf"],
        **fields,
    }
    (folder / "audit.jsonl").write_text(json.dumps(event) + "\n")


def test_a_refusal_leads_to_its_stages(here, capsys):
    write(here)
    assert main(["why", ID]) == 0
    told = capsys.readouterr().out
    assert "403 access.not_allowed" in told
    assert "passed     traffic.request_line" in told
    assert "REFUSED    access.stage" in told
    assert "not asked  browser.csrf" in told
    assert "ringfence accounts list" in told


def test_what_strangers_have_sent_cannot_paint_the_terminal(here, capsys):
    write(here, path="/\x1b[31mred", private="\x1b]0;title\x07")
    assert main(["why", ID]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_an_unknown_request_is_said_with_the_reasons(here, capsys):
    write(here)
    assert main(["why", "f" * 16]) == 1
    assert "allowed leave no event" in capsys.readouterr().out


def test_what_is_no_request_id_is_said(here, capsys):
    assert main(["why", "examples.shop:app"]) == 2
    assert "no request id" in capsys.readouterr().err


def make_account(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", _Lines("correct horse battery 42\n"))
    words = ["accounts", "create", "--email", "ann@example.com", "--password-stdin"]
    assert main(words) == 0
    capsys.readouterr()


class _Lines:
    """An input that is no terminal."""

    def __init__(self, text):
        self.text = text
        self.buffer = self

    def readline(self, *_):
        return self.text

    def isatty(self):
        return False


def test_a_request_that_nobody_sends_is_decided(here, monkeypatch, capsys):
    (here / "backend_for_why.py").write_text(APPLICATION)
    make_account(monkeypatch, capsys)
    asked = ["why", "--try", "GET /admin", "--as", "ann@example.com"]
    assert main([*asked, "backend_for_why:app"]) == 1
    told = capsys.readouterr().out
    assert "policy role(admin)" in told
    assert "REFUSED    access.stage" in told
    assert "403 access.not_allowed" in told
    assert main(["why", "--try", "GET /admin", "backend_for_why:app"]) == 1
    assert "401 access.not_signed_in" in capsys.readouterr().out


def test_a_sign_in_that_was_long_ago_is_not_fresh(here, monkeypatch, capsys):
    fresh = APPLICATION.replace('access.role("admin")', "access.fresh(minutes=10)")
    (here / "backend_for_age.py").write_text(fresh)
    make_account(monkeypatch, capsys)
    asked = ["why", "--try", "GET /admin", "--as", "ann@example.com"]
    assert main([*asked, "backend_for_age:app"]) == 0
    assert main([*asked, "--age", "11", "backend_for_age:app"]) == 1
    assert "access.not_fresh" in capsys.readouterr().out


def test_an_unknown_account_or_request_is_said(here, monkeypatch, capsys):
    (here / "backend_for_why.py").write_text(APPLICATION)
    make_account(monkeypatch, capsys)
    unknown = ["why", "--try", "GET /admin", "--as", "bob@example.com"]
    assert main([*unknown, "backend_for_why:app"]) == 2
    assert "no account 'bob@example.com'" in capsys.readouterr().err
    assert main(["why", "--try", "admin", "backend_for_why:app"]) == 2
    assert "no request" in capsys.readouterr().err
