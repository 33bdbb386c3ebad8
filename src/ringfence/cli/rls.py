"""``ringfence rls``: row-level security for the database of an application."""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ringfence.access.row_security.context import PURPOSE
from ringfence.access.row_security.functions import install_keys
from ringfence.access.row_security.policies import Wall
from ringfence.check.row_security import second_walls
from ringfence.cli.target import load_target
from ringfence.errors import SettingsError
from ringfence.guard.asgi import Guard
from ringfence.secrets.keyring import Keyring
from ringfence.settings import Settings

_ID_LENGTH = 12  # as Alembic has them
_NAMED = ("revision", "down_revision")
_NO_WALL = (
    "{target} has no database with row-level security: give its guard one, as in "
    "Guard(app, data=Database(engine, Base, row_security=True)). Only PostgreSQL has "
    "it; elsewhere what the sessions check is the only wall"
)
_BINDS = re.compile(r"(?<![:\w\\]):(?=\w)")  # what SQLAlchemy takes for parameters

_REVISION = '''\
"""Keep the rows of owners apart, in the database as well.

Written by ringfence rls; write another when a rule changes.
"""

from alembic import op

revision = {revision!r}
down_revision = {down!r}
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)


UP = (
{up}
)

DOWN = (
{back}
)
'''
_NEXT = """\
Next, as the role that owns the tables:
  1. {run}
  2. ringfence rls {target} --key | psql DATABASE
  3. GRANT {role} TO the role that the application connects with
Then: ringfence check {target}
"""


def write(target: str, *, revision: Path | None, down: bool, role: str) -> int:
    """Write the migration: as SQL, or into a revision of Alembic.

    Args:
        target: the guard.
        revision: the file, or the folder of revisions; ``None`` for SQL.
        down: the way back instead, as SQL.
        role: that the application's own is to be a member of.

    Raises:
        SettingsError: the guard has no database that could have it, or the file is
            there already.
    """
    wall = replace(_wall(target, load_target(target)), role=role)
    up, back = wall.up(), wall.down()
    if revision is None:
        sys.stdout.write(_script(back if down else up))
        run = "psql DATABASE < what this has printed"
    else:
        made = _write_revision(revision, up, back)
        sys.stdout.write(f"{made} is written.\n")
        run = "alembic upgrade head"
    if not down:
        sys.stderr.write(_NEXT.format(run=run, target=target, role=wall.role))
    return 0


def write_keys(target: str) -> int:
    """Print what makes the database know the keys of this installation.

    Raises:
        SettingsError: there are no keys, or the output is a terminal.
    """
    guard = load_target(target)
    _wall(target, guard)
    if sys.stdout.isatty():
        message = (
            "what this prints is a secret, and no screen should keep it; pipe it to "
            f"the database: ringfence rls {target} --key | psql DATABASE"
        )
        raise SettingsError(message)
    sys.stdout.write(_script(install_keys(signing_keys(guard.settings))))
    return 0


def signing_keys(settings: Settings) -> tuple[bytes, ...]:
    """Return the keys that sign for whom a transaction works, now or soon.

    Raises:
        SettingsError: there are none here.
    """
    keyring = Keyring(settings.keys_path, create=settings.development)
    keyring.open()
    return keyring.derive_all(PURPOSE)


def _wall(target: str, guard: Guard) -> Wall:
    walls = second_walls(guard.data)
    if not walls:
        raise SettingsError(_NO_WALL.format(target=target))
    return walls[0].wall


def _script(statements: Sequence[str]) -> str:
    return "BEGIN;\n\n" + "".join(f"{one};\n\n" for one in statements) + "COMMIT;\n"


def _write_revision(place: Path, up: Sequence[str], back: Sequence[str]) -> Path:
    folder = place if place.is_dir() else place.parent
    name = hashlib.sha256("\n".join((*up, *back)).encode()).hexdigest()[:_ID_LENGTH]
    file = folder / f"{name}_row_level_security.py" if place.is_dir() else place
    known = dict(_revisions(folder))
    if file.exists() or name in known:
        there = file if file.exists() else folder
        message = f"{there} has this already; nothing is overwritten"
        raise SettingsError(message)
    text = _REVISION.format(
        revision=name, down=_head(known), up=_listed(up), back=_listed(back)
    )
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{file} cannot be written: {error.strerror}") from error
    return file


def _listed(statements: Sequence[str]) -> str:
    # SQLAlchemy takes a colon before a word for a parameter.
    escaped = (_BINDS.sub(r"\\:", one) for one in statements)
    return "\n".join(f"    {_constant(one)}," for one in escaped)


def _constant(text: str) -> str:
    """Return a text as Python has it, with its lines where they can be kept."""
    if '"""' in text or "\\" in text or text.endswith('"') or "\n" not in text:
        return repr(text)
    return f'"""{text}"""'


def _revisions(folder: Path) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the revisions in a folder, each with those that it follows."""
    for file in sorted(folder.glob("*.py")):
        found: dict[str, object] = {}
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign):
                names, value = node.targets, node.value
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                names, value = [node.target], node.value
            else:
                continue
            for name in names:
                if isinstance(name, ast.Name) and name.id in _NAMED:
                    found[name.id] = ast.literal_eval(value)
        if isinstance(revision := found.get("revision"), str):
            yield revision, _texts(found.get("down_revision"))


def _texts(value: object) -> frozenset[str]:
    if isinstance(value, (tuple, list)):
        return frozenset(map(str, value))
    return frozenset() if value is None else frozenset({str(value)})


def _head(known: Mapping[str, frozenset[str]]) -> str | None:
    heads = sorted(known.keys() - frozenset().union(*known.values()))
    if len(heads) > 1:
        message = f"there are several heads, {', '.join(heads)}: alembic merge heads"
        raise SettingsError(message)
    return heads[0] if heads else None
