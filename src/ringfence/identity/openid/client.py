"""The way to a provider and back: the part of it that is the same for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from ringfence.audit.events import Event, SignInFailed
from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.openid.attempt import Attempt, Attempts, Purpose, Sealed
from ringfence.identity.openid.id_token import Identity
from ringfence.identity.openid.provider import Provider
from ringfence.identity.openid.refusals import (
    BAD_ANSWER,
    DENIED,
    NO_SUCH_PROVIDER,
    WRONG_BROWSER,
    provider_error,
)
from ringfence.identity.refusals import too_many_attempts
from ringfence.stores.contracts import Charge, CounterStore, counter_key

_PER_NETWORK = 60  # answers in any minute; each of them asks the provider once
_MINUTE = 60.0
_FIELDS = frozenset({"state", "code", "iss", "error"})
_REFUSED_BY_ITS_OWNER = "access_denied"
_ERRORS = frozenset(  # RFC 6749, section 4.1.2.1; OpenID Connect Core 1.0, 3.1.2.6
    {
        "invalid_request",
        "unauthorized_client",
        "unsupported_response_type",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        "interaction_required",
        "login_required",
        "account_selection_required",
        "consent_required",
    }
)


class Answer(NamedTuple):
    """What a browser has brought back.

    Args:
        state: as it was sent.
        code: to be redeemed; empty beside an error.
        issuer: who says to have answered, if anybody.
        error: why there is no code.
    """

    state: str
    code: str
    issuer: str | None
    error: str

    @classmethod
    def of(cls, query: Iterable[tuple[str, str]]) -> Answer | Denial:
        """Read the query of an answer; of a field that stands twice nobody could say
        which one was checked."""
        pairs = [(name, value) for name, value in query if name in _FIELDS]
        found = dict(pairs)
        code, error = found.get("code", ""), found.get("error", "")
        if len(found) != len(pairs) or bool(code) == bool(error):
            return BAD_ANSWER
        return cls(found.get("state", ""), code, found.get("iss"), error)


class OpenIdClient:
    """Sends browsers to providers, and takes their answers.

    Args:
        providers: by the names that stand in addresses.
        attempts: binds each to its browser.
        counters: keeps what is left of the limits.
        public_origins: of this service; what a provider sends browsers back to.
        record: takes the events.

    Source: RFC 9700, section 2.1; ASVS 5.0 V10.5.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        attempts: Attempts,
        *,
        counters: CounterStore,
        public_origins: tuple[str, ...],
        record: Callable[[Event], None],
    ) -> None:
        self.providers = providers
        self._attempts = attempts
        self._counters = counters
        self._origins = tuple(origin.rstrip("/") for origin in public_origins)
        self._record = record

    async def begin(  # noqa: PLR0913 - what is begun, each by its name
        self,
        exchange: Exchange,
        name: str,
        purpose: Purpose,
        *,
        next_: str = "",
        account_id: str = "",
        session: str = "",
    ) -> str | Denial:
        """Begin an attempt; return the address at the provider that the browser is to
        go to.

        Args:
            exchange: of the request.
            name: of the provider.
            purpose: what for.
            next_: where the browser wants to go afterwards, a path of this site.
            account_id: who is signed in, where that matters.
            session: public id of the session, where that matters.
        """
        provider = self.providers.get(name)
        if provider is None:
            return NO_SUCH_PROVIDER
        sealed = self._attempts.begin(
            exchange,
            name,
            purpose,
            next_=next_,
            origin=self._origin(exchange),
            account_id=account_id,
            session=session,
        )
        address = await provider.address(
            sealed,
            _callback(exchange, sealed.attempt),
            afresh=purpose == "confirm",
        )
        if isinstance(address, Denial):
            self._attempts.expire(exchange)
        return address

    async def answer(
        self, exchange: Exchange, name: str, query: Iterable[tuple[str, str]]
    ) -> tuple[Attempt, Identity] | Denial:
        """Return what was begun in this browser, and whom the provider means.

        Args:
            exchange: of the request.
            name: of the provider, as it stands in the address that was come back to.
            query: of that address.
        """
        identity = await self._answer(exchange, name, query)
        if isinstance(identity, Denial):
            why = f"{identity.code}: {identity.private}".removesuffix(": ")
            self._record(
                SignInFailed(
                    request_id=exchange.request_id,
                    client=exchange.client,
                    reason=f"openid: {why}",
                )
            )
        return identity

    async def _answer(
        self, exchange: Exchange, name: str, query: Iterable[tuple[str, str]]
    ) -> tuple[Attempt, Identity] | Denial:
        provider = self.providers.get(name)
        answer = Answer.of(query)
        if provider is None:
            return NO_SUCH_PROVIDER
        if isinstance(answer, Denial):
            return answer
        sealed = self._attempts.read(exchange, name, answer.state)
        if sealed is None:
            return WRONG_BROWSER
        self._attempts.expire(exchange)
        refused = await self._admit(exchange, provider, sealed, answer)
        if refused is not None:
            return refused
        callback = _callback(exchange, sealed.attempt)
        identity = await provider.redeem(answer.code, sealed, callback)
        if isinstance(identity, Denial):
            return identity
        return sealed.attempt, identity

    async def _admit(
        self, exchange: Exchange, provider: Provider, sealed: Sealed, answer: Answer
    ) -> Denial | None:
        """Refuse an answer before its code is worth a question to the provider."""
        if not await self._attempts.redeem(sealed.attempt):
            return replace(WRONG_BROWSER, private="used before")
        refused = await self._spend(exchange)
        if refused is None:
            refused = await provider.judge_issuer(answer.issuer)
        if refused is not None or not answer.error:
            return refused
        if answer.error == _REFUSED_BY_ITS_OWNER:
            return DENIED
        known = answer.error if answer.error in _ERRORS else "no known reason"
        return provider_error(f"it has answered with an error: {known}")

    async def _spend(self, exchange: Exchange) -> Denial | None:
        """Let nobody have us ask a provider without end."""
        key = counter_key("openid network", exchange.network)
        charge = Charge(key, _PER_NETWORK, _MINUTE, exact=True)
        verdict = await self._counters.take([charge])
        if verdict.refused < 0:
            return None
        return too_many_attempts(_PER_NETWORK, _MINUTE, verdict.retry_after)

    def _origin(self, exchange: Exchange) -> str:
        """Return the configured origin that the browser has come to; its cookie is sent
        to no other. In development, where none may be configured, it is a host of this
        machine, as another room has checked."""
        for origin in self._origins:
            if origin.partition("://")[2] == exchange.host:
                return origin
        return self._origins[0] if self._origins else f"http://{exchange.host}"


def _callback(exchange: Exchange, attempt: Attempt) -> str:
    root = str(exchange.scope.get("root_path", ""))
    return f"{attempt.origin}{root}/auth/openid/{attempt.provider}/callback"
