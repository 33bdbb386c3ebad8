"""The guard itself: the only ASGI class, one pass for http, websocket and lifespan."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import version

from ringfence.access.ownership.data import OwnedData
from ringfence.access.roles import expand
from ringfence.audit.events import Started
from ringfence.browser.cors import asked_method
from ringfence.clock import system_clock
from ringfence.denial import Denial
from ringfence.errors import (
    BodyRefusedError,
    OwnershipRefusedError,
    SettingsError,
    StoreError,
)
from ringfence.exchange import (
    ENDS,
    ASGIApp,
    End,
    Exchange,
    Receive,
    Scope,
    Send,
    Step,
    active,
    live,
    step_of,
)
from ringfence.frameworks.rule import Rule
from ringfence.guard.answers import Answers
from ringfence.guard.bind import SCOPE_KEY
from ringfence.guard.compile import (
    Guarded,
    compile_guarded,
    nowhere_plan,
    refuse_overlap,
)
from ringfence.guard.consider import Consideration, consider, imagined
from ringfence.guard.databases import bound, close
from ringfence.guard.dry_run import NOTHING_WATCHED, DryRun
from ringfence.guard.fingerprint import Fingerprint
from ringfence.guard.inquiry import Inquiry
from ringfence.guard.lifespan import Steps, run_lifespan
from ringfence.guard.outbound import Outbound
from ringfence.guard.plan import RoutePlan
from ringfence.guard.reports import refuse_taken, reports_plan, with_reports
from ringfence.guard.rooms import Rooms
from ringfence.guard.stages import StageMaker, street
from ringfence.identity.directory import Directory
from ringfence.interpreters.arm import arm, arm_sqlite
from ringfence.interpreters.boundary_map import BoundaryMap
from ringfence.interpreters.loops import arm_loop
from ringfence.interpreters.sink import Sinks
from ringfence.interpreters.sql.foreign import FOREIGN
from ringfence.principal import Principal
from ringfence.settings import Settings, refuse_unsafe
from ringfence.settings.workers import refuse_unshared
from ringfence.traffic.blocklist import Blocklist
from ringfence.traffic.in_flight import InFlight
from ringfence.traffic.rate_limit import Limits

# Modules open databases as they are imported, and before any guard is made.
arm_sqlite()

IDENTITY_PREFIX = "/auth"
# Where else the guard's own addresses begin: a standard says where this one is.
_OWN = (IDENTITY_PREFIX, "/.well-known/jwks.json")
SIGN_IN = "/auth/login"

STAGE_FAILED = Denial(
    500, "guard.stage_failed", "The request could not be checked, so it was refused."
)
_BY_DENIAL = (BodyRefusedError, OwnershipRefusedError)  # the exchange knows it
STORE_DOWN = Denial(
    503,
    "guard.store_unavailable",
    "The request could not be checked just now. Try again shortly.",
    headers=((b"retry-after", b"5"),),
)
ROUTES_REPLACED = Denial(
    500,
    "guard.routes_replaced",
    "The addresses of this service have changed since it was started.",
)


class Guard:
    """Put a complete security layer around an ASGI application.

    Compiles a plan for every route when it is made, opens its stores and binds the
    plans at ``lifespan.startup``. From then on the application's route tables are
    sealed. Serve the guard in place of the application::

        app = Guard(api)

    Args:
        app: a Starlette or FastAPI application.
        settings: as loaded; ``None`` loads them from the environment and
            ``ringfence.toml``.
        rules: policies for routes that cannot carry one (mounts, documentation pages).
        data: the databases whose rows have owners: ``access.sqlalchemy.Database``,
            ``access.mongo.OwnedDatabase``. The first is ``current.database()``.

    Raises:
        SettingsError: settings that cannot be understood.
        DeclarationError: what a model says of its rows cannot be enforced.
        PlanError: a route without a policy, of an unknown kind, or shadowed.
        MissingExtraError: an optional library that the settings ask for is missing.

    Not covered: what runs outside requests, and routes answered by middleware placed
    outside the guard.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings | None = None,
        *,
        rules: Sequence[Rule] = (),
        data: OwnedData | Sequence[OwnedData] = (),
    ) -> None:
        self.app = app
        self.settings = settings = Settings.load() if settings is None else settings
        self._rules = tuple(rules)
        self._rooms = rooms = Rooms(settings)
        hierarchy = expand(settings.access.hierarchy)
        self.data = bound(data, hierarchy, rooms.audit.record, rooms.keyring)
        self._answers = Answers(
            settings, rooms.audit, sign_in=SIGN_IN if rooms.identity else ""
        )
        self._watch = rooms.identity.sessions.live.watch if rooms.identity else None
        limits = Limits(settings.traffic, rooms.counters)
        self._in_flight = InFlight(settings.traffic.max_open)
        self._dry_run = DryRun(
            frozenset(settings.dry_run),
            settings.dry_run_ends,
            clock=system_clock,
            tell=self._answers.record_watched,
        )
        ask = rooms.shared.ask
        stages = street(
            settings,
            rooms.blocklist,
            limits,
            self._in_flight,
            self._dry_run,
            in_one_go=ask is not None,
        )
        self._street = tuple(map(step_of, stages))
        self._answers.street = self._street
        self._maker = StageMaker(
            settings,
            hierarchy=hierarchy,
            authenticate=rooms.identity.authenticate if rooms.identity else None,
            csrf_keys=partial(rooms.keyring.derive_all, "browser.csrf"),
            limits=limits,
            blocklist=rooms.blocklist,
            dry_run=self._dry_run,
            inquiry=None if ask is None else Inquiry(ask, rooms.named),
            clock=rooms.clock,
        )
        self._nowhere = nowhere_plan(self._maker)
        self._end_of_dry_run: asyncio.TimerHandle | None = None
        self._starting = asyncio.Lock()
        self._started = self._stopped = False
        self._sinks = Sinks(
            settings.interpreters,
            rooms.audit.record,
            is_watched=partial(self._dry_run.covers, "sinks"),
            boundary_map=BoundaryMap() if settings.interpreters.boundary_map else None,
        )
        self._reports = reports_plan(settings.browser, rooms.counters, rooms.audit)
        self._guarded, self._own = self._compile()
        self._fixed: Mapping[str, Mapping[str, RoutePlan]] = {}
        self._are_intact: tuple[Callable[[], bool], ...] = ()

    def _compile(self) -> tuple[Guarded, Guarded | None]:
        """Read the routes of the application, and of the guard's own pages if it has
        any, and plan them: with no I/O, and nothing changed in them or here."""
        strict = self._answers.headers
        watched = self._dry_run.covers("csp")
        guarded = compile_guarded(
            self.app,
            self._rules,
            maker=self._maker,
            headers=strict.reporting() if watched else strict,
        )
        refuse_taken(guarded.plans, self._reports)
        if self._rooms.identity is None:
            return guarded, None
        own = compile_guarded(
            self._rooms.identity.app,
            (),
            maker=replace(self._maker, dry_run=NOTHING_WATCHED),
            headers=strict,
            is_own=True,
        )
        refuse_overlap(guarded, own, IDENTITY_PREFIX)
        return guarded, own

    def keys_for(self, purpose: str) -> tuple[bytes, ...]:
        """Return keys of 32 bytes for what the application itself signs, the one to
        sign with first: for ``access.ids.Signed``, say.

        Ask anew each time, since keys rotate. None is one of the guard's own.

        Args:
            purpose: a constant of the application.

        Raises:
            SettingsError: the application has not started yet.
            ValueError: the purpose is empty.
        """
        if not purpose:
            raise ValueError("keys need a purpose, as in keys_for('orders')")
        return self._rooms.keyring.derive_all(f"application.{purpose}")

    @contextmanager
    def job(self) -> Iterator[None]:
        """Open what code outside requests needs, in a process that serves none: a cron
        job, the worker of a queue, a script. Inside, ``unscoped`` is written into the
        ledger, and PostgreSQL is told with a signature for whom a transaction works::

            with guard.job(), access.acting_as(Principal("ann")):
                ...

        Where the guard has started nothing is left to open.

        Raises:
            SettingsError: the keys or the ledger cannot be used.

        Source: ASVS 5.0 V16.3.3; CWE-778.

        Not covered: sessions, limits and accounts, which open with the application.
        """
        if self._started:
            yield
            return
        with self._rooms.job():
            yield

    @property
    def plan(self) -> tuple[RoutePlan, ...]:
        """The plans of all routes, the guard's own first. Before the start-up they are
        read anew, so that routes declared since then are among them; what a lifespan
        adds is there once it has run."""
        # Only looked at: what a start-up is binding meanwhile stays what it is.
        guarded, own = (self._guarded, self._own) if self._started else self._compile()
        return (*(own.plans if own else ()), *self._reports, *guarded.plans)

    @property
    def blocklist(self) -> Blocklist:
        """Addresses and networks that are turned away; to be added to while running."""
        return self._rooms.blocklist

    @property
    def accounts(self) -> Directory:
        """The accounts, for pages on which operators look after them.

        Raises:
            SettingsError: identity is switched off, so that there are none.
        """
        if self._rooms.identity is None:
            raise SettingsError(
                "this guard keeps no accounts: identity.enabled is off in its settings"
            )
        identity = self._rooms.identity
        return Directory(identity.accounts, identity.factors)

    def fingerprint(self) -> Fingerprint:
        """Return what must be equal in all processes that answer for one service.

        Raises:
            SettingsError: the guard has not started, so that its keys are not open.
        """
        return Fingerprint.of(
            self.settings,
            self.plan,
            self._rooms.keyring.derive_kept("guard.fingerprint"),
            version=version("ringfence"),
            data=self.data,
        )

    async def consider(
        self, method: str, address: str, principal: Principal | None = None
    ) -> Consideration:
        """Say what would become of a request, without sending it.

        Args:
            method: upper case; ``WEBSOCKET`` for a handshake.
            address: a path, with or without a query, or a URL.
            principal: who is meant to send it.

        Not covered: stages that depend on headers, bodies, sessions or on what was
        sent before; they are named, and not asked.
        """
        exchange = imagined(method, address, self.settings)
        return await consider(exchange, self._street, self._find, principal)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection, as an ASGI 3 application."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        if not self._started:
            await self._start_late()
        exchange = Exchange(scope, receive)
        token = active.set(exchange)
        try:
            said = self._admit(exchange, iter(self._street))
            end = said if said is None or isinstance(said, ENDS) else await said
            if end is not None:
                await self._answers.end(end, exchange, send)
                return
            # The application answers, and its answer is seen out. Not in a method: each
            # coroutine on the way costs as much as some stages.
            outbound = Outbound(exchange, send, self._answers, self._watch)
            scope[SCOPE_KEY] = exchange
            exchange.sinks = self._sinks
            exchange.data = self.data
            live.add(exchange)
            try:
                await exchange.plan.application(scope, outbound.receive, outbound.send)
            except Exception as error:  # nothing of the inside may leave
                if not await outbound.give_up(error):
                    raise  # half an answer is out: the server must drop the connection
            else:
                if (
                    not outbound.complete
                    or exchange.denial is not None
                    or exchange.mismatch is not None
                ):
                    await outbound.finish()
            finally:
                if outbound.lifeline is not None:
                    outbound.lifeline.release()
                if exchange.opened is not None:
                    await close(exchange)
        finally:
            active.reset(token)
            self._let_go(exchange, receive)

    def _let_go(self, exchange: Exchange, receive: Receive) -> None:
        """Forget a request that is over."""
        if exchange.in_flight:
            self._in_flight.leave(exchange)
        live.discard(exchange)
        # What points back to the exchange makes a ring of it, which only the garbage
        # collector opens, at tens of microseconds a request.
        exchange.scope.pop(SCOPE_KEY, None)
        exchange.receive = receive

    def _admit(
        self, exchange: Exchange, steps: Iterator[Step]
    ) -> End | Awaitable[End | None] | None:
        """Ask stage after stage, first those of the street and then those of the plan.
        What fails, refuses.

        Args:
            exchange: the request.
            steps: those that are still to be asked, of the street or of the plan.
        """
        try:
            for step in steps:
                said = step(exchange)
                if said is None:
                    continue
                if isinstance(said, ENDS):
                    exchange.stopped_by = step
                    return said
                return self._hear(said, exchange, step, steps)
            if exchange.plan is None:
                return self._admit(exchange, iter(self._find(exchange).steps))
        except Exception as error:  # noqa: BLE001 - whatever fails here refuses
            return self._fail(exchange, error)
        for is_intact in self._are_intact:
            if not is_intact():
                return ROUTES_REPLACED
        return None

    async def _hear(
        self,
        said: Awaitable[End | None],
        exchange: Exchange,
        step: Step,
        steps: Iterator[Step],
    ) -> End | None:
        """Wait for a stage that has not agreed at once; go on if it has nothing against
        the request."""
        try:
            end = await said
        except Exception as error:  # noqa: BLE001 - whatever fails here refuses
            return self._fail(exchange, error)
        if end is not None:
            exchange.stopped_by = step
            return end
        further = self._admit(exchange, steps)
        if further is None or isinstance(further, ENDS):
            return further
        return await further

    def _fail(self, exchange: Exchange, error: Exception) -> Denial:
        if isinstance(error, _BY_DENIAL) and exchange.denial is not None:
            return exchange.denial  # a stage has read the body
        self._answers.log_failure(exchange, error)
        self._answers.record_failure(exchange, error)
        return STORE_DOWN if isinstance(error, StoreError) else STAGE_FAILED

    def _find(self, exchange: Exchange) -> RoutePlan:
        """Find the plan: in a dictionary where the path alone decides, else by the
        framework's own patterns."""
        plans = self._fixed.get(exchange.path)
        plan = None if plans is None else plans.get(exchange.method)
        if plan is None or exchange.scope.get("root_path"):
            plan = self._find_closely(exchange)
        exchange.plan = plan
        return plan

    def _find_closely(self, exchange: Exchange) -> RoutePlan:
        method, path = exchange.method, exchange.path
        if method == "OPTIONS":
            plan = self._find_preflighted(exchange)
            if plan is not None:
                return plan
        root_path: str = exchange.scope.get("root_path", "")
        return self._search(method, path, exchange.host, root_path) or self._nowhere

    def _find_preflighted(self, exchange: Exchange) -> RoutePlan | None:
        """Find the plan of what a preflight asks about, if it shares anything."""
        root_path = exchange.scope.get("root_path", "")
        asked = asked_method(exchange)
        plan = asked and self._search(asked, exchange.path, exchange.host, root_path)
        return plan if plan and plan.sharing is not None else None

    def _search(
        self, method: str, path: str, host: str, root_path: str
    ) -> RoutePlan | None:
        if self._own is not None and path.startswith(_OWN, len(root_path)):
            plan = self._own.index.find(method, path, host, root_path)
            if plan is not None:
                return plan
        return self._guarded.index.find(method, path, host, root_path)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        steps = Steps(self._open, self._close_plans, self._close)
        await run_lifespan(self.app, steps, scope, receive, send)

    async def _start_late(self) -> None:
        """Start at the first request, where the server runs no lifespan.

        Raises:
            StoreError: the guard has stopped; it does not open again behind the back
                of who closed it.
        """
        if self._stopped:
            raise StoreError("the guard has stopped and answers no more requests")
        async with self._starting:
            if self._started:
                return
            try:
                await self._open()
                await self._close_plans()
            except BaseException:
                await self._close()  # else each request would open the stores anew
                raise

    async def _open(self) -> None:
        self._stopped = False
        refuse_unsafe(self.settings, debug=self._guarded.application.debug)
        refuse_unshared(
            self.settings,
            os.environ,
            sys.argv,
            is_child=multiprocessing.parent_process() is not None,
        )
        arm()
        _arm_running_loop()
        await self._rooms.open()

    async def _close_plans(self) -> None:
        """Read the routes once more, those of the lifespan too, and close the plans."""
        self._guarded, self._own = self._compile()
        FOREIGN.refuse_open()
        await self._guarded.close()
        self._fixed = self._guarded.index.fixed
        if self._own is not None:
            await self._own.close()
            self._fixed = {**self._fixed, **self._own.index.fixed}
        self._fixed = _unasked(with_reports(self._fixed, self._reports))
        lists = self._guarded.application.lists
        self._are_intact = tuple(routes.intact for routes in lists)
        if self._guarded.later:
            left = self._dry_run.until - system_clock()
            end = self._guarded.enforce_policies
            self._end_of_dry_run = asyncio.get_running_loop().call_later(left, end)
        self._started = True
        self._rooms.audit.record(
            Started(environment=self.settings.env, routes=len(self.plan))
        )

    async def _close(self) -> None:
        self._started, self._stopped = False, True
        if self._end_of_dry_run is not None:
            self._end_of_dry_run.cancel()
        self._answers.tell_turned_away()
        for each in self.data:
            await each.dispose()
        await self._rooms.close()
        self._sinks.save_map()


def _arm_running_loop() -> None:
    """Have the running loop announce what it does.

    Raises:
        SettingsError: it is of a make that the guards at interpreters cannot see into:
            programs and connections that it starts would pass unseen.
    """
    loop = asyncio.get_running_loop()
    if not arm_loop(loop):
        kind = f"{type(loop).__module__}.{type(loop).__qualname__}"
        message = (
            f"the event loop {kind} starts programs and connections unseen; run the "
            "server on asyncio's loop or on uvloop (--loop asyncio, say)"
        )
        raise SettingsError(message)


def _unasked(
    fixed: Mapping[str, Mapping[str, RoutePlan]],
) -> dict[str, dict[str, RoutePlan]]:
    """Leave out the one method whose plan may be that of another: preflights ask for
    what they announce."""
    return {
        path: {method: plan for method, plan in plans.items() if method != "OPTIONS"}
        for path, plans in fixed.items()
    }
