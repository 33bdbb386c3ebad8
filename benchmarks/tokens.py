"""What verifying an access token costs, beside the bare signature and other libraries.

    python -m benchmarks.tokens            half a minute
    python -m benchmarks.tokens --quick    ten seconds

Everybody verifies the same tokens, in turns within each round; a figure is the median
of the rounds' ratios, in CPU time. Who verifies also looks at expiry, issuer and
audience.
"""

from __future__ import annotations

import argparse
import hmac
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from statistics import median

from benchmarks.report import Figure, Section
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from ringfence.identity.tokens.access_token import AccessTokens, Claims
from ringfence.identity.tokens.base64url import decode
from ringfence.identity.tokens.keys import TokenKeys
from ringfence.identity.tokens.settings import Algorithm
from ringfence.identity.tokens.verify import TokenVerifier

ISSUER = "https://shop.example"
GOALS: Mapping[Algorithm, float] = {"HS256": 5.0, "EdDSA": 1.35, "ES256": 1.35}
SEEN_GOAL = 3.0
BATCH: Mapping[Algorithm, int] = {"HS256": 400, "EdDSA": 60, "ES256": 60}

BARE, OURS = "the bare signature", "ringfence"
PEERS = ("PyJWT", "joserfc", "Authlib")

Run = Callable[[Sequence[bytes]], None]


@dataclass(frozen=True, slots=True)
class Lane:
    """One who verifies.

    Args:
        name: as the table has it.
        prepare: makes what is handed to ``run`` of fresh tokens; not measured.
        run: verifies them.
    """

    name: str
    prepare: Callable[[Sequence[bytes]], Sequence[object]]
    run: Callable[[Sequence[object]], None]


def section(*, rounds: int = 40) -> Section:
    """Measure, and return tables and figures.

    Args:
        rounds: of each algorithm.
    """
    warnings.simplefilter("ignore")  # of "EdDSA", which RFC 9864 would call Ed25519
    lines = [
        "| first sight of a token | " + " | ".join((BARE, OURS, *PEERS)) + " |",
        "|---|" + "---|" * (len(PEERS) + 2),
    ]
    figures = []
    for algorithm, goal in GOALS.items():
        times = _first_sight(algorithm, rounds)
        ratios = {
            name: median(
                one / bare for one, bare in zip(found, times[BARE], strict=True)
            )
            for name, found in times.items()
        }
        lines.append(
            f"| {algorithm} | {median(times[BARE]):.1f} µs | "
            + " | ".join(f"{ratios[name]:.2f} x" for name in (OURS, *PEERS))
            + " |"
        )
        peers = ", ".join(f"{name} {ratios[name]:.1f} x" for name in PEERS)
        figures.append(
            Figure(
                f"{algorithm} token seen for the first time, "
                f"against its {'HMAC' if algorithm == 'HS256' else 'signature check'}",
                peers,
                f"at most {goal:g} x",
                f"{ratios[OURS]:.2f} x",
                ratios[OURS] <= goal,
            )
        )
    seen, lookup, again = _seen(rounds)
    told = (
        f"A token that was seen before: {seen:.2f} µs, {again:.2f} x one SHA-256 of it "
        f"and one look into a dictionary ({lookup:.2f} µs). Expiry, issuer and "
        "audience are looked at each time; the others verify the signature anew."
    )
    lines += ["", told]
    figures.append(
        Figure(
            "token seen before, against one SHA-256 and dictionary lookup",
            "",
            f"at most {SEEN_GOAL:g} x",
            f"{again:.2f} x",
            again <= SEEN_GOAL,
        )
    )
    return Section("Access tokens", tuple(lines), tuple(figures))


def _opened(algorithm: Algorithm, seed: bytes) -> tuple[TokenKeys, AccessTokens]:
    seeds = (seed,)
    keys = TokenKeys(lambda _: seeds, algorithm)
    tokens = AccessTokens(
        keys, issuer=ISSUER, audience=ISSUER, lifetime=900, clock=time.time
    )
    return keys, tokens


def _issue(tokens: AccessTokens) -> bytes:
    return tokens.issue(
        os.urandom(16).hex(),
        roles={"customer"},
        factors={"password"},
        auth_time=time.time(),
        epoch=3,
        family="f" * 22,
        client_id="shop",
    ).encode()


def _first_sight(algorithm: Algorithm, rounds: int) -> dict[str, list[float]]:
    """Return microseconds a token, of each lane and round."""
    seed = os.urandom(32)
    keys, tokens = _opened(algorithm, seed)
    lanes = _lanes(algorithm, keys, seed)
    times: dict[str, list[float]] = {lane.name: [] for lane in lanes}
    size = BATCH[algorithm]
    for number in range(rounds + 1):
        fresh = [_issue(tokens) for _ in range(size)]
        for place in range(len(lanes)):
            lane = lanes[(place + number) % len(lanes)]
            prepared = lane.prepare(fresh)
            started = time.process_time()
            lane.run(prepared)
            if number:  # the first round warms up
                spent = (time.process_time() - started) / size * 1e6
                times[lane.name].append(spent)
    return times


