"""The response headers of one route that differ from the settings."""

from __future__ import annotations

from collections.abc import Sequence

from ringfence.browser.headers import RouteHeaders, compile_headers
from ringfence.browser.settings import BrowserSettings
from ringfence.marks import Mark


class HeaderMaker:
    """Makes the response headers of each route at start-up.

    Args:
        settings: of the window.
        secure: the service is reached by https.
    """

    def __init__(self, settings: BrowserSettings, *, secure: bool) -> None:
        self.usual = compile_headers(settings, secure=secure)

    def of(
        self,
        marks: Sequence[Mark],
        *,
        is_public: bool,
        where: str,
    ) -> RouteHeaders:
        """Return the headers of a route.

        Args:
            marks: declared beside it, the outermost first.
            is_public: everybody may use it.
            where: path and place of the route, for messages.
        """
        return self.usual
