"""A gatehouse that sends letters to a real mail server."""

from contextlib import asynccontextmanager
from types import SimpleNamespace

from tests.identity.gatehouse import gatehouse

from ringfence.identity.mail.settings import MailSettings

ORIGIN = "https://shop.example"
SENDER = "The shop <shop@example.com>"
ROOM = {
    "sign_ins_per_address": 1000,
    "sign_ins_global": 10_000,
    "registrations_per_address": 1000,
}


@asynccontextmanager
async def mailed(tmp_path, server, *, letters=None, **options):
    """Open a gatehouse with mail.

    Args:
        tmp_path: for its database.
        server: takes the letters.
        letters: settings of mail besides.
        options: for ``gatehouse``.
    """
    server.clear()
    wanted = {"requests_per_address": 1000, **(letters or {})}
    settings = MailSettings(server=server.url, sender=SENDER, **wanted)
    options = {"public_origins": (ORIGIN,), **ROOM, **options}
    async with gatehouse(tmp_path, mail=settings, **options) as house:
        yield SimpleNamespace(
            **vars(house), server=server, mailbox=house.identity.post.mailbox
        )


async def letters(house):
    """Return what has arrived, once everything that was ready is carried; forget it."""
    await house.mailbox.settle()
    found = list(house.server.letters)
    house.server.letters.clear()
    return found


async def forgot(client, email, **options):
    return await client.post("/auth/password/forgot", json={"email": email}, **options)


async def reset(client, code, password, **options):
    body = {"token": code, "new_password": password}
    return await client.post("/auth/password/reset", json=body, **options)


async def verify(client, code, password, **options):
    body = {"token": code, "password": password}
    return await client.post("/auth/email/verify", json=body, **options)


async def login(client, email, password, **options):
    body = {"email": email, "password": password}
    return await client.post("/auth/login", json=body, **options)


async def register(client, email, password):
    body = {"email": email, "password": password}
    return await client.post("/auth/register", json=body)
