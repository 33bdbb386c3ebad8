"""What the guard asks other services, and where it does not go."""

import pytest
from tests.servers.openid_provider import running_provider

from ringfence import Settings
from ringfence.errors import FetchError
from ringfence.exchange import Exchange, active, live, own_work
from ringfence.guard.fetch import Fetcher, open_fetch
from ringfence.identity.openid.settings import OpenIdProvider, OpenIdSettings

pytestmark = pytest.mark.anyio

LIMITS = {"headers": {"accept": "application/json"}, "most": 10_000, "timeout": 5.0}


@pytest.fixture
def there():
    with running_provider() as running:
        yield running


async def test_development_may_ask_this_machine(there):
    fetch = Fetcher((), development=True)
    found = await fetch(f"{there.issuer}/jwks", **LIMITS)
    assert found.status == 200
    assert found.content.startswith(b'{"keys"')
    found = await fetch(f"{there.issuer}/token", form=b"code=a%26b", **LIMITS)
    assert found.status == 401
    assert there.bodies == [{"code": "a&b"}]


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:1/",
        "https://169.254.169.254/",
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://localhost/",
        "http://accounts.example/",
        "file:///etc/passwd",
    ],
)
async def test_production_asks_nobody_nearby_and_nothing_in_clear(url):
    with pytest.raises(FetchError, match="must not be dialled"):
        await Fetcher((), development=False)(url, **LIMITS)


async def test_a_redirect_is_no_answer(there):
    there.spoiled["/jwks"] = lambda: (302, {"location": "/elsewhere"}, b"")
    with pytest.raises(FetchError):
        await Fetcher((), development=True)(f"{there.issuer}/jwks", **LIMITS)
    assert "/elsewhere" not in there.asked


async def test_too_much_is_no_answer(there):
    there.spoiled["/jwks"] = lambda: (200, {}, b"x" * 10_001)
    with pytest.raises(FetchError, match="more than"):
        await Fetcher((), development=True)(f"{there.issuer}/jwks", **LIMITS)


async def test_what_a_request_has_brought_does_not_count(there):
    """An answer names its issuer in the query (RFC 9207), which is whom we ask then:
    that is the settings' choice, and not the sender's."""

    async def receive():
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    scope["query_string"] = f"iss={there.issuer}".encode()
    exchange = Exchange(scope, receive)
    token = active.set(exchange)
    live.add(exchange)
    try:
        found = await Fetcher((), development=True)(f"{there.issuer}/jwks", **LIMITS)
        assert active.get() is exchange
        assert not own_work.get()
    finally:
        live.discard(exchange)
        active.reset(token)
    assert found.status == 200


def test_it_is_there_for_those_who_need_it():
    assert open_fetch(Settings()) is None
    example = OpenIdProvider(
        name="a", issuer="https://a.example", client_id="b", authentication="none"
    )
    needed = (
        {"openid": OpenIdSettings(providers=(example,))},
        {
            "tokens": {
                "issuers": {
                    "https://a.example": {
                        "jwks_uri": "https://a.example/jwks",
                        "audience": "shop",
                        "algorithms": "ES256",
                    }
                }
            }
        },
    )
    for settings in needed:
        assert open_fetch(Settings.load(environ={}, **settings)) is not None
