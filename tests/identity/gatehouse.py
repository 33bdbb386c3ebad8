"""A gatehouse with a guard of a few lines around it, for the tests of this room."""

from contextlib import asynccontextmanager
from types import SimpleNamespace

import httpx2
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Match

from ringfence.exchange import Exchange, active
from ringfence.guard.rooms import POLICIES
from ringfence.identity.mail.settings import MailSettings
from ringfence.identity.open import open_identity
from ringfence.identity.settings import IdentitySettings
from ringfence.stores.memory_counters import MemoryCounters

HTML = {"accept": "text/html,application/xhtml+xml"}
EMAIL = "ann@example.com"
PASSWORD = "correct horse battery"


class Clock:
    """A clock that tests move."""

    def __init__(self, now=1_000_000.0):
        self.now = now

    def __call__(self):
        return self.now


class Ledger:
    """Keeps what was recorded."""

    def __init__(self):
        self.events = []

    def record(self, event):
        self.events.append(event)

    def named(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


class Keys:
    """Keys that everybody knows."""

    def derive(self, purpose):
        return purpose.encode().ljust(32, b".")

    def derive_all(self, purpose):
        return (self.derive(purpose),)

    derive_kept = derive_all


async def _nothing_more():
    return {"type": "http.disconnect"}


def visit(client="203.0.113.9", *, cookie="", port=8000, request_id="r-1"):
    """Return a request from somewhere, for what is asked without a route."""
    headers = [(b"cookie", cookie.encode())] if cookie else []
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    exchange = Exchange({**scope, "server": ("127.0.0.1", port)}, _nothing_more)
    exchange.request_id = request_id
    exchange.client = exchange.network = client
    return exchange


class LittleGuard:
    """Runs the session stage and the routes' own access marks, and nothing else."""

    def __init__(self, identity, *, root_path=""):
        self.identity = identity
        self.app = Starlette(routes=identity.routes)
        self.root_path = root_path
        self.exchanges = []

    async def __call__(self, scope, receive, send):
        scope["root_path"] = self.root_path
        exchange = Exchange(scope, receive)
        exchange.request_id = f"r-{len(self.exchanges)}"
        exchange.client = exchange.network = scope["client"][0]
        exchange.host = exchange.headers.get(b"host", b"").decode().lower()
        exchange.scheme = scope["scheme"]
        self.exchanges.append(exchange)
        token = active.set(exchange)
        try:
            denial = await self.identity.authenticate(exchange)
            if denial is None:
                exchange.mint_csrf_token = lambda _: (
                    exchange.session.public_id[:8] if exchange.session else ""
                )
                denial = self._refused(exchange)

            async def send_all(message):
                if message["type"] == "http.response.start":
                    headers = [*message["headers"], *exchange.response_headers]
                    message = {**message, "headers": headers}
                await send(message)

            if denial is None:
                await self.app(scope, receive, send_all)
            else:
                response = Response(denial.code, denial.status)
                await response(scope, receive, send_all)
        finally:
            active.reset(token)

    def _refused(self, exchange):
        for route in self.identity.routes:
            match, _ = route.matches(exchange.scope)
            if match is Match.FULL:
                policy = POLICIES[route.identity_access]
                decide = policy.compile({}, self.identity.clock)
                return decide(exchange.principal)
        return None


@asynccontextmanager
async def gatehouse(
    tmp_path,
    *,
    development=True,
    clock=None,
    root_path="",
    counters=None,
    copies=None,
    hinted=False,
    own_clock=True,
    mail=None,
    public_origins=(),
    database=None,
    tokens=None,
    **settings,
):
    """Open a gatehouse on a fresh file and yield all its parts."""
    clock = clock or Clock()
    ledger = Ledger()
    identity = open_identity(
        IdentitySettings(**settings),
        database=database or f"sqlite:///{tmp_path / 'identity.db'}",
        development=development,
        audit=ledger,
        keyring=Keys(),
        counters=counters or MemoryCounters(clock=clock),
        clock=clock if own_clock else None,
        copies=copies,
        hinted=hinted,
        mail=mail or MailSettings(),
        public_origins=public_origins,
        tokens=tokens,
    )
    await identity.start()
    guard = LittleGuard(identity, root_path=root_path)

    def client(address="127.0.0.1", **options):
        options.setdefault("base_url", "http://127.0.0.1:8000")
        transport = httpx2.ASGITransport(guard, client=(address, 5000))
        return httpx2.AsyncClient(transport=transport, **options)

    try:
        yield SimpleNamespace(
            identity=identity,
            accounts=identity.accounts,
            sessions=identity.sessions,
            clock=clock,
            ledger=ledger,
            guard=guard,
            client=client,
            database=tmp_path / "identity.db",
        )
    finally:
        await identity.stop()
