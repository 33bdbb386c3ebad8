"""Row-level security of PostgreSQL: the second wall, made from the same rules.

The first wall is in the application; this one is in the database, and holds against
whatever reaches it past the first: raw SQL, another library, an injected statement.

``policies`` writes the migration, ``context`` says (signed) for whom a transaction
works, ``engine`` brings that along with ``BEGIN``, ``inspect`` asks a live database
whether the wall stands.
"""
