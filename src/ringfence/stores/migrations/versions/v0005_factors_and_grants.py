"""Make room for what proves who somebody is beside the password: factors, families of
refresh tokens, keys of programs, identities at other providers."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ACCOUNTS = "ringfence_accounts"


def upgrade() -> None:
    """Make the four tables, and note of each account when its address was proved."""
    _verify_accounts()
    _make_factors()
    _make_grants()
    _make_api_keys()
    _make_links()


def _verify_accounts() -> None:
    """Take the addresses that are there for proved: their owners could sign in with
    them until now, and must not find themselves locked out."""
    op.add_column(
        _ACCOUNTS,
        sa.Column("verified", sa.Double, nullable=False, server_default="0"),
    )
    accounts = sa.table(_ACCOUNTS, sa.column("created"), sa.column("verified"))
    op.execute(accounts.update().values(verified=accounts.c.created))


def _make_factors() -> None:
    op.create_table(
        "ringfence_factors",
        sa.Column("kind", sa.String(32), primary_key=True),
        sa.Column("id", sa.LargeBinary(1023), primary_key=True),
        _account_id(),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("counter", sa.BigInteger, nullable=False),
        sa.Column("label", sa.String(64), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("used", sa.Double, nullable=False),
        sa.Column("details", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )


def _make_grants() -> None:
    op.create_table(
        "ringfence_grants",
        sa.Column("id", sa.LargeBinary(16), primary_key=True),
        _account_id(),
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("used", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=False, index=True),
        sa.Column("ends", sa.Double, nullable=False),
        sa.Column("factors", sa.String, nullable=False),
        sa.Column("proved", sa.Double, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("device", sa.String(128), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.Column("binding", sa.LargeBinary, nullable=False),
        sa.Column("repeat_until", sa.Double, nullable=False),
        sa.Column("is_repeated", sa.Boolean(create_constraint=False), nullable=False),
        sqlite_with_rowid=False,
    )


def _make_api_keys() -> None:
    op.create_table(
        "ringfence_api_keys",
        sa.Column("token_hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("id", sa.String(64), nullable=False),
        _account_id(),
        sa.Column("label", sa.String(64), nullable=False),
        sa.Column("hint", sa.String(64), nullable=False),
        sa.Column("scopes", sa.String, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=False, index=True),
        sa.Column("used", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )


def _make_links() -> None:
    op.create_table(
        "ringfence_links",
        sa.Column("issuer", sa.String(512), primary_key=True),
        sa.Column("subject", sa.String(255), primary_key=True),
        _account_id(),
        sa.Column("email", sa.String, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )


def _account_id() -> sa.Column[Any]:
    return sa.Column(
        "account_id",
        sa.String(64),
        sa.ForeignKey(f"{_ACCOUNTS}.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    )


def downgrade() -> None:
    """Refuse: going back would take second factors away."""
    message = "the schema is not taken back; restore the database from its backup"
    raise NotImplementedError(message)
