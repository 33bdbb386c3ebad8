"""How this room asks other services: through a function that is handed in.

Where connections may lead is known to another room. The guard hands in its client,
which looks each name up once and dials only what it has judged (CWE-918, CWE-367).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class Fetched(NamedTuple):
    """What another service has answered.

    Args:
        status: of the answer.
        content: its body, decompressed.
    """

    status: int
    content: bytes


class Fetch(Protocol):
    """Asks another service."""

    async def __call__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        form: bytes | None = None,
        most: int,
        timeout: float,  # noqa: ASYNC109 - bounds more than one await
    ) -> Fetched:
        """Ask, and follow no redirect: what is asked for is configured, and whoever
        sends us elsewhere is not who was configured.

        Args:
            url: absolute.
            headers: to be sent.
            form: ``application/x-www-form-urlencoded``, sent by POST; ``None``: GET.
            most: bytes of the answer.
            timeout: seconds for everything.

        Raises:
            FetchError: there was no answer, it was too slow or too large, it was a
                redirect, or the address may not be dialled.
        """
