"""Where browsers are sent: to pages of ours, or to those that are declared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from ringfence.exchange import Exchange
from ringfence.interpreters.objection import object_to
from ringfence.interpreters.sink import Here, Sink
from ringfence.interpreters.untrusted import Input
from ringfence.interpreters.urls.checked import is_among, read_url
from ringfence.interpreters.urls.named import fold_host, hosts_of

SINK = Sink("redirect", "location")

_CONTROL = re.compile(r"[\x00-\x20\x7f\\]")
_LOCAL = re.compile(r"/(?:[^/?#][^?#]*)?(?:[?#].*)?")
# What browsers drop or turn before they look (WHATWG URL, section 4.4).
_AS_BROWSERS = str.maketrans("\\", "/", "\t\r\n")
_ABROAD = re.compile(r"(?:(?:https?:)?/{2,}|https?:/?)([^/?#]+)", re.IGNORECASE)
_LONGEST = 300  # characters in which a host ends
_AUTHORITY_ENDS = re.compile(r"[/?#:]")
_AT_HOME = frozenset({"origin", "referer"})  # they send nobody anywhere new


def redirect_target(
    text: str, *, allowed: Sequence[str] = (), otherwise: str | None = None
) -> str:
    r"""Return where a browser may be sent to, by a ``next`` that came with a request.

    Stops links to this site that end on another one, which looks like it (open
    redirect, CVE-2021-32618, CVE-2023-49438: ``///x``, ``/\x``, tabs, user names).

    Args:
        text: a path of this site, or a URL of one of ``allowed``.
        allowed: hosts, ``app.example.com``; with a dot in front also all below.
        otherwise: what to return where the text leads elsewhere; ``None`` raises.

    Raises:
        InjectionRefusedError: it leads elsewhere. The guard answers with 400.

    Source: ASVS 5.0 V3.7.2; CWE-601.

    Not covered: a page of this site that sends the browser on once more.
    """
    path = text.partition("?")[0].partition("#")[0]
    if _LOCAL.fullmatch(text) and not _CONTROL.search(text) and "//" not in path:
        return text
    if otherwise is not None and not _is_read_alike(text, allowed):
        return otherwise
    checked = read_url(text)
    if checked.scheme not in {"https", "http"} or not is_among(checked.host, allowed):
        object_to(SINK, "it leads to another site")
    return str(checked)


def _is_read_alike(text: str, allowed: Sequence[str]) -> bool:
    """Return whether a text is a plain URL of an allowed host, without refusing it."""
    if _CONTROL.search(text) or "@" in text.partition("?")[0]:
        return False
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    is_web = parts.scheme in {"https", "http"} and port != 0
    return is_web and is_among(host, allowed)


def judge_location(location: str, exchange: Exchange, own: Sequence[str]) -> None:
    """Refuse an answer that sends the browser to a site that an input has named.

    Args:
        location: of the answer.
        exchange: the request.
        own: origins of this service.

    Raises:
        InjectionRefusedError: unless the host is the own one or declared in
            ``interpreters.redirects``.
    """
    abroad = _ABROAD.match(location.strip().translate(_AS_BROWSERS))
    if exchange.sinks is None or abroad is None:
        return
    whom = Here(exchange)
    whom.reached(SINK, "raw", location)
    declared = exchange.sinks.settings.redirects
    known = {fold_host(_hostname(one)) for one in (f"//{exchange.host}", *own)}
    for target in hosts_of([Input(f"//{abroad[1]}", "header", "location")]):
        if target.host in known or is_among(target.host, declared):
            continue
        chosen = _brought(target.host, whom) or _begun(target.host, whom)
        if chosen is not None:
            whom.refuse(SINK, "an input chooses the site", chosen)
            return


def _hostname(url: str) -> str:
    return urlsplit(url).hostname or ""


def _brought(host: str, whom: Here) -> Input | None:
    return next(
        (
            named.given
            for named in hosts_of(whom.inputs.values)
            if named.is_host(host)
            and not (named.given.place == "header" and named.given.name in _AT_HOME)
        ),
        None,
    )


def _begun(host: str, whom: Here) -> Input | None:
    """Return the input that begins with a host, as a path does to which a handler adds
    the slash that makes another site of it: ``"/" + "/evil.example"``."""
    for given in whom.inputs.values:
        if given.place == "header":
            continue
        text = given.text[:_LONGEST].translate(_AS_BROWSERS).strip().lstrip("/")
        if fold_host(_AUTHORITY_ENDS.split(text, maxsplit=1)[0]) == host:
            return given
    return None
