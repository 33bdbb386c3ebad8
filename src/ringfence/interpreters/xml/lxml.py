"""Guard lxml from external entities and document types: files are read by its own C
code, which tells Python nothing.

Its default parser fetches none. A parser that is told to (``resolve_entities=True``,
``load_dtd=True``) asks its resolvers first: each gets one that refuses.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from lxml import etree  # type: ignore[import-untyped]  # it has no types

from ringfence.errors import SettingsError
from ringfence.interpreters.sink import Sink, here

SINK = Sink("xml", "lxml")

_PARSERS = ("XMLParser", "ETCompatXMLParser", "XMLPullParser", "iterparse")
_LEAST = (5, 0)  # before, the default parser fetched what it was asked for
_OWN = ("lxml", "ringfence")


def arm() -> None:
    """Guard the parsers that are made from now on, and those that modules hold.

    Raises:
        SettingsError: this version of lxml cannot be guarded.
    """
    if etree.LXML_VERSION < _LEAST:
        message = "lxml before 5.0 reads external entities by default; install lxml>=5"
        raise SettingsError(message)
    if isinstance(etree.XMLParser, _Guarding):
        return
    kinds = {getattr(etree, name): name for name in _PARSERS}
    guarded = {kind: _guarded(kind, name) for kind, name in kinds.items()}
    for kind, name in kinds.items():
        setattr(etree, name, guarded[kind])
    for name, module in tuple(sys.modules.items()):
        if isinstance(module, ModuleType) and name.partition(".")[0] not in _OWN:
            _adopt(module, guarded)


class _Refusing(etree.Resolver):  # type: ignore[misc]  # lxml has no types
    """Refuses what a document asks for while a request is in progress."""

    def resolve(self, url: Any, public_id: Any, context: Any) -> Any:
        whom = here()
        if whom is not None:
            whom.refuse(SINK, "an external entity or document type")
        return None  # as if this were not here


class _Guarding(type):
    """Makes parsers of the class that was replaced count as the new one's."""

    _original: type

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls._original)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls._original)


def _guarded(kind: Any, name: str) -> Any:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - of the class below
        kind.__init__(self, *args, **kwargs)
        self.resolvers.add(_Refusing())

    members = {"__init__": __init__, "__module__": kind.__module__, "_original": kind}
    return _Guarding(name, (kind,), members)


def _adopt(module: ModuleType, guarded: dict[Any, Any]) -> None:
    """Guard what a module has taken from lxml before."""
    parsers: Any = tuple(guarded)
    for name, value in tuple(vars(module).items()):
        if isinstance(value, type):
            if value in guarded:
                setattr(module, name, guarded[value])
        elif isinstance(value, parsers):
            value.resolvers.add(_Refusing())
