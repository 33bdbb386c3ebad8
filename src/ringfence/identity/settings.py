"""Settings of the gatehouse."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ringfence.errors import SettingsError
from ringfence.identity.destination import same_site_path

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


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

    after_sign_in: str = "/"
    """The path that a browser is sent to after signing in, if it asked for no other."""

    session_idle: int = 30 * _MINUTE
    """Seconds without a request after which a session ends, 60 to 30 days. Source:
    ASVS 5.0 V7.3.1; NIST SP 800-63B-4 section 2.2.3 recommends at most one hour."""

    session_absolute: int = 12 * _HOUR
    """Seconds after the sign-in at which a session ends in any case, ``session_idle``
    to 90 days. Source: ASVS 5.0 V7.3.2; NIST SP 800-63B-4 section 2.2.3 recommends at
    most 24 hours."""

    password_min_length: int = 8
    """Fewest characters of a new password, 8 to 64. Source: ASVS 5.0 V6.2.1, which
    recommends 15; so does NIST SP 800-63B-4 section 3.1.1.1 where the password is the
    only factor."""

    hash_threads: int = 0
    """Passwords hashed at once, up to 64; 0 means one less than there are cores. Each
    holds 19 MiB while it runs."""

    hash_queue: int = 64
    """Passwords that may wait to be hashed, 1 to 10,000; beyond, 503 with
    Retry-After."""

    templates: Path | None = None
    """A folder that is searched for page templates before the package's own."""

    def __post_init__(self) -> None:
        _in_range("session_idle", self.session_idle, _MINUTE, 30 * _DAY)
        _in_range(
            "session_absolute", self.session_absolute, self.session_idle, 90 * _DAY
        )
        _in_range("password_min_length", self.password_min_length, 8, 64)
        _in_range("hash_threads", self.hash_threads, 0, 64)
        _in_range("hash_queue", self.hash_queue, 1, 10_000)
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


def _in_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        message = f"identity.{name} is {value}; it must be from {low} to {high}"
        raise SettingsError(message)
