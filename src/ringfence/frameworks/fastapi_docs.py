"""The API reference page."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import FastAPI
from starlette.responses import HTMLResponse

from ringfence.exchange import ASGIApp, Receive, Scope, Send


def reference_page(app: FastAPI) -> ASGIApp:
    """Return the application that answers with the API reference of ``app``."""

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        await HTMLResponse(_page(app.openapi()))(scope, receive, send)

    return page


def _page(schema: dict[str, Any]) -> str:
    return f"<!doctype html><title>{escape(schema['info']['title'])}</title>"
