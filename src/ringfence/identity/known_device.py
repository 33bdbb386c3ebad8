"""The cookie of a device that has signed in before, and what it is believed for.

Who knows the password of an account is not known before the password is checked; but
whether this browser has been the owner's before can be told at once. Failures of such
a device are counted by themselves, so that strangers who lock an account out for each
other do not lock out its owner.
"""

from __future__ import annotations

import hmac
import secrets
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as DecodingError
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ringfence.clock import Clock
from ringfence.exchange import Exchange
from ringfence.identity.browser_cookie import BrowserCookie

MOST_ACCOUNTS = 5  # of one browser; the latest sign-ins stay
YEAR = 365 * 24 * 3600  # seconds; ended here too, not only in the browser

_SIGNED = b"ringfence device 1\x00"
_ACCOUNT = b"ringfence device account 1\x00"

# As small as is safe: browsers send it with every request.
_HEAD = struct.Struct(">B12sI")  # version, id, when it was made in Unix seconds
_ENTRY = struct.Struct(">8sI")  # tag of the account, its epoch
_VERSION = 1
_ID_BYTES = 12
_TAG_BYTES = 8
_MAC_BYTES = 16  # HMAC-SHA-256-128, RFC 4868 section 2.1.1
_MOST_CHARACTERS = 4 * (_HEAD.size + MOST_ACCOUNTS * _ENTRY.size + _MAC_BYTES + 2) // 3


class Entry(NamedTuple):
    """An account that a device has signed in to.

    Args:
        tag: keyed hash of the account's folded address.
        epoch: of the account at that sign-in. A change of the password raises it, and
            what the device was believed for is over.
    """

    tag: bytes
    epoch: int


class Device(NamedTuple):
    """What a cookie that we made says.

    Args:
        id: random, another one after each sign-in.
        made: when, in Unix seconds.
        entries: the accounts, the latest sign-in first.
    """

    id: bytes
    made: int
    entries: tuple[Entry, ...]


class KnownDevices:
    """Reads and writes the cookie that makes a device known.

    The cookie opens nothing: whoever steals it has the guesses of this one device, and
    still needs the password. It names the accounts by keyed hashes, so that the next
    person at a shared computer cannot look up who was there.

    Read in a sign-in only, never for an ordinary request.

    Args:
        keys: returns the keys that cookies are signed with, the newest first.
        development: plain http on this machine; the cookie is then named after the
            port, as the session's is.
        clock: tells the time.

    Source: OWASP, "Slow down online guessing attacks with device cookies"; RFC
    6265bis, section 4.1.3.2; ASVS 5.0 V6.3.1.

    Not covered: a browser that forgets its cookies is a stranger again.
    """

    def __init__(
        self, keys: Callable[[], Sequence[bytes]], *, development: bool, clock: Clock
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._cookie = BrowserCookie("device", YEAR, development=development)

    def read(self, exchange: Exchange) -> Device | None:
        """Return the device that a request comes from, if we know it.

        What was tampered with, has expired or comes twice is ignored: such a browser
        is a stranger's, and nothing else about the request changes.
        """
        value = self._cookie.read(exchange)
        return self._opened(value) if value else None

    def epoch(self, device: Device, identifier: str) -> int | None:
        """Return the account's epoch at the last sign-in from this device, ``None`` if
        there was none.

        Args:
            device: as read.
            identifier: the folded address.
        """
        tags = {_tag(key, identifier) for key in self._keys()}
        return next((e.epoch for e in device.entries if e.tag in tags), None)

    def remember(self, exchange: Exchange, identifier: str, epoch: int) -> None:
        """Make the device known to an account that has just proved who it is.

        The id is a new one, so that an older copy of the cookie in other hands no
        longer draws from the same budget.
        """
        keys = self._keys()
        tags = {_tag(key, identifier) for key in keys}
        known = self.read(exchange)
        others = [e for e in known.entries if e.tag not in tags] if known else []
        entries = (Entry(_tag(keys[0], identifier), epoch), *others)[:MOST_ACCOUNTS]
        self._cookie.write(exchange, _sealed(self._device(entries), keys[0]))

    def cookie(self, identifier: str, epoch: int, *, port: int | None) -> str:
        """Return the cookie, as browsers send it, of a device that knows one account.

        Args:
            identifier: the folded address.
            epoch: of the account.
            port: of the server that it is sent to.
        """
        device = self._device((Entry(_tag(self._keys()[0], identifier), epoch),))
        return f"{self._cookie.name(port)}={_sealed(device, self._keys()[0]).decode()}"

    def _device(self, entries: tuple[Entry, ...]) -> Device:
        return Device(secrets.token_bytes(_ID_BYTES), int(self._clock()), entries)

    def _opened(self, value: bytes) -> Device | None:
        if len(value) > _MOST_CHARACTERS:
            return None
        try:
            raw = urlsafe_b64decode(value + b"=" * (-len(value) % 4))
        except DecodingError:
            return None
        payload, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        genuine = [hmac.compare_digest(mac, _mac(k, payload)) for k in self._keys()]
        if not any(genuine):
            return None
        version, device_id, made = _HEAD.unpack_from(payload)
        if version != _VERSION or self._clock() - made >= YEAR:
            return None
        return Device(device_id, made, tuple(_entries(payload[_HEAD.size :])))


def _sealed(device: Device, key: bytes) -> bytes:
    payload = _HEAD.pack(_VERSION, device.id, device.made)
    payload += b"".join(_ENTRY.pack(*entry) for entry in device.entries)
    return urlsafe_b64encode(payload + _mac(key, payload)).rstrip(b"=")


def _entries(packed: bytes) -> Iterator[Entry]:
    return (Entry(*fields) for fields in _ENTRY.iter_unpack(packed))


def _mac(key: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, _SIGNED + payload, "sha256")[:_MAC_BYTES]


def _tag(key: bytes, identifier: str) -> bytes:
    return hmac.digest(key, _ACCOUNT + identifier.encode(), "sha256")[:_TAG_BYTES]
