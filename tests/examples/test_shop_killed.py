"""Killing the shop in the middle of writes loses nothing that was acknowledged."""

import threading

import httpx2
from tests.attacks.serving import (
    RINGFENCE,
    Process,
    await_port,
    development,
    free_port,
    running,
)
from tests.attacks.shops import customer

ACKNOWLEDGED = 10  # orders before the kill
CREDIT = 10_000  # cents that everybody starts with
RECIPIENT = "nobody-yet@example.com"


def order_until_the_end(client, orders, sent, enough):
    """Order and send credit, one after the other, until the shop is gone."""
    while True:
        try:
            order = client.post("/api/orders", json={"product_id": "kale"})
            moved = client.post("/api/transfers", json={"to": RECIPIENT, "amount": 1})
        except httpx2.TransportError:
            return
        orders.append(order.json()["id"])
        sent.append(moved.json()["amount"])
        if len(orders) >= ACKNOWLEDGED:
            enough.set()


def test_a_killed_shop_keeps_orders_money_and_sessions(tmp_path):
    """Every order that was answered with 201 is there, with its owner's session; and
    credit is where it was said to be, or one transfer further."""
    port = free_port()
    command = (*RINGFENCE, "dev", "examples.shop:app", "--port", str(port))
    env, log = development(tmp_path), tmp_path / "shop.log"
    orders, sent, enough = [], [], threading.Event()
    with running(command, env=env, log=log) as process:
        await_port(process, port, log)
        with customer(Process(port, process.pid, tmp_path), "ada") as ada:
            me = ada.get("/auth/me").json()["id"]
            work = (ada, orders, sent, enough)
            worker = threading.Thread(target=order_until_the_end, args=work)
            worker.start()
            assert enough.wait(30)
            process.kill()
            process.wait()
            worker.join()
            with running(command, env=env, log=log) as again:
                await_port(again, port, log)
                with httpx2.Client(base_url=ada.base_url, cookies=ada.cookies) as back:
                    kept = back.get("/api/orders", params={"limit": 100}).json()
                    profile = back.get(f"/api/users/{me}/profile").json()
    assert set(orders) <= {order["id"] for order in kept}
    assert CREDIT - profile["balance"] - sum(sent) in {0, 1}
