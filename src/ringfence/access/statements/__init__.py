"""What a statement of SQL asks for, proven from its text: only rows that are the
principal's, or the statement is refused.

``check`` is what others call; ``verdicts`` is what they get. ``lexer`` reads the text as
engines do, ``reading`` finds each table in it, ``proof`` shows that a condition follows
from the statement, ``writing`` does it for what is changed.
"""
