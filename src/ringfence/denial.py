"""What ends a request before the application hears of it, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Fault(NamedTuple):
    """What is wrong with one field of what was sent, without its value.

    Args:
        place: names of fields and places in lists, from outside in.
        kind: as pydantic names it: ``missing``, ``extra_forbidden``, ``int_type``.
        limits: what the schema says: ``("max_length", 100)``.
    """

    place: tuple[str | int, ...]
    kind: str
    limits: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Denial:
    """Refuse a request and say why, once to the public and once to the ledger.

    Stages and policies return it; ``guard.refuse`` turns it into a response. It is not
    an exception, so no handler of the application can swallow it.

    Args:
        status: the HTTP status, 400 to 599.
        code: a stable name, ``room.reason``; never reused for another meaning.
        detail: one sentence for the public; says nothing of the inside.
        private: what the ledger is told besides; redacted before it is written.
        headers: further response headers, lower-case names.
        remedy: what would help, for ``guard`` to lead to: ``confirm``, say.
        brief: many may come at once; a second's worth is written down, the others are
            counted and get the shortest answer.
        faults: which fields are not as they should be.

    Source: RFC 9457 (problem details).
    """

    status: int
    code: str
    detail: str
    private: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    remedy: str = ""
    brief: bool = False
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer a request in the application's place, with nothing written down.

    For what the guard itself knows the answer to: a CORS preflight, a browser's report,
    the hundredth request in a second from an address that is blocked.

    Args:
        status: the HTTP status.
        headers: lower-case names.
        body: sent as it is.
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
