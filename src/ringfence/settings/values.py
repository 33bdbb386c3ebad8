"""Reading one value as the type of the field it is for."""

from __future__ import annotations

import math
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ringfence.errors import SettingsError
from ringfence.secrets.secret import Secret

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


def from_text(kind: Any, text: str) -> object:
    """Return the value that a text stands for, as an environment variable has it.

    Lists are separated by commas; roles are written ``admin>operator>staff``; an empty
    text is an empty list, or nothing where nothing is allowed.

    Args:
        kind: the annotation of the field.
        text: as given; blanks around it do not count.

    Raises:
        ValueError: with what is expected, as the end of "expected ...".
        TypeError: the annotation is none that settings may have.
    """
    text = text.strip()
    if _optional(kind) is not None:
        return from_text(_optional(kind), text) if text else None
    origin = get_origin(kind) or kind
    if origin is Literal:
        return _choice(kind, text)
    if record_of(kind) is not None:
        raise ValueError("tables in ringfence.toml; the environment has none")
    if origin in {tuple, frozenset}:
        return _list(kind, [part.strip() for part in text.split(",") if part.strip()])
    if origin is Mapping:
        return _mapping_from_text(kind, text)
    reader = _READERS.get(origin)
    if reader is None:
        raise TypeError(f"a setting cannot be of type {kind}")
    return reader(text)


def from_native(kind: Any, value: object) -> object:
    """Return a value of TOML or of the code as the field's type.

    Numbers and truth values are taken as such and not as texts, so that ``"no"`` in a
    file is never true.

    Raises:
        ValueError: with what is expected, as the end of "expected ...".
        SettingsError: what is wrong with one of several tables, without its values,
            among which there may be secrets.
        TypeError: the annotation is none that settings may have.
    """
    inner = _optional(kind)
    if inner is not None:
        return None if value is None else from_native(inner, value)
    origin = get_origin(kind) or kind
    if origin is Literal:
        return _choice(kind, value)
    record = record_of(kind)
    if record is not None:
        return _records(record, value)
    if origin in {tuple, frozenset}:
        if isinstance(value, str) or not isinstance(
            value, list | tuple | set | frozenset
        ):
            raise ValueError('a list, as in ["one", "two"]')
        return _list(kind, list(value))
    if origin is Mapping:
        return _mapping_from_native(kind, value)
    return _single(origin, value)


def record_of(kind: Any) -> type | None:
    """Return the dataclass of which a field holds several, ``None`` for every other
    field: ``tuple[Provider, ...]``, ``[[room.providers]]`` in the file."""
    first = next(iter(get_args(kind)), None) if get_origin(kind) is tuple else None
    return first if isinstance(first, type) and is_dataclass(first) else None


def _records(kind: type, value: object) -> tuple[object, ...]:
    if not isinstance(value, list | tuple):
        raise SettingsError("write each in a table of its own, between [[ and ]]")
    return tuple(_record(kind, item, place) for place, item in enumerate(value, 1))


def _record(kind: type, value: object, place: int) -> object:
    """Return one table as its dataclass."""
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise SettingsError(f"the {place}. is no table")
    hints = get_type_hints(kind)
    unknown = sorted(str(name) for name in value.keys() - hints.keys())
    if unknown:
        known = ", ".join(sorted(hints))
        message = f"the {place}. has {unknown[0]!r}, which is none of: {known}"
        raise SettingsError(message)
    missing = [
        field.name
        for field in fields(kind)
        if field.name not in value and _is_required(field)
    ]
    if missing:
        raise SettingsError(f"the {place}. has no {missing[0]}")
    arguments = {}
    for name, item in value.items():
        try:
            arguments[name] = from_native(hints[name], item)
        except ValueError as error:
            message = f"the {place}.: {name}: expected {error}"
            raise SettingsError(message) from None  # the cause could quote a secret
    return kind(**arguments)


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _optional(kind: Any) -> Any:
    """Return ``T`` of ``T | None``, or ``None`` for every other annotation."""
    if get_origin(kind) not in {Union, types.UnionType}:
        return None
    inner = [part for part in get_args(kind) if part is not type(None)]
    if len(inner) != 1:
        raise TypeError(f"a setting cannot be of type {kind}")
    return inner[0]


def _choice(kind: Any, value: object) -> object:
    choices = get_args(kind)
    if value not in choices:
        raise ValueError("one of " + ", ".join(map(repr, choices)))
    return value


def _list(kind: Any, parts: list[object]) -> object:
    if not all(isinstance(part, str) for part in parts):
        raise ValueError('a list of texts, as in ["one", "two"]')
    inner = next(iter(get_args(kind)), str)
    if get_origin(inner) is Literal:
        for part in parts:
            _choice(inner, part)
    return tuple(parts) if get_origin(kind) is tuple else frozenset(parts)


def _mapping_from_text(kind: Any, text: str) -> Mapping[str, object]:
    if get_args(kind)[1] is str:
        return _directives(text)
    chains: dict[str, tuple[str, ...]] = {}
    for chain in filter(None, (part.strip() for part in text.split(","))):
        names = [name.strip() for name in chain.split(">")]
        if len(names) < 2 or not all(names):  # noqa: PLR2004 - one above another
            raise ValueError("chains such as admin>operator>staff, between commas")
        for above, below in pairwise(names):
            chains[above] = (*chains.get(above, ()), below)
    return types.MappingProxyType(chains)


def _directives(text: str) -> Mapping[str, object]:
    found: dict[str, object] = {}
    for directive in filter(None, (part.strip() for part in text.split(";"))):
        name, _, value = directive.partition(" ")
        found[name] = value.strip()
    return types.MappingProxyType(found)


def _mapping_from_native(kind: Any, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise ValueError('a table, as in {name = "value"}')  # noqa: TRY004 - found in a file
    inner = get_args(kind)[1]
    return types.MappingProxyType(
        {str(name): from_native(inner, item) for name, item in value.items()}
    )


def _single(kind: Any, value: object) -> object:
    if kind is Path and isinstance(value, str | Path) and str(value):
        return Path(value)
    if kind is Secret and isinstance(value, str | Secret):
        return Secret(value) if isinstance(value, str) else value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return _finite(float(value))
    if kind in {bool, int, str} and type(value) is kind:
        return value
    expected = _EXPECTED.get(kind)
    if expected is None:
        raise TypeError(f"a setting cannot be of type {kind}")
    raise ValueError(expected)


def _read_bool(text: str) -> bool:
    folded = text.lower()
    if folded in _TRUE or folded in _FALSE:
        return folded in _TRUE
    raise ValueError(_EXPECTED[bool])


def _read_int(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise ValueError(_EXPECTED[int])
    return int(text)


def _read_float(text: str) -> float:
    try:
        return _finite(float(text))
    except ValueError:
        raise ValueError(_EXPECTED[float]) from None


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(_EXPECTED[float])
    return value


def _read_path(text: str) -> Path:
    if not text:
        raise ValueError(_EXPECTED[Path])
    return Path(text)


_READERS: Mapping[Any, Callable[[str], object]] = types.MappingProxyType(
    {
        bool: _read_bool,
        int: _read_int,
        float: _read_float,
        str: str,
        Path: _read_path,
        Secret: Secret,
    }
)
_EXPECTED: Mapping[Any, str] = types.MappingProxyType(
    {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "a text",
        Path: "a path",
        Secret: "a text",
    }
)
