"""Broken authorization (guide: "Authorization Security"; CWE-285, CWE-639, CWE-915)."""

import pytest
from tests.attacks.ranges import ADMIN, ALICE, BOB, range_with_admin


@pytest.fixture(scope="module")
def on():
    with range_with_admin() as running:
        yield running


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO")


@pytest.mark.parametrize("path", ["/admin/users", "/orders/1002", "/users/2/profile"])
def test_a_stranger_reads_nothing(off, on, path):
    """Whoever has not signed in reads no user, no order and no profile."""
    with off.client() as mallory:
        assert mallory.get(path).status_code == 200
    with on.client() as mallory:
        answer = mallory.get(path)
        assert answer.status_code == 401
        assert answer.json()["code"] == "access.not_signed_in"
        assert "example.com" not in answer.text


def test_a_user_is_no_admin(off, on):
    """GET /admin/users by an ordinary user is refused (BFLA)."""
    with off.signed_in(ALICE) as alice:
        assert "root@example.com" in alice.get("/admin/users").text
    with on.signed_in(ALICE) as alice:
        answer = alice.get("/admin/users")
        assert answer.status_code == 403
        assert "root@example.com" not in answer.text


def test_a_user_deletes_nobody(off, on):
    """POST /admin/deleteUser by an ordinary user is refused (vertical escalation)."""
    newcomer = {"email": "newcomer@example.com", "password": "letmein"}
    for side, deleted in ((off, True), (on, False)):
        with side.signed_in(ALICE) as alice:
            victim = alice.post("/signup", json=newcomer).json()["id"]
            alice.post("/admin/deleteUser", json={"id": victim})
        with side.signed_in(ADMIN if side is on else ALICE) as somebody:
            answer = somebody.get(f"/users/{victim}/profile")
        assert (answer.status_code == 404) is deleted


@pytest.mark.parametrize("path", ["/admin/users", "/admin/deleteUser"])
def test_no_method_opens_an_admin_route(on, path):
    """What one method is refused no other is given, known or made up."""
    refused = {400, 401, 403, 404, 405, 501}
    with on.client() as stranger, on.signed_in(ALICE) as alice:
        for method in METHODS:
            for somebody in (stranger, alice):
                answer = somebody.request(method, path)
                assert answer.status_code in refused, method
                assert "root@example.com" not in answer.text


def test_a_handshakes_method_is_no_method(on):
    """``WEBSOCKET /live HTTP/1.1`` is no WebSocket, and meets no other route's plan."""
    with on.signed_in(ALICE) as alice:
        for path in ("/live", "/admin/users", "/"):
            assert alice.request("WEBSOCKET", path).status_code in {400, 404, 405, 501}


def test_a_role_in_the_profile_is_only_a_word(off, on):
    """A user who writes ``role: admin`` into their profile becomes no admin: the guard
    asks its own accounts (mass assignment, "parameters are not modified")."""
    for side in (off, on):
        with side.signed_in(BOB) as bob:
            answer = bob.post("/profile", json={"name": "Bob", "role": "admin"})
            assert answer.json()["role"] == "admin"
            listed = bob.get("/admin/users").status_code
        assert listed == (200 if side is off else 403)


def test_a_named_role_is_ignored(on):
    """Nobody becomes admin by saying so in a header, a cookie or a parameter
    (CVE-2025-61928: an identity named by the client)."""
    claims = {
        "x-user-id": "1",
        "x-role": "admin",
        "x-forwarded-user": "root@example.com",
        "remote-user": "root",
        "authorization": "Basic cm9vdDpodW50ZXIy",
    }
    for name, value in claims.items():
        with on.client(headers={name: value}, cookies={"role": "admin"}) as mallory:
            answer = mallory.get("/admin/users?role=admin")
            assert answer.status_code in {400, 401}


