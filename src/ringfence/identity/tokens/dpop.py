"""Proofs that a client has the key its token is bound to (DPoP, RFC 9449)."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Annotated, Literal, NamedTuple, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from ringfence.clock import Clock
from ringfence.denial import Denial
from ringfence.exchange import Exchange
from ringfence.identity.tokens.base64url import decode, encode
from ringfence.identity.tokens.nonces import LASTS, Nonces
from ringfence.identity.tokens.proof_keys import ALGORITHMS, ProofKey, read_key
from ringfence.stores.contracts import ReplayStore, counter_key

MOST_BYTES = 4096
"""Of a proof, looked at before anything else is; one has about 500."""

OLDEST = 60  # seconds; RFC 9449, section 11.1: "seconds or minutes"
AHEAD = 10  # seconds by which a client's clock may be ahead of ours
_MOST_ID = 256  # characters of ``jti``
_MOST_KNOWN = 1024  # keys that are kept prepared
_MARGIN = 5.0  # seconds longer than a proof is taken it is remembered
_PORTS = {"http": 80, "https": 443}
_ALGORITHMS = " ".join(ALGORITHMS).encode()


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a proof may say about itself. Whatever else there is (``crit``, ``jku``,
    ``x5u``, ``b64``) would change what it means, and is refused."""

    typ: Literal["dpop+jwt"]
    alg: Annotated[str, msgspec.Meta(max_length=16)]
    jwk: dict[str, object]
    kid: str = ""


class _Claims(msgspec.Struct, frozen=True):
    jti: Annotated[str, msgspec.Meta(min_length=1, max_length=_MOST_ID)]
    htm: str
    htu: str
    iat: float
    ath: str = ""
    nonce: str = ""


_to_header = msgspec.json.Decoder(_Header, strict=True).decode
_to_claims = msgspec.json.Decoder(_Claims, strict=True).decode


class Proof(NamedTuple):
    """A proof that fits the request. It must be taken once: ``Proofs.take``.

    Args:
        key: thumbprint of the client's key.
        name: what tells it from every other proof.
        until: when it would be refused anyhow, Unix seconds.
        is_stale: its nonce is not the present one, so the client needs that.
    """

    key: str
    name: bytes
    until: float
    is_stale: bool


@dataclass(frozen=True, slots=True)
class ProofRefused(Denial):
    """A proof that does not fit."""


def _refused(private: str) -> ProofRefused:
    return ProofRefused(
        401,
        "identity.dpop_invalid",
        "The header DPoP holds no proof that fits this request.",
        private=private,
        headers=(_challenge(b"invalid_dpop_proof"),),
    )


def _challenge(error: bytes) -> tuple[bytes, bytes]:
    text = b'DPoP realm="ringfence", error="%b", algs="%b"' % (error, _ALGORITHMS)
    return b"www-authenticate", text


MISSING = _refused("there is none")
_TOO_LONG = _refused(f"longer than {MOST_BYTES} bytes")
_NO_SEGMENTS = _refused("not three segments")
_NO_HEADER = _refused("its header is not as it must be")
_NO_CLAIMS = _refused("its claims are not as they must be")
_FORGED = _refused("the signature is wrong")
_OTHER_METHOD = _refused("made for another method")
_OTHER_ADDRESS = _refused("made for another address")
_OTHER_TOKEN = _refused("made for another token, or for none")
_REPLAYED = _refused("seen before")


