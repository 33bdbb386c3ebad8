"""Test clients that cannot be told where they are."""

from __future__ import annotations

from ringfence.exchange import ASGIApp, Receive, Scope, Send

_THIS_MACHINE = ("127.0.0.1", 50_000)
_NOWHERE = frozenset({"testclient", "test"})  # what test clients call themselves


def local(app: ASGIApp) -> ASGIApp:
    """Return the application as a client on this machine reaches it.

    Development answers this machine only, and some test clients give a name instead of
    an address, and send the query along with the path as it came over the wire.
    Litestar's does both::

        with TestClient(local(app), base_url="http://127.0.0.1:8000") as client:
            assert client.get("/orders").status_code == 401

    Args:
        app: the guard.
    """

    async def from_here(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            scope = {**scope, "client": _settled(scope.get("client"))}
            if "raw_path" in scope:
                scope["raw_path"] = scope["raw_path"].partition(b"?")[0]
        await app(scope, receive, send)

    return from_here


def _settled(client: tuple[str, int] | None) -> tuple[str, int] | None:
    return _THIS_MACHINE if client is not None and client[0] in _NOWHERE else client
