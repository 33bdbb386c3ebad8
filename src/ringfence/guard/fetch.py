"""The client that other services are asked through: only where they may be dialled."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from ringfence.errors import FetchError, InjectionRefusedError
from ringfence.exchange import active, own_work
from ringfence.identity.fetch import Fetched
from ringfence.interpreters import urls
from ringfence.settings import Settings

_FORM = {"content-type": "application/x-www-form-urlencoded"}
_LOOPBACK = ("127.0.0.0/8", "::1", "localhost")


def open_fetch(settings: Settings) -> Fetcher | None:
    """Return what asks other services, ``None`` where there are none to be asked.

    Raises:
        MissingExtraError: httpx2 is not installed.
    """
    if not settings.openid.providers and not settings.tokens.issuers:
        return None
    private = settings.interpreters.egress_private
    return Fetcher(private, development=settings.development)


class Fetcher:
    """Asks services that the settings name, as ``identity`` wants it.

    It is the guard's own work, done for no request: what a request has brought (the
    issuer that an answer names, say) neither allows nor forbids it. Where it may lead
    is decided by the settings alone: to public addresses, and to those of
    ``interpreters.egress_private``; a name that stands for any other is not dialled,
    whatever a provider's document says (CWE-918).

    Args:
        private: destinations besides the public internet.
        development: this machine may be asked, too, over plain http.

    Raises:
        MissingExtraError: httpx2 is not installed.
    """

    def __init__(self, private: tuple[str, ...], *, development: bool) -> None:
        urls.open_httpx2()  # missing, it is to be told at start-up
        self._schemes = ("https", "http") if development else ("https",)
        self._private = (*private, *(_LOOPBACK if development else ()))

    async def __call__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        form: bytes | None = None,
        most: int,
        timeout: float,  # noqa: ASYNC109 - bounds more than one await
    ) -> Fetched:
        """Ask; see ``identity.fetch.Fetch``."""
        # A task has a context of its own: what is set there stays there.
        asking = self._ask(url, headers, form, most, timeout)
        return await asyncio.create_task(asking)

    async def _ask(
        self,
        url: str,
        headers: Mapping[str, str],
        form: bytes | None,
        most: int,
        seconds: float,
    ) -> Fetched:
        active.set(None)
        own_work.set(True)
        try:
            found = await urls.fetch(
                url,
                headers={**headers, **({} if form is None else _FORM)},
                content=form,
                most=most,
                timeout=seconds,
                redirects=0,
                schemes=self._schemes,
                private=self._private,
            )
        except InjectionRefusedError as error:
            raise FetchError(f"it must not be dialled: {error}") from error
        return Fetched(found.status, found.content)
