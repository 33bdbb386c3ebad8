"""A small provider of OpenID Connect on loopback, honest unless it is told otherwise.

Written from the standards, not from our client: OpenID Connect Core 1.0 and Discovery
1.0, RFC 6749, RFC 7636 (PKCE) and RFC 9207 (``iss``). Development's rule for loopback
(plain http) is what lets it be used.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from joserfc.jwa import EdDSAAlgorithm, ESAlgorithm, RSAAlgorithm, RSAPSSAlgorithm
from joserfc.jwk import ECKey, Key

CLIENT_ID = "shop: the first"  # a colon and blanks, as RFC 6749 allows
CLIENT_SECRET = "öpen+sesame: s3cret/&%"
ANN = {"sub": "ann-7", "email": "ann@example.com", "email_verified": True}

SIGNERS = {
    "RS256": RSAAlgorithm(256),
    "PS256": RSAPSSAlgorithm(256),
    "ES256": ESAlgorithm("ES256", "P-256", 256),
    "EdDSA": EdDSAAlgorithm(),
    "Ed25519": EdDSAAlgorithm(),
}
Json = dict[str, Any]


@dataclass(slots=True)
class Grant:
    """What a code stands for."""

    query: dict[str, str]
    person: Json


@dataclass
class Provider:
    """The provider, and how it misbehaves.

    Args:
        port: of loopback.
        person: who is signed in at it.
        says: claims of the ID token that differ; ``None`` takes one out.
        answers: fields of the token endpoint's answer that differ.
        document: fields of the discovery document that differ.
        issuer_in_answer: ``iss`` of the authorization answer; ``None`` for none.
        error: answered instead of a code.
        userinfo: claims of the userinfo endpoint that differ.
        make: makes the token of header and claims.
        spoiled: answers a path instead of the provider: status, headers and body.
        asks: shows a page with a button instead of answering at once.
    """

    port: int
    key: Key = field(default_factory=lambda: ECKey.generate_key("P-256", auto_kid=True))
    algorithm: str = "ES256"
    person: Json = field(default_factory=lambda: dict(ANN))
    says: Json = field(default_factory=dict)
    answers: Json = field(default_factory=dict)
    document: Json = field(default_factory=dict)
    issuer_in_answer: str | None = "own"
    error: str = ""
    userinfo: Json = field(default_factory=dict)
    make: Callable[[Json, Json], str] | None = None
    header: Json = field(default_factory=dict)
    spoiled: dict[str, Callable[[], tuple[int, dict[str, str], bytes]]] = field(
        default_factory=dict
    )
    asks: bool = False
    authentication: str = "basic"
    asked: Counter[str] = field(default_factory=Counter)
    grants: dict[str, Grant] = field(default_factory=dict)
    tokens: dict[str, Json] = field(default_factory=dict)
    bodies: list[dict[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, name: str = "honest", **more: Any) -> Json:
        """Return what stands in the settings of a client of this provider."""
        return {
            "name": name,
            "label": name.title(),
            "issuer": self.issuer,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            **more,
        }

    def discovery(self) -> Json:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.algorithm],
            "authorization_response_iss_parameter_supported": bool(
                self.issuer_in_answer
            ),
            **self.document,
        }

    def jwks(self) -> Json:
        public = self.key.as_dict(private=False)
        return {"keys": [{**public, "use": "sig", "alg": self.algorithm}]}

    def authorize(self, query: dict[str, str]) -> str:
        """Return where the browser is sent back to."""
        answer = {"state": query["state"]}
        if self.error:
            answer["error"] = self.error
        else:
            code = secrets.token_urlsafe(16)
            self.grants[code] = Grant(query, dict(self.person))
            answer["code"] = code
        if self.issuer_in_answer is not None:
            named = self.issuer_in_answer
            answer["iss"] = self.issuer if named == "own" else named
        joint = "&" if "?" in query["redirect_uri"] else "?"
        return query["redirect_uri"] + joint + urlencode(answer)

    def redeem(self, form: dict[str, str], authorization: str) -> tuple[int, Json]:
        """Answer the token endpoint."""
        if not self._is_client(form, authorization):
            return 401, {"error": "invalid_client"}
        with self.lock:
            grant = self.grants.pop(form.get("code", ""), None)
        if grant is None or not _proves(form, grant.query):
            return 400, {"error": "invalid_grant"}
        access_token = secrets.token_urlsafe(16)
        self.tokens[access_token] = grant.person
        return 200, {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": self.id_token(grant, access_token),
            **self.answers,
        }

    def id_token(self, grant: Grant, access_token: str) -> str:
        now = int(time.time())
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "exp": now + 300,
            "iat": now,
            "auth_time": now,
            "nonce": grant.query.get("nonce"),
            "at_hash": _text(half),
            **grant.person,
            **self.says,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": self.algorithm, "kid": self.key.kid, **self.header}
        header = {name: value for name, value in header.items() if value is not None}
        return (self.make or self.sign)(header, claims)

    def sign(self, header: Json, claims: Json) -> str:
        signed = ".".join(_text(json.dumps(part).encode()) for part in (header, claims))
        signer = SIGNERS[self.algorithm]
        return f"{signed}.{_text(signer.sign(signed.encode(), self.key))}"

    def _is_client(self, form: dict[str, str], authorization: str) -> bool:
        if self.authentication == "none":
            return form.get("client_id") == CLIENT_ID and "client_secret" not in form
        if self.authentication == "post":
            given = form.get("client_id"), form.get("client_secret")
            return given == (CLIENT_ID, CLIENT_SECRET)
        scheme, _, value = authorization.partition(" ")
        if scheme != "Basic" or "client_secret" in form:
            return False
        name, _, secret = base64.b64decode(value).decode().partition(":")
        return (unquote(name), unquote(secret)) == (CLIENT_ID, CLIENT_SECRET)


def _proves(form: dict[str, str], query: dict[str, str]) -> bool:
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    return (
        form.get("grant_type") == "authorization_code"
        and form.get("redirect_uri") == query["redirect_uri"]
        and query.get("code_challenge_method") == "S256"
        and query.get("code_challenge") == _text(digest)
    )


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@contextmanager
def running_provider(**options: Any) -> Iterator[Provider]:
    """Serve a provider from threads, until the tests are done with it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.provider = Provider(server.server_address[1], **options)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        provider, path, query = self._asked()
        if path in provider.spoiled:
            self._send(*provider.spoiled[path]())
        elif path == "/.well-known/openid-configuration":
            self._json(200, provider.discovery())
        elif path == "/jwks":
            self._json(200, provider.jwks())
        elif path == "/authorize":
            self._authorize(provider, query)
        elif path == "/userinfo":
            token = self.headers.get("authorization", "").removeprefix("Bearer ")
            person = provider.tokens.get(token)
            status = 401 if person is None else 200
            self._json(status, {**(person or {}), **provider.userinfo})
        else:
            self._json(404, {})

    def do_POST(self) -> None:
        provider, path, _ = self._asked()
        length = int(self.headers.get("content-length", "0"))
        form = dict(parse_qsl(self.rfile.read(length).decode()))
        provider.bodies.append(form)
        if path in provider.spoiled:
            self._send(*provider.spoiled[path]())
        elif path == "/token":
            authorization = self.headers.get("authorization", "")
            self._json(*provider.redeem(form, authorization))
        else:
            self._json(404, {})

    def _asked(self) -> tuple[Provider, str, dict[str, str]]:
        provider: Provider = self.server.provider
        parts = urlsplit(self.path)
        with provider.lock:
            provider.asked[parts.path] += 1
        return provider, parts.path, dict(parse_qsl(parts.query))

    def _authorize(self, provider: Provider, query: dict[str, str]) -> None:
        if provider.asks and "agreed" not in query:
            again = html.escape("/authorize?" + urlencode({**query, "agreed": "yes"}))
            page = f'<title>Provider</title><a href="{again}">Yes, sign in as Ann</a>'
            self._send(200, {"content-type": "text/html"}, page.encode())
        else:
            self._send(302, {"location": provider.authorize(query)}, b"")

    def _json(self, status: int, content: Json) -> None:
        headers = {"content-type": "application/json", "cache-control": "no-store"}
        self._send(status, headers, json.dumps(content).encode())

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
