"""Guard ``xml.sax`` and what is built on it (``pulldom``) from external entities.

The standard library's other parsers never fetch any. This one does where it is told to
(``feature_external_ges``).
"""

from __future__ import annotations

import inspect
from functools import wraps
from typing import Any
from xml.sax.expatreader import ExpatParser

from ringfence.errors import SettingsError
from ringfence.interpreters.sink import Sink, here

SINK = Sink("xml", "xml.sax")

_GUARDED = "_ringfence_guarded"
_PARAMETERS = ["self", "context", "base", "sysid", "pubid"]


def arm() -> None:
    """Guard every reader of this process.

    Raises:
        SettingsError: this Python resolves entities in another way.
    """
    fetch: Any = getattr(ExpatParser, "external_entity_ref", None)
    if hasattr(fetch, _GUARDED):
        return
    is_known = inspect.isfunction(fetch)
    if not is_known or list(inspect.signature(fetch).parameters) != _PARAMETERS:
        message = "xml.sax of this Python is not as ringfence knows it"
        raise SettingsError(message)

    @wraps(fetch)
    def external_entity_ref(
        self: Any, context: Any, base: Any, sysid: Any, pubid: Any
    ) -> Any:
        whom = here()
        if whom is not None and self._external_ges:
            whom.refuse(SINK, "an external entity")
        return fetch(self, context, base, sysid, pubid)

    setattr(external_entity_ref, _GUARDED, True)
    setattr(ExpatParser, "external_entity_ref", external_entity_ref)  # noqa: B010 - a method
