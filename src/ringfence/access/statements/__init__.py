"""What a statement of SQL asks for, proven from its text: only rows that are the
principal's, or it is refused.

``check`` is what others call, ``verdicts`` what they get. ``lexer`` cuts the text as
engines do, ``scopes`` finds each table in it, ``proof`` shows that a condition follows
from the statement, ``writing`` does so for rows that are changed, ``admitted`` lists
what is let through or refused by its name.
"""
