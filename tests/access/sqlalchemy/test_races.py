"""What was loaded is given away by another before it is written (CWE-367)."""

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    String,
    Table,
    create_engine,
    event,
    insert,
    text,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.orm.exc import StaleDataError
from tests.access.sqlalchemy.conftest import ANN

from ringfence import access
from ringfence.access.ownership.acting import acting_as
from ringfence.access.ownership.escape import unscoped
from ringfence.access.sqlalchemy import Database
from ringfence.errors import OwnershipRefusedError


class Base(DeclarativeBase):
    """An archive."""

    id: Mapped[str] = mapped_column(String(40), primary_key=True)


labels = Table(
    "labels",
    Base.metadata,
    Column("folder_id", ForeignKey("folders.id"), primary_key=True),
    Column("tag_id", ForeignKey("tags.id"), primary_key=True),
)


@access.rows(
    access.owner("owner_id") & access.matching(archived=False),
    write=access.owner("owner_id"),
)
class Folder(Base):
    """Of one, who no longer sees it once it is archived."""

    __tablename__ = "folders"

    owner_id: Mapped[str]
    name: Mapped[str] = mapped_column(default="")
    archived: Mapped[bool] = mapped_column(default=False)
    first_id: Mapped[str | None]
    papers: Mapped[list["Paper"]] = relationship(
        back_populates="folder", cascade="all, delete-orphan", passive_updates=False
    )
    first: Mapped["Paper | None"] = relationship(
        primaryjoin="foreign(Folder.first_id) == Paper.id", post_update=True
    )
    tags: Mapped[list["Tag"]] = relationship(secondary=labels)


@access.rows(access.through("folder"))
class Paper(Base):
    """Whose the folder is."""

    __tablename__ = "papers"

    folder_id: Mapped[str] = mapped_column(ForeignKey("folders.id"))
    pages: Mapped[int] = mapped_column(default=1)
    folder: Mapped[Folder] = relationship(back_populates="papers")
    notes: Mapped[list["Note"]] = relationship(passive_deletes=True)


@access.rows(access.through("paper"))
class Note(Base):
    """Two steps from whose it is."""

    __tablename__ = "notes"

    paper_id: Mapped[str] = mapped_column(ForeignKey("papers.id", ondelete="CASCADE"))
    says: Mapped[str] = mapped_column(default="")
    paper: Mapped[Paper] = relationship(overlaps="notes")


@access.rows(access.owner("owner_id") | access.owner("editor_id"))
class Tag(Base):
    """Of two."""

    __tablename__ = "tags"

    owner_id: Mapped[str]
    editor_id: Mapped[str | None]
    name: Mapped[str] = mapped_column(default="")


@access.rows(access.owner("owner_id"))
class Draft(Base):
    """With a version, and in two tables."""

    __tablename__ = "drafts"
    version = mapped_column(Integer, nullable=False)
    __mapper_args__ = {  # noqa: RUF012 - as SQLAlchemy wants it
        "polymorphic_on": "kind",
        "polymorphic_identity": "draft",
        "version_id_col": version,
    }

    kind: Mapped[str] = mapped_column(default="draft")
    owner_id: Mapped[str]
    title: Mapped[str] = mapped_column(default="")


class Letter(Draft):
    """The other half."""

    __tablename__ = "letters"
    __mapper_args__ = {"polymorphic_identity": "letter"}  # noqa: RUF012 - likewise here

    id: Mapped[str] = mapped_column(ForeignKey("drafts.id"), primary_key=True)
    to: Mapped[str] = mapped_column(default="")


@access.rows(access.owner("owner_id"), write=access.through("folder"))
class Clip(Base):
    """Written by whoever writes the folder, which they need not see."""

    __tablename__ = "clips"

    owner_id: Mapped[str]
    folder_id: Mapped[str] = mapped_column(ForeignKey("folders.id"))
    name: Mapped[str] = mapped_column(default="")
    folder: Mapped[Folder] = relationship()


@access.rows(access.owner("owner_id"))
class Message(Base):
    """That a job may have removed in the meantime."""

    __tablename__ = "messages"
    __mapper_args__ = {"confirm_deleted_rows": False}  # noqa: RUF012 - likewise here

    owner_id: Mapped[str]


