"""What is new gets its owner in the same way, whatever database it is for."""

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import StaticPool

from ringfence import Principal, access
from ringfence.access.mongo import changes
from ringfence.access.mongo.declared import rule_of
from ringfence.access.ownership.conditions import Subject
from ringfence.access.ownership.views import Views
from ringfence.access.sqlalchemy import Database
from ringfence.errors import OwnershipRefusedError

ALICE = Principal("alice", tenant="acme")
MINE = {Subject.ID: "alice", Subject.TENANT: "acme"}
COLUMNS = ("a", "b", "t")
A, B, T = access.owner("a"), access.owner("b"), access.tenant("t")


def as_row(declared, given):
    class Base(DeclarativeBase): ...

    @declared
    class Row(Base):
        __tablename__ = "rows"

        id: Mapped[int] = mapped_column(primary_key=True)
        a: Mapped[str | None]
        b: Mapped[str | None]
        t: Mapped[str | None]

    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    database = Database(engine, models=Base)
    database.bind({}, lambda event: None)
    row = Row(id=1, **given)
    try:
        with access.acting_as(ALICE), database.session() as session:
            session.add(row)
            session.flush()
            found = {name: getattr(row, name) for name in COLUMNS}
    except OwnershipRefusedError:
        return None
    finally:
        engine.dispose()
    return {name: value for name, value in found.items() if value is not None}


def as_document(declared, given):
    rule = rule_of("rows", declared)
    left = Views([rule], {}).of(ALICE).leave["rows"]
    return changes.stamped(given, left, rule, MINE.get, anew=True)


@pytest.mark.parametrize(
    "declared",
    [
        access.rows(A),
        access.rows(A | B),
        access.rows(A & B),
        access.rows(A | B | access.role("staff") & T),
        access.rows(A & T),
        access.rows(A | T, write=A),
        access.rows(T, write=A | B),
        access.rows(access.public, write=access.signed_in),
    ],
)
@pytest.mark.parametrize(
    "given",
    [{}, {"a": "alice"}, {"b": "alice"}, {"b": "bob"}, {"t": "acme"}, {"t": "bolt"}],
)
def test_rows_and_documents_get_the_same_owner(declared, given):
    """What the rule for writing names, and of several owners all or none."""
    assert as_row(declared, given) == as_document(declared, given)