class Proofs:
    """Checks the proofs that clients sign for each request.

    A token that is bound to a key is worthless to whoever has stolen only the token:
    from a log, a proxy, a page's memory. And what was overheard of one request opens no
    other: a proof names method, address and token, lasts a minute, and is taken once.

    The address in a proof is compared with where this service is reached by its own
    settings; only without any with the ``Host`` that ``traffic.host`` has let pass. A
    server that believed the header would take proofs made for somebody else's.

    Args:
        replays: remembers which proofs were taken.
        nonces: makes and recognises nonces.
        origins: where this service is reached.
        nonce_needed: whether every proof must repeat a nonce of ours. Without that
            only clients whose clock is wrong are asked for one.
        clock: tells the time.

    Source: RFC 9449, sections 4.3, 7, 8, 9 and 11; CWE-294, CWE-347.

    Not covered: who can run code in the client makes proofs with its key.
    """

    def __init__(
        self,
        replays: ReplayStore,
        nonces: Nonces,
        origins: tuple[str, ...] = (),
        *,
        nonce_needed: bool = False,
        clock: Clock,
    ) -> None:
        self._replays = replays
        self._nonces = nonces
        self._origins = frozenset(_origin(one) for one in origins)
        self._nonce_needed = nonce_needed
        self._clock = clock
        self._known: dict[bytes, ProofKey] = {}

    def read(
        self, exchange: Exchange, token: bytes = b""
    ) -> Proof | ProofRefused | None:
        """Return the proof that a request brings if it fits: to the request, and to the
        token. ``None`` if it brings none. Nothing is asked for it.

        Args:
            exchange: of the request.
            token: the access token that comes along; empty where one is asked for.
        """
        given = exchange.headers.get(b"dpop")
        if given is None:
            return None
        if len(given) > MOST_BYTES:
            return _TOO_LONG
        signed = self._signed(given)
        if isinstance(signed, ProofRefused):
            return signed
        return self._fitting(*signed, exchange, token)

    def _signed(self, given: bytes) -> tuple[_Claims, ProofKey] | ProofRefused:
        """Return what a proof says, and the key that has signed it."""
        segments = given.split(b".", 3)
        if len(segments) != 3:  # noqa: PLR2004 - header, claims, signature (RFC 7515)
            return _NO_SEGMENTS
        key = self._key(segments[0])
        if isinstance(key, ProofRefused):
            return key
        signature = decode(segments[2])
        message = given[: -len(segments[2]) - 1]
        if signature is None or not key.verify(message, signature):
            return _FORGED
        claims = _decoded(segments[1], _to_claims)
        return _NO_CLAIMS if claims is None else (claims, key)

    def _key(self, segment: bytes) -> ProofKey | ProofRefused:
        """Return the key in a header; each is prepared once, by its whole text."""
        known = self._known.get(segment)
        if known is not None:
            return known
        header = _decoded(segment, _to_header)
        if header is None:
            return _NO_HEADER
        key = read_key(header.alg, header.jwk)
        if isinstance(key, str):
            return _refused(key)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[segment] = key
        return key

    def _fitting(
        self, claims: _Claims, key: ProofKey, exchange: Exchange, token: bytes
    ) -> Proof | ProofRefused:
        # A handshake is a GET (RFC 6455, section 4.1).
        method = "GET" if exchange.kind == "websocket" else exchange.method
        if claims.htm != method:
            return _OTHER_METHOD
        if not self._is_here(claims.htu, exchange):
            return _OTHER_ADDRESS
        if token and not _is_of(token, claims.ath):
            return _OTHER_TOKEN
        until = self._until(claims)
        if until is None:
            return self._nonce_wanted()
        name = counter_key("dpop", key.thumbprint, claims.jti)
        is_stale = (
            bool(claims.nonce) and claims.nonce.encode() != self._nonces.current()
        )
        return Proof(key.thumbprint, name, until, is_stale)

    def _until(self, claims: _Claims) -> float | None:
        """Return until when a proof is taken, ``None`` if it is not now.

        With a nonce of ours it is our own clock that says how old the proof is.
        """
        if claims.nonce:
            made = self._nonces.made(claims.nonce)
            return None if made is None else made + LASTS
        if self._nonce_needed:
            return None
        age = self._clock() - claims.iat
        return claims.iat + OLDEST if -AHEAD <= age < OLDEST else None

    def _is_here(self, htu: str, exchange: Exchange) -> bool:
        try:
            parts = urlsplit(htu)
            origin = _origin(htu)
        except ValueError:
            return False
        here = f"{exchange.scheme}://{exchange.host}"
        if origin not in (self._origins or {_origin(here)}):
            return False
        scope = exchange.scope
        raw: bytes = scope.get("raw_path") or quote(exchange.path).encode()
        path = raw.partition(b"?")[0].decode("latin-1")
        root = quote(str(scope.get("root_path", "")))
        if root and not path.startswith(root + "/"):
            path = root + path  # some servers leave out what a proxy has taken away
        return _normal(parts.path) == _normal(path)

    async def take(self, proof: Proof, exchange: Exchange) -> ProofRefused | None:
        """Take a proof: of several requests with the same one exactly one goes on.

        Args:
            proof: as ``read`` gives it.
            exchange: of the request; a client whose nonce is not the present one is
                told that.

        Raises:
            StoreError: it cannot be remembered.
        """
        seconds = max(0.0, proof.until - self._clock()) + _MARGIN
        if not await self._replays.first(proof.name, seconds):
            return _REPLAYED
        if proof.is_stale:
            exchange.response_headers.append((b"dpop-nonce", self._nonces.current()))
        return None

    def _nonce_wanted(self) -> ProofRefused:
        return ProofRefused(
            401,
            "identity.dpop_nonce_required",
            "Sign the proof anew, with the nonce of the header DPoP-Nonce.",
            headers=(
                _challenge(b"use_dpop_nonce"),
                (b"dpop-nonce", self._nonces.current()),
            ),
        )


def at_the_counter(refused: ProofRefused) -> ProofRefused:
    """Return the refusal as the address says it that hands out tokens: with 400, since
    nobody has claimed to be signed in (RFC 9449, section 5; RFC 6749, section 5.2)."""
    headers = tuple(one for one in refused.headers if one[0] != b"www-authenticate")
    return replace(refused, status=400, headers=headers)


_S = TypeVar("_S")


def _decoded(segment: bytes, to: Callable[[bytes], _S]) -> _S | None:
    raw = decode(segment)
    if raw is None:
        return None
    try:
        return to(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _is_of(token: bytes, ath: str) -> bool:
    return hmac.compare_digest(encode(sha256(token).digest()), ath.encode())


def _origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of an address, in one spelling.

    Raises:
        ValueError: the port is none.
    """
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    port = _PORTS.get(scheme, 0) if parts.port is None else parts.port
    return scheme, (parts.hostname or "").rstrip("."), port


_PERCENT = re.compile("%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
)


def _normal(path: str) -> str:
    """Return a path in one spelling (RFC 3986, sections 6.2.2 and 6.2.3). Dots that
    lead elsewhere are refused before, by ``traffic.request_line``."""

    def spelled(found: re.Match[str]) -> str:
        character = chr(int(found[1], 16))
        return character if character in _UNRESERVED else found[0].upper()

    return _PERCENT.sub(spelled, path) or "/"
