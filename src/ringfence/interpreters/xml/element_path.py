"""Guard the paths of ``find``, ``findall``, ``findtext`` and ``iterfind``, in
``xml.etree`` and in lxml: both hand them to a module of Python's."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from ringfence.errors import InjectionRefusedError, SettingsError
from ringfence.interpreters.callers import is_constant
from ringfence.interpreters.sink import Here, Sink, here

SINK = Sink("xpath", "ElementPath")

_GUARDED = "_ringfence_guarded"
_MODULES = ("xml.etree.ElementPath", "lxml._elementpath")
_METHODS = ("find", "findall", "findtext", "iterfind")
_LIBRARIES = ("xml", "lxml")
_LEAST = 2  # characters
_QUOTES = "'\""
_SYNTAX = re.compile(r"['\"\[\]]|\.\.")


def arm() -> None:
    """Guard the modules that are loaded.

    Raises:
        SettingsError: one of them takes its arguments in another way.
    """
    loaded = [vars(sys.modules[name]) for name in _MODULES if name in sys.modules]
    for names in (*loaded, *_asked_by_elements()):
        for method in _METHODS:
            _guard(names, method)


def _asked_by_elements() -> list[dict[str, Any]]:
    """Return the names of the module that elements really ask: their C code keeps the
    first one that was imported, though tools (coverage) may import another later."""
    element = getattr(sys.modules.get("xml.etree.ElementTree"), "Element", None)
    if element is None:  # it is being imported just now
        return []
    probe = _Probe({"a": "b"})
    element("a").find("./b", probe)
    return [probe.asked_by]


class _Probe(dict[str, str]):
    """Namespaces that take down who looks at them."""

    asked_by: dict[str, Any]

    def items(self) -> Any:
        self.asked_by = sys._getframe(1).f_globals  # noqa: SLF001 - inspect does the same
        return super().items()


def _guard(names: dict[str, Any], method: str) -> None:
    ask: Callable[..., Any] | None = names.get(method)
    if hasattr(ask, _GUARDED):
        return
    if ask is None or list(inspect.signature(ask).parameters)[:2] != ["elem", "path"]:
        message = f"{names['__name__']}.{method} is not as ringfence knows it"
        raise SettingsError(message)

    @wraps(ask)
    def guarded(elem: Any, path: Any, *args: Any, **kwargs: Any) -> Any:
        whom = here()
        if whom is not None and isinstance(path, str):
            _check(path, whom)
        return ask(elem, path, *args, **kwargs)

    setattr(guarded, _GUARDED, True)
    names[method] = guarded


def _check(path: str, whom: Here) -> None:
    """Object to a path of which an input is more than a part of one value.

    Source: CWE-643; ASVS 5.0 1.2.8.
    """
    try:
        if is_constant(path, beyond=_LIBRARIES):
            return
        inputs = whom.inputs
        for found in inputs.found_in(path, least=_LEAST):
            if _leaves(path[: found.start], path[found.start : found.end]):
                whom.refuse(SINK, "input as syntax of a path", found.input)
                return
        if not inputs.complete and _SYNTAX.search(path):
            whom.refuse(SINK, "a path, while not all of the request is known")
    except InjectionRefusedError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever fails here refuses
        whom.refuse(SINK, f"could not be judged: {type(error).__name__}")


def _leaves(before: str, part: str) -> bool:
    """Return whether a part ends the value that it stands in, or brings its own.
    Quotes alone are what stands around an empty value."""
    if not part.strip(_QUOTES):
        return False
    quote = ""
    for letter in before:
        if not quote and letter in _QUOTES:
            quote = letter
        elif letter == quote:
            quote = ""
    return quote in part if quote else _SYNTAX.search(part) is not None
