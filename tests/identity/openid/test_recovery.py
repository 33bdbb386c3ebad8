"""What a new password by mail takes away besides."""

import shutil

import pytest
from tests.identity.gatehouse import EMAIL
from tests.identity.mailed import forgot, letters, mailed, reset
from tests.servers.mail import running_mail_server

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
