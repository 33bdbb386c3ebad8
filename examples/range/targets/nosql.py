"""JSON becomes a query (guide: "NoSQL Injection"; CWE-943).

The range has no MongoDB of its own: ``RANGE_MONGO=mongodb://127.0.0.1:27017/`` names
one that holds nothing of value. Without it the answer is 503.
"""

from __future__ import annotations

import os

from pymongo import AsyncMongoClient
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from examples.range.given import fields_of
from examples.range.target import Target

_ADDRESS = "RANGE_MONGO"
_PATIENCE = 5_000  # milliseconds
_PEOPLE = (
    {"_id": "1", "email": "alice@example.com", "password": "123456"},
    {"_id": "2", "email": "bob@example.com", "password": "letmein"},
)


def _client() -> AsyncMongoClient[dict[str, object]]:
    if _ADDRESS not in os.environ:
        raise HTTPException(503, f"no server: set {_ADDRESS}")
    return AsyncMongoClient(os.environ[_ADDRESS], serverSelectionTimeoutMS=_PATIENCE)


async def login(request: Request) -> Response:
    """As the guide writes it."""
    body = await fields_of(request)
    async with _client() as client:
        users = client.range.users
        if await users.find_one({"_id": "1"}) is None:
            await users.insert_many(dict(person) for person in _PEOPLE)
        user = await users.find_one(
            {"email": body["email"], "password": body["password"]}
        )
    if user is None:
        return JSONResponse({"detail": "wrong e-mail or password"}, 401)
    return JSONResponse(user)


async def search(request: Request) -> Response:
    """JavaScript and patterns are code as well."""
    async with _client() as client:
        pattern = {"$regex": f"^{request.query_params['q']}"}
        found = client.range.users.find({"email": pattern}, {"password": 0})
        return JSONResponse([user async for user in found])


TARGETS = (
    Target(
        "POST",
        "/nosql/login",
        login,
        "NoSQL injection: operators in JSON",
        body=("email", "password"),
    ),
    Target("GET", "/nosql/search", search, "input as a pattern", query=("q",)),
)
