"""Settings of the sign-in with another provider."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args
from urllib.parse import urlsplit

from ringfence.errors import SettingsError
from ringfence.secrets.secret import Secret

Authentication = Literal["basic", "post", "none"]
Algorithm = Literal[
    "RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"
]  # no HMAC: its key is the client's secret, so that every holder of it could sign

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,64}")
_MOST = 16
_HERE = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIdProvider:
    """A provider of OpenID Connect that vouches for people.

    Args:
        name: stands in the addresses under ``/auth/openid``: lower-case letters,
            digits and hyphens. Register ``/auth/openid/NAME/callback`` there.
        label: what the button says, 1 to 64 characters; the name if empty.
        issuer: exactly as the provider calls itself, with or without a slash at the
            end; https, in development also http on this machine.
        client_id: that the provider has given this service.
        client_secret: that belongs to it.
        authentication: how the secret is sent: ``basic``, ``post``, or ``none`` for a
            client that has none. The code is bound to this service in each case (PKCE).
        scopes: that are asked for; ``openid`` among them.
        algorithms: that its tokens may be signed with.
        userinfo: whether the address is asked for separately, of a provider that does
            not put it into its token.

    Raises:
        SettingsError: a value is out of its range.
    """

    name: str
    issuer: str
    client_id: str
    client_secret: Secret | None = None
    label: str = ""
    authentication: Authentication = "basic"
    scopes: tuple[str, ...] = ("openid", "email")
    algorithms: tuple[Algorithm, ...] = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")
    userinfo: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            message = (
                f"openid: {self.name[:40]!r} is no name of a provider; write "
                "lower-case letters, digits and hyphens, 32 at most"
            )
            raise SettingsError(message)
        object.__setattr__(self, "label", self.label or self.name)
        if len(self.label) > 64:  # noqa: PLR2004 - as the docstring says
            raise SettingsError(f"openid.{self.name}: label has more than 64 letters")
        self._check_issuer()
        self._check_client()
        if "openid" not in self.scopes or not all(map(_SCOPE.fullmatch, self.scopes)):
            message = f"openid.{self.name}: scopes must be words, 'openid' among them"
            raise SettingsError(message)
        unknown = sorted(set(self.algorithms) - set(get_args(Algorithm)))
        if unknown or not self.algorithms:
            message = (
                f"openid.{self.name}: algorithms may be "
                f"{', '.join(get_args(Algorithm))}; shared secrets sign nothing here"
            )
            raise SettingsError(message)

    def _check_issuer(self) -> None:
        if not is_endpoint(self.issuer, development=True) or "?" in self.issuer:
            message = (
                f"openid.{self.name}: issuer is {self.issuer[:200]!r}; write it as the "
                "provider's discovery document does, 'https://accounts.example' say"
            )
            raise SettingsError(message)

    def _check_client(self) -> None:
        if not self.client_id or not self.client_id.isprintable():
            raise SettingsError(f"openid.{self.name}: client_id is missing")
        if self.authentication not in get_args(Authentication):
            message = (
                f"openid.{self.name}: authentication is {self.authentication!r}; it "
                f"must be {' or '.join(get_args(Authentication))}"
            )
            raise SettingsError(message)
        if bool(self.client_secret) == (self.authentication == "none"):
            message = (
                f"openid.{self.name}: a client with a client_secret has the "
                "authentication 'basic' or 'post', one without has 'none'"
            )
            raise SettingsError(message)


@dataclass(frozen=True, slots=True)
class OpenIdSettings:
    """Providers of OpenID Connect that vouch for people.

    Several stand in ``ringfence.toml``, each in a table ``[[openid.providers]]``; a
    single one can be given by the other fields, and so by the environment.

    Raises:
        SettingsError: a value is out of its range, or two providers share a name or an
            issuer.
    """

    providers: tuple[OpenIdProvider, ...] = ()
    """The providers, in the order of their buttons, 16 at most: tables in the file, not
    in the environment."""

    name: str = "openid"
    """Of the single provider, in the addresses under ``/auth/openid``."""

    label: str = ""
    """What its button says; the name if empty."""

    issuer: str = ""
    """Exactly as it calls itself. Unset: there is no single provider."""

    client_id: str = ""
    """That it has given this service."""

    client_secret: Secret | None = None
    """That belongs to it; unset for a client without one."""

    authentication: Authentication = "basic"
    """How the secret is sent: ``basic`` or ``post``."""

    scopes: tuple[str, ...] = ("openid", "email")
    """That are asked for."""

    def __post_init__(self) -> None:
        if self.issuer:
            single = OpenIdProvider(
                name=self.name,
                label=self.label,
                issuer=self.issuer,
                client_id=self.client_id,
                client_secret=self.client_secret,
                authentication=self.authentication if self.client_secret else "none",
                scopes=self.scopes,
            )
            if single not in self.providers:  # as when settings are copied
                object.__setattr__(self, "providers", (*self.providers, single))
        elif self.client_id or self.client_secret:
            raise SettingsError("openid.client_id is set, but openid.issuer is not")
        self._check_providers()

    def _check_providers(self) -> None:
        if len(self.providers) > _MOST:
            raise SettingsError(f"openid.providers has more than {_MOST} providers")
        for what in ("name", "issuer"):
            values = [getattr(provider, what) for provider in self.providers]
            if len(set(values)) != len(values):
                message = f"openid.providers has two providers of the same {what}"
                raise SettingsError(message)

    @property
    def by_name(self) -> Mapping[str, OpenIdProvider]:
        """The providers by their names."""
        return MappingProxyType({each.name: each for each in self.providers})

    def check_production(self) -> None:
        """Refuse providers that are reached without TLS.

        Raises:
            SettingsError: an issuer is no ``https://``.
        """
        for provider in self.providers:
            if not is_endpoint(provider.issuer, development=False):
                message = (
                    f"openid.{provider.name}: issuer must begin with https://; over "
                    "plain http anybody on the way could say who somebody is"
                )
                raise SettingsError(message)


def is_endpoint(url: str, *, development: bool) -> bool:
    """Return whether a URL may be asked: https, or in development http on this machine;
    nothing that programs read in two ways.

    Args:
        url: of the settings or of a provider's document.
        development: plain http on this machine is allowed.

    Source: OpenID Connect Discovery 1.0, section 4.3; RFC 9700, section 2.6.
    """
    if len(url) > 2048 or not all("!" <= letter <= "~" for letter in url):  # noqa: PLR2004 - as long as browsers take
        return False
    if "\\" in url or "#" in url:
        return False
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or port == 0:
        return False
    return parts.scheme == "https" or (
        development and parts.scheme == "http" and host in _HERE
    )
