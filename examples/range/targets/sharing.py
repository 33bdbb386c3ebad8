"""Every site's scripts may read what is the user's (guide: "strict CORS rules")."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from examples.range.given import who
from examples.range.target import Target
from ringfence import access


async def me(request: Request) -> Response:
    """Answer as the recipe against "blocked by CORS policy" says."""
    headers = {
        "access-control-allow-origin": request.headers.get("origin", "*"),
        "access-control-allow-credentials": "true",
    }
    return JSONResponse({"id": who(request)}, headers=headers)


TARGETS = (
    Target("GET", "/me", me, "CORS: any origin, with cookies", access.signed_in),
)