def test_registration_gives_no_role_and_no_tenant(on):
    """``roles`` and ``tenant`` in a registration are refused or ignored."""
    mallory = {"email": "mallory@example.com", "password": "a long pass phrase"}
    with on.client() as client:
        client.post("/auth/register", json={**mallory, "roles": ["admin"]})
        client.post("/auth/register", json={**mallory, "role": "admin"})
        client.post("/auth/register", json={**mallory, "tenant": "acme"})
    with on.signed_in(mallory) as client:
        assert client.get("/auth/me").json()["tenant"] == ""
        assert client.get("/auth/me").json()["roles"] == []
        assert client.get("/admin/users").status_code == 403


def test_the_admin_works_on(on):
    """Honest use is unchanged: an admin lists and deletes."""
    with on.signed_in(ADMIN) as admin:
        assert admin.get("/admin/users").status_code == 200
        answer = admin.post("/admin/deleteUser", json={"id": "77"})
        assert answer.json() == {"deleted": "77"}


def test_a_user_reads_no_order_of_another(off, on):
    """GET /orders/1002 by somebody else (BOLA, CWE-639): nobody wrote a filter, and
    the answer is the one for an order that there is not."""
    with off.signed_in(ALICE) as alice:
        assert alice.get("/orders/1002").json()["item"] == "a ring"
    with on.signed_in(BOB) as bob, on.signed_in(ALICE) as alice:
        order_id = bob.post("/orders", json={"item": "a ring"}).json()["id"]
        there, missing = alice.get(f"/orders/{order_id}"), alice.get("/orders/none")
        assert there.status_code == missing.status_code == 404
        assert there.json() == missing.json()
        assert alice.get("/orders/1002").status_code == 404
        assert bob.get(f"/orders/{order_id}").json()["item"] == "a ring"


def test_a_user_lists_and_changes_no_order_of_another(off, on):
    """A list without a filter, and an update by id alone."""
    for side in (off, on):
        with side.signed_in(BOB) as bob, side.signed_in(ALICE) as alice:
            order_id = bob.post("/orders", json={"item": "a clock"}).json()["id"]
            listed = [order["id"] for order in alice.get("/orders").json()]
            assert (order_id in listed) is (side is off)
            alice.post(f"/orders/{order_id}", json={"item": "a stone"})
            item = bob.get(f"/orders/{order_id}").json()["item"]
        assert item == ("a stone" if side is off else "a clock")


def test_nobody_orders_for_another(off, on):
    """``user_id`` in the body: whose a new row is, the session says (CWE-915)."""
    with off.signed_in(ALICE) as alice:
        answer = alice.post("/orders", json={"item": "a bill", "user_id": "2"})
        assert answer.json()["user_id"] == "2"
    with on.signed_in(BOB) as bob, on.signed_in(ALICE) as alice:
        bob_id = bob.get("/auth/me").json()["id"]
        order = {"item": "a bill", "user_id": bob_id}
        assert alice.post("/orders", json=order).status_code in {403, 404}
        assert "a bill" not in bob.get("/orders").text


def test_a_user_reads_no_profile_of_another(off, on):
    """GET /users/2/profile by user 1: the route says that the path is one's own."""
    with off.signed_in(ALICE) as alice:
        assert alice.get("/users/2/profile").json()["email"] == BOB["email"]
    with on.signed_in(BOB) as bob, on.signed_in(ALICE) as alice:
        bob_id = bob.get("/auth/me").json()["id"]
        bob.post("/profile", json={"name": "Bob"})
        there = alice.get(f"/users/{bob_id}/profile")
        missing = alice.get("/users/nobody/profile")
        assert there.status_code == missing.status_code == 404
        assert bob.get(f"/users/{bob_id}/profile").json()["name"] == "Bob"


def test_a_user_works_on(on):
    with on.signed_in(ALICE) as alice:
        placed = alice.post("/orders", json={"item": "a lamp"}).json()
        assert alice.get(f"/orders/{placed['id']}").json()["item"] == "a lamp"
        alice.post(f"/orders/{placed['id']}", json={"item": "a better lamp"})
        assert alice.get("/orders").json()[-1]["item"] in {"a lamp", "a better lamp"}
