"""``ringfence rls``, from the command to the database."""

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from ringfence.cli.main import main

APPLICATION = """
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.applications import Starlette

from ringfence import Guard, access
from ringfence.access.sqlalchemy import Database


class Base(DeclarativeBase):
    pass


@access.rows(access.owner("owner_id") & access.matching(state="a:b"))
class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[str]
    state: Mapped[str]


engine = create_engine("{url}")
app = Guard(Starlette(), data=Database(engine, Base, row_security={row_security}))
"""
ENV = """
from alembic import context
from sqlalchemy import NullPool, create_engine

with create_engine("{url}", poolclass=NullPool).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
"""
FIRST = """
from alembic import op

revision: str = "a1"
down_revision = None


def upgrade():
    op.execute("CREATE TABLE orders (id serial PRIMARY KEY, owner_id text, state text)")


def downgrade():
    op.execute("DROP TABLE orders")
"""


@pytest.fixture
def write(here, monkeypatch):
    """Write the application, for a database."""
    monkeypatch.setenv("RINGFENCE_ENV", "development")
    monkeypatch.setenv("RINGFENCE_DATA", str(here / "var"))
    # What other tests have imported is not of this application.
    monkeypatch.setattr("ringfence.cli.check.find_blind", list)

    def write(url, *, row_security=True):
        text = APPLICATION.format(url=url, row_security=row_security)
        (here / "garden.py").write_text(text)

    return write


def test_a_revision_of_alembic(here, write, postgres, capsys):
    """It follows the last one, goes up and down, and what it says holds."""
    login = "garden_login"
    url = postgres.url("psycopg")
    write(url.replace("postgres@", f"{login}@"))
    versions = here / "migrations" / "versions"
    versions.mkdir(parents=True)
    (versions / "a1_first.py").write_text(FIRST)
    (here / "migrations" / "env.py").write_text(ENV.format(url=url))
    (here / "alembic.ini").write_text("[alembic]\nscript_location = migrations\n")
    assert main(["rls", "garden:app", "--revision", str(versions)]) == 0
    said = capsys.readouterr()
    assert "alembic upgrade head" in said.err
    assert "_row_level_security.py is written" in said.out
    config = Config(here / "alembic.ini")
    script = ScriptDirectory.from_config(config)
    assert script.get_revision("head").down_revision == "a1"
    command.upgrade(config, "head")
    assert main(["rls", "garden:app", "--key"]) == 0
    keys = capsys.readouterr().out

    admin = create_engine(url)
    with admin.begin() as connection:
        for statement in keys.split(";\n\n")[1:-1]:
            connection.exec_driver_sql(statement)
        connection.execute(text(f"CREATE ROLE {login} LOGIN"))
        connection.execute(text(f"GRANT ringfence_rows TO {login}"))
        name = postgres.name
        connection.execute(text(f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC'))
        policies = "SELECT qual FROM pg_policies WHERE policyname = 'ringfence_read'"
        assert "'a:b'" in connection.scalar(text(policies))
    assert main(["check", "garden:app"]) == 0, capsys.readouterr().out
    assert "only wall" not in capsys.readouterr().out

    command.downgrade(config, "a1")
    with admin.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_policies")) == 0
        connection.execute(text(f"DROP ROLE {login}"))
    admin.dispose()
    assert main(["check", "garden:app"]) == 1
    assert "access.rls_unknown" in capsys.readouterr().out


def test_plain_sql(here, write, postgres, capsys):
    """The script runs as it is printed, twice, and back."""
    url = postgres.url("psycopg")
    write(url)
    admin = create_engine(url)

    def run(*words):
        assert main(["rls", "garden:app", *words]) == 0
        with admin.connect() as connection:
            driver = connection.connection.driver_connection
            driver.execute(capsys.readouterr().out)

    with admin.begin() as connection:
        connection.execute(text("CREATE TABLE orders (owner_id text, state text)"))
    run("--sql", "--role", "gardeners")
    run("--role", "gardeners")
    with admin.connect() as connection:
        grants = "SELECT has_table_privilege('gardeners', 'orders', 'DELETE')"
        assert connection.scalar(text(grants))
    run("--down", "--role", "gardeners")
    with admin.connect() as connection:
        assert not connection.scalar(text("SELECT to_regrole('gardeners')"))
    admin.dispose()


def test_nothing_is_overwritten(here, write, capsys):
    """What is there stays, and two heads are told of."""
    write("postgresql+psycopg://x@127.0.0.1:1/x")
    file = here / "versions" / "rls.py"
    file.parent.mkdir()
    assert main(["rls", "garden:app", "--revision", str(file)]) == 0
    assert "down_revision = None" in file.read_text()
    for place in (file, file.parent):
        assert main(["rls", "garden:app", "--revision", str(place)]) == 2
        assert "nothing is overwritten" in capsys.readouterr().err
    file.unlink()
    for name in ("a", "b"):
        text = f'revision = "{name}"\ndown_revision = ("c", "d")\nother: int\n'
        (file.parent / f"{name}.py").write_text(text)
    assert main(["rls", "garden:app", "--revision", str(file)]) == 2
    assert "several heads, a, b" in capsys.readouterr().err
    assert main(["rls", "garden:app", "--revision", str(here / "no" / "x.py")]) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "row_security"),
    [("sqlite://", False), ("postgresql+psycopg://x@127.0.0.1:1/x", False)],
)
def test_one_wall(write, capsys, url, row_security):
    """Where it is not switched on, the commands say so."""
    write(url, row_security=row_security)
    assert main(["rls", "garden:app"]) == 2
    assert "row_security=True" in capsys.readouterr().err
    assert main(["check", "garden:app"]) == 0
    assert "have one wall here" in capsys.readouterr().out


def test_keys_are_not_for_screens(write, capsys, monkeypatch):
    """A terminal would keep the key in what it scrolls back to."""
    write("postgresql+psycopg://x@127.0.0.1:1/x")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["rls", "garden:app", "--key"]) == 2
    assert "no screen should keep it" in capsys.readouterr().err


def test_keys_of_another_machine(write, capsys, monkeypatch, tmp_path):
    """A machine without keys can look at all but them."""
    write("postgresql+psycopg://x@127.0.0.1:1/x")
    (tmp_path / "var").write_text("in the way")
    assert main(["check", "garden:app", "--format", "json"]) == 1
    assert "access.rls_unknown" in capsys.readouterr().out
