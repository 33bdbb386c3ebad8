"""The net under pickles: a pickle names what is imported and called while it is read.

Applications read pickles of their own (caches, processes that report back). So a name
is refused only where the request has brought the pickle that holds it, or where it is
one that no honest pickle holds at all.
"""

from __future__ import annotations

import pickletools
import re
from collections.abc import Iterator, Mapping

from ringfence.interpreters.callers import frames
from ringfence.interpreters.deserialization.blobs import blobs_of
from ringfence.interpreters.hook import Judge
from ringfence.interpreters.sink import Here, Sink

SINK = Sink("pickle", "pickle")
MARSHAL = Sink("pickle", "marshal")

_START = re.compile(rb"\x80[\x02-\x05]")
_MOST_STEPS = 200_000  # operations of all pickles of a request that are looked at
# What plain data consists of: making one of these does nothing.
_PLAIN = frozenset(
    {
        *(("datetime", name) for name in ("date", "datetime", "time", "timedelta")),
        *(("datetime", name) for name in ("timezone", "tzinfo")),
        *(("collections", name) for name in ("OrderedDict", "Counter", "deque")),
        *(
            (module, name)
            for module in ("builtins", "__builtin__")
            for name in ("bytearray", "bytes", "complex", "dict", "float", "frozenset")
        ),
        *(
            (module, name)
            for module in ("builtins", "__builtin__")
            for name in (
                "int",
                "list",
                "object",
                "range",
                "set",
                "slice",
                "str",
                "tuple",
            )
        ),
        ("decimal", "Decimal"),
        ("fractions", "Fraction"),
        ("uuid", "UUID"),
        ("_codecs", "encode"),
        ("copyreg", "_reconstructor"),
        ("copy_reg", "_reconstructor"),
    }
)
# What runs programs or text, and stands in no pickle that somebody has written in
# good faith.
_RUNNERS = {
    "os": r"system|popen.*|exec.*|spawn.*|posix_spawn.*|fork.*|startfile|remove|unlink",
    "posix": r".*",
    "nt": r".*",
    "pty": r".*",
    "subprocess": r"(?!CompletedProcess$|CalledProcessError$|TimeoutExpired$).*",
    "builtins": r"eval|exec|compile|__import__|open|breakpoint|input",
    "__builtin__": r"eval|exec|execfile|compile|__import__|open|file",
    "runpy": r".*",
    "code": r".*",
    "codeop": r".*",
    "timeit": r".*",
    "bdb": r".*",
    "pdb": r".*",
    "profile": r".*",
    "cProfile": r".*",
    "shutil": r"rmtree|move|copy.*|unpack_archive",
    "importlib": r"import_module|__import__|reload",
    "ctypes": r".*",
    "webbrowser": r"open.*",
    "pydoc": r"pipepager|tempfilepager|locate",
    "marshal": r".*",
    "types": r"CodeType|FunctionType",
}
_RUNNER_OF = {module: re.compile(names) for module, names in _RUNNERS.items()}
_NAMING = frozenset({"GLOBAL", "INST"})
_TEXTS = frozenset(
    {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING"}
)
_KEEPING = frozenset({"MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"})
_RECALLING = frozenset({"GET", "BINGET", "LONG_BINGET"})
_CALLING = frozenset({"REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST", "BUILD"})
_SILENT = frozenset({"PROTO", "FRAME"})


def runs_something(module: str, name: str) -> bool:
    """Return whether a global runs programs or text, and is no part of any data."""
    names = _RUNNER_OF.get(module)
    return names is not None and names.fullmatch(name) is not None


def judge_find_class(event: str, args: tuple[object, ...], whom: Here) -> None:
    """Judge ``pickle.find_class``: the module and the name that a pickle asks for.

    Raises:
        InjectionRefusedError: the request has brought a pickle with this name, or the
            name is one that runs programs or text.

    Source: CWE-502; ASVS 5.0 1.5.2.
    """
    module, name = str(args[0]), str(args[1])
    if (module, name) in _PLAIN:
        return
    if runs_something(module, name):
        whom.refuse(SINK, "a pickle that runs something")
    elif whom.exchange is not None and not whom.inputs.complete:
        whom.refuse(SINK, "a pickle, in a request that is not known in full")
    elif any(names(blob, module, name) for blob in blobs_of(whom)):
        whom.refuse(SINK, "a pickle that the request has brought")


def names(blob: bytes, module: str, name: str) -> bool:
    """Return whether bytes hold a pickle that asks for a global, or for one whose name
    it only makes while it is read."""
    asked = f"{module}\n{name}\n".encode("utf-8", "backslashreplace")
    if asked in blob:  # as text, wherever it begins
        return True
    if b"\n" not in blob and b"\x93" not in blob:
        return False  # no operation in it names anything
    starts = {0, *(match.start() for match in _START.finditer(blob))}
    steps = 0
    for start in sorted(starts):
        stack = _Literals()
        for operation, value in _operations(blob[start:]):
            steps += 1
            if (
                steps > _MOST_STEPS  # made to be too long to look at
                or (operation in _NAMING and value == f"{module} {name}")
                or (operation == "STACK_GLOBAL" and stack.may_name(module, name))
            ):
                return True
            stack.take(operation, value)
    return False


class _Literals:
    """The texts of a pickle, and which of them stand on top of its stack.

    A name may be made by what the pickle calls, too (``_codecs.encode`` of other
    letters): then it may be any name.
    """

    def __init__(self) -> None:
        self._top: list[object] = []
        self._memo: dict[int, object] = {}
        self._seen: set[object] = set()
        self._has_named = False
        self._has_called = False

    def take(self, operation: str, value: object) -> None:
        """Follow one operation."""
        if operation in _KEEPING:
            place = len(self._memo) if value is None else int(str(value))
            self._memo[place] = self._top[-1] if self._top else None
        elif operation in _RECALLING:
            self._top.append(self._memo.get(int(str(value))))
        elif operation in _TEXTS:
            self._top.append(value)
            self._seen.add(value)
        elif operation not in _SILENT:
            self._has_named |= operation in _NAMING or (
                operation == "STACK_GLOBAL" and self._are_known()
            )
            self._has_called |= self._has_named and operation in _CALLING
            self._top.clear()

    def may_name(self, module: str, name: str) -> bool:
        """Return whether the two texts on top are these, or may be."""
        if self._are_known():
            return self._top[-2:] == [module, name]
        return self._has_called or {module, name} <= self._seen

    def _are_known(self) -> bool:
        given = self._top[-2:]
        return len(given) > 1 and all(isinstance(each, str) for each in given)


def _operations(raw: bytes) -> Iterator[tuple[str, object]]:
    """Yield what a pickle does, up to where it is none any more."""
    try:
        for operation, value, _ in pickletools.genops(raw):
            yield operation.name, value
    except (ValueError, KeyError, IndexError, OverflowError, Warning):
        return


def judge_marshal(event: str, args: tuple[object, ...], whom: Here) -> None:
    """Judge ``marshal.loads``, which makes code objects: imports do so all the time.

    Raises:
        InjectionRefusedError: the request has brought these bytes.
    """
    raw = args[0] if args else None
    if not isinstance(raw, bytes) or not raw:
        return
    caller = next(frames(), None)
    if caller is not None and caller.f_code.co_filename.startswith("<frozen "):
        return
    if any(raw in blob for blob in blobs_of(whom)):
        whom.refuse(MARSHAL, "marshalled code that the request has brought")


JUDGES: Mapping[str, Judge] = {
    "pickle.find_class": judge_find_class,
    "marshal.loads": judge_marshal,
}
