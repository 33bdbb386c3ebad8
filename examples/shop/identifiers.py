"""Ids that cannot be guessed. They are still no permission: every query names the
owner as well."""

from __future__ import annotations

import secrets


def fresh_id() -> str:
    return secrets.token_urlsafe(12)
