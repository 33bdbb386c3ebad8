"""The tables, once for every SQL database.

Names carry ``ringfence_``, so that the tables can stand in the application's own
database. What changes here needs a migration beside it (``migrations/versions``); a
test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
)

metadata = MetaData()

accounts = Table(
    "ringfence_accounts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("email", String(254), nullable=False),
    Column("email_key", String(1024), nullable=False, unique=True),
    Column("password_hash", String(512), nullable=False),
    Column("roles", String, nullable=False),  # a JSON array, sorted
    Column("disabled", Boolean(create_constraint=False), nullable=False),
    Column("created", Double, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("verified", Double, nullable=False),  # 0 if the address never was
    Column("tenant", String(64), nullable=False),  # empty for none
    sqlite_with_rowid=False,
)

sessions = Table(
    "ringfence_sessions",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("public_id", String(64), nullable=False),
    Column(
        "account_id",
        String(64),
        ForeignKey("ringfence_accounts.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("factors", String, nullable=False),  # a JSON array, sorted
    Column("created", Double, nullable=False),
    Column("last_seen", Double, nullable=False, index=True),
    Column("address", String(64), nullable=False),
    Column("device", String(128), nullable=False),
    Column("proved", Double, nullable=False),
    Column("last_network", String(64), nullable=False),
    Column("last_device", String(128), nullable=False),
    Column("moved_at", Double, nullable=False),
    Column("moved_network", String(64), nullable=False),
    Column("moved_device", String(128), nullable=False),
    sqlite_with_rowid=False,
)

tickets = Table(
    "ringfence_tickets",
    metadata,
    Column("kind", String(64), primary_key=True),
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column(
        "account_id",
        String(64),
        ForeignKey("ringfence_accounts.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("epoch", Integer, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("issued", Double, nullable=False),
    Column("expires", Double, nullable=False, index=True),
    sqlite_with_rowid=False,
)

replays = Table(
    "ringfence_replays",
    metadata,
    Column("key", LargeBinary(32), primary_key=True),  # SHA-256 of the key
    Column("expires", Double, nullable=False, index=True),
    sqlite_with_rowid=False,
)

revocations = Table(
    "ringfence_revocations",
    metadata,
    Column("key", LargeBinary(32), primary_key=True),  # SHA-256 of account and token
    Column("expires", Double, nullable=False, index=True),
    sqlite_with_rowid=False,
)

counters = Table(  # unlogged on PostgreSQL: after a crash they begin anew
    "ringfence_counters",
    metadata,
    Column("key", LargeBinary(32), primary_key=True),  # SHA-256 of shelf and key
    Column("state", LargeBinary, nullable=False),
    Column("expires", Double, nullable=False),  # no index: it changes with each use
    sqlite_with_rowid=False,
)

blocks = Table(
    "ringfence_blocks",
    metadata,
    Column("network", String(64), primary_key=True),
    Column("until", Double, nullable=False, index=True),  # 0 for one that is let in
    Column("reason", String(500), nullable=False),
    Column("version", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

block_versions = Table(
    "ringfence_block_versions",
    metadata,
    Column("list", Integer, primary_key=True, autoincrement=False),  # there is one
    Column("version", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False),  # what came before it was forgotten
    sqlite_with_rowid=False,
)

factors = Table(
    "ringfence_factors",
    metadata,
    Column("kind", String(32), primary_key=True),
    Column("id", LargeBinary(1023), primary_key=True),
    Column(
        "account_id",
        String(64),
        ForeignKey("ringfence_accounts.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("secret", LargeBinary, nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("label", String(64), nullable=False),
    Column("created", Double, nullable=False),
    Column("used", Double, nullable=False),
    Column("details", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

grants = Table(
    "ringfence_grants",
    metadata,
    Column("id", LargeBinary(16), primary_key=True),
    Column(
        "account_id",
        String(64),
        ForeignKey("ringfence_accounts.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("token_hash", LargeBinary(32), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("created", Double, nullable=False),
    Column("used", Double, nullable=False),
    Column("expires", Double, nullable=False, index=True),
    Column("ends", Double, nullable=False),
    Column("factors", String, nullable=False),  # a JSON array, sorted
    Column("proved", Double, nullable=False),
    Column("key", String(64), nullable=False),
    Column("address", String(64), nullable=False),
    Column("device", String(128), nullable=False),
    # Of the last rotation: what it has replaced, and what it has answered to whom.
    Column("previous_hash", LargeBinary(32), nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("binding", LargeBinary, nullable=False),
    Column("repeat_until", Double, nullable=False),
    Column("is_repeated", Boolean(create_constraint=False), nullable=False),
    sqlite_with_rowid=False,
)

api_keys = Table(
    "ringfence_api_keys",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("id", String(64), nullable=False),
    Column(
        "account_id",
        String(64),
        ForeignKey("ringfence_accounts.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("label", String(64), nullable=False),
    Column("hint", String(64), nullable=False),
    Column("scopes", String, nullable=False),  # a JSON array, sorted
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False, index=True),
    Column("used", Double, nullable=False),
    sqlite_with_rowid=False,
)

links = Table(
    "ringfence_links",
    metadata,
    Column("issuer", String(512), primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column(
        "account_id",
        String(64),
        ForeignKey("ringfence_accounts.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("email", String, nullable=False),
    Column("created", Double, nullable=False),
    sqlite_with_rowid=False,
)
