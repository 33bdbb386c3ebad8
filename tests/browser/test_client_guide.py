"""The example of the guide does what the guide says."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx2
from tests.attacks.serving import NO_TLS, served

GUIDE = Path(__file__).parents[2] / "docs/guides/identity/browser-client.md"
ACCOUNT = {"email": "ann@example.com", "password": "plum kettle window 9"}


def test_the_example_of_the_guide(visit, tmp_path, monkeypatch):
    monkeypatch.setenv("RINGFENCE_ENV", "development")
    monkeypatch.setenv("RINGFENCE_DATA", str(tmp_path))
    (code,) = re.findall(
        r"^```python\n(.*?)^```$", GUIDE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    main = {"__name__": "main"}
    exec(compile(code, "main.py", "exec"), main)
    with served(lambda port: main["app"]) as server:
        httpx2.post(f"{server.url}/auth/register", json=ACCOUNT, verify=NO_TLS)
        visitor = visit(server.url)
        page = visitor.page
        assert page.request.post("/auth/login", data=ACCOUNT).ok
        visitor.goto("/")
        page.get_by_role("button", name="Send").click()
        page.get_by_text("Sent.").wait_for()
        with closing(sqlite3.connect(tmp_path / "ringfence.db")) as db, db:
            db.execute("UPDATE ringfence_sessions SET proved = proved - 601")
        visitor.goto("/")
        page.get_by_role("button", name="Send").click()
        dialog = page.get_by_role("dialog", name="Confirm that it is you")
        dialog.get_by_label("Password").fill(ACCOUNT["password"])
        dialog.get_by_role("button", name="Confirm").click()
        page.get_by_text("Sent.").wait_for()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/auth/login")
        assert visitor.violations() == []
