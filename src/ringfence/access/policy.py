"""Policies: who may use a route, as values that combine and can be compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from typing import NoReturn

from ringfence.access.ownership.refusals import NOT_FOUND
from ringfence.access.roles import holders
from ringfence.clock import Clock, system_clock
from ringfence.denial import Denial
from ringfence.principal import Principal

Hierarchy = Mapping[str, frozenset[str]]
"""Each role with the roles it includes, complete: see ``roles.expand``."""

Decision = Callable[[Principal | None], Denial | None]

Values = Mapping[str, object]
"""What stands in the path where a template has names."""

PathDecision = Callable[[Values], Decision]

NOT_SIGNED_IN = Denial(
    401,
    "access.not_signed_in",
    "Sign in to use this address.",
    headers=((b"www-authenticate", b'Session realm="ringfence"'),),
)
NOT_ALLOWED = Denial(
    403, "access.not_allowed", "You are signed in, but may not use this address."
)
OUT_OF_SCOPE = Denial(
    403,
    "access.out_of_scope",
    "This credential does not open this address.",
    headers=(
        (b"www-authenticate", b'Bearer realm="ringfence", error="insufficient_scope"'),
    ),
)
CONFIRM = "confirm"
"""The remedy of a proof that is too old; ``guard`` knows the address of its page."""

FACTOR = "factor "
"""The remedy of a factor that is missing begins so; the names of what would do follow,
with commas between them."""

SECOND_FACTORS = frozenset({"totp", "passkey", "recovery-code"})
FACTORS = SECOND_FACTORS | {"password", "openid"}
"""What ``identity`` writes into ``Principal.factors``."""

# The answer of an address that is not there. The framework's own answers (405 for
# another method, the redirect of a slash) still tell that there is one.
CLOSED = Denial(
    404, "guard.no_route", "There is nothing at this address.", private="access.closed"
)

_ACR = "urn:ringfence:factor:"  # names of ours, as RFC 9470 leaves them to us
_MINUTE = 60.0
_SKEW_SECONDS = 60.0  # how far ahead of this one another machine's clock may be
_MOST_NAMES_COMPARED = 12  # 2**12 principals, well under a millisecond


class Policy:
    """Who may use a route. Combine policies with ``&`` and ``|``.

    A policy holds no state and decides nothing by itself: ``compile`` makes the plain
    function that does, once, at start-up.
    """

    __slots__ = ()

    def compile(self, hierarchy: Hierarchy, clock: Clock = system_clock) -> Decision:
        """Return the function that allows (``None``) or refuses a principal."""
        raise NotImplementedError

    def compile_for_path(
        self, hierarchy: Hierarchy, clock: Clock = system_clock
    ) -> PathDecision:
        """Return what ``compile`` does for one path, given its values."""
        decide = self.compile(hierarchy, clock)
        return lambda values: decide

    def parameters(self) -> frozenset[str]:
        """Return the names in the path of a route that the policy looks at."""
        return frozenset()

    def roles(self) -> frozenset[str]:
        """Return the roles that the policy names."""
        return frozenset()

    def ages(self) -> frozenset[float]:
        """Return the greatest ages of a proof, in seconds, that the policy names."""
        return frozenset()

    def factors(self) -> frozenset[str]:
        """Return the factors that the policy names."""
        return frozenset()

    def scopes(self) -> frozenset[str]:
        """Return the scopes that the policy names."""
        return frozenset()

    def opens(self, scopes: frozenset[str]) -> bool:
        """Return whether a program that is limited to these scopes may come in at all;
        ``compile`` decides about everything else. Nowhere but where a policy says so:
        a key for one purpose must not be worth as much as its owner's password."""
        return not scopes.isdisjoint(self.scopes())

    def __bool__(self) -> NoReturn:
        """Refuse ``and``, ``or`` and ``not``: Python would quietly drop one side, and
        ``owner and tenant`` would let the whole tenant in (CWE-480)."""
        raise TypeError(
            f"{self} is neither true nor false; combine policies with & and |, not "
            "with and, or, not"
        )

    def __and__(self, other: Policy) -> Policy:
        return AllOf((self, other))

    def __or__(self, other: Policy) -> Policy:
        return AnyOf((self, other))


