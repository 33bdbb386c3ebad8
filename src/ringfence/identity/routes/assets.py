"""What the pages load: kept by browsers for ever, under a name that has its hash."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from ringfence.exchange import Exchange
from ringfence.identity.client.files import ClientFile, read_client
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
            route("GET", "assets/print.js", self.print_script, "public"),
            route("GET", "assets/letter_code.js", self.code_script, "public"),
            route("GET", "assets/passkeys.js", self.passkeys_script, "public"),
            *(
                route("GET", f"assets/{name}", ClientFileRoute(file).answer, "public")
                for name, file in read_client().items()
            ),
        ]

    async def stylesheet(self, request: Request, exchange: Exchange) -> Response:
        content = self.desk.pages.stylesheet
        return Response(content, headers=FOREVER, media_type="text/css")

    async def script(self, request: Request, exchange: Exchange) -> Response:
        content = self.desk.pages.script
        return Response(content, headers=FOREVER, media_type="text/javascript")

    async def code_script(self, request: Request, exchange: Exchange) -> Response:
        content = self.desk.pages.code_script
        return Response(content, headers=FOREVER, media_type="text/javascript")

    async def passkeys_script(self, request: Request, exchange: Exchange) -> Response:
        content = self.desk.pages.passkeys_script
        return Response(content, headers=FOREVER, media_type="text/javascript")

    async def print_script(self, request: Request, exchange: Exchange) -> Response:
        content = self.desk.pages.print_script
        return Response(content, headers=FOREVER, media_type="text/javascript")


@dataclass(frozen=True, slots=True)
class ClientFileRoute:
    """A file of the browser client, which the application's own pages name.

    Under ``?v=`` and its version it is kept for ever. Without, browsers ask each time
    whether it has changed: a script that is out of date would speak to a server that
    is not.

    Args:
        file: to be answered with.
    """

    file: ClientFile

    async def answer(self, request: Request, exchange: Exchange) -> Response:
        file = self.file
        if request.query_params.get("v") == file.version:
            return Response(file.content, headers=FOREVER, media_type=file.media_type)
        asked = {"cache-control": "no-cache", "etag": f'"{file.version}"'}
        if asked["etag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=asked)
        return Response(file.content, headers=asked, media_type=file.media_type)
