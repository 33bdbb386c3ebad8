"""Judges statements, and remembers what it said of each."""

from __future__ import annotations

from collections.abc import Sequence

from ringfence.access.ownership.conditions import TableRule
from ringfence.access.ownership.views import View
from ringfence.access.statements.verdicts import FINE, Verdict


class StatementCheck:
    """Proves of statements that they ask for nothing that is another's.

    Args:
        rules: of all tables.
        dialect: ``sqlite``, ``postgres`` or ``mysql``.
    """

    def __init__(self, rules: Sequence[TableRule], dialect: str) -> None:
        self._names = tuple(rule.table.lower() for rule in rules)
        self._verdicts: dict[tuple[str, View], Verdict] = {}

    def verdict(self, text: str, view: View) -> Verdict:
        """Return what is to be said of a statement.

        Args:
            text: as it is sent to the driver.
            view: of who sends it.
        """
        said = self._verdicts.get((text, view))
        if said is None:
            said = self._verdicts[text, view] = self._judged(text)
        return said

    def _judged(self, text: str) -> Verdict:
        lowered = text.lower()
        for name in self._names:
            if name in lowered:
                return Verdict(objection=f"nothing is proven of {name}")
        return FINE
