"""Plain ASGI applications: what they route is told by rules."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ringfence.errors import PlanError
from ringfence.exchange import ASGIApp
from ringfence.frameworks.place import place_of
from ringfence.frameworks.rule import Rule
from ringfence.frameworks.segments import ANY_TEXT, Parameter, Reach, Segment, Tail
from ringfence.frameworks.table import Application, Leaf, Table, Wrap

_PARAMETER = re.compile(r"{([a-zA-Z_][a-zA-Z0-9_]*)(:path)?}")


def read(app: ASGIApp, rules: Sequence[Rule]) -> Application:
    """Make a table of the rules, in their order.

    Args:
        app: an ASGI application that cannot be asked for its routes.
        rules: every path that may be reached; ``{name}`` stands for one segment,
            ``{name:path}`` at the end for the rest.

    Raises:
        PlanError: there are no rules.

    Not covered: whether the application understands the paths as the rules do.
    Nothing can be bound, sealed or rehearsed.
    """
    if not rules:
        kind = type(app)
        name = getattr(app, "__qualname__", f"{kind.__module__}.{kind.__qualname__}")
        message = (
            f"{name} is a plain ASGI application, whose routes nobody can read; say "
            'which paths it has: Guard(app, rules=[Rule("GET", "/x/{id}", '
            "access.signed_in), ...])"
        )
        raise PlanError(message)
    return Application(
        framework="plain",
        table=Table(entries=tuple(_leaf(app, rule) for rule in rules)),
        router=app,
        # Nothing is bound in it: a POST for which there is no rule would be answered by
        # whatever it does with the path, whoever asks.
        answers_itself=False,
        notes=("Nothing can be compared with what this application itself routes.",),
    )


def _leaf(app: ASGIApp, rule: Rule) -> Leaf:
    websocket = rule.method == "WEBSOCKET"
    return Leaf(
        kind="websocket" if websocket else "http",
        path=rule.path,
        pattern=_pattern(rule.path),
        template=rule.path,
        methods=None if websocket or rule.method == "*" else frozenset({rule.method}),
        place=place_of(app),
        policy=None,  # the rule itself gives it, as to every leaf
        bind=_bind_nothing,
        reach=_reach(rule.path),
    )


def _pattern(path: str) -> re.Pattern[str]:
    parts = _PARAMETER.split(path)
    text = re.escape(parts[0])
    for rest, literal in zip(parts[2::3], parts[3::3], strict=True):
        text += ("(?s:.*)" if rest else "[^/]+") + re.escape(literal)
    return re.compile(text + r"\Z")


def _reach(path: str) -> Reach:
    segments: list[Segment] = []
    pieces = path[1:].split("/")
    for place, piece in enumerate(pieces, start=1):
        parts = _PARAMETER.split(piece)
        if any(parts[2::3]):
            last = place == len(pieces) and _PARAMETER.fullmatch(piece)
            return Reach(tuple(segments), Tail.ALL if last else Tail.SOME)
        pattern = ANY_TEXT.join(map(re.escape, parts[::3]))
        alone = len(parts) == 1
        segments.append(piece if alone else Parameter(pattern, parts[0], parts[-1]))
    return Reach(tuple(segments), Tail.NONE)


def _bind_nothing(wrap: Wrap) -> None:
    """A plain application has no object of its own for each path."""
