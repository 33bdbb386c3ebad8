"""The guard of PyYAML: tags that name Python objects (``!!python/object:...``)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from yaml.constructor import (
    FullConstructor,
    UnsafeConstructor,
)

from ringfence.errors import SettingsError
from ringfence.interpreters.deserialization.pickles import runs_something
from ringfence.interpreters.sink import Here, Sink, here
from ringfence.interpreters.untrusted import fold

SINK = Sink("yaml", "yaml")

_FINDERS = ("find_python_name", "find_python_module")
_ARMED = "_ringfence_armed"


def arm() -> None:
    """Guard what the loaders other than the safe one import by name.

    Raises:
        SettingsError: PyYAML has another shape than the one that is guarded here.
    """
    for finder in _FINDERS:
        plain = FullConstructor.__dict__.get(finder)
        if plain is None or not issubclass(UnsafeConstructor, FullConstructor):
            raise SettingsError(
                f"PyYAML has no FullConstructor.{finder} any more, so that its loaders "
                "cannot be guarded; use a version that ringfence knows (6.0)"
            )
        if not hasattr(plain, _ARMED):
            setattr(FullConstructor, finder, _guarded(plain))


def _guarded(plain: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(plain)
    def find(self: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        whom = here()
        if whom is not None:
            judge(name, whom)
        return plain(self, name, *args, **kwargs)

    setattr(find, _ARMED, True)
    return find


def judge(name: str, whom: Here) -> None:
    """Refuse a Python object that a document of the request names.

    Raises:
        InjectionRefusedError: an input holds the name, or it runs programs or text.

    Source: CWE-502.
    """
    module, _, last = name.rpartition(".")
    inputs = whom.inputs
    if runs_something(module or "builtins", last):
        whom.refuse(SINK, "a tag that runs something")
    elif not inputs.complete:
        whom.refuse(SINK, "a tag, in a request that is not known in full")
    else:
        folded = fold(last)
        found = next(
            (each for each in inputs.values if folded in fold(each.text)), None
        )
        if found is not None:
            whom.refuse(SINK, "a tag that the request has brought", found)
