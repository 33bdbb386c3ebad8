"""The pages under /auth, as browsers use them."""

import re

import pytest
from tests.identity.gatehouse import EMAIL, HTML, PASSWORD, gatehouse, visit

pytestmark = pytest.mark.anyio

FORM = {"email": EMAIL, "password": PASSWORD}
NEW = "another long one"
PAGES = ["register", "login", "account"]


@pytest.fixture
async def person(house):
    """A client that asks for pages, as a browser does."""
    async with house.client(headers=HTML) as client:
        yield client


@pytest.fixture
async def signed_in(person):
    """The same, signed in by the form."""
    answer = await person.post("/auth/login", data=FORM)
    assert answer.status_code == 303
    return person


async def test_signing_up_and_in_and_out_by_forms(house, person):
    form = {"email": "new@example.com", "password": NEW}
    made = await person.post("/auth/register", data=form)
    assert (made.status_code, made.headers["location"]) == (
        303,
        "/auth/login?note=made",
    )
    page = await person.get(made.headers["location"])
    assert "the account is ready" in page.text
    entered = await person.post("/auth/login", data=form)
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    account = await person.get("/auth/account")
    assert "new@example.com" in account.text
    left = await person.post("/auth/logout", data={})
    assert (left.status_code, left.headers["location"]) == (
        303,
        "/auth/login?note=signed-out",
    )
    assert left.headers["clear-site-data"] == '"cache"'
    assert (await person.get("/auth/account")).status_code == 401


async def test_a_known_address_gets_the_same_page(person):
    known = await person.post("/auth/register", data=FORM)
    fresh = await person.post("/auth/register", data=FORM | {"email": "n@example.com"})
    assert known.headers == fresh.headers
    assert known.content == fresh.content


async def test_a_failed_sign_in_keeps_the_address_and_not_the_password(person):
    answer = await person.post(
        "/auth/login", data=FORM | {"password": "wrong password", "next": "/orders"}
    )
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert 'role="alert"' in answer.text
    assert "do not fit each other" in answer.text
    assert f'value="{EMAIL}"' in answer.text
    assert 'name="next" value="/orders"' in answer.text
    assert "wrong password" not in answer.text
    assert "<title>Error: Sign in" in answer.text


@pytest.mark.parametrize("path", ["/auth/login", "/auth/register"])
async def test_a_lost_database_keeps_what_was_typed(house, person, path):
    await house.identity._stores.stop()
    answer = await person.post(path, data=FORM)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert "Try again shortly" in answer.text
    assert f'value="{EMAIL}"' in answer.text


async def test_any_other_refusal_is_a_page_too(person, signed_in):
    answer = await signed_in.post("/auth/logout", data={"unknown": "1"})
    assert answer.status_code == 422
    assert "<h1>That did not work</h1>" in answer.text


async def test_faults_stand_beside_their_fields(person):
    answer = await person.post(
        "/auth/register", data={"email": "nobody", "password": "short"}
    )
    assert answer.status_code == 422
    for field in ("email", "password"):
        described = re.search(
            rf'id="{field}"[^>]*aria-describedby="([^"]+)"', answer.text
        )
        for part in described[1].split():
            assert f'id="{part}"' in answer.text
        assert f'href="#{field}"' in answer.text
    assert answer.text.count('aria-invalid="true"') == 2
    assert 'value="nobody"' in answer.text
    assert "short" not in answer.text