@dataclass(frozen=True, slots=True)
class Public(Policy):
    """Anybody, signed in or not."""

    def compile(self, hierarchy: Hierarchy, clock: Clock = system_clock) -> Decision:
        return lambda principal: None

    def __str__(self) -> str:
        return "public"


@dataclass(frozen=True, slots=True)
class Closed(Policy):
    """Nobody: the route answers as if it were not there."""

    def compile(self, hierarchy: Hierarchy, clock: Clock = system_clock) -> Decision:
        return lambda principal: CLOSED

    def __str__(self) -> str:
        return "closed"


class Nobody(Closed):
    """Nobody, said of rows: those that only ``unscoped`` code writes, say."""

    def __str__(self) -> str:
        return "nobody"


@dataclass(frozen=True, slots=True)
class SignedIn(Policy):
    """Anybody who has signed in."""

    def compile(self, hierarchy: Hierarchy, clock: Clock = system_clock) -> Decision:
        return lambda principal: NOT_SIGNED_IN if principal is None else None

    def __str__(self) -> str:
        return "signed_in"


@dataclass(frozen=True, slots=True)
class Role(Policy):
    """Anybody who holds one of these roles, or a role that includes one of them."""

    names: frozenset[str]

    def compile(self, hierarchy: Hierarchy, clock: Clock = system_clock) -> Decision:
        allowed = holders(self.names, hierarchy)

        def decide(principal: Principal | None) -> Denial | None:
            if principal is None:
                return NOT_SIGNED_IN
            return NOT_ALLOWED if allowed.isdisjoint(principal.roles) else None

        return decide

    def roles(self) -> frozenset[str]:
        return self.names

    def __str__(self) -> str:
        return f"role({', '.join(sorted(self.names))})"


@dataclass(frozen=True, slots=True)
class Scope(Policy):
    """Anybody who has signed in here, and the programs that work for them with one of
    these scopes: with an API key, or with the token of another issuer.

    Source: RFC 6749, section 3.3; RFC 6750, section 3.1; ASVS 5.0 V10.3.2; CWE-285.
    """

    names: frozenset[str]

    def compile(self, hierarchy: Hierarchy, clock: Clock = system_clock) -> Decision:
        names = self.names

        def decide(principal: Principal | None) -> Denial | None:
            if principal is None:
                return NOT_SIGNED_IN
            scopes = principal.scopes
            if scopes is None or not names.isdisjoint(scopes):
                return None
            return OUT_OF_SCOPE

        return decide

    def scopes(self) -> frozenset[str]:
        return self.names

    def __str__(self) -> str:
        return f"scope({', '.join(sorted(self.names))})"


@dataclass(frozen=True, slots=True)
class AnyScope(SignedIn):
    """Anybody who has signed in, and every program that works for them."""

    def opens(self, scopes: frozenset[str]) -> bool:
        return True

    def __str__(self) -> str:
        return "any_scope"


@dataclass(frozen=True, slots=True)
class Fresh(Policy):
    """Anybody who has proved who they are a short while ago.

    Stops whoever has got hold of a session, by its cookie or by an unlocked browser,
    from doing what cannot be undone.

    Args:
        seconds: the greatest age of the proof.

    Source: ASVS 5.0 V7.5.1, V7.5.3; RFC 9470 (the challenge); CWE-306.
    """

    seconds: float

    def compile(self, hierarchy: Hierarchy, clock: Clock = system_clock) -> Decision:
        most = self.seconds
        not_fresh = _not_fresh(most)
        token_not_fresh = _not_fresh(most, "Bearer")

        def decide(principal: Principal | None) -> Denial | None:
            if principal is None:
                return NOT_SIGNED_IN
            age = clock() - principal.signed_in_at
            # A proof from the future would stay fresh until it comes.
            if -_SKEW_SECONDS <= age <= most:
                return None
            return token_not_fresh if principal.credential == "token" else not_fresh

        return decide

    def ages(self) -> frozenset[float]:
        return frozenset({self.seconds})

    def __str__(self) -> str:
        return f"fresh({self.seconds / _MINUTE:g} min)"


