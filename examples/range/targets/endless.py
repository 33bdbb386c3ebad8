"""As much as anybody wants, as often as anybody wants (guide: "Rate Limiting":
attackers can overload servers)."""

from __future__ import annotations

import hashlib
import math

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from examples.range.target import Target
from ringfence import access, limit

_ROUNDS = 5_000


async def report(request: Request) -> Response:
    """Stand for a report over many rows: a few milliseconds of work each."""
    digest = hashlib.pbkdf2_hmac("sha256", b"report", b"", _ROUNDS)
    return JSONResponse({"report": digest.hex()})


async def upload(request: Request) -> Response:
    async with request.form(
        max_files=math.inf, max_fields=math.inf, max_part_size=2**40
    ) as form:
        return JSONResponse({"parts": len(form.multi_items())})


TARGETS = (
    Target(
        "POST",
        "/report",
        report,
        "costly, and asked for without end",
        access.signed_in,
        marks=(limit("10/minute", by="account"),),
    ),
    Target("POST", "/upload", upload, "a form of any size, in any number of parts"),
)
