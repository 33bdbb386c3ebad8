"""What the identity routes answer with, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec

from ringfence.denial import Denial
from ringfence.identity.entrance import SecondFactorNeeded
from ringfence.stores.contracts import AccountRecord, SessionRecord


def problem(denial: Denial, request_id: str) -> bytes:
    """Return the body that a refusal is answered with, in the shape of all refusals.

    Half a sign-in carries what a program needs for the other half: ``factors``, any one
    of which would do, and ``pending``, to be sent along with it.

    Source: RFC 9457.
    """
    members = {
        "type": "about:blank",
        "title": HTTPStatus(denial.status).phrase,
        "status": denial.status,
        "detail": denial.detail,
        "code": denial.code,
        "request_id": request_id,
    }
    if isinstance(denial, SecondFactorNeeded):
        members |= {"factors": denial.factors, "pending": denial.pending}
    return msgspec.json.encode(members)


def describe_account(
    account: AccountRecord, factors: Iterable[str], csrf_token: str
) -> Mapping[str, Any]:
    """Return what an owner is told about the account that is signed in."""
    return {
        "id": account.id,
        "email": account.email,
        "roles": sorted(account.roles),
        "factors": sorted(factors),
        "csrf_token": csrf_token,
    }


def describe_session(
    session: SessionRecord, current: SessionRecord | None
) -> dict[str, Any]:
    """Return what an owner is told about a session; never anything of its token."""
    return {
        "id": session.public_id,
        "created": moment(session.created),
        "last_seen": moment(session.last_seen),
        "address": session.address,
        "device": session.device,
        "current": current is not None and session.token_hash == current.token_hash,
        "moved": describe_move(session),
    }


def describe_move(session: SessionRecord | None) -> dict[str, str] | None:
    """Return when and where a session turned up on another network and another device
    at once, ``None`` if it never did."""
    if session is None or not session.moved_at:
        return None
    return {
        "at": moment(session.moved_at),
        "address": session.moved_network,
        "device": session.moved_device,
    }


def moment(time: float) -> str:
    """Return a moment as ISO 8601, in whole seconds."""
    return datetime.fromtimestamp(int(time), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
