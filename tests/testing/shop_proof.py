"""The reference shop, whole or broken, and what a proof needs to know of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from examples.shop import application
from fastapi import FastAPI
from tests.testing.inline import Inline, inline

from ringfence import Guard, Settings
from ringfence.testing import find_trespass
from ringfence.testing.visitor import Visitor

SHARED = {"product_id": "kale"}
# What reviewers write is for everybody, their names too.
PUBLIC = ("/products/{product_id}", "/api/products/{product_id}/reviews")
_PEOPLE = 6
ONLY_ONLINE = {"/api/preview": "asks the internet"}
LIST = '<orders><order product="kale"/></orders>'
XML = {"content-type": "application/xml"}
BODIES = {"/api/import": {"content": LIST, "headers": XML}}
Break = Callable[[FastAPI, pytest.MonkeyPatch], None]


def create(client, party):
    """Make one of everything that has an owner, with the marker where texts go."""
    client.post("/api/exports", json={"name": party.marker})
    credit = {"to": f"{party.marker}@example.test", "amount": 5}
    client.post("/api/transfers", json=credit)
    profile = f"/api/users/{party.id}/profile"
    client.request("PATCH", profile, json={"name": party.marker})
    name = f"{party.marker}.csv.gz"
    return {**order(client, party), "name": name, "user_id": party.id}


def order(client, party):
    """Make an order and no more."""
    placed = client.post("/api/orders", json={"product_id": "kale", "quantity": 7})
    return {"order_id": placed.json()["id"]}


def watching(settings: Settings) -> Settings:
    """Let limits only watch: a wall of 429 hides whatever is behind it."""
    tomorrow = datetime.now(UTC).date() + timedelta(days=2)
    return replace(settings, dry_run=("limits",), dry_run_until=tomorrow.isoformat())


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody whose session was opened before the shop was copied."""

    visitor: Visitor
    cookies: dict[str, str]
    headers: dict[str, str]


def _sign_up(client: Inline, number: int) -> SignedIn:
    account = {
        "email": f"person{number}@example.test",
        "password": "a long pass phrase",
    }
    client.post("/auth/register", json=account)
    answer = client.post("/auth/login", json=account)
    headers = {"x-csrf-token": answer.json()["csrf_token"]}
    me = client.get("/auth/me").json()
    visitor = Visitor(me["id"], account["email"], account["password"])
    return SignedIn(visitor, client.cookies, headers)


class Shops:
    """Copies of a shop in which some people have accounts and sessions.

    Args:
        folder: for all of them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._people: list[SignedIn] = []
        guard = self._guard(folder / "first")
        with inline(guard) as client:
            for number in range(_PEOPLE):
                client.cookies, client.headers = {}, {}
                self._people.append(_sign_up(client, number))

    def _guard(self, data: Path) -> Guard:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RINGFENCE_ENV", "development")
            patch.setenv("RINGFENCE_DATA", str(data))
            settings = application.load_settings()
        return application.create(watching(settings))

    @contextmanager
    def open(self, broken: Break | None = None) -> Iterator[tuple[Guard, Inline]]:
        """Start a copy, after having broken it."""
        self._count += 1
        data = self._folder / f"copy{self._count}"
        shutil.copytree(self._folder / "first", data)
        with pytest.MonkeyPatch.context() as patch:
            if broken is not None:
                build = application.build

                def breaking(database):
                    shop = build(database)
                    broken(shop, patch)
                    return shop

                patch.setattr(application, "build", breaking)
            guard = self._guard(data)
            with inline(guard) as client:
                yield guard, client

    def prove(self, guard, client, *, only=(), **terms):
        """Run the proof, on some routes or on all."""
        http = (plan for plan in guard.plan if plan.kind == "http" and not plan.is_own)
        paths = {plan.path for plan in http}
        elsewhere = paths - set(only) if only else set()
        skip = dict.fromkeys(elsewhere, "not what this is about")
        waiting = iter(self._people)

        @contextmanager
        def sign_in(client, guard, *, roles):
            person = next(waiting)
            client.cookies = dict(person.cookies)
            client.headers |= person.headers
            yield person.visitor

        given = {"shared": SHARED, "public": PUBLIC, "bodies": BODIES, "create": create}
        given |= terms
        given["skip"] = {**ONLY_ONLINE, **skip}
        return find_trespass(guard, client, sign_in=sign_in, **given)
