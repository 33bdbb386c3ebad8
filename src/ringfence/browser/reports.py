"""What browsers report: taken by anybody's word, bounded, made inert, written down."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from ringfence.audit.events import BrowserReport
from ringfence.audit.log import AuditLog
from ringfence.denial import Answer, Denial
from ringfence.errors import BodyRefusedError, StoreError
from ringfence.exchange import Exchange, Stage, at_once
from ringfence.stores.contracts import Charge, CounterStore

LARGEST = 65_536
"""Bytes of a body. A browser sends together what one page has broken, a kilobyte each
(Chromium 156: 59 refused pictures, 52 kB)."""

_MOST_REPORTS = 10  # read of one body
_LONGEST_FIELD = 300  # characters
_MINUTE = 60.0
_PER_NETWORK = 30  # bodies a minute: a page that breaks its policy on every visit
_IN_ALL = 600  # bodies a minute

_TAKEN = Answer(204)
_OLD = b"application/csp-report"
_NEW = b"application/reports+json"
_KINDS = frozenset(
    {
        "coep",
        "coop",
        "csp-violation",
        "integrity-violation",
        "permissions-policy-violation",
    }
)
# What a visitor's extensions put into every page says nothing about the page.
_EXTENSION = re.compile(r"[a-z-]+-extension(?::|\Z)", re.IGNORECASE)

_Number = Annotated[int, msgspec.Meta(ge=0)]


class _Body(msgspec.Struct, frozen=True, rename="camel"):
    """What the Reporting API says in the body of a report, as far as it is of use."""

    effective_directive: str = ""
    policy_id: str = ""
    destination: str = ""
    disposition: str = ""
    blocked_url: str | None = msgspec.field(default="", name="blockedURL")
    source_file: str | None = ""
    line_number: _Number | None = 0
    sample: str | None = ""


class _Report(msgspec.Struct, frozen=True):
    type: str
    url: str
    body: _Body


class _Violation(msgspec.Struct, frozen=True, rename="kebab"):
    """What ``report-uri`` sends (CSP level 3, 5.3)."""

    document_uri: str
    effective_directive: str = ""
    violated_directive: str = ""
    disposition: str = ""
    blocked_uri: str = ""
    source_file: str | None = ""
    line_number: _Number | None = 0
    script_sample: str | None = ""

    def as_report(self) -> _Report:
        """Return the same in today's words."""
        return _Report(
            type="csp-violation",
            url=self.document_uri,
            body=_Body(
                effective_directive=self.effective_directive or self.violated_directive,
                disposition=self.disposition,
                blocked_url=self.blocked_uri,
                source_file=self.source_file,
                line_number=self.line_number,
                sample=self.script_sample,
            ),
        )


class _OldReport(msgspec.Struct, frozen=True):
    violation: _Violation = msgspec.field(name="csp-report")


_DECODE_OLD = msgspec.json.Decoder(_OldReport)
_DECODE_NEW = msgspec.json.Decoder(list[msgspec.Raw])
_DECODE_ONE = msgspec.json.Decoder(_Report)


def ignore_others() -> Stage:
    """Return the stage that answers for what is no report, before a body is read.

    It answers 204 even to what is too large: browsers try again what is refused.
    """

    def ignore(exchange: Exchange) -> Answer | None:
        headers = exchange.headers
        length = headers.get(b"content-length", b"0")
        is_report = _media_type(headers) in {_OLD, _NEW} and int(length) <= LARGEST
        return None if is_report and not _is_foreign(headers) else _TAKEN

    return at_once(ignore)


