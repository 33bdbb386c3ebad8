"""The shelves in PostgreSQL, for several processes and machines.

``address`` reads the URL; ``drivers`` is what is needed of ``psycopg`` and ``asyncpg``;
``dial`` makes connections; ``database`` runs what ``stores.sql`` writes and ``lanes``
the read of every request; ``upgrade`` brings the tables up to date; ``stores`` puts it
together.
"""
