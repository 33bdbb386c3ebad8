"""What all processes of one service must have in common, in a form that can be compared
and shows nothing secret."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import chain

from ringfence.access.ownership.data import OwnedData
from ringfence.guard.describe import describe_json
from ringfence.guard.fields import FieldRules, find_fields
from ringfence.guard.plan import RoutePlan
from ringfence.settings import Settings

_FEW = 5  # differences that are named one by one


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What one process would do with requests: its plan, keys and settings.

    Where two processes share one address, a request falls to either of them. If one of
    them asks less of a route, attackers only have to come again until they meet that
    one (CWE-862). If their keys differ, the other refuses what one has signed.

    Args:
        version: of ringfence.
        routes: the plan, as ``ringfence plan --format json`` gives it, in its order.
        settings: a hash of each setting, by name.
        keys: a hash of each key's derivative, the signing one first, retired ones too.
            Never a key.
        rows: who reads and writes the rows of which table, by its name.
        fields: who reads and sets which field of which model, and what requests and
            answers hold that are tied to it, by name.

    Not covered: what handlers do. Two releases with the same plan have the same
    fingerprint.
    """

    version: str
    routes: tuple[dict[str, str], ...]
    settings: dict[str, str]
    keys: tuple[str, ...]
    rows: dict[str, str] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        settings: Settings,
        plans: Sequence[RoutePlan],
        derived_keys: Sequence[bytes],
        *,
        version: str,
        data: Sequence[OwnedData] = (),
    ) -> Fingerprint:
        """Return the fingerprint of a guard that has started.

        Args:
            settings: all of them.
            plans: in the order in which they are tried.
            derived_keys: one for each key, derived for this purpose and no other.
            version: of ringfence.
            data: the databases whose rows have owners.
        """
        routes = describe_json(plans)["routes"]
        rows = routes if isinstance(routes, list) else []
        return cls(
            version=version,
            routes=tuple(
                {name: _shown(value) for name, value in row.items()} for row in rows
            ),
            settings={name: _hash(text) for name, text in _flat(settings)},
            keys=tuple(hashlib.sha256(key).hexdigest() for key in derived_keys),
            rows=_said_of_rows(data),
            fields=_said_of(find_fields(plans, data)),
        )

    @property
    def digest(self) -> str:
        """SHA-256 over all of it, in hexadecimal."""
        parts = (
            self.version,
            self.routes,
            self.settings,
            self.keys,
            self.rows,
            self.fields,
        )
        return _hash(json.dumps(parts, sort_keys=True))

    def difference(self, other: Fingerprint) -> str:
        """Return in what the other one differs, as half a sentence; ``""`` for nothing.

        Args:
            other: of another process; it is spoken of as the one that differs.
        """
        return "; ".join(_differences(self, other))


def _differences(one: Fingerprint, other: Fingerprint) -> Iterator[str]:
    if one.version != other.version:
        yield f"ringfence is {other.version} instead of {one.version}"
    yield from _few([*_of_plans(one.routes, other.routes)])
    rows = _of_rules(one.rows, other.rows, "nobody said whose")
    yield from _few([f"rows of {name} are {said}" for name, said in rows])
    fields = _of_rules(one.fields, other.fields, "without a rule")
    yield from _few([f"the field rule {name} is {said}" for name, said in fields])
    changed = sorted(
        name
        for name in one.settings.keys() | other.settings.keys()
        if one.settings.get(name) != other.settings.get(name)
    )
    yield from _few([f"the setting {name} has another value" for name in changed])
    if not _of_one_file(one.keys, other.keys):
        yield "the keys are others"


def _of_rules(
    one: Mapping[str, str], other: Mapping[str, str], nothing: str
) -> Iterator[tuple[str, str]]:
    for name in sorted(one.keys() | other.keys()):
        if one.get(name) != other.get(name):
            said = f"{other.get(name, nothing)} instead of {one.get(name, nothing)}"
            yield name, said


def _said_of_rows(data: Iterable[OwnedData]) -> dict[str, str]:
    """Return what is said of each table; of those of one name in several databases, in
    the order of these."""
    found: dict[str, str] = {}
    for rule in chain.from_iterable(each.rules() for each in data):
        said = f"read by {rule.says[0]}, written by {rule.says[1]}"
        before = found.get(rule.table)
        found[rule.table] = said if before is None else f"{before}; {said}"
    return found


def _said_of(fields: FieldRules) -> dict[str, str]:
    rules = {
        f"{rule.name} of {rule.module}.{rule.model}": (
            f"read by {rule.says[0]}, set by {rule.says[1]}"
        )
        for rule in fields.rules
    }
    shapes = {
        f"{shape.module}.{shape.name}": f"{shape.of}: {', '.join(shape.fields)}"
        for shape in fields.shapes
    }
    return {**rules, **shapes}


def _of_one_file(one: Sequence[str], other: Sequence[str]) -> bool:
    """Return whether two rings are readings of one file at different times: while keys
    are rotated a process has read it before, and another one after."""
    return one[0] in other or other[0] in one


def _few(found: list[str]) -> list[str]:
    more = len(found) - _FEW
    return [*found[:_FEW], f"and {more} more such"] if more > 0 else found


def _of_plans(
    one: Sequence[dict[str, str]], other: Sequence[dict[str, str]]
) -> Iterator[str]:
    names, others = [*map(_name, one)], [*map(_name, other)]
    missing = [name for name in names if name not in others]
    added = [name for name in others if name not in names]
    yield from (f"the route {name} is missing" for name in missing)
    yield from (f"the route {name} is there as well" for name in added)
    if missing or added:
        return
    if len(one) != len(other):
        yield "a route is there more often"
        return
    for route, twin in zip(one, other, strict=True):
        if _name(route) != _name(twin):
            yield f"the route {_name(twin)} stands in another place"
            return
        for name in route:
            if route[name] != twin.get(name):
                yield (
                    f"{name} of {_name(route)} is {twin.get(name)} instead of "
                    f"{route[name]}"
                )


def _name(route: Mapping[str, str]) -> str:
    """Return what a route is called among people."""
    kind = route.get("kind", "")
    what = route.get("methods") or "any"
    where = route.get("host", "") + route.get("path", "")
    return f"{what} {where}" if kind == "http" else f"{what} {where} ({kind})"


def _shown(value: object) -> str:
    """Return a value of the plan as text that is the same in every process."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return json.dumps(value, sort_keys=True)


def _flat(settings: object, room: str = "") -> Iterator[tuple[str, str]]:
    for each in fields(settings):  # type: ignore[arg-type]  # called with dataclasses only
        value = getattr(settings, each.name)
        if is_dataclass(value):
            yield from _flat(value, f"{room}{each.name}.")
        else:
            yield f"{room}{each.name}", _canonical(value)


def _canonical(value: object) -> str:
    """Return a text that does not depend on the order of sets, which each process has
    its own of."""
    if isinstance(value, Mapping):
        pairs = sorted((_canonical(key), _canonical(one)) for key, one in value.items())
        return f"{{{', '.join(f'{key}: {one}' for key, one in pairs)}}}"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(_canonical, value)))}}}"
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_canonical, value))})"
    return repr(value)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
