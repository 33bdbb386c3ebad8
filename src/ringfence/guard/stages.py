"""The order of the stages: the one list to read first.

A request crosses ``street`` before anything is known about its route, then the stages
of its plan, then the application; the response crosses ``rewrite`` on its way out.
Each stage returns ``None`` to let the request go on, or the ``Denial`` or ``Answer``
that ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from ringfence.access.policy import CLOSED, Closed, Hierarchy, Policy, Public
from ringfence.access.stage import ReadPath, enforce
from ringfence.browser.cors import Sharing, share, sharing_of, tell
from ringfence.browser.csrf import protect
from ringfence.browser.fetch_metadata import SAFE_METHODS, same_origin
from ringfence.clock import Clock, system_clock
from ringfence.denial import Denial
from ringfence.exchange import Exchange, Stage
from ringfence.guard.dry_run import DryRun
from ringfence.guard.inquiry import Inquiry, readable
from ringfence.interpreters.validation.intake import UNVALIDATED, Intake
from ringfence.interpreters.validation.stage import check_input
from ringfence.marks import Mark
from ringfence.settings import Settings
from ringfence.traffic.blocklist import Blocklist
from ringfence.traffic.body_limit import limit_body, limit_messages
from ringfence.traffic.client_ip import locate
from ringfence.traffic.host import allow_hosts
from ringfence.traffic.in_flight import InFlight
from ringfence.traffic.rate_limit import Limits, RouteLimits
from ringfence.traffic.request_line import refuse_ambiguous

NO_ROUTE = Denial(404, "guard.no_route", "There is nothing at this address.")


_PUBLIC = Public()
_UNKNOWN_INTAKE = Intake(UNVALIDATED)


async def no_route(_: Exchange) -> Denial:
    """Refuse what no plan is for, before the application hears of it."""
    return NO_ROUTE


async def closed(_: Exchange) -> Denial:
    """Refuse what is closed to everybody, before anything else is asked."""
    return CLOSED


def street(  # noqa: PLR0913 - what the rooms on it need
    settings: Settings,
    blocklist: Blocklist,
    limits: Limits,
    in_flight: InFlight,
    dry_run: DryRun,
    *,
    in_one_go: bool = False,
) -> tuple[Stage, ...]:
    """Return what every request passes, whatever its route.

    Args:
        settings: as loaded.
        blocklist: of the guard.
        limits: of the guard.
        in_flight: of the guard.
        dry_run: which checks only watch.
        in_one_go: limits are asked once the route is known, together with everything
            else (``inquiry``); here only those are refused who are known to be over.
    """
    traffic, development = settings.traffic, settings.development
    stages = (
        refuse_ambiguous(traffic),
        locate(traffic, development=development),
        allow_hosts(
            traffic, development=development, public_origins=settings.public_origins
        ),
        blocklist.stage(),
        dry_run.watch("limits", limits.over() if in_one_go else limits.street()),
        dry_run.watch("limits", in_flight.stage()),
    )
    return tuple(stage for stage in stages if stage is not None)


@dataclass(frozen=True, slots=True)
class StageMaker:
    """Makes the stages of one route, from settings and what the rooms have opened.

    Args:
        settings: as loaded.
        hierarchy: roles with what they include, expanded.
        authenticate: the session stage, or ``None`` where identity is switched off.
        csrf_keys: returns the keys of CSRF tokens, the signing one first.
        limits: makes the stages that limit requests.
        blocklist: who is turned away.
        dry_run: which checks only watch.
        inquiry: asks a store in the network; ``None`` where everything is near.
        clock: by which sign-ins are written down, the database's.
    """

    settings: Settings
    hierarchy: Hierarchy
    authenticate: Stage | None
    csrf_keys: Callable[[], Sequence[bytes]]
    limits: Limits
    blocklist: Blocklist
    dry_run: DryRun
    inquiry: Inquiry | None = None
    clock: Clock = system_clock

    def stages(  # noqa: PLR0913 - all that is declared beside a route
        self,
        kind: str,
        methods: AbstractSet[str] | None,
        policy: Policy,
        marks: tuple[Mark, ...] = (),
        *,
        route: str = "",
        intake: Intake = _UNKNOWN_INTAKE,
        read_path: ReadPath | None = None,
    ) -> tuple[Stage, ...]:
        """Return what a request passes once its route is known, in order.

        Args:
            kind: of the route.
            methods: that the route answers, ``None`` for every one. A route that only
                reads needs no proof that a request comes from our own pages.
            policy: who may use it.
            marks: what else holds for it, the outermost first.
            route: tells it from all others, for limits of its own.
            intake: what it takes.
            read_path: reads the names in its path, where the policy looks at them.
        """
        if isinstance(policy, Closed):
            return (*self._asked(), closed)
        settings = self.settings
        watch = self.dry_run.watch
        has_body = kind != "websocket"
        sharing = self.sharing(methods, policy, marks)
        changes_things = methods is None or not methods <= SAFE_METHODS
        origin = self._same_origin(sharing) if changes_things else None
        limits = None if self.inquiry is None else self.limits.in_one_go(marks, route)
        stages = (
            *self._asked(limits, origin, sharing),
            share(sharing) if sharing is not None and has_body else None,
            self._body() if has_body else limit_messages(settings.traffic.max_message),
            watch("csrf", origin),
            self.authenticate,
            watch(
                "limits", limits.rest() if limits else self.limits.route(marks, route)
            ),
            enforce(policy, self.hierarchy, self.clock, read_path),
            watch("csrf", self._protect(sharing)),
            check_input(intake, kind=kind, settings=settings.interpreters),
        )
        return tuple(stage for stage in stages if stage is not None)

    def _asked(
        self,
        limits: RouteLimits | None = None,
        origin: Stage | None = None,
        sharing: Sharing | None = None,
    ) -> tuple[Stage, ...]:
        """Return the question to a store in the network, and what refuses by its
        answer; nothing where everything is near."""
        if self.inquiry is None:
            return ()
        limits = limits or self.limits.in_one_go((), "")
        judge = self.dry_run.watch("limits", readable(limits.judge(), sharing))
        return (
            self.inquiry.stage(
                limits,
                origin=origin,
                is_watched=lambda: self.dry_run.covers("csrf"),
            ),
            readable(self.blocklist.news(), sharing),
            *(() if judge is None else (judge,)),
        )

    def nowhere(self) -> tuple[Stage, ...]:
        """Return what a request passes that has no route."""
        return (*self._asked(), no_route)

    def unrouted(self) -> tuple[Stage, ...]:
        """Return what a request passes that the framework itself answers."""
        sharing = self.sharing()
        told = () if sharing is None else (tell(sharing),)
        return (*self._asked(sharing=sharing), *told, self._body())

    def _body(self) -> Stage:
        return limit_body(self.settings.traffic.max_body, self.settings.traffic)

    def sharing(
        self,
        methods: AbstractSet[str] | None = None,
        policy: Policy = _PUBLIC,
        marks: tuple[Mark, ...] = (),
    ) -> Sharing | None:
        """Return what a route shares with other origins, ``None`` for nothing.

        Raises:
            SettingsError: an origin that must not be trusted where this runs.
        """
        settings = self.settings
        if isinstance(policy, Closed):
            return None
        return sharing_of(
            marks,
            methods,
            usual=settings.browser.cors,
            public_origins=settings.public_origins,
            development=settings.development,
        )

    def _protect(self, sharing: Sharing | None) -> Stage:
        return protect(
            self.csrf_keys,
            public_origins=self.settings.public_origins,
            sharing=sharing,
        )

    def _same_origin(self, sharing: Sharing | None) -> Stage:
        settings = self.settings
        return same_origin(
            settings.public_origins,
            development=settings.development,
            sharing=sharing,
        )
