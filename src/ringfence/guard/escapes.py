"""Where an application goes round ownership: every ``unscoped("...")`` in its code, for
the plan."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ringfence.access.ownership.escape import Unscoped

_OURS = "ringfence"
_UNKNOWN = "(no constant: see the code)"
_HANDED_ON = "(handed on: see the code)"
_WORDS = (b"unscoped", b"Unscoped")


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


def find_escapes(among: Iterable[ModuleType] | None = None) -> tuple[Escape, ...]:
    """Return the escapes in all modules that have been imported, in order.

    Args:
        among: only these; ``None`` for all.

    Not covered: modules that are imported later, code without its source, and an
    ``Unscoped`` that is made by a name put together at run time; the ledger has these,
    as all others, when they are used.
    """
    found: set[Escape] = set()
    these = None if among is None else set(map(id, among))
    for name, module in tuple(sys.modules.items()):
        if name.partition(".")[0] == _OURS or not isinstance(module, ModuleType):
            continue
        if these is None or id(module) in these:
            found.update(_in_module(name, module))
    return tuple(sorted(found))


def _in_module(name: str, module: ModuleType) -> Iterator[Escape]:
    source = _source(module)
    held = any(value is Unscoped for value in tuple(vars(module).values()))
    if not held and not any(word in source for word in _WORDS):
        return
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    names = {**vars(module), **_imported(tree, module)}
    yield from _Reader(name, names).escapes(tree, "")


def _source(module: ModuleType) -> bytes:
    file = getattr(module, "__file__", None)
    if not file or not file.endswith(".py"):
        return b""
    try:
        return Path(file).read_bytes()
    except OSError:
        return b""


def _imported(tree: ast.Module, module: ModuleType) -> dict[str, object]:
    """Return what is imported anywhere in a module, within functions as well."""
    package = getattr(module, "__package__", "") or ""
    found: dict[str, object] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                name = one.name if one.asname else one.name.partition(".")[0]
                found[one.asname or name] = sys.modules.get(name)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: -node.level + 1 or None] if node.level else []
            of = ".".join(filter(None, [*above, node.module]))
            for one in node.names:
                held = vars(sys.modules[of]) if of in sys.modules else {}
                below = sys.modules.get(f"{of}.{one.name}")
                found[one.asname or one.name] = held.get(one.name, below)
    return found


class _Reader:
    """Finds the escapes in the code of one module.

    Args:
        module: its dotted name.
        names: what its names stand for.
    """

    def __init__(self, module: str, names: Mapping[str, object]) -> None:
        self._module = module
        self._names = names

    def escapes(self, node: ast.AST, function: str) -> Iterator[Escape]:
        """Yield where one is made below a node, or handed on under another name."""
        for child in _code_below(node):
            inside = function
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                inside = f"{function}.{child.name}".lstrip(".")
            if isinstance(child, ast.Call) and self._is_escape(child.func):
                yield Escape(self._module, child.lineno, inside, _reason(child))
            elif isinstance(child, ast.expr) and self._is_escape(child):
                is_called = isinstance(node, ast.Call) and node.func is child
                if not is_called:
                    yield Escape(self._module, child.lineno, inside, _HANDED_ON)
            yield from self.escapes(child, inside)

    def _is_escape(self, expression: ast.expr) -> bool:
        return self._stands_for(expression) is Unscoped

    def _stands_for(self, expression: ast.expr) -> object:
        if isinstance(expression, ast.Name):
            is_read = isinstance(expression.ctx, ast.Load)
            return self._names.get(expression.id) if is_read else None
        if isinstance(expression, ast.Attribute):
            holder = self._stands_for(expression.value)
            if isinstance(holder, (ModuleType, type)):
                return vars(holder).get(expression.attr)
        return None


def _code_below(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what stands directly below a node, but for types of arguments and names."""
    for name, value in ast.iter_fields(node):
        if name not in {"annotation", "returns"}:
            below = value if isinstance(value, list) else [value]
            yield from (one for one in below if isinstance(one, ast.AST))


def _reason(call: ast.Call) -> str:
    given = [*call.args, *(word.value for word in call.keywords)]
    match given:
        case [ast.Constant(value=str(reason))]:
            return reason
        case _:
            return _UNKNOWN
