"""The shelves: what is kept, and where.

==================================  ===================================================
``contracts/``                      what every store promises
``open.py``                         which URL opens which store
``memory*.py``, ``bounded.py``,     the memory of this process; the decisions about
``distinct.py``                     budgets, which SQL runs too
``sqlite.py``                       one SQLite file
``postgres/``                       PostgreSQL: addresses, drivers, connections
``sql*.py``, ``schema.py``,         what both databases share: statements, tables, and
``migrate.py``, ``migrations/``     how they come about
``redis/``                          Redis and Valkey: connections, nodes, scripts
``copied*.py``, ``held.py``,        copies in Redis of what a database keeps: reading
``seal.py``                         them, voiding them, telling them from forged ones
``clock.py``                        the time of a database
==================================  ===================================================
"""
