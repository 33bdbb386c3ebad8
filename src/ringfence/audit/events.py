"""Every event that the ledger can hold, in one file.

An operator can read this file as a contract. Names follow the OWASP logging
vocabulary. Only refusals and changes of identity or administration are events;
allowed requests are counted, not recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of every event.

    Args:
        request_id: the request it belongs to, empty outside one.
        client: the client's address, empty if there is none.
        account: id of the account concerned, empty if unknown.
    """

    name: ClassVar[str] = ""
    level: ClassVar[str] = "INFO"

    request_id: str = ""
    client: str = ""
    account: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefused(Event):
    """The guard refused a request. ``code`` is the denial's, ``stage`` refused it,
    ``passed`` had nothing against it, ``unasked`` would have come next."""

    name: ClassVar[str] = "request_refused"
    level: ClassVar[str] = "WARN"

    method: str = ""
    path: str = ""
    status: int = 0
    code: str = ""
    private: str = ""
    route: str = ""
    stage: str = ""
    passed: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WouldRefuse(RequestRefused):
    """A check would have refused this request, but is only watched (dry run)."""

    name: ClassVar[str] = "request_would_be_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRefused(RequestRefused):
    """Somebody asked for what they may not have."""

    name: ClassVar[str] = "authz_fail"
    level: ClassVar[str] = "CRITICAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnershipLifted(Event):
    """Code that says ``unscoped`` has reached rows, whoever they belong to. ``reason``
    is its own, ``table`` the first that it reached."""

    name: ClassVar[str] = "authz_unscoped"
    level: ClassVar[str] = "WARN"

    reason: str = ""
    table: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFailed(Event):
    """The application raised, or answered with a server error."""

    name: ClassVar[str] = "sys_crash"
    level: ClassVar[str] = "ERROR"

    method: str = ""
    path: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectionStopped(Event):
    """Text was about to become code. ``interpreter`` is what it was about to reach, by
    ``driver``; ``place`` and ``field`` say where it came in, empty if that could not be
    told; ``watched`` that it was let pass (dry run)."""

    name: ClassVar[str] = "malicious_injection"
    level: ClassVar[str] = "CRITICAL"

    interpreter: str = ""
    driver: str = ""
    route: str = ""
    place: str = ""
    field: str = ""
    private: str = ""
    watched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn(Event):
    """A sign-in succeeded."""

    name: ClassVar[str] = "authn_login_success"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInFailed(Event):
    """A sign-in failed. ``identifier`` is a keyed hash of what was submitted, so that
    tries at one account can be counted without writing the address down."""

    name: ClassVar[str] = "authn_login_fail"
    level: ClassVar[str] = "WARN"

    identifier: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInLocked(Event):
    """So many sign-ins have failed that the account, or one that does not exist, is
    locked for ``seconds``: for strangers, or for one known device. ``identifier`` as in
    ``SignInFailed``."""

    name: ClassVar[str] = "authn_login_lock"
    level: ClassVar[str] = "WARN"

    identifier: str = ""
    seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountUnlocked(Event):
    """The lock of an account was ended by an operator, or by a proof by other means."""

    name: ClassVar[str] = "authn_login_unlock"
    level: ClassVar[str] = "WARN"

    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInsLimited(Event):
    """There were more sign-ins or registrations than ``limit`` by one network, by one
    account or by everybody, as ``scope`` says. Told once a period."""

    name: ClassVar[str] = "authn_login_fail_max"
    level: ClassVar[str] = "WARN"

    scope: str = ""
    limit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInSpray(Event):
    """Many accounts were tried in vain, each a few times: from one ``network``, or
    from anywhere if that is empty. Told once a period."""

    name: ClassVar[str] = "authn_login_spray"
    level: ClassVar[str] = "CRITICAL"

    network: str = ""
    accounts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedOut(Event):
    """A session was ended by its owner's sign-out."""

    name: ClassVar[str] = "session_expired"

    reason: str = "sign-out"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsEnded(Event):
    """Sessions were revoked."""

    name: ClassVar[str] = "authn_token_revoked"

    count: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfirmed(Event):
    """The owner of a session has proved once more who they are."""

    name: ClassVar[str] = "session_renewed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionMoved(Event):
    """A session is used from another network and another device at once, as a stolen
    one is. ``session`` is its public id."""

    name: ClassVar[str] = "authn_impossible_travel"
    level: ClassVar[str] = "CRITICAL"

    session: str = ""
    from_network: str = ""
    from_device: str = ""
    device: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshReused(Event):
    """A refresh token was used again: it is in two hands. Its ``family`` was ended,
    with every access token of it; ``generation`` is how old it was."""

    name: ClassVar[str] = "authn_token_reuse"
    level: ClassVar[str] = "CRITICAL"

    family: str = ""
    generation: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshRepeated(Event):
    """The answer to a refresh was repeated, once, to the client that got it a moment
    ago."""

    name: ClassVar[str] = "authn_token_repeated"
    level: ClassVar[str] = "WARN"

    family: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordChanged(Event):
    """A password was changed by its owner."""

    name: ClassVar[str] = "authn_password_change"


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordChangeFailed(Event):
    """A change of password was refused, because the present one was wrong."""

    name: ClassVar[str] = "authn_password_change_fail"
    level: ClassVar[str] = "CRITICAL"

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorAdded(Event):
    """An owner has set up another way to prove who they are: ``factor`` is ``totp``,
    ``passkey`` or ``recovery-code``."""

    name: ClassVar[str] = "authn_factor_added"
    level: ClassVar[str] = "WARN"

    factor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorRemoved(Event):
    """Such a way was taken away; ``by`` whom, if not by the owner."""

    name: ClassVar[str] = "authn_factor_removed"
    level: ClassVar[str] = "CRITICAL"

    factor: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorFailed(Event):
    """A second proof was wrong, or was used before. The first one was right: somebody
    knows the password. ``identifier`` as in ``SignInFailed``."""

    name: ClassVar[str] = "authn_factor_fail"
    level: ClassVar[str] = "CRITICAL"

    identifier: str = ""
    factor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityLinked(Event):
    """An account can be signed in to through another provider, ``issuer``, from now
    on."""

    name: ClassVar[str] = "authn_identity_linked"
    level: ClassVar[str] = "WARN"

    issuer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityUnlinked(Event):
    """That was taken away."""

    name: ClassVar[str] = "authn_identity_unlinked"
    level: ClassVar[str] = "WARN"

    issuer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyCopied(Event):
    """A passkey has counted backwards: there is a copy of it, and neither of the two is
    believed from now on. ``passkey`` is its public id, ``counter`` what was sent."""

    name: ClassVar[str] = "authn_passkey_copied"
    level: ClassVar[str] = "CRITICAL"

    passkey: str = ""
    counter: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryCodeUsed(Event):
    """A recovery code was used in the place of a second factor; ``left`` are left."""

    name: ClassVar[str] = "authn_recovery_code_used"
    level: ClassVar[str] = "WARN"

    left: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordResetRequested(Event):
    """Somebody asked for a link to set a new password, and the owner was sent one."""

    name: ClassVar[str] = "authn_password_reset_requested"
    level: ClassVar[str] = "WARN"


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordReset(Event):
    """A password was replaced by whoever has the owner's mail; everything that was
    signed in has ended."""

    name: ClassVar[str] = "authn_password_reset"
    level: ClassVar[str] = "WARN"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressVerified(Event):
    """An owner has proved that mail to the account's address reaches them."""

    name: ClassVar[str] = "user_address_verified"


