"""The signed hint in a session cookie: whose session it is, before it is looked up."""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import NamedTuple

_MAC_BYTES = 16  # HMAC-SHA-256-128, RFC 4868 section 2.1.1
# What an account's id may be to stand in a cookie as it is (RFC 6265, section 4.1.1).
_is_plain = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
_is_mac = re.compile(r"[A-Za-z0-9_-]{22}").fullmatch


class SessionName(NamedTuple):
    """What a session cookie says.

    Args:
        token_hash: SHA-256 of its token.
        account_id: whose session it is said to be, signed by us; empty if it does not
            say.
    """

    token_hash: bytes
    account_id: str


class SessionHints:
    """Writes and reads the value of a session cookie: a token, and with a hint
    ``token.account.mac``.

    A store in the network keeps what it knows of an account in one place. So the
    account must be known before the session is found: to ask once, and not twice.

    The hint is no credential: it opens nothing without the session. It is signed so
    that nobody has another's limits charged (CWE-345). One that is signed with a key
    that this process has not, newer or older than its own, is as good as none: while
    keys are replaced, one process after the other, nobody is signed out by that.

    Args:
        keys: returns the keys that hints are signed with, the newest first.
        written: whether new cookies have one. They are read in any case.

    Source: RFC 2104; ASVS 5.0 V7.2.

    Not covered: who strips the hint from a cookie, or makes one up, is asked after in
    the database.
    """

    def __init__(self, keys: Callable[[], Sequence[bytes]], *, written: bool) -> None:
        self._keys = keys
        self._written = written

    def write(self, token: str, account_id: str) -> str:
        """Return the cookie's value for the session of an account."""
        if not self._written or _is_plain(account_id) is None:
            return token
        token_hash = sha256(token.encode("latin-1")).digest()
        mac = _mac(self._keys()[0], token_hash, account_id)
        return f"{token}.{account_id}.{mac}"

    def read(self, value: bytes) -> SessionName | None:
        """Return what a cookie's value says; the account only if we have signed it.
        ``None`` if the value is none that we ever write."""
        token, dot, hint = value.partition(b".")
        token_hash = sha256(token).digest()
        if not dot:
            return SessionName(token_hash, "")
        account_id, _, mac = hint.decode("latin-1").partition(".")
        if _is_plain(account_id) is None or _is_mac(mac) is None:
            return None
        for key in self._keys():
            if hmac.compare_digest(_mac(key, token_hash, account_id), mac):
                return SessionName(token_hash, account_id)
        return SessionName(token_hash, "")


def _mac(key: bytes, token_hash: bytes, account_id: str) -> str:
    # The hash has a fixed length: no other pair makes the same message.
    digest = hmac.digest(key, token_hash + account_id.encode("ascii"), "sha256")
    return urlsafe_b64encode(digest[:_MAC_BYTES]).rstrip(b"=").decode("ascii")