def _not_fresh(seconds: float, scheme: str = "Session") -> Denial:
    challenge = (
        f'{scheme} realm="ringfence", error="insufficient_user_authentication", '
        f'max_age="{seconds:.0f}"'
    )
    return Denial(
        401,
        "access.not_fresh",
        "Confirm that it is you, then try again.",
        headers=((b"www-authenticate", challenge.encode()),),
        remedy=CONFIRM,
    )


@dataclass(frozen=True, slots=True)
class Factor(Policy):
    """Anybody who has shown one of these factors in this session.

    Stops whoever has got hold of a password, or of a session that was opened with
    nothing else, from doing what a second factor stands before.

    Source: ASVS 5.0 V6.3.3, V7.5.3, V8.4.2; RFC 9470 (the challenge); CWE-308.
    """

    names: frozenset[str]

    def compile(self, hierarchy: Hierarchy, clock: Clock = system_clock) -> Decision:
        names = self.names
        needed = _factor_needed(names)
        token_needed = _factor_needed(names, "Bearer")

        def decide(principal: Principal | None) -> Denial | None:
            if principal is None:
                return NOT_SIGNED_IN
            if not names.isdisjoint(principal.factors):
                return None
            return token_needed if principal.credential == "token" else needed

        return decide

    def factors(self) -> frozenset[str]:
        return self.names

    def __str__(self) -> str:
        return f"factor({', '.join(sorted(self.names))})"


def _factor_needed(names: frozenset[str], scheme: str = "Session") -> Denial:
    classes = " ".join(f"{_ACR}{name}" for name in sorted(names))
    challenge = (
        f'{scheme} realm="ringfence", error="insufficient_user_authentication", '
        f'acr_values="{classes}"'
    )
    return Denial(
        401,
        "access.factor_needed",
        "This address asks for one more proof of who you are.",
        headers=((b"www-authenticate", challenge.encode()),),
        remedy=f"{FACTOR}{','.join(sorted(names))}",
    )


@dataclass(frozen=True, slots=True)
class AllOf(Policy):
    """Everybody whom each of these policies allows."""

    parts: tuple[Policy, ...]

    def compile(self, hierarchy: Hierarchy, clock: Clock = system_clock) -> Decision:
        return _every(tuple(part.compile(hierarchy, clock) for part in self._sorted()))

    def compile_for_path(
        self, hierarchy: Hierarchy, clock: Clock = system_clock
    ) -> PathDecision:
        parts = [part.compile_for_path(hierarchy, clock) for part in self._sorted()]
        return lambda values: _every(tuple(part(values) for part in parts))

    def _sorted(self) -> list[Policy]:
        # Nobody is asked for a password who would be refused all the same; and a factor
        # that is shown now is fresh as well.
        return sorted(
            self.parts, key=lambda part: (bool(part.ages()), bool(part.factors()))
        )

    def parameters(self) -> frozenset[str]:
        return frozenset().union(*(part.parameters() for part in self.parts))

    def roles(self) -> frozenset[str]:
        return frozenset().union(*(part.roles() for part in self.parts))

    def ages(self) -> frozenset[float]:
        return frozenset().union(*(part.ages() for part in self.parts))

    def factors(self) -> frozenset[str]:
        return frozenset().union(*(part.factors() for part in self.parts))

    def scopes(self) -> frozenset[str]:
        return frozenset().union(*(part.scopes() for part in self.parts))

    def opens(self, scopes: frozenset[str]) -> bool:
        return any(part.opens(scopes) for part in self.parts)

    def __str__(self) -> str:
        return " & ".join(_bracketed(part, AnyOf) for part in self.parts)


