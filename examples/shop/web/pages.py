"""Rendering: Jinja2 that always escapes, and what every page needs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import FileSystemLoader, StrictUndefined

from ringfence import current, html

# What a form may announce after its redirect. The address carries a key of this table,
# never text: a text in the address would be somebody else's words on our page.
NOTICES = {
    "ordered": "Thank you. Your order is on its way to the packing bench.",
    "changed": "The order has been changed.",
    "cancelled": "The order has been cancelled.",
    "exported": "The export is there to be fetched.",
    "reviewed": "Thank you for your review.",
    "sent": "Your credit has been sent.",
    "renamed": "Your name has been saved.",
    "removed": "The account has been removed.",
    "unlocked": "The account is open again: its owner can sign in.",
}


def money(cents: int) -> str:
    return f"€{cents // 100:,}.{cents % 100:02d}"


def day(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment.day} {moment:%B %Y}"


def short_day(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment.day} {moment:%b %Y}"


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


_templates = html.environment(
    FileSystemLoader(Path(__file__).parents[1] / "templates"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters.update(money=money, day=day, short_day=short_day, iso=iso)


def page(
    request: Request, template: str, *, status: int = 200, **context: object
) -> HTMLResponse:
    visitor = current.visitor()
    roles = visitor.roles if visitor else frozenset()
    text = _templates.get_template(template).render(
        context,
        path=request.url.path,
        visitor=visitor,
        is_operator=not roles.isdisjoint({"operator", "admin"}),
        is_admin="admin" in roles,
        csrf_token=current.csrf_token(),
        notice=NOTICES.get(request.query_params.get("done", "")),
    )
    return HTMLResponse(text, status)


def see(path: str, *, done: str = "") -> RedirectResponse:
    """Redirect after a post, so that a reload does not post again."""
    return RedirectResponse(f"{path}?done={done}" if done else path, status_code=303)
