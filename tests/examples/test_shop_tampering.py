"""Direct calls with changed parameters: the guide's "parameters are not modified" and
"only the frontend calls the API"."""

import asyncio
import json

import pytest

pytestmark = pytest.mark.anyio

# What a caller would like to decide in the server's place.
WISHES = {
    "price": 1,
    "unit_price": 1,
    "total": 1,
    "owner": "somebody",
    "owner_id": "somebody",
    "user_id": "somebody",
    "id": "chosen",
    "role": "admin",
    "roles": ["admin"],
    "balance": 1_000_000,
    "placed": 0,
    "__proto__": {},
}


async def place(person, **fields):
    answer = await person.api.post("/api/orders", json={"product_id": "kale", **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_an_order_with_a_wish_is_refused(ada):
    """A tampered price, owner, role or id in a new order changes nothing."""
    for name, value in WISHES.items():
        new = {"product_id": "forcer", "quantity": 1, name: value}
        answer = await ada.api.post("/api/orders", json=new)
        assert answer.status_code == 422, name
    assert (await ada.api.get("/api/orders")).json() == []


async def test_a_change_with_a_wish_is_refused(ada):
    order = await place(ada)
    path = f"/api/orders/{order['id']}"
    for name, value in {**WISHES, "product_id": "forcer"}.items():
        answer = await ada.api.patch(path, json={"quantity": 2, name: value})
        assert answer.status_code == 422, name
    assert (await ada.api.get(path)).json() == order


async def test_a_profile_with_a_wish_is_refused(ada):
    """Mass assignment: nobody makes themselves an admin, or rich (CWE-915)."""
    path = f"/api/users/{ada.id}/profile"
    before = (await ada.api.get(path)).json()
    for name, value in {**WISHES, "email": "root@example.org"}.items():
        answer = await ada.api.patch(path, json={"name": "Ada", name: value})
        assert answer.status_code == 422, name
    assert (await ada.api.get(path)).json() == before
    assert (await ada.api.get("/api/admin/users")).status_code == 403


async def test_wishes_in_a_form_are_refused(ada):
    """The pages obey the same closed shapes."""
    for name in ("price", "owner_id", "id", "role"):
        wish = {name: "1"}
        answer = await ada.post("/orders", product_id="forcer", quantity="1", **wish)
        assert answer.status_code == 400, name
        answer = await ada.post("/profile", name="Mallory", **wish)
        assert answer.status_code == 400, name
        to = {"to": "x@example.org", "amount": "1"}
        answer = await ada.post("/transfers", **to, **wish)
        assert answer.status_code == 400, name
    profile = (await ada.api.get(f"/api/users/{ada.id}/profile")).json()
    assert (profile["name"], profile["orders"], profile["balance"]) == ("", 0, 10_000)


async def test_quantities_that_are_none_are_refused(ada):
    for quantity in (0, -1, 100, 1.0, 1.5, "1", True, None, [1], 10**30):
        new = {"product_id": "kale", "quantity": quantity}
        answer = await ada.api.post("/api/orders", json=new)
        assert answer.status_code == (400 if quantity == 10**30 else 422), quantity
    assert (await ada.api.get("/api/orders")).json() == []


async def test_bodies_that_are_no_object_are_refused(ada):
    """A malformed body is 400, 415 or 422, never a server error."""
    bodies = ["", "{", "[]", "null", "7", '"x"', "[" * 5000, '{"quantity": NaN}']
    bodies += [
        '{"\\ud800": 1}',
        '{"product_id": "\\ud800"}',
        '{"product_id": "kale", "quantity": 1e400}',
    ]
    bodies += ['{"product_id": "kale", "quantity": ' + "9" * 5000 + "}"]
    for body in bodies:
        answer = await ada.api.post(
            "/api/orders", content=body, headers={"Content-Type": "application/json"}
        )
        assert 400 <= answer.status_code < 500, body[:40]
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await ada.api.get("/api/orders")).json() == []


async def test_a_refusal_names_the_field_and_does_not_repeat_it(ada):
    new = {"product_id": "kale", "quantity": 100, "password": "hunter2"}
    answer = await ada.api.post("/api/orders", json=new)
    assert "hunter2" not in answer.text
    assert answer.json()["errors"][0]["field"] == "body.password"
    answer = await ada.api.post("/api/orders", json={**new, "password": None})
    assert answer.status_code == 422
    del new["password"]
    answer = await ada.api.post("/api/orders", json=new)
    assert "quantity" in answer.text
    assert "at most 99" in answer.text


async def test_json_that_calls_itself_text_is_refused(ada):
    """A form of another site can send text/plain without asking (CVE-2021-32677)."""
    body = json.dumps({"product_id": "kale", "quantity": 1})
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        headers = {"Content-Type": kind}
        answer = await ada.api.post("/api/orders", content=body, headers=headers)
        assert 400 <= answer.status_code < 500
    assert (await ada.api.get("/api/orders")).json() == []


async def test_anothers_order_is_not_there(ada, bob):
    """BOLA: 404 on every method, as for an id that nobody has, and nothing changes."""
    order = await place(ada)
    for identifier in (order["id"], "nobody-has-this"):
        path = f"/api/orders/{identifier}"
        answers = [
            await bob.api.get(path),
            await bob.api.patch(path, json={"quantity": 9}),
            await bob.api.delete(path),
            await bob.post(f"/orders/{identifier}", quantity="9"),
            await bob.post(f"/orders/{identifier}/cancel"),
        ]
        assert [answer.status_code for answer in answers] == [404] * 5
    assert (await bob.api.get("/api/orders")).json() == []
    assert (await ada.api.get(f"/api/orders/{order['id']}")).json() == order


async def test_ids_do_not_count(ada):
    """1001 does not follow 1000 (guide: "ids cannot be guessed")."""
    ids = [(await place(ada))["id"] for _ in range(4)]
    assert len(set(ids)) == 4
    assert all(len(identifier) >= 16 for identifier in ids)


async def test_anothers_profile_is_not_there(ada, bob, olga):
    """Horizontal escalation; an operator may read it, and still not write."""
    path = f"/api/users/{ada.id}/profile"
    assert (await bob.api.get(path)).status_code == 404
    for intruder in (bob, olga):
        answer = await intruder.api.patch(path, json={"name": "Mallory"})
        assert answer.status_code == 404
    assert (await ada.api.get(path)).json()["name"] == ""


async def test_only_operators_reach_the_admin_side(ada, bob, stranger):
    """Vertical escalation (guide: /admin/users, /admin/deleteUser)."""
    target = f"/api/admin/users/{bob.id}"
    assert (await ada.api.get("/api/admin/users")).status_code == 403
    assert (await ada.api.delete(target)).status_code == 403
    assert (await ada.post(f"/admin/users/{bob.id}/remove")).status_code == 403
    assert (await stranger.get("/api/admin/users")).status_code == 401
    assert (await stranger.delete(target)).status_code == 401
    assert (await bob.api.get("/api/orders")).status_code == 200


async def test_an_operator_cannot_remove_who_stands_above(town, olga):
    root = await town.person("admin")
    answer = await olga.api.delete(f"/api/admin/users/{root.id}")
    assert (answer.status_code, answer.json()["code"]) == (403, "shop.above_you")
    own = await olga.api.delete(f"/api/admin/users/{olga.id}")
    assert (own.status_code, own.json()["code"]) == (409, "shop.own_account")
    assert (await root.api.delete(f"/api/admin/users/{olga.id}")).status_code == 204


async def test_amounts_that_are_none_are_refused(ada, bob):
    """Negative, nought, huge, fractional, text: no money moves in any direction."""
    amounts = [-1, -10_000, 0, 1.0, 0.5, "1", "1e3", True, None, [1], {"$gt": 0}]
    amounts += [1_000_001, 2**63, 10**30]
    for amount in amounts:
        new = {"to": bob.email, "amount": amount}
        answer = await ada.api.post("/api/transfers", json=new)
        assert answer.status_code == (400 if amount == 10**30 else 422), amount
    for amount in ("-1", "0", "1e3", "0x10", "1.234", "1,234.00", "٣", "", "NaN"):
        answer = await ada.post("/transfers", to=bob.email, amount=amount)
        assert answer.status_code == 400, amount
    assert (await ada.balance(), await bob.balance()) == (10_000, 10_000)


async def test_addresses_that_are_none_are_refused(ada):
    for to in ("", "bob", "a@b c", "a@b\r\nBcc: x@y", "@", 7, None, ["a@b"]):
        answer = await ada.api.post("/api/transfers", json={"to": to, "amount": 1})
        assert answer.status_code == 422, to
    assert await ada.balance() == 10_000


async def test_more_than_there_is_cannot_be_sent(ada, bob):
    answer = await ada.api.post(
        "/api/transfers", json={"to": bob.email, "amount": 10_001}
    )
    assert answer.status_code == 409
    assert answer.json()["code"] == "shop.not_enough_credit"
    assert (await ada.balance(), await bob.balance()) == (10_000, 10_000)


async def test_twenty_transfers_at_once_do_not_overdraw(ada, bob):
    """Twenty times 30 euros out of 100: three go through, seventeen do not (race on
    the balance, CWE-362)."""
    new = {"to": bob.email, "amount": 3_000}
    answers = await asyncio.gather(
        *(ada.api.post("/api/transfers", json=new) for _ in range(20))
    )
    counted = [answer.status_code for answer in answers]
    assert sorted(counted) == [201] * 3 + [409] * 17
    assert (await ada.balance(), await bob.balance()) == (1_000, 19_000)


async def test_money_is_neither_made_nor_lost_when_all_send_at_once(ada, bob, olga):
    people = [ada, bob, olga]
    moves = [
        giver.api.post("/api/transfers", json={"to": taker.email, "amount": 2_500})
        for _ in range(5)
        for giver in people
        for taker in people
    ]
    answers = await asyncio.gather(*moves)
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert sum([await person.balance() for person in people]) == 30_000


async def test_orders_at_once_are_all_written(ada):
    answers = await asyncio.gather(
        *(ada.api.post("/api/orders", json={"product_id": "kale"}) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len((await ada.api.get("/api/orders")).json()) == 20


async def test_a_cookie_alone_sends_no_money(ada, bob):
    """A page of another site has the cookie and not the token (CSRF, guide: POST
    /transfer)."""
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    answer = await ada.page.post(
        "/transfers", data={"to": bob.email, "amount": "10"}, headers=foreign
    )
    assert answer.status_code == 403
    answer = await ada.page.post("/transfers", data={"to": bob.email, "amount": "10"})
    assert answer.status_code == 403
    assert await ada.balance() == 10_000


async def test_nobody_is_anybody_without_a_session(stranger):
    """The frontend hides these; a direct call finds them locked all the same."""
    calls = [
        ("GET", "/api/orders"),
        ("POST", "/api/orders"),
        ("GET", "/api/orders/1002"),
        ("PATCH", "/api/orders/1002"),
        ("DELETE", "/api/orders/1002"),
        ("POST", "/api/transfers"),
        ("GET", "/api/users/2/profile"),
        ("POST", "/api/products/kale/reviews"),
        ("GET", "/api/admin/users"),
    ]
    for method, path in calls:
        answer = await stranger.request(method, path)
        assert answer.status_code == 401, path
        assert answer.headers["content-type"] == "application/problem+json"
