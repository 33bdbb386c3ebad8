"""Every way to a row: reached without the wall, and by nobody else with it."""

import pytest
from sqlalchemy import select
from tests.access.sqlalchemy.models import (
    Article,
    Base,
    Invoice,
    Note,
    Order,
    Product,
    Tag,
)
from tests.access.sqlalchemy.paths.page import PAGE, render
from tests.access.sqlalchemy.paths.places import (
    sqlite_place,
    walk_bare,
    walk_guarded,
    walk_waiting,
    wrong,
)
from tests.access.sqlalchemy.paths.runner import THROUGH, all_paths
from tests.access.sqlalchemy.paths.world import ANN, OTTO, STAFF, seed

from ringfence import access, unscoped
from ringfence.access.sqlalchemy import Database

PATHS = all_paths("sqlite")
GROUPS = sorted({path.group for path in PATHS})


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    return walk_bare(tmp_path_factory.mktemp("bare"), PATHS)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    return walk_guarded(tmp_path_factory.mktemp("guarded"), PATHS)


def test_there_are_enough():
    """At least those that research has found the usual recipe to let through."""
    assert len(PATHS) >= 130


@pytest.mark.parametrize("group", GROUPS)
def test_each_reaches_the_row_where_there_is_no_wall(bare, group):
    """No path is in the table that would lead nowhere anyhow."""
    assert not [
        f"{path.name}: {bare[path.name]}"
        for path in PATHS
        if path.group == group and bare[path.name].what != THROUGH
    ]


@pytest.mark.parametrize("group", GROUPS)
def test_none_gets_through(guarded, group):
    """Nothing of another's is read, changed, given or taken; and with one's own rows
    everything is as in plain SQLAlchemy, or is refused where the table says so."""
    assert not [
        said
        for path in PATHS
        if path.group == group and (said := wrong(path, guarded[path.name]))
    ]


@pytest.mark.anyio
async def test_none_gets_through_on_an_async_engine(tmp_path):
    """Some of every group, where each statement waits."""
    paths = [path for path in PATHS if not path.plain][::5]
    file = tmp_path / "waiting.db"
    with sqlite_place(file, seed()) as (_, eye):
        url = f"sqlite+aiosqlite:///{file}"
        assert not await walk_waiting(url, eye, paths, "sqlite")


def test_page_is_up_to_date(guarded):
    """What is stated is what was tried; python -m tests.access.sqlalchemy.paths.page
    writes it."""
    assert PAGE.read_text("utf-8") == render(guarded)


def ids(session, model):
    return sorted(session.scalars(select(model.id)).all())


@pytest.fixture
def database(tmp_path):
    with sqlite_place(tmp_path / "seen.db", seed()) as (engine, _):
        yield Database(engine, models=Base)


def test_everybody_sees_what_is_theirs(database):
    """The operator what is of the tenant, nobody what is for all, the escape it all."""
    with access.acting_as(OTTO), database.session() as session:
        assert ids(session, Invoice) == ["invoice-ann"]
        assert ids(session, Order) == []
    with database.session() as session:
        assert ids(session, Product) == ["product-public"]
        assert ids(session, Article) == ["article-public"]
        assert ids(session, Tag) == ["tag-public"]
        assert ids(session, Order) == ids(session, Note) == []
    with unscoped("a look at everything"), database.session() as session:
        assert ids(session, Order) == ["order-ann", "order-bea", "order-empty"]


def test_staff_writes_what_is_for_all(database):
    with access.acting_as(STAFF), database.session() as session:
        session.get(Product, "product-public").price = 6
        session.add(Product(id="new"))
        session.commit()
        assert ids(session, Product) == ["new", "product-public"]
    with access.acting_as(ANN), database.session() as session:
        assert session.get(Product, "product-public").price == 6


def test_rows_are_stamped_with_who_makes_them(database):
    with access.acting_as(ANN), database.session() as session:
        made = [Order(id="a"), Invoice(id="b", tenant_id="t9"), Article(id="c")]
        session.add_all(made)
        session.commit()
        assert [made[0].owner_id, made[1].owner_id, made[2].author_id] == ["ann"] * 3
