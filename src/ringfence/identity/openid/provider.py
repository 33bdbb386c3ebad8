"""One provider: where it is, and what it says about who has come back from there."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from typing import NamedTuple, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from ringfence.clock import Clock
from ringfence.denial import Denial
from ringfence.errors import FetchError
from ringfence.identity.fetch import Fetch, Fetched
from ringfence.identity.openid.attempt import Sealed
from ringfence.identity.openid.id_token import (
    Expected,
    Identity,
    IdTokens,
    Person,
    address,
)
from ringfence.identity.openid.refusals import (
    ANOTHER_ISSUER,
    NOT_CONFIRMED,
    provider_away,
    provider_error,
    token_invalid,
)
from ringfence.identity.openid.settings import OpenIdProvider, is_endpoint
from ringfence.identity.tokens.jwks_client import RemoteKeys

MOST_BYTES = 262_144  # of a document or an answer; real ones have 5 kB
TIMEOUT = 5.0  # seconds for each of them

_KEPT = 3600.0  # seconds that the document is believed
_FAILED = 10.0  # seconds before a provider that has not answered is asked again
_AT_ONCE = 16  # codes that are redeemed at a time; the browsers of others are told 503
_WELL_KNOWN = "/.well-known/openid-configuration"
_OK, _BAD_REQUEST, _SERVER_ERRORS = 200, 400, 500
_JSON = {"accept": "application/json"}
_MOST_CODE = 4096
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]{1,8192}=*")  # RFC 6750, section 2.1
_TOKEN_ERRORS = frozenset(  # RFC 6749, section 5.2: what may stand in the ledger
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    }
)

_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class _Document(msgspec.Struct, frozen=True):
    """What a provider says of itself. Source: OpenID Connect Discovery 1.0."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    authorization_response_iss_parameter_supported: bool = False


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str
    access_token: str = ""
    token_type: str = ""


class _Failure(msgspec.Struct, frozen=True):
    error: str = ""


class _Known(NamedTuple):
    document: _Document
    tokens: IdTokens
    until: float