@dataclass(frozen=True, slots=True)
class AnyOf(Policy):
    """Everybody whom at least one of these policies allows."""

    parts: tuple[Policy, ...]

    def compile(self, hierarchy: Hierarchy, clock: Clock = system_clock) -> Decision:
        return _some(tuple(part.compile(hierarchy, clock) for part in self.parts))

    def compile_for_path(
        self, hierarchy: Hierarchy, clock: Clock = system_clock
    ) -> PathDecision:
        parts = [part.compile_for_path(hierarchy, clock) for part in self.parts]
        return lambda values: _some(tuple(part(values) for part in parts))

    def parameters(self) -> frozenset[str]:
        return frozenset().union(*(part.parameters() for part in self.parts))

    def roles(self) -> frozenset[str]:
        return frozenset().union(*(part.roles() for part in self.parts))

    def ages(self) -> frozenset[float]:
        return frozenset().union(*(part.ages() for part in self.parts))

    def factors(self) -> frozenset[str]:
        return frozenset().union(*(part.factors() for part in self.parts))

    def scopes(self) -> frozenset[str]:
        return frozenset().union(*(part.scopes() for part in self.parts))

    def opens(self, scopes: frozenset[str]) -> bool:
        return any(part.opens(scopes) for part in self.parts)

    def __str__(self) -> str:
        return " | ".join(_bracketed(part, AllOf) for part in self.parts)


def _every(decisions: tuple[Decision, ...]) -> Decision:
    def decide(principal: Principal | None) -> Denial | None:
        for decision in decisions:
            denial = decision(principal)
            if denial is not None:
                return denial
        return None

    return decide


def _some(decisions: tuple[Decision, ...]) -> Decision:
    def decide(principal: Principal | None) -> Denial | None:
        refusal = CLOSED
        for decision in decisions:
            denial = decision(principal)
            if denial is None:
                return None
            # Whoever can help themselves is told how; else what is another's is not
            # there, whatever would open it.
            if not refusal.remedy and (denial.remedy or refusal is not NOT_FOUND):
                refusal = denial
        return refusal

    return decide


def _bracketed(part: Policy, kind: type[Policy]) -> str:
    return f"({part})" if isinstance(part, kind) else str(part)


def at_least_as_strict(first: Policy, second: Policy, hierarchy: Hierarchy) -> bool:
    """Return whether everybody whom ``first`` allows is allowed by ``second`` too.

    Tries every set of the roles, the scopes and the factors, every age of a proof, and
    every path of one's own and of others, that either names. With more names than can
    be tried only equal policies count as equally strict.
    """
    roles, scopes = first.roles() | second.roles(), first.scopes() | second.scopes()
    factors = first.factors() | second.factors()
    names = sorted(first.parameters() | second.parameters())
    counted = len(roles) + len(scopes) + len(factors) + 2 * len(names)
    if counted > _MOST_NAMES_COMPARED:
        return first == second
    # A proof of each age that is named, and one that is older than all of them.
    times = [0.0, *(_standing_still() - age for age in first.ages() | second.ages())]
    everybody: list[Principal | None] = [None]
    everybody += (
        Principal("anyone", held, shown, time, limits, credential, "their tenant")
        for held in _subsets(roles)
        for shown in _subsets(factors)
        for limits in (None, *_subsets(scopes))
        for credential in ("token", "api-key")
        for time in times
    )
    paths = product(("anyone", "their tenant", "another"), repeat=len(names))
    return all(
        demands(somebody)
        for values in (dict(zip(names, path, strict=True)) for path in paths)
        for allows, demands in [
            (_judge(first, hierarchy, values), _judge(second, hierarchy, values))
        ]
        for somebody in everybody
        if allows(somebody)
    )


def _subsets(names: frozenset[str]) -> list[frozenset[str]]:
    counts = range(len(names) + 1)
    return [frozenset(some) for count in counts for some in combinations(names, count)]


def _judge(
    policy: Policy, hierarchy: Hierarchy, values: Values
) -> Callable[[Principal | None], bool]:
    compiled = policy.compile_for_path(hierarchy, _standing_still)(values)
    decide = within_scopes(policy, compiled)
    return lambda principal: decide(principal) is None


def within_scopes(policy: Policy, decide: Decision) -> Decision:
    """Return a decision that also keeps out API keys whose scopes the policy does not
    name. The tokens of another issuer stand for people: where a policy names a scope
    they need it, and on other routes what their person may is what they may.

    Args:
        policy: of the route.
        decide: what it was compiled to.
    """

    def decide_within(principal: Principal | None) -> Denial | None:
        if (
            principal is not None
            and principal.scopes is not None
            and principal.credential != "token"
            and not policy.opens(principal.scopes)
        ):
            return OUT_OF_SCOPE
        return decide(principal)

    return decide_within


def _standing_still() -> float:
    return 1e12
