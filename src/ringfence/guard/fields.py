"""Who may read and set which fields: what the models that an application uses say, and
which requests and answers are tied to it, for the plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

from ringfence.access.fields.rules import MARK, fields_of
from ringfence.access.fields.tie import TIE, Tie, Way
from ringfence.access.ownership.data import ModelledData, OwnedData
from ringfence.access.policy import Closed, Policy, Public
from ringfence.guard.modules import reached
from ringfence.guard.plan import RoutePlan

OTHERS = "(others)"
_SEES_THE_ROW = Public()
_NOBODY = Closed()


@dataclass(frozen=True, slots=True)
class FieldRule:
    """Who may read and set one field.

    Args:
        model: whose field it is, by its qualified name.
        module: in which the model stands.
        name: of the field; ``(others)`` for all that nothing is said of.
        read: of those who see the row, who may read it.
        write: who may set it.
    """

    model: str
    module: str
    name: str
    read: Policy
    write: Policy

    @property
    def says(self) -> tuple[str, str]:
        """How the two were declared."""
        read = "whoever sees it" if self.read == _SEES_THE_ROW else str(self.read)
        write = "nobody" if self.write == _NOBODY else str(self.write)
        return read, write


@dataclass(frozen=True, slots=True)
class Shape:
    """A model of requests or answers that is tied to the rules about fields.

    Args:
        name: its qualified name.
        module: in which it stands.
        of: ``request of Order``, ``answer with Order``.
        fields: what it may hold, in its own words; ``status (its own)`` where the rule
            about a field of that name does not count.
    """

    name: str
    module: str
    of: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FieldRules:
    """All that is said of fields.

    Args:
        rules: by model and field.
        shapes: by name.
    """

    rules: tuple[FieldRule, ...] = ()
    shapes: tuple[Shape, ...] = ()


NO_FIELDS = FieldRules()


def find_fields(
    plans: Iterable[RoutePlan], data: Iterable[OwnedData] = ()
) -> FieldRules:
    """Return what is said of the fields of all models that handlers can name, and that
    databases hold.

    Args:
        plans: of all routes.
        data: the databases.

    Not covered: models that no module of a handler leads to, by what it has imported.
    """
    classes = set(_classes(reached(plans)))
    for each in data:
        if isinstance(each, ModelledData):
            classes.update(each.models())
    shapes = {each for each in classes if isinstance(getattr(each, TIE, None), Tie)}
    models = {each for each in classes if MARK in vars(each)}
    for shape in shapes:
        models.update(_declared_above(_tie(shape).model))
    return FieldRules(
        tuple(sorted(_rules(models), key=_place)),
        tuple(sorted(map(_shape, shapes), key=lambda it: (it.name, it.module))),
    )


def _place(rule: FieldRule) -> tuple[str, str, bool, str]:
    return rule.model, rule.module, rule.name == OTHERS, rule.name


def _declared_above(model: type) -> Iterator[type]:
    return (each for each in model.__mro__ if MARK in vars(each))


def _rules(models: Iterable[type]) -> Iterator[FieldRule]:
    for model in models:
        declared = fields_of(model)
        if declared is not None:
            named = dict.fromkeys((*declared.read, *declared.write))
            for name in (*named, OTHERS):
                yield FieldRule(
                    model.__qualname__,
                    model.__module__,
                    name,
                    declared.read.get(name, _SEES_THE_ROW),
                    declared.write.get(name, _NOBODY),
                )


def _shape(shape: type) -> Shape:
    tie = _tie(shape)
    way = "request of" if tie.way is Way.REQUEST else "answer with"
    held: Mapping[str, object] | Sequence[str] = getattr(
        shape, "model_fields", getattr(shape, "__struct_fields__", ())
    )
    computed: Mapping[str, object] = getattr(shape, "model_computed_fields", {})
    return Shape(
        shape.__qualname__,
        shape.__module__,
        f"{way} {tie.model.__qualname__}",
        tuple(_held(name, tie) for name in (*held, *computed)),
    )


def _held(name: str, tie: Tie) -> str:
    """Return a field of a shape, with the rule that counts for it if it is another's
    than the field of its name, or none."""
    if name in tie.own:
        return f"{name} (its own)"
    renamed = tie.renamed.get(name, name)
    return name if renamed == name else f"{name} (as {renamed})"


def _tie(shape: type) -> Tie:
    tie: Tie = getattr(shape, TIE)
    return tie


def _classes(modules: Iterable[ModuleType]) -> Iterator[type]:
    for module in modules:
        for value in tuple(vars(module).values()):
            if isinstance(value, type):
                yield value
                yield from _inside(value)


def _inside(outer: type) -> Iterator[type]:
    """Yield the classes that are written inside a class: ``Order.Out``."""
    for value in tuple(vars(outer).values()):
        if isinstance(value, type) and value.__qualname__ == (
            f"{outer.__qualname__}.{value.__name__}"
        ):
            yield value
            yield from _inside(value)