class Provider:
    """Asks one provider.

    Its addresses come from its own document, which is kept for an hour, and only if it
    is the document of the very issuer that is configured (mix-up, RFC 9207). Nothing is
    asked at the address that an answer or a token names.

    Args:
        settings: of the provider.
        fetch: asks.
        development: plain http on this machine is allowed.
        clock: tells the time.

    Source: OpenID Connect Core 1.0, section 3.1; OpenID Connect Discovery 1.0, section
    4.3; RFC 6749, section 4.1.3; RFC 9700, section 2.1.
    """

    def __init__(
        self,
        settings: OpenIdProvider,
        fetch: Fetch,
        *,
        development: bool,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self._fetch = fetch
        self._development = development
        self._clock = clock
        self._known: _Known | None = None
        self._failed = float("-inf")
        self._failure = provider_away("")
        self._turn = asyncio.Lock()
        self._busy = 0

    async def address(
        self, sealed: Sealed, redirect_uri: str, *, afresh: bool = False
    ) -> str | Denial:
        """Return the address that the browser is sent to.

        Args:
            sealed: the attempt.
            redirect_uri: where it comes back to.
            afresh: the provider has to ask for a proof even of who is signed in there.
        """
        known = await self._learn()
        if isinstance(known, Denial):
            return known
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self.settings.scopes),
            "state": sealed.state,
            "nonce": sealed.nonce,
            "code_challenge": sealed.challenge,
            "code_challenge_method": "S256",
            **({"prompt": "login", "max_age": "0"} if afresh else {}),
        }
        endpoint = known.document.authorization_endpoint
        joint = "&" if "?" in endpoint else "?"
        return endpoint + joint + urlencode(query, quote_via=quote)

    async def judge_issuer(self, issuer: str | None) -> Denial | None:
        """Refuse an answer that names another issuer, or none where this one always
        names itself.

        Stops mix-up: a provider of the attacker's, at which the browser has begun,
        hands on the code of an honest one (RFC 9207).
        """
        known = await self._learn()
        if isinstance(known, Denial):
            return known
        if issuer is None:
            says = known.document.authorization_response_iss_parameter_supported
            return ANOTHER_ISSUER if says else None
        return None if issuer == self.settings.issuer else ANOTHER_ISSUER

    async def redeem(
        self, code: str, sealed: Sealed, redirect_uri: str
    ) -> Identity | Denial:
        """Return who the provider says has come back.

        Args:
            code: of the answer.
            sealed: the attempt that it belongs to.
            redirect_uri: as it was in the question.
        """
        known = await self._learn()
        if isinstance(known, Denial):
            return known
        if not 0 < len(code) <= _MOST_CODE:
            return NOT_CONFIRMED
        if self._busy >= _AT_ONCE:
            return provider_away("too many codes are being redeemed at this moment", 1)
        self._busy += 1
        try:
            return await self._redeem(known, code, sealed, redirect_uri)
        except FetchError as error:
            return provider_away(str(error))
        finally:
            self._busy -= 1

    async def _redeem(
        self, known: _Known, code: str, sealed: Sealed, redirect_uri: str
    ) -> Identity | Denial:
        answer = await self._ask_for_tokens(known.document, code, sealed, redirect_uri)
        if isinstance(answer, Denial):
            return answer
        issuer, client_id = self.settings.issuer, self.settings.client_id
        expected = Expected(issuer, client_id, sealed.nonce, answer.access_token)
        identity = await known.tokens.verify(answer.id_token, expected, self._clock())
        if isinstance(identity, Denial) or not self.settings.userinfo:
            return identity
        return await self._complete(known.document, answer, identity)

    async def _ask_for_tokens(
        self, document: _Document, code: str, sealed: Sealed, redirect_uri: str
    ) -> _Tokens | Denial:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": sealed.verifier,
        }
        headers = dict(_JSON)
        settings = self.settings
        secret = settings.client_secret.reveal() if settings.client_secret else ""
        match settings.authentication:
            case "basic":
                headers["authorization"] = _basic(settings.client_id, secret)
            case "post":
                form |= {"client_id": settings.client_id}
                form |= {"client_secret": secret}
            case "none":
                form |= {"client_id": settings.client_id}
        answer = await self._fetch(
            document.token_endpoint,
            headers=headers,
            form=urlencode(form).encode("ascii"),
            most=MOST_BYTES,
            timeout=TIMEOUT,
        )
        return _tokens(answer)

    async def _complete(
        self, document: _Document, answer: _Tokens, identity: Identity
    ) -> Identity | Denial:
        """Ask for the address. It counts only if it is about the very same person
        (token substitution; OpenID Connect Core 1.0, section 5.3.2)."""
        if not is_endpoint(document.userinfo_endpoint, development=self._development):
            return provider_error("it has no usable userinfo_endpoint")
        if answer.token_type.lower() != "bearer" or not _BEARER.fullmatch(
            answer.access_token
        ):
            return provider_error("it has sent no bearer token for userinfo")
        found = await self._fetch(
            document.userinfo_endpoint,
            headers={**_JSON, "authorization": f"Bearer {answer.access_token}"},
            most=MOST_BYTES,
            timeout=TIMEOUT,
        )
        person = _read(found, Person)
        if person is None:
            return provider_error("its userinfo cannot be read")
        if person.sub != identity.subject:
            return token_invalid("its userinfo is about somebody else")
        email, verified = address(person.email, verified=person.email_verified)
        return identity._replace(email=email, email_verified=verified)

    async def _learn(self) -> _Known | Denial:
        """Return the provider's document, and ask for it if it is too old. Of many at
        once one asks; a failure is remembered for a while."""
        if (known := self._believed()) is not None:
            return known
        async with self._turn:
            if (known := self._believed()) is not None:
                return known
            if 0 <= self._clock() - self._failed < _FAILED:
                return self._failure
            learnt = await self._discover()
            if isinstance(learnt, Denial):
                self._failed, self._failure = self._clock(), learnt
                return learnt
            self._known = learnt
            return learnt

    def _believed(self) -> _Known | None:
        known, now = self._known, self._clock()
        if known is None or not known.until - _KEPT <= now < known.until:
            return None
        return known

    async def _discover(self) -> _Known | Denial:
        url = self.settings.issuer.removesuffix("/") + _WELL_KNOWN
        try:
            answer = await self._fetch(
                url, headers=_JSON, most=MOST_BYTES, timeout=TIMEOUT
            )
        except FetchError as error:
            return provider_away(f"its document cannot be had: {error}")
        if answer.status >= _SERVER_ERRORS:
            return provider_away(f"its document is answered with {answer.status}")
        document = _read(answer, _Document)
        if document is None:
            return provider_error("its document cannot be read")
        if document.issuer != self.settings.issuer:
            return provider_error("its document is another issuer's")
        for endpoint in (
            document.authorization_endpoint,
            document.token_endpoint,
            document.jwks_uri,
        ):
            if not is_endpoint(endpoint, development=self._development):
                return provider_error("its document names an address without https")
        return _Known(document, self._tokens(document), self._clock() + _KEPT)

    def _tokens(self, document: _Document) -> IdTokens:
        """Return what verifies; the keys that are known stay while their address
        does."""
        if self._known is not None and (
            self._known.document.jwks_uri == document.jwks_uri
        ):
            return self._known.tokens
        keys = RemoteKeys(document.jwks_uri, self._fetch, self._clock)
        return IdTokens(keys, self.settings.algorithms)


def _read(answer: Fetched, kind: type[_Struct]) -> _Struct | None:
    if answer.status != _OK:
        return None
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _tokens(answer: Fetched) -> _Tokens | Denial:
    if answer.status >= _SERVER_ERRORS:
        return provider_away(f"a code is answered with {answer.status}")
    if answer.status != _OK:
        return _not_redeemed(answer)
    tokens = _read(answer, _Tokens)
    return provider_error("its tokens cannot be read") if tokens is None else tokens


def _not_redeemed(answer: Fetched) -> Denial:
    """Tell a code that is no good from a mistake in our settings."""
    try:
        error = msgspec.json.decode(answer.content, type=_Failure).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        error = ""
    if answer.status == _BAD_REQUEST and error == "invalid_grant":
        return NOT_CONFIRMED
    known = error if error in _TOKEN_ERRORS else "no known reason"
    return provider_error(f"a code is answered with {answer.status}: {known}")


def _basic(client_id: str, secret: str) -> str:
    """Return the header. Source: RFC 6749, section 2.3.1: both are encoded as in a
    form, so that a colon in the id cannot move the border."""
    both = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return "Basic " + b64encode(both.encode("ascii")).decode()
