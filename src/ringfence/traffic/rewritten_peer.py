"""Notice a server that has replaced the peer's address before the guard sees it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping

from ringfence.denial import Denial
from ringfence.exchange import Scope

# Middleware that rewrites ``scope["client"]`` from headers, with the cure.
_REWRITERS: Mapping[tuple[str, str], str] = {
    ("uvicorn.middleware.proxy_headers", "ProxyHeadersMiddleware"): (
        "start uvicorn with --no-proxy-headers (in code: proxy_headers=False), or use: "
        "ringfence serve"
    ),
    ("hypercorn.middleware.proxy_fix", "ProxyFixMiddleware"): (
        "leave ProxyFixMiddleware out"
    ),
}
_DEEPEST = 200  # frames between the server and the guard

PEER_REWRITTEN = Denial(
    500,
    "traffic.peer_rewritten",
    "The service is set up wrongly and cannot tell who is asking.",
    private="the server has rewritten the client's address from a forwarding header; "
    "switch that off (uvicorn: --no-proxy-headers)",
)


def is_rewritten(scope: Scope) -> bool:
    """Tell whether a request with a forwarding header had its peer replaced.

    No connection comes from port 0; it is what servers write where they have taken the
    address from a header, and know no port.
    """
    client = scope.get("client")
    return bool(client and client[0] and client[1] == 0 and client[0][0] != "/")


def rewriting(environ: Mapping[str, str]) -> Iterator[str]:
    """Tell why the server would hide from the guard who is asking, if it would.

    uvicorn does by default, for peers on this machine: it believes ``X-Forwarded-For``
    before the guard has asked who sent it, so that everybody who reaches it over a
    local proxy, a tunnel or a socket file that passes the header on is whoever they
    say. Who calls the guard is seen on the stack: uvicorn wraps the application in its
    middleware, and calls the lifespan through it too.

    Args:
        environ: of the process.

    Source: CWE-290, CWE-348; uvicorn's ``proxy_headers`` and ``forwarded_allow_ips``.

    Not covered: what rewrites by other means (granian's wrapper, which does not stay
    on the stack). If it leaves no port, requests with a forwarding header are refused
    (``traffic.peer_rewritten``).
    """
    if environ.get("FORWARDED_ALLOW_IPS", "").strip() == "*":
        yield (
            "FORWARDED_ALLOW_IPS is *, so that servers that read it (uvicorn, "
            "gunicorn) let every client choose its own address; unset it, and name "
            "your proxies in RINGFENCE_PROXIES"
        )
    cure = _rewriter_above()
    if cure:
        yield (
            "the server replaces the client's address by what a header says, before "
            f"the guard can ask who wrote it; {cure}, and name your proxies in "
            "RINGFENCE_PROXIES"
        )


def _rewriter_above() -> str:
    """Return the cure for the rewriter that is calling us, ``""`` if there is none."""
    frame = inspect.currentframe()
    for _ in range(_DEEPEST):
        if frame is None:
            break
        cure = _REWRITERS.get(_class_of(frame.f_globals, frame.f_code.co_qualname))
        if cure:
            return cure
        frame = frame.f_back
    return ""


def _class_of(module: Mapping[str, object], qualified_name: str) -> tuple[str, str]:
    return str(module.get("__name__", "")), qualified_name.partition(".")[0]
