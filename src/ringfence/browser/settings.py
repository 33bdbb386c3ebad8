"""Settings of the window."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ringfence.browser.cors import ALLOWED_HEADERS, EXPOSED_HEADERS, MAX_AGE, Cors
from ringfence.browser.directives import FRAMING, check_directives
from ringfence.browser.features import parse_features
from ringfence.errors import SettingsError

_COOKIE_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_REPORT_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_REFERRER_POLICIES = (
    "same-origin",
    "strict-origin",
    "strict-origin-when-cross-origin",
)
_OPENER_POLICIES = ("same-origin", "same-origin-allow-popups", "noopener-allow-popups")
_RESOURCE_POLICIES = ("same-origin", "same-site", "cross-origin")
_EMBEDDER_POLICIES = ("", "require-corp", "credentialless")
_ONE_DAY = 86_400
_ONE_YEAR = 31_536_000


@dataclass(frozen=True, slots=True)
class BrowserSettings:
    """What browsers are told, and what they may send on their own.

    Raises:
        SettingsError: a value that browsers would ignore or that takes the protection
            away; says which and the likely fix.
    """

    csp: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Directives of the Content-Security-Policy that differ from the strict default:
    ``{"img-src": "'self' data: https://images.example"}``. An empty text takes a
    directive out."""

    hsts_max_age: int = 63_072_000
    """Seconds for which browsers insist on https; two years. 0 withdraws it."""

    hsts_subdomains: bool = True
    """Whether that holds for every name below this one (ASVS 5.0 V3.4.1)."""

    hsts_preload: bool = False
    """Whether browsers may carry this domain in their own list of those that are
    reached by https only. Hard to take back: it needs a year and all names below
    (hstspreload.org)."""

    frame_options: str = ""
    """``DENY``, or ``SAMEORIGIN`` for pages that frame each other. Unset, it follows
    the directive ``frame-ancestors``, which is ``'none'`` unless ``csp`` says more."""

    referrer_policy: str = "same-origin"
    """What a link tells about the page that it is on."""

    opener_policy: str = "same-origin"
    """Cross-Origin-Opener-Policy; ``same-origin-allow-popups`` for sign-in windows of
    other services."""

    embedder_policy: str = ""
    """Cross-Origin-Embedder-Policy: ``require-corp`` or ``credentialless`` for pages
    that need shared memory. Unset, none is sent."""

    resource_policy: str = "same-origin"
    """Cross-Origin-Resource-Policy: who may embed what is served here."""

    permissions_policy: tuple[str, ...] = ()
    """Features of the device that differ from the default, which lets no page use
    camera, microphone, position, motion, payment, USB, MIDI and screen capture:
    ``camera=(self)``."""

    reports: bool = True
    """Whether browsers are asked to report what a page's policy has refused. The
    reports go to the ledger."""

    report_path: str = "/.well-known/ringfence-reports"
    """Where they are taken."""

    readable_cookies: frozenset[str] = frozenset()
    """Names of cookies that scripts must read; all others become HttpOnly."""

    cors_origins: tuple[str, ...] = ()
    """Other origins whose pages may use this service, as browsers write them:
    ``https://app.example``; ``*`` for everybody. A route's own ``cors(...)`` counts
    instead of all of these."""

    cors_credentials: bool = False
    """Whether their requests may carry cookies. Their pages can then do whatever our
    own can."""

    cors_methods: tuple[str, ...] = ()
    """Methods that they may use; empty for all that a route answers."""

    cors_headers: tuple[str, ...] = ALLOWED_HEADERS
    """Headers that their scripts may set, besides those that always may be."""

    cors_exposed_headers: tuple[str, ...] = EXPOSED_HEADERS
    """Headers of our answers that their scripts may read."""

    cors_max_age: int = MAX_AGE
    """Seconds for which browsers keep the answer to a preflight, to 86,400."""

    def __post_init__(self) -> None:
        check_directives(self.csp)
        if self.hsts_max_age != 0 and self.hsts_max_age < _ONE_DAY:
            raise SettingsError(
                f"browser.hsts_max_age is in seconds: {self.hsts_max_age} is over "
                f"before it protects anybody; write at least {_ONE_DAY}, or 0 to "
                f"withdraw it"
            )
        if self.hsts_preload and not (
            self.hsts_max_age >= _ONE_YEAR and self.hsts_subdomains
        ):
            raise SettingsError(
                f"browser.hsts_preload: the lists of browsers take only domains with "
                f"hsts_max_age of {_ONE_YEAR} or more and hsts_subdomains; set these "
                f"too, or leave hsts_preload out"
            )
        check_framing(self.frame_options, self.csp)
        _one_of("embedder_policy", self.embedder_policy, _EMBEDDER_POLICIES)
        _one_of("opener_policy", self.opener_policy, _OPENER_POLICIES)
        _one_of("resource_policy", self.resource_policy, _RESOURCE_POLICIES)
        if self.referrer_policy == "no-referrer":
            raise SettingsError(
                "browser.referrer_policy: 'no-referrer' makes browsers send 'Origin: "
                "null' with every form, which no check can tell from an attacker's; "
                "'same-origin' tells other sites just as little"
            )
        _one_of("referrer_policy", self.referrer_policy, _REFERRER_POLICIES)
        parse_features(self.permissions_policy)
        if not _REPORT_PATH.fullmatch(self.report_path):
            raise SettingsError(
                f"browser.report_path: {self.report_path!r} is no plain path; write "
                f"one such as '/.well-known/ringfence-reports'"
            )
        for name in self.readable_cookies:
            _check_cookie_name(name)
        _ = self.cors  # checks itself

    @property
    def cors(self) -> Cors:
        """What other origins may do on routes that say nothing else."""
        return Cors(
            origins=self.cors_origins,
            credentials=self.cors_credentials,
            methods=self.cors_methods,
            headers=self.cors_headers,
            exposed_headers=self.cors_exposed_headers,
            max_age=self.cors_max_age,
            named="browser.cors_",
        )


def check_framing(frame_options: str, csp: Mapping[str, str]) -> None:
    """Refuse two headers about frames that disagree: browsers that know
    ``frame-ancestors`` follow it, and all others X-Frame-Options.

    Raises:
        SettingsError: they disagree, or the option is unknown.
    """
    _one_of("frame_options", frame_options, ("", *FRAMING))
    ancestors = csp.get("frame-ancestors")
    if frame_options and ancestors not in {None, FRAMING[frame_options]}:
        raise SettingsError(
            f"browser.frame_options: {frame_options} contradicts frame-ancestors "
            f"{ancestors} in browser.csp; take frame_options out, it follows by itself"
        )


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value in allowed:
        return
    folded = {choice.lower(): choice for choice in allowed}
    guess = folded.get(value.strip().strip("'\"").lower())
    named = ", ".join(filter(None, allowed))
    cure = f"write {guess!r}" if guess else f"write one of {named}"
    raise SettingsError(f"browser.{name}: {value!r} is unknown; {cure}")


def _check_cookie_name(name: str) -> None:
    if not _COOKIE_NAME.fullmatch(name):
        raise SettingsError(f"browser.readable_cookies: {name!r} is no cookie name")
    if name.startswith(("__Host-device", "device-")):
        raise SettingsError(
            f"browser.readable_cookies: {name!r} makes a device known to its owner's "
            f"account; a script that can read it can send it away"
        )
    if name.startswith(("__Host-session", "session-")):
        raise SettingsError(
            f"browser.readable_cookies: {name!r} is the session; a script that can "
            f"read it can send it away"
        )