def collect_reports(counters: CounterStore, audit: AuditLog) -> Stage:
    """Return the stage that takes what browsers report and answers 204, whatever it is.
    Behind ``ignore_others`` and a cap on the body.

    Anybody can post here, and nothing that is said can be proven. So it costs little
    (a small body, a few reports of it, two budgets), it is taken for text and nothing
    else (cut, without control characters, without the query of an address, which may
    hold a token), it cannot push other events out of the ledger, and the answer is the
    same for what was recorded and what was not.

    Args:
        counters: keeps the budgets.
        audit: takes the events.

    Not covered: whether a report is true.

    Source: W3C Reporting API; W3C CSP level 3, 5; CWE-117, CWE-400, CWE-779.
    """

    async def collect(exchange: Exchange) -> Answer | Denial:
        if await _has_budget(counters, exchange.network):
            try:
                body = await _read_body(exchange)
            except BodyRefusedError:  # too slow, or longer than it may be
                return exchange.denial or _TAKEN
            media_type = _media_type(exchange.headers)
            for report in read_reports(media_type, body, host=exchange.host):
                audit.record(_as_event(report, exchange))
        return _TAKEN

    return collect


def read_reports(media_type: bytes, body: bytes, *, host: str) -> list[_Report]:
    """Return the reports of a body that are about pages of this host; none if it
    cannot be read.

    Args:
        media_type: of the two that browsers use.
        body: at most ``LARGEST`` bytes.
        host: as it was asked, with its port if it has one.
    """
    try:
        found = _decode(media_type, body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []
    return [
        report
        for report in found
        if report.type in _KINDS
        and _host_of(report.url) == host
        and not _EXTENSION.match(report.body.blocked_url or "")
        and not _EXTENSION.match(report.body.source_file or "")
    ]


def _decode(media_type: bytes, body: bytes) -> list[_Report]:
    if media_type == _OLD:
        return [_DECODE_OLD.decode(body).violation.as_report()]
    found = []
    for raw in _DECODE_NEW.decode(body)[:_MOST_REPORTS]:
        # Another kind with another body does not spoil its neighbours.
        with suppress(msgspec.ValidationError):
            found.append(_DECODE_ONE.decode(raw))
    return found


def _media_type(headers: Mapping[bytes, bytes]) -> bytes:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def _is_foreign(headers: Mapping[bytes, bytes]) -> bool:
    """Another site may name this address in its own policy, and have the browsers of
    all its visitors report here."""
    return headers.get(b"sec-fetch-site", b"same-origin") == b"cross-site"


async def _has_budget(counters: CounterStore, network: str) -> bool:
    charges = (
        Charge(b"browser.reports\0" + network.encode(), _PER_NETWORK, _MINUTE),
        Charge(b"browser.reports", _IN_ALL, _MINUTE),
    )
    try:
        verdict = await counters.take(charges)
    except StoreError:
        return False  # a report is not worth a failure
    return verdict.refused < 0


async def _read_body(exchange: Exchange) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await exchange.receive()
        if message["type"] != "http.request":
            return b""  # gone before the end
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body)


def _as_event(report: _Report, exchange: Exchange) -> BrowserReport:
    body = report.body
    source = _address(body.source_file or "")
    return BrowserReport(
        request_id=exchange.request_id,
        client=exchange.client,
        kind=report.type,
        page=_address(report.url),
        rule=_inert(body.effective_directive or body.policy_id or body.destination),
        disposition=_inert(body.disposition),
        blocked=_address(body.blocked_url or ""),
        source=f"{source}:{body.line_number or 0}" if source else "",
        sample=_inert(body.sample or ""),
    )


def _address(text: str) -> str:
    """Return an address without what may hold a secret: query, fragment, password."""
    scheme, slashes, rest = text.partition("://")
    if not slashes:
        return _inert(text)  # a word such as "inline"
    path = rest.partition("#")[0].partition("?")[0]
    authority, slash, further = path.partition("/")
    return _inert(f"{scheme}://{authority.rpartition('@')[2]}{slash}{further}")


def _host_of(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parts.netloc.lower() if parts.scheme in {"http", "https"} else ""


def _inert(text: str) -> str:
    """Return text that does nothing where it is shown: no line break, no escape of a
    terminal, no sign that turns the direction of writing, and not too much of it."""
    cut = text[:_LONGEST_FIELD]
    if cut.isprintable():
        return cut
    return "".join(
        sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in cut
    )
