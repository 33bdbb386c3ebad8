"""Finding the guard that a command is about."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from ringfence.errors import SettingsError
from ringfence.guard.asgi import Guard


def load_target(target: str) -> Guard:
    """Import the guard that ``module:attribute`` names.

    The current directory is searched first, as Python itself does for scripts.

    Raises:
        SettingsError: there is no such module or attribute, or it is no ``Guard``.

    Not covered: what the module itself raises while it is imported goes on as it is,
    with its trace, because the trace is what helps.
    """
    module_name, colon, attribute = target.partition(":")
    if not colon or not module_name or not attribute or "/" in module_name:
        message = (
            f"{target!r} names no application; write module:attribute, {_hint(target)}"
        )
        raise SettingsError(message)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    module = _module(module_name)
    found: object = module
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            message = f"{module_name} has no {attribute!r}; {_guesses(module)}"
            raise SettingsError(message) from None
    if not isinstance(found, Guard):
        raise SettingsError(_no_guard(target, attribute, found))
    return found


def _module(name: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name != missing and not name.startswith(f"{missing}."):
            raise  # something that the module itself needs
        message = (
            f"there is no module {missing!r} here ({Path.cwd()}); run the command in "
            "the directory that holds it, or install it"
        )
        raise SettingsError(message) from None


def _hint(target: str) -> str:
    path = target.partition(":")[0].removesuffix(".py").strip("./").replace("/", ".")
    return f"as in {path or 'main'}:app"


def _guesses(module: object) -> str:
    guards = [name for name, value in vars(module).items() if isinstance(value, Guard)]
    if guards:
        return f"did you mean {guards[0]}?"
    return "it has no guard: write app = Guard(app) (from ringfence import Guard)"


def _no_guard(target: str, attribute: str, found: object) -> str:
    kind = type(found).__name__
    if not callable(found):
        return (
            f"{target} is of type {kind} and no application; name the one made by Guard"
        )
    return (
        f"{target} is a {kind} without a guard, so nothing would protect it; write at "
        f"the end of the module: {attribute} = Guard({attribute}) (from ringfence "
        "import Guard)"
    )
