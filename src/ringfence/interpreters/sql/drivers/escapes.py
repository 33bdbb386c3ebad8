"""PostgreSQL servers on which a back-slash escapes in plain literals, too.

They are rare: that was the default before 2010. The judge reads literals as servers are
delivered, and a back-slash at the end of an input would hide the end of its literal.
"""

from __future__ import annotations

from ringfence.interpreters.sink import Sink, here
from ringfence.interpreters.sql.judge import is_static


def check_escapes(statement: str, *, is_standard: bool, sink: Sink) -> None:
    """Return when no back-slash of an input can stand in a statement.

    Stops SQL injection (CWE-89) where ``standard_conforming_strings`` is off.

    Args:
        statement: as it is sent; with a back-slash in it.
        is_standard: whether the server reads plain literals as the standard says.
        sink: the driver, for the ledger.

    Raises:
        InjectionRefusedError: an input has a back-slash, and so has the statement.
    """
    if is_standard:
        return
    whom = here()
    if whom is None or is_static(statement):
        return
    for given in whom.inputs.values:
        if "\\" in given.text:
            whom.refuse(
                sink,
                "back-slashes escape on this server, and input may have brought one; "
                "set standard_conforming_strings, or bind the value",
                given,
            )
            return
