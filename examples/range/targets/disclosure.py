"""A page that tells what is inside (guide: "Debug Mode in Production")."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from examples.range.target import Target


async def error(request: Request) -> Response:
    query = "SELECT * FROM users WHERE email = 'alice@example.com'"
    db_password = "mypassword"
    message = f"could not run {query} with DB_PASSWORD={db_password}"
    raise RuntimeError(message)


TARGETS = (Target("GET", "/error", error, "trace, query and credentials"),)
