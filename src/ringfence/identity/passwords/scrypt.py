"""scrypt as Django, passlib and Werkzeug store it: verified only, never made."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from hashlib import scrypt

from ringfence.identity.passwords.encodings import (
    damaged,
    number,
    too_costly,
    unbase64,
    unhex,
)
from ringfence.identity.passwords.stored import Claim, Reader

_MOST_WORK = 2**22  # N * r * p: two seconds of one core; OWASP's N=2^17, r=8 is 2^20
_MOST_BLOCKS = 32
_TAG_BYTES = frozenset({32, 64})
_BYTES_A_BLOCK = 128
_KIB = 1024

# django: scrypt$16384$SALT$8$5$BASE64           the salt is text
# werkzeug: scrypt:32768:8:1$SALT$HEX            the salt is text
# passlib: $scrypt$ln=16,r=8,p=1$BASE64$BASE64
_DJANGO = re.compile(
    r"scrypt\$(?P<n>\d+)\$(?P<salt>[^$]+)\$(?P<r>\d+)\$(?P<p>\d+)\$(?P<tag>[^$]+)"
)
_WERKZEUG = re.compile(
    r"scrypt:(?P<n>\d+):(?P<r>\d+):(?P<p>\d+)\$(?P<salt>[^$]+)\$(?P<tag>[^$]+)"
)
_PASSLIB = re.compile(
    r"\$scrypt\$ln=(?P<ln>\d{1,2}),r=(?P<r>\d+),p=(?P<p>\d+)"
    r"\$(?P<salt>[^$]*)\$(?P<tag>[^$]+)"
)


def reader(memory_kib: int) -> Reader:
    """Return the reader of scrypt hashes.

    Args:
        memory_kib: KiB that one of them may hold.

    Source: RFC 7914; OWASP Password Storage Cheat Sheet.
    """

    def read(stored: str) -> Claim | None:
        if found := _DJANGO.fullmatch(stored):
            salt, tag = found["salt"].encode(), unbase64(found["tag"])
            n = number(found["n"])
        elif found := _WERKZEUG.fullmatch(stored):
            salt, tag = found["salt"].encode(), unhex(found["tag"])
            n = number(found["n"])
        elif found := _PASSLIB.fullmatch(stored):
            salt, tag = unbase64(found["salt"]), unbase64(found["tag"])
            n = 1 << number(found["ln"])
        elif stored.startswith(("scrypt$", "scrypt:", "$scrypt$")):
            raise damaged()
        else:
            return None
        r, p = number(found["r"]), number(found["p"])
        is_sound = n > 1 and not n & (n - 1) and r and p
        if not is_sound or len(tag) not in _TAG_BYTES:
            raise damaged()
        kib = _BYTES_A_BLOCK * r * (n + p) // _KIB + 1
        if n * r * p > _MOST_WORK or r > _MOST_BLOCKS or kib > memory_kib:
            raise too_costly()
        return Claim(kib, _check(salt, tag, n=n, r=r, p=p))

    return read


def _check(salt: bytes, tag: bytes, *, n: int, r: int, p: int) -> Callable[[str], bool]:
    most = _BYTES_A_BLOCK * r * (n + p + 2)

    def fits(password: str) -> bool:
        made = scrypt(
            password.encode(), salt=salt, n=n, r=r, p=p, maxmem=most, dklen=len(tag)
        )
        return hmac.compare_digest(made, tag)

    return fits
