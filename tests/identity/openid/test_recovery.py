"""What a new password by mail takes away besides."""

import shutil

import pytest
from tests.identity.gatehouse import EMAIL
from tests.identity.mailed import forgot, letters, login, mailed, reset
from tests.servers.mail import running_mail_server

from ringfence.errors import StoreError
from ringfence.stores.contracts import Link

pytestmark = pytest.mark.anyio


async def test_it_disconnects_what_somebody_else_may_have_connected(prepared, tmp_path):
    """Who has had the account would come back through a provider of theirs."""
    shutil.copy(prepared, tmp_path)
    with running_mail_server() as server:
        async with mailed(tmp_path, server) as house, house.client() as browser:
            account = await house.accounts.by_email(EMAIL)
            links = house.identity._stores.links
            link = Link("https://accounts.example", "mallory", account.id)
            assert await links.add(link, epoch=account.epoch)
            await forgot(browser, EMAIL)
            (letter,) = await letters(house)
            answer = await reset(browser, letter.code, "another long one, please")
            assert answer.status_code == 200
            assert await links.of_account(account.id) == []


async def test_a_store_that_fails_leaves_no_way_in_beside_a_new_password(
    prepared, tmp_path, monkeypatch
):
    """An owner who has set a password asks for no other link: nothing of who had the
    account before may be there by then."""
    shutil.copy(prepared, tmp_path)
    new = "another long one, please"
    with running_mail_server() as server:
        async with mailed(tmp_path, server) as house, house.client() as browser:
            stores = house.identity._stores
            account = await house.accounts.by_email(EMAIL)
            await stores.accounts.verify(account.id, account.email_key, 1.0)
            link = Link("https://accounts.example", "mallory", account.id)
            assert await stores.links.add(link, epoch=account.epoch)

            async def fails(*_):
                raise StoreError("the database is gone")

            await forgot(browser, EMAIL)
            (letter,) = await letters(house)
            with monkeypatch.context() as patch:
                patch.setattr(type(stores.links), "remove", fails)
                answer = await reset(browser, letter.code, new)
                assert answer.status_code == 503
            assert (await login(browser, EMAIL, new)).status_code == 401