def _lanes(algorithm: Algorithm, keys: TokenKeys, secret: bytes) -> list[Lane]:
    jwk = keys.current().signing.public or {}
    public = _public(jwk) if jwk else None
    return [
        _bare(algorithm, secret, public),
        Lane(OURS, list, _ours(keys)),
        Lane("PyJWT", _texts, _pyjwt(algorithm, public or secret)),
        Lane("joserfc", _texts, _joserfc(algorithm, jwk, secret)),
        Lane("Authlib", _texts, _authlib(algorithm, jwk, secret)),
    ]


def _texts(tokens: Sequence[bytes]) -> list[str]:
    return [token.decode() for token in tokens]


def _public(jwk: dict[str, str]) -> Ed25519PublicKey | EllipticCurvePublicKey:
    x = decode(jwk["x"].encode()) or b""
    if jwk["kty"] == "OKP":
        return Ed25519PublicKey.from_public_bytes(x)
    y = decode(jwk["y"].encode()) or b""
    return EllipticCurvePublicKey.from_encoded_point(SECP256R1(), b"\x04" + x + y)


def _bare(algorithm: Algorithm, secret: bytes, public: object) -> Lane:
    """Return what any verifier must do at least, with everything taken apart for it."""
    ecdsa = ECDSA(SHA256())

    def parts(tokens: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
        found = []
        for token in tokens:
            message, _, segment = token.rpartition(b".")
            signature = decode(segment) or b""
            if algorithm == "ES256":
                r, s = (int.from_bytes(half) for half in _halves(signature))
                signature = encode_dss_signature(r, s)
            found.append((message, signature))
        return found

    def run(prepared: Sequence[object]) -> None:
        for message, signature in prepared:  # type: ignore[misc]  # pairs, of parts()
            if algorithm == "HS256":
                hmac.digest(secret, message, "sha256")
            elif algorithm == "EdDSA":
                public.verify(signature, message)  # type: ignore[attr-defined]  # Ed25519
            else:
                public.verify(signature, message, ecdsa)  # type: ignore[attr-defined]  # P-256

    return Lane(BARE, parts, run)


def _halves(signature: bytes) -> tuple[bytes, bytes]:
    return signature[:32], signature[32:]


def _ours(keys: TokenKeys) -> Run:
    verifier = TokenVerifier(keys, issuer=ISSUER, audience=ISSUER)

    def run(tokens: Sequence[bytes]) -> None:
        now = time.time()
        for token in tokens:
            claims = verifier.known(token)
            if not isinstance(claims, Claims) or verifier.check(claims, now):
                raise ValueError("a good token was refused")

    return run


def _pyjwt(algorithm: Algorithm, key: object) -> Run:
    import jwt  # noqa: PLC0415 - the peer

    def run(tokens: Sequence[object]) -> None:
        for token in tokens:
            jwt.decode(
                token, key, algorithms=[algorithm], audience=ISSUER, issuer=ISSUER
            )

    return run


def _joserfc(algorithm: Algorithm, jwk: dict[str, str], secret: bytes) -> Run:
    from joserfc import jwt  # noqa: PLC0415 - the peer
    from joserfc.jwk import OctKey, import_key  # noqa: PLC0415 - the peer

    key = import_key(jwk) if jwk else OctKey.import_key(secret)
    registry = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": ISSUER},
        exp={"essential": True},
    )

    def run(tokens: Sequence[object]) -> None:
        for token in tokens:
            registry.validate(jwt.decode(token, key, algorithms=[algorithm]).claims)

    return run


def _authlib(algorithm: Algorithm, jwk: dict[str, str], secret: bytes) -> Run:
    from authlib.jose import JsonWebKey, JsonWebToken  # noqa: PLC0415 - the peer

    key = JsonWebKey.import_key(jwk) if jwk else secret
    decoder = JsonWebToken([algorithm])
    options = {
        "iss": {"essential": True, "value": ISSUER},
        "aud": {"essential": True, "value": ISSUER},
        "exp": {"essential": True},
    }

    def run(tokens: Sequence[object]) -> None:
        for token in tokens:
            decoder.decode(token, key, claims_options=options).validate()

    return run


def _seen(rounds: int) -> tuple[float, float, float]:
    """Return microseconds of a token seen before, of a lookup, and the ratio."""
    keys, tokens = _opened("EdDSA", os.urandom(32))
    verify = _ours(keys)
    known = [_issue(tokens) for _ in range(200)]
    kept = {sha256(token).digest(): token for token in known}

    def look_up() -> None:
        for token in known:
            kept[sha256(token).digest()]

    verify(known)
    pairs = []
    for number in range(rounds * 3):
        steps = [lambda: verify(known), look_up]
        spent = [0.0, 0.0]
        for place in (0, 1) if number % 2 else (1, 0):
            started = time.process_time()
            steps[place]()
            spent[place] = (time.process_time() - started) / len(known) * 1e6
        pairs.append(spent)
    ours, lookup = median(one for one, _ in pairs), median(one for _, one in pairs)
    return ours, lookup, median(one / other for one, other in pairs)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    found = section(rounds=10 if parser.parse_args().quick else 40)
    print("\n".join(found.lines))
    for one in found.figures:
        verdict = "kept" if one.kept else "missed"
        print(f"{one.what}: {one.measured} (goal {one.goal}, {one.peers}): {verdict}")


if __name__ == "__main__":
    main()