@pytest.mark.parametrize(
    ("wanted", "location"),
    [
        ("/orders?page=2", "/orders?page=2"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/a\r\nset-cookie:x=y", "/"),
        ("", "/"),
    ],
)
async def test_next_leads_only_to_this_site(person, wanted, location):
    answer = await person.post("/auth/login", data=FORM | {"next": wanted})
    assert answer.headers["location"] == location
    again = await person.get("/auth/login", params={"next": wanted})
    assert (again.status_code, again.headers["location"]) == (303, location)


async def test_next_survives_the_way_over_registration(person):
    page = await person.get("/auth/login", params={"next": "/orders?a=1&b=2"})
    assert 'name="next" value="/orders?a=1&amp;b=2"' in page.text
    assert "/auth/register?next=/orders%3Fa%3D1%26b%3D2" in page.text
    form = {"email": "n@example.com", "password": NEW, "next": "/orders?a=1&b=2"}
    made = await person.post("/auth/register", data=form)
    page = await person.get(made.headers["location"])
    assert 'name="next" value="/orders?a=1&amp;b=2"' in page.text


@pytest.mark.parametrize("name", ["email", "next"])
async def test_what_was_typed_is_escaped(person, name):
    attack = '"><script>alert(1)</script>'
    answer = await person.post(
        "/auth/login", data={**FORM, "password": "x", name: attack}
    )
    assert "<script>" not in answer.text
    assert "&lt;script&gt;" in answer.text


async def test_an_unknown_field_is_escaped_too(person):
    answer = await person.post("/auth/login", data={**FORM, "<script>x": "1"})
    assert answer.status_code == 422
    assert "<script>" not in answer.text


async def test_a_link_cannot_put_words_into_a_page(person):
    answer = await person.get("/auth/login", params={"note": "Your account is locked"})
    assert "locked" not in answer.text


@pytest.mark.parametrize("page", PAGES)
async def test_pages_carry_no_inline_script_or_style(signed_in, page):
    """The policy would refuse them; the one script is a file of this site."""
    text = (await signed_in.get(f"/auth/{page}", follow_redirects=False)).text
    for source in re.findall("<script[^>]*>", text):
        assert source.startswith('<script src="/auth/assets/password.js?v=')
    assert "<script src" in text or "<script" not in text
    for inline in ("<style", "style=", "onclick", "javascript:"):
        assert inline not in text


async def test_every_form_that_changes_something_carries_the_token(signed_in):
    text = (await signed_in.get("/auth/account")).text
    forms = re.findall(r"<form.*?</form>", text, re.DOTALL)
    assert len(forms) >= 3
    for form in forms:
        assert 'method="post"' in form
        assert re.search(r'name="csrf_token" value="[^"]+"', form)


async def test_sessions_are_ended_by_buttons(house, signed_in):
    async with house.client() as other:
        await other.post("/auth/login", json=FORM)
        text = (await signed_in.get("/auth/account")).text
        (path,) = re.findall(r'action="(/auth/sessions/[^/"]+/end)"', text)
        answer = await signed_in.post(path, data={})
        assert answer.headers["location"] == "/auth/account?note=ended"
        assert (await other.get("/auth/me")).status_code == 401
    gone = await signed_in.post(path, data={})
    assert gone.status_code == 404
    assert "no such session" in gone.text


async def test_all_sessions_are_ended_by_buttons(house, signed_in):
    kept = await signed_in.post("/auth/sessions/end", data={"keep": "current"})
    assert kept.headers["location"] == "/auth/account?note=ended"
    assert (await signed_in.get("/auth/account")).status_code == 200
    all_ended = await signed_in.post("/auth/sessions/end", data={})
    assert all_ended.headers["location"] == "/auth/login?note=signed-out"
    assert (await signed_in.get("/auth/account")).status_code == 401


async def test_the_password_is_changed_by_a_form(signed_in):
    form = {"current_password": "wrong one", "new_password": NEW}
    refused = await signed_in.post("/auth/password/change", data=form)
    assert refused.status_code == 403
    assert 'href="#current_password"' in refused.text
    assert NEW not in refused.text
    short = {"current_password": PASSWORD, "new_password": "short"}
    refused = await signed_in.post("/auth/password/change", data=short)
    assert refused.status_code == 422
    assert 'href="#new_password"' in refused.text
    form["current_password"] = PASSWORD
    changed = await signed_in.post("/auth/password/change", data=form)
    assert changed.headers["location"] == "/auth/account?note=changed"
    assert (await signed_in.get("/auth/account")).status_code == 200


async def test_password_managers_are_helped(person, signed_in):
    register = (await person.get("/auth/register")).text
    assert 'autocomplete="username"' in register
    assert 'autocomplete="new-password"' in register
    account = (await person.get("/auth/account")).text
    for hint in ("username", "current-password", "new-password"):
        assert f'autocomplete="{hint}"' in account


async def test_every_input_has_a_label(person):
    text = (await person.get("/auth/register")).text
    shown = re.findall(r'<input id="(\w+)"', text)
    assert shown == ["email", "password"]
    for field in shown:
        assert f'<label for="{field}">' in text


async def test_who_is_signed_in_is_sent_on(signed_in):
    answer = await signed_in.get("/auth/login?next=/orders")
    assert (answer.status_code, answer.headers["location"]) == (303, "/orders")


async def test_programs_get_no_pages(house):
    """A form without a wish for a page, and a wish for JSON, are programs."""
    for accept in ("*/*", "application/json", "application/json, text/html"):
        async with house.client(headers={"accept": accept}) as program:
            answer = await program.post("/auth/login", data=FORM)
            assert answer.status_code == 200
            assert answer.json()["email"] == EMAIL


async def test_the_stylesheet_is_cached_by_its_content(person):
    text = (await person.get("/auth/login")).text
    (path,) = re.findall(r'href="(/auth/assets/ringfence\.css\?v=[0-9a-f]{16})"', text)
    answer = await person.get(path)
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "prefers-color-scheme: dark" in answer.text
    assert ":focus-visible" in answer.text


async def test_under_a_root_path_every_link_has_it(tmp_path):
    async with gatehouse(tmp_path, root_path="/shop") as house:
        await house.accounts.register(EMAIL, PASSWORD, visit())
        async with house.client(headers=HTML) as person:
            text = (await person.get("/shop/auth/login")).text
            for link in re.findall(r'(?:href|action)="([^"#]+)"', text):
                assert link.startswith("/shop/"), link
            answer = await person.post("/shop/auth/login", data=FORM)
            assert answer.headers["location"] == "/shop/"
            form = FORM | {"next": "/shop/orders"}
            answer = await person.post("/shop/auth/login", data=form)
            assert answer.headers["location"] == "/shop/orders"


async def test_templates_can_be_replaced_one_by_one(tmp_path):
    own = tmp_path / "templates"
    own.mkdir()
    (own / "login.html").write_text("<p>Ours: {{ site_name }} {{ email }}</p>")
    async with (
        gatehouse(tmp_path, templates=own, site_name="A & B") as house,
        house.client(headers=HTML) as person,
    ):
        text = (await person.get("/auth/login")).text
        assert text == "<p>Ours: A &amp; B </p>"
        assert "Make an account" in (await person.get("/auth/register")).text
