"""Give every cookie the attributes that keep it from being stolen or misused."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SAME_SITE = re.compile(rb"samesite\s*(?:=|\Z)", re.IGNORECASE)
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def harden(value: bytes, *, secure: bool, readable: frozenset[str]) -> bytes:
    """Return a ``Set-Cookie`` value with what its author left out.

    Adds ``Secure`` (over https), ``HttpOnly`` (unless scripts must read it) and
    ``SameSite=Lax``; turns ``SameSite=None`` without ``Secure``, which browsers drop,
    into ``Lax``. What is there stays as it is, and nothing comes twice.

    Args:
        value: one header value, as the application wrote it.
        secure: the service is reached by https.
        readable: names of the cookies that scripts may read.

    Raises:
        ValueError: a control character, which would end the header (CWE-113).

    Source: RFC 6265bis, 4.1 and 5.6; ASVS 5.0 V3.3; CWE-614, CWE-1004, CWE-1275.
    """
    if _CONTROL.search(value):
        raise ValueError("a cookie contains a control character")
    pair, *rest = value.split(b";")
    attributes = [part.strip() for part in rest]
    wishes = {
        name.strip().lower(): wish.strip().lower()
        for name, _, wish in (part.partition(b"=") for part in attributes)
    }  # the last one counts, as in browsers
    added = []
    if secure and b"secure" not in wishes:
        added.append(b"Secure")
    name = pair.partition(b"=")[0].strip().decode("latin-1")
    if b"httponly" not in wishes and name not in readable:
        added.append(b"HttpOnly")
    if not _keeps_site(wishes):
        attributes = [part for part in attributes if not _SAME_SITE.match(part)]
        added.append(b"SameSite=Lax")
    if not added:
        return value
    return b"; ".join([pair.rstrip(), *filter(None, attributes), *added])


def _keeps_site(wishes: Mapping[bytes, bytes]) -> bool:
    site = wishes.get(b"samesite")
    return site in {b"lax", b"strict"} or (site == b"none" and b"secure" in wishes)
