"""Why a statement cannot be shown to be harmless."""

from __future__ import annotations

WAY_ROUND = 'or, if it is meant, run it inside unscoped("reason")'


class ObjectionError(ValueError):
    """Raised while a statement is read; what it says becomes its verdict's objection.

    Never leaves this package: ``StatementCheck`` catches it.
    """
