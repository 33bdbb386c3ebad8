"""Accounts taken over by the way back into them (guide: "Password Reset"; CWE-640,
CWE-204, CWE-613, CWE-304, CWE-770; pre-hijacked accounts).

Both sides have a mail server and the same addresses. The bare one is what tutorials
show: a link made from the request, kept until it expires, that signs in.
"""

import secrets
import smtplib
from dataclasses import dataclass
from email.message import EmailMessage
from itertools import count
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.attacks.serving import NO_TLS, RAISED, served
from tests.servers.mail import MailServer, running_mail_server

from ringfence import Guard, Settings

OLD, NEW, MALLORYS = (
    "correct horse battery",
    "another long one, please",
    "mallory was here",
)
FLOOD = 20

_people = (f"person-{n}@example.com" for n in count())


class Tutorial:
    """Registration and recovery as they are often written."""

    def __init__(self, mail_port):
        self.mail_port = mail_port
        self.passwords, self.verified, self.second_factors = {}, set(), set()
        self.links, self.sessions = {}, {}

    def routes(self):
        ways = {
            "register": self.register,
            "login": self.login,
            "password/forgot": self.forgot,
            "password/reset": self.reset,
        }
        return [
            *(Route(f"/auth/{way}", do, methods=["POST"]) for way, do in ways.items()),
            Route("/auth/email/verify", self.verify, methods=["GET", "POST"]),
            Route("/auth/me", self.me),
        ]

    def send(self, request, to, path):
        code = secrets.token_urlsafe(32)
        self.links[code] = to
        message = EmailMessage()
        message["To"], message["From"] = to, "shop@example.com"
        host = request.headers.get("x-forwarded-host") or request.headers["host"]
        message.set_content(f"http://{host}{path}?token={code}")
        with smtplib.SMTP("127.0.0.1", self.mail_port) as server:
            server.send_message(message)

    async def register(self, request: Request):
        sent = await request.json()
        if sent["email"] in self.passwords:
            return JSONResponse({"detail": "taken"}, 409)
        self.passwords[sent["email"]] = sent["password"]
        self.send(request, sent["email"], "/auth/email/verify")
        return JSONResponse({}, 201)

    async def verify(self, request: Request):
        self.verified.add(self.links[request.query_params["token"]])
        return JSONResponse({})

    async def login(self, request: Request):
        sent = await request.json()
        email = sent["email"]
        if self.passwords.get(email) != sent["password"]:
            return JSONResponse({"detail": "wrong"}, 401)
        if email not in self.verified:
            return JSONResponse({"detail": "not verified"}, 403)
        return self.signed_in(email)

    def signed_in(self, email):
        session = secrets.token_urlsafe()
        self.sessions[session] = email
        answer = JSONResponse({})
        answer.set_cookie("session", session)
        return answer

    async def forgot(self, request: Request):
        email = (await request.json())["email"]
        if email not in self.passwords:
            return JSONResponse({"detail": "unknown"}, 404)
        self.send(request, email, "/auth/password/reset")
        return JSONResponse({})

    async def reset(self, request: Request):
        sent = await request.json()
        email = self.links[sent["token"]]
        self.passwords[email] = sent["new_password"]
        return self.signed_in(email)

    async def me(self, request: Request):
        known = request.cookies.get("session") in self.sessions
        return JSONResponse({}, 200 if known else 401)


@dataclass
class Side:
    """One of the two backends, with the mail that it sends."""

    url: str
    port: int
    mail: MailServer
    guarded: bool

    def client(self):
        return httpx2.Client(base_url=self.url, verify=NO_TLS, timeout=60)

    def letter(self, email):
        """The next letter to somebody."""
        self.mail.wait_for_one_to(email)
        (letter,) = self.mail.to(email)
        self.mail.letters.remove(letter)
        return letter

    def code(self, letter):
        """What its link has."""
        return letter.code or parse_qs(urlsplit(letter.link).query)["token"][0]

    def registered(self):
        """Somebody with an account that works."""
        email = next(_people)
        with self.client() as client:
            body = {"email": email, "password": OLD}
            assert client.post("/auth/register", json=body).status_code < 300
            self.follow(client, self.letter(email), OLD)
            assert self.signs_in(client, email, OLD)
        return email

    def follow(self, client, letter, password):
        """Do what the owner of a mailbox does with a link that proves an address."""
        path = urlsplit(letter.link).path
        query = urlsplit(letter.link).query
        client.get(f"{path}?{query}")
        if self.guarded:
            body = {"token": letter.code, "password": password}
            client.post("/auth/email/verify", json=body)

    def signs_in(self, client, email, password):
        body = {"email": email, "password": password}
        return client.post("/auth/login", json=body).status_code == 200

    def forgets(self, client, email, **options):
        return client.post("/auth/password/forgot", json={"email": email}, **options)

    def resets(self, client, code, password):
        body = {"token": code, "new_password": password}
        return client.post("/auth/password/reset", json=body)


