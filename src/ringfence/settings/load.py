"""Gathering settings from a file, the environment and the code."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from ringfence.audit.hide import is_sensitive
from ringfence.audit.redact import redact
from ringfence.errors import SettingsError
from ringfence.secrets.secret import MASK
from ringfence.settings.values import from_native, from_text

PREFIX = "RINGFENCE_"
DEFAULT_FILE = "ringfence.toml"

_MOST_LISTED = 16

Loaded = TypeVar("Loaded")

# Annotations that a room may keep for type checkers only.
_NAMES = {"Mapping": Mapping, "Path": Path}

# Kubernetes puts these into every container when a service is called "ringfence".
_SERVICE_LINK = re.compile(r"(?:SERVICE_(?:HOST|PORT)|PORT)(?:_\w+)?")


@dataclass(frozen=True, slots=True)
class Given:
    """One value, as it was found.

    Args:
        value: as found.
        source: where, as the end of "... is wrong, set by ...".
        is_text: it comes from the environment and still has to be read.
    """

    value: object
    source: str
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class _Shape:
    """Which names there are.

    Args:
        top: annotations of the fields at the top.
        rooms: each room's class.
        inner: annotations of each room's fields.
    """

    top: Mapping[str, Any]
    rooms: Mapping[str, type]
    inner: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, settings: type) -> _Shape:
        hints = _hints(settings)
        rooms: dict[str, type] = {
            name: kind
            for name, kind in hints.items()
            if isinstance(kind, type) and is_dataclass(kind)
        }
        return cls(
            top={name: kind for name, kind in hints.items() if name not in rooms},
            rooms=rooms,
            inner={room: _hints(kind) for room, kind in rooms.items()},
        )

    def kind(self, room: str, name: str) -> Any:
        return self.inner[room][name] if room else self.top[name]

    def variables(self) -> dict[str, tuple[str, str]]:
        """Return every environment variable with the field that it sets."""
        found = {
            f"{PREFIX}{room}_{name}".upper(): (room, name)
            for room, names in self.inner.items()
            for name in names
        }
        return found | {f"{PREFIX}{name}".upper(): ("", name) for name in self.top}


_Gathered = dict[tuple[str, str], Given]


def load(
    settings: type[Loaded],
    *,
    toml: Path | str | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object],
) -> Loaded:
    """Return the settings: code before environment before file.

    Args:
        settings: a frozen dataclass whose fields are values, or dataclasses (rooms).
        toml: the file; ``None`` takes ``ringfence.toml`` if there is one.
        environ: the environment.
        overrides: from the code.

    Raises:
        SettingsError: everything that is wrong, at once.
    """
    shape = _Shape.of(settings)
    problems: list[str] = []
    gathered: _Gathered = {}
    whole: dict[str, object] = {}
    for found in (
        _from_file(shape, toml, problems),
        _from_environment(shape, environ, problems),
        _from_code(shape, overrides, whole, problems),
    ):
        gathered.update(found)
    arguments = _read_all(shape, gathered, problems)
    for room, kind in shape.rooms.items():
        if room not in whole:
            whole[room] = _build(kind, arguments[room], gathered, room, problems)
    _raise_any(problems)
    built = _build(settings, arguments[""] | whole, gathered, "", problems)
    _raise_any(problems)
    return built  # type: ignore[return-value]  # None only beside a problem


def _from_file(
    shape: _Shape, toml: Path | str | None, problems: list[str]
) -> Iterator[tuple[tuple[str, str], Given]]:
    path = Path(DEFAULT_FILE if toml is None else toml)
    if toml is None and not path.is_file():
        return
    text = _text_of(path)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is no TOML: {error}") from error
    for name, value in document.items():
        if name in shape.top:
            yield ("", name), Given(value, _place(path, text, "", name))
        elif name not in shape.rooms:
            where = _place(path, text, "", name)
            known = (*shape.top, *shape.rooms)
            problems.append(_unknown(name, where, known))
        elif not isinstance(value, dict):
            problems.append(
                f"{name} ({path}) is a table; write [{name}] above its fields"
            )
        else:
            for field, inner in value.items():
                where = _place(path, text, name, field)
                if field in shape.inner[name]:
                    yield (name, field), Given(inner, where)
                else:
                    known = tuple(shape.inner[name])
                    problems.append(_unknown(f"{name}.{field}", where, known))


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"{path} cannot be read: {reason}") from error


def _place(path: Path, text: str, table: str, key: str) -> str:
    """Return ``file:line`` of a key, or the file alone if it is written unusually."""
    current = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\s*([\w.\"' -]+?)\s*\]", line)
        if header:
            current = header[1].strip("\"'")
            if not table and current.split(".")[0] == key:
                return f"{path}:{number}"
        name = re.match(r"\s*[\"']?([\w.-]+?)[\"']?\s*[.=]", line)
        if name and (current, name[1]) == (table, key):
            return f"{path}:{number}"
    return str(path)


def _from_environment(
    shape: _Shape, environ: Mapping[str, str], problems: list[str]
) -> Iterator[tuple[tuple[str, str], Given]]:
    variables = shape.variables()
    for name, value in environ.items():
        if not name.upper().startswith(PREFIX):
            continue
        source = f"the environment variable {name}"
        if name in variables:
            yield variables[name], Given(value, source, is_text=True)
        else:
            problems.append(_unknown_variable(name, variables))


def _unknown_variable(name: str, variables: Iterable[str]) -> str:
    if _SERVICE_LINK.fullmatch(name.removeprefix(PREFIX)):
        return (
            f"{name} is no setting; it looks like a link to a Kubernetes service of "
            "that name: set enableServiceLinks: false in the pod"
        )
    return _unknown(name, "the environment", tuple(variables))


def _unknown(name: str, where: str, known: tuple[str, ...]) -> str:
    last = name.rpartition(".")[2]
    close = [
        *difflib.get_close_matches(last, known, n=1, cutoff=0.6),
        *difflib.get_close_matches(last.upper(), known, n=1, cutoff=0.6),
    ]
    shown = redact(repr(name)[1:-1])
    if close:
        return f"{shown} ({where}) is no setting; did you mean {close[0]}?"
    if len(known) > _MOST_LISTED:
        return f"{shown} ({where}) is no setting"
    return f"{shown} ({where}) is no setting; there are: {', '.join(sorted(known))}"


def _from_code(
    shape: _Shape,
    overrides: Mapping[str, object],
    whole: dict[str, object],
    problems: list[str],
) -> Iterator[tuple[tuple[str, str], Given]]:
    source = "Settings.load(...)"
    for name, value in overrides.items():
        if name in shape.top:
            yield ("", name), Given(value, source)
        elif name not in shape.rooms:
            problems.append(_unknown(name, source, (*shape.top, *shape.rooms)))
        elif isinstance(value, shape.rooms[name]):
            whole[name] = value
        elif isinstance(value, Mapping):
            for field, inner in value.items():
                if field in shape.inner[name]:
                    yield (name, field), Given(inner, source)
                else:
                    known = tuple(shape.inner[name])
                    problems.append(_unknown(f"{name}.{field}", source, known))
        else:
            kind = shape.rooms[name].__name__
            problems.append(f"{name} ({source}): expected {kind} or a mapping")


def _read_all(
    shape: _Shape, gathered: _Gathered, problems: list[str]
) -> dict[str, dict[str, object]]:
    arguments: dict[str, dict[str, object]] = {"": {}, **{r: {} for r in shape.rooms}}
    for (room, name), given in gathered.items():
        kind = shape.kind(room, name)
        try:
            arguments[room][name] = (
                from_text(kind, str(given.value))
                if given.is_text
                else from_native(kind, given.value)
            )
        except SettingsError as error:
            full = f"{room}.{name}" if room else name
            problems.append(f"{full} ({given.source}): {redact(str(error))}")
        except ValueError as error:
            full = f"{room}.{name}" if room else name
            problems.append(
                f"{full} ({given.source}) is {_shown(name, given.value)}; "
                f"expected {error}"
            )
    return arguments


def _shown(name: str, value: object) -> str:
    text = MASK if is_sensitive(name) else redact(repr(value))
    return text if len(text) <= 80 else text[:80] + "..."  # noqa: PLR2004 - one line


def _build(
    kind: type,
    arguments: Mapping[str, object],
    gathered: _Gathered,
    room: str,
    problems: list[str],
) -> object:
    """Return the dataclass, or add what it refuses, with where that was set."""
    try:
        return kind(**arguments)
    except (SettingsError, ValueError) as error:
        message = str(error)
        sources = [
            given.source
            for (owner, name), given in gathered.items()
            if owner == room and re.search(rf"\b{name}\b", message)
        ]
        where = f" (set by {', '.join(sources)})" if sources else ""
        problems.append(redact(message) + where)
        return None


def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind, localns=_NAMES)
    return {field.name: hints[field.name] for field in fields(kind) if field.init}


def _raise_any(problems: list[str]) -> None:
    if len(problems) == 1:
        raise SettingsError(problems[0])
    if problems:
        listed = "".join(f"\n  - {problem}" for problem in problems)
        raise SettingsError(f"{len(problems)} settings are wrong:{listed}")
