"""The range's orders as a mapped class. It says whose they are; on the unguarded side
nobody listens."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from ringfence import access


class Table(DeclarativeBase):
    pass


@access.rows(access.owner("user_id"))
class Order(Table):
    __tablename__ = "orders"

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    item: Mapped[str]

    def shown(self) -> dict[str, str]:
        return {"id": self.id, "user_id": self.user_id, "item": self.item}


def engine_for(path: Path) -> Engine:
    return create_engine(f"sqlite:///{path}")
