"""Writing letters: the templates, filled."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined

from ringfence.errors import SettingsError
from ringfence.identity.mail.letter import Letter

_FOLDER = Path(__file__).parent / "templates"
_SUBJECT = "Subject: "


class Letters:
    """Fills the templates of letters: ``mail/<name>.txt``, whose first line is the
    subject, and ``mail/<name>.html``.

    Args:
        site_name: what the letters call the site.
        templates: a folder; what is in its folder ``mail`` comes before the package's.

    Raises:
        SettingsError: the name of the site cannot stand in a subject.
    """

    def __init__(self, *, site_name: str, templates: Path | None) -> None:
        if not site_name.isprintable():
            message = f"identity.site_name is {site_name!r}; letters need one line"
            raise SettingsError(message)
        folders = [_FOLDER] if templates is None else [templates / "mail", _FOLDER]
        self._templates = Environment(
            loader=ChoiceLoader([FileSystemLoader(folder) for folder in folders]),
            autoescape=lambda name: name is not None and name.endswith(".html"),
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["site_name"] = site_name
        # Now, so that a broken letter stops the start-up.
        for letter in sorted(_FOLDER.iterdir()):
            self._templates.get_template(letter.name)

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

    def _fill(self, name: str, values: dict[str, object]) -> str:
        return self._templates.get_template(name).render(values)


def moment(time: float) -> str:
    """Return a moment for people, ``23 Nov 2026, 08:15 UTC``."""
    found = datetime.fromtimestamp(int(time), UTC)
    return f"{found.day} {found:%b %Y, %H:%M} UTC"