def rows():
    for name in ("one", "two"):
        tag = Tag(id=f"tag-{name}", owner_id="ann")
        paper = Paper(id=f"paper-{name}", notes=[Note(id=f"note-{name}")])
        yield Folder(id=name, owner_id="ann", papers=[paper], tags=[tag])
    yield Tag(id="tag", owner_id="ann")
    yield Tag(id="tag-spare", owner_id="ann")
    yield Draft(id="draft", owner_id="ann")
    yield Letter(id="letter", owner_id="ann")
    yield Message(id="message", owner_id="ann")
    yield Clip(id="clip", owner_id="ann", folder_id="one")


class Archive:
    """A file of SQLite, and what others do to it."""

    def __init__(self, file):
        self.file = file
        self.engine = create_engine(f"sqlite:///{file}")
        self.sent = []
        event.listen(self.engine, "connect", _unhurried)
        event.listen(self.engine, "before_cursor_execute", self._heard)
        self.database = Database(self.engine, Base)
        with unscoped("make tables"):
            Base.metadata.create_all(self.engine)
            with self.database.session() as session:
                session.add_all(rows())
                session.commit()
        self._filled = [
            f"DELETE FROM {name}" for name in reversed(Base.metadata.sorted_tables)
        ] + [line for line in self.everything() if line.startswith("INSERT")]

    def restore(self):
        self.do(*self._filled)
        self.sent.clear()

    def _heard(self, connection, cursor, statement, *rest):
        self.sent.append(statement)

    def do(self, *statements):
        with closing(sqlite3.connect(self.file)) as beside:
            _unhurried(beside)
            for statement in statements:
                beside.execute(statement)
            beside.commit()

    def give(self, table, column="owner_id"):
        self.do(f"UPDATE {table} SET {column} = 'bea'")

    def read(self, statement):
        with closing(sqlite3.connect(self.file)) as beside:
            return beside.execute(statement).fetchall()

    def everything(self):
        with closing(sqlite3.connect(self.file)) as beside:
            return list(beside.iterdump())


def _unhurried(connection, record=None):
    connection.execute("PRAGMA synchronous=OFF")  # nobody needs it tomorrow


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    made = Archive(tmp_path_factory.mktemp("archive") / "archive.db")
    yield made
    made.engine.dispose()


@pytest.fixture
def archive(filled):
    filled.restore()
    return filled


@pytest.fixture
def ann(archive):
    with acting_as(ANN), archive.database.session() as session:
        yield session


def change(session, model, key, **values):
    for name, value in values.items():
        setattr(session.get(model, key), name, value)


