"""Both walls at once: what a guard is given, on a real PostgreSQL."""

import pytest
from sqlalchemy import Text, create_engine, select, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.schema import ForeignKey
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from tests.access.row_security.shop import ALICE, KEY, LOGIN, MALLORY, run

from ringfence import Guard, Settings, access, current
from ringfence.access.ownership.acting import acting_as
from ringfence.access.ownership.escape import unscoped
from ringfence.access.row_security.functions import install_keys
from ringfence.access.sqlalchemy import Database
from ringfence.errors import OwnershipRefusedError
from ringfence.secrets.keyring import Keyring


class Base(DeclarativeBase):
    pass


@access.rows(access.owner("owner_id"))
class Parcel(Base):
    __tablename__ = "parcels"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(Text)
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "plain"}  # noqa: RUF012 - SQLAlchemy's own way


@access.rows(access.owner("owner_id"))
class Insured(Parcel):
    __tablename__ = "insured"
    id: Mapped[int] = mapped_column(ForeignKey("parcels.id"), primary_key=True)
    worth: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "insured"}  # noqa: RUF012 - SQLAlchemy's own way


@access.rows(access.through("parcel"))
class Stamp(Base):
    __tablename__ = "stamps"
    id: Mapped[int] = mapped_column(primary_key=True)
    parcel_id: Mapped[int] = mapped_column(ForeignKey("parcels.id"))
    parcel: Mapped[Parcel] = relationship()


@pytest.fixture
def post(postgres):
    """A database with the migration, and the address of its application."""
    url = postgres.url("psycopg")
    admin = create_engine(url)
    Base.metadata.create_all(admin)
    spare = create_engine(url)
    wall = Database(spare, Base, row_security=True).second_wall.wall
    run(
        admin,
        *wall.up(),
        *install_keys([KEY]),
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{LOGIN}') "
        f"THEN CREATE ROLE {LOGIN} LOGIN; END IF; END $$",
        f"GRANT ringfence_rows TO {LOGIN}",
    )
    yield admin, lambda driver: postgres.url(driver).replace("postgres@", f"{LOGIN}@")
    spare.dispose()
    admin.dispose()


@pytest.mark.anyio
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_honest_use_behind_both_walls(post, driver):
    """Sessions work as before: inheritance, relationships, the escape."""
    _, url = post
    database = Database(create_async_engine(url(driver)), Base, row_security=True)
    database.sign_with(lambda: KEY)
    with acting_as(ALICE):
        async with database.session() as db, db.begin():
            one = Insured(worth=5)
            db.add_all([one, Stamp(parcel=one), Parcel()])
        async with database.session() as db:
            found = (await db.scalars(select(Parcel).order_by(Parcel.id))).all()
            assert [type(each) for each in found] == [Insured, Parcel]
            assert len((await db.scalars(select(Stamp))).all()) == 1
            found[0].worth = 6
            await db.commit()
            await db.delete((await db.scalars(select(Stamp))).one())
            await db.delete(found[0])
            await db.commit()
    with acting_as(MALLORY):
        async with database.session() as db:
            assert (await db.scalars(select(Parcel))).all() == []
            with unscoped("nightly report"):
                assert len((await db.scalars(select(Parcel.id))).all()) == 1
            assert (await db.scalars(select(Parcel.id))).all() == []
    await database.dispose()


def test_the_second_wall_behind_the_first(post):
    """What the first lets by in silence, as ``unscoped`` code that was not meant to,
    is under the policies of who is told; and what it refuses is refused still."""
    admin, url = post
    run(admin, "INSERT INTO parcels VALUES (1, 'alice', 'plain')")
    engine = create_engine(url("psycopg"))
    database = Database(engine, Base, row_security=True)
    database.sign_with(lambda: KEY)
    with acting_as(MALLORY), database.session() as db:
        with pytest.raises(OwnershipRefusedError):
            db.execute(text("SELECT * FROM parcels"))
        assert db.get(Parcel, 1) is None
    with engine.connect() as connection, pytest.raises(OwnershipRefusedError):
        connection.execute(text("SELECT * FROM parcels"))
    engine.dispose()


def test_a_guard_gives_its_key(post, tmp_path):
    """The keys of the installation sign; nothing is to be wired by hand."""
    admin, url = post
    run(admin, "INSERT INTO parcels VALUES (1, 'alice', 'plain')")

    @access.require(access.public)
    async def parcels(request):
        db = current.database()
        with unscoped("counts for the front page"):
            rows = (await db.scalars(select(Parcel.id))).all()
        mine = (await db.scalars(select(Parcel.id))).all()
        return JSONResponse([list(rows), list(mine)])

    engine = create_async_engine(url("asyncpg"))
    database = Database(engine, Base, row_security=True)
    settings = Settings.load(environ={}, env="development", data=tmp_path)
    keyring = Keyring(settings.keys_path, create=True)
    keyring.open()
    run(admin, *install_keys(keyring.derive_all("access.row_security")))
    app = Guard(Starlette(routes=[Route("/", parcels)]), settings, data=database)
    with TestClient(
        app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 1)
    ) as it:
        answer = it.get("/")
        assert answer.json() == [[1], []], answer.text
