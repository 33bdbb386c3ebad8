"""The reference shop under attack, served as ``make serve`` serves it."""

import pytest
from tests.attacks import wire
from tests.attacks.shops import OPERATOR, customer, running_shop

PASSWORD = "mallory's long pass phrase"


@pytest.fixture(scope="module")
def shop():
    with running_shop() as running:
        yield running


@pytest.fixture(scope="module")
def mallory(shop):
    with customer(shop, "mallory") as client:
        yield client


def raw(shop, client, target, method="GET"):
    """Send the request line as it stands, signed in."""
    cookie = "; ".join("=".join(pair) for pair in client.cookies.items())
    headers = {"Host": f"127.0.0.1:{shop.port}", "Cookie": cookie}
    headers["X-CSRF-Token"] = client.headers["x-csrf-token"]
    return wire.send(shop.port, wire.request(method, target, headers))


ADMIN = (
    "/api/admin/users",
    "/api/admin/users/",
    "/api/admin//users",
    "//api/admin/users",
    "/api/%61dmin/users",
    "/api/admin%2fusers",
    "/api/./admin/users",
    "/api/orders/../admin/users",
    "/api/orders/%2e%2e/admin/users",
    "/api/admin/users;/",
    "/api/admin/users%00",
    "/api/admin/users?x=/api/products",
    "/API/admin/users",
    "/api/products/../../api/admin/users",
    "/static/../api/admin/users",
    "/static/..%2fapi/admin/users",
    "/admin/users",
    "/admin/%75sers",
    "/admin/users/",
    "/admin//users",
)


@pytest.mark.parametrize("target", ADMIN)
def test_no_spelling_opens_the_admin_side(shop, mallory, target):
    """A customer sees no other customer's address, however the path is spelled."""
    for method in ("GET", "HEAD", "POST", "DELETE"):
        answer = raw(shop, mallory, target, method)
        assert OPERATOR["email"].encode() not in answer.body
        assert answer.status in {303, 307, 400, 403, 404, 405}


FILES = (
    "/shop.db",
    "/audit.jsonl",
    "/keys",
    "/.env",
    "/.git/config",
    "/ringfence.toml",
    "/static/../application.py",
    "/static/..%2fapplication.py",
    "/static/%2e%2e/application.py",
    "/static/..%5capplication.py",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/static/products/../../storage/stock.json",
    "/static/../static-other/x",
    "/static/shop.css%00.py",
    "/static/",
    "/static/products",
)


@pytest.mark.parametrize("target", FILES)
def test_no_file_but_its_own_is_served(shop, mallory, target):
    """Neither data nor source nor lists of folders (CVE-2023-29159, CWE-22)."""
    answer = raw(shop, mallory, target)
    assert answer.status in {307, 400, 404, 405}
    for sign in (b"import ", b"root:", b"SQLite format", b"sweet-pea.svg"):
        assert sign not in answer.body


def test_a_wrong_body_does_not_echo_the_password(mallory):
    """FastAPI's own 422 repeats what was sent; the answer here does not."""
    body = {"product_id": 7, "quantity": "many", "password": PASSWORD}
    answer = mallory.post("/api/orders", json=body)
    assert answer.status_code == 422
    assert PASSWORD not in answer.text
    assert answer.json()["code"]


def test_the_order_is_the_servers(mallory):
    """Price, owner, total and id of an order are nobody's wish (mass assignment)."""
    honest = mallory.post("/api/orders", json={"product_id": "kale", "quantity": 2})
    assert honest.status_code == 201
    for wish in ({"price": 1}, {"total": 1}, {"owner": "x"}, {"id": "mine"}):
        body = {"product_id": "kale", "quantity": 2, **wish}
        answer = mallory.post("/api/orders", json=body)
        assert answer.status_code == 422 or (
            answer.json()["total"] == honest.json()["total"]
        )


def test_anothers_order_is_not_there(shop, mallory):
    """GET, PATCH and DELETE of another's order answer 404, as if there were none
    (BOLA; guide: GET /orders/1002)."""
    with customer(shop, "victor") as victor:
        order = {"product_id": "kale", "quantity": 1}
        number = victor.post("/api/orders", json=order).json()["id"]
        path = f"/api/orders/{number}"
        for answer in (
            mallory.get(path),
            mallory.patch(path, json={"quantity": 99}),
            mallory.delete(path),
        ):
            assert answer.status_code == 404
        assert victor.get(path).json()["quantity"] == 1


def test_nothing_says_what_serves(shop, mallory):
    """No server, framework or version (ASVS 5.0 V13.4.6)."""
    for path in ("/", "/api/products", "/nowhere", "/static/shop.css"):
        answer = raw(shop, mallory, path)
        assert not {"server", "x-powered-by"} & set(answer.headers)


def test_a_thousand_ranges_are_no_work(shop, mallory):
    """A Range of a thousand pieces is not put together (CVE-2025-62727)."""
    headers = {"Host": f"127.0.0.1:{shop.port}"}
    headers["Range"] = "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 2000, 2))
    request = wire.request("GET", "/static/shop.css", headers)
    answer = wire.send(shop.port, request)
    assert answer.status in {200, 400, 416, 431}
    assert len(answer.body) < 200_000
    assert mallory.get("/").status_code == 200
