import pytest

from ringfence.errors import PlanError, SettingsError
from ringfence.guard.lifespan import Steps, run_lifespan


class Server:
    """The server's side of a lifespan: asks for start-up, then for shutdown."""

    def __init__(self):
        self.steps = []
        self.messages = iter(
            [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        )

    async def receive(self):
        return next(self.messages)

    async def send(self, message):
        self.steps.append(message["type"].removeprefix("lifespan."))
        self.message = message.get("message", "")

    def step(self, name, error=None):
        async def run():
            self.steps.append(name)
            if error is not None:
                raise error

        return run

    async def run(self, app, *, opening=None, closing=None):
        steps = Steps(
            self.step("open", opening),
            self.step("plans", closing),
            self.step("close"),
        )
        await run_lifespan(app, steps, {"type": "lifespan"}, self.receive, self.send)
        return self.steps


async def well_behaved(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


@pytest.mark.anyio
async def test_opens_before_and_closes_after_the_application():
    assert await Server().run(well_behaved) == [
        "open",
        "plans",
        "startup.complete",
        "close",
        "shutdown.complete",
    ]


async def raises_at_once(scope, receive, send):
    raise RuntimeError("http only")


async def returns_at_once(scope, receive, send):
    return


@pytest.mark.anyio
async def test_an_application_that_takes_everything_for_a_request_has_none():
    server = Server()

    async def answers(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    await server.run(answers)
    assert server.steps == [
        "open",
        "plans",
        "startup.complete",
        "close",
        "shutdown.complete",
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("app", [raises_at_once, returns_at_once])
async def test_serves_an_application_without_a_lifespan(app):
    assert await Server().run(app) == [
        "open",
        "plans",
        "startup.complete",
        "close",
        "shutdown.complete",
    ]


@pytest.mark.anyio
async def test_an_application_that_fails_to_start_is_not_served():
    """Its failure must not be taken for "knows no lifespan"."""

    async def broken(scope, receive, send):
        await receive()
        raise RuntimeError("no database")

    server = Server()
    with pytest.raises(RuntimeError, match="no database"):
        await server.run(broken)
    assert server.steps == ["open", "close"]


@pytest.mark.anyio
async def test_a_refused_plan_fails_the_start_up_with_its_sentence():
    server = Server()

    async def tells_a_trace(scope, receive, send):
        try:
            await well_behaved(scope, receive, send)
        except PlanError:
            await send({"type": "lifespan.startup.failed", "message": "a trace"})
            raise

    with pytest.raises(PlanError, match="GET /x"):
        await server.run(tells_a_trace, closing=PlanError("GET /x has no policy"))
    assert server.steps == ["open", "plans", "startup.failed", "close"]
    assert server.message == "GET /x has no policy"


@pytest.mark.anyio
async def test_an_application_that_swallows_the_refusal_is_not_served():
    server = Server()

    async def swallows(scope, receive, send):
        await receive()
        try:
            await send({"type": "lifespan.startup.complete"})
        except PlanError:
            await send({"type": "lifespan.startup.complete"})

    with pytest.raises(PlanError):
        await server.run(swallows, closing=PlanError("no"))
    assert server.steps[-2:] == ["startup.failed", "close"]
    assert "startup.complete" not in server.steps


@pytest.mark.anyio
@pytest.mark.parametrize("app", [raises_at_once, returns_at_once])
async def test_a_refused_plan_stops_one_without_a_lifespan_too(app):
    server = Server()
    with pytest.raises(PlanError):
        await server.run(app, closing=PlanError("no"))
    assert server.steps == ["open", "plans", "startup.failed", "close"]


@pytest.mark.anyio
async def test_a_wrong_setting_fails_the_start_up_before_the_application_runs():
    server = Server()

    async def never(scope, receive, send):
        pytest.fail("the application ran")

    with pytest.raises(SettingsError, match="keys file missing"):
        await server.run(never, opening=SettingsError("keys file missing"))
    assert server.steps == ["open", "startup.failed"]
    assert server.message == "keys file missing"
