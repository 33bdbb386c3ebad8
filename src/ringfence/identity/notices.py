"""Telling owners by mail what happens to their accounts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, fields
from functools import partial
from typing import Any, NamedTuple

from ringfence.audit.events import (
    ApiKeyMade,
    Event,
    FactorAdded,
    FactorRemoved,
    IdentityLinked,
    IdentityUnlinked,
    PasskeyCopied,
    PasswordChanged,
    PasswordReset,
    RecoveryCodesRenewed,
    RecoveryCodeUsed,
    SessionMoved,
)
from ringfence.clock import Clock
from ringfence.exchange import Exchange, active
from ringfence.identity.device import describe_device
from ringfence.identity.mail.letter import Letter
from ringfence.identity.mail.letters import moment
from ringfence.identity.post import Post
from ringfence.stores.contracts import AccountStore


class Said(NamedTuple):
    """What an owner is told.

    Args:
        title: the subject.
        sentence: what has happened; facts stand in braces.
    """

    title: str
    sentence: str


SENTENCES: dict[str, Said] = {
    "password_changed": Said(
        "Your password was changed",
        "The password of your account was changed, and every other session has ended.",
    ),
    "password_reset": Said(
        "Your password was reset",
        "A new password was set with a link from a letter to you. Everything that was "
        "signed in has ended.",
    ),
    "session_moved": Said(
        "Your session is used from another place",
        "Something that was signed in to your account is now used from another network "
        "and another device, as a stolen session is.",
    ),
    "refresh_reused": Said(
        "Somebody may have copied your sign-in",
        "A token that was used up was used once more, as a stolen one is. What was "
        "signed in with it has ended.",
    ),
    "factor_added": Said(
        "A second factor was added",
        "Another way to prove that it is you was added to your account: {factor}.",
    ),
    "factor_removed": Said(
        "A second factor was removed",
        "A way to prove that it is you was removed from your account: {factor}.",
    ),
    "passkey_copied": Said(
        "One of your passkeys may have been copied",
        "A passkey of your account was used with an older counter, as a copy of it "
        "would be. It is not believed any more: remove it, and make a new one.",
    ),
    "recovery_code_used": Said(
        "A recovery code was used",
        "One of the recovery codes of your account was used in the place of a second "
        "factor. Codes that are left: {left}.",
    ),
    "recovery_codes_made": Said(
        "New recovery codes were made",
        "New recovery codes were made for your account. The old ones are void.",
    ),
    "api_key_made": Said(
        "An API key was made",
        "A key that programs can use in your name was made: {label}.",
    ),
    "provider_linked": Said(
        "Another way to sign in was added",
        "Your account can be signed in to through {issuer} from now on.",
    ),
    "provider_unlinked": Said(
        "A way to sign in was removed",
        "Your account can no longer be signed in to through {issuer}.",
    ),
}
"""What owners are told, by kind."""

_HEARD: dict[type[Event], str] = {
    ApiKeyMade: "api_key_made",
    FactorAdded: "factor_added",
    FactorRemoved: "factor_removed",
    IdentityLinked: "provider_linked",
    IdentityUnlinked: "provider_unlinked",
    PasskeyCopied: "passkey_copied",
    PasswordChanged: "password_changed",
    PasswordReset: "password_reset",
    RecoveryCodesRenewed: "recovery_codes_made",
    RecoveryCodeUsed: "recovery_code_used",
    SessionMoved: "session_moved",
}
"""Events of the ledger that the owner is told of as well; their fields are facts."""

_NAMES = {
    "totp": "an app that shows codes",
    "passkey": "a passkey",
    "recovery-code": "recovery codes",
}

_MOST_CHARACTERS = 100  # of a fact: names are what their owners have typed


class Notices:
    """Tells owners what happens to their accounts: whoever did not do it finds out.

    Never waits: it may be called from anywhere in the event loop. Without mail it does
    nothing.

    Args:
        accounts: know the addresses.
        post: takes the letters; ``None`` where there is no mail.
        clock: tells the time.

    Source: ASVS 5.0 V6.3.7, V7.4.4; NIST SP 800-63B-4, section 4.6.
    """

    def __init__(
        self,
        accounts: AccountStore,
        post: Post | None,
        clock: Clock,
    ) -> None:
        self._accounts = accounts
        self.post = post
        self._clock = clock

    def told(self, account_id: str, kind: str, **facts: object) -> None:
        """Tell the owner of an account.

        Args:
            account_id: whose.
            kind: of event, one of ``SENTENCES``.
            facts: what its sentence says besides.

        Raises:
            KeyError: there is no such kind, or a fact is missing.
        """
        title, sentence = SENTENCES[kind]
        sentence = sentence.format_map({k: _plain(v) for k, v in facts.items()})
        if self.post is None:
            return
        post = self.post
        exchange = active.get()
        values = {
            "title": title,
            "sentence": sentence,
            "at": moment(self._clock()),
            "device": _device(exchange),
            "forgot": post.links.to("/auth/password/forgot", exchange),
        }
        errand = partial(self._write, post, account_id, kind, values)
        post.mailbox.write(errand, kind=kind, account=account_id)

    def hear(self, record: Callable[[Event], None]) -> Callable[[Event], None]:
        """Return what takes events for ``record``, and tells owners of those that are
        about them."""

        def both(event: Event) -> None:
            record(event)
            kind = _HEARD.get(type(event))
            if kind is not None and event.account:
                facts = {item.name: getattr(event, item.name) for item in _own(event)}
                self.told(event.account, kind, **facts)

        return both

    async def _write(
        self, post: Post, account_id: str, kind: str, values: dict[str, str]
    ) -> Letter | None:
        account = await self._accounts.by_id(account_id)
        if account is None or not await post.limits.may_be_told(account_id):
            return None
        return post.letters.write(
            "notice",
            kind=kind,
            account=account.id,
            to=account.email,
            email=account.email,
            **values,
        )


def _device(exchange: Exchange | None) -> str:
    """Return where it was done: the address, and what the browser calls itself."""
    if exchange is None:
        return ""
    device = describe_device(exchange.headers.get(b"user-agent", b""))
    return f"{device}, {exchange.client}" if exchange.client else device


def _own(event: Event) -> list[Field[Any]]:
    """Return the fields that an event has beyond those of every event."""
    shared = {item.name for item in fields(Event)}
    return [item for item in fields(event) if item.name not in shared]


def _plain(fact: object) -> str:
    """Return a fact for people; it cannot begin another line of a letter."""
    text = _NAMES.get(str(fact), str(fact))
    shown = "".join(sign if sign.isprintable() else " " for sign in text)
    return shown[:_MOST_CHARACTERS]
