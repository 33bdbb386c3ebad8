"""Settings of the gatehouse."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ringfence.errors import SettingsError
from ringfence.identity.destination import same_site_path
from ringfence.identity.movement import MoveEffect
from ringfence.principal import is_scope

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """Accounts, passwords, sessions and the pages under ``/auth``.

    Raises:
        SettingsError: a value is out of its range.
    """

    enabled: bool = True
    """Off for an application that has no accounts of its own."""

    site_name: str = "This site"
    """What the pages call the site, 1 to 64 characters."""

    registration: bool = True
    """Whether strangers may make an account. Off: ``ringfence accounts create``."""

    second_factors: bool = True
    """Whether owners may set up an authenticator app and recovery codes; needs the
    extra ``mfa``. Off, nobody gets past a factor that was set up before."""

    after_sign_in: str = "/"
    """The path that a browser is sent to after signing in, if it asked for no other."""

    session_idle: int = 30 * _MINUTE
    """Seconds without a request after which a session ends, 60 to 30 days. Source:
    ASVS 5.0 V7.3.1; NIST SP 800-63B-4 section 2.2.3 recommends at most one hour."""

    session_absolute: int = 12 * _HOUR
    """Seconds after the sign-in at which a session ends in any case, ``session_idle``
    to 90 days. Source: ASVS 5.0 V7.3.2; NIST SP 800-63B-4 section 2.2.3 recommends at
    most 24 hours."""

    session_moved: MoveEffect = "note"
    """What happens to a session that is used from another network and another device
    at once: ``note`` tells its owner and the ledger, ``confirm`` asks for the password
    too before anything that ``access.fresh`` guards, ``end`` signs out."""

    sessions: Literal["database", "memory"] = "database"
    """Where sessions are kept. In memory nothing is written for them, and everybody
    signs in again after a restart; for one process, since others do not see them."""

    password_min_length: int = 15
    """Fewest characters of a new password, 8 to 64. Source: NIST SP 800-63B-4 section
    3.1.1.2 demands 15 where the password is the only factor, and 8 beside another one;
    ASVS 5.0 V6.2.1 recommends 15."""

    password_hash_ms: int = 250
    """Milliseconds that one password hash should take here, 100 to 500. Measured once,
    at the first start in production, and kept in ``passwords.json`` of the data
    directory; ``ringfence passwords calibrate`` measures again. Development measures
    nothing. 0 means OWASP's floor (Argon2id with 19 MiB and two passes), as does
    development until a file is there."""

    password_answer_ms: int = 0
    """Milliseconds that every answer to a sign-in or a change of password takes at
    least, up to 5,000, so that its time tells nothing about the account; 0 means twice
    the time of a hash. Raise it to the slowest of the hashes that were imported."""

    hash_memory: int = 256
    """MiB for all hashes at once, 19 to 65,536. Bounds ``hash_threads``, the cost that
    is chosen, and what a stored hash may ask for."""

    hash_threads: int = 0
    """Passwords hashed at once, up to 64; 0 means one less than there are cores. Never
    more than fit into ``hash_memory``."""

    hash_queue: int = 0
    """Passwords that may wait to be hashed, up to 10,000; beyond, 503 with Retry-After.
    0 means as many as are hashed within ten seconds."""

    hash_per_network: int = 8
    """Passwords from one address (IPv6: one /64) that may wait or be hashed at once, 1
    to 10,000; beyond, 503 with Retry-After for that address alone."""

    sign_ins_per_address: int = 10
    """Sign-ins of strangers in any minute from one address (IPv6: /64), and of one
    account's known devices, 1 to 1,000,000. Source: the usual three numbers against
    brute force are 10 by address, 5 by account, 100 in all."""

    sign_in_failures: int = 5
    """Wrong passwords in any hour before an account is locked for strangers, and for
    each of its known devices by itself, 1 to 100. Source: NIST SP 800-63B-4, section
    3.2.2, at most 100."""

    sign_ins_global: int = 100
    """Sign-ins of all strangers in any minute, 1 to 1,000,000, above 1,000 a tenth more
    in some; known devices have a reserve of the same size. A site with many accounts
    has to raise it."""

    lock_shortest: int = 60
    """Seconds of an account's first lock, 1 to an hour; each further one is four times
    as long."""

    lock_longest: int = _HOUR
    """Seconds of the longest lock, ``lock_shortest`` to a day. Every lock ends."""

    spray_accounts: int = 20
    """Accounts tried in vain from one address within ten minutes that make a spray, 2
    to 1,000. The address is slowed to a fifth of its sign-ins for an hour."""

    spray_accounts_global: int = 200
    """Accounts tried in vain from anywhere within ten minutes that make a spray, 2 to
    1,000. Only told to the ledger."""

    registrations_per_address: int = 100
    """Registrations in any hour from one address (IPv6: /64), 1 to 1,000,000. A course
    or an office that is told to sign up today passes."""

    registrations_global: int = 1000
    """Registrations an hour in all, 1 to 1,000,000."""

    passkeys: bool = True
    """Whether owners may make passkeys and sign in with them; with ``second_factors``
    only. Off, nobody gets past a passkey that was made before."""

    passkey_domain: str = ""
    """The domain that passkeys belong to, ``shop.example`` say; empty for the host that
    all of ``public_origins`` share. Passkeys of another domain are lost with it, so
    change it before the first one is made. Source: WebAuthn Level 3, section 13.4.9."""

    api_key_scopes: tuple[str, ...] = ()
    """What owners may let programs do with API keys, ``orders:read`` say, as in
    ``access.scope``; empty for no API keys. A scope that is taken away here is taken
    from every key at once."""

    templates: Path | None = None
    """A folder that is searched for page templates before the package's own."""

    def __post_init__(self) -> None:
        _in_range("session_idle", self.session_idle, _MINUTE, 30 * _DAY)
        _in_range(
            "session_absolute", self.session_absolute, self.session_idle, 90 * _DAY
        )
        _one_of("session_moved", self.session_moved, get_args(MoveEffect))
        _one_of("sessions", self.sessions, ("database", "memory"))
        _in_range("password_min_length", self.password_min_length, 8, 64)
        _in_range("hash_threads", self.hash_threads, 0, 64)
        _in_range("hash_queue", self.hash_queue, 0, 10_000)
        _in_range("hash_per_network", self.hash_per_network, 1, 10_000)
        _in_range("hash_memory", self.hash_memory, 19, 65_536)
        _in_range("password_answer_ms", self.password_answer_ms, 0, 5_000)
        if self.password_hash_ms:
            _in_range("password_hash_ms", self.password_hash_ms, 100, 500)
        for name in ("sign_ins_per_address", "sign_ins_global"):
            _in_range(name, getattr(self, name), 1, _MILLION)
        _in_range("sign_in_failures", self.sign_in_failures, 1, 100)
        _in_range("lock_shortest", self.lock_shortest, 1, _HOUR)
        _in_range("lock_longest", self.lock_longest, self.lock_shortest, _DAY)
        for name in ("spray_accounts", "spray_accounts_global"):
            _in_range(name, getattr(self, name), 2, 1000)
        for name in ("registrations_per_address", "registrations_global"):
            _in_range(name, getattr(self, name), 1, _MILLION)
        _only_scopes("api_key_scopes", self.api_key_scopes)
        _in_range("length of site_name", len(self.site_name), 1, 64)
        if not same_site_path(self.after_sign_in, ""):
            message = (
                f"identity.after_sign_in is {self.after_sign_in!r}; write a path of "
                'this site, such as "/"'
            )
            raise SettingsError(message)
        if self.templates is not None and not self.templates.is_dir():
            message = f"identity.templates is {self.templates}, which is no folder"
            raise SettingsError(message)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        message = f"identity.{name} is {value!r}; it must be {' or '.join(allowed)}"
        raise SettingsError(message)


def _only_scopes(name: str, scopes: tuple[str, ...]) -> None:
    for scope in scopes:
        if not is_scope(scope):
            message = (
                f"identity.{name} has {scope!r}; write 1 to 64 of the characters a-z, "
                "A-Z, 0-9 and . _ : / -"
            )
            raise SettingsError(message)


def _in_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        message = f"identity.{name} is {value}; it must be from {low} to {high}"
        raise SettingsError(message)
