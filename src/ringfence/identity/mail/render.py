"""Rendering the templates of letters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

_FOLDER = Path(__file__).parent / "templates"


class LetterTemplates:
    """Fills the templates; what goes into HTML is escaped.

    Args:
        site_name: what the letters call the site.
        templates: a folder; what is in its folder ``mail`` comes before the package's.
    """

    def __init__(self, *, site_name: str, templates: Path | None) -> None:
        folders = [_FOLDER] if templates is None else [templates / "mail", _FOLDER]
        self._templates = Environment(
            loader=FileSystemLoader(folders),
            autoescape=select_autoescape(("html",), default=False),
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["site_name"] = site_name
        # Now, so that a broken letter stops the start-up, and a process that has given
        # up its rights needs to read no file.
        for letter in sorted(_FOLDER.iterdir()):
            self._templates.get_template(letter.name)

    def fill(self, name: str, values: Mapping[str, object]) -> str:
        """Return the template ``name`` with these values."""
        return self._templates.get_template(name).render(values)
