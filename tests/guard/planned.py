"""Plans and requests for tests that need no guard around them."""

from ringfence import access
from ringfence.exchange import Exchange
from ringfence.frameworks.open import open_adapter
from ringfence.frameworks.table import Place
from ringfence.guard.bind import bind, seal
from ringfence.guard.index import compile_index
from ringfence.guard.plan import RoutePlan


async def nobody(scope, receive, send):
    raise AssertionError


def plan(kind="http", path="", methods=(), host=""):
    return RoutePlan(
        kind=kind,
        methods=methods,
        path=path,
        host=host,
        policy=access.public,
        csrf="off",
        limits=(),
        place=Place(),
        application=nobody,
        stages=(),
        body_limit=0,
        document_headers=(),
        data_headers=(),
    )


class Planned:
    """An application with a plan for each of its entry points."""

    def __init__(self, app, *, bound=True) -> None:
        self.app = app
        self.application = open_adapter(app)
        self.leaves = list(self.application.leaves())
        self._plans = {
            id(leaf): plan(leaf.kind, leaf.path, host=leaf.host) for leaf in self.leaves
        }
        self.answer = plan("answer")
        self.index = compile_index(self.application, self.plan_of, self.answer)
        if bound:
            bind(self.application, self.plan_of)
            seal(self.application)

    def plan_of(self, leaf):
        return self._plans[id(leaf)]

    def find(self, method, path, host="test", root_path=""):
        """The path of the plan, "405 or redirect", or nothing."""
        found = self.index.find(method, path, host, root_path)
        if found is self.answer:
            return "answer"
        return None if found is None else found.path

    async def request(
        self, method, path, *, plan=None, headers=(), exchange=True, query=b""
    ):
        """Send a request as the guard does once all stages have agreed."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "root_path": "",
            "query_string": query,
            "headers": [(b"host", b"test"), *headers],
            "client": ("127.0.0.1", 1),
            "server": ("test", 80),
            "state": {},
        }
        if method == "WEBSOCKET":
            del scope["method"]
            scope.update(type="websocket", scheme="ws", subprotocols=[])
        sent = []
        incoming = _incoming(scope["type"])
        made = Exchange(scope, incoming)
        made.plan = plan or self.index.find(method, path, "test")
        if exchange:
            scope["ringfence"] = made

        async def send(message):
            sent.append(message)

        await self.app(scope, incoming, send)
        return made, sent


def _incoming(kind):
    """What the client sends, and then that it is gone."""
    if kind == "websocket":
        messages = [{"type": "websocket.connect"}]
        gone = {"type": "websocket.disconnect", "code": 1001}
    else:
        messages = [{"type": "http.request", "body": b"{}", "more_body": False}]
        gone = {"type": "http.disconnect"}

    async def receive():
        return messages.pop(0) if messages else gone

    return receive
