"""What the identity routes answer with, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec

from ringfence.denial import Denial
from ringfence.identity.entrance import SecondFactorNeeded
from ringfence.identity.refusals import Invalid
from ringfence.identity.tokens.families import public_id
from ringfence.identity.tokens.refresh import Pair
from ringfence.identity.tokens.refusals import OAUTH_ERRORS
from ringfence.stores.contracts import AccountRecord, Grant, SessionRecord

_FACTORS = "factor "  # a remedy that begins so names factors, with commas between


def problem(denial: Denial, request_id: str) -> bytes:
    """Return the body that a refusal is answered with, in the shape of all refusals.

    ``errors`` say what is wrong with single fields. Where a second factor is missing,
    ``factors`` are those of which any one would do; half a sign-in carries ``pending``
    as well, to be sent along with it. What OAuth has a name for carries that as
    ``error``, for clients that know no other.

    Source: RFC 9457; RFC 6749, section 5.2; RFC 9449, section 5.
    """
    members: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(denial.status).phrase,
        "status": denial.status,
        "detail": denial.detail,
        "code": denial.code,
        "request_id": request_id,
    }
    if denial.code in OAUTH_ERRORS:
        members["error"] = OAUTH_ERRORS[denial.code]
    if isinstance(denial, Invalid):
        members["errors"] = [
            {"field": field, "message": sentence} for field, sentence in denial.fields
        ]
    if isinstance(denial, SecondFactorNeeded):
        members |= {"factors": denial.factors, "pending": denial.pending}
    elif denial.remedy.startswith(_FACTORS):
        members["factors"] = denial.remedy.removeprefix(_FACTORS).split(",")
    return msgspec.json.encode(members)


def describe_account(
    account: AccountRecord, factors: Iterable[str], csrf_token: str
) -> Mapping[str, Any]:
    """Return what an owner is told about the account that is signed in."""
    return {
        "id": account.id,
        "email": account.email,
        "roles": sorted(account.roles),
        "tenant": account.tenant,
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


def describe_tokens(pair: Pair, now: float) -> dict[str, Any]:
    """Return what a program gets for a sign-in or a refresh token.

    Args:
        pair: the tokens.
        now: Unix seconds.

    Source: RFC 6749, section 5.1; RFC 9449, section 5.
    """
    return {
        "access_token": pair.access,
        "token_type": "DPoP" if pair.is_bound else "Bearer",
        "expires_in": max(0, int(pair.expires - now)),
        "refresh_token": pair.refresh,
    }


def describe_family(grant: Grant, here: str) -> dict[str, Any]:
    """Return what an owner is told about a family of tokens; never anything of them.

    Args:
        grant: the family.
        here: the one that the request has come with.
    """
    family = public_id(grant.id)
    return {
        "id": family,
        "created": moment(grant.created),
        "last_used": moment(grant.used),
        "expires": moment(min(grant.expires, grant.ends)),
        "address": grant.address,
        "device": grant.device,
        "bound": bool(grant.key),
        "current": family == here,
    }


def moment(time: float) -> str:
    """Return a moment as ISO 8601, in whole seconds."""
    return datetime.fromtimestamp(int(time), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