@pytest.fixture(scope="module")
def on(tmp_path_factory):
    with running_mail_server() as mail:

        def make(port):
            settings = Settings.load(
                environ=RAISED,
                env="development",
                data=tmp_path_factory.mktemp("recovery"),
                public_origins=(f"http://127.0.0.1:{port}",),
                mail={
                    "server": mail.url,
                    "sender": "shop@example.com",
                    "requests_per_address": 100_000,
                },
            )
            return Guard(Starlette(), settings)

        with served(make) as server:
            yield Side(server.url, server.port, mail, guarded=True)


@pytest.fixture(scope="module")
def off():
    with running_mail_server() as mail:
        tutorial = Tutorial(mail.port)
        with served(lambda port: Starlette(routes=tutorial.routes())) as server:
            yield Side(server.url, server.port, mail, guarded=False)


def poisoned(side):
    """Where the link leads that Mallory has Alice sent, if he can choose."""
    email = side.registered()
    led_away = False
    for headers in (
        {"host": f"localhost:{side.port}"},
        {"host": "evil.example"},
        {"x-forwarded-host": "evil.example"},
    ):
        with side.client() as mallory:
            if side.forgets(mallory, email, headers=headers).status_code < 300:
                place = urlsplit(side.letter(email).link).netloc
                led_away |= place != urlsplit(side.url).netloc
    return led_away


def read_along(side):
    """Whether a log, a proxy or a Referer has what a link opens an account with: all
    that a browser ever sends of an address is what stands before the fragment."""
    email = side.registered()
    with side.client() as client:
        side.forgets(client, email)
    letter = side.letter(email)
    return side.code(letter) in letter.link.partition("#")[0]


def used_again(side):
    """Whether a link from an old mailbox sets a password once more."""
    email = side.registered()
    with side.client() as alice, side.client() as mallory:
        side.forgets(alice, email)
        code = side.code(side.letter(email))
        assert side.resets(alice, code, NEW).status_code == 200
        side.resets(mallory, code, MALLORYS)
        return side.signs_in(mallory, email, MALLORYS)


def outlives(side):
    """Whether a thief's session lives on after Alice has set a new password."""
    email = side.registered()
    with side.client() as alice, side.client() as thief:
        assert side.signs_in(thief, email, OLD)
        side.forgets(alice, email)
        code = side.code(side.letter(email))
        assert side.resets(alice, code, NEW).status_code == 200
        return thief.get("/auth/me").status_code == 200


def enumerated(side):
    """Whether the answers tell a known address from an unknown one."""
    known, unknown = side.registered(), next(_people)
    answers = {}
    with side.client() as mallory:
        for email in (known, unknown):
            body = {"email": email, "password": MALLORYS}
            asked = side.forgets(mallory, email)
            made = mallory.post("/auth/register", json=body)
            entered = mallory.post("/auth/login", json=body)
            answers[email] = [
                (answer.status_code, answer.json().get("detail"), set(answer.headers))
                for answer in (asked, made, entered)
            ]
    return answers[known] != answers[unknown]


def skipped(side):
    """Whether a link signs in: past a second factor, for whoever reads the mail."""
    email = side.registered()
    with side.client() as mallory:
        side.forgets(mallory, email)
        code = side.code(side.letter(email))
        assert side.resets(mallory, code, MALLORYS).status_code == 200
        return mallory.get("/auth/me").status_code == 200


def flooded(side):
    """Whether Mallory fills Alice's mailbox by asking in her name."""
    email = side.registered()
    side.mail.letters.clear()
    with side.client() as mallory:
        for _ in range(FLOOD):
            side.forgets(mallory, email)
        marker = side.registered()  # its letters come after all of these
    assert marker != email
    return len(side.mail.to(email)) > 5


def hijacked(side):
    """Whether an account that Mallory has made for Alice's address comes to life when
    Alice opens the link that she was sent."""
    email = next(_people)
    with side.client() as mallory, side.client() as alice:
        body = {"email": email, "password": MALLORYS}
        assert mallory.post("/auth/register", json=body).status_code < 300
        side.follow(alice, side.letter(email), OLD)
        return side.signs_in(mallory, email, MALLORYS)


ATTACKS = [
    poisoned,
    read_along,
    used_again,
    outlives,
    enumerated,
    skipped,
    flooded,
    hijacked,
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_it_works_on_the_bare_side(off, attack):
    off.mail.clear()
    assert attack(off)


@pytest.mark.parametrize("attack", ATTACKS)
def test_it_fails_on_the_guarded_side(on, attack):
    on.mail.clear()
    assert not attack(on)


def test_owners_get_their_accounts_back(on):
    """Honest use: forgotten, asked for, set, signed in."""
    on.mail.clear()
    email = on.registered()
    with on.client() as alice:
        assert on.forgets(alice, email).status_code == 202
        code = on.code(on.letter(email))
        assert on.resets(alice, code, NEW).status_code == 200
        assert on.signs_in(alice, email, NEW)
