"""Ids that nobody guesses: a second line, behind rules about rows, and never instead.

An id that cannot be guessed keeps strangers from trying the next one, and counters from
telling how much business there is. It is no permission: ids stand in addresses, logs
and mails, and whoever has seen one knows it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, overload

from ringfence.access.ownership.refusals import NOT_FOUND, refuse
from ringfence.secrets.secret import Secret

Keys = Callable[[str], Sequence[bytes]]
"""Returns the keys of a purpose, the signing one first: ``Guard.keys_for``."""

Id = TypeVar("Id", int, str)

_RANDOM_BITS = 74  # of a UUID, without its time and its version
_TAIL_BITS = 62
_MAC_BYTES = 16  # half of SHA-256; RFC 2104 section 5 asks for no less
_LEAST_SECRET = 32  # characters
_MOST_TEXT = 200  # characters that are looked at
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9._~-]{1,128}", re.ASCII)


def fresh() -> str:
    """Return a new id: a UUID of version 7, which begins with the time.

    New rows stand side by side in an index, and 74 random bits keep anybody from
    guessing another's. They are drawn anew for each id: Python's own ``uuid.uuid7``
    counts within a millisecond, which leaves 32 of them to whoever has an id of the
    same moment.

    Returns:
        36 characters, for a column or a document's ``_id``.

    Source: RFC 9562 section 5.7 and 6.9 (unguessability); ASVS 5.0 V8.2.2; CWE-340.

    Not covered: order. Ids of the same millisecond come in any order. And the time at
    which a row was made can be read off its id.
    """
    random = secrets.randbits(_RANDOM_BITS)
    now = time.time_ns() // 1_000_000 & (1 << 48) - 1
    version, variant = 7 << 76, 0b10 << _TAIL_BITS
    head = random >> _TAIL_BITS << 64
    tail = random & (1 << _TAIL_BITS) - 1
    return str(uuid.UUID(int=now << 80 | version | head | variant | tail))


class Signed(Generic[Id]):
    """Signs the ids of rows that are numbered, on their way out, and reads them back.

    ``1002`` becomes ``1002.q3T…``: the number is no secret, but the next one cannot be
    made up::

        order_ids = ids.Signed(lambda purpose: app.keys_for(purpose), "orders")

        order_ids.sign(order.id)       # in answers and links
        order_ids.read("1002.q3T...")  # in handlers: 1002, or 404

    Args:
        keys: returns the keys of a purpose, as ``Guard.keys_for`` does; or one key, a
            ``Secret`` of 32 characters or more.
        purpose: what the ids are of: an order's is worth nothing as an invoice's.
        of: ``int``, or ``str`` for ids of letters, digits and ``. _ ~ -``.

    Raises:
        TypeError: no keys, or ids of another kind.
        ValueError: a short key, or no purpose.

    Source: RFC 2104 (HMAC, with SHA-256); ASVS 5.0 V8.2.2; CWE-639, CWE-340.

    Not covered: who may use an id; a link that somebody has passed on works for whoever
    may see the row. Ids signed with a key that has been retired are no longer read:
    sign on the way out, and do not store what was signed.
    """

    @overload
    def __init__(
        self: Signed[int], keys: Keys | Secret, purpose: str, *, of: type[int] = int
    ) -> None: ...

    @overload
    def __init__(
        self: Signed[str], keys: Keys | Secret, purpose: str, *, of: type[str]
    ) -> None: ...

    def __init__(
        self, keys: Keys | Secret, purpose: str, *, of: type[int | str] = int
    ) -> None:
        if of not in (int, str):
            raise TypeError(f"ids are int or str, not {of!r}")
        if not isinstance(purpose, str) or not purpose or "\x00" in purpose:
            raise ValueError('ids need a purpose, as in Signed(keys, "orders")')
        self._keys = _of_secret(keys) if isinstance(keys, Secret) else keys
        if not callable(self._keys):
            raise TypeError("ids.Signed takes Guard.keys_for, or a Secret")
        self._purpose = purpose
        self._of = of

    def sign(self, value: Id) -> str:
        """Return an id as others get to see it.

        Raises:
            TypeError: an id of another kind.
            ValueError: a negative number or one beyond 64 bits, or a text that could
                not stand in an address.
        """
        if type(value) is not self._of:
            raise TypeError(f"{value!r} is no {self._of.__name__}")
        text = str(value)
        if not self._is_written(text):
            raise ValueError(f"{text!r} cannot be signed: it could not be read back")
        key, *_ = self._keys(_name(self._purpose))
        return f"{text}.{self._mac(key, text)}"

    def read(self, text: str) -> Id:
        """Return the id that was signed.

        Raises:
            OwnershipRefusedError: nobody here has signed it, or for something else; the
                request is answered with 404, as for a row that is not there.
        """
        value = self._signed(text) if isinstance(text, str) else None
        if value is None:
            refuse(NOT_FOUND, f"{self._purpose}: an id that was not signed here")
        return self._of(value)  # type: ignore[return-value]  # int or str, as declared

    def _signed(self, text: str) -> str | None:
        """Return what stands before the signature; ``None`` unless it is a good one."""
        value, _, mac = text.rpartition(".")
        if len(text) > _MOST_TEXT or not self._is_written(value) or not mac.isascii():
            return None
        for key in self._keys(_name(self._purpose)):
            if hmac.compare_digest(mac, self._mac(key, value)):
                return value
        return None

    def _is_written(self, text: str) -> bool:
        form = _NUMBER if self._of is int else _WORD
        return form.fullmatch(text) is not None and (
            self._of is str or int(text) < 1 << 63
        )

    def _mac(self, key: bytes, text: str) -> str:
        # The purpose and the kind are signed as well: keys of one's own know neither.
        said = f"ringfence id 1\x00{self._purpose}\x00{self._of.__name__}\x00{text}"
        mac = hmac.digest(key, said.encode(), hashlib.sha256)[:_MAC_BYTES]
        return urlsafe_b64encode(mac).rstrip(b"=").decode()


def _name(purpose: str) -> str:
    return f"ids.{purpose}"


def _of_secret(secret: Secret) -> Keys:
    key = secret.reveal().encode()
    if len(secret.reveal()) < _LEAST_SECRET:
        raise ValueError(f"a key for ids has {_LEAST_SECRET} characters or more")
    return lambda purpose: (hmac.digest(key, purpose.encode(), hashlib.sha256),)
