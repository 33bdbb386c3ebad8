"""Two backends for programs: with tokens of the usual kind, and behind a guard."""

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.attacks.ledgers import settled
from tests.attacks.serving import NO_TLS, served

from ringfence import Guard, Settings, access

ALICE = {"email": "alice@example.com", "password": "correct horse battery"}
HOME, CAFE = "127.0.0.1", "127.9.9.9"  # all of 127.0.0.0/8 is this machine
MANY = {"sign_ins_per_address": 1000, "sign_ins_global": 1000}  # Alice signs in a lot


async def orders(request: Request) -> JSONResponse:
    return JSONResponse({"orders": []})


@dataclass(frozen=True)
class Side:
    """One of the two backends."""

    url: str
    data: Path

    @contextmanager
    def client(self, address=HOME, agent="Program/1.0"):
        transport = httpx2.HTTPTransport(local_address=address, verify=NO_TLS)
        with httpx2.Client(
            base_url=self.url,
            headers={"user-agent": agent},
            transport=transport,
            timeout=60,
        ) as client:
            yield client

    def sign_in(self, client, **headers):
        answer = client.post("/auth/token", json=ALICE, headers=headers)
        assert answer.status_code == 200, answer.text
        client.cookies.clear()
        return answer.json()

    def refresh(self, client, tokens):
        body = {"refresh_token": tokens["refresh_token"]}
        answer = client.post("/auth/token/refresh", json=body)
        return answer.json() if answer.status_code == 200 else None

    def reads(self, client, tokens, scheme="Bearer", **headers):
        headers["authorization"] = f"{scheme} {tokens['access_token']}"
        return client.get("/orders", headers=headers).status_code == 200

    def ledger(self):
        """Return all events."""
        with self.client() as client:
            return settled(self.data, client)


def careless(port):
    """Tokens of the usual kind: random ones in a set, good until they are deleted, and
    whatever else comes along is not looked at."""
    access_tokens, refresh_tokens = set(), set()

    def pair():
        access_token, refresh_token = token_urlsafe(32), token_urlsafe(32)
        access_tokens.add(access_token)
        refresh_tokens.add(refresh_token)
        return JSONResponse(
            {"access_token": access_token, "refresh_token": refresh_token}
        )

    async def token(request):
        return pair()

    async def refresh(request):
        known = (await request.json())["refresh_token"] in refresh_tokens
        return pair() if known else JSONResponse({}, 400)

    async def checked(request):
        token = request.headers.get("authorization", "").partition(" ")[2]
        return (
            await orders(request) if token in access_tokens else JSONResponse({}, 401)
        )

    return Starlette(
        routes=[
            Route("/auth/token", token, methods=["POST"]),
            Route("/auth/token/refresh", refresh, methods=["POST"]),
            Route("/orders", checked),
        ]
    )


@contextmanager
def running_careless(folder):
    with served(careless) as server:
        yield Side(server.url, folder)


@contextmanager
def running_careful(folder, **tokens):
    def make(port):
        api = Starlette(
            routes=access.routes([Route("/orders", orders)], access.signed_in)
        )
        settings = Settings.load(
            environ={},
            env="development",
            data=folder,
            identity=MANY,
            tokens={"enabled": True, **tokens},
        )
        return Guard(api, settings)

    with served(make) as server:
        side = Side(server.url, folder)
        with side.client() as client:
            client.post("/auth/register", json=ALICE)
        yield side