WAYS = {
    "update": ("folders", lambda s: change(s, Folder, "one", name="new")),
    "update of two": (
        "folders",
        lambda s: [change(s, Folder, one, name="new") for one in ("one", "two")],
    ),
    "update by one of two owners": ("tags", lambda s: change(s, Tag, "tag", name="n")),
    "update by an expression": (
        "tags",
        lambda s: change(s, Tag, "tag", name=Tag.name + "n"),
    ),
    "update of a version": ("drafts", lambda s: change(s, Draft, "draft", title="n")),
    "update of one half": ("drafts", lambda s: change(s, Letter, "letter", to="n")),
    "update afterwards": (
        "folders",
        lambda s: change(s, Folder, "one", first=s.get(Paper, "paper-one")),
    ),
    "delete": ("tags", lambda s: s.delete(s.get(Tag, "tag"))),
    "delete of a version": ("drafts", lambda s: s.delete(s.get(Draft, "draft"))),
    "delete of both halves": ("drafts", lambda s: s.delete(s.get(Letter, "letter"))),
    "delete that need not find": (
        "messages",
        lambda s: s.delete(s.get(Message, "message")),
    ),
    "delete with children": ("folders", lambda s: s.delete(s.get(Folder, "one"))),
    "delete that cascades": ("folders", lambda s: s.delete(s.get(Paper, "paper-one"))),
    "bulk mappings": (
        "tags",
        lambda s: s.bulk_update_mappings(Tag, [{"id": "tag", "name": "new"}]),
    ),
    "bulk objects": ("tags", lambda s: save(s, s.get(Tag, "tag"), name="new")),
    "update of many": (
        "tags",
        lambda s: s.execute(
            update(Tag), [{"id": key, "name": "new"} for key in ("tag", "tag-one")]
        ),
    ),
    "update of many halves": (
        "drafts",
        lambda s: s.execute(
            update(Letter), [{"id": "letter", "to": "n", "version": 1}]
        ),
    ),
    "child changed": ("folders", lambda s: change(s, Paper, "paper-one", pages=2)),
    "grandchild changed": ("folders", lambda s: change(s, Note, "note-one", says="n")),
    "child removed": ("folders", lambda s: s.delete(s.get(Note, "note-one"))),
    "child of what need not be seen": (
        "folders",
        lambda s: change(s, Clip, "clip", name="new"),
    ),
    "child added": (
        "folders",
        lambda s: s.get(Folder, "one").papers.append(Paper(id="new")),
    ),
    "child added by key": (
        "folders",
        lambda s: s.add(Paper(id="new", folder_id="one")),
    ),
    "grandchild added": (
        "folders",
        lambda s: s.add(Note(id="n", paper_id="paper-one")),
    ),
    "children added in bulk": (
        "folders",
        lambda s: s.execute(insert(Paper), [{"id": "new", "folder_id": "one"}]),
    ),
    "children added by mappings": (
        "folders",
        lambda s: s.bulk_insert_mappings(Paper, [{"id": "new", "folder_id": "one"}]),
    ),
    "link added": (
        "folders",
        lambda s: s.get(Folder, "one").tags.append(s.get(Tag, "tag")),
    ),
    "link to it added": (
        "tags",
        lambda s: s.get(Folder, "one").tags.append(s.get(Tag, "tag")),
    ),
    "link removed": ("folders", lambda s: s.get(Folder, "one").tags.clear()),
    "text by key": (
        "tags",
        lambda s: s.execute(
            text("UPDATE tags SET name = 'n' WHERE id = :id"), {"id": "tag"}
        ),
    ),
    "Core by key": (
        "tags",
        lambda s: s.execute(Tag.__table__.delete().where(Tag.__table__.c.id == "tag")),
    ),
}


def save(session, target, **values):
    for name, value in values.items():
        setattr(target, name, value)
    with session.no_autoflush:
        session.bulk_save_objects([target])


def loaded(session):
    """Load everything, as a handler has before it waits for something."""
    return [
        (one, getattr(one, "papers", 0), getattr(one, "tags", 0))
        for model in (Folder, Paper, Note, Tag, Draft, Message, Clip)
        for one in session.query(model).all()
    ]


@pytest.mark.parametrize("way", WAYS)
def test_what_was_given_away_is_not_written(archive, ann, way):
    """Nothing of the new owner's is changed, and the answer is as for what is not
    there."""
    table, write = WAYS[way]
    kept = loaded(ann)
    archive.give(table)
    before = archive.everything()

    def written():
        write(ann)
        ann.flush()

    with pytest.raises(OwnershipRefusedError) as refused:
        written()
    assert refused.value.denial.status == 404
    ann.rollback()
    assert archive.everything() == before
    assert kept


@pytest.mark.parametrize("way", WAYS)
def test_what_is_ones_own_is_written(archive, ann, way):
    """All of these are open to the owner."""
    _, write = WAYS[way]
    kept = loaded(ann)
    before = archive.everything()
    write(ann)
    ann.commit()
    assert archive.everything() != before
    assert kept


def test_one_statement_writes_and_asks(archive, ann):
    """There is none further, before it or after it."""
    tags = [ann.get(Tag, key) for key in ("tag", "tag-one", "tag-two")]
    paper = ann.get(Paper, "paper-one")
    archive.sent.clear()
    for tag in tags[:2]:
        tag.name = "new"
    ann.delete(tags[2])
    paper.pages = 2
    ann.flush()
    assert sorted(text.split()[0] for text in archive.sent) == [
        "DELETE",
        "UPDATE",
        "UPDATE",
    ]


