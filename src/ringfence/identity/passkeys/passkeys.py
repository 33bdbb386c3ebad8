"""Passkeys of accounts: making one, proving with one, and the list of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from ringfence.audit.events import (
    Event,
    FactorFailed,
    PasskeyCopied,
    SignInFailed,
)
from ringfence.clock import Clock
from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.attempts import Attempts
from ringfence.identity.device import describe_device
from ringfence.identity.entrance import PASSKEY
from ringfence.identity.factors.verify import SecondFactors
from ringfence.identity.passkeys.authenticators import Details, details_of, keeper_of
from ringfence.identity.passkeys.ceremonies import creation_options, request_options
from ringfence.identity.passkeys.challenges import Challenges, Purpose
from ringfence.identity.passkeys.messages import (
    Assertion,
    NewCredential,
    UsedCredential,
    label_of,
    read_new,
    read_used,
)
from ringfence.identity.passkeys.refusals import (
    COPIED,
    EXPIRED,
    NO_PASSKEYS,
    NO_SUCH_PASSKEY,
    NOT_HERE,
    REFUSED,
    TAKEN,
    TOO_MANY,
)
from ringfence.identity.passkeys.relying_party import RelyingParties, RelyingParty
from ringfence.identity.passkeys.verification import (
    NewPasskey,
    verify_new,
    verify_proof,
)
from ringfence.identity.refusals import invalid
from ringfence.stores.contracts import (
    AccountRecord,
    AccountStore,
    Factor,
    FactorStore,
)

MOST = 32  # of one account; a browser is told all of them in each ceremony
COPIED_COUNTER = 2**32  # above all that an authenticator can count to
_PUBLIC_ID_BYTES = 16


NO_LABEL = invalid(label="A name of at most 64 characters, all of them visible.")


class Added(NamedTuple):
    """A passkey that was added.

    Args:
        passkey: as stored.
        recovery_codes: made with it, to be shown once.
    """

    passkey: Factor
    recovery_codes: tuple[str, ...]


class _Proved(NamedTuple):
    account: AccountRecord
    passkey: Factor


class Passkeys:
    """Decide about passkeys, and tell the ledger.

    A method that can refuse returns a ``Denial``; each may raise ``StoreError``.

    A passkey proves nothing unless its authenticator has verified its user: so it is
    two factors at once, wherever it is asked for.

    Args:
        accounts: where accounts are kept.
        factors: where passkeys are kept.
        second_factors: sees to what belongs to each change of them.
        challenges: makes and recognises what is signed.
        parties: decides where passkeys work.
        attempts: decides how often one may be tried.
        identifier: makes the keyed hash of an address that failed proofs carry.
        record: takes the events.
        clock: tells the time.

    Source: WebAuthn Level 3, section 7; ASVS 5.0 V6.3.3, V6.5.1; NIST SP 800-63B-4,
        sections 2.2.2 and 3.1.7.

    Not covered: the model of the authenticator (attestation); sync services that a
    passkey is copied by, whose safety is their maker's.
    """

    def __init__(  # noqa: PLR0913 - what it decides with, each by its name
        self,
        accounts: AccountStore,
        factors: FactorStore,
        second_factors: SecondFactors,
        *,
        challenges: Challenges,
        parties: RelyingParties,
        attempts: Attempts,
        identifier: Callable[[str], str],
        record: Callable[[Event], None],
        clock: Clock,
    ) -> None:
        self._accounts = accounts
        self._factors = factors
        self._challenges = challenges
        self.parties = parties
        self._attempts = attempts
        self._identifier = identifier
        self._second_factors = second_factors
        self._record = record
        self._clock = clock

    async def of(self, account_id: str) -> list[Factor]:
        """Return an account's passkeys, the oldest first."""
        found = await self._factors.of_account(account_id)
        return [factor for factor in found if factor.kind == PASSKEY]

    async def begin_registration(
        self, account: AccountRecord, exchange: Exchange
    ) -> dict[str, Any] | Denial:
        """Return what a browser needs to make a passkey for an account that has just
        proved who it is."""
        party = self.parties.at(exchange)
        if party is None:
            return NOT_HERE
        known = await self.of(account.id)
        if len(known) >= MOST:
            return TOO_MANY
        challenge = self._challenges.issue(exchange, "register", account.id)
        return creation_options(party, account, challenge, known)

    async def register(
        self,
        account: AccountRecord,
        credential: NewCredential,
        label: str,
        exchange: Exchange,
    ) -> Added | Denial:
        """Add a passkey to the account whose registration was begun in this browser;
        and recovery codes, if it has none: a device can be lost.

        Args:
            account: of who is signed in.
            credential: what the browser has made.
            label: what its owner calls it; empty for a name that is found.
            exchange: of the request.
        """
        party = self.parties.at(exchange)
        if party is None:
            return NOT_HERE
        made = await self._made(account.id, credential, party, exchange)
        if isinstance(made, Denial):
            return made
        name = label_of(label, keeper_of(made.aaguid) or _device(exchange))
        if name is None:
            return NO_LABEL
        passkey = _stored(account, made, name, self._clock())
        if not await self._factors.add(passkey, epoch=account.epoch, most=MOST):
            return TAKEN
        codes = await self._second_factors.added(account, PASSKEY, exchange)
        return Added(passkey, codes)

    async def _made(
        self,
        account_id: str,
        credential: NewCredential,
        party: RelyingParty,
        exchange: Exchange,
    ) -> NewPasskey | Denial:
        attestation = read_new(credential)
        if isinstance(attestation, Denial):
            return attestation
        challenge = attestation.challenge
        if not self._challenges.holds(challenge, exchange, "register", account_id):
            return EXPIRED
        made = verify_new(attestation, party)
        if isinstance(made, Denial):
            return made
        return made if await self._challenges.redeem(challenge) else EXPIRED

    def begin_sign_in(self, exchange: Exchange) -> dict[str, Any] | Denial:
        """Return what a browser needs to sign somebody in whom nobody has named: the
        same for everybody."""
        party = self.parties.at(exchange)
        if party is None:
            return NOT_HERE
        return request_options(party, self._challenges.issue(exchange, "sign-in"))

    async def sign_in(
        self, credential: UsedCredential, exchange: Exchange
    ) -> AccountRecord | Denial:
        """Return the account that a passkey belongs to, and that it says it belongs to.

        Source: WebAuthn Level 3, section 7.2, step 6.
        """
        proved = await self._prove(credential, exchange, "sign-in")
        if isinstance(proved, Denial):
            return proved
        return proved.account

    async def begin_verification(
        self, account: AccountRecord, exchange: Exchange
    ) -> dict[str, Any] | Denial:
        """Return what a browser needs for one more proof of an account that has given
        one already."""
        party = self.parties.at(exchange)
        if party is None:
            return NOT_HERE
        known = await self.of(account.id)
        if not known:
            return NO_PASSKEYS
        challenge = self._challenges.issue(exchange, "verify", account.id)
        return request_options(party, challenge, known)

    async def verify(
        self, account: AccountRecord, credential: UsedCredential, exchange: Exchange
    ) -> Denial | None:
        """Check one more proof of an account that has given one already."""
        proved = await self._prove(credential, exchange, "verify", account.id)
        return proved if isinstance(proved, Denial) else None

    async def _prove(
        self,
        credential: UsedCredential,
        exchange: Exchange,
        purpose: Purpose,
        account_id: str = "",
    ) -> _Proved | Denial:
        """Check a proof, cheapest first: shape, challenge, budget, signature; then use
        it up, whatever else asks with the same one at this moment."""
        party = self.parties.at(exchange)
        if party is None:
            return NOT_HERE
        assertion = read_used(credential)
        if isinstance(assertion, Denial):
            return assertion
        if not self._challenges.holds(
            assertion.challenge, exchange, purpose, account_id
        ):
            return EXPIRED
        found = await self._owner(assertion, account_id)
        key = "" if found is None else found.account.email_key
        attempt = await self._attempts.enter(key, exchange)
        if isinstance(attempt, Denial):
            return attempt
        refused = await self._check(assertion, found, party, exchange, purpose)
        if refused is not None or found is None:
            return refused or REFUSED
        await attempt.withdrawn()
        return found

    async def _owner(self, assertion: Assertion, account_id: str) -> _Proved | None:
        """Return the passkey that is named, and whose it is, if it may be used here:
        nobody proves anything with a passkey of another account."""
        passkey = await self._factors.find(PASSKEY, assertion.credential_id)
        if passkey is None:
            return None
        account = await self._accounts.by_id(passkey.account_id)
        if account is None or account_id not in {"", account.id}:
            return None
        return _Proved(account, passkey)

    async def _check(
        self,
        assertion: Assertion,
        found: _Proved | None,
        party: RelyingParty,
        exchange: Exchange,
        purpose: Purpose,
    ) -> Denial | None:
        if found is None:
            return self._failed(None, "unknown passkey", exchange, purpose)
        account, passkey = found
        if assertion.user_handle not in _handles(account, purpose):
            return self._failed(account, "another user handle", exchange, purpose)
        proof = verify_proof(assertion, party, passkey.secret)
        if isinstance(proof, Denial):
            return self._failed(account, proof.private, exchange, purpose)
        if proof.backup_eligible != details_of(passkey).backup_eligible:
            reason = "another backup eligibility"
            return self._failed(account, reason, exchange, purpose)
        if not await self._challenges.redeem(assertion.challenge):
            return EXPIRED
        return await self._count(found, proof.counter, exchange, purpose)

    async def _count(
        self, found: _Proved, counter: int, exchange: Exchange, purpose: Purpose
    ) -> Denial | None:
        """Write the use down. A counter that does not rise is that of a copy, or of the
        original after a copy was used (WebAuthn Level 3, section 6.1.1).

        From then on neither is believed: whoever has copied a key can count as high as
        it takes, and would be let in at the second try while its owner is not.
        """
        account, passkey = found
        if await self._factors.advance(
            PASSKEY, passkey.id, counter=counter, at=self._clock()
        ):
            return None
        if await self._factors.find(PASSKEY, passkey.id) is None:
            return self._failed(account, "removed meanwhile", exchange, purpose)
        is_news = await self._factors.advance(
            PASSKEY, passkey.id, counter=COPIED_COUNTER, at=passkey.used
        )
        if not is_news:
            self._failed(account, "known to be copied", exchange, purpose)
            return COPIED
        self._record(
            PasskeyCopied(
                **_where(exchange, account),
                passkey=public_id(passkey),
                counter=counter,
            )
        )
        return COPIED

    def _failed(
        self,
        account: AccountRecord | None,
        reason: str,
        exchange: Exchange,
        purpose: Purpose,
    ) -> Denial:
        where = _where(exchange, account)
        name = "" if account is None else self._identifier(account.email_key)
        if purpose == "sign-in":
            why = f"passkey: {reason}"
            self._record(SignInFailed(**where, identifier=name, reason=why))
            return REFUSED
        self._record(
            FactorFailed(**where, identifier=name, factor=PASSKEY, reason=reason)
        )
        # 401 would tell a program that its session has ended.
        return REFUSED if exchange.principal is None else replace(REFUSED, status=403)

    async def rename(self, account_id: str, wanted: str, label: str) -> Denial | None:
        """Call one of an account's passkeys something else.

        Args:
            account_id: of who is signed in; another's passkey is not found (CWE-639).
            wanted: its public id.
            label: at most 64 characters, all of them visible.
        """
        name = label_of(label, "")
        if not name:
            return NO_LABEL
        passkey = await self._named(account_id, wanted)
        if passkey is None or not await self._factors.rename(
            account_id, PASSKEY, passkey.id, name
        ):
            return NO_SUCH_PASSKEY
        return None

    async def remove(
        self, account: AccountRecord, wanted: str, exchange: Exchange
    ) -> Denial | None:
        """Take one of an account's passkeys away; nobody signs in with it from now on.

        Args:
            account: of who is signed in; another's passkey is not found (CWE-639).
            wanted: its public id.
            exchange: of the request.
        """
        passkey = await self._named(account.id, wanted)
        if passkey is None or not await self._second_factors.remove(
            account, PASSKEY, passkey.id, exchange
        ):
            return NO_SUCH_PASSKEY
        return None

    async def _named(self, account_id: str, wanted: str) -> Factor | None:
        found = await self.of(account_id)
        return next((one for one in found if public_id(one) == wanted), None)


def public_id(passkey: Factor) -> str:
    """Return what a passkey is called in addresses: credential ids may be long."""
    return sha256(passkey.id).digest()[:_PUBLIC_ID_BYTES].hex()


def _stored(account: AccountRecord, made: NewPasskey, label: str, now: float) -> Factor:
    details = Details(
        made.transports, made.aaguid, made.backup_eligible, made.backed_up
    )
    return Factor(
        PASSKEY,
        made.credential_id,
        account.id,
        secret=made.public_key,
        counter=made.counter,
        label=label,
        created=now,
        details=msgspec.json.encode(details),
    )


def _handles(account: AccountRecord, purpose: Purpose) -> tuple[bytes, ...]:
    """Return what a passkey may say of whose it is. It may keep silent only where
    somebody has said so before."""
    own = account.id.encode()
    return (own,) if purpose == "sign-in" else (own, b"")


def _device(exchange: Exchange) -> str:
    return describe_device(exchange.headers.get(b"user-agent", b""))


def _where(exchange: Exchange, account: AccountRecord | None) -> dict[str, str]:
    return {
        "request_id": exchange.request_id,
        "client": exchange.client,
        "account": "" if account is None else account.id,
    }
