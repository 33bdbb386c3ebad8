"""Choosing the adapter for an application."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from ringfence.frameworks import plain
from ringfence.frameworks.rule import Rule
from ringfence.frameworks.table import Application

_FASTAPI = frozenset({"fastapi.applications.FastAPI", "fastapi.routing.APIRouter"})
_STARLETTE = frozenset({"starlette.applications.Starlette", "starlette.routing.Router"})
_LITESTAR = "litestar.app.Litestar"


def open_adapter(app: Any, rules: Sequence[Rule] = ()) -> Application:
    """Read an application with the adapter of its framework.

    Args:
        app: an application of FastAPI, Starlette or Litestar; any other ASGI
            application is taken for a plain one.
        rules: for a plain application, the paths that it has.

    Raises:
        PlanError: the route table cannot be guarded as it stands.
    """
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(app).__mro__}
    if kinds & _FASTAPI:
        from ringfence.frameworks import fastapi  # noqa: PLC0415 - late: an adapter

        return fastapi.read(app)
    if kinds & _STARLETTE:
        if "fastapi" in sys.modules:  # an application below may be one of FastAPI
            from ringfence.frameworks import fastapi  # noqa: PLC0415 - late: an adapter

            return fastapi.read(app, framework="starlette")
        from ringfence.frameworks import starlette  # noqa: PLC0415 - late: an adapter

        return starlette.read(app)
    if _LITESTAR in kinds:
        from ringfence.frameworks import litestar  # noqa: PLC0415 - late: an adapter

        return litestar.read(app)
    return plain.read(app, rules)
