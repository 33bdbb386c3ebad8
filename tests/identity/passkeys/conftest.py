"""Ann at her computer, with and without a passkey."""

import pytest
from tests.identity.gatehouse import EMAIL, PASSWORD
from tests.identity.passkeys.authenticator import Authenticator

SITE = "http://localhost:8000"


async def answered(client, path, content=None, status=200, **options):
    """Post JSON and return the answer, whose status must be this one."""
    answer = await client.post(f"/auth/{path}", json=content or {}, **options)
    assert answer.status_code == status, answer.text
    return answer.json()


async def sign_in(client, email=EMAIL, status=200):
    await client.post("/auth/login", json={"email": email, "password": PASSWORD})
    return client


async def add_passkey(client, key, label="", status=201):
    """Make a passkey for who is signed in."""
    options = await answered(client, "passkeys/register/options")
    content = {"credential": key.create(options), "label": label}
    return await answered(client, "passkeys/register", content, status)


async def use_passkey(client, key, purpose="login", status=200):
    """Sign in, or prove something, with a passkey."""
    options = await answered(client, f"passkeys/{purpose}/options")
    content = {"credential": key.get(options)}
    return await answered(client, f"passkeys/{purpose}", content, status)


@pytest.fixture
def at_home(house):
    """Open a browser on the site's name."""

    def open_browser(**options):
        return house.client(base_url=SITE, **options)

    return open_browser


@pytest.fixture
async def ann(at_home):
    """A browser that is signed in as Ann, by her password."""
    async with at_home() as client:
        yield await sign_in(client)


@pytest.fixture
async def key(ann):
    """Ann's passkey."""
    key = Authenticator()
    await add_passkey(ann, key)
    return key


@pytest.fixture
async def stranger(at_home):
    """A browser that nobody has signed in with."""
    async with at_home() as client:
        yield client
