"""Text becomes a filter (guide: "XML or LDAP queries"; CWE-90).

The range has no directory of its own: ``RANGE_LDAP=ldap://127.0.0.1:389`` names one
that holds nothing of value, and ``RANGE_LDAP_BASE`` the branch to search. Without them
the answer is 503.
"""

from __future__ import annotations

import asyncio
import os

import ldap3  # type: ignore[import-untyped]  # ships no types
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from examples.range.target import Target

_ADDRESS = "RANGE_LDAP"
_BASE = "RANGE_LDAP_BASE"
_PATIENCE = 5  # seconds


def _find(uid: str) -> list[str]:
    server = ldap3.Server(
        os.environ[_ADDRESS], get_info=ldap3.NONE, connect_timeout=_PATIENCE
    )
    with ldap3.Connection(server, receive_timeout=_PATIENCE) as connection:
        connection.search(os.environ[_BASE], f"(uid={uid})", attributes=["cn"])
        return [str(entry.cn) for entry in connection.entries]


async def find(request: Request) -> Response:
    if not {_ADDRESS, _BASE} <= os.environ.keys():
        raise HTTPException(503, f"no server: set {_ADDRESS} and {_BASE}")
    uid = request.query_params["uid"]
    return JSONResponse(await asyncio.to_thread(_find, uid))


TARGETS = (Target("GET", "/ldap", find, "LDAP injection", query=("uid",)),)
