"""``ringfence why``: from a request id, or a request nobody sends, to the reason."""

import json
import sqlite3
import sys
from contextlib import closing

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
    yield tmp_path
    for name in ("backend_for_why", "open_for_why"):  # made with these settings
        sys.modules.pop(name, None)


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


def test_a_failure_is_told_with_all_that_is_known(here, capsys):
    """An event without a code, a failure, is told with all it holds."""
    write(here, event="sys_crash", code="", status=0, error="KeyError", account="")
    assert main(["why", ID]) == 0
    told = capsys.readouterr().out
    assert "sys_crash" in told
    assert "error: KeyError" in told
    assert "nobody signed in" in told


def test_a_refusal_before_any_route_says_what_it_knows(here, capsys):
    write(here, route="", stage="", passed=[], unasked=[], code="traffic.unheard_of")
    assert main(["why", ID]) == 0
    told = capsys.readouterr().out
    assert "traffic.unheard_of" in told
    assert "route" not in told
    assert "REFUSED" not in told


def test_what_would_pass_is_said_and_so_are_limits(here, monkeypatch, capsys):
    source = APPLICATION.replace('access.role("admin")', "access.public")
    source = source.replace("import Guard, access", "import Guard, access, limit")
    source = source.replace("@access", '@limit("30/minute")\n@access')
    (here / "open_for_why.py").write_text(source)
    assert main(["why", "--try", "GET /admin", "open_for_why:app"]) == 0
    told = capsys.readouterr().out
    assert "limit 30/minute" in told
    assert "Nothing refuses it" in told
    assert main(["why", "--try", "GET /nowhere", "open_for_why:app"]) == 1
    assert "no route" in capsys.readouterr().out


def test_who_cannot_sign_in_is_not_imagined(here, monkeypatch, capsys):
    (here / "backend_for_why.py").write_text(APPLICATION)
    make_account(monkeypatch, capsys)
    with closing(sqlite3.connect(here / "ringfence.db")) as database, database:
        database.execute("UPDATE ringfence_accounts SET disabled = 1")
    asked = ["why", "--try", "GET /admin", "--as", "ann@example.com"]
    assert main([*asked, "backend_for_why:app"]) == 2
    assert "is disabled and cannot sign in" in capsys.readouterr().err


def test_a_long_search_is_shown_to_whoever_waits(here, monkeypatch, capsys):
    """On a terminal only: in a file it would be noise."""
    write(here)
    with (here / "audit.jsonl.1").open("w") as file:
        for _ in range(17):
            file.write("x" * (1 << 20) + "\n")
    assert main(["why", ID]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main(["why", ID]) == 0
    assert "of 17 MiB" in capsys.readouterr().err


def test_a_method_that_is_not_served_is_said(here, monkeypatch, capsys):
    (here / "backend_for_why.py").write_text(APPLICATION)
    assert main(["why", "--try", "PUT /admin", "backend_for_why:app"]) == 1
    told = capsys.readouterr().out
    assert "no route for this method" in told
    assert "405" in told


def test_production_without_origins_cannot_be_imagined(here, monkeypatch, capsys):
    """Else the stage that asks for the host would be blamed."""
    (here / "backend_for_why.py").write_text(APPLICATION)
    monkeypatch.delenv("RINGFENCE_ENV")
    assert main(["why", "--try", "GET /admin", "backend_for_why:app"]) == 2
    assert "RINGFENCE_PUBLIC_ORIGINS" in capsys.readouterr().err


def test_what_an_application_has_done_is_told_with_what_helps(here, capsys):
    """A refusal at an interpreter has no stage: the reason stands all the same."""
    write(
        here,
        event="request_refused",
        code="interpreters.sql",
        stage="",
        unasked=[],
        private="sqlite3: an input is code (query q)",
    )
    assert main(["why", ID]) == 0
    told = capsys.readouterr().out
    assert "REFUSED    while it was answered: sqlite3: an input is code" in told
    assert "sql.query" in told


def test_what_a_dry_run_let_pass_at_an_interpreter_is_told(here, capsys):
    write(
        here,
        event="malicious_injection",
        code="",
        path="",
        route="/search",
        interpreter="sql",
        private="sqlite3: an input is code (query q)",
        watched=True,
    )
    assert main(["why", ID]) == 0
    told = capsys.readouterr().out
    assert "malicious_injection  GET /search" in told
    assert "  sql: sqlite3: an input is code (query q)\n" in told
    assert "dry run" in told
    assert "sql.query" in told