def test_parents_are_asked_for_once(archive, ann):
    """All of one flush in one question; and none for what the flush itself writes."""
    folders = [ann.get(Folder, key) for key in ("one", "two")]
    kept = [folder.papers for folder in folders]
    archive.sent.clear()
    for folder in folders:
        folder.papers += [Paper(id=f"new {folder.id} {index}") for index in range(3)]
    ann.flush()
    assert [text.split()[0] for text in archive.sent] == ["INSERT", "SELECT"]
    archive.sent.clear()
    for folder in folders:
        folder.name = "new"
        folder.papers.append(Paper(id=f"another {folder.id}"))
    ann.flush()
    folders[0].papers.append(Paper(id="one more"))
    ann.flush()
    assert [text.split()[0] for text in archive.sent] == ["UPDATE", "INSERT", "INSERT"]
    assert kept


def test_what_was_held_is_let_go(archive, ann):
    """After the end of the transaction a parent is asked for again."""
    for end in (ann.commit, ann.rollback, ann.close):
        folder = ann.get(Folder, "one")
        folder.name += "new"
        ann.flush()
        end()
        folder = ann.get(Folder, "one", populate_existing=True)
        archive.do("UPDATE folders SET owner_id = 'bea'")
        ann.add(Paper(id="new", folder=folder))
        with pytest.raises(OwnershipRefusedError):
            ann.flush()
        ann.rollback()
        archive.do("UPDATE folders SET owner_id = 'ann'")


def test_parent_and_child_change_in_one_flush(archive, ann):
    """A folder is archived, and seen no more, or has another key, and its papers are
    still written with it."""
    one, two = ann.get(Folder, "one"), ann.get(Folder, "two")
    kept = loaded(ann)
    with ann.no_autoflush:
        one.archived, one.papers[0].pages = True, 7
        two.papers[0].notes[0].says = "new"
        two.papers[0].pages = 8
        two.id = "three"
        one.tags.clear()
    ann.commit()
    assert kept
    with unscoped("look at papers"):
        found = {paper.id: paper for paper in ann.query(Paper)}
        assert (found["paper-one"].pages, found["paper-two"].pages) == (7, 8)
        assert found["paper-two"].folder_id == "three"


def test_what_moves_opens_nothing_else(archive, ann):
    """The child of another parent is written by its own alone."""
    one, two = ann.get(Folder, "one"), ann.get(Folder, "two")
    papers = [one.papers[0], two.papers[0]]
    archive.do("UPDATE folders SET owner_id = 'bea' WHERE id = 'two'")
    one.archived = True
    for paper in papers:
        paper.pages = 9
    with pytest.raises(OwnershipRefusedError):
        ann.flush()


def test_conflict_of_versions_is_told_as_one(archive, ann):
    """Where the rows are still the owner's, who has changed them elsewhere."""
    draft, letter = ann.get(Draft, "draft"), ann.get(Letter, "letter")
    for act in (
        lambda: change(ann, Draft, "draft", title="new"),
        lambda: ann.delete(draft),
    ):
        archive.do("UPDATE drafts SET version = version + 1")
        act()
        with pytest.raises(StaleDataError):
            ann.flush()
        ann.rollback()
        assert draft.version
    assert letter


def test_what_may_be_gone_may_be_gone(archive, ann):
    """Where the mapper says so; elsewhere it is not there."""
    message, tag = ann.get(Message, "message"), ann.get(Tag, "tag")
    archive.do("DELETE FROM messages", "DELETE FROM tags")
    ann.delete(message)
    ann.flush()
    tag.name = "new"
    with pytest.raises(OwnershipRefusedError):
        ann.flush()


def test_bulk_form_with_a_filter_of_its_own(archive, ann):
    """It may write fewer rows than it names."""
    some = (
        update(Tag)
        .where(Tag.name == "none")
        .execution_options(synchronize_session=None)
    )
    ann.execute(some, [{"id": key, "name": "new"} for key in ("tag", "tag-one")])
    assert ann.get(Tag, "tag").name == ""


def test_escape_writes_what_it_wants(archive, ann):
    """Nothing is added to what is written inside ``unscoped``."""
    tag = ann.get(Tag, "tag")
    archive.give("tags")
    with unscoped("mend tags"):
        assert ann.query(Tag).count() == 4
        tag.name = "new"
        ann.commit()
    assert ("new",) in archive.read("SELECT name FROM tags")
