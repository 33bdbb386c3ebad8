"""Whose a row is: declared once on the model, enforced on every way to the row.

``rules`` says it in words of the model, ``conditions`` in words of its table;
``acting`` knows for whom the running code works, and ``escape`` is the one way round.
What carries it out: ``access.sqlalchemy``, ``access.row_security``, ``access.mongo``.
"""