@dataclass(frozen=True, slots=True, kw_only=True)
class LettersLimited(Event):
    """An account was to get more letters of a ``kind`` than ``limit`` in an hour. Told
    once an hour."""

    name: ClassVar[str] = "excess_letters"
    level: ClassVar[str] = "WARN"

    kind: str = ""
    limit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterLost(Event):
    """A letter was not sent, and will not be. ``reason`` says why, without the
    address."""

    name: ClassVar[str] = "letter_lost"
    level: ClassVar[str] = "ERROR"

    kind: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyMade(Event):
    """An owner has made an API key, called ``label``. ``key`` is its public id,
    ``scopes`` what it opens, ``days`` for how long."""

    name: ClassVar[str] = "authn_token_created"
    level: ClassVar[str] = "WARN"

    key: str = ""
    label: str = ""
    scopes: tuple[str, ...] = ()
    days: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyEnded(Event):
    """An API key was ended by its owner. ``key`` is its public id."""

    name: ClassVar[str] = "authn_token_revoked"

    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryCodesRenewed(Event):
    """New recovery codes were made; the old ones are void."""

    name: ClassVar[str] = "authn_recovery_codes_renewed"
    level: ClassVar[str] = "WARN"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountCreated(Event):
    """An account was made, by registration or by an operator."""

    name: ClassVar[str] = "user_created"
    level: ClassVar[str] = "WARN"

    roles: tuple[str, ...] = ()
    tenant: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantChanged(Event):
    """An account was moved to another tenant by an operator; empty is none."""

    name: ClassVar[str] = "authz_change"
    level: ClassVar[str] = "WARN"

    before: str = ""
    after: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRemoved(Event):
    """An account was removed by an operator."""

    name: ClassVar[str] = "user_deleted"
    level: ClassVar[str] = "WARN"

    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    """The guard started, with this many routes and this environment."""

    name: ClassVar[str] = "sys_startup"
    level: ClassVar[str] = "WARN"

    environment: str = ""
    routes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped(Event):
    """The guard stopped in good order."""

    name: ClassVar[str] = "sys_shutdown"
    level: ClassVar[str] = "WARN"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressBlocked(Event):
    """An address or network was put on the blocklist, for this many seconds."""

    name: ClassVar[str] = "address_blocked"
    level: ClassVar[str] = "WARN"

    network: str = ""
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressUnblocked(Event):
    """An address or network was taken off the blocklist before its time."""

    name: ClassVar[str] = "address_unblocked"
    level: ClassVar[str] = "WARN"

    network: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserReport(Event):
    """A browser says that a page broke its policy. Anybody can say so: nothing in it
    is proven. Addresses have lost their query; signs that do not print are replaced."""

    name: ClassVar[str] = "browser_report"
    level: ClassVar[str] = "WARN"

    kind: str = ""
    page: str = ""
    rule: str = ""
    disposition: str = ""
    blocked: str = ""
    source: str = ""
    sample: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsLost(Event):
    """Events were counted instead of written: a flood, or a queue that was full."""

    name: ClassVar[str] = "audit_events_lost"
    level: ClassVar[str] = "CRITICAL"

    count: int = 0
    reason: str = ""
