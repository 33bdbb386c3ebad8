"""Settings of access and refresh tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, get_args
from urllib.parse import urlsplit

from ringfence.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

Algorithm = Literal["EdDSA", "ES256", "HS256"]
ForeignAlgorithm = Literal[
    "EdDSA", "Ed25519", "ES256", "ES384", "ES512", "RS256", "PS256"
]
FOREIGN_ALGORITHMS: frozenset[str] = frozenset(get_args(ForeignAlgorithm))
"""What another issuer may sign with. No HMAC: its key would be theirs and ours, and
whoever reads our settings could sign. No ``none``."""

SHORTEST, LONGEST = 300, 900  # seconds that an access token may be good for
_DAY = 24 * 3600
_ISSUER_FIELDS = frozenset(
    {"jwks_uri", "audience", "algorithms", "roles", "scopes", "tenant", "type"}
)
_LOCAL = "http://localhost"


@dataclass(frozen=True, slots=True)
class ForeignIssuer:
    """Another service whose tokens are accepted here.

    Args:
        issuer: its ``iss``, compared character by character.
        jwks_uri: where its public keys are; https, or http on this machine.
        audience: what ``aud`` must contain: this service, as the issuer calls it.
        algorithms: that its tokens may be signed with.
        roles: the claim that holds the roles, dots between the names of nested objects
            (``realm_access.roles``); empty: its tokens give no role.
        type: ``at+jwt``, or ``JWT`` for an issuer that does not say which of its tokens
            are access tokens (RFC 9068, section 2.1).
        scopes: the claim that holds what a token may be used for, where a policy says
            ``access.scope``; empty: its tokens are not limited.
        tenant: the claim that holds the tenant; empty: its tokens belong to none.
    """

    issuer: str
    jwks_uri: str
    audience: str
    algorithms: frozenset[str]
    roles: str = ""
    type: Literal["at+jwt", "JWT"] = "at+jwt"
    scopes: str = "scope"
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """Access tokens for programs, and for other services that verify them.

    Raises:
        SettingsError: a value is out of its range.
    """

    enabled: bool = False
    """Whether access and refresh tokens are handed out and accepted. Browsers of this
    very site are better off with the session cookie."""

    algorithm: Algorithm = "EdDSA"
    """What access tokens are signed with: ``EdDSA`` (Ed25519) or ``ES256``, which other
    services verify with the keys of ``/.well-known/jwks.json``, or ``HS256``, the
    fastest, which only this service can verify. After a change every access token is
    refused, and refreshed."""

    issuer: str = ""
    """``iss`` of our tokens, the https URL of this service; empty means the first of
    ``public_origins``."""

    audience: str = ""
    """``aud`` of our tokens: who is to accept them; empty means ``issuer``."""

    lifetime: int = 600
    """Seconds that an access token is good for, 300 to 900. There is no endless one.
    Source: RFC 9700, section 2.2.1; ASVS 5.0 V9.2.1."""

    refresh_idle: int = 7 * _DAY
    """Seconds after which a refresh token that nobody has used ends, an hour to
    ``refresh_absolute``. Source: RFC 9700, section 4.14.2."""

    refresh_absolute: int = 30 * _DAY
    """Seconds after the sign-in at which its refresh tokens end in any case, up to 365
    days. Longer than ``ringfence keys rotate`` keeps old keys is of no use."""

    refresh_grace: int = 10
    """Seconds for which the answer to a refresh is repeated, once, to the same client:
    the first one may have been lost on its way. 0 to 60, 0 for never."""

    dpop: Literal["off", "allowed", "required"] = "allowed"
    """Whether tokens are bound to a key of the client's (DPoP, RFC 9449): ``allowed``
    for clients that ask for it, ``required`` for all."""

    dpop_nonce: bool = False
    """Whether every proof of a key must repeat a number that we have just given out.
    Off: only a client whose clock is wrong is asked for one. On: proofs that were made
    ahead, by code that has run in the client for a moment, are worthless."""

    issuers: Mapping[str, Mapping[str, str]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    """Other issuers whose access tokens are accepted, by their ``iss``: in the file
    ``[tokens.issuers."https://login.example"]`` with ``jwks_uri``, ``audience``,
    ``algorithms`` (``RS256 ES256``, say); if its tokens are to give roles, ``roles``,
    the name of the claim; and ``type = "JWT"`` if its access tokens do not say that
    they are some (``at+jwt``); and ``scopes``, the claim that ``access.scope`` looks at
    (``scope``; empty: its tokens are not limited); and ``tenant``, the claim that says
    which tenant they belong to, for an issuer that may say so of any tenant. Not from
    the environment."""

    def __post_init__(self) -> None:
        _one_of("algorithm", self.algorithm, get_args(Algorithm))
        _one_of("dpop", self.dpop, ("off", "allowed", "required"))
        _in_range("lifetime", self.lifetime, SHORTEST, LONGEST)
        _in_range("refresh_absolute", self.refresh_absolute, 3600, 365 * _DAY)
        _in_range("refresh_idle", self.refresh_idle, 3600, self.refresh_absolute)
        _in_range("refresh_grace", self.refresh_grace, 0, 60)
        if self.issuer:
            _check_url("issuer", self.issuer)
        for issuer in self.foreign:
            if issuer.issuer == self.issuer:
                message = f"tokens.issuers has {self.issuer!r}, which is this service"
                raise SettingsError(message)

    @property
    def foreign(self) -> tuple[ForeignIssuer, ...]:
        """The other issuers, read from ``issuers``."""
        return tuple(_foreign(name, told) for name, told in self.issuers.items())

    def named(self, public_origins: Sequence[str]) -> TokenSettings:
        """Return these settings with issuer and audience filled in.

        Args:
            public_origins: of this service; none in development.
        """
        origin = public_origins[0].rstrip("/") if public_origins else _LOCAL
        issuer = self.issuer or origin
        return replace(self, issuer=issuer, audience=self.audience or issuer)


def _foreign(issuer: str, told: object) -> ForeignIssuer:
    where = f"issuers of tokens, {issuer!r}"
    # A chain of roles is what the environment makes of a text for a table.
    if not isinstance(told, Mapping):
        message = f"{where}: write a table in ringfence.toml, not in the environment"
        raise SettingsError(message)
    values: dict[str, str] = dict(told)
    if unknown := sorted(values.keys() - _ISSUER_FIELDS):
        message = (
            f"{where} has {unknown[0]!r}; there are: "
            f"{', '.join(sorted(_ISSUER_FIELDS))}"
        )
        raise SettingsError(message)
    if missing := sorted({"jwks_uri", "audience", "algorithms"} - values.keys()):
        raise SettingsError(f"{where} needs {missing[0]!r}")
    algorithms = frozenset(values["algorithms"].replace(",", " ").split())
    if not algorithms or not algorithms <= FOREIGN_ALGORITHMS:
        message = (
            f"{where}: algorithms is {values['algorithms']!r}; it must be some of "
            f"{', '.join(sorted(FOREIGN_ALGORITHMS))}"
        )
        raise SettingsError(message)
    _check_url("issuers", issuer)
    _check_url("issuers (jwks_uri)", values["jwks_uri"])
    kind = values.get("type", "at+jwt")
    if kind not in ("at+jwt", "JWT"):
        raise SettingsError(f"{where}: type is {kind!r}; it must be at+jwt or JWT")
    if not values["audience"]:
        raise SettingsError(f"{where}: audience is empty, so any token would do")
    return ForeignIssuer(
        issuer,
        values["jwks_uri"],
        values["audience"],
        algorithms,
        values.get("roles", ""),
        "JWT" if kind == "JWT" else "at+jwt",
        values.get("scopes", "scope"),
        values.get("tenant", ""),
    )


def _check_url(name: str, url: str) -> None:
    """Refuse what is not https: who can change keys on their way signs as they like."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    is_local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if not parts.hostname or parts.scheme not in ("https", "http" if is_local else ""):
        raise SettingsError(f"tokens.{name}: {url!r} is no https URL")


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        message = f"tokens.{name} is {value!r}; it must be {' or '.join(allowed)}"
        raise SettingsError(message)


def _in_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        message = f"tokens.{name} is {value}; it must be from {low} to {high}"
        raise SettingsError(message)
