"""What the pages load: kept by browsers for ever, under a name that has its hash."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from ringfence.exchange import Exchange
from ringfence.identity.routes.desk import FOREVER, Desk
from ringfence.identity.routes.route import IdentityRoute


@dataclass(frozen=True, slots=True)
class AssetRoutes:
    """The stylesheet and the scripts.

    Args:
        desk: has read them.
    """

    desk: Desk

    def routes(self) -> list[IdentityRoute]:
        """Return the addresses."""
        route = self.desk.route
        return [
            route("GET", "assets/ringfence.css", self.stylesheet, "public"),
            route("GET", "assets/password.js", self.script, "public"),
        ]

    async def stylesheet(self, request: Request, exchange: Exchange) -> Response:
        content = self.desk.pages.stylesheet
        return Response(content, headers=FOREVER, media_type="text/css")

    async def script(self, request: Request, exchange: Exchange) -> Response:
        content = self.desk.pages.script
        return Response(content, headers=FOREVER, media_type="text/javascript")
