"""One-time codes of an app: made, checked, and each good once."""

from __future__ import annotations

import hmac
import secrets
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as DecodingError
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import pyotp

from ringfence.clock import Clock
from ringfence.identity.entrance import TOTP
from ringfence.secrets.sealed import Seal
from ringfence.stores.contracts import AccountRecord, Factor, FactorStore

DIGITS = 6
PERIOD = 30  # seconds; apps ignore any other digits, period or hash than these
_WINDOW = (-1, 0, 1)  # steps; RFC 6238, 5.2 allows one for the way and the clock
_SECRET_BYTES = 20  # 160 bits; RFC 4226, section 4, R6
_ID_BYTES = 16
MOST_APPS = 3
"""How many apps an owner may have: with each one more a guess is likelier."""
_ENROLMENT_SECONDS = 600
_MOST_CHARACTERS = 512
_GROUP = 4
_MOST_NAME = 64  # characters of an address in a QR code, which has no room for them all


class Enrolment(NamedTuple):
    """An app that is being set up: no factor before it has shown a first code.

    Args:
        text: the whole of it, sealed, for the form that comes back.
        secret: in groups of four letters, to be typed into an app.
        uri: the same for a QR code.
    """

    text: str
    secret: str
    uri: str


class _Draft(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """What is sealed in an enrolment."""

    id: bytes
    secret: bytes
    epoch: int
    made: float


class Totp:
    """Sets up the apps that make an owner's one-time codes, and checks the codes.

    Secrets are stored sealed. An enrolment that has not been confirmed is stored
    nowhere: its owner's browser keeps it, sealed for this account and for ten minutes,
    so that any worker can confirm it and nothing is left of one that was given up.

    Args:
        store: keeps the factors.
        seal: hides the secrets.
        issuer: what apps call this site.
        clock: tells the time.

    Source: RFC 6238; RFC 4226; ASVS 5.0 V6.5.1, V6.5.5, V6.5.7; NIST SP 800-63B-4,
    section 3.1.4; CWE-294, CWE-308.

    Not covered: phishing. A code can be typed into a wrong page and used by it at once;
    a passkey cannot.
    """

    def __init__(
        self, store: FactorStore, seal: Seal, *, issuer: str, clock: Clock
    ) -> None:
        self._store = store
        self._seal = seal
        self._issuer = issuer.replace(":", " ")  # separates issuer and account
        self._clock = clock

    def enrol(self, account: AccountRecord) -> Enrolment:
        """Return a fresh secret for an app of this account; nothing is stored."""
        secret = secrets.token_bytes(_SECRET_BYTES)
        draft = _Draft(
            secrets.token_bytes(_ID_BYTES), secret, account.epoch, self._clock()
        )
        sealed = self._seal.seal(msgspec.json.encode(draft), _drafted(account.id))
        return self._described(account, _text(sealed), secret)

    def again(self, account: AccountRecord, text: str) -> Enrolment | None:
        """Return an enrolment that this account may still confirm, to be shown once
        more; ``None`` if it is none, or over."""
        draft = self._opened(account, text)
        if draft is None:
            return None
        return self._described(account, text, draft.secret)

    async def confirm(
        self, account: AccountRecord, text: str, code: str, *, label: str = ""
    ) -> Factor | None:
        """Make a factor of an enrolment whose app has shown the right code.

        That code is used up by it. Of several confirmations at once one makes it.

        Args:
            account: whose it is; at the epoch at which it was enrolled, so that one
                begun before a change of password is void after it.
            text: of the enrolment.
            code: that the app shows, already normalised.
            label: what its owner calls the app, at most 64 characters.

        Returns:
            The factor; ``None`` if the enrolment or the code does not hold.
        """
        draft = self._opened(account, text)
        if draft is None:
            return None
        now = self._clock()
        step = _matching(draft.secret, code, now, above=-1)
        if step is None:
            return None
        factor = Factor(
            TOTP,
            draft.id,
            account.id,
            secret=self._seal.seal(draft.secret, _kept(account.id, draft.id)),
            counter=step,
            label=label,
            created=now,
            used=now,
        )
        added = await self._store.add(factor, epoch=draft.epoch, most=MOST_APPS)
        return factor if added else None

    async def verify(self, apps: Sequence[Factor], code: str) -> bool:
        """Use up a code of one of these apps; of several at once with the same code
        exactly one is told ``True``.

        Stops a code that was read over a shoulder, or by a page in between, from being
        used a second time within its minute.

        Args:
            apps: of one account.
            code: already normalised.
        """
        now = self._clock()
        for app in apps:
            secret = self._seal.open(app.secret, _kept(app.account_id, app.id))
            if secret is None:
                continue
            step = _matching(secret, code, now, above=app.counter)
            if step is not None and await self._store.advance(
                TOTP, app.id, counter=step, at=now
            ):
                return True
        return False

    def _opened(self, account: AccountRecord, text: str) -> _Draft | None:
        if not 0 < len(text) <= _MOST_CHARACTERS:
            return None
        try:
            sealed = urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
        except (DecodingError, UnicodeEncodeError):
            return None
        content = self._seal.open(sealed, _drafted(account.id))
        if content is None:
            return None
        draft = msgspec.json.decode(content, type=_Draft)
        age = self._clock() - draft.made
        holds = draft.epoch == account.epoch and -1.0 <= age < _ENROLMENT_SECONDS
        return draft if holds else None

    def _described(self, account: AccountRecord, text: str, secret: bytes) -> Enrolment:
        letters = b32encode(secret).decode()
        groups = (
            letters[at : at + _GROUP].lower() for at in range(0, len(letters), _GROUP)
        )
        uri = pyotp.TOTP(letters).provisioning_uri(
            name=account.email[:_MOST_NAME].replace(":", " "),
            issuer_name=self._issuer,
        )
        return Enrolment(text, " ".join(groups), uri)


def _matching(secret: bytes, code: str, now: float, *, above: int) -> int | None:
    """Return the time step whose code this is, the earliest that is not used up.

    Every code of the window is compared, each in constant time.
    """
    app = pyotp.TOTP(b32encode(secret).decode(), digits=DIGITS, interval=PERIOD)
    present = int(now // PERIOD)
    given = code.encode()
    steps = [
        step
        for step in (present + offset for offset in _WINDOW)
        if hmac.compare_digest(app.generate_otp(step).encode(), given)
    ]
    return next((step for step in steps if step > above), None)


def _drafted(account_id: str) -> bytes:
    return b"totp enrolment\x00" + account_id.encode()


def _kept(account_id: str, factor_id: bytes) -> bytes:
    return b"totp secret\x00" + account_id.encode() + b"\x00" + factor_id


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
