"""Rendering the pages under ``/auth``."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_FOLDER = Path(__file__).parent

NOTES = {
    "made": "Thank you. If the address was not in use yet, the account is ready.",
    "registered": "Thank you. We have sent you a letter; it says how to go on.",
    "sent": "If there is an account with this address, we have sent a letter to it.",
    "reset": "The new password is set. Sign in with it.",
    "verified": "Thank you. The address is confirmed; you can sign in.",
    "signed-out": "You are signed out.",
    "changed": "The password is changed, and every other session has ended.",
    "app-added": "The app is set up. Every sign-in asks for its code from now on.",
    "app-removed": "The app is removed. Its codes are worth nothing any more.",
    "key-ended": "The key is ended. Programs that had it are refused from now on.",
    "ended": "Done. What was signed in there is signed out.",
    "passkey-added": "The passkey is ready. Use it the next time you sign in.",
    "passkey-renamed": "The passkey has its new name.",
    "linked": "Connected. You can sign in with it from now on.",
    "unlinked": "Disconnected. Nobody signs in with it any more.",
    "passkey-removed": "The passkey is removed. Nobody signs in with it any more.",
}
"""Messages that a redirect may ask the next page for, by name: free text in a query
would let a link put words in this site's mouth."""


class Pages:
    """Fills the templates, with everything escaped.

    Args:
        site_name: what the pages call the site.
        templates: a folder that is searched before the package's own.
    """

    def __init__(self, *, site_name: str, templates: Path | None) -> None:
        folders = [_FOLDER] if templates is None else [templates, _FOLDER]
        self._templates = Environment(
            loader=FileSystemLoader(folders),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.stylesheet = (_FOLDER / "ringfence.css").read_bytes()
        self.script = (_FOLDER / "password.js").read_bytes()
        self.code_script = (_FOLDER / "letter_code.js").read_bytes()
        self.passkeys_script = (_FOLDER / "passkeys.js").read_bytes()
        self.print_script = (_FOLDER / "print.js").read_bytes()
        self._templates.filters["moment"] = _moment
        self._templates.globals["site_name"] = site_name
        self._templates.globals["stylesheet_version"] = _version(self.stylesheet)
        self._templates.globals["script_version"] = _version(self.script)
        self._templates.globals["print_version"] = _version(self.print_script)
        self._templates.globals["code_script_version"] = _version(self.code_script)
        self._templates.globals["passkeys_version"] = _version(self.passkeys_script)
        # Now, so that a broken page stops the start-up, and a process that has given
        # up its rights needs to read no file.
        for page in sorted(_FOLDER.glob("*.html")):
            self._templates.get_template(page.name)

    def render(self, name: str, **values: object) -> str:
        """Return the page ``name`` with these values."""
        return self._templates.get_template(f"{name}.html").render(values)


def _version(content: bytes) -> str:
    return sha256(content).hexdigest()[:16]


def _moment(iso: str) -> str:
    """Return a moment for people, ``23 Nov 2026, 08:15 UTC``. Without a script
    the page cannot know the reader's zone, so it says which one it means."""
    moment = datetime.fromisoformat(iso)
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"
