"""The response headers of one route that differ from the settings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ringfence.browser.csp import effective_directives
from ringfence.browser.directives import FRAMING, check_directives, weaknesses
from ringfence.browser.features import DENIED, parse_features
from ringfence.browser.headers import RouteHeaders, compile_headers
from ringfence.browser.settings import BrowserSettings, check_framing
from ringfence.errors import PlanError, SettingsError
from ringfence.exchange import Headers
from ringfence.marks import Mark

_CACHE = re.compile(
    r"no-store|(?:private|public), (?:no-cache|max-age=[0-9]{1,8}(?:, immutable)?)"
)
_Referrer = Literal["same-origin", "strict-origin", "strict-origin-when-cross-origin"]
_Opener = Literal["same-origin", "same-origin-allow-popups", "noopener-allow-popups"]
_FOR_ONE = (b"cache-control", b"private, no-cache")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeaderOverride(Mark):
    """What ``headers`` returns; the arguments are explained there."""

    csp: Mapping[str, str]
    frame_options: str
    fields: Mapping[str, str]
    permissions_policy: tuple[str, ...]
    cache: str
    because: str

    def __post_init__(self) -> None:
        check_directives(self.csp, strict=False)
        check_framing(self.frame_options, self.csp)
        if self.cache and not _CACHE.fullmatch(self.cache):
            raise SettingsError(
                f"headers(cache={self.cache!r}): write 'no-store', 'private, "
                f"no-cache', 'private, max-age=60', 'public, max-age=60' (seconds), or "
                f"'public, max-age=31536000, immutable'"
            )
        usual = BrowserSettings()
        self.settings(usual)
        loosened(usual, self.directives(), self.because)

    def directives(self) -> dict[str, str]:
        """Return the directives that differ, the one about frames among them."""
        framing = FRAMING.get(self.frame_options)
        return {**({"frame-ancestors": framing} if framing else {}), **self.csp}

    def settings(self, usual: BrowserSettings) -> BrowserSettings:
        """Return the settings as they are for this route, but for the policy.

        Raises:
            SettingsError: a value that browsers would not understand.
        """
        features = {
            **parse_features(usual.permissions_policy),
            **parse_features(self.permissions_policy),
        }
        listed = tuple(f"{name}={who}" for name, who in features.items())
        chosen: dict[str, Any] = dict(self.fields)
        return replace(usual, permissions_policy=listed, **chosen)


def headers(  # noqa: PLR0913 - one argument a header, each by its name
    *,
    csp: Mapping[str, str] | None = None,
    frame_options: Literal["DENY", "SAMEORIGIN"] | None = None,
    referrer_policy: _Referrer | None = None,
    opener_policy: _Opener | None = None,
    embedder_policy: Literal["", "require-corp", "credentialless"] | None = None,
    resource_policy: Literal["same-origin", "same-site", "cross-origin"] | None = None,
    permissions_policy: Sequence[str] = (),
    cache: str | None = None,
    because: str = "",
) -> HeaderOverride:
    """Let the response headers of a route differ from the settings.

    What differs stands in the plan of the route, where a review sees it. Of several
    marks the one nearest to the handler counts, header by header::

        @ringfence.headers(csp={"img-src": "'self' https://images.example"})
        @access.require(access.public)
        async def gallery(): ...

    Args:
        csp: directives of the Content-Security-Policy; an empty text takes one out.
        frame_options: ``DENY`` or ``SAMEORIGIN``. For other origins, write
            ``csp={"frame-ancestors": "https://partner.example"}``.
        referrer_policy: as in ``browser.referrer_policy``.
        opener_policy: as in ``browser.opener_policy``.
        embedder_policy: as in ``browser.embedder_policy``.
        resource_policy: as in ``browser.resource_policy``.
        permissions_policy: features that differ, ``["camera=(self)"]``.
        cache: the ``Cache-Control`` of every answer that is no error, whatever the
            handler says: ``no-store``, ``private, max-age=60``, or, where everybody may
            read, ``public, max-age=60``. An answer that is for one reader (signed in,
            or given a cookie) is never public.
        because: why the route needs less protection, in a few words. Needed where
            something takes protection away (inline scripts, frames by others, no
            Trusted Types), and shown in the plan.

    Raises:
        SettingsError: a value that browsers would not understand, or one that takes
            protection away without saying why; says which and the likely fix.

    Not covered: answers of the guard itself (refusals, preflights).

    Source: ASVS 5.0 V3.4; CWE-693.
    """
    given = {
        "referrer_policy": referrer_policy,
        "opener_policy": opener_policy,
        "embedder_policy": embedder_policy,
        "resource_policy": resource_policy,
    }
    return HeaderOverride(
        csp=dict(csp or {}),
        frame_options=frame_options or "",
        fields={name: value for name, value in given.items() if value is not None},
        permissions_policy=tuple(permissions_policy),
        cache=cache or "",
        because=because.strip(),
    )


class HeaderMaker:
    """Makes the response headers of each route at start-up.

    Args:
        settings: of the window.
        secure: the service is reached by https.
        report_only: policies only report.
    """

    def __init__(
        self, settings: BrowserSettings, *, secure: bool, report_only: bool = False
    ) -> None:
        self._settings = settings
        self._secure = secure
        self._report_only = report_only
        self.later: HeaderMaker | None = None
        self.usual = self._compile(settings, {})

    def reporting(self) -> HeaderMaker:
        """Return a maker whose policies report what they would refuse, and refuse
        nothing; ``later`` is what enforces them."""
        maker = HeaderMaker(self._settings, secure=self._secure, report_only=True)
        maker.later = self
        return maker

    def of(self, marks: Sequence[Mark], *, is_public: bool, where: str) -> RouteHeaders:
        """Return the headers of a route.

        Args:
            marks: declared beside it, the outermost first.
            is_public: everybody may use it.
            where: path and place of the route, for messages.

        Raises:
            PlanError: what is declared does not fit the settings or the policy.
        """
        overrides = [mark for mark in marks if isinstance(mark, HeaderOverride)]
        if not overrides:
            return self.usual
        try:
            return self._merged(overrides, is_public=is_public)
        except SettingsError as error:
            raise PlanError(f"{where}: {error}") from error

    def _merged(
        self, overrides: Sequence[HeaderOverride], *, is_public: bool
    ) -> RouteHeaders:
        settings, cache = self._settings, ""
        directives: dict[str, str] = {}
        for one in overrides:
            settings = one.settings(settings)
            directives |= one.directives()
            cache = one.cache or cache
        because = "; ".join(filter(None, (one.because for one in overrides)))
        looser = loosened(self._settings, directives, because)
        differing = {
            **_differing(self._settings, settings, directives),
            **({"cache": cache} if cache else {}),
            **({"looser": "; ".join(looser), "because": because} if looser else {}),
        }
        return self._compile(settings, directives)._replace(
            caching=_caching(cache, is_public=is_public), overrides=differing
        )

    def _compile(
        self, settings: BrowserSettings, directives: Mapping[str, str]
    ) -> RouteHeaders:
        return compile_headers(
            settings,
            secure=self._secure,
            directives=directives,
            report_only=self._report_only,
        )


def loosened(
    usual: BrowserSettings, directives: Mapping[str, str], because: str
) -> tuple[str, ...]:
    """Return what a route's directives open that the settings keep closed.

    Stops protection from being taken away by a line that looks like any other.

    Args:
        usual: the settings.
        directives: of the route.
        because: why, in the developer's words.

    Raises:
        SettingsError: it opens something and nobody says why.
    """
    known = weaknesses(effective_directives(usual))
    found = weaknesses(effective_directives(usual, directives))
    looser = tuple(one for one in found if one not in known)
    if looser and not because:
        raise SettingsError(
            f"headers(csp=...) takes protection away ({'; '.join(looser)}); say why "
            f'with because="...", which the plan then shows'
        )
    return looser


def _differing(
    usual: BrowserSettings, own: BrowserSettings, directives: Mapping[str, str]
) -> dict[str, str]:
    """Return what differs, by the name under which a developer knows it."""
    found = {}
    before = effective_directives(usual)
    after = effective_directives(usual, directives)
    for name in directives:
        if after[name] != before.get(name, ""):
            found[f"csp {name}"] = after[name].strip() or _without(after[name])
    for name in (
        "referrer_policy",
        "opener_policy",
        "embedder_policy",
        "resource_policy",
    ):
        value = getattr(own, name)
        if value != getattr(usual, name):
            found[name] = value or "(taken out)"
    allowed = {**DENIED, **parse_features(usual.permissions_policy)}
    for name, who in parse_features(own.permissions_policy).items():
        if who != allowed.get(name):
            found[f"permissions_policy {name}"] = who
    return found


def _without(value: str) -> str:
    return "(no value)" if value else "(taken out)"


def _caching(cache: str, *, is_public: bool) -> Headers | None:
    if not cache:
        return None
    if cache.startswith("public") and not is_public:
        raise SettingsError(
            f"headers(cache={cache!r}): not everybody may use this route, and a shared "
            f"cache would hand its answers to those who may not; write 'private, ...'"
        )
    rule = (b"cache-control", cache.encode("ascii"))
    return (rule, _FOR_ONE if cache.startswith("public") else rule)
