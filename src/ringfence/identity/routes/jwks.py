"""Where other services find the keys that verify our tokens."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from ringfence.exchange import Exchange
from ringfence.identity.routes.desk import Desk
from ringfence.identity.routes.route import IdentityRoute
from ringfence.identity.tokens.jwks import HEADERS, PATH, PublicKeys


@dataclass(frozen=True, slots=True)
class JwksRoutes:
    """``GET /.well-known/jwks.json``, for everybody (RFC 8615).

    Args:
        desk: makes routes.
        keys: writes the set.
    """

    desk: Desk
    keys: PublicKeys

    def routes(self) -> list[IdentityRoute]:
        """Return the address."""
        return [self.desk.route("GET", PATH, self.show, "public")]

    async def show(self, _: Request, __: Exchange) -> Response:
        """Answer with the public keys."""
        return Response(self.keys.content(), headers=HEADERS)
