"""Refusals that the description of the API promises."""

from __future__ import annotations

from typing import Any

from examples.shop.shapes import Problem

Answers = dict[int | str, dict[str, Any]]


def problem(status: int, description: str) -> Answers:
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    content = {"application/problem+json": {"schema": schema}}
    return {status: {"description": description, "content": content}}


REFUSED = problem(422, "The request does not have the declared shape.")
UNKNOWN = problem(404, "Not there, or not yours.")
SIGNED_OUT = problem(401, "Nobody is signed in.")
FORBIDDEN = problem(403, "Signed in, but without the role for this.")
STALE = problem(
    401,
    "Nobody is signed in, or it was too long ago for this: the code is then "
    "access.not_fresh, and POST /auth/confirm with the password is what helps.",
)
TOO_OFTEN = problem(429, "Too often. Retry-After says in how many seconds again.")
CONFLICT = problem(409, "Understood, and not possible as things stand.")
