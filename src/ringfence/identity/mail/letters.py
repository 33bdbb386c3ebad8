"""Writing letters: two templates a letter, filled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from ringfence.identity.mail.letter import Letter

_SUBJECT = "Subject: "


class Letters:
    """Writes letters from ``<name>.txt``, whose first line is the subject, and
    ``<name>.html``.

    Args:
        fill: fills a template.
    """

    def __init__(self, fill: Callable[[str, Mapping[str, object]], str]) -> None:
        self._fill = fill

    def write(
        self, name: str, *, kind: str, account: str, to: str, **values: object
    ) -> Letter:
        """Return a letter.

        Args:
            name: of the templates.
            kind: of letter, for the ledger.
            account: id of whose it is.
            to: the address as it is stored.
            values: for the templates.
        """
        first, _, text = self._fill(f"{name}.txt", values).partition("\n")
        return Letter(
            kind=kind,
            account=account,
            to=to,
            subject=first.removeprefix(_SUBJECT).strip(),
            text=text.lstrip("\n"),
            html=self._fill(f"{name}.html", values),
        )


def moment(time: float) -> str:
    """Return a moment for people, ``23 Nov 2026, 08:15 UTC``."""
    found = datetime.fromtimestamp(int(time), UTC)
    return f"{found.day} {found:%b %Y, %H:%M} UTC"
