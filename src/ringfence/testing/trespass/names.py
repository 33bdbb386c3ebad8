"""What the names of fields and parameters say: whose something is, or which it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# Names under which requests say whose something is.
_OWNERLIKE = re.compile(
    r"(^|_)(owner|user|account|customer|client|member|person|author|sender|creator|"
    r"payer|tenant|organi[sz]ation|company)(_?ids?)?$"
    r"|^(from|created_by|on_behalf_of)(_?id)?$"
)
_AN_ID = re.compile(r"(^|_)(uu)?ids?$")
_OF_TEMPLATE = re.compile(r"([^/{}]*)/{([a-zA-Z0-9_]+)[^/]*$")


def is_ownerlike(name: str) -> bool:
    """Return whether a field of this name says whose something is."""
    return bool(_OWNERLIKE.search(_plain(name)))


def is_any_id(name: str) -> bool:
    """Return whether a name says that this is an id, and not of what."""
    return _AN_ID.sub("", _plain(name)) == ""


def says_id(name: str) -> bool:
    """Return whether a name says that this is an id, of whatever."""
    return _AN_ID.search(_plain(name)) is not None


def same(one: str, other: str) -> bool:
    """Return whether two names are one, written as ``order_id`` and ``orderId``."""
    return _plain(one) == _plain(other)


def meant(name: str, keys: Iterable[str], *, holds_ids: bool) -> Iterator[str]:
    """Yield the path parameters whose values a field may take: ``order_ids``,
    ``sourceOrderId`` and, where it holds ids by its type, ``orders`` for ``order_id``.

    Args:
        name: of the field.
        keys: path parameters, or templates that end in one (``/orders/{id}``).
        holds_ids: its values are numbers or UUIDs, and no text that somebody writes.
    """
    said = _plain(name)
    stem = _AN_ID.sub("", said)
    is_id = holds_ids or stem != said
    for key in keys:
        known = _stem_of(key)
        ends_so = bool(known) and f"_{_singular(stem)}".endswith(f"_{known}")
        if same(name, key) or (is_id and ends_so):
            yield key


def _stem_of(key: str) -> str:
    """Return of what a path parameter is the id: ``order`` for ``order_id``, and for
    the last in ``/orders/{id}``."""
    template = _OF_TEMPLATE.search(key)
    above, name = template.groups() if template else ("", key)
    return _singular(_AN_ID.sub("", _plain(name)) or _plain(above))


def _singular(name: str) -> str:
    return name.removesuffix("s")


def _plain(name: str) -> str:
    return _CAMEL.sub("_", name).replace("-", "_").lower()
