"""Where an application goes round ownership: every ``unscoped("...")`` in its code, for
the plan."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ringfence.access.ownership.escape import Unscoped

_OURS = "ringfence"
_UNKNOWN = "(no constant: see the code)"


@dataclass(frozen=True, slots=True, order=True)
class Escape:
    """One place that lifts ownership.

    Args:
        module: its dotted name.
        line: counted from 1.
        function: in which it stands, empty at the top of the module.
        reason: as it is written there.
    """

    module: str
    line: int
    function: str
    reason: str

    def __str__(self) -> str:
        where = f"{self.module}:{self.line}"
        return f"{self.reason}  {where} {self.function}".rstrip()


def find_escapes() -> tuple[Escape, ...]:
    """Return the escapes in all modules that have been imported, in order.

    Not covered: modules that are imported later, code without its source, and an
    ``Unscoped`` that is made by a name put together at run time; the ledger has these,
    as all others, when they are used.
    """
    found: set[Escape] = set()
    for name, module in tuple(sys.modules.items()):
        if name.partition(".")[0] != _OURS and isinstance(module, ModuleType):
            found.update(_in_module(name, module))
    return tuple(sorted(found))


def _in_module(name: str, module: ModuleType) -> Iterator[Escape]:
    known = {key for key, value in tuple(vars(module).items()) if value is Unscoped} | {
        f"{key}.unscoped"
        for key, value in tuple(vars(module).items())
        if isinstance(value, ModuleType) and getattr(value, "unscoped", 0) is Unscoped
    }
    if not known:
        return
    tree = _tree(module)
    if tree is not None:
        yield from _calls(tree, name, known, "")


def _tree(module: ModuleType) -> ast.Module | None:
    file = getattr(module, "__file__", None)
    if not file or not file.endswith(".py"):
        return None
    try:
        return ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def _calls(
    node: ast.AST, module: str, known: set[str], function: str
) -> Iterator[Escape]:
    for child in ast.iter_child_nodes(node):
        inside = function
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            inside = f"{function}.{child.name}".lstrip(".")
        if isinstance(child, ast.Call) and ast.unparse(child.func) in known:
            yield Escape(module, child.lineno, inside, _reason(child))
        yield from _calls(child, module, known, inside)


def _reason(call: ast.Call) -> str:
    given = [*call.args, *(word.value for word in call.keywords)]
    match given:
        case [ast.Constant(value=str(reason))]:
            return reason
        case _:
            return _UNKNOWN
