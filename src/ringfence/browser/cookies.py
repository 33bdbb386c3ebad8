"""Give every cookie the attributes that keep it from being stolen or misused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_SAME_SITE = re.compile(rb"samesite\s*(?:=|\Z)", re.IGNORECASE)
_SCOPE = re.compile(rb"(?:domain|path)\s*(?:=|\Z)", re.IGNORECASE)
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_HOST_PREFIXES = (b"__host-",)  # __Host-Http- begins with it
_HTTP_PREFIXES = (b"__http-", b"__host-http-")
_MOST_TOLD = 100  # names of cookies; an application could make up a name a visitor


def harden(value: bytes, *, secure: bool, readable: frozenset[str]) -> bytes:
    """Return a ``Set-Cookie`` value with what its author left out.

    Adds ``Secure`` (over https), ``HttpOnly`` (unless scripts must read it) and
    ``SameSite=Lax``; turns ``SameSite=None`` without ``Secure``, which browsers drop,
    into ``Lax``. Over https a name that begins with ``__Host-`` gets ``Path=/`` and
    loses ``Domain``, since browsers drop it otherwise. What is there else stays as it
    is, and nothing comes twice.

    Args:
        value: one header value, as the application wrote it.
        secure: the service is reached by https.
        readable: names of the cookies that scripts may read.

    Raises:
        ValueError: a control character, which would end the header (CWE-113).

    Source: RFC 6265bis, 4.1 and 5.6; ASVS 5.0 V3.3; CWE-614, CWE-1004, CWE-1275.

    Not covered: over plain http browsers drop every cookie with a prefix.
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
    name = pair.partition(b"=")[0].strip()
    folded = name.lower()  # browsers fold the prefix too
    if secure and folded.startswith(_HOST_PREFIXES) and not _keeps_host(wishes):
        attributes = [part for part in attributes if not _SCOPE.match(part)]
        added.append(b"Path=/")
    if secure and b"secure" not in wishes:
        added.append(b"Secure")
    may_read = name.decode("latin-1") in readable
    if b"httponly" not in wishes and not (
        may_read and not folded.startswith(_HTTP_PREFIXES)
    ):
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


def _keeps_host(wishes: Mapping[bytes, bytes]) -> bool:
    return wishes.get(b"path") == b"/" and b"domain" not in wishes


class Hardener:
    """Harden cookies, and tell once for each name what its author left out.

    Args:
        secure: the service is reached by https.
        readable: names of the cookies that scripts may read.
        tell: takes a sentence for the developer; ``None`` to tell nobody.
    """

    def __init__(
        self,
        *,
        secure: bool,
        readable: frozenset[str],
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self._secure = secure
        self._readable = readable
        self._tell = tell
        self._told: set[bytes] = set()

    def __call__(self, value: bytes) -> bytes:
        """Return a ``Set-Cookie`` value as it may leave.

        Raises:
            ValueError: a control character.
        """
        hardened = harden(value, secure=self._secure, readable=self._readable)
        if self._tell is not None and hardened != value:
            name = value.partition(b";")[0].partition(b"=")[0].strip()
            if name not in self._told and len(self._told) < _MOST_TOLD:
                self._told.add(name)
                self._tell(describe_change(value, hardened))
        return hardened


def describe_change(value: bytes, hardened: bytes) -> str:
    """Return in a sentence what hardening did to a cookie, without its value.

    Args:
        value: as the application wrote it.
        hardened: as it leaves.
    """
    before, after = _attributes(value), _attributes(hardened)
    added = ", ".join(one for one in after if one not in before)
    lost = ", ".join(one for one in before if one not in after)
    name = ascii(value.partition(b";")[0].partition(b"=")[0].strip().decode("latin-1"))
    cure = "write them where the cookie is set"
    if "HttpOnly" in added:
        cure += ", or name it in browser.readable_cookies if scripts must read it"
    without = f", without {lost}" if lost else ""
    return f"the cookie {name} leaves with {added}{without}; {cure}"


def _attributes(value: bytes) -> list[str]:
    found = (part.strip().decode("latin-1") for part in value.split(b";")[1:])
    return [ascii(one)[1:-1] for one in found if one]
