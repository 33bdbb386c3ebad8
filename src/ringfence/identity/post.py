"""All that a letter to an owner takes."""

from __future__ import annotations

from dataclasses import dataclass

from ringfence.identity.letter_limits import LetterLimits
from ringfence.identity.links import Links
from ringfence.identity.mail.letters import Letters
from ringfence.identity.mail.mailbox import Mailbox


@dataclass(frozen=True, slots=True)
class Post:
    """The way letters go.

    Args:
        mailbox: takes them.
        letters: writes them.
        links: makes the links in them.
        limits: decides whether there is one.
    """

    mailbox: Mailbox
    letters: Letters
    links: Links
    limits: LetterLimits
