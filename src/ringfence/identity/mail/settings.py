"""Settings of the mail that owners get."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class MailSettings:
    """How letters to owners leave. Without a server there are none: in development
    they are printed, in production recovery by mail is off."""

    server: str = field(default="", repr=False)
    """``smtp://user:password@host:587`` (with STARTTLS), ``smtps://host:465``; on this
    machine also ``smtp://127.0.0.1:25`` in clear text. Not shown: it may hold a
    password."""

    sender: str = ""
    """The address that letters come from, ``shop@example.com`` or ``The shop
    <shop@example.com>``. Required with ``server``."""
