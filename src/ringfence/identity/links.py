"""Addresses of this service, as they stand in letters."""

from __future__ import annotations

from ringfence.exchange import Exchange


class Links:
    """Makes links that lead here and nowhere else.

    The origin is what the operator has written down, never what a request says: a link
    made from the ``Host`` header would take the token in it to whoever has sent the
    request (CWE-640, host-header poisoning; CVE-2025-59152 is of this kind). Only in
    development, where nothing may be configured, it is the socket that the request came
    in by, which is the server's own knowledge, too.

    Args:
        public_origins: the first one is used.
        development: this machine only, plain http.

    Source: ASVS 5.0 V4.1.1; OWASP Forgot Password Cheat Sheet.
    """

    def __init__(self, public_origins: tuple[str, ...], *, development: bool) -> None:
        self._origin = public_origins[0].rstrip("/") if public_origins else ""
        self._development = development

    @property
    def known(self) -> bool:
        """Whether there is anything to make links of."""
        return bool(self._origin) or self._development

    def to(self, path: str, exchange: Exchange | None) -> str:
        """Return the link to a path, empty if nobody knows where this service is.

        Args:
            path: below the path that the application is mounted at.
            exchange: the request that the letter is for, if it is for one.
        """
        scope = {} if exchange is None else exchange.scope
        root = str(scope.get("root_path", ""))
        origin = self._origin or self._served_at(scope.get("server"))
        return f"{origin}{root}{path}" if origin else ""

    def _served_at(self, server: tuple[str, int | None] | None) -> str:
        if not self._development or server is None or server[1] is None:
            return ""
        host = f"[{server[0]}]" if ":" in server[0] else server[0]
        return f"http://{host}:{server[1]}"
