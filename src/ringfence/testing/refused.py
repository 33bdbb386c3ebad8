"""What a refusal looks like from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

_FIRST_ERROR = 400


class Response(Protocol):
    """A response of httpx, of Starlette's test client, or of anything like them."""

    @property
    def status_code(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def text(self) -> str: ...

    def json(self) -> Any: ...


def assert_refused(response: Response, code: str, status: int | None = None) -> None:
    """Check that the guard refused, for this reason and no other.

    A test that checks the status alone passes too when something else is broken: a
    403 may come from a policy, from CSRF or from a wrong Host.

    Args:
        response: the answer to a client that takes JSON.
        code: the stable code, ``access.not_allowed`` say.
        status: the status, if it matters.

    Raises:
        AssertionError: it was allowed, or refused for another reason.
    """
    if response.status_code < _FIRST_ERROR:
        raise AssertionError(f"allowed with {response.status_code}: {_start(response)}")
    media_type = response.headers.get("content-type", "").partition(";")[0]
    if media_type != "application/problem+json":
        raise AssertionError(
            f"{response.status_code} came from the application, not from the guard "
            f"({media_type or 'no content type'}): {_start(response)}"
        )
    found = response.json().get("code")
    if found != code:
        raise AssertionError(f"refused as {found!r}, not as {code!r}")
    if status is not None and response.status_code != status:
        raise AssertionError(f"refused with {response.status_code}, not with {status}")


def _start(response: Response) -> str:
    return repr(response.text[:200])
