"""What customers write reaches programs, files, XML, other sites and pages."""

import csv
import gzip
import io
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

pytestmark = pytest.mark.anyio


async def order(person, product="kale", quantity=2):
    answer = await person.api.post(
        "/api/orders", json={"product_id": product, "quantity": quantity}
    )
    assert answer.status_code == 201


HONEST_NAMES = ["orders", "O'Brien's orders (2026)", "naïve — 订单", "a;b & c", "-n"]


@pytest.mark.parametrize("name", HONEST_NAMES)
async def test_export(town, name):
    """A name of the customer's own, whatever a shell would make of it."""
    ann = await town.person()
    await order(ann)
    made = await ann.api.post("/api/exports", json={"name": name})
    assert made.status_code == 201, made.text
    assert made.json()["name"] == f"{name}.csv.gz"
    listed = (await ann.api.get("/api/exports")).json()
    assert [each["name"] for each in listed] == [f"{name}.csv.gz"]
    got = await ann.api.get(f"/api/exports/{made.json()['name']}")
    rows = list(csv.reader(io.StringIO(gzip.decompress(got.content).decode())))
    assert [len(row) for row in rows] == [6, 6]
    assert rows[1][2] == "2"


@pytest.mark.parametrize(
    "name", ["../../escape", "/etc/cron.d/x", "a\x00b", "C:evil", "..\\x", "nul"]
)
async def test_export_stays_on_its_shelf(town, name):
    ann = await town.person()
    answer = await ann.api.post("/api/exports", json={"name": name})
    assert answer.status_code == 400
    assert answer.json()["code"] == "interpreters.path"


async def test_export_opens_no_folder_of_its_own(town):
    """In folders below the shelf nobody would count, list or find what is kept."""
    ann = await town.person()
    answer = await ann.api.post("/api/exports", json={"name": "orders 2026/11"})
    assert answer.status_code == 400
    assert answer.json()["code"] == "shop.no_file_name"
    page = await ann.post("/exports", name="orders 2026/11")
    assert "has no slash in it" in page.text
    shelf = town.guard.settings.data / "exports" / ann.id
    assert not list(shelf.rglob("*"))


async def test_export_of_somebody_else(town):
    ann, bob = await town.person(), await town.person()
    await order(ann)
    await ann.api.post("/api/exports", json={"name": "mine"})
    assert (await bob.api.get("/api/exports")).json() == []
    assert (await bob.api.get("/api/exports/mine.csv.gz")).status_code == 404


async def test_exports_are_bounded(town):
    ann = await town.person()
    shelf = town.guard.settings.data / "exports" / ann.id
    shelf.mkdir(parents=True)
    for number in range(20):
        (shelf / f"{number}.csv.gz").write_bytes(b"")
    answer = await ann.api.post("/api/exports", json={"name": "one more"})
    assert answer.status_code == 409


async def test_export_on_the_page(town):
    ann = await town.person()
    answer = await ann.post("/exports", name="my orders")
    assert answer.status_code == 303
    page = (await ann.page.get("/exports")).text
    assert "my orders.csv.gz" in page
    got = await ann.page.get("/exports/my%20orders.csv.gz")
    assert got.headers["content-disposition"] == "attachment"


LIST = b'<?xml version="1.0"?><orders><order product="kale" quantity="2"/></orders>'
BOMB = (
    b'<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;&x;">]>'
    b'<orders><order product="&y;"/></orders>'
)
FILE = (
    b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
    b'<orders><order product="kale">&x;</order></orders>'
)
WRONG = {
    "another root": b"<carts/>",
    "nothing in it": b"<orders/>",
    "too many": b"<orders>" + b'<order product="kale"/>' * 51 + b"</orders>",
    "an unknown field": b'<orders><order product="kale" price="1"/></orders>',
    "a negative number": b'<orders><order product="kale" quantity="-1"/></orders>',
}


async def send(person, document):
    headers = {"content-type": "application/xml"}
    return await person.api.post("/api/import", content=document, headers=headers)


async def test_import(town):
    ann = await town.person()
    answer = await send(ann, LIST)
    assert answer.status_code == 201, answer.text
    assert [each["quantity"] for each in answer.json()] == [2]


@pytest.mark.parametrize("document", [BOMB, FILE, b"<orders>", b""])
async def test_import_of_no_list(town, document):
    """Entities, files and what is no XML: refused, and nothing is ordered."""
    ann = await town.person()
    assert (await send(ann, document)).status_code == 400
    assert (await ann.api.get("/api/orders")).json() == []


@pytest.mark.parametrize("document", WRONG.values(), ids=WRONG)
async def test_import_of_a_wrong_list(town, document):
    ann = await town.person()
    assert (await send(ann, document)).status_code == 422
    assert (await ann.api.get("/api/orders")).json() == []


async def test_import_is_all_or_nothing(town):
    """The second order is of something that is not sold: neither is placed."""
    ann = await town.person()
    document = b'<orders><order product="kale"/><order product="gold"/></orders>'
    assert (await send(ann, document)).status_code == 404
    assert (await ann.api.get("/api/orders")).json() == []


@contextmanager
def site():
    """A page on a port of this machine."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>Kale &amp; <b>co</b></title>secret")

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_preview(town, monkeypatch):
    """The title of a page; none of its content."""
    ann = await town.person()
    with site() as port:
        monkeypatch.setattr("examples.shop.previews._ALSO", (f"127.0.0.1:{port}",))
        url = f"http://127.0.0.1:{port}/"
        answer = await ann.api.post("/api/preview", json={"url": url})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"url": url, "title": "Kale &"}


async def test_preview_of_a_private_service(town):
    ann = await town.person()
    with site() as port:
        for host in ("127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"):
            url = f"http://{host}:{port}/"
            answer = await ann.api.post("/api/preview", json={"url": url})
            assert answer.status_code == 400, host
    metadata = {"url": "http://169.254.169.254/latest/meta-data/"}
    assert (await ann.api.post("/api/preview", json=metadata)).status_code == 400


async def test_preview_of_nothing(town, monkeypatch):
    monkeypatch.setattr("examples.shop.previews._ALSO", ("127.0.0.1:9",))
    ann = await town.person()
    answer = await ann.api.post("/api/preview", json={"url": "http://127.0.0.1:9/"})
    assert answer.status_code == 502


async def test_rich_review(town):
    """Bold stays, scripts go; a plain review shows what was written."""
    ann = await town.person()
    text = "<b>Good</b> <script>alert(1)</script><img src=x onerror=alert(1)>, it's <3"
    await ann.post("/products/kale/reviews", stars="5", text=text, form="rich")
    await ann.post("/products/kale/reviews", stars="5", text=text)
    page = (await ann.page.get("/products/kale")).text
    assert "<b>Good</b>" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page
