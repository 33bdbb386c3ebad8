"""Identities that another provider vouches for, and what keeps them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

_LONGEST_ISSUER = 512
_LONGEST_SUBJECT = 255  # OpenID Connect Core 1.0, section 2


class Link(NamedTuple):
    """An account's identity at a provider of OpenID Connect.

    Args:
        issuer: of the provider, exactly as it calls itself.
        subject: whom it means there; never reused (``sub``).
        account_id: who that is here.
        email: what the provider last said, for display only.
        created: when it was linked, Unix seconds.
    """

    issuer: str
    subject: str
    account_id: str
    email: str = ""
    created: float = 0.0


class LinkStore(Protocol):
    """Linked identities. Every method may raise ``StoreError``.

    The key is the issuer with the subject, byte for byte: an e-mail address may be
    another's tomorrow (CVE-2026-22747, CVE-2025-65431).

    Source: OpenID Connect Core 1.0, section 5.7; CWE-287.
    """

    async def add(self, link: Link, *, epoch: int, most: int = 16) -> bool:
        """Add a link; return ``False`` and add nothing if the identity is linked
        already, to whomever, or ``is_identity`` says that it is none; if the account is
        gone, disabled or no longer at ``epoch``, or has ``most`` links already."""

    async def find(self, issuer: str, subject: str) -> Link | None:
        """Return the link of an identity, whatever its account may do."""

    async def of_account(self, account_id: str) -> list[Link]:
        """Return the account's links, the oldest first."""

    async def remove(self, account_id: str, issuer: str, subject: str) -> bool:
        """Remove a link of this account; return whether it had it."""


def is_identity(issuer: str, subject: str) -> bool:
    """Return whether these may name anybody: short enough, printable, and so a text
    that every database can hold. A provider that says otherwise is not told that our
    store is down (CWE-20)."""
    return (
        0 < len(issuer) <= _LONGEST_ISSUER
        and 0 < len(subject) <= _LONGEST_SUBJECT
        and issuer.isprintable()
        and subject.isprintable()
    )
