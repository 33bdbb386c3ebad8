"""``ringfence why``: why a request was refused, or would be."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ringfence.audit.events import InjectionStopped
from ringfence.audit.redact import escape_controls
from ringfence.audit.search import events_of
from ringfence.cli.target import load_target
from ringfence.clock import system_clock
from ringfence.errors import SettingsError
from ringfence.guard.accounts import open_accounts
from ringfence.guard.plan import RoutePlan
from ringfence.guard.questions import QUESTIONS, REMEDIES
from ringfence.principal import Principal
from ringfence.settings import Settings

_FOUND = 1
_MINUTE = 60.0
_REQUEST_ID = re.compile(r"[0-9a-f]{16}")
_REQUEST = re.compile(r"(?P<method>[A-Z]+) +(?P<address>(?:/|https?://)\S*)")
_TOLD = {
    "event",
    "time",
    "process",
    "sequence",
    "level",
    "request_id",
    "client",
    "account",
}
_TOLD |= {"method", "path"}
_PASSED, _REFUSED, _UNASKED, _DEPENDS = "passed", "REFUSED", "not asked", "depends"


def explain(request_id: str, file: Path | None) -> int:
    """Say what happened to a request, from the ledger.

    Raises:
        SettingsError: that is no request id, or the ledger cannot be read.
    """
    if not _REQUEST_ID.fullmatch(request_id):
        message = (
            f"{request_id!r} is no request id; it has 16 characters of 0-9 and a-f, as "
            "every refusal shows it (request_id, or the header x-request-id)"
        )
        raise SettingsError(message)
    if file is None:
        settings = Settings.load()
        file = settings.audit.file or settings.data / "audit.jsonl"
    events = events_of(request_id, file, _progress)
    if not events:
        _say(
            f"The ledger {file} knows nothing of {request_id}.",
            "Requests that are allowed leave no event, and of a flood only some are "
            "written (audit_events_lost counts the others).",
        )
        return _FOUND
    for event in events:
        _say(*_told(event), "")
    return 0


def _told(event: Mapping[str, Any]) -> Iterator[str]:
    path = event.get("path") or event.get("route", "")
    what = f"{event.get('method', '')} {path}".strip()
    who = f"account {event['account']}" if event.get("account") else "nobody signed in"
    yield f"{event.get('time', '')}  {event['event']}  {what}"
    yield f"  from {event.get('client') or 'nowhere'}, {who}"
    code = event.get("code", "")
    if not code:
        yield from _besides(event)
        return
    yield f"  {event.get('status', '')} {code}"
    if event.get("route"):
        yield f"  route {event['route']}"
    for stage in event.get("passed", ()):
        yield _line(_PASSED, stage)
    private = event.get("private", "")
    if event.get("stage"):
        yield _line(_REFUSED, event["stage"], f" ({private})" if private else "")
    elif private:  # by what the application has called, or by its answer
        yield f"  {_REFUSED:<10} while it was answered: {private}"
    for stage in event.get("unasked", ()):
        yield _line(_UNASKED, stage)
    yield from _remedy(code)


def _besides(event: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an event says that is no refusal of a request itself."""
    if event["event"] == InjectionStopped.name:
        yield f"  {event.get('interpreter', '')}: {event.get('private', '')}"
        if event.get("watched"):
            yield "  let pass, since the dry run names sinks"
            yield from _remedy(f"interpreters.{event.get('interpreter', '')}")
        return
    for name, value in event.items():
        if name not in _TOLD:
            yield f"  {name}: {value}"


def consider(request: str, account: str, target: str, *, age: float = 0.0) -> int:
    """Say what would become of a request that is not sent.

    Args:
        request: method and path.
        account: address of who would send it, empty for nobody who is signed in.
        target: the guard.
        age: minutes since they have signed in.

    Raises:
        SettingsError: the request, the account or the target is not understood.
    """
    asked = _REQUEST.fullmatch(request.strip())
    if asked is None:
        message = (
            f"{request!r} is no request; write a method and a path, as in "
            '--try "GET /api/orders/7"'
        )
        raise SettingsError(message)
    guard = load_target(target)
    signed_in_at = system_clock() - age * _MINUTE
    principal = (
        asyncio.run(_principal(guard.settings, account, signed_in_at))
        if account
        else None
    )
    said = asyncio.run(guard.consider(asked["method"], asked["address"], principal))
    denial = said.denial
    _say(
        f"{request.strip()} as {account or 'nobody who is signed in'}",
        *_where(said.plan),
        *(f"  limit {limit}" for limit in said.plan.limits),
        *(
            _line(
                _REFUSED if one.denial else _PASSED if one.decided else _DEPENDS,
                one.stage,
            )
            for one in said.stages
        ),
    )
    if said.plan.kind == "answer" and denial is None:
        _say("  The framework answers by itself: 405, or the redirect of a slash.")
        return _FOUND
    if denial is None:
        _say("  Nothing refuses it that can be asked before it is sent.")
        return 0
    _say(f"  {denial.status} {denial.code}: {denial.detail}", *_remedy(denial.code))
    return _FOUND


async def _principal(settings: Settings, email: str, signed_in_at: float) -> Principal:
    async with open_accounts(settings) as accounts:
        found = await accounts.by_email(email)
    if found is None:
        message = f"there is no account {email!r}; ringfence accounts list shows them"
        raise SettingsError(message)
    if found.disabled:
        raise SettingsError(f"the account {email!r} is disabled and cannot sign in")
    return Principal(
        found.id,
        found.roles,
        frozenset({"password"}),
        signed_in_at,
        tenant=found.tenant,
    )


def _where(plan: RoutePlan) -> Iterator[str]:
    if plan.kind == "nowhere":
        yield "  no route"
        return
    if plan.kind == "answer":
        yield "  no route for this method, or for this path with or without its slash"
        return
    place = f", {plan.place}" if plan.place.name else ""
    yield f"  route {plan.path}, policy {plan.policy}{place}"


def _line(verdict: str, stage: str, more: str = "") -> str:
    return f"  {verdict:<10} {stage:<24} {QUESTIONS.get(stage, '')}{more}"


def _remedy(code: str) -> Iterator[str]:
    if code in REMEDIES:
        yield f"  {REMEDIES[code]}"


def _progress(done: int, of: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\rsearched {done >> 20} of {of >> 20} MiB")
        sys.stderr.flush()


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{escape_controls(line)}\n" for line in lines))
