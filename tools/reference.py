"""Write the pages of docs/reference from the source that they are about.

python tools/reference.py
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path

from ringfence.audit import events
from ringfence.guard.questions import REMEDIES
from ringfence.interpreters.sink import PUBLIC_REFUSAL
from ringfence.settings import Settings

PROJECT = Path(__file__).parents[1]
FOLDER = PROJECT / "docs" / "reference"
SOURCE = PROJECT / "src" / "ringfence"

NOTE = "Written by `python tools/reference.py` from the source."
ABOUT_SETTINGS = """\
Every setting can be given in code (`Settings.load(traffic={"max_body": 5_000_000})`),
as an environment variable, or in `ringfence.toml` of the current directory. Code wins
over the environment, the environment over the file. Unknown names and values out of
range stop the start-up, all of them at once, each with a guess.

```toml
public_origins = ["https://shop.example"]
proxies = ["10.0.0.0/8"]

[traffic]
max_body = 5_000_000
```

In the environment lists are separated by commas, truth is `true` or `false`, a policy
is written `img-src 'self' data:; font-src 'self'`, roles are `admin>operator>staff`.
"""
ABOUT_EVENTS = """\
The ledger (`audit.jsonl` in the data directory) holds a JSON object a line: `time`,
`level`, `event`, and what stands below. `request_id`, `client` and `account` stand in
every event that has them; `ringfence why REQUEST_ID` finds events by the first.
Requests that are allowed leave no event.
"""
ABOUT_REFUSALS = """\
Every refusal has a status, a code that does not change, one sentence for the public,
and a request id. The rest is in the ledger: `ringfence why REQUEST_ID`. Where text
would have become code the guards answer with 403, the safe ways to write it
(`shell.command`, `paths.open_below`, ...) with 400 under the same code, and with "Part
of what was sent cannot be used here."; what to look at is in
[operating](../operating.md#somebody-has-sent-code-or-so-it-seems). Paths that can be
read in two ways are refused with 400 and `traffic.path_...`, which says what is
wrong ([ambiguous-path](../attacks/ambiguous-path.md)).
"""
# What makes a refusal, and the beginning that it gives to the code.
MAKERS = {
    "Denial": "",
    "Invalid": "",
    "ProofRefused": "",
    "SecondFactorNeeded": "",
    "_denial": "traffic.",
}


def settings_page() -> str:
    """Return the page with every setting, room by room."""
    rooms = {
        field.name: kind
        for field in fields(Settings)
        if (kind := _room(field)) is not None
    }
    parts = ["# Settings", ABOUT_SETTINGS, _table(Settings, "", set(rooms))]
    for name, kind in rooms.items():
        first = inspect.cleandoc(kind.__doc__ or "").splitlines()[0]
        parts += [f"## `{name}`", _cell(first), _table(kind, name, set())]
    return _page(parts)


def events_page() -> str:
    """Return the page with every event of the ledger."""
    rows = []
    for kind in _events():
        first = " ".join(inspect.cleandoc(kind.__doc__ or "").split())
        own = [field.name for field in fields(kind) if field.name not in COMMON]
        listed = ", ".join(f"`{name}`" for name in own)
        rows.append((f"`{kind.name}`", kind.level, _cell(first), listed or "-"))
    header = ("event", "level", "when", "what it holds besides")
    return _page(["# Events of the ledger", ABOUT_EVENTS, _markdown(header, rows)])


def refusals_page() -> str:
    """Return the page with every refusal, by its code."""
    found: dict[str, tuple[str, ...]] = {}
    for file in sorted(SOURCE.rglob("*.py")):
        for denial in _denials(ast.parse(file.read_text("utf-8"))):
            found.setdefault(denial[0], denial)
    for code, helps in REMEDIES.items():
        name = f"`{code}`"
        found[name] = (*found[name][:3], _cell(helps))
    rows = [found[code] for code in sorted(found)]
    header = ("code", "status", "what is said", "what helps")
    return _page(["# Refusals", ABOUT_REFUSALS, _markdown(header, rows)])


PAGES = {
    "settings.md": settings_page,
    "events.md": events_page,
    "refusals.md": refusals_page,
}
COMMON = {field.name for field in fields(events.Event)}


def _room(field: Field[object]) -> type | None:
    made = field.default_factory
    return made if isinstance(made, type) and is_dataclass(made) else None


def _table(kind: type, room: str, left_out: set[str]) -> str:
    told = _docstrings(kind)
    rows = []
    for field in fields(kind):
        if field.name in left_out:
            continue
        path = f"{room}_{field.name}" if room else field.name
        variable = f"`RINGFENCE_{path.upper()}`"
        rows.append((variable, _default(field), _cell(told[field.name])))
    return _markdown(("variable", "default", "meaning"), rows)


def _docstrings(kind: type) -> dict[str, str]:
    """Return the text below each field of a class, which Python itself throws away."""
    body = ast.parse(inspect.getsource(kind)).body[0]
    if not isinstance(body, ast.ClassDef):
        raise TypeError(f"{kind} is no class")
    found = {}
    for before, after in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(before, ast.AnnAssign)
            and isinstance(before.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            found[before.target.id] = " ".join(str(after.value.value).split())
    return found


def _default(field: Field[object]) -> str:
    value = field.default
    if value is MISSING and field.default_factory is not MISSING:
        value = field.default_factory()
    text = _spelled(value)
    return f"`{text}`" if text else "unset"


def _spelled(value: object) -> str:
    """Return a value as an environment variable has it."""
    match value:
        case None | "":
            return ""
        case bool():
            return str(value).lower()
        case tuple() | frozenset() | list():
            return ",".join(map(str, value))
        case Mapping():
            return ",".join(f"{above}>{'>'.join(of)}" for above, of in value.items())
        case _:
            return str(value)


def _events() -> Iterator[type[events.Event]]:
    """Return every event, in the order of the file."""
    for kind in vars(events).values():
        if isinstance(kind, type) and issubclass(kind, events.Event) and kind.name:
            yield kind


def _denials(tree: ast.Module) -> Iterator[tuple[str, str, str, str]]:
    """Return the refusals that a file makes, as rows without what helps."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        match node.args:
            case [
                ast.Constant(value=int(status)),
                ast.Constant(value=str(code)),
                said,
                *_,
            ] if node.func.id in MAKERS:
                room = MAKERS[node.func.id]
                yield f"`{room}{code}`", str(status), _cell(_said(said)), "-"
            case [ast.Constant(value=str(interpreter)), ast.Constant()] if (
                node.func.id == "Sink"
            ):
                yield f"`interpreters.{interpreter}`", "403", PUBLIC_REFUSAL, "-"


def _said(node: ast.expr) -> str:
    """Return a public sentence; what is only known at run time is left out."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "..."
            for part in node.values
        )
    return "says what is wrong"


def _cell(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")


def _markdown(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _page(parts: list[str]) -> str:
    head, *rest = (part.strip() for part in parts)
    return "\n\n".join((head, NOTE, *rest)) + "\n"


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), "utf-8")
        sys.stdout.write(f"docs/reference/{name}\n")


if __name__ == "__main__":
    main()
