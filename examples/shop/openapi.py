"""Adds to the description of the API what the guard demands of a caller."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from examples.shop.shapes import Problem

UNSAFE = ("post", "put", "patch", "delete")
CSRF = {
    "type": "apiKey",
    "in": "header",
    "name": "X-CSRF-Token",
    "description": (
        "The csrf_token that POST /auth/login and GET /auth/me answer. Needed with the "
        "session cookie by callers that are no browsers."
    ),
}


def session_cookie(*, development: bool) -> dict[str, str]:
    """Describe the guard's cookie. Browsers do not tell ports apart, and drop the
    prefix ``__Host-`` on plain http: hence another name in development, which the
    document cannot know in full, since one document is served at every port."""
    name = "session-<port>" if development else "__Host-session"
    told = "<port> is that of the server: session-8000. " if development else ""
    description = f"Set by POST /auth/login. {told}HttpOnly, SameSite=Lax."
    return {"type": "apiKey", "in": "cookie", "name": name, "description": description}


def describe(shop: FastAPI, *, development: bool) -> None:
    """Declare the security schemes in force, and who needs them: an operation that can
    answer 401 needs a session, and if it changes something the token as well."""
    plain = shop.openapi
    schemes = {"session": session_cookie(development=development), "csrf": CSRF}

    def openapi() -> dict[str, Any]:
        if shop.openapi_schema is None:
            document = plain()
            components = document.setdefault("components", {})
            components["securitySchemes"] = schemes
            components.setdefault("schemas", {})["Problem"] = (
                Problem.model_json_schema()
            )
            for path in document["paths"].values():
                for method, operation in path.items():
                    operation["security"] = _needed(method, operation)
        return shop.openapi_schema or {}

    # FastAPI's documented way to extend the description is to replace this method.
    shop.openapi = openapi  # type: ignore[method-assign]  # as FastAPI documents it


def _needed(method: str, operation: dict[str, Any]) -> list[dict[str, list[str]]]:
    if "401" not in operation["responses"]:
        return []
    return [{"session": [], "csrf": []} if method in UNSAFE else {"session": []}]
