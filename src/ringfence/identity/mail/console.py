"""Letters on the terminal, so that a developer can follow their links."""

from __future__ import annotations

import sys
from email.message import EmailMessage

from ringfence.audit.redact import escape_controls

_RULE = "-" * 72


class ConsoleCarrier:
    """Prints letters. For development: what is printed signs people in.

    Source: OWASP Logging Cheat Sheet (control characters are escaped, so that a letter
    cannot speak to the terminal; CWE-150).
    """

    async def carry(self, message: EmailMessage) -> None:
        """Print one, as text."""
        body = message.get_body(("plain",))
        text = "" if body is None else str(body.get_content())
        lines = [
            _RULE,
            f"To:      {message['to']}",
            f"Subject: {message['subject']}",
            "",
            *text.splitlines(),
            _RULE,
        ]
        sys.stderr.write("\n".join(map(escape_controls, lines)) + "\n")
